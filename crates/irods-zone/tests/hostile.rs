//! Peers that are broken, slow or malicious: the zone answers or hangs up, and goes on serving others.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::time::Duration;

use common::{Fixture, HOME, Peer, object, opened, wish};
use irods_protocol::header::{Header, kind};
use irods_protocol::message::*;
use irods_protocol::{Packing, Pi, api, codes, frame, keywords};
use irods_zone::ServerLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn header(kind: &str, message_len: i32, bytes_len: i32, int_info: i32) -> Vec<u8> {
    let header = Header {
        kind: kind.into(),
        message_len,
        error_len: 0,
        bytes_len,
        int_info,
    };
    frame::encode_header(&header).unwrap()
}

/// Reads until the zone hangs up.
async fn until_closed(peer: &mut Peer) {
    let mut sink = [0_u8; 4096];
    while let Ok(n) = peer.stream.read(&mut sink).await {
        if n == 0 {
            return;
        }
    }
}

#[tokio::test]
async fn garbage_before_the_start_up_ends_the_connection_and_nothing_else() {
    let f = Fixture::new().await;
    let mut good = f.rods().await;
    let too_long = 5000_u32.to_be_bytes();
    let no_header = [&16_u32.to_be_bytes()[..], b"<MsgHeader_PI>xx"].concat();
    let garbage: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0; 64],
        vec![0xff; 4096],
        too_long.to_vec(),
        no_header,
        header(kind::CONNECT, i32::MAX, 0, 0),
        header(kind::CONNECT, -5, 0, 0),
        header(kind::CONNECT, 10, 0, 0)
            .into_iter()
            .chain(*b"<nonsense>")
            .collect(),
        header(kind::API_REQ, 0, 0, api::GEN_QUERY),
        header(kind::CONNECT, 0, 1 << 30, 0),
    ];
    for bytes in garbage {
        let mut peer = Peer::connect(f.zone.address(), Packing::XML).await;
        // The zone may hang up while this is being sent.
        let _ = peer.stream.write_all(&bytes).await;
        let _ = peer.stream.shutdown().await;
        until_closed(&mut peer).await;
    }
    assert!(good.stat(HOME).await.is_ok());
}

#[tokio::test]
async fn a_malformed_body_is_answered_and_the_connection_stays() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    for number in [
        api::OBJ_STAT,
        api::GEN_QUERY,
        api::DATA_OBJ_PUT,
        api::TOUCH,
        api::MOD_DATA_OBJ_META,
    ] {
        rods.send(kind::API_REQ, number, b"<Wrong_PI></Wrong_PI>", b"")
            .await;
        assert_eq!(
            rods.answer().await.code,
            codes::SYS_PACK_INSTRUCT_FORMAT_ERR,
            "{number}"
        );
        assert_eq!(
            rods.bare(number).await.code,
            codes::SYS_API_INPUT_ERR,
            "{number}"
        );
    }
    let answer = rods
        .stream_call(api::OBJ_STAT, &object(HOME), b"surplus")
        .await;
    assert_eq!(answer.code, codes::SYS_API_INPUT_ERR);
    assert_eq!(
        rods.json(api::TOUCH, "{").await.code,
        codes::INPUT_ARG_NOT_WELL_FORMED_ERR
    );
    assert_eq!(
        rods.json(api::REPLICA_CLOSE, &"[".repeat(100_000))
            .await
            .code,
        codes::INPUT_ARG_NOT_WELL_FORMED_ERR
    );
    let long = object(&format!("{HOME}/{}", "x".repeat(2000)));
    rods.send(
        kind::API_REQ,
        api::OBJ_STAT,
        format!(
            "<DataObjInp_PI><objPath>{}</objPath></DataObjInp_PI>",
            long.obj_path
        )
        .as_bytes(),
        b"",
    )
    .await;
    assert_eq!(rods.answer().await.code, codes::USER_PACKSTRUCT_INPUT_ERR);
    assert!(rods.stat(HOME).await.is_ok());
}

