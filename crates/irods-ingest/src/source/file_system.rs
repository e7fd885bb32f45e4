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
use rustix::fs::{AtFlags, CWD, statat};

use super::{Entry, Look, Looker, MountFacts, Source, SourceError, Stat, Timestamp};
use directory::{from_errno, identity, io_error, open_directory, stat_from};

mod directory;

pub use directory::Directory;

/// Whose size and times count where the entry is a symbolic link. Its kind is [`super::EntryKind::Symlink`] in any case.
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

#[cfg(test)]
mod tests;
