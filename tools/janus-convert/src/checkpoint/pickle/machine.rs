//! The machine that carries out a pickle's opcodes.

use std::collections::BTreeMap;

use super::super::limits;
use super::error::{PickleError, PickleProblem};
use super::objects::Objects;
use super::opcode::{self, *};
use super::reader::Reader;
use super::stack::Stack;
use super::value::{Global, Object, PickledTensor, Storage, Value};

type Result<T> = std::result::Result<T, PickleProblem>;

/// Everything a pickle made, and the one value it stands for.
#[derive(Debug)]
pub(crate) struct Pickled {
    pub(crate) objects: Objects,
    pub(crate) value: Value,
}

impl Pickled {
    /// Carries out `bytes`, which must be one pickle and nothing after it.
    pub(crate) fn read(bytes: &[u8]) -> std::result::Result<Self, PickleError> {
        let mut machine = Machine::new(bytes);
        loop {
            let offset = machine.reader.position();
            match machine.step() {
                Ok(None) => {}
                Ok(Some(value)) => {
                    return Ok(Self {
                        objects: machine.objects,
                        value,
                    });
                }
                Err(problem) => return Err(PickleError { offset, problem }),
            }
        }
    }
}

struct Machine<'a> {
    reader: Reader<'a>,
    stack: Stack,
    memo: BTreeMap<u32, Value>,
    objects: Objects,
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(bytes),
            stack: Stack::default(),
            memo: BTreeMap::new(),
            objects: Objects::default(),
        }
    }

    /// Carries out one opcode; returns the value of the pickle after the last.
    fn step(&mut self) -> Result<Option<Value>> {
        let opcode = self.reader.u8()?;
        match opcode {
            PROTO | FRAME => self.frame(opcode)?,
            STOP => return self.stop().map(Some),
            MARK | POP | POP_MARK | DUP => self.rearrange(opcode)?,
            PUT | BINPUT | LONG_BINPUT | MEMOIZE => self.put(opcode)?,
            GET | BINGET | LONG_BINGET => self.get(opcode)?,
            APPEND | APPENDS | SETITEM | SETITEMS | BUILD => self.add_to_container(opcode)?,
            EMPTY_TUPLE | TUPLE | TUPLE1 | TUPLE2 | TUPLE3 | EMPTY_LIST | LIST | EMPTY_DICT
            | DICT => {
                let container = self.container(opcode)?;
                self.push_object(container)?;
            }
            STRING | BINSTRING | SHORT_BINSTRING | UNICODE | BINUNICODE | SHORT_BINUNICODE
            | BINUNICODE8 => {
                let text = self.text(opcode)?;
                self.push_object(Object::Text(text.into()))?;
            }
            GLOBAL | STACK_GLOBAL => self.global(opcode)?,
            REDUCE => self.reduce()?,
            BINPERSID => self.storage()?,
            NONE | NEWTRUE | NEWFALSE | INT | LONG | BININT | BININT1 | BININT2 | LONG1 | LONG4
            | FLOAT | BINFLOAT | BINBYTES | SHORT_BINBYTES | BINBYTES8 | BYTEARRAY8 => {
                let value = self.scalar(opcode)?;
                self.stack.push(value)?;
            }
            other => return Err(opcode::refusal(other)),
        }
        Ok(None)
    }

    fn frame(&mut self, opcode: u8) -> Result<()> {
        if opcode == PROTO {
            let version = self.reader.u8()?;
            return if version <= 5 {
                Ok(())
            } else {
                Err(PickleProblem::Protocol { version })
            };
        }
        let length = self.reader.length8()?;
        if length <= self.reader.remaining() {
            Ok(())
        } else {
            Err(PickleProblem::Truncated)
        }
    }

    fn stop(&mut self) -> Result<Value> {
        let value = self.stack.pop()?;
        match self.reader.remaining() {
            0 => Ok(value),
            count => Err(PickleProblem::Trailing { count }),
        }
    }

    fn rearrange(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            MARK => self.stack.mark(),
            POP => self.stack.pop_value_or_mark(),
            POP_MARK => self.stack.pop_to_mark().map(drop),
            _ => self.stack.push(self.stack.top()?),
        }
    }

    fn put(&mut self, opcode: u8) -> Result<()> {
        let index = match opcode {
            PUT => parse(self.reader.line()?)?,
            BINPUT => self.reader.u8()?.into(),
            LONG_BINPUT => self.reader.u32()?,
            _ => self.memo.len() as u32,
        };
        let top = self.stack.top()?;
        self.memo.insert(index, top);
        if self.memo.len() > limits::MEMO {
            Err(PickleProblem::MEMO)
        } else {
            Ok(())
        }
    }

    fn get(&mut self, opcode: u8) -> Result<()> {
        let index = match opcode {
            GET => parse(self.reader.line()?)?,
            BINGET => self.reader.u8()?.into(),
            _ => self.reader.u32()?,
        };
        let value = self
            .memo
            .get(&index)
            .copied()
            .ok_or(PickleProblem::NoMemo { index })?;
        self.stack.push(value)
    }

    fn scalar(&mut self, opcode: u8) -> Result<Value> {
        let reader = &mut self.reader;
        Ok(match opcode {
            NONE => Value::None,
            NEWTRUE => Value::Bool(true),
            NEWFALSE => Value::Bool(false),
            // How protocols before 2 spell the two truth values.
            INT => match reader.line()? {
                "01" => Value::Bool(true),
                "00" => Value::Bool(false),
                number => Value::Int(parse(number)?),
            },
            LONG => {
                let line = reader.line()?;
                Value::Int(parse(line.strip_suffix('L').unwrap_or(line))?)
            }
            BININT => Value::Int(reader.i32()?.into()),
            BININT1 => Value::Int(reader.u8()?.into()),
            BININT2 => Value::Int(reader.u16()?.into()),
            LONG1 => {
                let length = reader.u8()?;
                Value::Int(reader.long(length.into())?)
            }
            LONG4 => {
                let length = usize::try_from(reader.i32()?).map_err(|_| PickleProblem::Number)?;
                Value::Int(reader.long(length)?)
            }
            FLOAT => {
                parse::<f64>(reader.line()?)?;
                Value::Other("a floating-point number")
            }
            BINFLOAT => {
                reader.take(size_of::<f64>())?;
                Value::Other("a floating-point number")
            }
            bytes => {
                let length = match bytes {
                    SHORT_BINBYTES => reader.u8()?.into(),
                    BINBYTES => reader.length4()?,
                    _ => reader.length8()?,
                };
                reader.take(length)?;
                Value::Other("a string of bytes")
            }
        })
    }

    fn text(&mut self, opcode: u8) -> Result<&'a str> {
        let reader = &mut self.reader;
        let length = match opcode {
            STRING => return unquoted(reader.line()?),
            UNICODE => return reader.line(),
            SHORT_BINSTRING | SHORT_BINUNICODE => reader.u8()?.into(),
            BINSTRING | BINUNICODE => reader.length4()?,
            _ => reader.length8()?,
        };
        reader.text(length)
    }

    fn container(&mut self, opcode: u8) -> Result<Object> {
        Ok(match opcode {
            EMPTY_TUPLE => Object::Tuple(Box::default()),
            EMPTY_LIST => Object::List(Vec::new()),
            EMPTY_DICT => Object::Dict(Vec::new()),
            TUPLE => Object::Tuple(self.stack.pop_to_mark()?.into()),
            LIST => Object::List(self.stack.pop_to_mark()?),
            DICT => Object::Dict(pairs(&self.stack.pop_to_mark()?)?),
            tuple => {
                let mut values = vec![Value::None; usize::from(tuple - TUPLE1) + 1];
                for value in values.iter_mut().rev() {
                    *value = self.stack.pop()?;
                }
                Object::Tuple(values.into())
            }
        })
    }

    fn add_to_container(&mut self, opcode: u8) -> Result<()> {
        let added = match opcode {
            APPEND | BUILD => vec![self.stack.pop()?],
            SETITEM => {
                let value = self.stack.pop()?;
                vec![self.stack.pop()?, value]
            }
            _ => self.stack.pop_to_mark()?,
        };
        let target = self.stack.top()?;
        match opcode {
            APPEND | APPENDS => match self.objects.get_mut(target) {
                Some(Object::List(list)) => list.extend(added),
                _ => return Err(self.objects.not("a list", target)),
            },
            SETITEM | SETITEMS => match self.objects.get_mut(target) {
                Some(Object::Dict(dict)) => dict.extend(pairs(&added)?),
                _ => return Err(self.objects.not("a dictionary", target)),
            },
            // A `state_dict` carries the versions of its modules as an attribute, of which nothing is needed here.
            _ => {
                for value in [target, added[0]] {
                    if !matches!(self.objects.get(value), Some(Object::Dict(_))) {
                        return Err(self.objects.not("a dictionary", value));
                    }
                }
            }
        }
        Ok(())
    }

    fn global(&mut self, opcode: u8) -> Result<()> {
        let (module, name);
        if opcode == GLOBAL {
            (module, name) = (
                self.reader.line()?.to_owned(),
                self.reader.line()?.to_owned(),
            );
        } else {
            let last = self.stack.pop()?;
            let first = self.stack.pop()?;
            (module, name) = (
                self.objects.as_text(first)?.to_owned(),
                self.objects.as_text(last)?.to_owned(),
            );
        }
        match Global::allowed(&module, &name) {
            Some(global) => self.stack.push(Value::Global(global)),
            None => {
                let global = format!("{module}.{name}");
                Err(match Global::unsupported(&module, &name) {
                    Some(what) => PickleProblem::UnsupportedGlobal { global, what },
                    None => PickleProblem::ForbiddenGlobal { global },
                })
            }
        }
    }

    /// Calls a global, which is to say: makes the one object that it stands for.
    fn reduce(&mut self) -> Result<()> {
        let arguments = self.stack.pop()?;
        let function = self.stack.pop()?;
        let Value::Global(global) = function else {
            return Err(self.objects.not("a global", function));
        };
        let arguments = self.objects.as_tuple(arguments)?;
        let expected = match (global, arguments) {
            (Global::OrderedDict, []) => return self.push_object(Object::Dict(Vec::new())),
            (Global::RebuildTensor, [storage, offset, shape, strides])
            | (
                Global::RebuildTensorV2,
                [storage, offset, shape, strides, _, _]
                | [storage, offset, shape, strides, _, _, _],
            ) => {
                let tensor = self.tensor([*storage, *offset, *shape, *strides])?;
                return self.push_object(Object::Tensor(tensor));
            }
            (Global::RebuildParameter, [tensor, _, _]) => {
                let tensor = *tensor;
                if !matches!(self.objects.get(tensor), Some(Object::Tensor(_))) {
                    return Err(self.objects.not("a tensor", tensor));
                }
                return self.stack.push(tensor);
            }
            (Global::Storage(_), _) => return Err(self.objects.not("a function", function)),
            (Global::OrderedDict, _) => "no",
            (Global::RebuildTensor, _) => "4",
            (Global::RebuildTensorV2, _) => "6 or 7",
            (Global::RebuildParameter, _) => "3",
        };
        Err(PickleProblem::Arguments {
            function: global.name(),
            expected,
            found: arguments.len(),
        })
    }

    fn tensor(&self, [storage, offset, shape, strides]: [Value; 4]) -> Result<PickledTensor> {
        let Some(Object::Storage(stored)) = self.objects.get(storage) else {
            return Err(self.objects.not("a storage", storage));
        };
        Ok(PickledTensor {
            storage: stored.clone(),
            offset: self.objects.as_int(offset)?,
            shape: self.objects.as_ints(shape)?,
            strides: self.objects.as_ints(strides)?,
        })
    }

    /// A storage, which a pickle refers to as `("storage", type, key, device, length)`.
    fn storage(&mut self) -> Result<()> {
        let reference = self.stack.pop()?;
        let parts = self.objects.as_tuple(reference)?;
        let [tag, class, key, device, len] = *parts else {
            let (function, found) = ("storage", parts.len());
            return Err(PickleProblem::Arguments {
                function,
                expected: "5",
                found,
            });
        };
        if self.objects.as_text(tag)? != "storage" {
            return Err(self.objects.not("the word `storage`", tag));
        }
        let Value::Global(Global::Storage(dtype)) = class else {
            return Err(self.objects.not("a storage class", class));
        };
        self.objects.as_text(device)?;
        let storage = Storage {
            dtype,
            key: self.objects.as_text(key)?.into(),
            len: self.objects.as_int(len)?,
        };
        self.push_object(Object::Storage(storage))
    }

    fn push_object(&mut self, object: Object) -> Result<()> {
        let value = self.objects.add(object)?;
        self.stack.push(value)
    }
}

fn pairs(values: &[Value]) -> Result<Vec<(Value, Value)>> {
    let (pairs, rest) = values.as_chunks();
    if !rest.is_empty() {
        return Err(PickleProblem::Underflow);
    }
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

fn parse<T: std::str::FromStr>(number: &str) -> Result<T> {
    number.parse().map_err(|_| PickleProblem::Number)
}

/// The text between the quotes that protocol 0 puts around it.
fn unquoted(line: &str) -> Result<&str> {
    let inner = |quote| line.strip_prefix(quote)?.strip_suffix(quote);
    inner('\'')
        .or_else(|| inner('"'))
        .ok_or(PickleProblem::Text)
}
