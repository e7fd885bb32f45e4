//! A second user: what he cannot see, cannot do, and can once he is let in.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{Fixture, HOME, Peer, object, wish};
use irods_protocol::message::*;
use irods_protocol::{api, codes, keywords};

async fn grant(peer: &mut Peer, level: &str, user: &str, path: &str) -> i32 {
    let input = ModAccessControlInp {
        recursive_flag: 0,
        access_level: Some(level.into()),
        user_name: Some(user.into()),
        zone: Some(String::new()),
        path: Some(path.into()),
    };
    peer.call(api::MOD_ACCESS_CONTROL, &input).await.code
}

async fn tag(peer: &mut Peer, path: &str, admin: bool) -> i32 {
    let args = ["add", "-d", path, "a", "v", ""].map(|text| Some(text.to_owned()));
    let [arg0, arg1, arg2, arg3, arg4, arg5] = args;
    let cond_input = if admin {
        wish(keywords::IRODS_ADMIN, "")
    } else {
        KeyValPair::new()
    };
    let input = ModAvuMetadataInp {
        arg0,
        arg1,
        arg2,
        arg3,
        arg4,
        arg5,
        cond_input,
        ..ModAvuMetadataInp::default()
    };
    peer.call(api::MOD_AVU_METADATA, &input).await.code
}

#[tokio::test]
async fn a_stranger_sees_and_changes_nothing() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let mut alice = f.user("alice").await;
    let o = format!("{HOME}/o");
    rods.put(&o, b"secret").await;
    let force = || wish(keywords::FORCE_FLAG, "");
    assert_eq!(
        alice.stat(&o).await.unwrap_err(),
        codes::USER_FILE_DOES_NOT_EXIST
    );
    assert_eq!(
        alice.get(&o).await.unwrap_err(),
        codes::OBJ_PATH_DOES_NOT_EXIST
    );
    assert_eq!(
        alice.open(&o, 2, KeyValPair::new()).await,
        codes::OBJ_PATH_DOES_NOT_EXIST
    );
    assert_eq!(
        alice.put(&format!("{HOME}/new"), b"x").await,
        codes::CAT_NO_ACCESS_PERMISSION
    );
    assert!(alice.put_with(&o, b"x", force()).await < 0);
    assert_eq!(alice.unlink(&o, force()).await, codes::CAT_NO_ROWS_FOUND);
    assert_eq!(
        alice.rename(&o, "/tempZone/home/alice/o").await,
        codes::CAT_NO_ROWS_FOUND
    );
    assert!(alice.mkdir(&format!("{HOME}/c")).await < 0);
    assert_eq!(
        grant(&mut alice, "own", "alice", &o).await,
        codes::CAT_NO_ACCESS_PERMISSION
    );
    assert_eq!(
        tag(&mut alice, &o, false).await,
        codes::CAT_NO_ACCESS_PERMISSION
    );
    assert_eq!(
        alice.query(&[403], &[(403, "like '%'")]).await,
        Vec::<Vec<String>>::new()
    );
    let copy = DataObjCopyInp {
        source: object(&o),
        destination: object("/tempZone/home/alice/copy"),
    };
    assert!(alice.call(api::DATA_OBJ_COPY, &copy).await.code < 0);
    let remove = CollInpNew {
        coll_name: HOME.into(),
        cond_input: force().with(keywords::RECURSIVE_OPR, ""),
        ..CollInpNew::default()
    };
    assert_eq!(
        alice.call(api::RM_COLL, &remove).await.code,
        codes::USER_FILE_DOES_NOT_EXIST
    );
    let size = ModDataObjMeta {
        data_obj_info: Some(DataObjInfo::default()),
        reg_param: Some(wish(keywords::DATA_SIZE, "1")),
    };
    assert_eq!(
        alice.call(api::MOD_DATA_OBJ_META, &size).await.code,
        codes::SYS_NO_API_PRIV
    );
    assert_eq!(rods.get(&o).await.unwrap(), b"secret");
}

#[tokio::test]
async fn asking_for_admin_mode_needs_an_administrator() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let mut alice = f.user("alice").await;
    rods.put(&format!("{HOME}/o"), b"x").await;
    alice.put("/tempZone/home/alice/o", b"x").await;
    assert_eq!(
        tag(&mut alice, &format!("{HOME}/o"), true).await,
        codes::CAT_INSUFFICIENT_PRIVILEGE_LEVEL
    );
    assert!(grant(&mut alice, "admin:own", "alice", &format!("{HOME}/o")).await < 0);
    let admin = || wish(keywords::IRODS_ADMIN, "").with(keywords::FORCE_FLAG, "");
    assert_eq!(
        alice.unlink(&format!("{HOME}/o"), admin()).await,
        codes::CAT_INSUFFICIENT_PRIVILEGE_LEVEL
    );
    // An administrator asks as well: without the keyword he is one among others.
    assert_eq!(tag(&mut rods, "/tempZone/home/alice/o", true).await, 0);
    assert_eq!(rods.unlink("/tempZone/home/alice/o", admin()).await, 0);
}

#[tokio::test]
async fn levels_open_one_door_after_the_other() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let mut alice = f.user("alice").await;
    let o = format!("{HOME}/o");
    rods.put(&o, b"shared").await;
    assert_eq!(grant(&mut rods, "read", "alice", &o).await, 0);
    assert_eq!(alice.get(&o).await.unwrap(), b"shared");
    assert_eq!(
        alice.open(&o, 2, KeyValPair::new()).await,
        codes::CAT_NO_ACCESS_PERMISSION
    );
    assert_eq!(grant(&mut rods, "write", "alice", &o).await, 0);
    let fd = alice.open(&o, 2, KeyValPair::new()).await;
    assert_eq!(alice.write(fd, b"S").await, 1);
    assert_eq!(alice.close(fd).await, 0);
    assert_eq!(
        alice.unlink(&o, wish(keywords::FORCE_FLAG, "")).await,
        codes::CAT_NO_ACCESS_PERMISSION
    );
    assert_eq!(grant(&mut rods, "own", "alice", &o).await, 0);
    assert_eq!(alice.unlink(&o, wish(keywords::FORCE_FLAG, "")).await, 0);
    assert_eq!(
        grant(&mut rods, "read", "nobody", HOME).await,
        codes::CAT_INVALID_USER
    );
    assert!(grant(&mut rods, "most", "alice", HOME).await < 0);
}

#[tokio::test]
async fn a_shared_home_is_inherited_by_what_is_made_in_it() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let mut alice = f.user("alice").await;
    let c = format!("{HOME}/shared");
    rods.mkdir(&c).await;
    assert_eq!(grant(&mut rods, "write", "alice", &c).await, 0);
    assert_eq!(grant(&mut rods, "inherit", "", &c).await, 0);
    assert_eq!(alice.put(&format!("{c}/hers"), b"a").await, 0);
    assert_eq!(rods.put(&format!("{c}/his"), b"r").await, 0);
    assert_eq!(alice.get(&format!("{c}/his")).await.unwrap(), b"r");
    assert_eq!(rods.get(&format!("{c}/hers")).await.unwrap(), b"a");
}
