//! The rules of the operators that graphs of this family are made of. Of another operator nothing is
//! known, and nothing is said.

use janus_onnx::proto::{Attribute, DataType, Extent, Node};

use super::{Known, Values, spelled};

type Shape = Vec<Option<Extent>>;
/// What each output is, or why the inputs do not fit.
type Inferred = Result<Vec<Known>, String>;

pub(super) fn infer(node: &Node, values: &Values<'_>) -> Inferred {
    let first = values.of(node, 0).cloned().unwrap_or_default();
    match node.op_type() {
        "Add" | "Sub" | "Mul" | "Div" => elementwise(node, values),
        "Sigmoid" | "Gelu" | "Abs" | "Sin" | "Cos" | "Sqrt" | "Tanh" | "Erf" | "Softmax" => {
            Ok(vec![first])
        }
        "LayerNormalization" | "SimplifiedLayerNormalization" => normed(node, values, -1),
        "InstanceNormalization" => normed(node, values, 1),
        "Cast" => Ok(vec![Known {
            dtype: integer(node, "to").and_then(|to| DataType::try_from(to as i32).ok()),
            ..first
        }]),
        "MatMul" => product(node, values, true),
        "MatMulIntegerToFloat" => product(node, values, false),
        "MatMulNBits" => blocks(node, values),
        "Conv" => convolution(node, values),
        "Gather" if integer(node, "axis").unwrap_or(0) == 0 => gathered(node, values),
        "Transpose" => transposed(node, &first),
        "Concat" => joined(node, values),
        "Reshape" => reshaped(node, values, &first),
        "Split" => split(node, values, &first),
        "ReduceMean" | "ReduceMax" | "ReduceL2" => reduced(node, values, &first),
        "GroupQueryAttention" => attention(node, values, &first),
        "MultiHeadAttention" => heads(node, values, &first),
        _ => Ok(Vec::new()),
    }
}

fn attribute<'a>(node: &'a Node, name: &str) -> Option<&'a Attribute> {
    node.attribute.iter().find(|it| it.name() == name)
}

fn integer(node: &Node, name: &str) -> Option<i64> {
    attribute(node, name)?.i
}

fn fixed(extent: Option<&Option<Extent>>) -> Option<i64> {
    match extent? {
        Some(Extent::Value(extent)) => Some(*extent),
        _ => None,
    }
}

/// Index of an axis that may be counted from the end.
fn resolved(axis: i64, rank: usize) -> Result<usize, String> {
    let place = if axis < 0 { axis + rank as i64 } else { axis };
    let found = usize::try_from(place).ok().filter(|place| *place < rank);
    found.ok_or_else(|| format!("axis {axis} of {rank}"))
}

/// Two extents that have to be equal, where both are numbers.
fn expect_equal(a: Option<i64>, b: Option<i64>, what: &str) -> Result<(), String> {
    match (a, b) {
        (Some(a), Some(b)) if a != b => Err(format!("{what}: {a} and {b}")),
        _ => Ok(()),
    }
}

fn same_type(node: &Node, values: &Values<'_>) -> Result<Option<DataType>, String> {
    let types = [0, 1].map(|input| values.of(node, input).and_then(|it| it.dtype));
    match types {
        [Some(a), Some(b)] if a != b => {
            let (a, b) = (a.short_name(), b.short_name());
            Err(format!("inputs of types {a} and {b}"))
        }
        [a, b] => Ok(a.or(b)),
    }
}

/// Axes are aligned at the end, and an axis of one stretches.
fn broadcast(a: &Shape, b: &Shape) -> Result<Shape, String> {
    let rank = a.len().max(b.len());
    let axis = |shape: &Shape, i: usize| match (i + shape.len()).checked_sub(rank) {
        Some(i) => shape[i].clone(),
        None => Some(Extent::Value(1)),
    };
    let one = Some(Extent::Value(1));
    (0..rank)
        .map(|i| match (axis(a, i), axis(b, i)) {
            (a, b) if a == one => Ok(b),
            (a, b) if b == one => Ok(a),
            (Some(Extent::Value(x)), Some(Extent::Value(y))) if x != y => Err(()),
            (Some(Extent::Value(x)), _) | (_, Some(Extent::Value(x))) => Ok(Some(Extent::Value(x))),
            (a, b) => Ok(a.or(b)),
        })
        .collect::<Result<Shape, ()>>()
        .map_err(|()| format!("{} and {} do not broadcast", spelled(a), spelled(b)))
}

