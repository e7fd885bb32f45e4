//! What a source is: a tree of directories whose entries have a name (bytes), a kind, a size and times.
//!
//! Names and paths are bytes from here to the catalog call: a file system does not promise text, and neither do we.
//! [`FileSystem`] is the POSIX source, [`s3::Bucket`] that of buckets; [`Filter`] says what of it is excluded. Nothing here knows of
//! iRODS.
//!
//! Every call blocks on the file system (which may be a slow network one) or on a server: async callers use `spawn_blocking`.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bstr::BString;
use serde::{Deserialize, Serialize};

mod file_system;
mod filter;
mod owner;
pub mod s3;

/// What the engine asks of a source. Directories are given relative to its root, the empty path being the root.
///
/// [`FileSystem`] and [`s3::Bucket`] are; the simulation and the bench of the queue have trees of their own.
pub trait Source: fmt::Debug + Send + Sync {
    /// Where a directory sits among the mounts.
    fn mount_facts(&self, directory: &Path) -> Result<MountFacts, SourceError>;

    /// All entries of a directory in the order of their names; complete, or an error.
    fn list(&self, directory: &Path, links: Links) -> Result<Listing, SourceError>;

    /// What follows a mark in a directory, as much as the source tells at once, in the order of [places](Source::place); and where to
    /// go on, if that is not all. A source without pages tells all.
    fn page(
        &self,
        directory: &Path,
        links: Links,
        _after: Option<&s3::Mark>,
    ) -> Result<(Listing, Option<s3::Mark>), SourceError> {
        self.list(directory, links).map(|listing| (listing, None))
    }

    /// Where an entry stands among those of its directory.
    fn place<'a>(&self, entry: &'a Entry) -> Cow<'a, [u8]> {
        Cow::Borrowed(&entry.name)
    }

    /// Facts of an entry. The outer error is the directory's: it says nothing of the entry.
    fn stat(
        &self,
        directory: &Path,
        name: &[u8],
        links: Links,
    ) -> Result<Result<Stat, SourceError>, SourceError>;

    /// All that must be known of an entry before it is worked on.
    fn look(&self, directory: &Path, name: &[u8], links: Links) -> Result<Look, SourceError>;

    /// Looks at several entries of a directory, each as [`Source::look`] does.
    fn looker<'a>(&'a self, directory: &'a Path) -> Looker<'a> {
        Box::new(move |name, links| self.look(directory, name, links))
    }

    /// The content of a regular file from an offset on, and its facts when it was opened.
    fn open(
        &self,
        directory: &Path,
        name: &[u8],
        from: u64,
    ) -> Result<(Box<dyn Read + Send>, Stat), SourceError>;

    /// Whether an absolute path of this machine leads to the same file as the entry, links followed.
    fn is_same_file(&self, _directory: &Path, _name: &[u8], _path: &Path) -> bool {
        false
    }

    /// The clock that [`Listing::seen_at`] is from.
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Whether facts of an entry stand for its content, so that whatever happens to it after they were taken gives it other ones.
    fn is_versioned(&self) -> bool {
        false
    }

    /// Requests to its server that had to be made again since this was asked last.
    fn take_repeated(&self) -> u64 {
        0
    }

    /// Whether it may have to wait for a device or a network, so that it must be asked on a thread of its own.
    fn blocks(&self) -> bool {
        true
    }
}

/// Looks at an entry of one directory by its name.
pub type Looker<'a> = Box<dyn Fn(&[u8], Links) -> Result<Look, SourceError> + 'a>;

/// The absolute path of a source that was given by `path`, once it was seen to be there: of a directory without links, of a bucket
/// `/BUCKET/PREFIX`. Waits for the file system or the server.
///
/// # Errors
/// It is not there, or cannot be reached.
pub fn find(path: &Path, bucket: Option<&s3::Access>) -> Result<PathBuf, SourceError> {
    match bucket {
        None => Ok(FileSystem::open(path)?.root().to_owned()),
        Some(access) => {
            let given = path.to_str().and_then(s3::Bucket::absolute);
            let path = given.ok_or_else(|| SourceError::OutsideTree {
                path: path.to_owned(),
            })?;
            s3::Bucket::probe(&path, access.clone())?;
            Ok(path)
        }
    }
}

/// What stands for a source in the names of what is remembered of it: its path, and for a bucket its server as well.
pub fn cache_root<'a>(path: &'a [u8], bucket: Option<&s3::Access>) -> Cow<'a, [u8]> {
    match bucket {
        None => Cow::Borrowed(path),
        Some(access) => [b"s3://", access.endpoint.as_bytes(), path].concat().into(),
    }
}

/// An entry at the moment it is worked on.
#[derive(Debug, Clone)]
pub struct Look {
    /// Its facts.
    pub stat: Stat,
    /// The text of a link.
    pub link: Option<BString>,
    /// Whether this process may read it.
    pub readable: bool,
}

pub use file_system::{Directory, FileSystem, Links, Listing, OpenFile};
pub use filter::{Filter, FilterError, Matching};
pub use owner::Owner;

/// What an entry is by itself: a symbolic link is a link, whatever it points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// An ordinary file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link, dangling or not.
    Symlink,
    /// A Unix domain socket.
    Socket,
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl EntryKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Regular,
        Self::Directory,
        Self::Symlink,
        Self::Socket,
        Self::Fifo,
        Self::CharDevice,
        Self::BlockDevice,
    ];

    /// The word that `--exclude_file_type` uses for this kind.
    pub fn word(self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::Directory => "directory",
            Self::Symlink => "link",
            Self::Socket => "socket",
            Self::Fifo => "pipe",
            Self::CharDevice => "character",
            Self::BlockDevice => "block",
        }
    }
}

