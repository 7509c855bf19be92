//! Named tensors in a safetensors file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use janus_runtime::manifest::{Dim, ElementType};
use janus_runtime::{Input, Output};
use ndarray::{Array, ArrayD, Dimension, IxDyn};
use safetensors::tensor::{Metadata, TensorInfo, TensorView};
use safetensors::{Dtype, SafeTensors};

use crate::error::{Error, Result};

/// The largest file that is read, 4 GiB: it is held in memory.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// Bytes before the header, which are its length.
const LENGTH_BYTES: usize = 8;
/// Names that a message lists.
const NAMES_LISTED: usize = 24;

/// Named tensors that were read from a safetensors file.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use janus_runtime::Output;
/// use janus_validate::TensorFile;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("tokens.safetensors");
/// let tokens = ndarray::arr2(&[[3_i64, 1, 4]]).into_dyn();
/// TensorFile::write(&path, &BTreeMap::from([("image_tokens".into(), Output::I64(tokens))]))?;
///
/// let file = TensorFile::read(&path)?;
/// assert_eq!(file.names(), ["image_tokens"]);
/// assert_eq!(file.i64("image_tokens")?.shape(), [1, 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Where the elements begin.
    start: usize,
    metadata: Metadata,
}

impl TensorFile {
    /// Reads a file of at most [`MAX_FILE_BYTES`] and checks its header.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let bytes = read_bounded(&path)?;
        match SafeTensors::read_metadata(&bytes) {
            Ok((header, metadata)) => Ok(Self {
                path,
                start: LENGTH_BYTES + header,
                bytes,
                metadata,
            }),
            Err(source) => Err(Error::ParseFile { path, source }),
        }
    }

    /// Writes tensors to `path`: beside it first, renamed when the disk has all of it.
    ///
    /// The same tensors give the same bytes.
    pub fn write(path: impl AsRef<Path>, tensors: &BTreeMap<String, Output>) -> Result<()> {
        let path = path.as_ref();
        let serialize = |source| Error::Serialize {
            path: path.to_owned(),
            source,
        };
        let encoded: Vec<_> = tensors
            .iter()
            .map(|(name, tensor)| (name, encode(tensor)))
            .collect();
        let views = encoded
            .iter()
            .map(|(name, (dtype, shape, bytes))| {
                Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(serialize)?;
        let bytes = safetensors::serialize(views, None).map_err(serialize)?;
        replace(path, &bytes).map_err(|source| Error::WriteFile {
            path: path.to_owned(),
            source,
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the tensors, in alphabetical order.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.metadata.offset_keys();
        names.sort_unstable();
        names
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }

    /// Takes a tensor of 32-bit floats; 16-bit ones are widened.
    pub fn f32(&self, name: &str) -> Result<ArrayD<f32>> {
        let (info, bytes) = self.tensor(name)?;
        let elements = match info.dtype {
            Dtype::F32 => elements(bytes, f32::from_le_bytes),
            Dtype::F16 => elements(bytes, |b| f16::from_le_bytes(b).to_f32()),
            Dtype::BF16 => elements(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            found => return Err(self.element_type(name, "f32, f16 or bf16", found)),
        };
        self.array(name, info, elements)
    }

    /// Takes a tensor of 64-bit integers; 32-bit ones are widened.
    pub fn i64(&self, name: &str) -> Result<ArrayD<i64>> {
        let (info, bytes) = self.tensor(name)?;
        let elements = match info.dtype {
            Dtype::I64 => elements(bytes, i64::from_le_bytes),
            Dtype::I32 => elements(bytes, |b| i32::from_le_bytes(b).into()),
            found => return Err(self.element_type(name, "i64 or i32", found)),
        };
        self.array(name, info, elements)
    }

    /// Takes a tensor of integers that fit into 32 bits.
    pub fn i32(&self, name: &str) -> Result<ArrayD<i32>> {
        self.narrow(name, "a 32-bit integer")
    }

    /// Takes a tensor of indices.
    pub fn indices(&self, name: &str) -> Result<ArrayD<u32>> {
        self.narrow(name, "an index, 0 or more")
    }

    /// Takes a tensor as an input of the type that a graph asks for.
    ///
    /// No graph reads 16-bit floats: an export in 16 bits has 32-bit inputs and outputs.
    pub fn input(&self, name: &str, dtype: ElementType) -> Result<Input<'static>> {
        Ok(match dtype {
            ElementType::F32 | ElementType::F16 | ElementType::Bf16 => {
                Input::F32(self.f32(name)?.into())
            }
            ElementType::I64 | ElementType::Bool => Input::I64(self.i64(name)?.into()),
            ElementType::I32 => Input::I32(self.i32(name)?.into()),
        })
    }

    /// Fails unless the tensor has exactly the shape of a result.
    pub(crate) fn expect_shape(&self, name: &str, shape: &[usize]) -> Result<()> {
        let (info, _) = self.tensor(name)?;
        if info.shape != shape {
            return Err(self.shape(name, format!("{shape:?}, the model's"), &info.shape));
        }
        Ok(())
    }

    /// Fails unless `array`, which is the tensor, has the extents asked for, each at least 1.
    pub(crate) fn with_shape<T, D: Dimension>(
        &self,
        name: &str,
        array: ArrayD<T>,
        expected: &[Dim],
    ) -> Result<Array<T, D>> {
        let found = array.shape().to_vec();
        let fits = |(&extent, dim): (&usize, &Dim)| match dim {
            Dim::Fixed(expected) => extent == *expected,
            Dim::Named(_) => extent > 0,
        };
        let all_fit = found.len() == expected.len() && found.iter().zip(expected).all(fits);
        match array.into_dimensionality() {
            Ok(array) if all_fit => Ok(array),
            _ => {
                let extents: Vec<_> = expected.iter().map(Dim::to_string).collect();
                Err(self.shape(name, format!("[{}]", extents.join(", ")), &found))
            }
        }
    }

    /// The names as a message lists them.
    pub(crate) fn listed_names(&self) -> String {
        let names = self.names();
        let mut list: Vec<_> = names
            .iter()
            .take(NAMES_LISTED)
            .map(|name| name.escape_debug().to_string())
            .collect();
        if names.len() > NAMES_LISTED {
            list.push(format!("{} more", names.len() - NAMES_LISTED));
        }
        match list.is_empty() {
            true => "none".to_owned(),
            false => list.join(", "),
        }
    }

    fn tensor(&self, name: &str) -> Result<(&TensorInfo, &[u8])> {
        let info = self
            .metadata
            .info(name)
            .ok_or_else(|| Error::MissingTensor {
                path: self.path.clone(),
                tensor: name.to_owned(),
                found: self.listed_names(),
            })?;
        // The header was compared with the length of the file when it was read.
        let (from, to) = info.data_offsets;
        Ok((info, &self.bytes[self.start + from..self.start + to]))
    }

    fn narrow<T: TryFrom<i64>>(&self, name: &str, expected: &str) -> Result<ArrayD<T>> {
        let wide = self.i64(name)?;
        let shape = wide.raw_dim();
        let mut elements = Vec::with_capacity(wide.len());
        for (at, &found) in wide.iter().enumerate() {
            let element = T::try_from(found).map_err(|_| Error::Element {
                path: self.path.clone(),
                tensor: name.to_owned(),
                at,
                found,
                expected: expected.to_owned(),
            })?;
            elements.push(element);
        }
        ArrayD::from_shape_vec(shape, elements).map_err(|_| self.too_large(name, wide.shape()))
    }

    fn array<T>(&self, name: &str, info: &TensorInfo, elements: Vec<T>) -> Result<ArrayD<T>> {
        ArrayD::from_shape_vec(IxDyn(&info.shape), elements)
            .map_err(|_| self.too_large(name, &info.shape))
    }

    fn shape(&self, name: &str, expected: String, found: &[usize]) -> Error {
        Error::Shape {
            path: self.path.clone(),
            tensor: name.to_owned(),
            expected,
            found: found.to_vec(),
        }
    }

    fn too_large(&self, name: &str, shape: &[usize]) -> Error {
        self.shape(name, "one that memory can hold".to_owned(), shape)
    }

    fn element_type(&self, name: &str, expected: &'static str, found: Dtype) -> Error {
        Error::ElementType {
            path: self.path.clone(),
            tensor: name.to_owned(),
            expected,
            found: found.to_string().to_lowercase(),
        }
    }
}

fn elements<T, const N: usize>(bytes: &[u8], element: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|&chunk| element(chunk)).collect()
}

fn encode(tensor: &Output) -> (Dtype, Vec<usize>, Vec<u8>) {
    match tensor {
        Output::F32(a) => (
            Dtype::F32,
            a.shape().to_vec(),
            a.iter().flat_map(|x| x.to_le_bytes()).collect(),
        ),
        Output::I64(a) => (
            Dtype::I64,
            a.shape().to_vec(),
            a.iter().flat_map(|x| x.to_le_bytes()).collect(),
        ),
        Output::I32(a) => (
            Dtype::I32,
            a.shape().to_vec(),
            a.iter().flat_map(|x| x.to_le_bytes()).collect(),
        ),
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let fail = |source| Error::ReadFile {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(fail)?;
    let length = file.metadata().map_err(fail)?.len();
    let mut bytes = Vec::new();
    // The length is looked at first, and again by reading no further: a pipe has none.
    if length <= MAX_FILE_BYTES {
        file.take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(fail)?;
    }
    if length.max(bytes.len() as u64) > MAX_FILE_BYTES {
        return Err(Error::FileTooLarge {
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

/// Replaces the file at `path` as a whole: nobody ever sees a part of it.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut beside = tempfile::Builder::new()
        .prefix(".janus-")
        .suffix(".partial")
        .make_in(folder, |path| File::create_new(path))?;
    beside.write_all(bytes)?;
    beside.as_file().sync_all()?;
    beside.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{arr1, arr2};

    fn write_raw(folder: &Path, dtype: Dtype, shape: Vec<usize>, bytes: &[u8]) -> TensorFile {
        let view = TensorView::new(dtype, shape, bytes).unwrap();
        let path = folder.join("x.safetensors");
        std::fs::write(&path, safetensors::serialize([("x", view)], None).unwrap()).unwrap();
        TensorFile::read(path).unwrap()
    }

    #[test]
    fn sixteen_bit_floats_and_narrow_integers_are_widened() {
        let folder = tempfile::tempdir().unwrap();
        for (dtype, bytes) in [
            (Dtype::F32, 1.5_f32.to_le_bytes().to_vec()),
            (Dtype::F16, f16::from_f32(1.5).to_le_bytes().to_vec()),
            (Dtype::BF16, bf16::from_f32(1.5).to_le_bytes().to_vec()),
        ] {
            let file = write_raw(folder.path(), dtype, vec![1], &bytes);
            assert_eq!(file.f32("x").unwrap(), arr1(&[1.5]).into_dyn());
        }
        let file = write_raw(folder.path(), Dtype::I32, vec![], &(-7_i32).to_le_bytes());
        assert_eq!(file.i64("x").unwrap().first(), Some(&-7));
        assert_eq!(file.i32("x").unwrap().shape(), [0_usize; 0]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let wide = [1_i64, 1 << 40].map(i64::to_le_bytes).concat();
        let file = write_raw(folder.path(), Dtype::I64, vec![2], &wide);
        for (result, message) in [
            (
                file.f32("x").map(drop),
                "tensor `x` has elements of type i64; expected f32, f16 or bf16",
            ),
            (file.i64("y").map(drop), "has no tensor `y`; it has x"),
            (
                file.i32("x").map(drop),
                "tensor `x` has 1099511627776 at 1; expected a 32-bit integer",
            ),
        ] {
            let found = result.unwrap_err().to_string();
            assert!(found.contains(message), "{found}");
        }
    }

    #[test]
    fn files_that_are_not_safetensors_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        assert!(matches!(
            TensorFile::read(&path),
            Err(Error::ReadFile { .. })
        ));
        for bytes in [&b""[..], b"GGUF", &[0xff; 64]] {
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(
                TensorFile::read(&path),
                Err(Error::ParseFile { .. })
            ));
        }
        let sparse = File::create(&path).unwrap();
        sparse.set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(matches!(
            TensorFile::read(&path),
            Err(Error::FileTooLarge { .. })
        ));
    }

    #[test]
    fn writing_is_deterministic_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let tensors = BTreeMap::from([
            (
                "b".to_owned(),
                Output::I64(arr2(&[[1, 2], [3, 4]]).into_dyn()),
            ),
            ("a".to_owned(), Output::F32(arr1(&[0.5]).into_dyn())),
        ]);
        TensorFile::write(&path, &tensors).unwrap();
        let first = std::fs::read(&path).unwrap();
        TensorFile::write(&path, &tensors).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let file = TensorFile::read(&path).unwrap();
        assert_eq!(Output::F32(file.f32("a").unwrap()), tensors["a"]);
        assert_eq!(Output::I64(file.i64("b").unwrap()), tensors["b"]);
    }
}
