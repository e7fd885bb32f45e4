//! Bytes, and what is known of them.

use crate::support::{Scenario, quick};
use crate::{HOME, at, scenario};
use irods_client::access::Grant;
use irods_client::data_object::ChecksumMode;
use irods_client::environment::TlsPolicy;
use irods_client::metadata::Avu;
use irods_client::protocol::api;
use irods_client::transfer::{OpenHow, Put, PutChecksum, Whence};
use irods_client::{Connection, Error};
use std::io::Read;

#[tokio::test]
async fn asks_for_checksums_and_touches() {
    let replay = scenario!("prc_checksum").serve().await;
    let mut c = replay.connect().await;
    let sum = "sha2:T7wMnVIxg9ov1vfMUVrv/t2ZshVGWAfoq3jQd9k8dds=";
    let stored = ChecksumMode::Stored;
    assert_eq!(c.checksum(&at("o"), stored).await.unwrap(), sum);
    let again = ChecksumMode::Recompute;
    assert_eq!(c.checksum(&at("o"), again).await.unwrap(), sum);
    let error = c.checksum(&at("nothere"), stored).await.unwrap_err();
    assert!(error.is_not_found());
    replay.assert_all_recorded();

    let replay = scenario!("prc_touch").serve().await;
    let mut c = replay.connect().await;
    c.touch(HOME, Some(1_000_000_000), false).await.unwrap();
    replay.assert_all_recorded();
}

#[tokio::test]
async fn puts_in_one_message() {
    let replay = scenario!("raw_data_obj_put").serve().await;
    let mut c = replay.connect().await;
    let at = |name: &str| format!("/tempZone/home/rods/direct/{name}");
    let bytes = b"0123456789012345678";
    let plain = Put::default();
    c.put_bytes(&at("s0"), bytes, &plain).await.unwrap();
    let error = c.put_bytes(&at("s0"), bytes, &plain).await.unwrap_err();
    assert!(error.already_exists() && matches!(error, Error::Server(_)));
    let overwrite = Put {
        overwrite: true,
        ..Put::default()
    };
    c.put_bytes(&at("s0"), bytes, &overwrite).await.unwrap();
    let checked = Put {
        checksum: PutChecksum::Register,
        ..Put::default()
    };
    c.put_bytes(&at("t1"), bytes, &checked).await.unwrap();
    let tagged = Put {
        metadata: vec![Avu::new("a1", "v1", "u1"), Avu::new("a2", "v2", "")],
        ..Put::default()
    };
    c.put_bytes(&at("s4d"), bytes, &tagged).await.unwrap();
    let shared = Put {
        access: vec![Grant::new("public", "read"), Grant::new("alice", "write")],
        ..Put::default()
    };
    let error = c.put_bytes(&at("no/s8"), bytes, &plain).await.unwrap_err();
    assert!(error.is_not_found());
    replay.assert_all_recorded();

    let replay = scenario!("raw_data_obj_put").serve().await;
    let mut c = replay.connect().await;
    c.put_bytes(&at("s4c"), bytes, &shared).await.unwrap();
    replay.assert_all_recorded();
}

#[tokio::test]
async fn a_large_file_is_announced_and_streamed() {
    let Some(mut scenario) = Scenario::load_connection("icmdxml_iput_40m", Some(2)) else {
        return;
    };
    // That client's login messages have more keys than ours, and it took part in a negotiation.
    scenario.any_digest = true;
    let replay = scenario.serve().await;
    let mut environment = replay.environment();
    environment.tls = TlsPolicy::DontCare;
    let options = quick();
    let mut c = Connection::open(&environment, &options).await.unwrap();
    let size = 40 * 1024 * 1024;
    let object = "/tempZone/home/rods/goldi/f0";
    let source = std::io::repeat(7).take(size);
    let stored = c.put(object, source, size, &Put::default()).await.unwrap();
    assert_eq!(stored.size, size);
    assert_eq!(options.counts.of(api::DATA_OBJ_WRITE), 10);
    assert_eq!(options.counts.requests(), 12);
    replay.assert_all_recorded();
}

#[tokio::test]
async fn appends() {
    let replay = scenario!("prc_open_append").serve().await;
    let mut c = replay.connect().await;
    let append = std::io::Cursor::new(b" append".to_vec());
    c.append(&at("o"), append, 7, Some(5), None).await.unwrap();
    let mut open = c
        .open_data_object(&at("o"), OpenHow::Read, None)
        .await
        .unwrap();
    assert_eq!(open.seek(0, Whence::Current).await.unwrap(), 0);
    assert_eq!(open.read(8192).await.unwrap().len(), 12);
    assert!(open.read(8192).await.unwrap().is_empty());
    open.close().await.unwrap();
    replay.assert_all_recorded();
    assert!(c.is_usable());
}
