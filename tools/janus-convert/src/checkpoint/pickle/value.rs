//! What a pickle can make here: numbers, texts, containers, and descriptions of tensors.

use super::super::tensor::Dtype;

/// A value on the stack or in a container.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Global(Global),
    Object(ObjectId),
    /// Read and forgotten: floating-point numbers, bytes.
    Other(&'static str),
}

/// The place of an object in the machine's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObjectId(pub(super) u32);

/// A value with parts.
#[derive(Debug)]
pub(crate) enum Object {
    Text(Box<str>),
    Tuple(Box<[Value]>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Storage(Storage),
    Tensor(PickledTensor),
}

impl Object {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dictionary",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
        }
    }
}

/// The globals that a pickle may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildTensorV2,
    RebuildParameter,
    Storage(Dtype),
}

impl Global {
    /// Everything that is allowed, by module and name.
    pub(super) const ALLOWED: [(&str, &str, Self); 14] = [
        ("collections", "OrderedDict", Self::OrderedDict),
        ("torch._utils", "_rebuild_tensor", Self::RebuildTensor),
        ("torch._utils", "_rebuild_tensor_v2", Self::RebuildTensorV2),
        ("torch._utils", "_rebuild_parameter", Self::RebuildParameter),
        ("torch", "DoubleStorage", Self::Storage(Dtype::F64)),
        ("torch", "FloatStorage", Self::Storage(Dtype::F32)),
        ("torch", "HalfStorage", Self::Storage(Dtype::F16)),
        ("torch", "BFloat16Storage", Self::Storage(Dtype::BF16)),
        ("torch", "LongStorage", Self::Storage(Dtype::I64)),
        ("torch", "IntStorage", Self::Storage(Dtype::I32)),
        ("torch", "ShortStorage", Self::Storage(Dtype::I16)),
        ("torch", "CharStorage", Self::Storage(Dtype::I8)),
        ("torch", "ByteStorage", Self::Storage(Dtype::U8)),
        ("torch", "BoolStorage", Self::Storage(Dtype::Bool)),
    ];

    /// Globals that `torch.save` writes for tensors that are not read here.
    const UNSUPPORTED: [(&str, &str, &str); 14] = [
        ("torch._utils", "_rebuild_sparse_tensor", "sparse tensors"),
        (
            "torch._utils",
            "_rebuild_sparse_csr_tensor",
            "sparse tensors",
        ),
        ("torch._utils", "_rebuild_qtensor", "quantized tensors"),
        ("torch._utils", "_rebuild_nested_tensor", "nested tensors"),
        (
            "torch._utils",
            "_rebuild_meta_tensor_no_storage",
            "tensors without values",
        ),
        (
            "torch._utils",
            "_rebuild_wrapper_subclass",
            "tensors of a class of their own",
        ),
        (
            "torch._tensor",
            "_rebuild_from_type_v2",
            "tensors of a class of their own",
        ),
        (
            "torch._utils",
            "_rebuild_tensor_v3",
            "tensors of a type without a storage class, such as float8",
        ),
        ("torch.storage", "UntypedStorage", "storages without a type"),
        ("torch", "ComplexFloatStorage", "complex numbers"),
        ("torch", "ComplexDoubleStorage", "complex numbers"),
        ("torch", "QInt8Storage", "quantized numbers"),
        ("torch", "QUInt8Storage", "quantized numbers"),
        ("torch", "QInt32Storage", "quantized numbers"),
    ];

    pub(super) fn allowed(module: &str, name: &str) -> Option<Self> {
        let found = Self::ALLOWED
            .iter()
            .find(|(m, n, _)| *m == module && *n == name);
        found.map(|(.., global)| *global)
    }

    /// What the global stands for, if it stands for something harmless that is not read.
    pub(super) fn unsupported(module: &str, name: &str) -> Option<&'static str> {
        let found = Self::UNSUPPORTED
            .iter()
            .find(|(m, n, _)| *m == module && *n == name);
        found.map(|(.., what)| *what)
    }

    pub(super) fn name(self) -> &'static str {
        let known = Self::ALLOWED.iter().find(|(.., global)| *global == self);
        known.map_or("", |(_, name, _)| name)
    }
}

/// Values in an entry of their own, shared by the tensors that view them. Nothing here is checked yet.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    pub(crate) dtype: Dtype,
    pub(crate) key: Box<str>,
    pub(crate) len: i64,
}

/// A view of a storage. Nothing here is checked yet.
#[derive(Debug, Clone)]
pub(crate) struct PickledTensor {
    pub(crate) storage: Storage,
    pub(crate) offset: i64,
    pub(crate) shape: Vec<i64>,
    pub(crate) strides: Vec<i64>,
}
