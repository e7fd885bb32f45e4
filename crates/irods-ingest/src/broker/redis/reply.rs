//! Values from Redis, none of which is trusted.

use redis::Value;

use super::fault::{Fault, Tried};
use crate::broker::{BrokerError, InUse, JobId, WorkerId};

/// The bits of a [`TaskId`](crate::broker::TaskId) that number the task within its job; the job's number is above them.
pub(super) const TASK_BITS: u32 = 40;

/// The values of an answer, taken in order.
#[derive(Debug)]
pub(super) struct Fields(std::vec::IntoIter<Value>);

fn wrong(value: &Value) -> Fault {
    let kind = match value {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) => "a string",
        Value::Array(_) => "a list",
        _ => "something else",
    };
    Fault::corrupt(format!("{kind} where another kind of value is due"))
}

impl Fields {
    /// What a script answers, its refusals as errors.
    pub(super) fn of_script(value: Value) -> Tried<Self> {
        let mut fields = Self::of(value)?;
        let refusal = match fields.text()?.as_str() {
            "ok" => return Ok(fields),
            "stale" => {
                let (job, number) = (fields.uint()?, fields.uint()?);
                BrokerError::Stale {
                    task: job << TASK_BITS | number,
                }
            }
            "unknown" => BrokerError::UnknownJob {
                job: fields.text()?,
            },
            "in_use" => {
                let (name, why, owner) = (fields.text()?, fields.text()?, fields.text()?);
                let why = match why.as_str() {
                    "different" => InUse::Different,
                    "stopping" => InUse::Stopping,
                    _ => InUse::Owned(WorkerId(owner)),
                };
                BrokerError::NameInUse { name, why }
            }
            "not_ended" => BrokerError::NotEnded {
                name: fields.text()?,
            },
            "stopping" => BrokerError::Stopping {
                name: fields.text()?,
            },
            other => return Err(Fault::corrupt(format!("no such answer: {other:?}"))),
        };
        Err(refusal.into())
    }

    pub(super) fn of(value: Value) -> Tried<Self> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            Value::Map(pairs) => {
                let values: Vec<_> = pairs.into_iter().flat_map(|(k, v)| [k, v]).collect();
                Ok(Self(values.into_iter()))
            }
            other => Err(wrong(&other)),
        }
    }

    /// Whether all have been taken.
    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    fn next(&mut self) -> Tried<Value> {
        self.0
            .next()
            .ok_or_else(|| Fault::corrupt("an answer that is too short"))
    }

    pub(super) fn list(&mut self) -> Tried<Self> {
        Self::of(self.next()?)
    }

    /// A list, or none.
    pub(super) fn maybe_list(&mut self) -> Tried<Option<Self>> {
        match self.next()? {
            Value::Nil => Ok(None),
            value => Self::of(value).map(Some),
        }
    }

    fn maybe_bytes(&mut self) -> Tried<Option<Vec<u8>>> {
        match self.next()? {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => Ok(Some(bytes)),
            Value::SimpleString(text) => Ok(Some(text.into_bytes())),
            Value::Int(number) => Ok(Some(number.to_string().into_bytes())),
            other => Err(wrong(&other)),
        }
    }

    pub(super) fn maybe_text(&mut self) -> Tried<Option<String>> {
        self.maybe_bytes()?
            .map(|bytes| {
                String::from_utf8(bytes).map_err(|_| Fault::corrupt("a text that is not UTF-8"))
            })
            .transpose()
    }

    pub(super) fn maybe_uint(&mut self) -> Tried<Option<u64>> {
        self.maybe_text()?.as_deref().map(number).transpose()
    }

    /// Bytes, within the limit that they were written under.
    pub(super) fn bytes(&mut self, limit: usize) -> Tried<Vec<u8>> {
        let bytes = self.maybe_bytes()?.ok_or_else(|| wrong(&Value::Nil))?;
        if bytes.len() > limit {
            let length = bytes.len();
            return Err(Fault::corrupt(format!(
                "{length} bytes where the limit is {limit}"
            )));
        }
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Tried<String> {
        self.maybe_text()?.ok_or_else(|| wrong(&Value::Nil))
    }

    pub(super) fn uint(&mut self) -> Tried<u64> {
        self.maybe_uint()?.ok_or_else(|| wrong(&Value::Nil))
    }

    pub(super) fn maybe_small(&mut self) -> Tried<Option<u32>> {
        let small = |number| {
            u32::try_from(number).map_err(|_| Fault::corrupt("a number that is too large"))
        };
        self.maybe_uint()?.map(small).transpose()
    }

    pub(super) fn small(&mut self) -> Tried<u32> {
        u32::try_from(self.uint()?).map_err(|_| Fault::corrupt("a number that is too large"))
    }

    pub(super) fn job(&mut self) -> Tried<JobId> {
        self.uint().map(JobId)
    }
}

/// A number that is never negative.
pub(super) fn number(text: &str) -> Tried<u64> {
    text.parse()
        .map_err(|_| Fault::corrupt(format!("{text:?} where a number is due")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_answer_is_an_error() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        for value in [
            Value::Nil,
            Value::Okay,
            Value::Array(vec![]),
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![text("what")]),
            Value::Array(vec![text("stale"), text("-1"), text("2")]),
            Value::Array(vec![text("unknown")]),
            Value::Array(vec![Value::BulkString(vec![0xff])]),
        ] {
            assert!(matches!(Fields::of_script(value), Err(Fault::Corrupt(_))));
        }
    }
}