#[tokio::test]
async fn requests_sent_without_waiting_are_answered_in_order() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    for n in 0..100 {
        let path = if n % 2 == 0 {
            HOME
        } else {
            "/tempZone/home/nope"
        };
        let message = object(path).to_bytes(Packing::XML).unwrap();
        rods.send(kind::API_REQ, api::OBJ_STAT, &message, b"").await;
    }
    for n in 0..100 {
        let expected = if n % 2 == 0 {
            2
        } else {
            codes::USER_FILE_DOES_NOT_EXIST
        };
        assert_eq!(rods.answer().await.code, expected);
    }
}

#[tokio::test]
async fn announced_lengths_are_refused_or_never_believed() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let length = header(kind::API_REQ, 0, 1 << 30, api::DATA_OBJ_WRITE);
    rods.stream.write_all(&length).await.unwrap();
    assert_eq!(rods.answer().await.code, codes::SYS_REQUESTED_BUF_TOO_LARGE);
    until_closed(&mut rods).await;
    // Many peers that announce much and send little hold only what they have sent.
    let mut peers = Vec::new();
    for _ in 0..50 {
        let mut peer = f.rods().await;
        peer.stream
            .write_all(&header(kind::API_REQ, 0, 60 << 20, api::DATA_OBJ_WRITE))
            .await
            .unwrap();
        peers.push(peer);
    }
    let resident: u64 = std::fs::read_to_string("/proc/self/statm")
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    assert!(resident * 4096 < 1 << 30, "{resident} pages");
    assert!(f.rods().await.stat(HOME).await.is_ok());
}

