//! From a socket into a file without passing through this process: the kernel moves bytes out of the one into a pipe, which
//! copies nothing, and out of the pipe into the other.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// How much it is to hold; without privileges no pipe holds more.
const SIZE: usize = 1024 * 1024;

/// The pipe, empty between two calls.
pub(crate) struct Pipe {
    reader: Arc<OwnedFd>,
    writer: OwnedFd,
}

impl Pipe {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        // One that may not be larger does the same in more steps.
        let _ = fcntl_setpipe_size(&writer, SIZE);
        Ok(Self {
            reader: Arc::new(reader),
            writer,
        })
    }

    /// Takes up to `most` bytes as soon as there are any; 0 at the end of the stream. Dropped, it has taken none.
    pub async fn fill(&self, from: &TcpStream, most: usize) -> io::Result<usize> {
        // That it would block can only be said of the socket: the pipe is empty.
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let take = || Ok(splice(from, None, &self.writer, None, most, flags)?);
        from.async_io(Interest::READABLE, take).await
    }

    /// Writes its `bytes` bytes to a place in the file.
    pub async fn pour(&self, file: &Arc<File>, at: u64, bytes: usize) -> io::Result<()> {
        let (reader, file) = (Arc::clone(&self.reader), Arc::clone(file));
        tokio::task::spawn_blocking(move || pour(&reader, &file, at, bytes))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

fn pour(reader: &OwnedFd, file: &File, mut at: u64, mut bytes: usize) -> io::Result<()> {
    while bytes > 0 {
        match splice(reader, None, file, Some(&mut at), bytes, SpliceFlags::MOVE) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(moved) => bytes = bytes.saturating_sub(moved),
            Err(Errno::INTR) => {}
            // Of a file system that takes nothing from a pipe.
            Err(Errno::INVAL) => return copy(reader, file, at, bytes),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy(reader: &OwnedFd, file: &File, mut at: u64, mut bytes: usize) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    while bytes > 0 {
        let room = buffer.len().min(bytes);
        let read = rustix::io::read(reader, &mut buffer[..room])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_all_at(&buffer[..read], at)?;
        at += read as u64;
        bytes -= read;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::OpenOptions;

    use super::*;

    fn filled(bytes: &[u8]) -> Pipe {
        let pipe = Pipe::new().unwrap();
        assert_eq!(rustix::io::write(&pipe.writer, bytes), Ok(bytes.len()));
        pipe
    }

    #[tokio::test]
    async fn bytes_go_to_their_place_also_where_the_kernel_does_not_move_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"....").unwrap();
        let file = Arc::new(OpenOptions::new().write(true).open(&path).unwrap());
        filled(b"new").pour(&file, 2, 3).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"..new");

        // `splice` refuses files that are written to their end.
        let file = Arc::new(OpenOptions::new().append(true).open(&path).unwrap());
        filled(b" end").pour(&file, 5, 4).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"..new end");

        let file = Arc::new(File::open(&path).unwrap());
        let refused = filled(b"no").pour(&file, 0, 2).await.unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(Errno::BADF.raw_os_error()));
    }
}
