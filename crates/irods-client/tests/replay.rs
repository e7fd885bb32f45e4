//! The client against the server's side of recorded exchanges with a real 5.0.90 server: its requests are the recorded ones,
//! and it makes of the replies what they mean.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use irods_client::access::Grant;
use irods_client::collection::RemoveCollection;
use irods_client::data_object::{ChecksumMode, ObjectKind, Remove};
use irods_client::environment::TlsPolicy;
use irods_client::metadata::{Avu, AvuChange, Entity};
use irods_client::protocol::{Form, api, codes};
use irods_client::query::Query;
use irods_client::register::{BULK_MAX, Leaf, NewRow, Register, Target};
use irods_client::replica::{Changes, ReplicaRef, Replicate, Trim, Which};
use irods_client::transfer::{OpenHow, OpenInfo, Put, PutChecksum, Whence};
use irods_client::{Connection, Error, Pool, PoolOptions, Scope};
use std::io::Read;
use support::{Scenario, quick};

macro_rules! scenario {
    ($name:literal) => {
        match Scenario::load($name) {
            Some(scenario) => scenario,
            None => return,
        }
    };
}

const HOME: &str = "/tempZone/home/rods/golden";

fn at(name: &str) -> String {
    format!("{HOME}/{name}")
}

#[tokio::test]
async fn logs_in_by_the_framework_and_says_goodbye() {
    let replay = scenario!("prc_connect_auth_disconnect").serve().await;
    let connection = replay.connect().await;
    assert_eq!(connection.server_version().to_string(), "5.0.90");
    assert_eq!(connection.form(), Form::Xml);
    connection.disconnect().await;
    replay.assert_all_recorded();
    let log = replay.log.clone();
    let said = async move {
        while log.lock().unwrap().goodbyes == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), said)
        .await
        .unwrap();
}

#[tokio::test]
async fn logs_in_by_challenge_to_servers_before_4_3() {
    let mut scenario = scenario!("prc_connect_legacy_native");
    scenario.release = Some("rods4.2.12");
    let replay = scenario.serve().await;
    let options = quick();
    let connection = Connection::open(&replay.environment(), &options)
        .await
        .unwrap();
    assert_eq!(connection.server_version().to_string(), "4.2.12");
    replay.assert_all_recorded();
    assert_eq!(options.counts.of(api::AUTH_RESPONSE), 1);
    assert_eq!(options.counts.requests(), 0);
}

#[tokio::test]
async fn a_refused_password_is_an_authentication_error() {
    let mut scenario = scenario!("prc_connect_bad_password");
    scenario.any_digest = true;
    let replay = scenario.serve().await;
    let error = Connection::open(&replay.environment(), &quick())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }));
    assert!(error.is(codes::CAT_INVALID_AUTHENTICATION));
    assert_eq!(error.scope(), Scope::Worker);
    let text = error.to_string();
    assert!(text.contains("rods#tempZone") && text.contains("CAT_INVALID_AUTHENTICATION"));
}

#[tokio::test]
async fn the_startup_pack_names_proxy_and_client_user() {
    let mut scenario = scenario!("prc_proxy_user");
    scenario.any_digest = true;
    let replay = scenario.serve().await;
    let environment = replay.environment().acting_for("alice", "tempZone");
    let connection = Connection::open(&environment, &quick()).await.unwrap();
    assert_eq!(connection.identity().user, "alice");
    let pack = replay.log.lock().unwrap().startup.clone().unwrap();
    assert_eq!(
        (pack.proxy_user.as_str(), pack.client_user.as_str()),
        ("rods", "alice")
    );
    assert_eq!((pack.irods_prot, pack.option.as_str()), (1, "irods_sync"));
}

