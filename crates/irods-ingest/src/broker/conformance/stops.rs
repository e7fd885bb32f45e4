//! How a job ends early: stopped, or by a fatal completion.

use super::*;

pub(super) async fn stop_lets_leases_finish(bench: Bench) {
    let id = bench
        .with_children(job("a"), vec![files("x"), files("y"), delayed("z", 5)])
        .await;
    let x = bench.lease(1).await.remove(0);
    assert_eq!(bench.other.stop(id, false).await, Ok(JobState::Stopping));
    assert_eq!(bench.lease(5).await, []);
    let outstanding = bench.broker.job(id).await.unwrap().outstanding;
    assert_eq!(
        outstanding,
        Outstanding {
            ready: 0,
            delayed: 0,
            leased: 1
        }
    );
    let again = bench.broker.create_job(job("a")).await.unwrap_err();
    assert_eq!(
        again,
        BrokerError::NameInUse {
            name: "a".to_owned(),
            why: InUse::Stopping
        }
    );
    bench.complete(&x).await;
    let ended = bench.broker.job(id).await.unwrap();
    assert_eq!((ended.state, ended.totals.tasks), (JobState::Stopped, 2));
    assert_eq!(bench.broker.stop(id, true).await, Ok(JobState::Stopped));
    let log = [
        EventKind::Created,
        EventKind::PassStarted,
        EventKind::Stopping,
        EventKind::Stopped,
    ];
    assert_eq!(bench.log(id).await, log);
}

pub(super) async fn stop_drops_children_and_retries(bench: Bench) {
    let id = bench.create(job("a")).await;
    let first = bench.one().await;
    bench.broker.stop(id, false).await.unwrap();
    assert_eq!(
        bench
            .broker
            .spawn(first.lease, vec![files("x")], vec![1], vec![])
            .await,
        Ok(Spawned::Stopping)
    );
    let completion = Completion {
        retries: vec![files("y")],
        failures: vec![failure("/f")],
        ..counted(3)
    };
    bench
        .broker
        .complete(first.lease, completion)
        .await
        .unwrap();
    let ended = bench.broker.job(id).await.unwrap();
    assert_eq!(
        (ended.state, ended.outstanding.total()),
        (JobState::Stopped, 0)
    );
    assert_eq!((ended.totals.files_seen, ended.failures), (3, 1));
}

pub(super) async fn stop_now_takes_leases_away(bench: Bench) {
    let id = bench.create(job("a")).await;
    let first = bench.one().await;
    assert_eq!(bench.broker.stop(id, true).await, Ok(JobState::Stopped));
    assert!(
        bench
            .broker
            .complete(first.lease, counted(1))
            .await
            .unwrap_err()
            .is_stale()
    );
    assert_eq!(
        bench.broker.job(id).await.unwrap().totals,
        Counts::default()
    );
}

/// Every way in which the last lease of a stopping job can go ends it.
pub(super) async fn stopping_ends_without_workers(bench: Bench) {
    let id = bench
        .with_children(job("a"), vec![files("x"), files("y"), files("z")])
        .await;
    let request = |name| LeaseRequest {
        worker: worker(name),
        max: 1,
        lease_for: LEASE,
        filter: JobFilter::default(),
    };
    let x = bench.broker.lease(&request("v")).await.unwrap().remove(0);
    bench.broker.lease(&request("w")).await.unwrap();
    bench.broker.lease(&request("u")).await.unwrap();
    bench.broker.stop(id, false).await.unwrap();
    bench.broker.release(x.lease, Duration::ZERO).await.unwrap();
    bench
        .broker
        .worker_gone(&worker("w"), Departure::Died)
        .await
        .unwrap();
    assert_eq!(bench.broker.job(id).await.unwrap().outstanding.leased, 1);
    bench.pass(LEASE);
    bench.broker.tick().await.unwrap();
    assert_eq!(bench.state(id).await, JobState::Stopped);
}

pub(super) async fn a_waiting_job_stops_at_once(bench: Bench) {
    let id = bench.create(periodic("a")).await;
    bench.drain().await;
    assert!(matches!(
        bench.broker.create_job(periodic("a")).await,
        Ok(Created::Resumed(_))
    ));
    assert_eq!(bench.broker.stop(id, false).await, Ok(JobState::Stopped));
    bench.pass(Duration::from_secs(1000));
    assert_eq!(bench.lease(1).await, []);
}

