//! Acting for others, temporary passwords, rows and metadata written at once.

use irods_client::access::Grant;
use irods_client::connection::Request;
use irods_client::environment::Password;
use irods_client::metadata::{Avu, AvuChange, Entity};
use irods_client::protocol::message::{GeneralAdminInp, TicketAdminInp};
use irods_client::protocol::{Form, api, codes};
use irods_client::register::{BULK_MAX, NewRow};
use irods_client::transfer::{OpenHow, PARALLEL_FROM, Put};
use irods_client::{ConnectOptions, Connection, Error, Scope};

use crate::{HOME, TestZone, at, in_both_packings};

in_both_packings! {
    metadata_and_permissions_change_at_once => at_once_xml, at_once_native;
    rows_are_written_directly => rows_xml, rows_native;
}

async fn add_user(c: &mut Connection, name: &str) {
    let text = |t: &str| Some(t.to_owned());
    let input = GeneralAdminInp {
        arg0: text("add"),
        arg1: text("user"),
        arg2: text(name),
        arg3: text("rodsuser"),
        arg4: text(""),
        arg5: text(""),
        ..GeneralAdminInp::default()
    };
    let request = Request::new(api::GENERAL_ADMIN, name);
    c.call(request, Some(&input)).await.unwrap();
}

async fn metadata_and_permissions_change_at_once(form: Form) {
    let zone = TestZone::start().await;
    let mut c = zone.connect(form).await;
    add_user(&mut c, "alice").await;
    let object = at("o");
    c.put_bytes(&object, b"x", &Put::default()).await.unwrap();
    let [a, b] = [
        Avu::new("a", "1", ""),
        Avu::new("b", "it's <2> & \"3\"", "u"),
    ];
    let add = [AvuChange::Add(a.clone()), AvuChange::Add(b.clone())];
    for entity in [
        Entity::DataObject(&object),
        Entity::Collection(HOME),
        Entity::Resource("demoResc"),
        Entity::User("alice"),
    ] {
        for _ in 0..2 {
            c.apply_metadata(entity, &add, false).await.unwrap();
        }
        assert_eq!(c.list_avus(entity).await.unwrap(), [a.clone(), b.clone()]);
        let swap = [
            AvuChange::Remove(a.clone()),
            AvuChange::Remove(Avu::new("none", "x", "")),
        ];
        c.apply_metadata(entity, &swap, false).await.unwrap();
        let left = c.list_avus(entity).await.unwrap();
        assert_eq!(left, std::slice::from_ref(&b));
    }
    c.apply_access(
        &object,
        &[Grant::new("alice", "read"), Grant::new("alice", "write")],
        false,
    )
    .await
    .unwrap();
    let bad = [
        Grant::new("alice", "own"),
        Grant::new("nobody_here", "read"),
    ];
    c.apply_access(&object, &bad, false).await.unwrap_err();
    let access = c.list_access(&object).await.unwrap();
    let level = |user: &str| {
        access
            .iter()
            .find(|a| a.user == user)
            .map(|a| a.level.as_str())
    };
    assert_eq!(level("alice"), Some("modify_object"), "all or nothing");
    assert_eq!(level("rods"), Some("own"));
}

async fn rows_are_written_directly(form: Form) {
    let zone = TestZone::start().await;
    let mut c = zone.connect(form).await;
    let leaf = c.leaf("demoResc").await.unwrap();
    assert_eq!(leaf.hierarchy, "demoResc");
    let error = c.leaf("none").await.unwrap_err();
    assert_eq!(error.scope(), Scope::Job, "{error}");
    let row = NewRow {
        object: at("o"),
        file: zone.file("data", b"x"),
        size: 7,
        checksum: Some("sha2:abc".into()),
        data_type: None,
    };
    let id = c
        .register_row(&row, &leaf, Some(1_234_567_890))
        .await
        .unwrap();
    let stat = c.stat(&row.object).await.unwrap().unwrap();
    assert_eq!((stat.id, stat.size, stat.mtime), (id, 7, 1_234_567_890));
    assert_eq!(stat.checksum, "sha2:abc");
    let taken = c.register_row(&row, &leaf, None).await.unwrap_err();
    assert!(taken.already_exists(), "{taken}");

    let many = |names: std::ops::Range<usize>| -> Vec<NewRow> {
        let named = names.map(|n| NewRow {
            object: at(&format!("m{n}")),
            ..row.clone()
        });
        named.collect()
    };
    c.register_rows(&many(0..BULK_MAX), &leaf).await.unwrap();
    let stat = c.stat(&at("m49")).await.unwrap().unwrap();
    assert_eq!((stat.size, stat.checksum.as_str()), (7, "sha2:abc"));
    let taken = c.register_rows(&many(49..52), &leaf).await.unwrap_err();
    assert!(taken.already_exists(), "{taken}");
    assert_eq!(c.stat(&at("m51")).await.unwrap(), None, "all or none");
}