#[tokio::test]
async fn registers() {
    let replay = scenario!("prc_register").serve().await;
    let mut c = replay.connect().await;
    let plain = Register {
        file: "/srv/ingest/data/small.bin".into(),
        ..Register::default()
    };
    c.register(&at("reg"), &plain).await.unwrap();
    let checked = Register {
        file: "/srv/ingest/data/five.bin".into(),
        checksum: true,
        ..Register::default()
    };
    c.register(&at("regck"), &checked).await.unwrap();
    let full = Register {
        file: "/srv/ingest/data/five.bin".into(),
        size: Some(777),
        mtime: Some(1_000_000_000),
        target: Some(Target::Resource("demoResc".into())),
        data_type: Some("generic".into()),
        ..Register::default()
    };
    c.register(&at("regresc"), &full).await.unwrap();
    let error = c.register(&at("reg"), &plain).await.unwrap_err();
    assert!(error.already_exists());
    assert_eq!(error.scope(), Scope::Entry);
    replay.assert_all_recorded();
}

#[tokio::test]
async fn what_keeps_a_file_from_being_registered() {
    let replay = scenario!("prc_register_errors").serve().await;
    let mut c = replay.connect().await;
    let missing = Register {
        file: "/srv/ingest/data/not-there".into(),
        ..Register::default()
    };
    let error = c.register(&at("r"), &missing).await.unwrap_err();
    assert!(error.is(codes::UNIX_FILE_STAT_ERR) && !error.is_not_found());
    assert!(error.to_string().contains("ENOENT"));
    let nowhere = Register {
        file: "/srv/ingest/data/small.bin".into(),
        target: Some(Target::Resource("noSuchResc".into())),
        ..Register::default()
    };
    let error = c.register(&at("r"), &nowhere).await.unwrap_err();
    assert_eq!(error.scope(), Scope::Job);
    let orphan = Register {
        file: "/srv/ingest/data/small.bin".into(),
        ..Register::default()
    };
    let error = c.register(&at("noparent/r"), &orphan).await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        "PHY_PATH_REG of /tempZone/home/rods/golden/noparent/r: CAT_UNKNOWN_COLLECTION (-814000): \
         collection '/tempZone/home/rods/golden/noparent' is unknown"
    );
    replay.assert_all_recorded();
}

#[tokio::test]
async fn replicas_are_registered_once_a_resource() {
    let replay = scenario!("prc_register_replica").serve().await;
    let mut c = replay.connect().await;
    let replica = Register {
        file: "/srv/ingest/data/small_copy.bin".into(),
        target: Some(Target::Resource("goldA".into())),
        as_replica: true,
        ..Register::default()
    };
    c.register(&at("reg"), &replica).await.unwrap();
    let error = c.register(&at("reg"), &replica).await.unwrap_err();
    assert!(error.is(codes::SYS_COPY_ALREADY_IN_RESC));
    replay.assert_all_recorded();
}

#[tokio::test]
async fn makes_collections() {
    let replay = scenario!("prc_coll_create_errors").serve().await;
    let mut c = replay.connect().await;
    let error = c.create_collection(&at("x/y"), false).await.unwrap_err();
    assert!(error.is_not_found());
    c.create_collection(&at("dup"), false).await.unwrap();
    let error = c.create_collection(&at("dup"), false).await.unwrap_err();
    assert!(error.already_exists());
    c.create_collection(&at("dup"), true).await.unwrap();
    let error = c
        .create_collection("/otherZone/home/x", false)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("a valid zone name"));
    replay.assert_all_recorded();
    let error = c.create_collection("/z/../a", false).await.unwrap_err();
    assert!(matches!(error, Error::Input { .. }), "not sent at all");
}

#[tokio::test]
async fn removes_collections() {
    let replay = scenario!("prc_coll_remove").serve().await;
    let mut c = replay.connect().await;
    let silent = &mut |_| {};
    let remove = RemoveCollection::Empty;
    let error = c
        .remove_collection(&at("a"), remove, silent)
        .await
        .unwrap_err();
    assert!(error.is(codes::CAT_COLLECTION_NOT_EMPTY));
    c.remove_collection(&at("empty"), remove, silent)
        .await
        .unwrap();
    let force = RemoveCollection::Force;
    c.remove_collection(&at("a"), force, silent).await.unwrap();
    let trash = RemoveCollection::ToTrash;
    c.remove_collection(&at("t"), trash, silent).await.unwrap();
    let error = c
        .remove_collection(&at("nope"), trash, silent)
        .await
        .unwrap_err();
    assert!(error.is_not_found());
    replay.assert_all_recorded();
}

