//! Files registered in place, their rows changed, and taken out again.

use bstr::BString;
use irods_client::Scope;
use irods_client::data_object::{ObjectKind, Remove};
use irods_client::protocol::{Form, codes};
use irods_client::register::{Register, Target};
use irods_client::replica::{Changes, Which};

use crate::{TestZone, at, content, in_both_packings};

in_both_packings! {
    files_are_registered_changed_and_unregistered => registration_xml, registration_native;
}

async fn files_are_registered_changed_and_unregistered(form: Form) {
    let zone = TestZone::start().await;
    let mut c = zone.connect(form).await;
    let file = zone.file("data", b"twelve bytes");
    let what = Register {
        file: file.clone(),
        size: Some(12),
        mtime: Some(1_500_000_000),
        target: Some(Target::Resource("demoResc".into())),
        ..Register::default()
    };
    c.register(&at("r"), &what).await.unwrap();
    let replica = &c.replicas(&at("r")).await.unwrap()[0];
    assert_eq!((replica.size, replica.mtime), (12, 1_500_000_000));
    assert_eq!(replica.path, BString::from(file.as_str()));
    assert_eq!(replica.checksum, "");
    assert!(
        c.register(&at("r"), &what)
            .await
            .unwrap_err()
            .already_exists()
    );
    assert!(
        c.register(&at("no/r"), &what)
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert_eq!(content(&mut c, &at("r")).await, b"twelve bytes");
    let checked = Register {
        file: file.clone(),
        checksum: true,
        target: Some(Target::Hierarchy("demoResc".into())),
        ..Register::default()
    };
    c.register(&at("s"), &checked).await.unwrap();
    let stat = c.stat(&at("s")).await.unwrap().unwrap();
    assert!(
        stat.size == 12 && stat.checksum.starts_with("sha2:"),
        "{stat:?}"
    );
    let missing = Register {
        file: format!("{file}-not"),
        ..Register::default()
    };
    let error = c.register(&at("t"), &missing).await.unwrap_err();
    assert!(error.is(codes::UNIX_FILE_STAT_ERR), "{error}");
    let nowhere = Register {
        target: Some(Target::Resource("noSuchResc".into())),
        ..what.clone()
    };
    let error = c.register(&at("t"), &nowhere).await.unwrap_err();
    assert_eq!(error.scope(), Scope::Job, "{error}");
    let again = Register {
        as_replica: true,
        ..what.clone()
    };
    let error = c.register(&at("r"), &again).await.unwrap_err();
    assert!(error.is(codes::SYS_COPY_ALREADY_IN_RESC), "{error}");

    let changes = Changes {
        size: Some(99),
        mtime: Some(1_600_000_000),
        checksum: Some("sha2:abc".into()),
        good: true,
    };
    for which in [
        Which::All,
        Which::Number(0),
        Which::Hierarchy("demoResc".into()),
    ] {
        c.modify_replica(&at("r"), &which, &changes).await.unwrap();
        let replica = &c.replicas(&at("r")).await.unwrap()[0];
        assert_eq!((replica.size, replica.mtime), (99, 1_600_000_000));
        assert_eq!(replica.checksum, "sha2:abc");
        c.set_mtime(&at("r"), &which, 1_400_000_000).await.unwrap();
        assert_eq!(c.replicas(&at("r")).await.unwrap()[0].mtime, 1_400_000_000);
    }
    let error = c
        .modify_replica(&at("no"), &Which::All, &changes)
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error}");

    c.touch(&at("r"), Some(1_300_000_000), false).await.unwrap();
    assert_eq!(
        c.stat(&at("r")).await.unwrap().unwrap().mtime,
        1_300_000_000
    );
    c.touch(&at("no"), None, false).await.unwrap();
    assert_eq!(c.stat(&at("no")).await.unwrap(), None);
    c.touch(&at("new"), None, true).await.unwrap();
    assert_eq!(c.stat(&at("new")).await.unwrap().unwrap().size, 0);

    c.rename(ObjectKind::DataObject, &at("r"), &at("r2"))
        .await
        .unwrap();
    let taken = c.rename(ObjectKind::DataObject, &at("r2"), &at("s")).await;
    assert!(taken.unwrap_err().already_exists());
    c.create_collection(&at("c"), false).await.unwrap();
    c.rename(ObjectKind::Collection, &at("c"), &at("c2"))
        .await
        .unwrap();
    assert!(c.collection_exists(&at("c2")).await.unwrap());

    c.remove_data_object(&at("r2"), Remove::Unregister)
        .await
        .unwrap();
    c.remove_data_object(&at("s"), Remove::Force).await.unwrap();
    assert!(
        std::fs::exists(&file).unwrap(),
        "a file outside a vault stays"
    );
    c.remove_data_object(&at("new"), Remove::ToTrash)
        .await
        .unwrap();
    let error = c
        .remove_data_object(&at("new"), Remove::Force)
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error}");
}
