//! Data objects over the wire: putting, opening, writing over several connections, removing, renaming,
//! registering, checksums, replicas.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{Fixture, HOME, Peer, object, wish};
use irods_protocol::message::*;
use irods_protocol::{Packing, api, codes, keywords};
use tokio::io::AsyncWriteExt;

const CREATE: i32 = 1 | 64 | 512;
const APPEND: i32 = 1 | 1024;

fn path(name: &str) -> String {
    format!("{HOME}/{name}")
}

#[tokio::test]
async fn bytes_come_back_in_both_packings() {
    let f = Fixture::new().await;
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    for (name, packing) in [
        ("it's & <xml> `", Packing::XML),
        ("native \u{fc}", Packing::NATIVE),
    ] {
        let mut peer = Peer::login_as(f.zone.address(), packing, "rods", &f.password()).await;
        assert_eq!(peer.put(&path(name), &bytes).await, 0);
        assert_eq!(peer.get(&path(name)).await.unwrap(), bytes);
        let stat = peer.stat(&path(name)).await.unwrap();
        assert_eq!((stat.obj_type, stat.obj_size), (1, bytes.len() as i64));
        let fd = peer.open(&path(name), 0, KeyValPair::new()).await;
        assert_eq!(fd, 3);
        assert_eq!(peer.seek(fd, -4, 2).await, bytes.len() as i64 - 4);
        assert_eq!(peer.read(fd, 100).await, bytes[bytes.len() - 4..]);
        assert_eq!(peer.read(fd, 100).await, b"");
        assert_eq!(peer.write(fd, b"x").await, codes::UNIX_FILE_WRITE_ERR - 9);
        assert_eq!(peer.close(fd).await, 0);
        assert_eq!(peer.close(fd).await, codes::BAD_INPUT_DESC_INDEX);
        assert_eq!(peer.close(99_999).await, codes::SYS_FILE_DESC_OUT_OF_RANGE);
    }
}

#[tokio::test]
async fn a_put_does_not_overwrite_unasked() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    assert_eq!(rods.put(&path("o"), b"first").await, 0);
    assert_eq!(
        rods.put(&path("o"), b"second").await,
        codes::OVERWRITE_WITHOUT_FORCE_FLAG
    );
    assert_eq!(
        rods.put(HOME, b"x").await,
        codes::OVERWRITE_WITHOUT_FORCE_FLAG
    );
    assert_eq!(rods.get(&path("o")).await.unwrap(), b"first");
    assert_eq!(
        rods.put_with(&path("o"), b"second", wish(keywords::FORCE_FLAG, ""))
            .await,
        0
    );
    assert_eq!(rods.get(&path("o")).await.unwrap(), b"second");
    assert_eq!(
        rods.put(&path("no/such/coll"), b"x").await,
        codes::CAT_UNKNOWN_COLLECTION
    );
    let elsewhere = wish(keywords::DEST_RESC_NAME, "noSuchResc");
    assert_eq!(
        rods.put_with(&path("p"), b"x", elsewhere).await,
        codes::SYS_RESC_DOES_NOT_EXIST
    );
}

