//! Requests of which it is not known whether they were carried out: the connection broke, or the caller stopped waiting, before the
//! answer came.
//!
//! Each request that must not be done twice has a random number, which the script notes with what it does. When the caller repeats
//! a call whose last outcome is unknown, the number is the same again, and the script answers as it did. So a repetition within this
//! process is harmless, and a second call by somebody who has had an answer is still what the rules make of it. After the process
//! has ended nobody has the token any more, and the lease runs out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

/// More than one process can have under way; beyond it the oldest are as good as any to forget.
const MOST: usize = 100_000;

/// What tells one call from another: the operation and what it is about.
type Call = (&'static str, Vec<u8>);

/// The calls whose outcome is unknown.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<Call, [u8; 16]>>);

/// One call under way. Unless it is [answered](Self::answered), its outcome is unknown.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    all: &'a Attempts,
    call: Option<Call>,
    number: [u8; 16],
    again: bool,
}

impl Attempts {
    fn calls(&self) -> MutexGuard<'_, HashMap<Call, [u8; 16]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, operation: &'static str, about: Vec<u8>) -> Attempt<'_> {
        let call = (operation, about);
        let before = self.calls().remove(&call);
        Attempt {
            all: self,
            call: Some(call),
            number: before.unwrap_or_else(|| *Uuid::new_v4().as_bytes()),
            again: before.is_some(),
        }
    }
}

impl Attempt<'_> {
    pub(super) fn number(&self) -> [u8; 16] {
        self.number
    }

    /// Whether it repeats one whose outcome is unknown.
    pub(super) fn again(&self) -> bool {
        self.again
    }

    pub(super) fn answered(mut self) {
        self.call = None;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            let mut calls = self.all.calls();
            if calls.len() >= MOST {
                calls.clear();
            }
            calls.insert(call, self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_answered_is_repeated() {
        let all = Attempts::default();
        let first = all.begin("a", vec![1]);
        let number = first.number();
        drop(first);
        assert!(!all.begin("b", vec![1]).again());
        let second = all.begin("a", vec![1]);
        assert!(second.again() && second.number() == number);
        drop(second);
        let third = all.begin("a", vec![1]);
        assert!(third.again());
        third.answered();
        let fourth = all.begin("a", vec![1]);
        assert!(!fourth.again() && fourth.number() != number);
    }
}
