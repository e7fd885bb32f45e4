//! A bad network in a box: passes connections on to a port of this machine, and spoils them as it is told.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What happens to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// After so many bytes, both ways together, both sides lose the connection, with whatever was on its way; until then,
    /// every piece is held back for a time.
    Cut(usize, Duration),
    /// The answers end after so many bytes, in the middle of one, as if the server had closed; what is sent still arrives.
    TruncateAnswers(usize),
    /// It is closed before a byte has passed.
    Refuse,
    /// What is asked first is answered with this, by the proxy itself.
    Answer(&'static [u8]),
    /// What is sent is held after so many bytes, until [`Proxy::release`].
    Hold(usize),
}

/// Whether anything is held, and whether it still may be.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    /// Waits here until the gate is opened.
    fn hold(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.1).unwrap());
    }
}

/// What the threads of a proxy share.
#[derive(Debug, Default)]
struct Shared {
    spoiled: AtomicUsize,
    ended: AtomicBool,
    gate: Gate,
}

/// A proxy that runs until it is dropped.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Passes on to `port` of this machine. `fault` is asked for each connection, in order.
    pub fn start(port: u16, mut fault: impl FnMut(usize) -> Fault + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy {
            port: listener.local_addr().unwrap().port(),
            shared: Arc::default(),
        };
        let shared = proxy.shared.clone();
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                if shared.ended.load(Ordering::Relaxed) {
                    return;
                }
                let (fault, shared) = (fault(number), shared.clone());
                std::thread::spawn(move || {
                    if let Ok(client) = client {
                        pass(client, port, fault, &shared);
                    }
                });
            }
        });
        proxy
    }

    /// How many connections were lost by a fault.
    pub fn spoiled(&self) -> usize {
        self.shared.spoiled.load(Ordering::Relaxed)
    }

    /// Waits until something is held.
    pub fn wait_until_held(&self) {
        let gate = &self.shared.gate;
        let state = gate.state.lock().unwrap();
        let waited = gate
            .changed
            .wait_timeout_while(state, super::PATIENCE, |state| !state.0)
            .unwrap();
        assert!(waited.0.0, "nothing was held");
    }

    /// Lets through what is held, and holds nothing more.
    pub fn release(&self) {
        self.shared.gate.state.lock().unwrap().1 = true;
        self.shared.gate.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.release();
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the listener, which then looks.
        let _ = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.port)));
    }
}

fn pass(client: TcpStream, port: u16, fault: Fault, shared: &Arc<Shared>) {
    let server = match fault {
        Fault::Answer(answer) => {
            answer_first(client, answer);
            shared.spoiled.fetch_add(1, Ordering::Relaxed);
            return;
        }
        Fault::Refuse => None,
        _ => TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).ok(),
    };
    let Some(server) = server else {
        shared.spoiled.fetch_add(1, Ordering::Relaxed);
        return;
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let passed = Arc::new(AtomicUsize::new(0));
    let there = {
        let (client, server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let (passed, shared) = (passed.clone(), shared.clone());
        let fault = match fault {
            Fault::TruncateAnswers(_) => Fault::None,
            other => other,
        };
        std::thread::spawn(move || pump(client, server, fault, &passed, &shared))
    };
    let back = match fault {
        Fault::Hold(_) => Fault::None,
        other => other,
    };
    pump(server, client, back, &passed, shared);
    let _ = there.join();
}

/// Answers whatever comes first, and closes once the client has.
fn answer_first(mut client: TcpStream, answer: &[u8]) {
    let mut buffer = vec![0; 64 * 1024];
    if client.read(&mut buffer).is_ok_and(|got| got > 0) && client.write_all(answer).is_ok() {
        let _ = client.shutdown(Shutdown::Write);
        let _ = std::io::copy(&mut client, &mut std::io::sink());
    }
}

/// Moves bytes one way until one side is done or the fault says so.
fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    fault: Fault,
    passed: &AtomicUsize,
    shared: &Shared,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut moved = 0;
    loop {
        let got = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(got) => got,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let (room, all) = match fault {
            Fault::Cut(limit, delay) => {
                std::thread::sleep(delay);
                let before = passed.fetch_add(got, Ordering::Relaxed);
                (limit.saturating_sub(before), before + got > limit)
            }
            Fault::TruncateAnswers(limit) => {
                moved += got;
                (limit.saturating_sub(moved - got), moved > limit)
            }
            Fault::Hold(limit) => {
                moved += got;
                if moved > limit {
                    shared.gate.hold();
                }
                (got, false)
            }
            Fault::None | Fault::Refuse | Fault::Answer(_) => (got, false),
        };
        if to.write_all(&buffer[..got.min(room)]).is_err() {
            break;
        }
        if all {
            shared.spoiled.fetch_add(1, Ordering::Relaxed);
            if matches!(fault, Fault::Cut(..)) {
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
