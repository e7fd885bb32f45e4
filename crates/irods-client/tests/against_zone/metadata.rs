//! AVUs and permissions.

use irods_client::metadata::{Avu, Entity};
use irods_client::protocol::{Form, codes};
use irods_client::transfer::Put;

use crate::{HOME, TestZone, at, in_both_packings};

in_both_packings! {
    metadata_and_permissions => metadata_xml, metadata_native;
}

async fn metadata_and_permissions(form: Form) {
    let zone = TestZone::start().await;
    let mut c = zone.connect(form).await;
    let object = at("it's & <o>");
    c.put_bytes(&object, b"x", &Put::default()).await.unwrap();
    let entities = [
        Entity::DataObject(&object),
        Entity::Collection(HOME),
        Entity::Resource("demoResc"),
        Entity::User("rods"),
    ];
    for entity in entities {
        assert!(c.list_avus(entity).await.unwrap().is_empty());
        let a = Avu::new("k", "v", "u");
        let b = Avu::new("k", "знач & <x> `it's`", "");
        c.add_avu(entity, &a).await.unwrap();
        c.add_avu(entity, &b).await.unwrap();
        assert!(c.add_avu(entity, &a).await.unwrap_err().already_exists());
        let mut all = vec![a.clone(), b.clone()];
        all.sort();
        assert_eq!(c.list_avus(entity).await.unwrap(), all);
        let only = Avu::new("k", "only", "");
        c.set_avu(entity, &only).await.unwrap();
        assert_eq!(
            c.list_avus(entity).await.unwrap(),
            std::slice::from_ref(&only)
        );
        assert!(c.remove_avu(entity, &only).await.unwrap());
        assert!(!c.remove_avu(entity, &only).await.unwrap());
    }
    let second = at("second");
    c.put_bytes(&second, b"x", &Put::default()).await.unwrap();
    for (object, value) in [(&object, "1"), (&object, "2"), (&second, "it's")] {
        let avu = Avu::new("of", value, "");
        c.add_avu(Entity::DataObject(object), &avu).await.unwrap();
    }
    let mut values = Vec::new();
    let mut pages = c.list_values(HOME, "of");
    while let Some(page) = pages.next().await.unwrap() {
        values.extend(page);
    }
    drop(pages);
    values.sort();
    let expected = [("it's & <o>", "1"), ("it's & <o>", "2"), ("second", "it's")];
    assert_eq!(
        values,
        expected.map(|(name, value)| (name.into(), value.to_owned()))
    );
    assert_eq!(c.list_values(HOME, "none").next().await.unwrap(), None);

    let missing = at("no");
    let error = c
        .add_avu(Entity::DataObject(&missing), &Avu::new("k", "v", ""))
        .await;
    assert!(error.unwrap_err().is_not_found());

    c.set_access(&object, "read", "public", "", false)
        .await
        .unwrap();
    let access = c.list_access(&object).await.unwrap();
    let levels: Vec<_> = access.iter().map(|a| (&*a.user, &*a.level)).collect();
    assert_eq!(levels, [("public", "read_object"), ("rods", "own")]);
    c.set_access(&object, "null", "public", "", false)
        .await
        .unwrap();
    assert_eq!(c.list_access(&object).await.unwrap().len(), 1);
    let error = c
        .set_access(&object, "read", "nobody_here", "", false)
        .await
        .unwrap_err();
    assert!(error.is(codes::CAT_INVALID_USER), "{error}");
    c.create_collection(&at("c/d"), true).await.unwrap();
    c.set_inheritance(&at("c"), true).await.unwrap();
    c.set_access(&at("c"), "write", "public", "", true)
        .await
        .unwrap();
    let access = c.list_access(&at("c/d")).await.unwrap();
    assert!(
        access
            .iter()
            .any(|a| a.user == "public" && a.level == "modify_object"),
        "{access:?}"
    );
    assert!(c.list_access(&missing).await.unwrap().is_empty());
}
