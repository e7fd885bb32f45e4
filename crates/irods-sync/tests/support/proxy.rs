//! A bad network in a box: passes connections on to a port of this machine, and spoils them as it is told.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// What happens to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every piece is held back for a time.
    Delay(Duration),
    /// After so many bytes, both ways together, both sides lose the connection, with whatever was on its way.
    Cut(usize),
    /// The answers end after so many bytes, in the middle of one, as if the server had closed; what is sent still arrives.
    TruncateAnswers(usize),
    /// It is closed before a byte has passed.
    Refuse,
}

/// A proxy that runs until it is dropped.
pub struct Proxy {
    pub port: u16,
    spoiled: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    /// Passes on to `port` of this machine. `fault` is asked for each connection, in order.
    pub fn start(port: u16, mut fault: impl FnMut(usize) -> Fault + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy {
            port: listener.local_addr().unwrap().port(),
            spoiled: Arc::default(),
            ended: Arc::default(),
        };
        let (spoiled, ended) = (proxy.spoiled.clone(), proxy.ended.clone());
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (fault, spoiled) = (fault(number), spoiled.clone());
                std::thread::spawn(move || {
                    if let Ok(client) = client {
                        pass(client, port, fault, &spoiled);
                    }
                });
            }
        });
        proxy
    }

    /// How many connections were lost by a fault.
    pub fn spoiled(&self) -> usize {
        self.spoiled.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the listener, which then looks.
        let _ = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.port)));
    }
}

fn pass(client: TcpStream, port: u16, fault: Fault, spoiled: &Arc<AtomicUsize>) {
    let server = match fault {
        Fault::Refuse => None,
        _ => TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).ok(),
    };
    let Some(server) = server else {
        spoiled.fetch_add(1, Ordering::Relaxed);
        return;
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let passed = Arc::new(AtomicUsize::new(0));
    let there = {
        let (client, server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let (passed, spoiled) = (passed.clone(), spoiled.clone());
        let fault = match fault {
            Fault::TruncateAnswers(_) => Fault::None,
            other => other,
        };
        std::thread::spawn(move || pump(client, server, fault, &passed, &spoiled))
    };
    pump(server, client, fault, &passed, spoiled);
    let _ = there.join();
}

/// Moves bytes one way until one side is done or the fault says so.
fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    fault: Fault,
    passed: &AtomicUsize,
    spoiled: &AtomicUsize,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut answered = 0;
    loop {
        let got = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(got) => got,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let (room, all) = match fault {
            Fault::Cut(limit) => {
                let before = passed.fetch_add(got, Ordering::Relaxed);
                (limit.saturating_sub(before), before + got > limit)
            }
            Fault::TruncateAnswers(limit) => {
                answered += got;
                (limit.saturating_sub(answered - got), answered > limit)
            }
            Fault::Delay(time) => {
                std::thread::sleep(time);
                (got, false)
            }
            Fault::None | Fault::Refuse => (got, false),
        };
        if to.write_all(&buffer[..got.min(room)]).is_err() {
            break;
        }
        if all {
            spoiled.fetch_add(1, Ordering::Relaxed);
            if matches!(fault, Fault::Cut(_)) {
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            } else {
                let _ = to.shutdown(Shutdown::Write);
                // The server is heard to its end, so that it is not the one who notices.
                let _ = std::io::copy(&mut from, &mut std::io::sink());
            }
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