#[tokio::test]
async fn removal_reports_progress_and_goes_on() {
    let replay = scenario!("prc_coll_remove_many").serve().await;
    let mut c = replay.connect().await;
    let mut seen = Vec::new();
    c.remove_collection(&at("many"), RemoveCollection::Force, &mut |p| {
        seen.push((p.files_cnt, p.last_obj_path));
    })
    .await
    .unwrap();
    assert_eq!(seen, [(10, at("many/f09")), (10, at("many/f19"))]);
    assert!(c.is_usable());
    replay.assert_all_recorded();
}

#[tokio::test]
async fn stats_what_is_there_and_what_is_not() {
    let replay = scenario!("prc_obj_stat_api").serve().await;
    let mut c = replay.connect().await;
    let object = c.stat(&at("o")).await.unwrap().unwrap();
    assert_eq!((object.kind, object.size), (ObjectKind::DataObject, 13));
    assert_eq!((object.id, object.mtime), (154_691, 1_795_476_010));
    let collection = c.stat(HOME).await.unwrap().unwrap();
    assert_eq!(collection.kind, ObjectKind::Collection);
    assert_eq!(c.stat(&at("nope")).await.unwrap(), None);
    replay.assert_all_recorded();
}

#[tokio::test]
async fn unregisters_removes_and_renames() {
    let replay = scenario!("prc_unregister").serve().await;
    let mut c = replay.connect().await;
    let unregister = Remove::Unregister;
    c.remove_data_object(&at("reg"), unregister).await.unwrap();
    replay.assert_all_recorded();

    let replay = scenario!("prc_unlink").serve().await;
    let mut c = replay.connect().await;
    c.remove_data_object(&at("o1"), Remove::ToTrash)
        .await
        .unwrap();
    c.remove_data_object(&at("o2"), Remove::Force)
        .await
        .unwrap();
    let error = c.remove_data_object(&at("o2"), Remove::Force).await;
    assert!(error.unwrap_err().is_not_found());
    replay.assert_all_recorded();

    let replay = scenario!("prc_rename").serve().await;
    let mut c = replay.connect().await;
    let (object, collection) = (ObjectKind::DataObject, ObjectKind::Collection);
    c.rename(collection, &at("r1"), &at("r2")).await.unwrap();
    c.rename(object, &at("o1"), &at("o1moved")).await.unwrap();
    let taken = c.rename(object, &at("o2"), &at("r2/sub/f")).await;
    assert!(taken.unwrap_err().already_exists());
    let missing = c.rename(object, &at("nope"), &at("nope2")).await;
    assert!(missing.unwrap_err().is_not_found());
    replay.assert_all_recorded();
}

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
async fn changes_replicas() {
    let replay = scenario!("prc_mod_data_obj_meta").serve().await;
    let mut c = replay.connect().await;
    let changes = Changes {
        size: Some(12_345),
        mtime: Some(1_100_000_000),
        ..Changes::default()
    };
    c.modify_replica(&at("o"), &Which::All, &changes)
        .await
        .unwrap();
    let changes = Changes {
        size: Some(1),
        ..Changes::default()
    };
    let error = c.modify_replica(&at("nope"), &Which::All, &changes).await;
    assert!(error.unwrap_err().is_not_found());
    replay.assert_all_recorded();
}

