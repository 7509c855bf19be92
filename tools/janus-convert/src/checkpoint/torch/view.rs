//! A tensor of the dictionary as a view of the values in the archive.

use super::super::archive::{Archive, Entry};
use super::super::pickle::PickledTensor;
use super::super::tensor::{Dtype, Layout, value_count};
use super::super::values;
use super::error::StateDictError;

/// Checks that a tensor is a view of values that are in the archive.
pub(super) fn layout(
    name: &str,
    tensor: &PickledTensor,
    archive: &Archive,
    root: &str,
) -> Result<Layout, StateDictError> {
    let PickledTensor {
        storage,
        shape,
        strides,
        ..
    } = tensor;
    let dtype = storage.dtype;
    let Some(entry) = archive.get(&format!("{root}/data/{}", storage.key)) else {
        let (tensor, storage) = (name.to_owned(), storage.key.to_string());
        return Err(StateDictError::NoStorage { tensor, storage });
    };
    let stored =
        stored_values(entry, dtype, storage.len).ok_or_else(|| StateDictError::StorageSize {
            tensor: name.to_owned(),
            storage: storage.key.to_string(),
            len: storage.len,
            dtype,
            found: entry.size,
        })?;
    let view = View::of(tensor, stored).ok_or_else(|| StateDictError::View {
        tensor: name.to_owned(),
        shape: shape.clone(),
        strides: strides.clone(),
        offset: tensor.offset,
        len: storage.len,
    })?;
    let len = value_count(&view.shape).filter(|len| *len <= stored);
    let len = len.ok_or_else(|| StateDictError::Expanded {
        tensor: name.to_owned(),
        shape: shape.clone(),
        len: storage.len,
    })?;
    let offset = entry.offset + (view.offset * dtype.size()) as u64;
    Ok(Layout {
        dtype,
        shape: view.shape,
        strides: view.strides,
        offset,
        len,
    })
}

/// The number of values in an entry, if it is the one that the pickle states.
fn stored_values(entry: Entry, dtype: Dtype, stated: i64) -> Option<usize> {
    let stated = usize::try_from(stated).ok()?;
    let bytes = stated.checked_mul(dtype.size())? as u64;
    (bytes == entry.size).then_some(stated)
}

/// A tensor's sizes and strides, known to stay within its storage.
struct View {
    offset: usize,
    shape: Vec<usize>,
    strides: Option<Vec<usize>>,
}

impl View {
    fn of(tensor: &PickledTensor, stored: usize) -> Option<Self> {
        let sizes = |numbers: &[i64]| {
            numbers
                .iter()
                .map(|n| usize::try_from(*n).ok())
                .collect::<Option<Vec<_>>>()
        };
        let (shape, strides) = (sizes(&tensor.shape)?, sizes(&tensor.strides)?);
        let offset = usize::try_from(tensor.offset).ok()?;
        if shape.len() != strides.len() {
            return None;
        }
        let extent = values::extent(&shape, &strides)?;
        if offset.checked_add(extent)? > stored {
            return None;
        }
        let contiguous = is_contiguous(&shape, &strides);
        Some(Self {
            offset,
            shape,
            strides: (!contiguous).then_some(strides),
        })
    }
}

/// Whether the values lie one after the other. The stride of a dimension with one index is never taken.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let mut next = Some(1usize);
    shape.iter().zip(strides).rev().all(|(size, stride)| {
        let fits = *size == 1 || Some(*stride) == next;
        next = next.and_then(|next| next.checked_mul(*size));
        fits
    })
}
