//! A log file that several processes may write, and that is put away when its time is over.
//!
//! - A line is one write to the end of the file, so lines of several processes never mix.
//! - To rotate, a process locks the file, looks whether it still is the file of that name, and renames it; it never puts it in the place of
//!   another. Whoever still has the old one open loses nothing: what it writes is in the file that was put away. It finds the new
//!   one before it writes its first line of the new period.
//! - What goes wrong with the log (no space, no permission) is said once, and never returned: what is logged must not fail
//!   because of its log.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, RenameFlags};

use super::when::Schedule;

/// So many files of one period may be put away.
const MAX_FILES: u32 = 10_000;

/// When the log is rotated, and what time it is.
pub struct Rotation {
    /// Into periods.
    pub schedule: Schedule,
    /// The clock.
    pub now: Box<dyn Fn() -> Timestamp + Send>,
}

type Complain = Box<dyn FnOnce(&str) + Send>;

/// The file.
pub struct LogFile {
    path: PathBuf,
    file: File,
    rotation: Option<Rotation>,
    /// The period to which what is in the file belongs.
    period: Timestamp,
    /// The last line was cut off by an error.
    torn: bool,
    /// How trouble is said, until it has been.
    complain: Option<Complain>,
}

impl LogFile {
    /// Opens the file, making it if there is none. `complain` is told of the first trouble later on.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(
        path: &Path,
        rotation: Option<Rotation>,
        complain: impl FnOnce(&str) + Send + 'static,
    ) -> io::Result<Self> {
        let file = open(path)?;
        // A device or a pipe is no file that could be put away, and a link is not the file.
        let real = path
            .canonicalize()
            .ok()
            .filter(|_| file.metadata().is_ok_and(|meta| meta.is_file()));
        let mut file = LogFile {
            rotation: rotation.filter(|_| real.is_some()),
            path: real.unwrap_or_else(|| path.to_owned()),
            file,
            period: Timestamp::MIN,
            torn: false,
            complain: Some(Box::new(complain)),
        };
        file.period = file.period_of_content();
        Ok(file)
    }

    /// Of what was last written to the file, or of now if there is nothing in it.
    fn period_of_content(&self) -> Timestamp {
        let Some(rotation) = &self.rotation else {
            return Timestamp::MIN;
        };
        let written = self.file.metadata().ok().filter(|meta| meta.len() > 0);
        let written = written.and_then(|meta| Timestamp::from_second(meta.mtime()).ok());
        rotation
            .schedule
            .period(written.unwrap_or_else(|| (rotation.now)()))
    }

    /// Puts the file away if its time is over.
    fn turn(&mut self) {
        let Some(rotation) = &self.rotation else {
            return;
        };
        let now = rotation.schedule.period((rotation.now)());
        // A clock that goes back is no reason.
        if now <= self.period {
            return;
        }
        let suffix = rotation.schedule.suffix(self.period);
        if let Err(error) = self.put_away(&suffix) {
            let path = self.path.display().to_string();
            self.complain(&format!("the log {path} is not rotated: {error}"));
        }
        // Where it could not be, the next period is early enough for another attempt.
        self.period = now;
    }

    fn put_away(&mut self, suffix: &str) -> io::Result<()> {
        // The lock is gone with the descriptor. Where there are no locks, the rename alone has to do.
        let _ = rustix::fs::flock(&self.file, FlockOperation::LockExclusive);
        let renamed = match self.is_current() {
            true if self.file.metadata()?.len() > 0 => rename(&self.path, suffix),
            _ => Ok(()),
        };
        let reopened = open(&self.path);
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
        self.file = reopened?;
        renamed
    }

    /// Whether the open file is the one that has the name.
    fn is_current(&self) -> bool {
        let (Ok(named), Ok(open)) = (std::fs::metadata(&self.path), self.file.metadata()) else {
            return false;
        };
        (named.dev(), named.ino()) == (open.dev(), open.ino())
    }

    fn complain(&mut self, text: &str) {
        if let Some(complain) = self.complain.take() {
            complain(text);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// Renames `path` to `path.suffix`, or with a number behind that where there is such a file already.
fn rename(path: &Path, suffix: &str) -> io::Result<()> {
    for number in 0..MAX_FILES {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{suffix}"));
        if number > 0 {
            name.push(format!(".{number}"));
        }
        let name = PathBuf::from(name);
        match rename_to_free(path, &name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // Somebody without locks was quicker.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            done => return done,
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    let here = rustix::fs::CWD;
    match rustix::fs::renameat_with(here, from, here, to, RenameFlags::NOREPLACE) {
        // A file system that does not know how.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            if to.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            std::fs::rename(from, to)
        }
        done => Ok(done?),
    }
}

impl Write for LogFile {
    /// Takes a whole line. Never fails.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.turn();
        let mended;
        let bytes = match self.torn {
            true => {
                mended = [b"\n", line].concat();
                &mended
            }
            false => line,
        };
        let mut written = 0;
        let done = loop {
            match self.file.write(&bytes[written..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) if written + count >= bytes.len() => break Ok(()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        // What was cut off before stays so if nothing could be written at all.
        self.torn = match done {
            Ok(()) => false,
            Err(_) => written > 0 || self.torn,
        };
        if let Err(error) = done {
            let path = self.path.display().to_string();
            self.complain(&format!("the log {path} has gaps: {error}"));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