#[tokio::test]
async fn metadata() {
    let replay = scenario!("prc_avu").serve().await;
    let mut c = replay.connect().await;
    let path = at("o");
    let object = Entity::DataObject(&path);
    c.add_avu(object, &Avu::new("k", "v", "u")).await.unwrap();
    c.add_avu(object, &Avu::new("k", "v2", "")).await.unwrap();
    let only = Avu::new("k", "only", "x");
    c.set_avu(object, &only).await.unwrap();
    let strange = Avu::new("ключ", "знач & <x>", "it's");
    c.add_avu(object, &strange).await.unwrap();
    let error = c.add_avu(object, &only).await.unwrap_err();
    assert!(error.already_exists());
    assert!(c.remove_avu(object, &only).await.unwrap());
    assert!(!c.remove_avu(object, &only).await.unwrap());
    c.add_avu(Entity::Collection(HOME), &Avu::new("ck", "cv", ""))
        .await
        .unwrap();
    c.add_avu(Entity::User("rods"), &Avu::new("uk", "uv", ""))
        .await
        .unwrap();
    c.add_avu(Entity::Resource("demoResc"), &Avu::new("rk", "rv", ""))
        .await
        .unwrap();
    let missing = at("nope");
    let error = c
        .add_avu(Entity::DataObject(&missing), &Avu::new("a", "b", ""))
        .await;
    assert!(error.unwrap_err().is_not_found());
    replay.assert_all_recorded();
}

