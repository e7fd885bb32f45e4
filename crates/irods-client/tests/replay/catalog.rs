//! Names, metadata, permissions and queries.

use crate::{HOME, at, scenario};
use irods_client::Error;
use irods_client::access::Grant;
use irods_client::collection::RemoveCollection;
use irods_client::data_object::ObjectKind;
use irods_client::metadata::{Avu, AvuChange, Entity};
use irods_client::protocol::codes;
use irods_client::query::Query;

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
    let both = [Grant::new("alice", "read"), Grant::new("public", "null")];
    c.apply_access(object, &both, false).await.unwrap();
    for (grants, reason) in [
        (
            vec![
                Grant::new("alice", "write"),
                Grant::new("nobody_here", "read"),
            ],
            "Invalid entity",
        ),
        (vec![Grant::new("alice", "sing")], "Invalid ACL"),
    ] {
        let error = c.apply_access(object, &grants, false).await.unwrap_err();
        assert!(error.is(codes::SYS_INVALID_INPUT_PARAM), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    let missing = "/tempZone/home/rods/direct/none";
    let error = c
        .apply_access(missing, &[Grant::new("alice", "read")], false)
        .await;
    assert!(error.unwrap_err().is_not_found());
    replay.assert_all_recorded();
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
