//! The two choices a job makes, [`Operation`] and [`DeleteMode`], and which of them go together.
//!
//! Names and numbers are those of existing event handlers and job descriptions; they do not change.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::source::Links;

/// What is done with an entry that is new or changed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Operation {
    /// Register in place; keep size and modification time in the catalog in step.
    #[default]
    RegisterSync = 0,
    /// Register in place as a further replica of an object that may exist already.
    RegisterAsReplicaSync = 1,
    /// Upload what does not exist; never touch what does.
    Put = 2,
    /// Upload; upload again what changed.
    PutSync = 3,
    /// Upload; of what grew, upload the new end.
    PutAppend = 4,
    /// Call the hooks, do nothing.
    NoOp = 5,
}

/// What is done with a name of the catalog that is gone from the source.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeleteMode {
    /// Nothing.
    #[default]
    DoNotDelete = 0,
    /// Take it out of the catalog, leave the bytes.
    Unregister = 1,
    /// Move it to the trash collection.
    Trash = 2,
    /// Remove it for good.
    NoTrash = 3,
}

impl Operation {
    /// All operations, by number.
    pub const ALL: [Self; 6] = [
        Self::RegisterSync,
        Self::RegisterAsReplicaSync,
        Self::Put,
        Self::PutSync,
        Self::PutAppend,
        Self::NoOp,
    ];

    /// The name as handlers and the command line spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RegisterSync => "REGISTER_SYNC",
            Self::RegisterAsReplicaSync => "REGISTER_AS_REPLICA_SYNC",
            Self::Put => "PUT",
            Self::PutSync => "PUT_SYNC",
            Self::PutAppend => "PUT_APPEND",
            Self::NoOp => "NO_OP",
        }
    }

    /// The number as handlers know it.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The operation reads the file's content and stores it in a vault.
    pub fn uploads(self) -> bool {
        matches!(self, Self::Put | Self::PutSync | Self::PutAppend)
    }

    /// The operation registers the file where it is.
    pub fn registers(self) -> bool {
        matches!(self, Self::RegisterSync | Self::RegisterAsReplicaSync)
    }

    /// Whose size and times count where an entry is a symbolic link: uploading one uploads what it leads to.
    pub fn links(self) -> Links {
        match self.uploads() {
            true => Links::Content,
            false => Links::Themselves,
        }
    }

    /// Whether this operation and that delete mode may be used together.
    ///
    /// What was registered is only ever unregistered (its bytes belong to the source); what was uploaded is trashed or
    /// removed; PUT and NO_OP keep nothing in step, so they delete nothing.
    pub fn allows(self, mode: DeleteMode) -> bool {
        match mode {
            DeleteMode::DoNotDelete => true,
            DeleteMode::Unregister => self.registers(),
            DeleteMode::Trash | DeleteMode::NoTrash => {
                matches!(self, Self::PutSync | Self::PutAppend)
            }
        }
    }
}

impl DeleteMode {
    /// All delete modes, by number.
    pub const ALL: [Self; 4] = [
        Self::DoNotDelete,
        Self::Unregister,
        Self::Trash,
        Self::NoTrash,
    ];

    /// The name as handlers and the command line spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::DoNotDelete => "DO_NOT_DELETE",
            Self::Unregister => "UNREGISTER",
            Self::Trash => "TRASH",
            Self::NoTrash => "NO_TRASH",
        }
    }

    /// The number as handlers know it.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// An operation and a delete mode that do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("operation [Operation.{operation}] and delete_mode [DeleteMode.{mode}] are incompatible.")]
pub struct Incompatible {
    /// The operation.
    pub operation: Operation,
    /// The delete mode.
    pub mode: DeleteMode,
}

/// Checks the pair with [`Operation::allows`].
pub fn check_compatible(operation: Operation, mode: DeleteMode) -> Result<(), Incompatible> {
    match operation.allows(mode) {
        true => Ok(()),
        false => Err(Incompatible { operation, mode }),
    }
}

/// A word that names no operation or delete mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{given}`; one of {accepted} is accepted")]
pub struct UnknownName {
    what: &'static str,
    given: String,
    accepted: String,
}

impl FromStr for Operation {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.name() == text)
            .ok_or_else(|| UnknownName {
                what: "operation",
                given: text.to_owned(),
                accepted: Self::ALL.map(Self::name).join(", "),
            })
    }
}

impl FromStr for DeleteMode {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| UnknownName {
                what: "delete mode",
                given: text.to_owned(),
                accepted: Self::ALL.map(Self::name).join(", "),
            })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for DeleteMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn names_and_numbers_are_those_that_handlers_use() {
        for (number, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(operation.number()), number);
            assert_eq!(operation.name().parse::<Operation>().unwrap(), operation);
            let json = serde_json::to_string(&operation).unwrap();
            assert_eq!(json, format!("\"{operation}\""));
        }
        for (number, mode) in DeleteMode::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(mode.number()), number);
            assert_eq!(mode.name().parse::<DeleteMode>().unwrap(), mode);
            let json = serde_json::to_string(&mode).unwrap();
            assert_eq!(json, format!("\"{mode}\""));
        }
        assert_eq!(Operation::default(), Operation::RegisterSync);
        let error = "put".parse::<Operation>().unwrap_err().to_string();
        assert!(
            error.contains("`put`") && error.contains("PUT_APPEND"),
            "{error}"
        );
    }

    #[test]
    fn the_compatibility_matrix() {
        use DeleteMode::{DoNotDelete, NoTrash, Trash, Unregister};
        use Operation::{NoOp, Put, PutAppend, PutSync, RegisterAsReplicaSync, RegisterSync};
        let allowed: &[(Operation, &[DeleteMode])] = &[
            (NoOp, &[DoNotDelete]),
            (RegisterSync, &[DoNotDelete, Unregister]),
            (RegisterAsReplicaSync, &[DoNotDelete, Unregister]),
            (Put, &[DoNotDelete]),
            (PutSync, &[DoNotDelete, Trash, NoTrash]),
            (PutAppend, &[DoNotDelete, Trash, NoTrash]),
        ];
        for (operation, modes) in allowed {
            for mode in DeleteMode::ALL {
                assert_eq!(
                    operation.allows(mode),
                    modes.contains(&mode),
                    "{operation} {mode}"
                );
            }
        }
        assert_eq!(
            check_compatible(Put, Trash).unwrap_err().to_string(),
            "operation [Operation.PUT] and delete_mode [DeleteMode.TRASH] are incompatible."
        );
    }
}
