//! A proxy that understands requests: what a test wants to answer itself, or to keep waiting, does not reach the server.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What is done with a request.
pub enum Verdict {
    Pass,
    /// This head is sent instead.
    Instead(String),
    /// The proxy answers with this.
    Answer(String),
    /// The server's answer ends after so many bytes.
    Cut(u64),
    /// After so many bytes of the server's answer no more comes until who asked goes away.
    Stall(u64),
    /// The last byte of the server's answer is another one.
    Spoiled,
    /// The server's answer comes in so many pieces, with a pause after each.
    Slowly(usize, Duration),
}

/// Runs until it is dropped.
pub struct HttpProxy {
    pub port: u16,
    ended: Arc<AtomicBool>,
}

impl HttpProxy {
    /// Passes requests without a body on to `port` of this machine, one in a connection. `judge` is shown the head of each, on a thread
    /// of its own; it may wait.
    pub fn start(port: u16, judge: impl Fn(&str) -> Verdict + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = HttpProxy {
            port: listener.local_addr().unwrap().port(),
            ended: Arc::default(),
        };
        let (ended, judge) = (proxy.ended.clone(), Arc::new(judge));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let judge = judge.clone();
                std::thread::spawn(move || {
                    let client = client.ok()?;
                    pass(client, port, &*judge)
                });
            }
        });
        proxy
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the listener, which then looks.
        let _ = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.port)));
    }
}

/// One request; `None` if either side went away.
fn pass(mut client: TcpStream, port: u16, judge: &impl Fn(&str) -> Verdict) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let mut ends = true;
    match judge(&head) {
        Verdict::Pass => pass_on(&head, port, &mut client, u64::MAX)?,
        Verdict::Instead(head) => pass_on(&head, port, &mut client, u64::MAX)?,
        Verdict::Answer(answer) => client.write_all(answer.as_bytes()).ok()?,
        Verdict::Cut(bytes) => pass_on(&head, port, &mut client, bytes)?,
        Verdict::Stall(bytes) => {
            pass_on(&head, port, &mut client, bytes)?;
            ends = false;
        }
        Verdict::Spoiled => {
            let mut answer = Vec::new();
            pass_on(&head, port, &mut answer, u64::MAX)?;
            *answer.last_mut()? ^= 1;
            client.write_all(&answer).ok()?;
        }
        Verdict::Slowly(pieces, pause) => {
            let mut answer = Vec::new();
            pass_on(&head, port, &mut answer, u64::MAX)?;
            for piece in answer.chunks(answer.len().div_ceil(pieces)) {
                client.write_all(piece).ok()?;
                std::thread::sleep(pause);
            }
        }
    }
    if ends {
        client.shutdown(Shutdown::Write).ok()?;
    }
    // Heard to its end, so that nothing is lost on the way.
    std::io::copy(&mut client, &mut std::io::sink()).ok()?;
    Some(())
}

/// So many bytes of what the server answers.
fn pass_on(head: &str, port: u16, client: &mut impl Write, bytes: u64) -> Option<()> {
    let mut server = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).ok()?;
    let (line, rest) = head.split_once("\r\n")?;
    let last = format!("{line}\r\nConnection: close\r\n{rest}");
    server.write_all(last.as_bytes()).ok()?;
    std::io::copy(&mut server.take(bytes), client).ok()?;
    Some(())
}

/// An answer with a body.
pub fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// An answer by which an S3 server refuses.
pub fn refusal(status: &str, code: &str) -> String {
    answer(
        status,
        &format!("<Error><Code>{code}</Code><Message>It is so.</Message></Error>"),
    )
}
