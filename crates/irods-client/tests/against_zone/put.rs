//! Whole files in, and what is left of those that fail.

use std::io::{Cursor, Read};

use irods_client::access::Grant;
use irods_client::collection::ReplicaStatus;
use irods_client::data_object::ChecksumMode;
use irods_client::error::Left;
use irods_client::metadata::{Avu, Entity};
use irods_client::protocol::Form;
use irods_client::register::Target;
use irods_client::transfer::{Put, PutChecksum};
use irods_client::{Error, Scope};

use crate::{Broken, HOME, MIB, TestZone, at, at_rest, bytes, content, in_both_packings};

in_both_packings! {
    files_are_put_and_read_back => puts_xml, puts_native;
    a_source_that_is_not_what_it_was_leaves_nothing => broken_sources_xml, broken_sources_native;
    what_comes_along_is_there_before_the_bytes => along_xml, along_native;
}

async fn files_are_put_and_read_back(form: Form) {
    let zone = TestZone::start().await;
    let mut c = zone.connect(form).await;
    let how = |checksum, single_message_max| Put {
        checksum,
        single_message_max,
        ..Put::default()
    };
    // (size, single message up to)
    for (n, (size, single)) in [(0, MIB), (1, MIB), (MIB, MIB), (3, 0), (9 * MIB + 5, MIB)]
        .into_iter()
        .enumerate()
    {
        let sent = bytes(size);
        for checksum in [
            PutChecksum::None,
            PutChecksum::Register,
            PutChecksum::Verify,
        ] {
            let object = at(&format!("f{n}{checksum:?}"));
            let source = Cursor::new(sent.clone());
            let stored = c
                .put(&object, source, size, &how(checksum, single))
                .await
                .unwrap();
            assert_eq!(stored.size, size);
            assert_eq!(content(&mut c, &object).await, sent, "{object}");
            let replicas = c.replicas(&object).await.unwrap();
            assert_eq!(replicas.len(), 1);
            assert_eq!(
                (replicas[0].size, replicas[0].status),
                (size, ReplicaStatus::Good)
            );
            let has = replicas[0].checksum.starts_with("sha2:");
            assert_eq!(has, checksum != PutChecksum::None, "{object}");
            if checksum == PutChecksum::Verify {
                assert_eq!(stored.checksum.as_ref(), Some(&replicas[0].checksum));
            }
            let computed = c.checksum(&object, ChecksumMode::Stored).await.unwrap();
            let again = c.checksum(&object, ChecksumMode::Recompute).await.unwrap();
            assert_eq!(computed, again);

            let taken = c
                .put(&object, Cursor::new(b"new"), 3, &how(checksum, single))
                .await;
            let taken = taken.unwrap_err();
            assert!(
                taken.already_exists() && matches!(taken, Error::Server(_)),
                "{taken}"
            );
            assert_eq!(content(&mut c, &object).await, sent, "untouched");

            let over = Put {
                overwrite: true,
                ..how(checksum, single)
            };
            c.put(&object, Cursor::new(b"new"), 3, &over).await.unwrap();
            assert_eq!(content(&mut c, &object).await, b"new");
        }
    }
    let error = c
        .put_bytes(&at("no/f"), b"x", &Put::default())
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let nowhere = Put {
        target: Some(Target::Resource("noSuchResc".into())),
        ..Put::default()
    };
    let error = c.put_bytes(&at("f"), b"x", &nowhere).await.unwrap_err();
    assert_eq!(error.scope(), Scope::Job, "{error}");
    assert_eq!(c.stat(&at("f")).await.unwrap(), None);
    let there = Put {
        target: Some(Target::Resource("demoResc".into())),
        metadata: vec![Avu::new("a;1", "v", ""), Avu::new("b", "v", "u")],
        access: vec![Grant::new("public", "read")],
        ..Put::default()
    };
    c.put_bytes(&at("f"), b"x", &there).await.unwrap();
    let tags = c.list_avus(Entity::DataObject(&at("f"))).await.unwrap();
    assert_eq!(tags, there.metadata);
    let access = c.list_access(&at("f")).await.unwrap();
    assert!(access.iter().any(|a| a.user == "public"), "{access:?}");
    // A collection's name.
    let error = c.put_bytes(HOME, b"x", &Put::default()).await.unwrap_err();
    assert!(error.already_exists(), "{error}");
}