#[tokio::test]
async fn a_put_is_checked_and_furnished_in_the_same_call() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    drop(f.user("alice").await);
    let good = "sha2:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="; // of "hello"
    let wishes = wish(keywords::VERIFY_CHKSUM, good)
        .with(keywords::METADATA_INCLUDED, "a;b;c;d;e;")
        .with(keywords::ACL_INCLUDED, "read alice");
    assert_eq!(rods.put_with(&path("o"), b"hello", wishes).await, 0);
    assert_eq!(rods.stat(&path("o")).await.unwrap().chksum, good);
    let mut avus = rods.query(&[600, 601, 602], &[(403, "= 'o'")]).await;
    avus.sort();
    assert_eq!(avus, [["a", "b", "c"], ["d", "e", ""]]);
    let mut alice = Peer::login(f.zone.address(), "alice", "alice-secret").await;
    assert_eq!(alice.get(&path("o")).await.unwrap(), b"hello");

    // What has come wrongly is there and stale; what is malformed is not there at all.
    assert_eq!(
        rods.put_with(&path("bad"), b"hellx", wish(keywords::VERIFY_CHKSUM, good))
            .await,
        codes::USER_CHKSUM_MISMATCH
    );
    assert_eq!(rods.states(&path("bad")).await, [("0".into(), "0".into())]);
    assert_eq!(
        rods.put_with(&path("x"), b"hello", wish(keywords::ACL_INCLUDED, "read"))
            .await,
        codes::SYS_BAD_INPUT
    );
    assert!(rods.stat(&path("x")).await.is_err());
    let mut short = object(&path("short"));
    short.data_size = 10;
    short.cond_input = wish(keywords::DATA_INCLUDED, "");
    assert_eq!(
        rods.stream_call(api::DATA_OBJ_PUT, &short, b"12345")
            .await
            .code,
        codes::SYS_COPY_LEN_ERR
    );
    assert_eq!(
        rods.states(&path("short")).await,
        [("0".into(), "0".into())]
    );
}

#[tokio::test]
async fn a_large_put_and_get_go_over_this_connection() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let block = vec![7_u8; 1 << 20];
    let input = DataObjInp {
        data_size: 33 << 20,
        num_threads: 4,
        ..object(&path("large"))
    };
    let out: PortalOprOut = rods.call(api::DATA_OBJ_PUT, &input).await.ok().output();
    assert_eq!(out.num_threads, 0);
    assert_eq!(
        rods.states(&path("large")).await,
        [("0".into(), "2".into())]
    );
    for _ in 0..33 {
        assert_eq!(rods.write(out.l1desc_inx, &block).await, 1 << 20);
    }
    assert_eq!(
        rods.call(
            api::OPR_COMPLETE,
            &IntPi {
                my_int: out.l1desc_inx
            }
        )
        .await
        .code,
        0
    );
    assert_eq!(
        rods.states(&path("large")).await,
        [("0".into(), "1".into())]
    );
    let got = rods
        .call(api::DATA_OBJ_GET, &object(&path("large")))
        .await
        .ok();
    let out: PortalOprOut = got.output();
    assert!(got.frame.bytes.is_empty());
    let mut size = 0;
    loop {
        let bytes = rods.read(out.l1desc_inx, 8 << 20).await;
        size += bytes.len();
        if bytes.is_empty() {
            break;
        }
    }
    assert_eq!(size, 33 << 20);
    assert_eq!(
        rods.call(
            api::OPR_COMPLETE,
            &IntPi {
                my_int: out.l1desc_inx
            }
        )
        .await
        .code,
        0
    );
}

#[tokio::test]
async fn large_writes_land_where_they_belong_however_they_come() {
    let f = Fixture::new().await;
    for packing in [Packing::XML, Packing::NATIVE] {
        let mut rods = Peer::login_as(f.zone.address(), packing, "rods", &f.password()).await;
        let name = path(&format!("pieces-{:?}", packing.form));
        let fd = rods.open(&name, CREATE, KeyValPair::new()).await;
        let mut expected = Vec::new();
        // Around the size from which bytes are left on the wire, and over what goes into one pipe.
        let lengths = [262_143, 262_144, 300_001, 3 << 20, 1, 5 << 20];
        for (n, length) in lengths.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 31 + n) as u8).collect();
            let at = [0, 262_000, 100, 1 << 20, 7, 4 << 20][n];
            assert_eq!(rods.seek(fd, at, 0).await, at);
            let whole = rods.write_message(fd, &bytes);
            // The first pieces end in the header, in the message and among the bytes.
            let (mut rest, mut sizes) =
                (&whole[..], [3, 90, 140, 1, 70_000, 1 << 20].iter().cycle());
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                rods.stream.write_all(piece).await.unwrap();
                rods.stream.flush().await.unwrap();
                rest = later;
            }
            assert_eq!(rods.answer().await.code, length as i32);
            let end = at as usize + length;
            expected.resize(expected.len().max(end), 0);
            expected[at as usize..end].copy_from_slice(&bytes);
            assert_eq!(rods.seek(fd, 0, 1).await, end as i64);
        }
        assert_eq!(rods.close(fd).await, 0);
        let fd = rods.open(&name, APPEND, KeyValPair::new()).await;
        let more = vec![9; 1 << 20];
        assert_eq!(rods.write(fd, &more).await, 1 << 20);
        assert_eq!(rods.close(fd).await, 0);
        expected.extend_from_slice(&more);
        assert!(rods.get(&name).await.unwrap() == expected);
    }
}

