//! Collections: made, listed, removed.

use bstr::BString;
use irods_client::collection::{RemoveCollection, ReplicaStatus};
use irods_client::data_object::ObjectKind;
use irods_client::protocol::{Form, codes};
use irods_client::transfer::Put;

use crate::{TestZone, at, in_both_packings};

in_both_packings! {
    collections_are_made_listed_and_removed => collections_xml, collections_native;
}

async fn collections_are_made_listed_and_removed(form: Form) {
    let zone = TestZone::start().await;
    let mut c = zone.connect(form).await;
    c.create_collection(&at("a/b/c"), true).await.unwrap();
    c.create_collection(&at("a/b/c"), true).await.unwrap();
    assert!(c.collection_exists(&at("a/b")).await.unwrap());
    assert!(!c.collection_exists(&at("a/x")).await.unwrap());
    let error = c.create_collection(&at("a/b"), false).await.unwrap_err();
    assert!(error.already_exists(), "{error}");
    let error = c.create_collection(&at("x/y"), false).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    c.create_collection(&at("a/d"), false).await.unwrap();
    let mut names = c.list_subcollections(&at("a")).await.unwrap();
    names.sort();
    assert_eq!(names, ["b", "d"]);
    assert_eq!(
        c.stat(&at("a")).await.unwrap().unwrap().kind,
        ObjectKind::Collection
    );

    for n in 0..25 {
        let object = at(&format!("a/f{n:02}"));
        c.put_bytes(&object, b"x", &Put::default()).await.unwrap();
    }
    let listed = c.list_data_objects(&at("a")).await.unwrap();
    assert_eq!(listed.len(), 25);
    let replica = &listed[&BString::from("f07")][0];
    assert_eq!((replica.size, replica.status), (1, ReplicaStatus::Good));
    assert_eq!(replica.hierarchy, "demoResc");

    let silent = &mut |_| {};
    let empty = RemoveCollection::Empty;
    let error = c
        .remove_collection(&at("a"), empty, silent)
        .await
        .unwrap_err();
    assert!(error.is(codes::CAT_COLLECTION_NOT_EMPTY), "{error}");
    c.remove_collection(&at("a/d"), empty, silent)
        .await
        .unwrap();
    let unregister = RemoveCollection::UnregisterEmpty;
    c.remove_collection(&at("a/b/c"), unregister, silent)
        .await
        .unwrap();
    let trash = RemoveCollection::ToTrash;
    c.remove_collection(&at("a/b"), trash, silent)
        .await
        .unwrap();
    let force = RemoveCollection::Force;
    c.remove_collection(&at("a"), force, silent).await.unwrap();
    assert_eq!(c.stat(&at("a")).await.unwrap(), None);
    assert!(c.list_data_objects(&at("a")).await.unwrap().is_empty());
}
