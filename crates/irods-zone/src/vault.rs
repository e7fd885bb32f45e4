//! Bytes on disk: where an object's file lies, and opening, making and removing such files.
//!
//! A new replica's file lies under its resource's vault at the logical path without the zone, as on
//! real servers (`/tempZone/home/rods/a` -> `VAULT/home/rods/a`). It stays there when the object is
//! renamed or goes to the trash, so that a rename is one catalog transaction and no crash can part a
//! name from its bytes. Where the natural place is taken (a renamed object's file, a directory of a
//! former collection), the file goes to `VAULT/.objects/`.
//!
//! Invariants: whatever is made, written or removed inside a vault is reached directory by directory
//! without following a symbolic link, so never outside it; only regular files are opened; a file
//! outside of its resource's vault was registered there and is never removed. Everything here blocks.
//!
//! What this does not do: it knows nothing of the catalog; [`crate::locks`] keeps makers and removers of
//! one path apart.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Directory inside a vault for files whose natural place is taken.
const ELSEWHERE: &str = ".objects";

/// How to open an existing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Cut to size 0.
    pub truncate: bool,
}

impl Access {
    /// Reading alone.
    pub const READ: Access = Access {
        read: true,
        write: false,
        truncate: false,
    };

    fn flags(self) -> OFlags {
        // NONBLOCK: opening a pipe that somebody put there must not hang.
        let mut flags = OFlags::CLOEXEC | OFlags::NONBLOCK;
        flags |= match (self.read, self.write) {
            (_, false) => OFlags::RDONLY,
            (false, true) => OFlags::WRONLY,
            (true, true) => OFlags::RDWR,
        };
        if self.truncate {
            flags |= OFlags::TRUNC;
        }
        flags
    }
}

/// Where a new object's file naturally lies.
pub(crate) fn natural_path(vault: &Path, logical: &str) -> PathBuf {
    let without_zone = logical
        .trim_start_matches('/')
        .split_once('/')
        .map_or("", |(_, rest)| rest);
    vault.join(without_zone)
}

/// A place that no other object's file has.
pub(crate) fn other_path(vault: &Path) -> PathBuf {
    let name = uuid::Uuid::new_v4().simple().to_string();
    let (shard, _) = name.split_at(2);
    vault.join(ELSEWHERE).join(shard).join(&name)
}

/// Whether [`make`] failed because something else is at that place.
pub(crate) fn is_place_taken(error: &io::Error) -> bool {
    let taken = [
        Errno::ISDIR,
        Errno::NOTDIR,
        Errno::EXIST,
        Errno::LOOP,
        Errno::NXIO,
        Errno::INVAL,
    ];
    error
        .raw_os_error()
        .is_some_and(|n| taken.iter().any(|e| e.raw_os_error() == n))
}

/// Whether a physical path is below a vault, by its text; paths with `..` are below nothing.
pub(crate) fn is_inside(vault: &Path, path: &Path) -> bool {
    relative(vault, path).is_some()
}

fn relative<'a>(vault: &Path, path: &'a Path) -> Option<&'a Path> {
    let rest = path.strip_prefix(vault).ok()?;
    let plain = rest
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    (plain && !rest.as_os_str().is_empty()).then_some(rest)
}

/// Whether a text may be registered as a physical path: absolute, without `.` and `..`.
pub(crate) fn is_plain(path: &str) -> bool {
    path.starts_with('/')
        && !path.ends_with('/')
        && path
            .split('/')
            .skip(1)
            .all(|part| !matches!(part, "." | ".."))
}

/// Makes or empties the file at a path inside the vault, with the directories above it.
pub(crate) fn make(vault: &Path, path: &Path) -> io::Result<File> {
    let inside = relative(vault, path).ok_or(Errno::INVAL)?;
    let (directory, name) = descend(vault, inside, true)?;
    let flags = OFlags::CREATE
        | OFlags::TRUNC
        | OFlags::RDWR
        | OFlags::NOFOLLOW
        | OFlags::CLOEXEC
        | OFlags::NONBLOCK;
    let file = rustix::fs::openat(&directory, name, flags, Mode::RUSR | Mode::WUSR)?;
    regular(file)
}

/// Opens an existing file. Inside the vault, writing follows no symbolic link; outside, not in the
/// last element.
pub(crate) fn open(vault: &Path, path: &Path, access: Access) -> io::Result<File> {
    let flags = access.flags();
    let file = match relative(vault, path) {
        Some(inside) if access.write => {
            let (directory, name) = descend(vault, inside, false)?;
            rustix::fs::openat(&directory, name, flags | OFlags::NOFOLLOW, Mode::empty())?
        }
        _ if access.write => rustix::fs::open(path, flags | OFlags::NOFOLLOW, Mode::empty())?,
        _ => rustix::fs::open(path, flags, Mode::empty())?,
    };
    regular(file)
}