#[tokio::test]
async fn fewer_bytes_than_declared_leave_no_good_replica() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let fd = rods
        .open(&path("o"), CREATE, wish(keywords::DATA_SIZE, "100"))
        .await;
    assert_eq!(rods.write(fd, b"too little").await, 10);
    assert_eq!(rods.close(fd).await, codes::SYS_COPY_LEN_ERR);
    assert_eq!(rods.states(&path("o")).await, [("0".into(), "0".into())]);
}

/// Opens for writing and asks for token and hierarchy.
async fn first_writer(peer: &mut Peer, name: &str) -> (i32, KeyValPair) {
    let fd = peer.open(name, CREATE, KeyValPair::new()).await;
    assert!(fd >= 3, "{fd}");
    let info = peer
        .json(api::GET_FILE_DESCRIPTOR_INFO, &format!("{{\"fd\":{fd}}}"))
        .await
        .ok()
        .json();
    let token = info["replica_token"].as_str().unwrap();
    let hierarchy = info["data_object_info"]["resource_hierarchy"]
        .as_str()
        .unwrap();
    let wishes = wish(keywords::REPLICA_TOKEN, token).with(keywords::RESC_HIER, hierarchy);
    (fd, wishes)
}

async fn detach(peer: &mut Peer, fd: i32) {
    let text = format!(
        "{{\"fd\":{fd},\"update_size\":false,\"update_status\":false,\"send_notifications\":false}}"
    );
    assert_eq!(peer.json(api::REPLICA_CLOSE, &text).await.code, 0);
}

#[tokio::test]
async fn several_connections_write_one_replica_by_its_token() {
    let f = Fixture::new().await;
    let (mut a, mut b) = (f.rods().await, f.rods().await);
    let (fd, wishes) = first_writer(&mut a, &path("o")).await;
    assert_eq!(
        b.open(&path("o"), 1, wish(keywords::REPLICA_TOKEN, "guess"))
            .await,
        codes::INTERMEDIATE_REPLICA_ACCESS
    );
    assert_eq!(
        b.open(&path("o"), 1, KeyValPair::new()).await,
        codes::HIERARCHY_ERROR
    );
    assert_eq!(
        b.open(&path("o"), 0, KeyValPair::new()).await,
        codes::HIERARCHY_ERROR
    );
    assert_eq!(
        b.unlink(&path("o"), wish(keywords::FORCE_FLAG, "")).await,
        codes::LOCKED_DATA_OBJECT_ACCESS
    );
    let other = b.open(&path("o"), 1, wishes).await;
    assert!(other >= 3, "{other}");
    assert_eq!(b.seek(other, 5, 0).await, 5);
    assert_eq!(b.write(other, b"world").await, 5);
    assert_eq!(a.write(fd, b"hello").await, 5);
    assert_eq!(a.close(fd).await, 0);
    // Not before the last has left.
    assert_eq!(a.states(&path("o")).await, [("0".into(), "2".into())]);
    detach(&mut b, other).await;
    assert_eq!(a.states(&path("o")).await, [("0".into(), "1".into())]);
    assert_eq!(a.get(&path("o")).await.unwrap(), b"helloworld");
}

