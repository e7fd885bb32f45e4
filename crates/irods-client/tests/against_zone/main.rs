//! Every method of a connection against an embedded zone, in both packings.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod collections;
mod connections;
mod create_all;
mod encrypted;
mod harsh;
mod metadata;
mod names;
mod open;
mod put;
mod query;
mod register;
mod replicas;
mod session;
mod streams;
mod zone_info;

use std::io::Read;

use irods_client::collection::ReplicaStatus;
use irods_client::environment::Sources;
use irods_client::protocol::Form;
use irods_client::transfer::OpenHow;
use irods_client::{ConnectOptions, Connection, Environment, Pool, PoolOptions};
use irods_zone::{Zone, ZoneOptions};

pub const HOME: &str = "/tempZone/home/rods";
pub const MIB: u64 = 1024 * 1024;

pub struct TestZone {
    pub environment: Environment,
    pub zone: Zone,
    pub dir: tempfile::TempDir,
}

impl TestZone {
    pub async fn start() -> TestZone {
        Self::with(|_| {}).await
    }

    /// A zone that is set in another way. It has the directory that is set for itself; its parent is the test's.
    pub async fn with(set: impl FnOnce(&mut ZoneOptions)) -> TestZone {
        let dir = tempfile::tempdir().unwrap();
        let mut options = ZoneOptions::new(dir.path().join("zone"));
        set(&mut options);
        let zone = Zone::start(options).await.unwrap();
        let file = zone.environment_file().to_str().unwrap().to_owned();
        // As any client finds it: by the file that the zone wrote.
        let environment = Environment::read(&Sources {
            variable: &|name| (name == "IRODS_ENVIRONMENT_FILE").then(|| file.clone()),
            uid: uid(dir.path()),
        })
        .unwrap();
        TestZone {
            environment,
            zone,
            dir,
        }
    }

    pub async fn connect(&self, form: Form) -> Connection {
        let options = ConnectOptions {
            form,
            ..ConnectOptions::default()
        };
        Connection::open(&self.environment, &options).await.unwrap()
    }

    pub fn pool(&self, size: usize) -> Pool {
        let options = PoolOptions {
            size,
            ..PoolOptions::default()
        };
        Pool::new(self.environment.clone(), ConnectOptions::default(), options)
    }

    /// A file outside the vault.
    pub fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

pub fn uid(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).unwrap().uid()
}

pub fn at(name: &str) -> String {
    format!("{HOME}/{name}")
}

pub async fn content(c: &mut Connection, object: &str) -> Vec<u8> {
    let mut open = c
        .open_data_object(object, OpenHow::Read, None)
        .await
        .unwrap();
    let mut all = Vec::new();
    loop {
        let block = open.read(300_000).await.unwrap();
        if block.is_empty() {
            break;
        }
        all.extend_from_slice(&block);
    }
    open.close().await.unwrap();
    all
}

/// Bytes that are nowhere alike.
pub fn bytes(n: u64) -> Vec<u8> {
    (0..n).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// The first replica's status, once the server has noticed that its writer is gone.
pub async fn at_rest(c: &mut Connection, object: &str) -> ReplicaStatus {
    let look = async {
        loop {
            let status = c.replicas(object).await.unwrap()[0].status;
            if status != ReplicaStatus::Intermediate {
                return status;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), look)
        .await
        .unwrap()
}

pub struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("broken disk"))
    }
}

/// A test for each packing.
macro_rules! in_both_packings {
    ($($test:ident => $xml:ident, $native:ident);+ $(;)?) => {$(
        #[tokio::test]
        async fn $xml() {
            $test(irods_client::protocol::Form::Xml).await;
        }

        #[tokio::test]
        async fn $native() {
            $test(irods_client::protocol::Form::Native).await;
        }
    )+};
}
use in_both_packings;
