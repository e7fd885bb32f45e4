//! What people and machines are shown: results on stdout, everything else on stderr.
//!
//! Text from outside (names, messages of servers) is shown without control characters. An output that is closed is no error;
//! one that takes no more (a full disk) is said once, and remembered.

use std::io::{self, Write};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::MultiProgress;

pub mod json;
pub mod progress;
pub mod summary;
pub mod text;

pub use text::{bytes, plain, seconds, shell_word, thousands};

/// All progress bars of the program, so that other lines on stderr do not run into them.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Whether some result could not be written.
static LOST: AtomicBool = AtomicBool::new(false);

/// A result: one or more lines on stdout.
pub fn say(text: &str) {
    let written = {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush())
    };
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
        && !LOST.swap(true, Ordering::Relaxed)
    {
        note(&format!("irods_sync: cannot write to stdout: {error}"));
    }
}

/// Whether some result could not be written, though somebody still reads.
pub fn output_is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// Something for the person who watches: on stderr.
pub fn note(text: &str) {
    BARS.suspend(|| {
        let _ = writeln!(io::stderr().lock(), "{text}");
    });
}

/// Writes to stderr above the progress bars.
#[derive(Debug)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
