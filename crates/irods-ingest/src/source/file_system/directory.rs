//! One open directory, and what lies in it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};
use rustix::fd::OwnedFd;
use rustix::fs::{
    Access, AtFlags, Dir, FileType, Mode, OFlags, accessat, fstat, openat, readlinkat, statat,
};
use rustix::io::Errno;

use super::{Links, Listing, OpenFile};
use crate::source::{Entry, EntryKind, Look, Owner, SourceError, Stat, Timestamp};

/// An open directory; its entries are asked about by name, relative to it.
#[derive(Debug)]
pub struct Directory {
    pub(super) fd: OwnedFd,
    pub(super) path: PathBuf,
    pub(super) follow: bool,
}

impl Directory {
    /// Its absolute path when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its own facts.
    pub fn stat_self(&self) -> Result<Stat, SourceError> {
        match fstat(&self.fd) {
            Ok(stat) => Ok(stat_from(&stat)),
            Err(errno) => Err(from_errno("stat", self.path.clone(), errno)),
        }
    }

    /// All entries, each with its `lstat`. Complete or an error: if reading the directory stops half-way, there is no
    /// listing. A single entry that cannot be looked at is reported beside the others.
    pub fn list(&self, links: Links) -> Result<Listing, SourceError> {
        let failed = |errno| from_errno("list", self.path.clone(), errno);
        let mut listing = Listing {
            entries: Vec::new(),
            vanished: Vec::new(),
            errors: Vec::new(),
            directory: self.stat_self()?,
            seen_at: Timestamp::now(),
        };
        let mut names = Vec::new();
        for item in Dir::read_from(&self.fd).map_err(failed)? {
            let item = item.map_err(failed)?;
            match item.file_name().to_bytes() {
                b"." | b".." => {}
                name => names.push(BString::from(name)),
            }
        }
        names.sort_unstable();
        listing.entries.reserve_exact(names.len());
        for name in names {
            match self.stat(&name, links) {
                Ok(stat) => listing.entries.push(Entry { name, stat }),
                Err(SourceError::Vanished { .. }) => listing.vanished.push(name),
                Err(error) => listing.errors.push((name, error)),
            }
        }
        Ok(listing)
    }

    /// Facts of the entry of that name: `lstat`, with what `links` says of symbolic links; where links are followed, of what it leads
    /// to.
    pub fn stat(&self, name: &[u8], links: Links) -> Result<Stat, SourceError> {
        self.check_name(name)?;
        let stat = match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat_from(&stat),
            Err(errno) => return Err(from_errno("stat", self.child(name), errno)),
        };
        if self.follow && stat.kind == EntryKind::Symlink {
            // One that leads nowhere is there all the same, as a link.
            return match self.stat_beyond(name) {
                Err(SourceError::Dangling { .. }) => Ok(stat),
                beyond => beyond,
            };
        }
        if stat.kind != EntryKind::Symlink || links == Links::Themselves {
            return Ok(stat);
        }
        match self.stat_beyond(name) {
            Ok(content) if content.kind == EntryKind::Regular => Ok(Stat {
                kind: EntryKind::Symlink,
                ..content
            }),
            _ => Ok(stat),
        }
    }

    /// All that must be known of the entry of that name before it is worked on.
    pub fn look(&self, name: &[u8], links: Links) -> Result<Look, SourceError> {
        let stat = self.stat(name, links)?;
        Ok(Look {
            stat,
            link: match stat.kind {
                EntryKind::Symlink => Some(self.read_link(name)?),
                _ => None,
            },
            readable: self.is_readable(name, stat.kind)?,
        })
    }

    /// What a link leads to, anywhere.
    fn stat_beyond(&self, name: &[u8]) -> Result<Stat, SourceError> {
        match statat(&self.fd, name, AtFlags::empty()) {
            Ok(stat) => Ok(stat_from(&stat)),
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => Err(SourceError::Dangling {
                path: self.child(name),
            }),
            Err(errno) => Err(from_errno("stat", self.child(name), errno)),
        }
    }

    /// Whether this process may read the entry, by its effective user and groups: a file's content, a directory's names
    /// and entries. A link is always readable (what it leads to is found out by opening it); so are sockets, pipes and
    /// devices, which are registered and never read.
    ///
    /// This is the access check of the operating system, where the group-read bit used to be looked at: a `0600` file of
    /// the worker's own user is ingested, a `0040` file that it cannot open is reported.
    pub fn is_readable(&self, name: &[u8], kind: EntryKind) -> Result<bool, SourceError> {
        self.check_name(name)?;
        let wanted = match kind {
            EntryKind::Regular => Access::READ_OK,
            EntryKind::Directory => Access::READ_OK | Access::EXEC_OK,
            _ => return Ok(true),
        };
        match accessat(&self.fd, name, wanted, AtFlags::EACCESS) {
            Ok(()) => Ok(true),
            Err(Errno::ACCESS | Errno::PERM) => Ok(false),
            Err(errno) => Err(from_errno("check access to", self.child(name), errno)),
        }
    }

    /// The text of a symbolic link.
    pub fn read_link(&self, name: &[u8]) -> Result<BString, SourceError> {
        self.check_name(name)?;
        match readlinkat(&self.fd, name, Vec::new()) {
            Ok(text) => Ok(text.into_bytes().into()),
            Err(errno) => Err(from_errno("read link", self.child(name), errno)),
        }
    }

    /// Opens a regular file, or the regular file that a link leads to, for reading. Never blocks on a pipe, and opens no
    /// device: what it is is looked at before, and again when it is open.
    pub fn open_regular(&self, name: &[u8]) -> Result<OpenFile, SourceError> {
        let path = self.child(name);
        let (follow, kind) = match self.stat(name, Links::Themselves)?.kind {
            EntryKind::Symlink => (OFlags::empty(), self.stat_beyond(name)?.kind),
            kind if self.follow => (OFlags::empty(), kind),
            kind => (OFlags::NOFOLLOW, kind),
        };
        if kind != EntryKind::Regular {
            return Err(SourceError::NotRegular { path, kind });
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | follow;
        let fd = match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            // It became a link just now.
            Err(Errno::LOOP) => {
                return Err(SourceError::NotRegular {
                    path,
                    kind: EntryKind::Symlink,
                });
            }
            Err(errno) => return Err(from_errno("open", path, errno)),
        };
        let stat = match fstat(&fd) {
            Ok(stat) => stat_from(&stat),
            Err(errno) => return Err(from_errno("stat", path, errno)),
        };
        match stat.kind {
            EntryKind::Regular => Ok(OpenFile {
                file: File::from(fd),
                stat,
            }),
            kind => Err(SourceError::NotRegular { path, kind }),
        }
    }

    /// A name must be a single element: names come from task queues as well.
    fn check_name(&self, name: &[u8]) -> Result<(), SourceError> {
        let single = !matches!(name, b"" | b"." | b"..") && name.find_byte(b'/').is_none();
        match single && name.find_byte(0).is_none() {
            true => Ok(()),
            false => Err(SourceError::OutsideTree {
                path: self.child(name),
            }),
        }
    }

    fn child(&self, name: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(name))
    }
}