/// A point in time as file systems store it: seconds since 1970 (negative before) and nanoseconds, 0..1e9.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Timestamp {
    /// Whole seconds since 1970-01-01 UTC, rounded down.
    pub seconds: i64,
    /// Nanoseconds after `seconds`.
    pub nanos: u32,
}

impl Timestamp {
    /// The worker's clock now.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Nanoseconds since 1970. Cannot overflow: 2^63 s are less than 2^127 ns.
    pub fn as_nanos(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self {
                seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                nanos: after.subsec_nanos(),
            },
            Err(before) => {
                let before = before.duration();
                let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                match before.subsec_nanos() {
                    0 => Self {
                        seconds: -seconds,
                        nanos: 0,
                    },
                    nanos => Self {
                        seconds: (-seconds).saturating_sub(1),
                        nanos: 1_000_000_000 - nanos,
                    },
                }
            }
        }
    }
}

/// What one `lstat` (or `fstat`) says of an entry; see [`Links`] for symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// What it is.
    pub kind: EntryKind,
    /// Bytes; of a symbolic link, the length of its text.
    pub size: u64,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of the content or of the inode; nobody can set it back.
    pub ctime: Timestamp,
    /// Permission and type bits as in `st_mode`.
    pub mode: u32,
    /// Device that holds it; of a mount point, the mounted file system's.
    pub dev: u64,
    /// What identifies its content where the source says that (an object's ETag, hashed); 0 where it does not.
    pub version: u64,
    /// Whose it is, where the source has owners; a bucket has none.
    pub owner: Option<Owner>,
}

impl Stat {
    /// True if nothing happened to the file between the two looks, as far as its size and times can tell. Taken before
    /// and after an action: only then may a signature of it be remembered.
    pub fn unchanged_since(&self, earlier: &Self) -> bool {
        let facts = |stat: &Self| (stat.size, stat.mtime, stat.ctime, stat.version);
        facts(self) == facts(earlier)
    }
}

/// One name in a directory and what `lstat` said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name: one path element, any bytes but `/` and NUL.
    pub name: BString,
    /// Its facts.
    pub stat: Stat,
}

/// Where a directory sits among the mounts: what the deletion guard remembers and compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountFacts {
    /// Device number. Stable while mounted; network and overlay file systems may get another one at the next mount.
    pub dev: u64,
    /// The directory is on another device than its parent: something is mounted on it.
    pub is_mount_point: bool,
}

/// Why a source could not do what was asked. Paths are absolute.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The root does not exist.
    #[error("source directory {} does not exist", path.display())]
    RootMissing {
        /// As given.
        path: PathBuf,
    },
    /// The root is something else than a directory.
    #[error("source {} is not a directory", path.display())]
    RootNotADirectory {
        /// As given.
        path: PathBuf,
    },
    /// A path that is not below the root by its text: absolute, or with `.` or `..` in it.
    #[error("path {} does not lie in the source tree", path.display())]
    OutsideTree {
        /// The relative path that was refused.
        path: PathBuf,
    },
    /// There is no such entry (any more).
    #[error("{} does not exist", path.display())]
    Vanished {
        /// What was looked for.
        path: PathBuf,
    },
    /// An element of the path is not a directory (any more), for example a symbolic link; links are never followed
    /// within the tree.
    #[error("{} is not a directory (links are not followed)", path.display())]
    NotADirectory {
        /// The element.
        path: PathBuf,
    },
    /// A link that is followed leads back to a directory that it lies in.
    #[error("{} leads back to {}, which it lies in", path.display(), to.display())]
    Loop {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// A symbolic link that leads to nothing, or round in circles. The link itself is there.
    #[error("{} is a link that leads nowhere", path.display())]
    Dangling {
        /// The link.
        path: PathBuf,
    },
    /// It is no regular file (nor a link to one), so it has no content to read.
    #[error("{} is not a regular file ({})", path.display(), kind.word())]
    NotRegular {
        /// The entry.
        path: PathBuf,
        /// What it is, or what the link leads to.
        kind: EntryKind,
    },
    /// This process may not read it.
    #[error("physical path is not readable [{}]", path.display())]
    Unreadable {
        /// The entry.
        path: PathBuf,
    },
    /// A key that is no path.
    #[error("{} cannot be in a zone: {why}", path.display())]
    UnusableKey {
        /// The key, with its bucket.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It is not what it was when its reading began.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// The entry.
        path: PathBuf,
    },
    /// There are no bytes where they were asked for.
    #[error("{} is shorter than it was", path.display())]
    PastEnd {
        /// The entry.
        path: PathBuf,
    },
    /// How a server is reached is not settled.
    #[error(transparent)]
    Access(#[from] s3::AccessError),
    /// What a server said, or that it could not be asked.
    #[error("cannot {doing} {}: {message}", path.display())]
    Remote {
        /// The verb: "list", "look at", "read".
        doing: &'static str,
        /// The entry.
        path: PathBuf,
        /// What it said, in one line.
        message: String,
        /// It says nothing of the entry.
        of_worker: bool,
    },
    /// Anything else that the operating system reported.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// The verb: "open", "list", "stat".
        doing: &'static str,
        /// The entry.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

impl SourceError {
    /// This process or this machine lacks the file descriptors or the memory to look: it says nothing of the entry.
    pub fn is_shortage(&self) -> bool {
        matches!(self, Self::Io { source, .. } if irods_client::error::is_shortage(source))
    }
}
