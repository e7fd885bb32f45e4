//! Pools and logins.

use irods_client::protocol::api;
use irods_client::register::Register;
use irods_client::{ConnectOptions, Connection, Error, Scope};

use crate::{HOME, TestZone, at};

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once() {
    let zone = TestZone::start().await;
    let pool = zone.pool(6);
    let file = zone.file("data", b"x");
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..12 {
        let (pool, file) = (pool.clone(), file.clone());
        tasks.spawn(async move {
            for n in 0..10 {
                let what = Register {
                    file: file.clone(),
                    size: Some(1),
                    ..Register::default()
                };
                let mut c = pool.get().await.unwrap();
                c.register(&at(&format!("r{task}-{n}")), &what)
                    .await
                    .unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let mut c = pool.get().await.unwrap();
    assert_eq!(c.list_data_objects(HOME).await.unwrap().len(), 120);
    drop(c);
    assert!(
        pool.counts().of(api::AUTHENTICATION) <= 12,
        "six logins at most"
    );
    assert_eq!(pool.counts().of(api::PHY_PATH_REG), 120);
    pool.close_idle().await;
    assert_eq!(pool.idle(), 0);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_told_apart_from_nothing() {
    let zone = TestZone::start().await;
    let mut environment = zone.environment.clone();
    environment.password = irods_client::environment::Password::new("wrong");
    let error = Connection::open(&environment, &ConnectOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }), "{error}");
    assert_eq!(error.scope(), Scope::Worker);
    environment.user = "nobody_here".into();
    let error = Connection::open(&environment, &ConnectOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }), "{error}");
    let environment = zone.environment.acting_for("nobody_here", "tempZone");
    let error = Connection::open(&environment, &ConnectOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.scope(), Scope::Worker, "{error}");
}
