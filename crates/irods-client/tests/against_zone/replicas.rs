//! Replicas made, moved, cut, trimmed, and opened twice.

use irods_client::Connection;
use irods_client::collection::ReplicaStatus;
use irods_client::protocol::message::GeneralAdminInp;
use irods_client::protocol::{Form, api, codes};
use irods_client::replica::{ReplicaRef, Replicate, Trim};
use irods_client::transfer::{OpenHow, Put, Whence};

use crate::{TestZone, at, content, in_both_packings};

in_both_packings! {
    replicas_come_move_and_go => replicas_xml, replicas_native;
    a_replica_is_written_on_two_connections => two_connections_xml, two_connections_native;
}

async fn add_resource(zone: &TestZone, c: &mut Connection, name: &str) {
    let text = |t: &str| Some(t.to_owned());
    let vault = zone.dir.path().join(name);
    let input = GeneralAdminInp {
        arg0: text("add"),
        arg1: text("resource"),
        arg2: text(name),
        arg3: text("unixfilesystem"),
        arg4: Some(format!("localhost:{}", vault.display())),
        arg5: text(""),
        arg6: text(""),
        ..GeneralAdminInp::default()
    };
    let request = irods_client::connection::Request::new(api::GENERAL_ADMIN, name);
    c.call(request, Some(&input)).await.unwrap();
}

async fn where_they_are(c: &mut Connection, object: &str) -> Vec<(i32, String, ReplicaStatus)> {
    let replicas = c.replicas(object).await.unwrap();
    let place = |r: irods_client::collection::Replica| (r.number, r.hierarchy, r.status);
    replicas.into_iter().map(place).collect()
}

async fn replicas_come_move_and_go(form: Form) {
    let zone = TestZone::start().await;
    let mut c = zone.connect(form).await;
    for name in ["ra", "rb", "rc"] {
        add_resource(&zone, &mut c, name).await;
    }
    let object = at("o");
    c.put_bytes(&object, b"twelve bytes", &Put::default())
        .await
        .unwrap();
    let to = |name: &str| Replicate {
        to: Some(name.into()),
        ..Replicate::default()
    };
    for name in ["ra", "rb"] {
        c.replicate(&object, &to(name)).await.unwrap();
        c.replicate(&object, &to(name)).await.unwrap();
    }
    use ReplicaStatus::{Good, Stale};
    let place = |n: i32, name: &str, status| (n, name.to_owned(), status);
    assert_eq!(
        where_they_are(&mut c, &object).await,
        [
            place(0, "demoResc", Good),
            place(1, "ra", Good),
            place(2, "rb", Good)
        ]
    );
    c.move_replica(&object, "rb", "rc").await.unwrap();
    assert_eq!(
        where_they_are(&mut c, &object).await[2],
        place(2, "rc", Good)
    );

    // One is cut, the others become stale, and are brought up to date again.
    let cut = c
        .truncate(&object, 6, Some(&ReplicaRef::Number(1)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((cut.number, cut.hierarchy.as_str()), (1, "ra"));
    let states = where_they_are(&mut c, &object).await;
    assert_eq!(
        states.iter().map(|s| s.2).collect::<Vec<_>>(),
        [Stale, Good, Stale]
    );
    assert_eq!(content(&mut c, &object).await, b"twelve");
    let all = Replicate {
        update_all: true,
        ..Replicate::default()
    };
    c.replicate(&object, &all).await.unwrap();
    assert!(
        where_they_are(&mut c, &object)
            .await
            .iter()
            .all(|s| s.2 == Good)
    );

    let two = Trim::default();
    let first = ReplicaRef::Number(0);
    assert!(c.trim(&object, &first, &two).await.unwrap());
    let second = ReplicaRef::Resource("ra".into());
    assert!(!c.trim(&object, &second, &two).await.unwrap());
    assert_eq!(where_they_are(&mut c, &object).await.len(), 2);

    let error = c.replicate(&object, &to("none")).await.unwrap_err();
    assert!(error.is(codes::SYS_RESC_DOES_NOT_EXIST), "{error}");
    let error = c.replicate(&at("none"), &to("ra")).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let error = c.trim(&at("none"), &first, &two).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let error = c.truncate(&at("none"), 1, None).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

async fn a_replica_is_written_on_two_connections(form: Form) {
    let zone = TestZone::start().await;
    let mut a = zone.connect(form).await;
    let mut b = zone.connect(form).await;
    let mut c = zone.connect(form).await;
    let object = at("o");
    let (mut first, info) = a
        .open_replica(&object, OpenHow::Overwrite, None)
        .await
        .unwrap();
    assert!(!info.token.is_empty() && info.hierarchy == "demoResc");
    assert_eq!(first.info().await.unwrap(), info);
    let mut wrong = info.clone();
    wrong.token.push('x');
    let error = b.join_replica(&object, &wrong, None).await.unwrap_err();
    assert!(error.is(codes::INTERMEDIATE_REPLICA_ACCESS), "{error}");
    let mut second = b.join_replica(&object, &info, None).await.unwrap();
    second.write_at(6, b"gh").await.unwrap();
    second.write_at(4, b"ef").await.unwrap();
    assert_eq!(second.seek(0, Whence::Current).await.unwrap(), 6);
    second.detach().await.unwrap();
    assert!(b.is_usable());
    let state = c.replicas(&object).await.unwrap()[0].status;
    assert_eq!(state, ReplicaStatus::Intermediate);
    first.write(b"abcd").await.unwrap();
    first.close().await.unwrap();
    let replica = &c.replicas(&object).await.unwrap()[0];
    assert_eq!((replica.status, replica.size), (ReplicaStatus::Good, 8));
    assert_eq!(content(&mut c, &object).await, b"abcdefgh");
    let error = b.join_replica(&object, &info, None).await.unwrap_err();
    assert!(
        error.code().is_some(),
        "a token ends with its writing: {error}"
    );
}