#[tokio::test]
async fn who_does_not_log_in_in_time_is_put_out() {
    let limits = ServerLimits {
        login: Duration::from_millis(300),
        ..ServerLimits::default()
    };
    let f = Fixture::with(|options| options.limits = limits).await;
    let mut silent = Peer::connect(f.zone.address(), Packing::XML).await;
    let mut slow = Peer::connect(f.zone.address(), Packing::XML).await;
    let mut undecided = Peer::start(f.zone.address(), Packing::XML, "rods", "rods").await;
    let dribble = async {
        for byte in header(kind::CONNECT, 100, 0, 0) {
            if slow.stream.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(
        until_closed(&mut silent),
        until_closed(&mut undecided),
        dribble
    );
    until_closed(&mut slow).await;
    assert!(f.rods().await.stat(HOME).await.is_ok());
}

/// A zone that waits 0.2 s for the rest of a message.
async fn impatient() -> Fixture {
    let limits = ServerLimits {
        stall: Duration::from_millis(200),
        ..ServerLimits::default()
    };
    Fixture::with(|options| options.limits = limits).await
}

#[tokio::test]
async fn who_stops_in_the_middle_of_a_message_is_put_out() {
    let f = impatient().await;
    let mut rods = f.rods().await;
    let fd = rods
        .open(&format!("{HOME}/o"), 1 | 64 | 512, KeyValPair::new())
        .await;
    assert!(fd >= 3);
    rods.stream
        .write_all(&header(kind::API_REQ, 500, 0, api::DATA_OBJ_WRITE))
        .await
        .unwrap();
    rods.stream
        .write_all(b"<OpenedDataObjInp_PI>")
        .await
        .unwrap();
    until_closed(&mut rods).await;
    let mut other = f.rods().await;
    while other.states(&format!("{HOME}/o")).await != [("0".into(), "0".into())] {
        tokio::task::yield_now().await;
    }
}

/// Opens an object for writing and sends one write of 1 MiB but for its last byte.
async fn almost_write(rods: &mut Peer, path: &str) {
    let fd = rods.open(path, 1 | 64 | 512, KeyValPair::new()).await;
    let message = rods.write_message(fd, &vec![1; 1 << 20]);
    let almost = &message[..message.len() - 1];
    rods.stream.write_all(almost).await.unwrap();
}

#[tokio::test]
async fn large_bytes_that_do_not_all_come_leave_no_good_replica() {
    let f = impatient().await;
    let path = format!("{HOME}/o");
    let mut other = f.rods().await;
    for stays in [true, false] {
        let mut rods = f.rods().await;
        almost_write(&mut rods, &path).await;
        if stays {
            assert!(
                rods.receive().await.is_none(),
                "answered before it was whole"
            );
        } else {
            drop(rods);
        }
        while other.states(&path).await != [("0".into(), "0".into())] {
            tokio::task::yield_now().await;
        }
        assert_eq!(other.unlink(&path, wish(keywords::FORCE_FLAG, "")).await, 0);
    }
}

#[tokio::test]
async fn a_zone_stops_in_the_middle_of_large_bytes() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    almost_write(&mut rods, &format!("{HOME}/o")).await;
    // It waits longer than that for calls in hand.
    let stopped = tokio::time::timeout(Duration::from_secs(8), f.zone.stop()).await;
    assert!(stopped.is_ok());
    assert!(rods.receive().await.is_none());
}

#[tokio::test]
async fn large_writes_that_are_refused_leave_the_connection_in_step() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let path = format!("{HOME}/o");
    assert_eq!(rods.put(&path, b"good").await, 0);
    let reading = rods.open(&path, 0, KeyValPair::new()).await;
    let bytes = vec![b'<'; 3 << 20];
    let stat = object(HOME).to_bytes(Packing::XML).unwrap();
    for (fd, code) in [
        (1000, codes::BAD_INPUT_DESC_INDEX),
        (-1, codes::SYS_FILE_DESC_OUT_OF_RANGE),
        (reading, codes::UNIX_FILE_WRITE_ERR - 9),
    ] {
        let write = opened(fd, bytes.len()).to_bytes(Packing::XML).unwrap();
        for message in [&write[..], b"<nonsense>"] {
            rods.send(kind::API_REQ, api::DATA_OBJ_WRITE, message, &bytes)
                .await;
            rods.send(kind::API_REQ, api::OBJ_STAT, &stat, b"").await;
            let refused = rods.answer().await.code;
            assert!(refused == code || (refused < 0 && message != write));
            assert_eq!(rods.answer().await.code, 2, "a collection");
        }
    }
    assert_eq!(rods.close(reading).await, 0);
    assert_eq!(rods.get(&path).await.unwrap(), b"good");
}

#[tokio::test]
async fn connections_over_the_limit_are_told_so() {
    let limits = ServerLimits {
        connections: 2,
        ..ServerLimits::default()
    };
    let f = Fixture::with(|options| options.limits = limits).await;
    let (first, _second) = (f.rods().await, f.rods().await);
    let mut third = Peer::connect(f.zone.address(), Packing::XML).await;
    let pack = StartupPack {
        irods_prot: 1,
        proxy_user: "rods".into(),
        ..StartupPack::default()
    };
    third
        .send(
            kind::CONNECT,
            0,
            &pack.to_bytes(Packing::STARTUP).unwrap(),
            b"",
        )
        .await;
    let version =
        Version::from_bytes(Packing::STARTUP, &third.receive().await.unwrap().message).unwrap();
    assert_eq!(version.status, codes::SYS_MAX_CONNECT_COUNT_EXCEEDED);
    until_closed(&mut third).await;
    drop(first);
    // The place is free as soon as the zone has noticed.
    loop {
        let mut peer = Peer::connect(f.zone.address(), Packing::XML).await;
        peer.send(
            kind::CONNECT,
            0,
            &pack.to_bytes(Packing::STARTUP).unwrap(),
            b"",
        )
        .await;
        let version =
            Version::from_bytes(Packing::STARTUP, &peer.receive().await.unwrap().message).unwrap();
        if version.status == 0 {
            break;
        }
    }
}

