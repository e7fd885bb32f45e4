//! What the harsh mode does, each by itself.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::time::Duration;

use common::{Fixture, HOME, Peer};
use irods_protocol::message::*;
use irods_protocol::version::Version;
use irods_protocol::{Packing, api, codes};
use irods_zone::{Harsh, Zone, ZoneOptions};

/// Harsh in nothing, to be changed.
fn mild(release: Version) -> Harsh {
    Harsh {
        seed: 1,
        release,
        delay: Duration::ZERO,
        locale_order: false,
        strict: false,
        locked: 0,
        lost: 0,
        cut: 0,
    }
}

async fn zone(harsh: Harsh) -> Fixture {
    Fixture::with(|options| options.harsh = Some(harsh)).await
}

async fn old_login(f: &Fixture) -> Peer {
    let mut peer = Peer::start(f.zone.address(), Packing::XML, "rods", "rods").await;
    assert_eq!(peer.authenticate_legacy("rods", &f.password()).await, 0);
    peer
}

/// The same zone without harshness.
async fn calm(f: Fixture) -> Fixture {
    let Fixture { dir, zone } = f;
    zone.stop().await;
    let zone = Zone::start(ZoneOptions::new(dir.path().join("zone")))
        .await
        .unwrap();
    Fixture { dir, zone }
}

#[tokio::test]
async fn releases_are_announced_and_their_unknown_calls_treated_as_they_do() {
    let unknown = 4711;
    let f = zone(mild(Version::new(4, 2, 11))).await;
    let mut old = old_login(&f).await;
    assert_eq!(old.release, "rods4.2.11");
    for number in [unknown, api::REPLICA_TRUNCATE, api::AUTHENTICATION] {
        assert_eq!(old.bare(number).await.code, codes::SYS_UNMATCHED_API_NUM);
    }
    assert!(old.stat(HOME).await.is_ok());
    let grant = ModAccessControlInp {
        access_level: Some("read".into()),
        user_name: Some("public".into()),
        path: Some(HOME.into()),
        ..ModAccessControlInp::default()
    };
    assert_eq!(old.call(api::MOD_ACCESS_CONTROL, &grant).await.code, 0);
    let mut rows = old.query(&[711], &[(501, &format!("= '{HOME}'"))]).await;
    rows.sort();
    assert_eq!(rows, [["own"], ["read object"]]);
    let newer = GenQueryInp {
        max_rows: 1,
        selects: InxIvalPair(vec![(424, 1)]),
        ..GenQueryInp::default()
    };
    let answer = old.call(api::GEN_QUERY, &newer).await;
    assert_eq!(answer.code, codes::CAT_UNKNOWN_TABLE);

    let f = zone(mild(Version::new(4, 3, 4))).await;
    let mut silent = f.rods().await;
    assert_eq!(silent.release, "rods4.3.4");
    silent
        .send(irods_protocol::header::kind::API_REQ, unknown, b"", b"")
        .await;
    // The only answer is that of the next call.
    assert_eq!(silent.stat(HOME).await.unwrap().obj_type, 2);

    let f = zone(mild(Version::new(5, 0, 2))).await;
    let mut closed = f.rods().await;
    closed
        .send(irods_protocol::header::kind::API_REQ, unknown, b"", b"")
        .await;
    assert!(closed.receive().await.is_none());
}

#[tokio::test]
async fn locked_objects_are_refused_and_nothing_is_done() {
    let f = zone(Harsh {
        locked: 1000,
        ..mild(Version::new(5, 0, 2))
    })
    .await;
    let mut rods = f.rods().await;
    let path = format!("{HOME}/o");
    let mut said = std::collections::BTreeSet::new();
    for _ in 0..20 {
        said.insert(rods.put(&path, b"x").await);
    }
    let both = [
        codes::LOCKED_DATA_OBJECT_ACCESS,
        codes::INTERMEDIATE_REPLICA_ACCESS,
    ];
    assert_eq!(said, both.into());
    assert_eq!(rods.stat(&path).await, Err(codes::USER_FILE_DOES_NOT_EXIST));
}