/// Device and inode.
pub(super) fn identity(fd: &OwnedFd, path: &Path) -> Result<(u64, u64), SourceError> {
    match fstat(fd) {
        Ok(stat) => Ok((stat_from(&stat).dev, stat.st_ino)),
        Err(errno) => Err(from_errno("stat", path.to_owned(), errno)),
    }
}

pub(super) fn open_directory(
    parent: impl rustix::fd::AsFd,
    name: &OsStr,
    path: &Path,
    follow: bool,
) -> Result<OwnedFd, SourceError> {
    let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !follow);
    openat(parent, name, flags, Mode::empty())
        .map_err(|errno| from_errno("open", path.to_owned(), errno))
}

pub(super) fn from_errno(doing: &'static str, path: PathBuf, errno: Errno) -> SourceError {
    match errno {
        Errno::NOENT => SourceError::Vanished { path },
        Errno::NOTDIR | Errno::LOOP => SourceError::NotADirectory { path },
        Errno::ACCESS | Errno::PERM => SourceError::Unreadable { path },
        errno => io_error(doing, path, errno.into()),
    }
}

pub(super) fn io_error(doing: &'static str, path: PathBuf, source: std::io::Error) -> SourceError {
    SourceError::Io {
        doing,
        path,
        source,
    }
}

/// The widths and signs of these fields differ between platforms.
#[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation)]
pub(super) fn stat_from(stat: &rustix::fs::Stat) -> Stat {
    Stat {
        kind: match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => EntryKind::Regular,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink,
            FileType::Socket => EntryKind::Socket,
            FileType::Fifo => EntryKind::Fifo,
            FileType::BlockDevice => EntryKind::BlockDevice,
            _ => EntryKind::CharDevice,
        },
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime: timestamp(stat.st_mtime as i64, stat.st_mtime_nsec as u32),
        ctime: timestamp(stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        mode: stat.st_mode as u32,
        dev: stat.st_dev as u64,
        version: 0,
        owner: Some(Owner {
            uid: stat.st_uid,
            gid: stat.st_gid,
        }),
    }
}

fn timestamp(seconds: i64, nanos: u32) -> Timestamp {
    Timestamp { seconds, nanos }
}