#[tokio::test]
async fn who_appends_at_the_same_time_loses_nothing() {
    let f = Fixture::new().await;
    let (mut a, mut b) = (f.rods().await, f.rods().await);
    let (first, wishes) = first_writer(&mut a, &path("o")).await;
    let size = 400_000;
    let appender = a.open(&path("o"), APPEND, wishes.clone()).await;
    let other = b.open(&path("o"), APPEND, wishes).await;
    let message = a.write_message(appender, &vec![1; 400_000]);
    let (begun, rest) = message.split_at(message.len() - 200_000);
    a.stream.write_all(begun).await.unwrap();
    // The zone has begun with it once the file has room for it.
    let file = &b.query(&[410], &[(403, "= 'o'")]).await[0][0];
    while std::fs::metadata(file).unwrap().len() < 400_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(b.write(other, &vec![2; 400_000]).await, size);
    a.stream.write_all(rest).await.unwrap();
    assert_eq!(a.answer().await.code, size);
    detach(&mut b, other).await;
    detach(&mut a, appender).await;
    assert_eq!(a.close(first).await, 0);
    assert_eq!(
        a.get(&path("o")).await.unwrap(),
        [vec![1; 400_000], vec![2; 400_000]].concat()
    );
}

#[tokio::test]
async fn a_lost_writer_leaves_no_good_replica() {
    let f = Fixture::new().await;
    let (mut a, mut b) = (f.rods().await, f.rods().await);
    let (fd, wishes) = first_writer(&mut a, &path("o")).await;
    let other = b.open(&path("o"), 1, wishes).await;
    assert_eq!(b.write(other, b"half").await, 4);
    drop(b);
    assert_eq!(a.write(fd, b"he").await, 2);
    // The zone may notice the loss after the close of the first; the outcome is the same.
    let _ = a.close(fd).await;
    while a.states(&path("o")).await == [("0".into(), "2".into())] {
        tokio::task::yield_now().await;
    }
    assert_eq!(a.states(&path("o")).await, [("0".into(), "0".into())]);

    // An overwriting that is lost makes an existing object stale as well, and it can be put again.
    assert_eq!(a.put(&path("p"), b"old").await, 0);
    let mut c = f.rods().await;
    let fd = c.open(&path("p"), CREATE, KeyValPair::new()).await;
    assert_eq!(c.write(fd, b"ne").await, 2);
    drop(c);
    while a.states(&path("p")).await != [("0".into(), "0".into())] {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        a.put_with(&path("p"), b"new", wish(keywords::FORCE_FLAG, ""))
            .await,
        0
    );
    assert_eq!(a.get(&path("p")).await.unwrap(), b"new");
}

#[tokio::test]
async fn what_is_removed_goes_to_the_trash_or_for_good() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    rods.put(&path("a"), b"a").await;
    rods.put(&path("b"), b"b").await;
    assert_eq!(rods.unlink(&path("a"), KeyValPair::new()).await, 0);
    assert_eq!(rods.get("/tempZone/trash/home/rods/a").await.unwrap(), b"a");
    let file = f.zone_dir().join("Vault/home/rods/b");
    assert!(file.exists());
    assert_eq!(
        rods.unlink(&path("b"), wish(keywords::FORCE_FLAG, ""))
            .await,
        0
    );
    assert!(!file.exists());
    // The name is free again, also where the trashed object's file still lies.
    assert_eq!(rods.put(&path("a"), b"second").await, 0);
    assert_eq!(rods.get("/tempZone/trash/home/rods/a").await.unwrap(), b"a");
    assert_eq!(
        rods.unlink("/tempZone/trash/home/rods/a", KeyValPair::new())
            .await,
        0
    );
    assert_eq!(rods.get(&path("a")).await.unwrap(), b"second");
    assert_eq!(
        rods.unlink(&path("nope"), KeyValPair::new()).await,
        codes::CAT_NO_ROWS_FOUND
    );
}

