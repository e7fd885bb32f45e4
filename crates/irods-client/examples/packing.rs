//! What the two wire forms cost: calls in a second, and processor time of a call (client and zone together), for registering,
//! looking and listing a thousand objects, with an embedded zone on the same machine, over one connection and over four.
//!
//! `cargo run --release -p irods-client --example packing -- [calls]`

use std::error::Error;
use std::time::Instant;

use irods_client::protocol::Form;
use irods_client::register::Register;
use irods_client::{ConnectOptions, Connection, Environment};
use irods_zone::{Zone, ZoneOptions};

/// A collection that is listed has at least so many objects.
const LISTED: usize = 1000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let calls: usize = std::env::args().nth(1).map_or(Ok(2000), |n| n.parse())?;
    for round in 0..3 {
        for form in [Form::Xml, Form::Native] {
            let dir = tempfile::tempdir()?;
            let zone = Zone::start(ZoneOptions::new(dir.path().join("zone"))).await?;
            for connections in [1, 4] {
                let each = (calls / connections).max(LISTED);
                let mut done = Vec::new();
                for what in [What::Register, What::Stat, What::List] {
                    let times = match what {
                        What::List => each / 20,
                        _ => each,
                    };
                    let (start, cpu) = (Instant::now(), cpu_ms()?);
                    let mut tasks = tokio::task::JoinSet::new();
                    for n in 0..connections {
                        let connection = connect(&zone, form).await?;
                        let below = format!("/tempZone/home/rods/c{connections}.{n}");
                        tasks.spawn(work(connection, what, below, times));
                    }
                    while let Some(outcome) = tasks.join_next().await {
                        outcome??;
                    }
                    let rate = (times * connections) as f64 / start.elapsed().as_secs_f64();
                    let each = (cpu_ms()? - cpu) / (times * connections) as f64;
                    done.push(format!("{what:?} {rate:.0}/s {each:.3} ms"));
                }
                println!(
                    "round {round}, {form:?}, {connections} connections: {}",
                    done.join(", ")
                );
            }
            zone.stop().await;
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum What {
    Register,
    Stat,
    List,
}

async fn work(
    mut connection: Connection,
    what: What,
    below: String,
    times: usize,
) -> Result<(), irods_client::Error> {
    if matches!(what, What::Register) {
        connection.create_collection(&below, true).await?;
    }
    for n in 0..times {
        let object = format!("{below}/a file of some length {n}.tiff");
        match what {
            What::Register => {
                let what = Register {
                    file: format!("/somewhere{object}"),
                    size: Some(4096),
                    mtime: Some(1_700_000_000),
                    ..Register::default()
                };
                connection.register(&object, &what).await?;
            }
            What::Stat => drop(connection.stat(&object).await?),
            What::List => drop(connection.list_data_objects(&below).await?),
        }
    }
    Ok(())
}

/// Processor time of this process so far, in its clock's ticks of 10 ms.
fn cpu_ms() -> Result<f64, Box<dyn Error + Send + Sync>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    Ok(ticks.filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() * 10.0)
}

async fn connect(zone: &Zone, form: Form) -> Result<Connection, Box<dyn Error + Send + Sync>> {
    let file = zone.environment_file().to_string_lossy().into_owned();
    let environment = Environment::read(&irods_client::environment::Sources {
        variable: &|name| (name == "IRODS_ENVIRONMENT_FILE").then(|| file.clone()),
        uid: rustix::process::getuid().as_raw(),
    })?;
    let options = ConnectOptions {
        form,
        ..ConnectOptions::default()
    };
    Ok(Connection::open(&environment, &options).await?)
}
