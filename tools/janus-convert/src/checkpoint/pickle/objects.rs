//! The containers, texts and tensors that a pickle made.
//!
//! They live in one list and are referred to by their place in it. So a container that holds itself is no cycle of
//! owners, and a million nested tuples are dropped without a million nested calls.

use super::super::limits;
use super::error::PickleProblem;
use super::value::{Object, ObjectId, Value};

type Result<T> = std::result::Result<T, PickleProblem>;

/// All objects of a pickle.
#[derive(Debug, Default)]
pub(crate) struct Objects(Vec<Object>);

impl Objects {
    pub(super) fn add(&mut self, object: Object) -> Result<Value> {
        if self.0.len() == limits::OBJECTS {
            return Err(PickleProblem::OBJECTS);
        }
        let id = ObjectId(self.0.len() as u32);
        self.0.push(object);
        Ok(Value::Object(id))
    }

    /// The object that a value refers to, if it refers to one.
    pub(crate) fn get(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(ObjectId(id)) => self.0.get(id as usize),
            _ => None,
        }
    }

    pub(super) fn get_mut(&mut self, value: Value) -> Option<&mut Object> {
        match value {
            Value::Object(ObjectId(id)) => self.0.get_mut(id as usize),
            _ => None,
        }
    }

    /// What a value is, for messages.
    pub(crate) fn kind(&self, value: Value) -> &'static str {
        match value {
            Value::None => "`None`",
            Value::Bool(_) => "a truth value",
            Value::Int(_) => "an integer",
            Value::Global(_) => "a global",
            Value::Other(kind) => kind,
            Value::Object(_) => self.get(value).map_or("something unknown", Object::kind),
        }
    }

    pub(super) fn as_text(&self, value: Value) -> Result<&str> {
        match self.get(value) {
            Some(Object::Text(text)) => Ok(text),
            _ => Err(self.not("a text", value)),
        }
    }

    pub(super) fn as_tuple(&self, value: Value) -> Result<&[Value]> {
        match self.get(value) {
            Some(Object::Tuple(values)) => Ok(values),
            _ => Err(self.not("a tuple", value)),
        }
    }

    pub(super) fn as_int(&self, value: Value) -> Result<i64> {
        match value {
            Value::Int(number) => Ok(number),
            _ => Err(self.not("an integer", value)),
        }
    }

    pub(super) fn as_ints(&self, value: Value) -> Result<Vec<i64>> {
        let values = self.as_tuple(value)?;
        if values.len() > limits::RANK {
            return Err(PickleProblem::RANK);
        }
        values.iter().map(|value| self.as_int(*value)).collect()
    }

    pub(super) fn not(&self, expected: &'static str, found: Value) -> PickleProblem {
        PickleProblem::Kind {
            expected,
            found: self.kind(found),
        }
    }
}
