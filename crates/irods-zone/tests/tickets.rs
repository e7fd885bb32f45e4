//! Tickets: what they let in, and what keeps others out.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{Fixture, HOME, Peer};
use irods_protocol::message::{KeyValPair, TicketAdminInp};
use irods_protocol::{api, codes};

async fn ticket(peer: &mut Peer, args: &[&str]) -> i32 {
    let arg = |n: usize| Some(args.get(n).copied().unwrap_or_default().to_owned());
    let input = TicketAdminInp {
        arg1: arg(0),
        arg2: arg(1),
        arg3: arg(2),
        arg4: arg(3),
        arg5: arg(4),
        arg6: arg(5),
        cond_input: KeyValPair::new(),
    };
    peer.call(api::TICKET_ADMIN, &input).await.code
}

/// Zone with an object and a collection with one, and a stranger to both.
async fn scene() -> (Fixture, Peer, Peer) {
    let zone = Fixture::new().await;
    let mut rods = zone.rods().await;
    assert_eq!(rods.put(&format!("{HOME}/o"), b"secret").await, 0);
    assert_eq!(rods.mkdir(&format!("{HOME}/c/d")).await, 0);
    assert_eq!(rods.put(&format!("{HOME}/c/d/in"), b"inner").await, 0);
    let alice = zone.user("alice").await;
    (zone, rods, alice)
}

#[tokio::test]
async fn a_read_ticket_lets_its_object_be_read_and_no_more() {
    let (_zone, mut rods, mut alice) = scene().await;
    let (o, inner) = (format!("{HOME}/o"), format!("{HOME}/c/d/in"));
    assert_eq!(ticket(&mut rods, &["create", "t", "read", &o]).await, 0);
    assert_eq!(
        ticket(&mut rods, &["create", "t", "read", &o]).await,
        codes::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME
    );
    assert!(alice.get(&o).await.is_err());
    assert_eq!(ticket(&mut alice, &["session", "t"]).await, 0);
    assert_eq!(alice.get(&o).await.unwrap(), b"secret");
    assert!(alice.get(&inner).await.is_err());
    let names = alice.query(&[403], &[]).await;
    assert_eq!(names, [["o"]]);
    let flags = 1; // O_WRONLY
    let refused = alice.open(&o, flags, KeyValPair::new()).await;
    assert_eq!(refused, codes::CAT_NO_ACCESS_PERMISSION);
    assert!(alice.unlink(&o, KeyValPair::new()).await < 0);

    assert_eq!(ticket(&mut rods, &["delete", "t"]).await, 0);
    assert!(alice.get(&o).await.is_err());
    assert_eq!(
        ticket(&mut rods, &["delete", "t"]).await,
        codes::CAT_TICKET_INVALID
    );
}

#[tokio::test]
async fn a_write_ticket_for_a_collection_is_for_all_below() {
    let (_zone, mut rods, mut alice) = scene().await;
    let c = format!("{HOME}/c");
    assert_eq!(ticket(&mut rods, &["create", "t", "write", &c]).await, 0);
    assert_eq!(ticket(&mut alice, &["session", "t"]).await, 0);
    assert_eq!(alice.put(&format!("{c}/d/new"), b"x").await, 0);
    assert_eq!(alice.get(&format!("{c}/d/in")).await.unwrap(), b"inner");
    // A name that begins alike is not below.
    assert!(alice.put(&format!("{HOME}/c2"), b"x").await < 0);
    assert!(alice.get(&format!("{HOME}/o")).await.is_err());
}

#[tokio::test]
async fn limits_are_kept() {
    let (zone, mut rods, _) = scene().await;
    let o = format!("{HOME}/o");
    for (change, code) in [
        (&["expire", "1000000000"][..], codes::CAT_TICKET_EXPIRED),
        (&["add", "user", "bob"], codes::CAT_TICKET_USER_EXCLUDED),
        (
            &["add", "host", "192.0.2.7"],
            codes::CAT_TICKET_HOST_EXCLUDED,
        ),
        (
            &["add", "group", "nobodies"],
            codes::CAT_TICKET_GROUP_EXCLUDED,
        ),
    ] {
        let mut alice = Peer::login(zone.zone.address(), "alice", "alice-secret").await;
        assert_eq!(ticket(&mut rods, &["create", "t", "read", &o]).await, 0);
        let all = [&["mod", "t"], change].concat();
        assert_eq!(ticket(&mut rods, &all).await, 0, "{change:?}");
        assert_eq!(ticket(&mut alice, &["session", "t"]).await, 0);
        assert_eq!(alice.get(&o).await, Err(code), "{change:?}");
        assert_eq!(ticket(&mut rods, &["delete", "t"]).await, 0);
    }
    let mut alice = Peer::login(zone.zone.address(), "alice", "alice-secret").await;
    assert_eq!(ticket(&mut rods, &["create", "t", "read", &o]).await, 0);
    for change in [
        &["mod", "t", "uses", "2"][..],
        &["mod", "t", "add", "user", "alice"],
        &["mod", "t", "add", "host", "localhost"],
        &["mod", "t", "add", "group", "public"],
        &["mod", "t", "expire", "4000000000"],
    ] {
        assert_eq!(ticket(&mut rods, change).await, 0);
    }
    assert_eq!(ticket(&mut alice, &["session", "t"]).await, 0);
    assert!(alice.get(&o).await.is_ok());
    assert!(alice.get(&o).await.is_ok());
    assert_eq!(alice.get(&o).await, Err(codes::CAT_TICKET_USES_EXCEEDED));
}

#[tokio::test]
async fn only_owners_give_and_change_tickets() {
    let (_zone, mut rods, mut alice) = scene().await;
    let o = format!("{HOME}/o");
    assert!(ticket(&mut alice, &["create", "t", "read", &o]).await < 0);
    assert_eq!(ticket(&mut rods, &["create", "t", "read", &o]).await, 0);
    let refused = ticket(&mut alice, &["mod", "t", "uses", "9"]).await;
    assert_eq!(refused, codes::CAT_TICKET_INVALID);
    let refused = ticket(&mut alice, &["delete", "t"]).await;
    assert_eq!(refused, codes::CAT_TICKET_INVALID);
    assert!(ticket(&mut rods, &["mod", "t", "uses", "-1"]).await < 0);
    assert!(ticket(&mut rods, &["create", "u", "own", &o]).await < 0);
}