pub(super) async fn a_fatal_error_ends_the_job(bench: Bench) {
    let id = bench
        .with_children(periodic("a"), vec![files("x"), files("y"), files("z")])
        .await;
    let mut in_hand = bench.lease(2).await;
    let y = in_hand.remove(1);
    let fatal = Some(Fatal::Job("no such resource".to_owned()));
    let completion = Completion {
        fatal,
        retries: vec![files("x again")],
        ..counted(1)
    };
    bench
        .broker
        .complete(in_hand[0].lease, completion)
        .await
        .unwrap();
    assert_eq!(
        (bench.state(id).await, bench.lease(5).await),
        (JobState::Stopping, vec![])
    );
    bench.complete(&y).await;
    let ended = bench.broker.job(id).await.unwrap();
    assert_eq!(
        (ended.state, ended.failed.as_deref()),
        (JobState::Failed, Some("no such resource"))
    );
    assert_eq!(ended.totals.tasks, 3);
    let last = bench.broker.events(id).await.unwrap().pop().unwrap();
    assert_eq!(
        (last.kind, last.text.as_str()),
        (EventKind::Failed, "no such resource")
    );
}

pub(super) async fn a_stop_outranks_a_fatal_error(bench: Bench) {
    let id = bench.create(job("a")).await;
    let first = bench.one().await;
    bench.broker.stop(id, false).await.unwrap();
    let completion = Completion {
        fatal: Some(Fatal::Job("why".to_owned())),
        ..counted(1)
    };
    bench
        .broker
        .complete(first.lease, completion)
        .await
        .unwrap();
    assert_eq!(bench.state(id).await, JobState::Stopped);
    assert!(bench.log(id).await.contains(&EventKind::Note));
}

pub(super) async fn a_fatal_job_outranks_a_fatal_pass(bench: Bench) {
    let id = bench
        .with_children(periodic("a"), vec![files("x"), files("y"), files("z")])
        .await;
    let why = |fatal| Completion {
        fatal: Some(fatal),
        ..counted(1)
    };
    let [x, y, z] = <[Leased; 3]>::try_from(bench.lease(3).await).unwrap();
    bench
        .broker
        .complete(x.lease, why(Fatal::Pass("pass".to_owned())))
        .await
        .unwrap();
    bench
        .broker
        .complete(y.lease, why(Fatal::Job("job".to_owned())))
        .await
        .unwrap();
    bench
        .broker
        .complete(z.lease, why(Fatal::Pass("late".to_owned())))
        .await
        .unwrap();
    let ended = bench.broker.job(id).await.unwrap();
    assert_eq!(
        (ended.state, ended.failed.as_deref()),
        (JobState::Failed, Some("job"))
    );
}

/// Whoever stops a job whose pass is failing wants no next pass.
pub(super) async fn a_stop_outranks_a_fatal_pass(bench: Bench) {
    let id = bench
        .with_children(periodic("a"), vec![files("x"), files("y")])
        .await;
    let [x, y] = <[Leased; 2]>::try_from(bench.lease(2).await).unwrap();
    let completion = Completion {
        fatal: Some(Fatal::Pass("pass".to_owned())),
        ..counted(1)
    };
    bench.broker.complete(x.lease, completion).await.unwrap();
    assert_eq!(bench.broker.stop(id, false).await, Ok(JobState::Stopping));
    bench.complete(&y).await;
    assert_eq!(bench.state(id).await, JobState::Stopped);
}

pub(super) async fn a_failed_pass_is_not_the_end_of_a_periodic_job(bench: Bench) {
    let fatal = || Completion {
        fatal: Some(Fatal::Pass("source is empty".to_owned())),
        ..counted(1)
    };
    let id = bench.create(periodic("a")).await;
    let first = bench.one().await;
    bench.broker.complete(first.lease, fatal()).await.unwrap();
    let waiting = bench.broker.job(id).await.unwrap();
    assert_eq!(
        (waiting.state, waiting.failed.as_deref()),
        (JobState::Waiting, Some("source is empty"))
    );
    assert_eq!(bench.log(id).await.last(), Some(&EventKind::PassFailed));
    bench.pass(Duration::from_secs(100));
    bench.drain().await;
    assert_eq!(bench.broker.job(id).await.unwrap().failed, None);

    let once = bench.create(job("once")).await;
    let first = bench.one().await;
    bench.broker.complete(first.lease, fatal()).await.unwrap();
    assert_eq!(bench.state(once).await, JobState::Failed);
}