#[tokio::test]
async fn a_pool_acts_for_others() {
    let zone = TestZone::start().await;
    let pool = zone.pool(2);
    let mut c = pool.get().await.unwrap();
    add_user(&mut c, "alice").await;
    drop(c);
    let mut c = pool.get_acting_for("alice", "tempZone").await.unwrap();
    let theirs = "/tempZone/home/alice/c";
    c.create_collection(theirs, false).await.unwrap();
    assert_eq!(c.stat(theirs).await.unwrap().unwrap().owner, "alice");
    assert!(!c.collection_exists("/tempZone/home/rods").await.unwrap());
    let denied = c.create_collection(&at("x"), false).await.unwrap_err();
    assert!(denied.code().is_some(), "{denied}");
    let mut own = pool.get().await.unwrap();
    own.create_collection(&at("x"), false).await.unwrap();
    assert_eq!(own.stat(&at("x")).await.unwrap().unwrap().owner, "rods");
    drop((c, own));
    let logins = pool.counts().of(api::AUTHENTICATION);
    let error = pool
        .get_acting_for("nobody_here", "tempZone")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }), "{error}");
    assert_eq!(error.scope(), Scope::Worker);
    assert_eq!(pool.idle(), 2, "both stay good");
    assert_eq!(pool.get().await.unwrap().identity().user, "rods");
    assert_eq!(pool.counts().of(api::AUTHENTICATION), logins);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_act_for_the_same_user() {
    let zone = TestZone::start().await;
    let pool = zone.pool(3);
    let mut c = pool.get().await.unwrap();
    add_user(&mut c, "alice").await;
    drop(c);
    let mut c = pool.get_acting_for("alice", "tempZone").await.unwrap();
    let size = PARALLEL_FROM + 1;
    let object = "/tempZone/home/alice/o";
    let source = std::io::Read::take(std::io::repeat(7), size);
    c.put_in_streams(object, source, size, &Put::default(), 3)
        .await
        .unwrap();
    let stat = c.stat(object).await.unwrap().unwrap();
    assert_eq!((stat.owner.as_str(), stat.size), ("alice", size));
}

#[tokio::test]
async fn a_temporary_password_is_good_once() {
    let zone = TestZone::start().await;
    let mut c = zone.connect(Form::Xml).await;
    add_user(&mut c, "alice").await;
    let mut environment = zone.environment.clone();
    for user in ["rods", "alice"] {
        environment.user = user.into();
        environment.password = match user {
            "rods" => c.temporary_password().await.unwrap(),
            _ => c.temporary_password_for(user).await.unwrap(),
        };
        let options = ConnectOptions::default();
        let open = || Connection::open(&environment, &options);
        assert_eq!(open().await.unwrap().identity().user, user);
        let again = open().await.unwrap_err();
        assert!(matches!(again, Error::Authentication { .. }), "{again}");
    }
    let error = c.temporary_password_for("nobody_here").await.unwrap_err();
    assert!(error.is(codes::CAT_INVALID_USER), "{error}");
}

#[tokio::test]
async fn a_kept_password_logs_in() {
    let zone = TestZone::start().await;
    let file = zone.dir.path().join("kept");
    let uid = crate::uid(zone.dir.path());
    zone.environment.password.save(&file, uid).unwrap();
    let content = std::fs::read(&file).unwrap();
    let kept = irods_client::protocol::auth::password_file::decode(&content, uid).unwrap();
    let mut environment = zone.environment.clone();
    environment.password = Password::new(kept);
    Connection::open(&environment, &ConnectOptions::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_ticket_opens_what_is_closed() {
    let zone = TestZone::start().await;
    let mut c = zone.connect(Form::Xml).await;
    add_user(&mut c, "alice").await;
    let object = at("o");
    c.put_bytes(&object, b"secret", &Put::default())
        .await
        .unwrap();
    let text = |t: &str| Some(t.to_owned());
    let input = TicketAdminInp {
        arg1: text("create"),
        arg2: text("ticket1"),
        arg3: text("read"),
        arg4: text(&object),
        arg5: text(""),
        arg6: text(""),
        ..TicketAdminInp::default()
    };
    let request = Request::new(api::TICKET_ADMIN, "");
    c.call(request, Some(&input)).await.unwrap();
    let pool = zone.pool(1);
    let mut alice = pool.get_acting_for("alice", "tempZone").await.unwrap();
    let open = alice.open_data_object(&object, OpenHow::Read, None).await;
    open.unwrap_err();
    alice.use_ticket("ticket1").await.unwrap();
    assert_eq!(crate::content(&mut alice, &object).await, b"secret");
    drop(alice);
    let mut alice = pool.get_acting_for("alice", "tempZone").await.unwrap();
    let open = alice.open_data_object(&object, OpenHow::Read, None).await;
    open.unwrap_err();
}