#[tokio::test]
async fn descriptors_run_out_with_an_error() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let o = format!("{HOME}/o");
    rods.put(&o, b"x").await;
    let mut last = 0;
    for _ in 0..1100 {
        last = rods.open(&o, 0, KeyValPair::new()).await;
        if last < 0 {
            break;
        }
    }
    assert_eq!(last, codes::SYS_OUT_OF_FILE_DESC);
    assert_eq!(rods.close(3).await, 0);
    assert_eq!(rods.open(&o, 0, KeyValPair::new()).await, 3);
}

#[tokio::test]
async fn odd_numbers_do_no_harm() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let o = format!("{HOME}/o");
    rods.put(&o, b"0123456789").await;
    let fd = rods.open(&o, 2, KeyValPair::new()).await;
    let seek = |offset: i64, whence: i32| OpenedDataObjInp {
        l1desc_inx: fd,
        offset,
        whence,
        ..OpenedDataObjInp::default()
    };
    for (offset, whence) in [(-1, 0), (i64::MIN, 1), (i64::MIN, 2), (0, 7), (i64::MAX, 2)] {
        assert!(
            rods.call(api::DATA_OBJ_LSEEK, &seek(offset, whence))
                .await
                .code
                < 0,
            "{offset} {whence}"
        );
    }
    assert_eq!(rods.seek(fd, i64::MAX, 0).await, i64::MAX);
    assert_eq!(rods.read(fd, i32::MAX).await, b"");
    assert!(rods.write(fd, b"x").await < 0);
    assert_eq!(rods.seek(fd, 8, 0).await, 8);
    assert_eq!(rods.read(fd, i32::MAX).await, b"89");
    assert_eq!(rods.read(fd, -5).await, b"");
    for size in [i64::MIN, -2, i64::MAX] {
        let input = DataObjInp {
            data_size: size,
            cond_input: wish(keywords::DATA_INCLUDED, ""),
            ..object(&format!("{HOME}/p{size}"))
        };
        let code = rods
            .stream_call(api::DATA_OBJ_PUT, &input, b"abc")
            .await
            .code;
        assert!(
            code == 0 || code == codes::SYS_COPY_LEN_ERR,
            "{size}: {code}"
        );
    }
    let truncate = DataObjInp {
        data_size: i64::MAX,
        ..object(&format!("{HOME}/p-2"))
    };
    assert!(rods.call(api::REPLICA_TRUNCATE, &truncate).await.code < 0);
}