#[tokio::test]
async fn lost_answers_are_of_calls_that_were_carried_out() {
    let f = zone(Harsh {
        lost: 1000,
        ..mild(Version::new(5, 0, 2))
    })
    .await;
    let mut rods = f.rods().await;
    let input = CollInpNew {
        coll_name: format!("{HOME}/made"),
        ..CollInpNew::default()
    };
    let message = irods_protocol::Pi::to_bytes(&input, Packing::XML).unwrap();
    let request = irods_protocol::header::kind::API_REQ;
    rods.send(request, api::COLL_CREATE, &message, b"").await;
    assert!(rods.receive().await.is_none());
    let f = calm(f).await;
    assert!(f.rods().await.stat(&format!("{HOME}/made")).await.is_ok());
}

#[tokio::test]
async fn cut_connections_end_before_or_within_the_answer() {
    let f = zone(Harsh {
        cut: 1000,
        ..mild(Version::new(5, 0, 2))
    })
    .await;
    let mut halves = 0;
    for n in 0..12 {
        let mut rods = f.rods().await;
        let input = CollInpNew {
            coll_name: format!("{HOME}/c{n}"),
            ..CollInpNew::default()
        };
        let message = irods_protocol::Pi::to_bytes(&input, Packing::XML).unwrap();
        let request = irods_protocol::header::kind::API_REQ;
        rods.send(request, api::COLL_CREATE, &message, b"").await;
        assert!(rods.receive().await.is_none());
        halves += usize::from(rods.decoder.buffered() > 0);
    }
    assert!((1..12).contains(&halves), "{halves}");
    let f = calm(f).await;
    let mut rods = f.rods().await;
    let under = format!("= '{HOME}'");
    let made = rods.query(&[501], &[(502, &under)]).await.len();
    assert_eq!(made, halves);
}

#[tokio::test]
async fn rows_come_as_a_locale_has_them() {
    let f = zone(Harsh {
        locale_order: true,
        ..mild(Version::new(5, 0, 2))
    })
    .await;
    let mut rods = f.rods().await;
    for name in ["b", "A", "a1", "B2"] {
        assert_eq!(rods.put(&format!("{HOME}/{name}"), b"x").await, 0);
    }
    let under = format!("= '{HOME}'");
    let rows = rods.query(&[403, 407], &[(501, &under)]).await;
    let names: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, ["A", "a1", "b", "B2"]);
}

#[tokio::test]
async fn rows_may_be_hidden_from_an_administrator_too() {
    let f = zone(Harsh {
        strict: true,
        ..mild(Version::new(5, 0, 2))
    })
    .await;
    let mut rods = f.rods().await;
    for name in ["seen", "hidden"] {
        assert_eq!(rods.put(&format!("{HOME}/{name}"), b"x").await, 0);
        assert_eq!(rods.mkdir(&format!("{HOME}/{name} c")).await, 0);
    }
    for name in ["hidden", "hidden c"] {
        let nothing = ModAccessControlInp {
            access_level: Some("null".into()),
            user_name: Some("rods".into()),
            path: Some(format!("{HOME}/{name}")),
            ..ModAccessControlInp::default()
        };
        assert_eq!(rods.call(api::MOD_ACCESS_CONTROL, &nothing).await.code, 0);
    }
    let under = format!("= '{HOME}'");
    assert_eq!(rods.query(&[403], &[(501, &under)]).await, [["seen"]]);
    let seen = format!("{HOME}/seen c");
    assert_eq!(rods.query(&[501], &[(502, &under)]).await, [[seen]]);
    let hidden = format!("{HOME}/hidden");
    let missing = Err(codes::USER_FILE_DOES_NOT_EXIST);
    assert_eq!(rods.stat(&hidden).await.map(drop), missing);
    // Yet the names are taken.
    let taken = codes::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME;
    assert_eq!(rods.put(&hidden, b"y").await, taken);
    let collection = CollInpNew {
        coll_name: format!("{hidden} c"),
        ..CollInpNew::default()
    };
    assert_eq!(rods.call(api::COLL_CREATE, &collection).await.code, taken);
    let f = calm(f).await;
    let mut rows = f.rods().await.query(&[403], &[(501, &under)]).await;
    rows.sort();
    assert_eq!(rows, [["hidden"], ["seen"]]);
}