fn elementwise(node: &Node, values: &Values<'_>) -> Inferred {
    let dtype = same_type(node, values)?;
    let shapes = [0, 1].map(|input| values.of(node, input).and_then(|it| it.shape.as_ref()));
    let shape = match shapes {
        [Some(a), Some(b)] => Some(broadcast(a, b)?),
        _ => None,
    };
    Ok(vec![Known { dtype, shape }])
}

/// The first input, after the second was seen to be as long as an axis of it.
fn normed(node: &Node, values: &Values<'_>, axis: i64) -> Inferred {
    let first = values.of(node, 0).cloned().unwrap_or_default();
    let scale = values.of(node, 1).and_then(|it| it.shape.as_ref());
    if let (Some(shape), Some(scale)) = (&first.shape, scale) {
        let extent = fixed(shape.get(resolved(axis, shape.len())?));
        expect_equal(extent, fixed(scale.last()), "channels and scales")?;
    }
    Ok(vec![first])
}

/// A matrix product over the last two axes.
fn product(node: &Node, values: &Values<'_>, of_one_type: bool) -> Inferred {
    let dtype = match of_one_type {
        true => same_type(node, values)?,
        false => Some(DataType::Float),
    };
    let shapes = [0, 1].map(|input| values.of(node, input).and_then(|it| it.shape.clone()));
    let [Some(mut a), Some(mut b)] = shapes else {
        return Ok(vec![Known { dtype, shape: None }]);
    };
    if a.len() < 2 || b.len() < 2 {
        return Ok(vec![Known { dtype, shape: None }]);
    }
    let (inner_a, columns) = (a.pop(), b.pop());
    let (rows, inner_b) = (a.pop(), b.pop());
    expect_equal(
        fixed(inner_a.as_ref()),
        fixed(inner_b.as_ref()),
        "inner extents",
    )?;
    let mut shape = broadcast(&a, &b)?;
    shape.extend([rows.flatten(), columns.flatten()]);
    let shape = Some(shape);
    Ok(vec![Known { dtype, shape }])
}

/// A product with integers in blocks, whose sizes are attributes.
fn blocks(node: &Node, values: &Values<'_>) -> Inferred {
    let first = values.of(node, 0).cloned().unwrap_or_default();
    let [inner, outer, bits, size] =
        ["K", "N", "bits", "block_size"].map(|name| integer(node, name));
    let (inner, outer) = (inner.unwrap_or(0), outer.unwrap_or(0));
    let (bits, size) = (bits.unwrap_or(4), size.unwrap_or(0));
    if inner <= 0 || outer <= 0 || size <= 0 {
        return Err(format!("K {inner}, N {outer}, block_size {size}"));
    }
    let count = (inner + size - 1) / size;
    if let Some(codes) = values.of(node, 1).and_then(|it| it.shape.as_ref()) {
        let expected = [outer, count, size * bits / 8];
        let found: Vec<_> = (0..codes.len())
            .map(|axis| fixed(codes.get(axis)))
            .collect();
        if found.len() == 3 && found != expected.map(Some) {
            return Err(format!("codes {}; expected {expected:?}", spelled(codes)));
        }
    }
    let shape = first.shape.map(|mut shape| {
        let last = shape.pop();
        (fixed(last.as_ref()), shape)
    });
    let Some((last, mut shape)) = shape else {
        return Ok(Vec::new());
    };
    expect_equal(last, Some(inner), "the width of the input and K")?;
    shape.push(Some(Extent::Value(outer)));
    Ok(vec![Known {
        dtype: first.dtype,
        shape: Some(shape),
    }])
}