/// A source whose end comes when it is told.
struct Held {
    rest: u64,
    until: Option<std::sync::mpsc::Receiver<()>>,
}

impl Read for Held {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.rest <= MIB
            && let Some(until) = self.until.take()
        {
            let _ = until.recv();
        }
        let n = into.len().min(usize::try_from(self.rest).unwrap());
        into[..n].fill(7);
        self.rest -= n as u64;
        Ok(n)
    }
}

async fn what_comes_along_is_there_before_the_bytes(form: Form) {
    let zone = TestZone::start().await;
    let mut c = zone.connect(form).await;
    let (object, size) = (at("large"), 9 * MIB);
    for overwrite in [false, true] {
        let how = Put {
            metadata: vec![Avu::new("of", "it's; this", "")],
            single_message_max: 0,
            overwrite,
            ..Put::default()
        };
        let (tell, until) = std::sync::mpsc::channel();
        let until = Some(until);
        let source = Held { rest: size, until };
        let object = &object;
        let looked = async {
            let mut c = zone.connect(form).await;
            let entity = Entity::DataObject(object);
            loop {
                let avus = c.list_avus(entity).await.unwrap();
                let replicas = c.replicas(object).await.unwrap();
                let status = replicas.first().map(|replica| replica.status);
                if status == Some(ReplicaStatus::Intermediate) && !avus.is_empty() {
                    assert_eq!(avus, how.metadata);
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            tell.send(()).unwrap();
        };
        let (put, ()) = tokio::join!(c.put(object, source, size, &how), looked);
        put.unwrap();
        let avus = c.list_avus(Entity::DataObject(object)).await.unwrap();
        assert_eq!(avus, how.metadata);
        assert_eq!(
            content(&mut c, object).await,
            vec![7; usize::try_from(size).unwrap()]
        );
    }
}

async fn a_source_that_is_not_what_it_was_leaves_nothing(form: Form) {
    let zone = TestZone::start().await;
    let mut c = zone.connect(form).await;
    for (single, sent_any) in [(32 * MIB, false), (0, true)] {
        let how = Put {
            single_message_max: single,
            ..Put::default()
        };
        for (has, announced) in [(5 * MIB, 9 * MIB), (9 * MIB, 5 * MIB), (0, MIB)] {
            let source = Cursor::new(bytes(has));
            let error = c.put(&at("f"), source, announced, &how).await.unwrap_err();
            let begun = sent_any && has > 0;
            match error {
                Error::Mismatch { .. } => assert!(!begun),
                Error::Transfer { left, .. } => assert!(begun && left == Left::Nothing, "{left}"),
                other => panic!("{other}"),
            }
            assert_eq!(c.stat(&at("f")).await.unwrap(), None);
        }
        let broken = Cursor::new(bytes(5 * MIB)).chain(Broken);
        let error = c.put(&at("f"), broken, 6 * MIB, &how).await.unwrap_err();
        assert!(error.to_string().contains("broken disk"), "{error}");
        assert_eq!(c.stat(&at("f")).await.unwrap(), None);
        // Nothing readable: an object that is there stays as it is even if it may be overwritten.
        let over = Put {
            overwrite: true,
            ..how
        };
        c.put(&at("g"), Cursor::new(b"old"), 3, &over)
            .await
            .unwrap();
        let error = c.put(&at("g"), Broken, 6 * MIB, &over).await.unwrap_err();
        assert!(matches!(error, Error::Local { .. }), "{error}");
        assert_eq!(content(&mut c, &at("g")).await, b"old");
        assert!(c.is_usable());
    }
    // An overwrite that fails in the middle is never taken for complete.
    let over = Put {
        overwrite: true,
        single_message_max: 0,
        ..Put::default()
    };
    let broken = Cursor::new(bytes(5 * MIB)).chain(Broken);
    let error = c.put(&at("g"), broken, 6 * MIB, &over).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Transfer {
                left: Left::Incomplete,
                ..
            }
        ),
        "{error}"
    );
    assert!(!c.is_usable());
    drop(c);
    let mut c = zone.connect(form).await;
    let status = at_rest(&mut c, &at("g")).await;
    assert_eq!(status, ReplicaStatus::Stale);
}
