//! Starting, stopping, and what is left after a kill.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{Fixture, HOME, Peer, password, wish};
use irods_protocol::message::*;
use irods_protocol::{codes, keywords};
use irods_zone::{Joined, StartError, Zone, ZoneOptions};

async fn start(dir: &Path) -> Zone {
    Zone::start(ZoneOptions::new(dir)).await.unwrap()
}

#[tokio::test]
async fn a_stopped_zone_goes_on_where_it_was() {
    let f = Fixture::new().await;
    let (port, secret) = (f.zone.address().port(), f.password());
    let mut rods = f.rods().await;
    rods.put(&format!("{HOME}/o"), b"kept").await;
    let half = rods
        .open(&format!("{HOME}/half"), 1 | 64 | 512, KeyValPair::new())
        .await;
    rods.write(half, b"half").await;
    let Fixture { dir, zone } = f;
    zone.stop().await;
    assert!(rods.receive().await.is_none());
    let zone = start(&dir.path().join("zone")).await;
    assert_eq!(zone.address().port(), port);
    let mut rods = Peer::login(zone.address(), "rods", &secret).await;
    assert_eq!(rods.get(&format!("{HOME}/o")).await.unwrap(), b"kept");
    assert_eq!(
        rods.states(&format!("{HOME}/half")).await,
        [("0".into(), "0".into())]
    );
}

#[tokio::test]
async fn one_process_serves_a_directory_and_the_next_joins_it() {
    let f = Fixture::new().await;
    let again = Zone::start(ZoneOptions::new(f.zone_dir()))
        .await
        .err()
        .unwrap();
    let StartError::AlreadyServed {
        running: Some(running),
        ..
    } = &again
    else {
        panic!("{again}")
    };
    assert_eq!(running.port, f.zone.address().port());
    let Ok(Joined::Other(running)) = Zone::start_or_join(ZoneOptions::new(f.zone_dir())).await
    else {
        panic!("started twice")
    };
    assert!(running.environment_file.exists());
    let Ok(Joined::Own(own)) =
        Zone::start_or_join(ZoneOptions::new(f.dir.path().join("other"))).await
    else {
        panic!("not started")
    };
    own.stop().await;
}

#[tokio::test]
async fn what_cannot_be_served_is_said() {
    let f = Fixture::new().await;
    let mut options = ZoneOptions::new(f.dir.path().join("second"));
    options.listen = Some(f.zone.address());
    assert!(matches!(
        Zone::start(options).await,
        Err(StartError::PortInUse { .. })
    ));

    let file = f.dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(
        Zone::start(ZoneOptions::new(file.join("zone"))).await,
        Err(StartError::Directory { .. })
    ));

    let corrupt = f.dir.path().join("corrupt");
    std::fs::create_dir(&corrupt).unwrap();
    std::fs::write(
        corrupt.join("catalog.sqlite"),
        "no catalog at all".repeat(1000),
    )
    .unwrap();
    assert!(matches!(
        Zone::start(ZoneOptions::new(&corrupt)).await,
        Err(StartError::Open(_))
    ));

    let mut options = ZoneOptions::new(f.dir.path().join("third"));
    options.password_file = Some(f.dir.path().join("no password"));
    assert!(matches!(
        Zone::start(options.clone()).await,
        Err(StartError::Password { .. })
    ));
    std::fs::write(f.dir.path().join("no password"), "x\n").unwrap();
    assert!(matches!(
        Zone::start(options.clone()).await,
        Err(StartError::Password { .. })
    ));
    assert!(!f.dir.path().join("third").exists());
    std::fs::write(f.dir.path().join("no password"), "my own words\n").unwrap();
    let zone = Zone::start(options).await.unwrap();
    drop(Peer::login(zone.address(), "rods", "my own words").await);
    zone.stop().await;
}

#[tokio::test]
async fn a_password_file_sets_the_password_of_an_existing_zone() {
    let f = Fixture::new().await;
    let Fixture { dir, zone } = f;
    zone.stop().await;
    let file = dir.path().join("secret");
    std::fs::write(&file, "another").unwrap();
    let mut options = ZoneOptions::new(dir.path().join("zone"));
    options.password_file = Some(file);
    let zone = Zone::start(options).await.unwrap();
    drop(Peer::login(zone.address(), "rods", "another").await);
    assert_eq!(password(&dir.path().join("zone")), "another");
}

/// Content that can be told from its number.
fn content(n: u32) -> Vec<u8> {
    n.to_le_bytes().repeat(1 + (n as usize * 7919) % 40_000)
}

/// Not a test by itself: the zone that [`no_kill_loses_or_fakes_an_object`] kills.
#[tokio::test]
async fn zone_to_be_killed() {
    let Some(dir) = std::env::var_os("ZONE_TO_BE_KILLED") else {
        return;
    };
    let zone = start(Path::new(&dir)).await;
    println!("\nPORT {}", zone.address().port());
    std::future::pending::<()>().await;
}

