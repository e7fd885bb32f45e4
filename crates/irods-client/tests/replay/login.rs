//! Logging in, and as whom one asks.

use crate::scenario;
use crate::support::{Scenario, quick};
use irods_client::protocol::{Form, api, codes};
use irods_client::{Connection, Error, Pool, PoolOptions, Scope};

#[tokio::test]
async fn logs_in_by_the_framework_and_says_goodbye() {
    let replay = scenario!("prc_connect_auth_disconnect").serve().await;
    let connection = replay.connect().await;
    assert_eq!(connection.server_version().to_string(), "5.0.90");
    assert_eq!(connection.form(), Form::Xml);
    connection.disconnect().await;
    replay.assert_all_recorded();
    let log = replay.log.clone();
    let said = async move {
        while log.lock().unwrap().goodbyes == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), said)
        .await
        .unwrap();
}

#[tokio::test]
async fn logs_in_by_challenge_to_servers_before_4_3() {
    let mut scenario = scenario!("prc_connect_legacy_native");
    scenario.release = Some("rods4.2.12");
    let replay = scenario.serve().await;
    let options = quick();
    let connection = Connection::open(&replay.environment(), &options)
        .await
        .unwrap();
    assert_eq!(connection.server_version().to_string(), "4.2.12");
    replay.assert_all_recorded();
    assert_eq!(options.counts.of(api::AUTH_RESPONSE), 1);
    assert_eq!(options.counts.requests(), 0);
}

#[tokio::test]
async fn a_refused_password_is_an_authentication_error() {
    let mut scenario = scenario!("prc_connect_bad_password");
    scenario.any_digest = true;
    let replay = scenario.serve().await;
    let error = Connection::open(&replay.environment(), &quick())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }));
    assert!(error.is(codes::CAT_INVALID_AUTHENTICATION));
    assert_eq!(error.scope(), Scope::Worker);
    let text = error.to_string();
    assert!(text.contains("rods#tempZone") && text.contains("CAT_INVALID_AUTHENTICATION"));
}

#[tokio::test]
async fn the_startup_pack_names_proxy_and_client_user() {
    let mut scenario = scenario!("prc_proxy_user");
    scenario.any_digest = true;
    let replay = scenario.serve().await;
    let environment = replay.environment().acting_for("alice", "tempZone");
    let connection = Connection::open(&environment, &quick()).await.unwrap();
    assert_eq!(connection.identity().user, "alice");
    let pack = replay.log.lock().unwrap().startup.clone().unwrap();
    assert_eq!(
        (pack.proxy_user.as_str(), pack.client_user.as_str()),
        ("rods", "alice")
    );
    assert_eq!((pack.irods_prot, pack.option.as_str()), (1, "irods_sync"));
}

#[tokio::test]
async fn switches_the_user() {
    let mut old = scenario!("raw_switch_user");
    let replay = scenario!("raw_switch_user").serve().await;
    let mut c = replay.connect().await;
    c.switch_user("alice", "tempZone").await.unwrap();
    assert_eq!(c.identity().user, "alice");
    assert!(c.stat("/tempZone/home/alice").await.unwrap().is_some());
    let refused = c
        .create_collection("/tempZone/home/rods/direct/x", false)
        .await;
    assert!(refused.unwrap_err().is(codes::CAT_NO_ACCESS_PERMISSION));
    c.switch_user("rods", "tempZone").await.unwrap();
    let error = c.switch_user("nobody_here", "tempZone").await.unwrap_err();
    assert!(error.is(codes::CAT_INVALID_USER), "{error}");
    assert_eq!(c.identity().user, "rods");
    assert!(c.is_usable());
    replay.assert_all_recorded();

    old.release = Some("rods4.3.0");
    let replay = old.serve().await;
    let error = replay
        .connect()
        .await
        .switch_user("alice", "tempZone")
        .await;
    assert!(matches!(error, Err(Error::Unsupported { .. })));
    replay.assert_all_recorded();
}

#[tokio::test]
async fn a_pool_switches_users_where_the_server_can() {
    for (release, logins) in [("rods5.0.90", 1), ("rods4.3.0", 3)] {
        let mut scenario = scenario!("raw_switch_user");
        scenario.release = Some(release);
        scenario.any_digest = true;
        scenario.relogin = true;
        let replay = scenario.serve().await;
        let pool = Pool::new(
            replay.environment(),
            quick(),
            PoolOptions {
                size: 1,
                ..PoolOptions::default()
            },
        );
        assert_eq!(pool.get().await.unwrap().identity().user, "rods");
        for _ in 0..2 {
            let c = pool.get_acting_for("alice", "tempZone").await.unwrap();
            assert_eq!(c.identity().user, "alice");
        }
        assert_eq!(pool.get().await.unwrap().identity().user, "rods");
        assert_eq!(
            pool.counts().of(api::AUTHENTICATION),
            2 * logins,
            "{release}"
        );
        assert_eq!(pool.idle(), 1);
        replay.assert_all_recorded();
    }
}

#[tokio::test]
async fn uses_a_ticket() {
    let Some(mut scenario) = Scenario::load_connection("prc_tickets", Some(2)) else {
        return;
    };
    scenario.any_digest = true;
    let replay = scenario.serve().await;
    let pool = Pool::new(replay.environment(), quick(), PoolOptions::default());
    let mut c = pool.get().await.unwrap();
    c.use_ticket("goldenticket1").await.unwrap();
    replay.assert_all_recorded();
    drop(c);
    assert_eq!(pool.idle(), 0, "nobody gets another one's ticket");
}
