use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::{Catalog, Options, bootstrap, collections, data_objects, testing};
use super::*;

async fn open(dir: &Path) -> Catalog {
    let catalog = Catalog::open(&dir.join("catalog.sqlite"), &Options::default()).unwrap();
    let new = !catalog.read(bootstrap::is_done).await.unwrap();
    if new {
        catalog
            .write(|conn| bootstrap::run(conn, &testing::zone()))
            .await
            .unwrap();
    }
    catalog
}

async fn create(catalog: &Catalog, name: &str) -> Result<i64> {
    let path = format!("/z/home/rods/{name}");
    catalog
        .write(move |conn| collections::create(conn, &testing::rods(conn), &path))
        .await
}

async fn names(catalog: &Catalog) -> Vec<String> {
    let found = catalog
        .read(|conn| collections::children(conn, "/z/home/rods", "", 100_000))
        .await;
    found
        .unwrap()
        .into_iter()
        .map(|c| c.name.rsplit('/').next().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_closure_undoes_only_its_own_work() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).await;
    // Hold the writer up so that all of the following end in one transaction.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let blocker = catalog.clone();
    let blocked = tokio::spawn(async move {
        blocker
            .write(move |_| {
                held.recv().unwrap();
                Ok(())
            })
            .await
    });
    let mut waiting = Vec::new();
    for n in 0..30 {
        let catalog = catalog.clone();
        waiting.push(tokio::spawn(async move {
            let path = format!("/z/home/rods/{n:02}");
            catalog
                .write(move |conn| {
                    let rods = testing::rods(conn);
                    let id = collections::create(conn, &rods, &path)?;
                    match n % 3 {
                        0 => Ok(id),
                        1 => Err(CatalogError::new(code::CAT_INVALID_ARGUMENT, "on purpose")),
                        _ => panic!("on purpose"),
                    }
                })
                .await
        }));
    }
    tokio::task::yield_now().await;
    release.send(()).unwrap();
    blocked.await.unwrap().unwrap();
    for (n, answer) in waiting.into_iter().enumerate() {
        match (n % 3, answer.await.unwrap()) {
            (0, Ok(_)) => {}
            (1, Err(error)) => assert_eq!(error.code, code::CAT_INVALID_ARGUMENT),
            (2, Err(error)) => assert_eq!(error.code, code::SYS_INTERNAL_ERR),
            (_, other) => panic!("{n}: {other:?}"),
        }
    }
    let expected: Vec<String> = (0..30).step_by(3).map(|n| format!("{n:02}")).collect();
    assert_eq!(names(&catalog).await, expected);
    create(&catalog, "still writing").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_seen_by_the_next_read_and_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).await;
    for n in 0..20 {
        create(&catalog, &format!("{n:02}")).await.unwrap();
        assert_eq!(names(&catalog).await.len(), n + 1);
    }
    drop(catalog);
    assert_eq!(names(&open(dir.path()).await).await.len(), 20);
}

#[tokio::test]
async fn a_read_cannot_write_and_may_panic() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).await;
    let written = catalog
        .read(|conn| collections::create(conn, &testing::rods(conn), "/z/home/rods/x"))
        .await;
    assert_eq!(code_of(written), code::CAT_SQL_ERR);
    let panicked = catalog
        .read(|_| -> Result<()> { panic!("on purpose") })
        .await;
    assert_eq!(code_of(panicked), code::SYS_INTERNAL_ERR);
    assert!(names(&catalog).await.is_empty());
}

const VICTIM: &str = "CATALOG_TEST_VICTIM";

/// Runs only as the child of the next test: creates objects until it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn victim() {
    let Some(dir) = std::env::var_os(VICTIM) else {
        return;
    };
    let catalog = open(Path::new(&dir)).await;
    let writers = (0..8).map(|writer| {
        let catalog = catalog.clone();
        tokio::spawn(async move {
            for n in 0_u64.. {
                let path = format!("/z/home/rods/{writer}-{n}");
                let name = path.clone();
                let done = catalog.write(move |conn| {
                    let rods = testing::rods(conn);
                    data_objects::create(conn, &rods, &path, &testing::replica(conn, &path, 1))
                });
                done.await.unwrap();
                println!("\nACK {name}");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    for acknowledged in [1, 60, 300] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "catalog::tests::threads::victim",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(VICTIM, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acked: Vec<String> = lines
            .map(Result::<_, std::io::Error>::unwrap)
            .filter_map(|line| line.strip_prefix("ACK ").map(str::to_owned))
            .take(acknowledged)
            .collect();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(acked.len(), acknowledged);
        let catalog = open(dir.path()).await;
        let missing: Vec<String> = catalog
            .read(move |conn| {
                let mut missing = acked;
                missing.retain(|path| data_objects::find(conn, path).unwrap().is_none());
                Ok(missing)
            })
            .await
            .unwrap();
        assert!(missing.is_empty(), "{missing:?}");
        // The next round starts on what this one left.
        let clean = catalog.write(|conn| {
            let verdict: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
            conn.execute("DELETE FROM r_data_main", [])?;
            Ok(verdict)
        });
        assert_eq!(clean.await.unwrap(), "ok");
    }
}
