//! The POSIX source: a directory tree that this process can see.
//!
//! The root is made canonical once; below it no symbolic link is followed to a directory, unless the source is told to
//! ([`FileSystem::following`]): then a link is what it leads to, wherever that is, and one that leads back to a directory that it lies in is an
//! error. Each directory is opened
//! element by element from the root, and everything about its entries is asked relative to that open directory: where links
//! are not followed, a directory that is swapped for one at any moment leads to an error, never out of the tree. The one exception is the
//! content of a link to a file, which is read where it is, since that is what uploading a link means.
//!
//! Nothing is held open between calls, so a source can be unmounted, and a changed mount is noticed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use bstr::{BString, ByteSlice};
use rustix::fd::OwnedFd;
use rustix::fs::{
    Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, accessat, fstat, openat, readlinkat, statat,
};
use rustix::io::Errno;

use super::{
    Entry, EntryKind, Look, Looker, MountFacts, Owner, Source, SourceError, Stat, Timestamp,
};

/// Whose size and times count where the entry is a symbolic link. Its kind is [`EntryKind::Symlink`] in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Those of the link: for registering it.
    Themselves,
    /// Those of the regular file that it leads to, for uploading that; those of the link where it leads to none.
    Content,
}

/// A directory tree, by its root.
#[derive(Clone, Debug)]
pub struct FileSystem {
    root: PathBuf,
    follow: bool,
}

/// All of a directory's entries, or as much as could be learnt of them.
#[derive(Debug)]
pub struct Listing {
    /// The entries, sorted by the bytes of their names.
    pub entries: Vec<Entry>,
    /// Names that were gone again when they were looked at.
    pub vanished: Vec<BString>,
    /// Names that are there but could not be looked at, sorted.
    pub errors: Vec<(BString, SourceError)>,
    /// The directory's own facts, taken before it was read: what came later, the next scan sees.
    pub directory: Stat,
    /// The worker's clock when the directory was opened.
    pub seen_at: Timestamp,
}

impl Listing {
    /// Every name that was in the directory, in no order: whatever is not among them was not there.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        let entries = self.entries.iter().map(|entry| entry.name.as_bytes());
        let vanished = self.vanished.iter().map(|name| name.as_bytes());
        let errors = self.errors.iter().map(|(name, _)| name.as_bytes());
        entries.chain(vanished).chain(errors)
    }
}

/// A file opened for reading.
#[derive(Debug)]
pub struct OpenFile {
    /// At its beginning.
    pub file: File,
    /// `fstat` of it when it was opened.
    pub stat: Stat,
}

impl FileSystem {
    /// The tree below `root`, whose symbolic links are resolved now and never again.
    pub fn open(root: &Path) -> Result<Self, SourceError> {
        let path = || root.to_owned();
        let canonical = root.canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => SourceError::RootMissing { path: path() },
            std::io::ErrorKind::NotADirectory => SourceError::RootNotADirectory { path: path() },
            _ => io_error("open", path(), error),
        })?;
        let source = Self::at(canonical);
        source.open_root().map(|_| source)
    }

    /// The tree whose root is `root`, which is canonical already (another process called [`FileSystem::open`]). Nothing is
    /// checked: a root that is missing is found by whatever is done next.
    pub fn at(root: PathBuf) -> Self {
        Self {
            root,
            follow: false,
        }
    }

    /// The same, with links followed to whatever they lead to, or not.
    pub fn following(self, follow: bool) -> Self {
        Self { follow, ..self }
    }

    /// The root: absolute, without links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The absolute path of what lies at `relative`; the root itself for the empty path.
    pub fn absolute(&self, relative: &Path) -> PathBuf {
        match relative.as_os_str().is_empty() {
            true => self.root.clone(),
            false => self.root.join(relative),
        }
    }

    /// Opens the directory at `relative`, the empty path being the root.
    pub fn directory(&self, relative: &Path) -> Result<Directory, SourceError> {
        let mut path = self.root.clone();
        let mut fd = self.open_root()?;
        // Directories on the way, by device and inode, and where they were.
        let mut visited = Vec::new();
        for component in relative.components() {
            let Component::Normal(name) = component else {
                return Err(SourceError::OutsideTree {
                    path: relative.to_owned(),
                });
            };
            if self.follow {
                visited.push((identity(&fd, &path)?, path.clone()));
            }
            path.push(name);
            fd = open_directory(&fd, name, &path, self.follow)?;
            if self.follow {
                let here = identity(&fd, &path)?;
                if let Some((_, to)) = visited.iter().find(|(id, _)| *id == here) {
                    let to = to.clone();
                    return Err(SourceError::Loop { path, to });
                }
            }
        }
        Ok(Directory {
            fd,
            path,
            follow: self.follow,
        })
    }

    /// Lists the directory at `relative`: see [`Directory::list`].
    pub fn list(&self, relative: &Path, links: Links) -> Result<Listing, SourceError> {
        self.directory(relative)?.list(links)
    }

    /// Facts of what lies at `relative`, or of the root for the empty path: see [`Directory::stat`].
    pub fn stat(&self, relative: &Path, links: Links) -> Result<Stat, SourceError> {
        match self.split(relative)? {
            None => self.directory(relative)?.stat_self(),
            Some((parent, name)) => self.directory(parent)?.stat(name.as_bytes(), links),
        }
    }

    /// Where the directory at `relative` sits among the mounts.
    pub fn mount_facts(&self, relative: &Path) -> Result<MountFacts, SourceError> {
        let directory = self.directory(relative)?;
        let dev = directory.stat_self()?.dev;
        let parent = statat(&directory.fd, c"..", AtFlags::empty())
            .map_err(|errno| from_errno("stat", directory.path.join(".."), errno))?;
        Ok(MountFacts {
            dev,
            is_mount_point: stat_from(&parent).dev != dev,
        })
    }

    fn open_root(&self) -> Result<OwnedFd, SourceError> {
        open_directory(CWD, self.root.as_os_str(), &self.root, false).map_err(|error| match error {
            SourceError::Vanished { path } => SourceError::RootMissing { path },
            SourceError::NotADirectory { path } => SourceError::RootNotADirectory { path },
            error => error,
        })
    }

    fn split<'a>(&self, relative: &'a Path) -> Result<Option<(&'a Path, &'a OsStr)>, SourceError> {
        if relative.as_os_str().is_empty() {
            return Ok(None);
        }
        match (relative.parent(), relative.components().next_back()) {
            (Some(parent), Some(Component::Normal(name))) => Ok(Some((parent, name))),
            _ => Err(SourceError::OutsideTree {
                path: relative.to_owned(),
            }),
        }
    }
}

