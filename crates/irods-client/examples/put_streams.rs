//! What several connections gain for one large file: puts one into an embedded zone over 1, 2 and 4, on a fast network and on
//! one with a delay each way.
//!
//! `cargo run --release -p irods-client --example put_streams -- [MiB] [milliseconds of delay]`

use std::error::Error;
use std::io::{Read, repeat};
use std::time::{Duration, Instant};

use irods_client::transfer::{Put, PutChecksum};
use irods_client::{ConnectOptions, Environment, Pool, PoolOptions};
use irods_zone::{Zone, ZoneOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Bytes that a delayed connection has on the way at most, as a TCP window.
const WINDOW: usize = 64;
const PIECE: usize = 64 * 1024;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1).map(|n| n.parse::<u64>());
    let mib = numbers.next().unwrap_or(Ok(256))?;
    let delay = Duration::from_millis(numbers.next().unwrap_or(Ok(10))?);
    let dir = tempfile::tempdir()?;
    let zone = Zone::start(ZoneOptions::new(dir.path().join("zone"))).await?;
    let environment = environment(&zone)?;
    let far = Environment {
        port: proxy(environment.port, delay).await?,
        ..environment.clone()
    };
    for (network, environment) in [
        ("near".to_owned(), environment),
        (format!("{delay:?} away"), far),
    ] {
        for checksum in [PutChecksum::None, PutChecksum::Verify] {
            for streams in [1, 2, 4] {
                let options = PoolOptions {
                    size: streams,
                    ..PoolOptions::default()
                };
                let pool = Pool::new(environment.clone(), ConnectOptions::default(), options);
                let mut connection = pool.get().await?;
                let how = Put {
                    overwrite: true,
                    checksum,
                    ..Put::default()
                };
                let size = mib * 1024 * 1024;
                let source = repeat(7).take(size);
                let start = Instant::now();
                let object = "/tempZone/home/rods/large";
                connection
                    .put_in_streams(object, source, size, &how, streams)
                    .await?;
                let seconds = start.elapsed().as_secs_f64();
                println!(
                    "{network}, {checksum:?}, {streams} connections: {:.0} MiB/s",
                    mib as f64 / seconds
                );
            }
        }
    }
    Ok(())
}

fn environment(zone: &Zone) -> Result<Environment, Box<dyn Error>> {
    let file = zone.environment_file().to_string_lossy().into_owned();
    let uid = rustix::process::getuid().as_raw();
    Ok(Environment::read(&irods_client::environment::Sources {
        variable: &|name| (name == "IRODS_ENVIRONMENT_FILE").then(|| file.clone()),
        uid,
    })?)
}

/// A port that leads to another one, slowly.
async fn proxy(port: u16, delay: Duration) -> std::io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            if let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await {
                let (from_client, to_client) = near.into_split();
                let (from_server, to_server) = far.into_split();
                tokio::spawn(carry(from_client, to_server, delay));
                tokio::spawn(carry(from_server, to_client, delay));
            }
        }
    });
    Ok(address.port())
}

async fn carry(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
) {
    let (sender, mut on_the_way) = mpsc::channel::<(tokio::time::Instant, Vec<u8>)>(WINDOW);
    tokio::spawn(async move {
        loop {
            let mut piece = vec![0; PIECE];
            let Ok(n) = from.read(&mut piece).await else {
                return;
            };
            piece.truncate(n);
            let due = tokio::time::Instant::now() + delay;
            if n == 0 || sender.send((due, piece)).await.is_err() {
                return;
            }
        }
    });
    while let Some((due, piece)) = on_the_way.recv().await {
        tokio::time::sleep_until(due).await;
        if to.write_all(&piece).await.is_err() {
            return;
        }
    }
}
