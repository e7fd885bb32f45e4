//! Open replicas.

use std::io::Cursor;

use irods_client::Error;
use irods_client::collection::ReplicaStatus;
use irods_client::protocol::Form;
use irods_client::transfer::{OpenHow, Whence};

use crate::{Broken, MIB, TestZone, at, at_rest, bytes, content, in_both_packings};

in_both_packings! {
    replicas_are_opened_written_and_appended_to => open_xml, open_native;
}

async fn replicas_are_opened_written_and_appended_to(form: Form) {
    let zone = TestZone::start().await;
    let mut c = zone.connect(form).await;
    let object = at("o");
    let error = c
        .open_data_object(&object, OpenHow::Read, None)
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let mut open = c
        .open_data_object(&object, OpenHow::Create, None)
        .await
        .unwrap();
    open.write(b"hello world").await.unwrap();
    assert_eq!(open.seek(-5, Whence::End).await.unwrap(), 6);
    open.write(b"there").await.unwrap();
    assert_eq!(open.seek(0, Whence::Current).await.unwrap(), 11);
    open.close().await.unwrap();
    assert_eq!(content(&mut c, &object).await, b"hello there");

    let mut open = c
        .open_data_object(&object, OpenHow::Update, None)
        .await
        .unwrap();
    assert_eq!(&open.read(5).await.unwrap()[..], b"hello");
    open.seek(0, Whence::Start).await.unwrap();
    open.write(b"H").await.unwrap();
    open.close().await.unwrap();
    assert_eq!(content(&mut c, &object).await, b"Hello there");

    let end = Cursor::new(b"!!".to_vec());
    c.append(&object, end, 2, Some(11), None).await.unwrap();
    let error = c
        .append(&object, Cursor::new(b"?"), 1, Some(11), None)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    c.append(&object, Broken, 1, None, None).await.unwrap_err();
    assert_eq!(content(&mut c, &object).await, b"Hello there!!");
    let much = bytes(5 * MIB);
    c.append(&at("p"), Cursor::new(much.clone()), 5 * MIB, Some(0), None)
        .await
        .unwrap();
    assert_eq!(content(&mut c, &at("p")).await, much);

    let mut open = c
        .open_data_object(&object, OpenHow::Overwrite, None)
        .await
        .unwrap();
    open.write(b"new").await.unwrap();
    open.close().await.unwrap();
    assert_eq!(content(&mut c, &object).await, b"new");

    // Given up in the middle: the connection goes, and what was written is not taken for good.
    let mut open = c
        .open_data_object(&at("q"), OpenHow::Create, None)
        .await
        .unwrap();
    open.write(b"half").await.unwrap();
    drop(open);
    assert!(!c.is_usable());
    drop(c);
    let mut c = zone.connect(form).await;
    assert_eq!(at_rest(&mut c, &at("q")).await, ReplicaStatus::Stale);
}