impl Source for FileSystem {
    fn mount_facts(&self, directory: &Path) -> Result<MountFacts, SourceError> {
        FileSystem::mount_facts(self, directory)
    }

    fn list(&self, directory: &Path, links: Links) -> Result<Listing, SourceError> {
        FileSystem::list(self, directory, links)
    }

    fn stat(
        &self,
        directory: &Path,
        name: &[u8],
        links: Links,
    ) -> Result<Result<Stat, SourceError>, SourceError> {
        Ok(self.directory(directory)?.stat(name, links))
    }

    fn look(&self, directory: &Path, name: &[u8], links: Links) -> Result<Look, SourceError> {
        self.directory(directory)?.look(name, links)
    }

    /// Opens the directory once.
    fn looker<'a>(&'a self, directory: &'a Path) -> Looker<'a> {
        match self.directory(directory) {
            Ok(open) => Box::new(move |name, links| open.look(name, links)),
            Err(_) => Box::new(move |name, links| self.look(directory, name, links)),
        }
    }

    fn is_same_file(&self, directory: &Path, name: &[u8], path: &Path) -> bool {
        let Ok(open) = self.directory(directory) else {
            return false;
        };
        let ours = statat(&open.fd, name, AtFlags::empty());
        let theirs = statat(CWD, path, AtFlags::empty());
        matches!((ours, theirs), (Ok(ours), Ok(theirs))
            if (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino))
    }

    fn open(
        &self,
        directory: &Path,
        name: &[u8],
        from: u64,
    ) -> Result<(Box<dyn Read + Send>, Stat), SourceError> {
        let mut open = self.directory(directory)?.open_regular(name)?;
        match open.file.seek(SeekFrom::Start(from)) {
            Ok(_) => Ok((Box::new(open.file), open.stat)),
            Err(error) => Err(io_error("read", self.absolute(directory), error)),
        }
    }
}

/// An open directory; its entries are asked about by name, relative to it.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
    follow: bool,
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
fn identity(fd: &OwnedFd, path: &Path) -> Result<(u64, u64), SourceError> {
    match fstat(fd) {
        Ok(stat) => Ok((stat_from(&stat).dev, stat.st_ino)),
        Err(errno) => Err(from_errno("stat", path.to_owned(), errno)),
    }
}

fn open_directory(
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

fn from_errno(doing: &'static str, path: PathBuf, errno: Errno) -> SourceError {
    match errno {
        Errno::NOENT => SourceError::Vanished { path },
        Errno::NOTDIR | Errno::LOOP => SourceError::NotADirectory { path },
        Errno::ACCESS | Errno::PERM => SourceError::Unreadable { path },
        errno => io_error(doing, path, errno.into()),
    }
}

fn io_error(doing: &'static str, path: PathBuf, source: std::io::Error) -> SourceError {
    SourceError::Io {
        doing,
        path,
        source,
    }
}

/// The widths and signs of these fields differ between platforms.
#[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation)]
fn stat_from(stat: &rustix::fs::Stat) -> Stat {
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

#[cfg(test)]
mod tests;
