//! The stack of the machine.

use super::super::limits;
use super::error::PickleProblem;
use super::value::Value;

type Result<T> = std::result::Result<T, PickleProblem>;

/// Values, and marks between them below which no opcode reaches but those that take the mark away.
#[derive(Debug, Default)]
pub(super) struct Stack {
    values: Vec<Value>,
    /// Heights at which a mark was set.
    marks: Vec<usize>,
    /// Values and marks that were put here so far.
    pushed: usize,
}

impl Stack {
    pub(super) fn push(&mut self, value: Value) -> Result<()> {
        self.count()?;
        self.values.push(value);
        Ok(())
    }

    /// The value on top.
    pub(super) fn top(&self) -> Result<Value> {
        self.values[self.floor()..]
            .last()
            .copied()
            .ok_or(PickleProblem::Underflow)
    }

    pub(super) fn pop(&mut self) -> Result<Value> {
        let value = self.top()?;
        self.values.pop();
        Ok(value)
    }

    pub(super) fn mark(&mut self) -> Result<()> {
        self.count()?;
        self.marks.push(self.values.len());
        Ok(())
    }

    /// All values above the last mark, which goes with them.
    pub(super) fn pop_to_mark(&mut self) -> Result<Vec<Value>> {
        let floor = self.marks.pop().ok_or(PickleProblem::NoMark)?;
        Ok(self.values.split_off(floor))
    }

    /// Drops what came last.
    pub(super) fn pop_value_or_mark(&mut self) -> Result<()> {
        if self.marks.last() == Some(&self.values.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn count(&mut self) -> Result<()> {
        self.pushed += 1;
        if self.pushed > limits::VALUES {
            Err(PickleProblem::VALUES)
        } else {
            Ok(())
        }
    }

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }
}