#[tokio::test]
async fn a_tree_is_removed_with_its_files_and_nothing_else() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let outside = f.dir.path().join("outside");
    std::fs::write(&outside, "keep").unwrap();
    rods.mkdir(&path("t/deep/er")).await;
    for name in ["t/1", "t/deep/2", "t/deep/er/3"] {
        rods.put(&path(name), b"x").await;
    }
    rods.register(&path("t/deep/reg"), &outside, KeyValPair::new())
        .await;
    let remove = |wishes: KeyValPair| CollInpNew {
        coll_name: path("t"),
        cond_input: wishes,
        ..CollInpNew::default()
    };
    assert_eq!(
        rods.call(api::RM_COLL, &remove(KeyValPair::new()))
            .await
            .code,
        codes::CAT_COLLECTION_NOT_EMPTY
    );
    let for_good = wish(keywords::RECURSIVE_OPR, "").with(keywords::FORCE_FLAG, "");
    assert_eq!(rods.call(api::RM_COLL, &remove(for_good)).await.code, 0);
    assert!(rods.stat(&path("t")).await.is_err());
    assert_eq!(std::fs::read(&outside).unwrap(), b"keep");
    assert!(!f.zone_dir().join("Vault/home/rods/t/deep/2").exists());
    rods.mkdir(&path("t/deep")).await;
    rods.put(&path("t/deep/2"), b"again").await;
    assert_eq!(
        rods.call(api::RM_COLL, &remove(wish(keywords::RECURSIVE_OPR, "")))
            .await
            .code,
        0
    );
    assert_eq!(
        rods.get("/tempZone/trash/home/rods/t/deep/2")
            .await
            .unwrap(),
        b"again"
    );
}

#[tokio::test]
async fn a_renamed_object_keeps_its_bytes_and_frees_its_name() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    rods.put(&path("a"), b"one").await;
    assert_eq!(rods.rename(&path("a"), &path("b")).await, 0);
    // The old place in the vault is taken by the file of b: also as a directory.
    rods.mkdir(&path("a")).await;
    assert_eq!(rods.put(&path("a/x"), b"two").await, 0);
    assert_eq!(rods.rename(&path("a"), &path("c")).await, 0);
    assert_eq!(rods.put(&path("a"), b"three").await, 0);
    for (name, bytes) in [("b", "one"), ("c/x", "two"), ("a", "three")] {
        assert_eq!(
            rods.get(&path(name)).await.unwrap(),
            bytes.as_bytes(),
            "{name}"
        );
    }
    assert_eq!(
        rods.rename(&path("a"), &path("b")).await,
        codes::CAT_NAME_EXISTS_AS_DATAOBJ
    );
    assert_eq!(
        rods.rename(&path("a"), &path("a")).await,
        codes::SAME_SRC_DEST_PATHS_ERR
    );
    assert_eq!(
        rods.rename(&path("nope"), &path("d")).await,
        codes::CAT_NO_ROWS_FOUND
    );
    for name in ["a", "b", "c/x"] {
        assert_eq!(
            rods.unlink(&path(name), wish(keywords::FORCE_FLAG, ""))
                .await,
            0
        );
    }
}

#[tokio::test]
async fn registered_files_stay_where_they_are() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let file = f.dir.path().join("data file");
    std::fs::write(&file, "registered").unwrap();
    assert_eq!(rods.register(&path("r"), &file, KeyValPair::new()).await, 0);
    assert_eq!(
        rods.register(&path("r"), &file, KeyValPair::new()).await,
        codes::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME
    );
    assert_eq!(rods.get(&path("r")).await.unwrap(), b"registered");
    let given = wish(keywords::DATA_SIZE, "12345").with(keywords::DATA_MODIFY, "1700000000");
    assert_eq!(
        rods.register(&path("given"), &f.dir.path().join("gone"), given)
            .await,
        0
    );
    let stat = rods.stat(&path("given")).await.unwrap();
    assert_eq!(
        (stat.obj_size, stat.modify_time.trim_start_matches('0')),
        (12345, "1700000000")
    );
    let missing = f.dir.path().join("missing");
    assert_eq!(
        rods.register(&path("m"), &missing, KeyValPair::new()).await,
        codes::UNIX_FILE_STAT_ERR - 2
    );
    for bad in ["relative", "/a/../b", ""] {
        assert_eq!(
            rods.register(&path("m"), bad.as_ref(), KeyValPair::new())
                .await,
            codes::SYS_INVALID_FILE_PATH
        );
    }
    assert_eq!(
        rods.unlink(&path("r"), wish(keywords::FORCE_FLAG, ""))
            .await,
        0
    );
    assert!(file.exists());
    let mut alice = f.user("alice").await;
    assert_eq!(
        alice
            .register("/tempZone/home/alice/r", &file, KeyValPair::new())
            .await,
        codes::PATH_REG_NOT_ALLOWED
    );
}

