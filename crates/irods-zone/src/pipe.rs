//! From a socket into a file without passing through this process: the kernel moves bytes out of the one into a pipe, which
//! copies nothing, and out of the pipe into the other.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::io::{Errno, ioctl_fionread};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// How much it can hold; without privileges no pipe holds more, and only so many of a user hold as much.
const SIZE: usize = 1024 * 1024;

/// A pipe and what is in it.
pub(crate) struct Pipe {
    reader: Arc<File>,
    writer: OwnedFd,
    held: usize,
}

/// What looking at the socket came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Bytes came.
    Some,
    /// None fit in any more.
    Full,
    /// None will come any more.
    End,
}

impl Pipe {
    /// An empty one; an error also where it would be a small one, through which copying is faster.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setpipe_size(&writer, SIZE)?;
        Ok(Self {
            reader: Arc::new(reader.into()),
            writer,
            held: 0,
        })
    }

    /// Bytes in it.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes bytes as soon as there are any, until it holds `most`. Dropped, it has taken none.
    pub async fn fill(&mut self, from: &TcpStream, most: usize) -> io::Result<Filled> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let room = most.saturating_sub(self.held);
        let take = || match splice(from, None, &self.writer, None, room, flags) {
            // Small packets take as much room as large ones. It is not the socket that must become ready.
            Err(Errno::AGAIN) if self.held > 0 && ioctl_fionread(from)? > 0 => Ok(None),
            taken => Ok(Some(taken?)),
        };
        Ok(match from.async_io(Interest::READABLE, take).await? {
            None => Filled::Full,
            Some(0) => Filled::End,
            Some(taken) => {
                self.held += taken;
                Filled::Some
            }
        })
    }

    /// Writes all that it holds to a place in the file, and says how much that was.
    pub async fn pour(&mut self, file: &Arc<File>, at: u64) -> io::Result<u64> {
        let (reader, file) = (Arc::clone(&self.reader), Arc::clone(file));
        let bytes = std::mem::take(&mut self.held);
        tokio::task::spawn_blocking(move || pour(&reader, &file, at, bytes))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))?;
        Ok(bytes as u64)
    }
}

fn pour(reader: &File, file: &File, mut at: u64, mut bytes: usize) -> io::Result<()> {
    while bytes > 0 {
        match splice(reader, None, file, Some(&mut at), bytes, SpliceFlags::MOVE) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(moved) => bytes = bytes.saturating_sub(moved),
            Err(Errno::INTR) => {}
            // Of a file system that takes nothing from a pipe.
            Err(Errno::INVAL) => {
                let (mut reader, mut rest) = (reader, vec![0; bytes]);
                reader.read_exact(&mut rest)?;
                return file.write_all_at(&rest, at);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::OpenOptions;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    fn filled(bytes: &[u8]) -> Pipe {
        let mut pipe = Pipe::new().unwrap();
        pipe.held = rustix::io::write(&pipe.writer, bytes).unwrap();
        pipe
    }

    #[tokio::test]
    async fn bytes_go_to_their_place_also_where_the_kernel_does_not_move_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"....").unwrap();
        let file = Arc::new(OpenOptions::new().write(true).open(&path).unwrap());
        assert_eq!(filled(b"new").pour(&file, 2).await.unwrap(), 3);
        assert_eq!(std::fs::read(&path).unwrap(), b"..new");

        // `splice` refuses files that are written to their end.
        let file = Arc::new(OpenOptions::new().append(true).open(&path).unwrap());
        assert_eq!(filled(b" end").pour(&file, 5).await.unwrap(), 4);
        assert_eq!(std::fs::read(&path).unwrap(), b"..new end");

        let file = Arc::new(File::open(&path).unwrap());
        let refused = filled(b"no").pour(&file, 0).await.unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(Errno::BADF.raw_os_error()));
    }

    #[tokio::test]
    async fn one_that_is_full_of_small_packets_is_not_waited_for() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await;
        let mut peer = peer.unwrap();
        peer.set_nodelay(true).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut pipe = Pipe::new().unwrap();
        let mut sent = 0;
        loop {
            peer.write_all(b"x").await.unwrap();
            sent += 1;
            match pipe.fill(&stream, SIZE).await.unwrap() {
                Filled::Some => assert_eq!(pipe.held(), sent),
                Filled::Full => break,
                Filled::End => unreachable!("the peer is there"),
            }
        }
        assert!(pipe.held() + 1 == sent && sent < SIZE / 1024);
        let file = Arc::new(tempfile::tempfile().unwrap());
        pipe.pour(&file, 0).await.unwrap();
        assert_eq!(pipe.fill(&stream, SIZE).await.unwrap(), Filled::Some);
        drop(peer);
        assert_eq!(pipe.fill(&stream, SIZE).await.unwrap(), Filled::End);
    }
}
