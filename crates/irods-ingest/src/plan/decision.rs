//! What can be decided: [`Decision`], its parts, and their words in tables, dry runs and the ledger.

use std::fmt;

use crate::source::EntryKind;

/// What is to happen to one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Do this, with the hooks of this event around it.
    Act {
        /// Whose pre and post hooks run.
        event: Event,
        /// What is done between them.
        effect: Effect,
    },
    /// No event, no call. Unless the reason says otherwise the entry is done with, and its signature is stored.
    Skip(Reason),
    /// Ask the catalog, then decide again.
    Look,
    /// Compare the checksums (computed by the server where the object has none), then decide again.
    CompareChecksums,
    /// It must not or cannot be done: an entry in the ledger.
    Refuse(Refusal),
}

/// Which pair of hooks runs around an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The data object or collection comes to be.
    Create,
    /// It exists and its source changed.
    Modify,
}

/// What is done in the zone. Parents that turn out to be missing are created first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// Create the collection; it existing already is an error that leads to deciding again.
    CreateCollection,
    /// Register a new data object; must fail if the name is taken.
    Register,
    /// Register one more replica of an existing data object.
    RegisterReplica,
    /// Set size and modification time of this one replica, and its status to good.
    UpdateReplica {
        /// Replica number.
        number: u32,
    },
    /// Upload; must fail if the name is taken. (A streamed put truncates: it must know first that the name is free.)
    PutNew,
    /// Upload over whatever object is there, or make it.
    PutOver,
    /// Write the file's bytes from this offset on to the end of the object, whose size it is.
    Append {
        /// Offset in bytes.
        from: u64,
    },
}

/// Why nothing is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It is as it was when it was last applied.
    Unchanged,
    /// The object is there already and equal.
    AlreadyEqual,
    /// PUT, and the object exists: it is left alone, whatever it holds.
    Exists,
    /// NO_OP without a hook.
    NoOp,
}

/// Why an entry is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A file, where the zone has a collection.
    FileOverCollection,
    /// A directory, where the zone has a data object.
    DirectoryOverDataObject,
    /// Sockets, pipes and devices have no content to upload.
    NotUploadable(EntryKind),
    /// No replica is registered under this physical path (on this resource).
    WrongResourceOrPath,
    /// A replica under another physical path is on this resource already.
    OtherReplicaOnResource,
    /// A replica needs a resource.
    NoResource,
    /// An upload, and the object is registered from this very file, or another of the source.
    OwnSource,
    /// The object is locked or being written.
    Busy,
    /// PUT_APPEND, and the file is shorter than the object.
    ShorterThanObject,
    /// PUT_APPEND, and the object is not the beginning of the file.
    Diverged,
}

impl Refusal {
    /// It may well work later, so a retry makes sense.
    pub fn is_transient(self) -> bool {
        self == Self::Busy
    }

    /// The message for the ledger. `path` is the source's, `target` the logical path.
    pub fn describe(self, path: &[u8], target: &str) -> String {
        let path = bstr::BStr::new(path);
        match self {
            Self::FileOverCollection => {
                format!("sync: cannot sync file {path} to collection {target}")
            }
            Self::DirectoryOverDataObject => {
                format!("sync: cannot sync directory {path} to data object {target}")
            }
            Self::NotUploadable(kind) => {
                format!(
                    "cannot upload {path} to {target}: a {} has no content",
                    kind.word()
                )
            }
            Self::WrongResourceOrPath => format!(
                "wrong resource or path: no replica of {target} that was asked for is registered as {path}"
            ),
            Self::OtherReplicaOnResource => format!(
                "wrong resource or path: the resource already holds a replica of {target} that is not {path}"
            ),
            Self::NoResource => {
                format!("no resource name defined: cannot register {path} as a replica of {target}")
            }
            Self::OwnSource => format!(
                "cannot upload {path} to {target}: that is registered from a file of this source, which would be written over"
            ),
            Self::Busy => {
                format!("cannot update {target} from {path}: it is locked or being written")
            }
            Self::ShorterThanObject => {
                format!("cannot append {path} to {target}: the file is shorter than the object")
            }
            Self::Diverged => format!(
                "cannot append {path} to {target}: sizes are equal, checksums are not: it changed in place"
            ),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Act { event, effect } => {
                let event = match event {
                    Event::Create => "create",
                    Event::Modify => "modify",
                };
                write!(f, "{event}: {effect}")
            }
            Self::Skip(reason) => write!(f, "skip ({reason})"),
            Self::Look => f.write_str("look, decide again"),
            Self::CompareChecksums => f.write_str("compare checksums, decide again"),
            Self::Refuse(refusal) => write!(f, "fail ({refusal})"),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::CreateCollection => f.write_str("create collection"),
            Self::Register => f.write_str("register"),
            Self::RegisterReplica => f.write_str("register replica"),
            Self::UpdateReplica { number } => write!(f, "update replica {number}"),
            Self::PutNew => f.write_str("put, not over"),
            Self::PutOver => f.write_str("put over"),
            Self::Append { from } => write!(f, "append from {from}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchanged => "unchanged",
            Self::AlreadyEqual => "already equal",
            Self::Exists => "exists",
            Self::NoOp => "no hook",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileOverCollection => f.write_str("file over collection"),
            Self::DirectoryOverDataObject => f.write_str("directory over data object"),
            Self::NotUploadable(kind) => write!(f, "a {} has no content", kind.word()),
            Self::WrongResourceOrPath => f.write_str("wrong resource or path"),
            Self::OtherReplicaOnResource => f.write_str("other replica on the resource"),
            Self::NoResource => f.write_str("no resource named"),
            Self::OwnSource => f.write_str("registered from a file of this source"),
            Self::Busy => f.write_str("locked or being written"),
            Self::ShorterThanObject => f.write_str("file shorter than object"),
            Self::Diverged => f.write_str("changed in place"),
        }
    }
}