/// `[n, in, h, w]` by `[out, in / group, k, k]`.
fn convolution(node: &Node, values: &Values<'_>) -> Inferred {
    let dtype = same_type(node, values)?;
    let shapes = [0, 1].map(|input| values.of(node, input).and_then(|it| it.shape.as_ref()));
    let [Some(x), Some(weight)] = shapes else {
        return Ok(vec![Known { dtype, shape: None }]);
    };
    if x.len() != 4 || weight.len() != 4 {
        return Ok(vec![Known { dtype, shape: None }]);
    }
    let groups = integer(node, "group").unwrap_or(1);
    let channels = fixed(weight.get(1)).map(|channels| channels * groups);
    expect_equal(
        fixed(x.get(1)),
        channels,
        "channels of the input and of the kernel",
    )?;
    let bias = values.of(node, 2).and_then(|it| it.shape.as_ref());
    let outputs = fixed(weight.first());
    expect_equal(
        bias.and_then(|bias| fixed(bias.first())),
        outputs,
        "channels of the bias and of the kernel",
    )?;
    let numbers = |name, absent: &[i64]| match attribute(node, name) {
        Some(it) => it.ints.clone(),
        None => absent.to_vec(),
    };
    let (strides, pads) = (numbers("strides", &[1; 2]), numbers("pads", &[0; 4]));
    let (&[sy, sx], &[top, left, bottom, right]) = (&strides[..], &pads[..]) else {
        return Ok(vec![Known { dtype, shape: None }]);
    };
    let side = |axis, before: i64, after: i64, stride: i64| {
        let (extent, kernel) = (fixed(x.get(axis))?, fixed(weight.get(axis))?);
        let steps = (extent + before + after - kernel).checked_div(stride)?;
        Some(Extent::Value(steps + 1))
    };
    let shape = vec![
        x[0].clone(),
        weight[0].clone(),
        side(2, top, bottom, sy),
        side(3, left, right, sx),
    ];
    let shape = Some(shape);
    Ok(vec![Known { dtype, shape }])
}

/// Rows of a table.
fn gathered(node: &Node, values: &Values<'_>) -> Inferred {
    let table = values.of(node, 0).cloned().unwrap_or_default();
    let indices = values.of(node, 1).and_then(|it| it.shape.clone());
    let shape = table.shape.zip(indices).map(|(table, mut shape)| {
        shape.extend(table.into_iter().skip(1));
        shape
    });
    Ok(vec![Known {
        dtype: table.dtype,
        shape,
    }])
}

fn transposed(node: &Node, first: &Known) -> Inferred {
    let (Some(shape), Some(order)) = (&first.shape, attribute(node, "perm")) else {
        return Ok(Vec::new());
    };
    let axis = |&axis: &i64| Ok(shape[resolved(axis, shape.len())?].clone());
    let turned: Result<Shape, String> = order.ints.iter().map(axis).collect();
    expect_equal(
        Some(shape.len() as i64),
        Some(order.ints.len() as i64),
        "axes of the input and of `perm`",
    )?;
    Ok(vec![Known {
        dtype: first.dtype,
        shape: Some(turned?),
    }])
}

fn joined(node: &Node, values: &Values<'_>) -> Inferred {
    let parts: Vec<_> = (0..node.input.len())
        .filter_map(|input| values.of(node, input))
        .collect();
    let shapes: Option<Vec<_>> = parts.iter().map(|it| it.shape.as_ref()).collect();
    let dtype = parts.first().and_then(|it| it.dtype);
    let Some((first, rest)) = shapes.as_ref().and_then(|shapes| shapes.split_first()) else {
        return Ok(vec![Known { dtype, shape: None }]);
    };
    let axis = resolved(integer(node, "axis").unwrap_or(0), first.len())?;
    let mut shape = (*first).clone();
    for part in rest {
        if part.len() != first.len() {
            return Err(format!("{} and {}", spelled(first), spelled(part)));
        }
        for (i, (extent, other)) in shape.iter_mut().zip(part.iter()).enumerate() {
            let (a, b) = (fixed(Some(extent)), fixed(Some(other)));
            match i == axis {
                true => *extent = a.zip(b).map(|(a, b)| Extent::Value(a + b)),
                false => expect_equal(a, b, "extents beside the axis")?,
            }
        }
    }
    let shape = Some(shape);
    Ok(vec![Known { dtype, shape }])
}