/// Removes a file inside the vault; one that is not there is removed. Outside of the vault nothing
/// is done.
pub(crate) fn remove(vault: &Path, path: &Path) -> io::Result<()> {
    let Some(inside) = relative(vault, path) else {
        return Ok(());
    };
    let removed = descend(vault, inside, false).and_then(|(directory, name)| {
        Ok(rustix::fs::unlinkat(&directory, name, AtFlags::empty())?)
    });
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Opens the directory of a path below the vault, one element at a time.
fn descend(vault: &Path, inside: &Path, make: bool) -> io::Result<(OwnedFd, OsString)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut parts: Vec<_> = inside
        .components()
        .map(|part| part.as_os_str().to_owned())
        .collect();
    let name = parts.pop().ok_or(Errno::INVAL)?;
    let mut directory = match rustix::fs::open(vault, flags, Mode::empty()) {
        Err(Errno::NOENT) if make => {
            std::fs::create_dir_all(vault)?;
            rustix::fs::open(vault, flags, Mode::empty())?
        }
        other => other?,
    };
    for part in parts {
        let step = rustix::fs::openat(&directory, &part, flags | OFlags::NOFOLLOW, Mode::empty());
        directory = match step {
            Err(Errno::NOENT) if make => {
                match rustix::fs::mkdirat(&directory, &part, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                rustix::fs::openat(&directory, &part, flags | OFlags::NOFOLLOW, Mode::empty())?
            }
            other => other?,
        };
    }
    Ok((directory, name))
}

fn regular(file: OwnedFd) -> io::Result<File> {
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(File::from(file)),
        FileType::Directory => Err(Errno::ISDIR.into()),
        _ => Err(Errno::INVAL.into()),
    }
}

/// A physical path as the catalog's text. Vault paths and logical paths are text, so this loses nothing.
pub(crate) fn text(path: &Path) -> String {
    String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_new_file_lies_under_its_logical_path() {
        let vault = Path::new("/v");
        assert_eq!(
            natural_path(vault, "/tempZone/home/rods/a b"),
            Path::new("/v/home/rods/a b")
        );
        assert!(is_inside(vault, Path::new("/v/home/x")));
        for outside in [
            "/v",
            "/vv/x",
            "/v/../etc/passwd",
            "/etc/passwd",
            "/v/home/../../x",
        ] {
            assert!(!is_inside(vault, Path::new(outside)), "{outside}");
        }
        assert!(is_inside(vault, &other_path(vault)));
    }

    #[test]
    fn plain_paths_alone_can_be_registered() {
        for good in ["/a", "/a/b c", "/a/..b", "/a/.b"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["", "a", "/a/../b", "/a/.", "/a/", "./a"] {
            assert!(!is_plain(bad), "{bad}");
        }
    }

    #[test]
    fn makes_opens_and_removes_inside_the_vault() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path().join("Vault");
        let path = natural_path(&vault, "/z/home/rods/deep/er/file");
        make(&vault, &path).unwrap().write_all(b"bytes").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"bytes");
        let file = open(
            &vault,
            &path,
            Access {
                read: true,
                write: true,
                truncate: true,
            },
        )
        .unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
        remove(&vault, &path).unwrap();
        remove(&vault, &path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn no_symbolic_link_leads_out_of_the_vault() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path().join("Vault");
        let outside = dir.path().join("outside");
        std::fs::create_dir_all(&vault).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("precious"), "keep").unwrap();
        symlink(&outside, vault.join("home")).unwrap();
        symlink(outside.join("precious"), vault.join("link")).unwrap();
        for path in [vault.join("home/precious"), vault.join("link")] {
            assert!(make(&vault, &path).is_err());
            let write = Access {
                read: false,
                write: true,
                truncate: true,
            };
            assert!(open(&vault, &path, write).is_err());
        }
        assert!(make(&vault, &vault.join("home/new")).is_err());
        assert!(make(&vault, &vault.join("../outside/new")).is_err());
        assert!(remove(&vault, &vault.join("home/precious")).is_err());
        remove(&vault, &outside.join("precious")).unwrap();
        assert_eq!(std::fs::read(outside.join("precious")).unwrap(), b"keep");
        assert!(!outside.join("new").exists());
    }

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        assert!(open(dir.path(), &dir.path().join("."), Access::READ).is_err());
        let error = open(dir.path(), Path::new("/dev/null"), Access::READ).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::INVAL.raw_os_error()));
        std::fs::create_dir(dir.path().join("taken")).unwrap();
        let error = make(dir.path(), &dir.path().join("taken")).unwrap_err();
        assert!(is_place_taken(&error), "{error}");
    }
}
