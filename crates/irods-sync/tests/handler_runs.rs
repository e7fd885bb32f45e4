//! Whole jobs with a handler in Python, and what the zone holds then.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use irods_client::protocol::{api, columns, message::UserAdminInp};
use irods_client::query::Query;
use irods_client::{ConnectOptions, Connection};
use support::handler::{command, file, noted};
use support::{Site, environment, ran};

async fn connection(site: &Site) -> Connection {
    let environment = environment(&site.path("zone/irods_environment.json"));
    let options = ConnectOptions::default();
    Connection::open(&environment, &options).await.unwrap()
}

#[test]
fn all_that_is_made_is_of_the_user_that_as_user_names() {
    let site = Site::new();
    for name in ["a", "b.rods", "d/e/c", "gone/x"] {
        site.file(name, b"content");
    }
    let body = "
    @staticmethod
    def as_user(meta, **options):
        return 'tempZone', 'alice'

    @staticmethod
    def operation(session, meta, **options):
        return Operation.PUT_SYNC

    @staticmethod
    def delete_mode(meta):
        return DeleteMode.NO_TRASH
";
    let zone = site.zone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let argument = |text: &str| Some(text.to_owned());
        let input = UserAdminInp {
            arg0: argument("mkuser"),
            arg1: argument("alice"),
            ..UserAdminInp::default()
        };
        let request = irods_client::connection::Request::new(api::USER_ADMIN, "alice");
        let mut zone = connection(&site).await;
        zone.call(request, Some(&input)).await.unwrap();
    });
    let start = || {
        ran(&mut command(
            &site,
            &file(body),
            "/tempZone/home/alice/t",
            "",
        ))
    };
    assert_eq!(start().expect(0).number("uploaded"), 4);
    // What is changed and deleted is so as that user, too.
    site.file("a", b"content that is longer");
    std::fs::remove_dir_all(site.path("src/gone")).unwrap();
    let again = start().expect(0);
    assert_eq!((again.number("uploaded"), again.number("removed")), (1, 2));
    let (objects, collections) = runtime.block_on(async {
        let mut zone = connection(&site).await;
        let below = |selected: &[i32]| {
            Query::select(selected).compare(columns::COLL_NAME, "like", "/tempZone/home/alice/t%")
        };
        let objects = below(&[columns::DATA_NAME, columns::DATA_OWNER_NAME]);
        let objects = zone.query(objects).all(|row| {
            (
                row.text(columns::DATA_NAME),
                row.text(columns::DATA_OWNER_NAME),
            )
        });
        let objects = objects.await.unwrap();
        let collections = below(&[columns::COLL_NAME, columns::COLL_OWNER_NAME]);
        let collections = zone.query(collections).all(|row| {
            (
                row.text(columns::COLL_NAME),
                row.text(columns::COLL_OWNER_NAME),
            )
        });
        (objects, collections.await.unwrap())
    });
    assert_eq!(
        (objects.len(), collections.len()),
        (3, 3),
        "{objects:?} {collections:?}"
    );
    for (name, owner) in objects.into_iter().chain(collections) {
        assert_eq!(owner, "alice", "{name}");
    }
    drop(zone);
}

#[test]
fn hooks_of_collections_run_from_the_top() {
    let site = Site::new();
    site.file("d/e/x", b"x");
    let body = "
    @staticmethod
    def pre_coll_create(hdlr_mod, logger, session, meta, *args, **options):
        note('pre', meta['target'], os.path.basename(meta['path']))

    @staticmethod
    def post_coll_create(hdlr_mod, logger, session, meta, *args, **options):
        note('post', meta['target'], os.path.basename(meta['path']))

    @staticmethod
    def pre_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        note('file', meta['target'], os.path.basename(meta['path']))
";
    let target = "/tempZone/home/rods/new/er/t";
    ran(&mut command(&site, &file(body), target, "")).expect(0);
    let parent = site
        .path("")
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let parents = site
        .path("")
        .parent()
        .unwrap()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let mut expected = Vec::new();
    for (collection, source) in [
        ("new", parents.as_str()),
        ("new/er", parent.as_str()),
        ("new/er/t", "src"),
        ("new/er/t/d", "d"),
        ("new/er/t/d/e", "e"),
    ] {
        for when in ["pre", "post"] {
            expected.push(format!("{when} /tempZone/home/rods/{collection} {source}"));
        }
    }
    expected.push("file /tempZone/home/rods/new/er/t/d/e/x x".to_owned());
    assert_eq!(noted(&site), expected);
}