/// The shape that a constant asks for: 0 keeps an axis, −1 is what is left.
fn reshaped(node: &Node, values: &Values<'_>, first: &Known) -> Inferred {
    let (Some(request), Some(from)) = (values.integers(node, 1), &first.shape) else {
        return Ok(vec![Known {
            dtype: first.dtype,
            shape: None,
        }]);
    };
    let shape: Shape = request
        .iter()
        .enumerate()
        .map(|(i, extent)| match extent {
            0 => from.get(i).cloned().flatten(),
            -1 => None,
            _ => Some(Extent::Value(*extent)),
        })
        .collect();
    let elements =
        |shape: &Shape| -> Option<i64> { shape.iter().map(|extent| fixed(Some(extent))).product() };
    expect_equal(
        elements(from),
        elements(&shape),
        "elements before and after",
    )?;
    Ok(vec![Known {
        dtype: first.dtype,
        shape: Some(shape),
    }])
}

fn split(node: &Node, values: &Values<'_>, first: &Known) -> Inferred {
    let (Some(parts), Some(shape)) = (values.integers(node, 1), &first.shape) else {
        return Ok(Vec::new());
    };
    let axis = resolved(integer(node, "axis").unwrap_or(0), shape.len())?;
    let whole = fixed(shape.get(axis));
    expect_equal(whole, Some(parts.iter().sum()), "the axis and its parts")?;
    let part = |extent: &i64| {
        let mut shape = shape.clone();
        shape[axis] = Some(Extent::Value(*extent));
        Known {
            dtype: first.dtype,
            shape: Some(shape),
        }
    };
    Ok(parts.iter().map(part).collect())
}

fn reduced(node: &Node, values: &Values<'_>, first: &Known) -> Inferred {
    let (Some(axes), Some(shape)) = (values.integers(node, 1), &first.shape) else {
        return Ok(Vec::new());
    };
    if integer(node, "keepdims") == Some(0) {
        return Ok(Vec::new());
    }
    let mut shape = shape.clone();
    for axis in axes {
        let place = resolved(axis, shape.len())?;
        shape[place] = Some(Extent::Value(1));
    }
    Ok(vec![Known {
        dtype: first.dtype,
        shape: Some(shape),
    }])
}

/// The output, and the cache as it came in.
fn attention(node: &Node, values: &Values<'_>, first: &Known) -> Inferred {
    let past = [3, 4].map(|input| values.of(node, input).cloned().unwrap_or_default());
    let numbers = (integer(node, "num_heads"), integer(node, "kv_num_heads"));
    let (Some(heads), Some(kv_heads)) = numbers else {
        return Err("without `num_heads` or `kv_num_heads`".to_owned());
    };
    let cache = past[0].shape.as_ref();
    let found = cache.and_then(|shape| fixed(shape.get(1)));
    expect_equal(
        found,
        Some(kv_heads),
        "heads of the cache and `kv_num_heads`",
    )?;
    let packed = node.input.get(1).is_none_or(String::is_empty);
    let across = if packed { heads + 2 * kv_heads } else { heads };
    let given = first.shape.as_ref().and_then(|shape| fixed(shape.last()));
    // A cache of another exporter may not say its width; the input does.
    let width = cache.and_then(|shape| fixed(shape.get(3)));
    let width = width.or_else(|| given?.checked_div(across));
    let mut output = first.clone();
    if let (Some(shape), Some(width)) = (&mut output.shape, width) {
        expect_equal(
            fixed(shape.last()),
            Some(across * width),
            "the input and its heads",
        )?;
        shape.pop();
        shape.push(Some(Extent::Value(heads * width)));
    }
    let [key, value] = past;
    Ok(vec![output, key, value])
}

fn heads(node: &Node, values: &Values<'_>, first: &Known) -> Inferred {
    let last = |input| {
        let shape = values
            .of(node, input)
            .and_then(|it: &Known| it.shape.as_ref());
        shape.and_then(|shape| fixed(shape.last()))
    };
    expect_equal(last(0), last(1), "widths of queries and keys")?;
    Ok(vec![first.clone()])
}
