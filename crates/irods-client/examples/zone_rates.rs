//! One measurement of how fast a zone answers, by the clock of a client: `bench/zone.py` makes a table of many.
//!
//! `zone_rates IRODS_ENVIRONMENT_FILE COLLECTION WHAT CONNECTIONS [COUNT | FILE]`, where WHAT is
//! - `stat`: COUNT times of the objects that `register` made there, in turn;
//! - `register`: COUNT new objects for one file, its size and time given; also makes the collection;
//! - `register_ahead`: the same, 16 requests sent before the first answer is waited for;
//! - `register_row`, `register_rows`: the same as rows of the catalog on demoResc, one a call or 50; the latter with the present time;
//! - `put`: COUNT new objects of 4 KiB, one message each;
//! - `put_file`: FILE as one object, over so many connections;
//! - `get_file`: that object into FILE, over one.
//!
//! Prints the seconds, without connecting.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use irods_client::environment::{Environment, Sources};
use irods_client::register::{BULK_MAX, NewRow, Register};
use irods_client::transfer::{OpenHow, Put};
use irods_client::{ConnectOptions, NewObject, Pool, PoolOptions, Pooled};
use tokio::sync::Barrier;

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Objects that `stat` asks for.
const ASKED: usize = 1000;
const SMALL: usize = 4096;
const AHEAD: usize = 16;
const FILE: &str = "/etc/hostname";
const MTIME: i64 = 1_700_000_000;
const BLOCK: usize = 8 << 20;

#[tokio::main]
async fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [environment, collection, what, connections, last] = arguments.as_slice() else {
        return Err(
            "zone_rates IRODS_ENVIRONMENT_FILE COLLECTION WHAT CONNECTIONS COUNT|FILE".into(),
        );
    };
    let environment = Environment::read(&Sources {
        variable: &|name| (name == "IRODS_ENVIRONMENT_FILE").then(|| environment.clone()),
        uid: rustix::process::getuid().as_raw(),
    })?;
    let connections: usize = connections.parse()?;
    let options = PoolOptions {
        size: connections,
        ..PoolOptions::default()
    };
    let pool = Pool::new(environment, ConnectOptions::default(), options);
    let took = match what.as_str() {
        "put_file" | "get_file" => large(&pool, collection, what, connections, last).await?,
        _ => small(&pool, collection, what, connections, last.parse()?).await?,
    };
    println!("{}", took.as_secs_f64());
    Ok(())
}

/// Calls by all connections at the same time.
async fn small(
    pool: &Pool,
    collection: &str,
    what: &str,
    connections: usize,
    count: usize,
) -> Fallible<Duration> {
    let mut all = Vec::new();
    for _ in 0..connections {
        all.push(pool.get().await?);
    }
    if what != "stat" {
        all[0].create_collection(collection, true).await?;
    }
    let together = Arc::new(Barrier::new(connections + 1));
    let mut workers = Vec::new();
    for (first, mut zone) in all.into_iter().enumerate() {
        let (together, collection) = (Arc::clone(&together), collection.to_owned());
        let what = what.to_owned();
        let leaf = match what.starts_with("register_row") {
            true => Some(zone.leaf("demoResc").await?),
            false => None,
        };
        workers.push(tokio::spawn(async move {
            together.wait().await;
            let mut numbers = (first..count).step_by(connections);
            match leaf {
                Some(leaf) if what == "register_rows" => loop {
                    let rows: Vec<NewRow> = numbers
                        .by_ref()
                        .take(BULK_MAX)
                        .map(|number| row(&collection, number))
                        .collect();
                    if rows.is_empty() {
                        break;
                    }
                    zone.register_rows(&rows, &leaf).await?;
                },
                Some(leaf) => {
                    for number in numbers {
                        let row = row(&collection, number);
                        zone.register_row(&row, &leaf, Some(MTIME)).await?;
                    }
                }
                None if what == "register_ahead" => loop {
                    let objects: Vec<String> = numbers
                        .by_ref()
                        .take(AHEAD)
                        .map(|number| format!("{collection}/o{number}"))
                        .collect();
                    if objects.is_empty() {
                        break;
                    }
                    let what = file();
                    let all = objects.iter().map(|object| NewObject::Registered {
                        object,
                        what: &what,
                    });
                    let all: Vec<_> = all.collect();
                    for result in zone.create_all(&all, &mut |_| {}).await {
                        result?;
                    }
                },
                None => {
                    for number in numbers {
                        call(&mut zone, &collection, &what, number).await?;
                    }
                }
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        }));
    }
    together.wait().await;
    let began = Instant::now();
    for worker in workers {
        worker.await??;
    }
    Ok(began.elapsed())
}

fn row(collection: &str, number: usize) -> NewRow {
    NewRow {
        object: format!("{collection}/o{number}"),
        file: FILE.to_owned(),
        size: SMALL as u64,
        ..NewRow::default()
    }
}

fn file() -> Register {
    Register {
        file: FILE.to_owned(),
        size: Some(SMALL as u64),
        mtime: Some(MTIME),
        ..Register::default()
    }
}

async fn call(zone: &mut Pooled, collection: &str, what: &str, number: usize) -> Fallible<()> {
    match what {
        "stat" => {
            let object = format!("{collection}/o{}", number % ASKED);
            zone.stat(&object).await?.ok_or("it is not there")?;
        }
        "register" => {
            let object = format!("{collection}/o{number}");
            zone.register(&object, &file()).await?;
        }
        "put" => {
            let object = format!("{collection}/p{number}");
            let bytes = [7; SMALL];
            zone.put_bytes(&object, &bytes, &Put::default()).await?;
        }
        _ => return Err(format!("what is {what}?").into()),
    }
    Ok(())
}

async fn large(
    pool: &Pool,
    collection: &str,
    what: &str,
    connections: usize,
    file: &str,
) -> Fallible<Duration> {
    let object = format!("{collection}/large");
    let mut zone = pool.get().await?;
    let began = Instant::now();
    if what == "put_file" {
        let source = std::fs::File::open(file)?;
        let size = source.metadata()?.len();
        let how = Put {
            overwrite: true,
            ..Put::default()
        };
        zone.put_in_streams(&object, source, size, &how, connections)
            .await?;
    } else {
        let mut target = std::fs::File::create(file)?;
        let mut open = zone.open_data_object(&object, OpenHow::Read, None).await?;
        loop {
            let block = open.read(BLOCK).await?;
            if block.is_empty() {
                break;
            }
            target.write_all(&block)?;
        }
        open.close().await?;
    }
    Ok(began.elapsed())
}