#[tokio::test]
async fn unregistering_leaves_the_file() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    rods.put(&path("o"), b"bytes").await;
    let mut alice = f.user("alice").await;
    alice.put("/tempZone/home/alice/o", b"bytes").await;
    let unregister = |path: &str| DataObjInp {
        opr_type: 26,
        ..object(path)
    };
    assert_eq!(
        rods.call(api::DATA_OBJ_UNLINK, &unregister(&path("o")))
            .await
            .code,
        0
    );
    assert!(f.zone_dir().join("Vault/home/rods/o").exists());
    let refused = alice
        .call(api::DATA_OBJ_UNLINK, &unregister("/tempZone/home/alice/o"))
        .await;
    assert_eq!(refused.code, codes::CANT_UNREG_IN_VAULT_FILE);
    assert_eq!(alice.get("/tempZone/home/alice/o").await.unwrap(), b"bytes");
}

#[tokio::test]
async fn two_objects_may_share_a_file_and_the_last_takes_it_along() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    rods.put(&path("o"), b"bytes").await;
    let file = f.zone_dir().join("Vault/home/rods/o");
    assert_eq!(
        rods.register(&path("twin"), &file, KeyValPair::new()).await,
        0
    );
    rods.unlink(&path("o"), wish(keywords::FORCE_FLAG, ""))
        .await;
    assert_eq!(rods.get(&path("twin")).await.unwrap(), b"bytes");
    // A new object of the old name goes elsewhere.
    rods.put(&path("o"), b"new").await;
    assert_eq!(rods.get(&path("twin")).await.unwrap(), b"bytes");
    rods.unlink(&path("twin"), wish(keywords::FORCE_FLAG, ""))
        .await;
    assert!(!file.exists());
    assert_eq!(rods.get(&path("o")).await.unwrap(), b"new");
}

#[tokio::test]
async fn checksums_are_computed_once_and_verified() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    rods.put(&path("o"), b"hello").await;
    let ask = |wishes: KeyValPair| DataObjInp {
        cond_input: wishes,
        ..object(&path("o"))
    };
    let sum: StrPi = rods
        .call(api::DATA_OBJ_CHKSUM, &ask(KeyValPair::new()))
        .await
        .ok()
        .output();
    assert_eq!(
        sum.my_str.as_deref(),
        Some("sha2:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=")
    );
    assert_eq!(
        rods.stat(&path("o")).await.unwrap().chksum,
        sum.my_str.clone().unwrap()
    );
    let verified = rods
        .call(
            api::DATA_OBJ_CHKSUM,
            &ask(wish(keywords::VERIFY_CHKSUM, "")),
        )
        .await;
    assert_eq!((verified.code, verified.frame.message.len()), (0, 0));
    std::fs::write(f.zone_dir().join("Vault/home/rods/o"), "hellx").unwrap();
    let verified = rods
        .call(
            api::DATA_OBJ_CHKSUM,
            &ask(wish(keywords::VERIFY_CHKSUM, "")),
        )
        .await;
    assert_eq!(verified.code, codes::CHECK_VERIFICATION_RESULTS);
    assert!(
        verified
            .output::<StrPi>()
            .my_str
            .unwrap()
            .contains("\"severity\":\"error\"")
    );
    // Writing renews a checksum that was there.
    let fd = rods.open(&path("o"), 2, KeyValPair::new()).await;
    rods.write(fd, b"HELLO").await;
    rods.close(fd).await;
    let renewed = rods.stat(&path("o")).await.unwrap().chksum;
    assert!(renewed.starts_with("sha2:") && Some(&renewed) != sum.my_str.as_ref());
}

