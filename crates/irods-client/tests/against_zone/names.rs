//! Names that packings, queries and escapes stumble over.

use bstr::BString;
use irods_client::Error;
use irods_client::protocol::Form;
use irods_client::transfer::Put;

use crate::{HOME, TestZone, at, content, in_both_packings};

in_both_packings! {
    strange_names_come_back_as_they_went => names_xml, names_native;
}

async fn strange_names_come_back_as_they_went(form: Form) {
    let zone = TestZone::start().await;
    let mut c = zone.connect(form).await;
    let names = [
        "it's",
        "a `tick`",
        "<&>\"",
        "ünï çödé 日本",
        "%_\\",
        " leading and trailing ",
        "new\nline",
        "a || b && c",
        "-rf",
        "&apos;",
    ];
    for name in names {
        let collection = at(name);
        c.create_collection(&collection, false).await.unwrap();
        let object = format!("{collection}/{name}");
        c.put_bytes(&object, name.as_bytes(), &Put::default())
            .await
            .unwrap();
        assert_eq!(content(&mut c, &object).await, name.as_bytes());
        assert_eq!(c.replicas(&object).await.unwrap().len(), 1, "{name:?}");
        let listed = c.list_data_objects(&collection).await.unwrap();
        assert!(listed.contains_key(&BString::from(name)), "{listed:?}");
    }
    let listed = c.list_subcollections(HOME).await.unwrap();
    for name in names {
        assert!(
            listed.contains(&BString::from(name)),
            "{name:?} in {listed:?}"
        );
    }
    // What no query can ask for is refused, not answered wrongly.
    let error = c.replicas(&at("it's || x")).await.unwrap_err();
    assert!(matches!(error, Error::Input { .. }));
}