fn spawn(dir: &Path) -> (Child, u16) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "zone_to_be_killed", "--nocapture"])
        .env("ZONE_TO_BE_KILLED", dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("PORT ")?.parse().ok())
        .unwrap();
    (child, port)
}

#[tokio::test]
async fn no_kill_loses_or_fakes_an_object() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("zone");
    let mut acknowledged: Vec<u32> = Vec::new();
    let mut next = 0_u32;
    for round in 0..8_u32 {
        let (mut child, port) = spawn(&dir);
        let secret = password(&dir);
        let address = ([127, 0, 0, 1], port).into();
        let mut peer = Peer::login(address, "rods", &secret).await;
        peer.mkdir(HOME).await;
        // A writer that has not closed at the moment of the kill, and an overwriting.
        let mut open = Peer::login(address, "rods", &secret).await;
        let fd = open
            .open(
                &format!("{HOME}/open-{round}"),
                1 | 64 | 512,
                KeyValPair::new(),
            )
            .await;
        assert_eq!(open.write(fd, b"not all").await, 7);
        let killer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(u64::from(20 + round * 37)));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        loop {
            let (n, path) = (next, format!("{HOME}/n{next}"));
            next += 1;
            let bytes = content(n);
            match put(&mut peer, &path, &bytes, n).await {
                Some(()) => acknowledged.push(n),
                None => break,
            }
        }
        killer.join().unwrap();
    }
    let zone = start(&dir).await;
    let mut peer = Peer::login(zone.address(), "rods", &password(&dir)).await;
    assert!(
        acknowledged.len() > 8,
        "only {} objects",
        acknowledged.len()
    );
    for n in &acknowledged {
        assert_eq!(
            peer.get(&format!("{HOME}/n{n}")).await.unwrap(),
            content(*n),
            "{n}"
        );
    }
    // Whatever is there and good has its bytes; nothing is in flight.
    for row in peer
        .query(&[403, 413, 407], &[(501, &format!("= '{HOME}'"))])
        .await
    {
        let (name, state) = (&row[0], row[1].as_str());
        match name.strip_prefix('n') {
            Some(n) if state == "1" => {
                assert_eq!(
                    peer.get(&format!("{HOME}/{name}")).await.unwrap(),
                    content(n.parse().unwrap())
                );
            }
            _ => assert_eq!(state, "0", "{name}"),
        }
    }
    // What was left half can be put again.
    let again = wish(keywords::FORCE_FLAG, "");
    assert_eq!(
        peer.put_with(&format!("{HOME}/open-0"), b"all of it", again)
            .await,
        0
    );
    assert_eq!(
        peer.get(&format!("{HOME}/open-0")).await.unwrap(),
        b"all of it"
    );
    assert_eq!(
        peer.put(&format!("{HOME}/open-0"), b"x").await,
        codes::OVERWRITE_WITHOUT_FORCE_FLAG
    );
}

/// Puts in one of two ways; none if the zone is gone.
async fn put(peer: &mut Peer, path: &str, bytes: &[u8], n: u32) -> Option<()> {
    use irods_protocol::Pi;
    use irods_protocol::header::kind;
    use tokio::io::AsyncWriteExt;
    let (api, input, body) = if n.is_multiple_of(3) {
        let input = DataObjInp {
            open_flags: 1 | 64 | 512,
            data_size: -1,
            ..common::object(path)
        };
        (irods_protocol::api::DATA_OBJ_OPEN, input, &b""[..])
    } else {
        let mut input = common::object(path);
        input.data_size = bytes.len() as i64;
        input.cond_input = wish(keywords::DATA_INCLUDED, "");
        (irods_protocol::api::DATA_OBJ_PUT, input, bytes)
    };
    let request = |api: i32, message: Vec<u8>, body: &[u8]| {
        let mut out =
            irods_protocol::frame::encode(kind::API_REQ, api, &message, b"", body.len()).unwrap();
        out.extend_from_slice(body);
        out
    };
    let out = request(api, input.to_bytes(peer.packing).unwrap(), body);
    peer.stream.write_all(&out).await.ok()?;
    let fd = peer.receive().await?.int_info;
    assert!(fd >= 0, "{fd}");
    if !n.is_multiple_of(3) {
        return Some(());
    }
    for (api, body) in [
        (irods_protocol::api::DATA_OBJ_WRITE, bytes),
        (irods_protocol::api::DATA_OBJ_CLOSE, b""),
    ] {
        let input = OpenedDataObjInp {
            l1desc_inx: fd,
            len: body.len() as i32,
            ..OpenedDataObjInp::default()
        };
        let out = request(api, input.to_bytes(peer.packing).unwrap(), body);
        peer.stream.write_all(&out).await.ok()?;
        let code = peer.receive().await?.int_info;
        assert!(code >= 0, "{code}");
    }
    Some(())
}