#[tokio::test]
async fn replicas_are_made_updated_and_trimmed() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let vault = f.dir.path().join("second");
    rods.admin(&[
        "add",
        "resource",
        "second",
        "unixfilesystem",
        &format!("localhost:{}", vault.display()),
    ])
    .await;
    rods.put(&path("o"), b"one").await;
    let repl = |wishes: KeyValPair| DataObjInp {
        cond_input: wishes,
        ..object(&path("o"))
    };
    assert_eq!(
        rods.call(
            api::DATA_OBJ_REPL,
            &repl(wish(keywords::DEST_RESC_NAME, "second"))
        )
        .await
        .code,
        0
    );
    assert_eq!(std::fs::read(vault.join("home/rods/o")).unwrap(), b"one");
    assert_eq!(
        rods.states(&path("o")).await,
        [("0".into(), "1".into()), ("1".into(), "1".into())]
    );
    let fd = rods
        .open(&path("o"), 1 | 512, wish(keywords::REPL_NUM, "0"))
        .await;
    assert_eq!(
        rods.states(&path("o")).await,
        [("0".into(), "2".into()), ("1".into(), "4".into())]
    );
    rods.write(fd, b"two").await;
    rods.close(fd).await;
    assert_eq!(
        rods.states(&path("o")).await,
        [("0".into(), "1".into()), ("1".into(), "0".into())]
    );
    assert_eq!(rods.get(&path("o")).await.unwrap(), b"two");
    let update = wish(keywords::DEST_RESC_NAME, "second").with(keywords::UPDATE_REPL, "");
    assert_eq!(rods.call(api::DATA_OBJ_REPL, &repl(update)).await.code, 0);
    assert_eq!(
        rods.states(&path("o")).await,
        [("0".into(), "1".into()), ("1".into(), "1".into())]
    );
    // Two are kept unless fewer are asked for; the last never goes.
    assert_eq!(
        rods.call(api::DATA_OBJ_TRIM, &repl(wish(keywords::REPL_NUM, "1")))
            .await
            .code,
        0
    );
    let one = wish(keywords::REPL_NUM, "1").with(keywords::COPIES, "1");
    assert_eq!(rods.call(api::DATA_OBJ_TRIM, &repl(one)).await.code, 1);
    assert!(!vault.join("home/rods/o").exists());
    let last = wish(keywords::REPL_NUM, "0").with(keywords::COPIES, "1");
    assert_eq!(rods.call(api::DATA_OBJ_TRIM, &repl(last)).await.code, 0);
    assert_eq!(rods.get(&path("o")).await.unwrap(), b"two");
}