/// Pages of this process that are in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[tokio::test]
async fn who_sends_a_byte_at_a_time_or_nothing_holds_up_nobody() {
    let limits = ServerLimits {
        login: Duration::from_millis(400),
        ..ServerLimits::default()
    };
    let f = Fixture::with(|options| options.limits = limits).await;
    let before = resident();
    let mut slow = Vec::new();
    for n in 0..200 {
        let mut peer = Peer::connect(f.zone.address(), Packing::XML).await;
        // Some begin a message, some end their side at once, some say nothing.
        match n % 3 {
            0 => drop(
                peer.stream
                    .write_all(&header(kind::CONNECT, 600, 0, 0))
                    .await,
            ),
            1 => drop(peer.stream.shutdown().await),
            _ => {}
        }
        slow.push(peer);
    }
    let mut good = f.rods().await;
    let serving = async {
        for n in 0..50 {
            assert_eq!(good.put(&format!("{HOME}/o{n}"), b"content").await, 0);
        }
    };
    let dribbling = async {
        // It never finishes, and is put out although it always sends something.
        if let Some(peer) = slow.first_mut() {
            while peer.stream.write_all(b"<").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    tokio::join!(serving, dribbling);
    for peer in &mut slow {
        until_closed(peer).await;
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 256 << 20, "{grown} bytes");
    assert!(good.stat(HOME).await.is_ok());
}

#[tokio::test]
async fn lengths_of_a_gibibyte_get_no_memory() {
    let f = Fixture::new().await;
    let mut good = f.rods().await;
    let before = resident();
    for number in [
        api::DATA_OBJ_WRITE,
        api::DATA_OBJ_PUT,
        api::GEN_QUERY,
        api::TOUCH,
        api::BULK_DATA_OBJ_PUT,
    ] {
        for (message, bytes) in [
            (1 << 30, 0),
            (0, 1 << 30),
            (1 << 30, 1 << 30),
            (i32::MAX, i32::MAX),
        ] {
            let mut rods = f.rods().await;
            let lengths = header(kind::API_REQ, message, bytes, number);
            rods.stream.write_all(&lengths).await.unwrap();
            assert_eq!(rods.answer().await.code, codes::SYS_REQUESTED_BUF_TOO_LARGE);
            until_closed(&mut rods).await;
            assert!(good.stat(HOME).await.is_ok());
        }
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 256 << 20, "{grown} bytes");
}

/// Requests of all kinds, with everything that a real client sends.
fn sample_requests() -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    let mut add = |number: i32, message: Vec<u8>, bytes: &[u8]| {
        let mut request = frame::encode(kind::API_REQ, number, &message, b"", bytes.len()).unwrap();
        request.extend_from_slice(bytes);
        requests.push(request);
    };
    let path = format!("{HOME}/repeated");
    let put = DataObjInp {
        data_size: 7,
        cond_input: wish(keywords::DATA_INCLUDED, "").with(keywords::FORCE_FLAG, ""),
        ..object(&path)
    };
    let packed = |input: &dyn Fn() -> Vec<u8>| input();
    add(
        api::DATA_OBJ_PUT,
        packed(&|| put.to_bytes(Packing::XML).unwrap()),
        b"content",
    );
    add(
        api::OBJ_STAT,
        object(&path).to_bytes(Packing::XML).unwrap(),
        b"",
    );
    let query = GenQueryInp {
        max_rows: 10,
        selects: InxIvalPair(vec![(403, 1), (407, 1)]),
        ..GenQueryInp::default()
    };
    add(api::GEN_QUERY, query.to_bytes(Packing::XML).unwrap(), b"");
    let touch = format!(r#"{{"logical_path":"{path}","options":{{}}}}"#);
    let touch = BinBytesBuf(touch.into_bytes());
    add(api::TOUCH, touch.to_bytes(Packing::XML).unwrap(), b"");
    requests
}

#[tokio::test]
async fn truncated_and_repeated_messages_leave_the_zone_serving() {
    let f = Fixture::new().await;
    let mut good = f.rods().await;
    let requests = sample_requests();
    // Each cut at many places; the connection ends there.
    for request in &requests {
        for cut in (1..request.len()).step_by(request.len() / 12 + 1) {
            let mut rods = f.rods().await;
            rods.stream.write_all(&request[..cut]).await.unwrap();
            rods.stream.shutdown().await.unwrap();
            until_closed(&mut rods).await;
        }
    }
    assert!(good.stat(HOME).await.is_ok());
    // The same over and over, without waiting for answers.
    let before = resident();
    let mut rods = f.rods().await;
    for request in &requests {
        for _ in 0..200 {
            rods.stream.write_all(request).await.unwrap();
        }
        for _ in 0..200 {
            assert!(rods.answer().await.code >= 0);
        }
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 256 << 20, "{grown} bytes");
    // A start-up again in the middle of a session.
    let pack = StartupPack::default().to_bytes(Packing::STARTUP).unwrap();
    rods.send(kind::CONNECT, 0, &pack, b"").await;
    until_closed(&mut rods).await;
    assert_eq!(
        good.get(&format!("{HOME}/repeated")).await.unwrap(),
        b"content"
    );
}
