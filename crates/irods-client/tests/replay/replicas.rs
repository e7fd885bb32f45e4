//! Replicas, and rows written directly.

use crate::support::Scenario;
use crate::{at, scenario};
use irods_client::data_object::{ObjectKind, Remove};
use irods_client::protocol::codes;
use irods_client::register::{BULK_MAX, Leaf, NewRow, Register, Target};
use irods_client::replica::{Changes, ReplicaRef, Replicate, Trim, Which};
use irods_client::transfer::{OpenHow, OpenInfo};
use irods_client::{Error, Scope};

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
    let block = vec![0; 4 * 1024 * 1024];
    open.write_at(20 * 1024 * 1024, &block).await.unwrap();
    for _ in 1..5 {
        open.write(&block).await.unwrap();
    }
    open.detach().await.unwrap();
    assert!(c.is_usable());
    replay.assert_all_recorded();
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