#[tokio::test]
async fn a_registered_replica_that_differs_is_the_good_one() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let vault = f.dir.path().join("second");
    let place = format!("localhost:{}", vault.display());
    rods.admin(&["add", "resource", "second", "unixfilesystem", &place])
        .await;
    let file = f.dir.path().join("file");
    let both_good = [("0".into(), "1".into()), ("1".into(), "1".into())];
    let second_good = [("0".into(), "0".into()), ("1".into(), "1".into())];
    let none = KeyValPair::new();
    // What is there, its checksum or none, the file, what the client says of it, and whether that makes it another content.
    for (name, summed, content, said, differs) in [
        ("equal", false, "one", none.clone(), false),
        ("size", false, "longer", none.clone(), true),
        // Not compared, since there is nothing to compare with.
        ("bytes", false, "two", none.clone(), false),
        ("equal sum", true, "one", none.clone(), false),
        ("sum", true, "two", none.clone(), true),
        // A size that is said is believed, and counts as another.
        ("said", false, "one", wish(keywords::DATA_SIZE, "3"), true),
    ] {
        let path = path(name);
        std::fs::write(&file, content).unwrap();
        rods.put(&path, b"one").await;
        if summed {
            let sum = rods.call(api::DATA_OBJ_CHKSUM, &object(&path)).await;
            assert_eq!(sum.code, 0);
        }
        let wishes = said
            .with(keywords::FILE_PATH, file.to_str().unwrap())
            .with(keywords::DEST_RESC_NAME, "second")
            .with(keywords::DATA_MODIFY, "1400000000")
            .with(keywords::REG_REPL, "");
        let input = DataObjInp {
            cond_input: wishes,
            ..object(&path)
        };
        assert_eq!(rods.call(api::PHY_PATH_REG, &input).await.code, 0, "{name}");
        let expected = match differs {
            true => &second_good,
            false => &both_good,
        };
        assert_eq!(rods.states(&path).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_replication_resource_copies_by_itself() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    rods.admin(&["add", "resource", "repl", "replication", ""])
        .await;
    for name in ["leaf1", "leaf2"] {
        let place = format!("localhost:{}", f.dir.path().join(name).display());
        rods.admin(&["add", "resource", name, "unixfilesystem", &place])
            .await;
        rods.admin(&["add", "childtoresc", "repl", name]).await;
    }
    let wishes = wish(keywords::DEST_RESC_NAME, "repl");
    assert_eq!(
        rods.put_with(&path("put"), b"bytes", wishes.clone()).await,
        0
    );
    let fd = rods.open(&path("opened"), CREATE, wishes).await;
    rods.write(fd, b"bytes").await;
    assert_eq!(rods.close(fd).await, 0);
    for name in ["put", "opened"] {
        assert_eq!(
            rods.states(&path(name)).await,
            [("0".into(), "1".into()), ("1".into(), "1".into())],
            "{name}"
        );
        assert_eq!(
            std::fs::read(f.dir.path().join("leaf2/home/rods").join(name)).unwrap(),
            b"bytes"
        );
    }
    assert_eq!(
        rods.put_with(&path("x"), b"", wish(keywords::DEST_RESC_NAME, "leaf1"))
            .await,
        codes::DIRECT_CHILD_ACCESS
    );
}

#[tokio::test]
async fn no_link_in_the_vault_is_followed_for_writing() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let outside = f.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("victim"), "keep").unwrap();
    let vault = f.zone_dir().join("Vault/home/rods");
    std::fs::create_dir_all(&vault).unwrap();
    std::os::unix::fs::symlink(&outside, vault.join("dir")).unwrap();
    std::os::unix::fs::symlink(outside.join("victim"), vault.join("victim")).unwrap();
    rods.mkdir(&path("dir")).await;
    for name in ["dir/victim", "victim", "dir/new"] {
        assert_eq!(rods.put(&path(name), b"overwritten").await, 0, "{name}");
        assert_eq!(rods.get(&path(name)).await.unwrap(), b"overwritten");
        assert_eq!(
            rods.unlink(&path(name), wish(keywords::FORCE_FLAG, ""))
                .await,
            0
        );
    }
    assert_eq!(std::fs::read(outside.join("victim")).unwrap(), b"keep");
    assert!(!outside.join("new").exists());
    for bad in [
        "/tempZone/home/rods/../../x",
        "/tempZone/home/rods/./x",
        "/tempZone//x",
        "/tempZone/home/rods/",
    ] {
        assert_eq!(
            rods.put(bad, b"x").await,
            codes::USER_INPUT_PATH_ERR,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn concurrent_puts_of_one_name_leave_one_whole_object() {
    let f = Fixture::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0_u8..8 {
        let mut peer = f.rods().await;
        tasks.spawn(async move { (n, peer.put(&path("race"), &vec![n; 300_000]).await) });
    }
    let mut winners = Vec::new();
    while let Some(Ok((n, code))) = tasks.join_next().await {
        match code {
            0 => winners.push(n),
            _ => assert_eq!(code, codes::OVERWRITE_WITHOUT_FORCE_FLAG),
        }
    }
    let [winner] = winners[..] else {
        panic!("{winners:?}")
    };
    assert_eq!(
        f.rods().await.get(&path("race")).await.unwrap(),
        vec![winner; 300_000]
    );
}