#[tokio::test]
async fn permissions() {
    let replay = scenario!("prc_chmod").serve().await;
    let mut c = replay.connect().await;
    let zone = "tempZone";
    c.set_access(&at("o"), "read", "alice", zone, false)
        .await
        .unwrap();
    c.set_access(&at("c"), "read", "alice", zone, true)
        .await
        .unwrap();
    c.set_inheritance(&at("c"), true).await.unwrap();
    let error = c
        .set_access(&at("o"), "read", "nouser", zone, false)
        .await
        .unwrap_err();
    assert!(error.is(codes::CAT_INVALID_USER));
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
        access: vec![
            ("read".into(), "public".into()),
            ("write".into(), "alice".into()),
        ],
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

#[tokio::test]
async fn replicates_and_trims() {
    let replay = scenario!("prc_replicate_trim").serve().await;
    let mut c = replay.connect().await;
    let object = at("o");
    for resource in ["goldA", "goldB", "goldA"] {
        let how = Replicate {
            to: Some(resource.into()),
            ..Replicate::default()
        };
        c.replicate(&object, &how).await.unwrap();
    }
    let one = Trim {
        keep: 1,
        ..Trim::default()
    };
    for (which, trimmed) in [
        (ReplicaRef::Number(2), true),
        (ReplicaRef::Resource("goldA".into()), true),
        (ReplicaRef::Number(0), false),
    ] {
        assert_eq!(c.trim(&object, &which, &one).await.unwrap(), trimmed);
    }
    replay.assert_all_recorded();
}

#[tokio::test]
async fn truncates() {
    let replay = scenario!("prc_truncate").serve().await;
    let mut c = replay.connect().await;
    let cut = c.truncate(&at("o"), 10, None).await.unwrap().unwrap();
    assert_eq!((cut.number, cut.hierarchy.as_str()), (0, "demoResc"));
    replay.assert_all_recorded();

    let mut old = scenario!("prc_truncate");
    old.release = Some("rods4.3.1");
    let replay = old.serve().await;
    let mut c = replay.connect().await;
    assert_eq!(c.truncate(&at("o"), 40, None).await.unwrap(), None);
    replay.assert_all_recorded();
    let which = ReplicaRef::Number(1);
    let error = c.truncate(&at("o"), 40, Some(&which)).await.unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

#[tokio::test]
async fn registers_a_replica() {
    let replay = scenario!("prc_register_replica").serve().await;
    let mut c = replay.connect().await;
    let first = Register {
        file: "/srv/ingest/data/small.bin".into(),
        target: Some(Target::Resource("demoResc".into())),
        ..Register::default()
    };
    c.register(&at("reg"), &first).await.unwrap();
    let second = Register {
        file: "/srv/ingest/data/small_copy.bin".into(),
        target: Some(Target::Resource("goldA".into())),
        as_replica: true,
        ..Register::default()
    };
    c.register(&at("reg"), &second).await.unwrap();
    let error = c.register(&at("reg"), &second).await.unwrap_err();
    assert!(error.is(codes::SYS_COPY_ALREADY_IN_RESC), "{error}");
    replay.assert_all_recorded();
}

#[tokio::test]
async fn opens_a_replica_on_two_connections() {
    let name = "prc_replica_open_close";
    let Some(first) = Scenario::load_connection(name, Some(2)) else {
        return;
    };
    let replay = first.serve().await;
    let mut c = replay.connect().await;
    let object = at("o");
    let open = c.open_data_object(&object, OpenHow::Overwrite, None);
    let mut open = open.await.unwrap();
    let info = open.info().await.unwrap();
    assert_eq!((info.number, info.id, info.size), (0, 154_557, 0));
    assert_eq!(info.hierarchy, "demoResc");
    assert_eq!(info.token, "e8a16819-c9a7-4ee2-b804-4aa6ea6aee4b");
    assert_eq!(info.file, "/var/lib/irods/Vault/home/rods/golden/o");
    open.write(b"abcd").await.unwrap();
    open.close().await.unwrap();
    replay.assert_all_recorded();

    let second = Scenario::load_connection("prc_put_parallel", Some(2)).unwrap();
    let replay = second.serve().await;
    let mut c = replay.connect().await;
    let info = OpenInfo {
        token: "59690d6a-2478-46b2-ab3a-ca379e90c70f".into(),
        ..info
    };
    let size = 40 * 1024 * 1024;
    let joined = c.join_replica(&at("forty"), &info, Some(size)).await;
    let mut open = joined.unwrap();
    open.seek(20 * 1024 * 1024, Whence::Start).await.unwrap();
    for _ in 0..5 {
        open.write(&vec![0; 4 * 1024 * 1024]).await.unwrap();
    }
    open.detach().await.unwrap();
    assert!(c.is_usable());
    replay.assert_all_recorded();
}

#[tokio::test]
async fn applies_metadata_at_once() {
    let replay = scenario!("prc_avu_atomic").serve().await;
    let mut c = replay.connect().await;
    let object = at("o");
    let five: Vec<_> = (0..5)
        .map(|i| AvuChange::Add(Avu::new(format!("a{i}"), format!("v{i}"), "u")))
        .collect();
    let entity = Entity::DataObject(&object);
    c.apply_metadata(entity, &five, false).await.unwrap();
    let mixed = [
        AvuChange::Remove(Avu::new("a1", "v1", "u")),
        AvuChange::Add(Avu::new("b", "c", "")),
        AvuChange::Remove(Avu::new("nothere", "x", "")),
    ];
    c.apply_metadata(entity, &mixed, false).await.unwrap();
    let one = [AvuChange::Add(Avu::new("b", "c", ""))];
    c.apply_metadata(Entity::Collection(HOME), &one, false)
        .await
        .unwrap();
    let missing = at("nope");
    let error = c.apply_metadata(Entity::DataObject(&missing), &one, false);
    let error = error.await.unwrap_err();
    assert!(error.is(codes::SYS_INVALID_INPUT_PARAM), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("Entity does not exist") && text.contains(&missing),
        "{text}"
    );
    replay.assert_all_recorded();
}

#[tokio::test]
async fn applies_permissions_at_once() {
    let replay = scenario!("raw_atomic_acl").serve().await;
    let mut c = replay.connect().await;
    let object = "/tempZone/home/rods/direct/a";
    let grant = |user: &str, level: &str| Grant {
        user: user.into(),
        zone: String::new(),
        level: level.into(),
    };
    let both = [grant("alice", "read"), grant("public", "null")];
    c.apply_access(object, &both, false).await.unwrap();
    for (grants, reason) in [
        (
            vec![grant("alice", "write"), grant("nobody_here", "read")],
            "Invalid entity",
        ),
        (vec![grant("alice", "sing")], "Invalid ACL"),
    ] {
        let error = c.apply_access(object, &grants, false).await.unwrap_err();
        assert!(error.is(codes::SYS_INVALID_INPUT_PARAM), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    let missing = "/tempZone/home/rods/direct/none";
    let error = c
        .apply_access(missing, &[grant("alice", "read")], false)
        .await;
    assert!(error.unwrap_err().is_not_found());
    replay.assert_all_recorded();
}

#[tokio::test]
async fn switches_the_user() {
    let mut old = scenario!("raw_switch_user");
    let replay = scenario!("raw_switch_user").serve().await;
    let mut c = replay.connect().await;
    c.switch_user("alice", "tempZone").await.unwrap();
    assert_eq!(c.identity().user, "alice");
    assert!(c.stat("/tempZone/home/alice").await.unwrap().is_some());
    let refused = c
        .create_collection("/tempZone/home/rods/direct/x", false)
        .await;
    assert!(refused.unwrap_err().is(codes::CAT_NO_ACCESS_PERMISSION));
    c.switch_user("rods", "tempZone").await.unwrap();
    let error = c.switch_user("nobody_here", "tempZone").await.unwrap_err();
    assert!(error.is(codes::CAT_INVALID_USER), "{error}");
    assert_eq!(c.identity().user, "rods");
    assert!(c.is_usable());
    replay.assert_all_recorded();

    old.release = Some("rods4.3.0");
    let replay = old.serve().await;
    let error = replay
        .connect()
        .await
        .switch_user("alice", "tempZone")
        .await;
    assert!(matches!(error, Err(Error::Unsupported { .. })));
    replay.assert_all_recorded();
}

#[tokio::test]
async fn a_pool_switches_users_where_the_server_can() {
    for (release, logins) in [("rods5.0.90", 1), ("rods4.3.0", 3)] {
        let mut scenario = scenario!("raw_switch_user");
        scenario.release = Some(release);
        scenario.any_digest = true;
        scenario.relogin = true;
        let replay = scenario.serve().await;
        let pool = Pool::new(
            replay.environment(),
            quick(),
            PoolOptions {
                size: 1,
                ..PoolOptions::default()
            },
        );
        assert_eq!(pool.get().await.unwrap().identity().user, "rods");
        for _ in 0..2 {
            let c = pool.get_acting_for("alice", "tempZone").await.unwrap();
            assert_eq!(c.identity().user, "alice");
        }
        assert_eq!(pool.get().await.unwrap().identity().user, "rods");
        assert_eq!(
            pool.counts().of(api::AUTHENTICATION),
            2 * logins,
            "{release}"
        );
        assert_eq!(pool.idle(), 1);
        replay.assert_all_recorded();
    }
}

#[tokio::test]
async fn writes_rows_directly() {
    let replay = scenario!("raw_reg_data_obj").serve().await;
    let mut c = replay.connect().await;
    let leaf = Leaf {
        id: 10_013,
        name: "demoResc".into(),
        hierarchy: "demoResc".into(),
    };
    let row = |object: &str, file: &str| NewRow {
        object: object.into(),
        file: file.into(),
        size: 100,
        ..NewRow::default()
    };
    let direct = "/tempZone/home/rods/direct";
    let first = row(&format!("{direct}/a"), "/srv/ingest/data/direct/f0");
    let mtime = Some(1_700_000_000);
    let id = c.register_row(&first, &leaf, mtime).await.unwrap();
    assert_eq!(id, 171_919);
    let taken = c.register_row(&first, &leaf, mtime).await.unwrap_err();
    assert!(taken.already_exists(), "{taken}");
    let nowhere = row(&format!("{direct}/no/a"), "/srv/ingest/data/direct/f0");
    let error = c.register_row(&nowhere, &leaf, mtime).await.unwrap_err();
    assert!(
        error.is_not_found() && error.to_string().contains("is unknown"),
        "{error}"
    );
    let ghost = row(&format!("{direct}/ghost"), "/srv/nothing");
    c.register_row(&ghost, &leaf, mtime).await.unwrap();
    let collection = row("/tempZone/home/rods", "/srv/nothing");
    let error = c.register_row(&collection, &leaf, mtime).await.unwrap_err();
    assert!(error.is(codes::CAT_NAME_EXISTS_AS_COLLECTION), "{error}");
    let checked = NewRow {
        checksum: Some("sha2:OAtIY/aeuqzHlL+hdCqKbdxXXozw3tQ0GrnaFYiB6i0=".into()),
        ..row(&format!("{direct}/ck"), "/srv/ingest/data/direct/f1")
    };
    c.register_row(&checked, &leaf, mtime).await.unwrap();
    replay.assert_all_recorded();

    let replay = scenario!("raw_bulk_data_obj_reg").serve().await;
    let mut c = replay.connect().await;
    let rows = |names: &[&str]| -> Vec<NewRow> {
        let named = names.iter().enumerate();
        named
            .map(|(i, n)| {
                row(
                    &format!("{direct}/{n}"),
                    &format!("/srv/ingest/data/direct/f{i}"),
                )
            })
            .collect()
    };
    c.register_rows(&[], &leaf).await.unwrap();
    c.register_rows(&rows(&["b0", "b1", "b2"]), &leaf)
        .await
        .unwrap();
    let taken = c.register_rows(&rows(&["c0", "b1", "c2"]), &leaf).await;
    assert!(taken.unwrap_err().already_exists());
    assert_eq!(c.stat(&format!("{direct}/c0")).await.unwrap(), None);
    let error = c.register_rows(&rows(&["no/x"]), &leaf).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    replay.assert_all_recorded();
    let many: Vec<_> = (0..=BULK_MAX)
        .map(|n| row(&format!("{direct}/m{n}"), "/f"))
        .collect();
    let error = c.register_rows(&many, &leaf).await.unwrap_err();
    assert!(matches!(error, Error::Input { .. }), "{error}");
    let long = row(&format!("{direct}/l"), &"x".repeat(1088));
    let error = c.register_rows(&[long], &leaf).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("physical path is longer than 1087"),
        "{error}"
    );
    replay.assert_all_recorded();
}

#[tokio::test]
async fn uses_a_ticket() {
    let Some(mut scenario) = Scenario::load_connection("prc_tickets", Some(2)) else {
        return;
    };
    scenario.any_digest = true;
    let replay = scenario.serve().await;
    let pool = Pool::new(replay.environment(), quick(), PoolOptions::default());
    let mut c = pool.get().await.unwrap();
    c.use_ticket("goldenticket1").await.unwrap();
    replay.assert_all_recorded();
    drop(c);
    assert_eq!(pool.idle(), 0, "nobody gets another one's ticket");
}

#[tokio::test]
async fn pages_through_a_query() {
    let replay = scenario!("prc_genquery1_paging").serve().await;
    let mut c = replay.connect().await;
    let query = Query::select(&[501, 710, 713]).rows_per_page(500);
    let mut pages = c.query(query);
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        assert!(page.iter().all(|row| row.text(501).starts_with('/')));
        sizes.push(page.len());
    }
    drop(pages);
    assert!(sizes.len() > 1 && sizes[0] == 500, "{sizes:?}");
    // A query that is not read to its end is closed before the next one.
    let query = Query::select(&[403, 501, 410]).rows_per_page(500);
    let mut pages = c.query(query);
    assert_eq!(pages.next().await.unwrap().unwrap().len(), 500);
    drop(pages);
    let next = c.query(Query::select(&[101])).next().await;
    assert!(next.unwrap_err().is(codes::SYS_UNMATCHED_API_NUM));
    let log = replay.log.lock().unwrap();
    assert_eq!(
        log.unmatched.len(),
        1,
        "the close was a recorded one: {log:?}"
    );
}
