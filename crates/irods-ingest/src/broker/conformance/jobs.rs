//! The life of a job.

use super::*;

fn owned(name: &str, owner: &str) -> NewJob {
    NewJob {
        owner: Some(worker(owner)),
        ..job(name)
    }
}

fn periodic(name: &str) -> NewJob {
    NewJob {
        interval: Some(Duration::from_secs(100)),
        ..job(name)
    }
}

pub(super) async fn totals_are_exact(bench: Bench) {
    let id = bench.with_children(job("a"), vec![files("x"); 30]).await;
    let mut done = 0;
    // A third of the leases runs out first; none of that shows in the totals.
    while let Some(leased) = bench.lease(1).await.pop() {
        if done % 3 == 0 && leased.expiries == 0 {
            bench.pass(LEASE);
            continue;
        }
        bench
            .broker
            .complete(leased.lease, counted(7))
            .await
            .unwrap();
        done += 1;
    }
    let ended = bench.broker.job(id).await.unwrap();
    assert_eq!(
        (ended.totals.files_seen, ended.totals.tasks),
        (30 * 7 + 1, 31)
    );
    assert_eq!(ended.pass_totals, ended.totals);
}

pub(super) async fn a_job_finishes_when_nothing_is_outstanding(bench: Bench) {
    let id = bench.create(job("a")).await;
    assert_eq!(bench.state(id).await, JobState::Queued);
    let first = bench.one().await;
    assert_eq!(bench.state(id).await, JobState::Running);
    bench
        .broker
        .spawn(first.lease, vec![files("x")], vec![])
        .await
        .unwrap();
    bench.complete(&first).await;
    assert_eq!(bench.state(id).await, JobState::Running);
    let completion = Completion {
        retries: vec![delayed("x again", 1)],
        ..counted(0)
    };
    let chunk = bench.one().await;
    bench
        .broker
        .complete(chunk.lease, completion)
        .await
        .unwrap();
    assert_eq!(bench.state(id).await, JobState::Running);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.drain().await, ["x again"]);
    let ended = bench.broker.find_job("a").await.unwrap().unwrap();
    assert_eq!(
        (ended.state, ended.outstanding.total()),
        (JobState::Finished, 0)
    );
    assert!(
        ended
            .ended
            .is_some_and(|ended_at| ended.started.is_some_and(|started| started <= ended_at))
    );
    assert_eq!(
        bench.log(id).await,
        [
            EventKind::Created,
            EventKind::PassStarted,
            EventKind::Finished
        ]
    );
}

pub(super) async fn an_unfinished_job_is_resumed(bench: Bench) {
    let id = bench.with_children(job("a"), vec![files("x")]).await;
    let Created::Resumed(found) = bench.broker.create_job(job("a")).await.unwrap() else {
        panic!("not resumed")
    };
    assert_eq!(
        (found.id, found.totals.tasks, found.outstanding.ready),
        (id, 1, 1)
    );
    assert_eq!(bench.log(id).await.last(), Some(&EventKind::Resumed));
    assert_eq!(bench.drain().await, ["x"]);
    assert_eq!(bench.state(id).await, JobState::Finished);
}

pub(super) async fn a_job_is_resumed_by_identity(bench: Bench) {
    let id = bench.create(job("a")).await;
    let nameless = NewJob {
        name: None,
        ..job("a")
    };
    assert_eq!(
        bench.broker.create_job(nameless).await.unwrap().job().id,
        id
    );
    let renamed = NewJob {
        name: Some("b".to_owned()),
        ..job("a")
    };
    let resumed = bench.broker.create_job(renamed).await.unwrap();
    assert_eq!((resumed.job().id, resumed.job().name.as_str()), (id, "a"));
}

pub(super) async fn a_live_owner_keeps_its_job(bench: Bench) {
    bench.broker.heartbeat(&info("me"), LEASE).await.unwrap();
    let id = bench.create(owned("a", "me")).await;
    for other in [
        owned("a", "you"),
        NewJob {
            name: None,
            ..owned("a", "you")
        },
    ] {
        let refused = bench.broker.create_job(other).await.unwrap_err();
        assert_eq!(
            refused,
            BrokerError::NameInUse {
                name: "a".to_owned(),
                why: InUse::Owned(worker("me"))
            }
        );
    }
    // A request that is repeated, because its answer was lost, is not refused.
    assert!(
        matches!(bench.broker.create_job(owned("a", "me")).await, Ok(Created::Resumed(found)) if found.id == id)
    );
}

pub(super) async fn a_dead_owner_does_not(bench: Bench) {
    bench.broker.heartbeat(&info("me"), LEASE).await.unwrap();
    let id = bench.create(owned("a", "me")).await;
    assert!(bench.broker.job(id).await.unwrap().owner_lives);
    bench.pass(LEASE);
    assert!(!bench.broker.job(id).await.unwrap().owner_lives);
    bench.broker.heartbeat(&info("you"), LEASE).await.unwrap();
    let resumed = bench.broker.create_job(owned("a", "you")).await.unwrap();
    assert_eq!(
        (resumed.job().id, resumed.job().owner.clone()),
        (id, Some(worker("you")))
    );
    // Known to be dead, without waiting.
    bench
        .broker
        .worker_gone(&worker("you"), Departure::Died)
        .await
        .unwrap();
    assert!(matches!(
        bench.broker.create_job(owned("a", "them")).await,
        Ok(Created::Resumed(_))
    ));
}

pub(super) async fn a_name_in_use_is_refused(bench: Bench) {
    bench.create(job("a")).await;
    let other = NewJob {
        identity: "other".to_owned(),
        ..job("a")
    };
    let refused = bench.broker.create_job(other.clone()).await.unwrap_err();
    assert_eq!(
        refused,
        BrokerError::NameInUse {
            name: "a".to_owned(),
            why: InUse::Different
        }
    );
    assert_eq!(bench.broker.jobs().await.unwrap().len(), 1);
}

pub(super) async fn an_ended_name_is_free(bench: Bench) {
    let old = bench.create(job("a")).await;
    bench.drain().await;
    let new = bench
        .create(NewJob {
            identity: "other".to_owned(),
            ..job("a")
        })
        .await;
    assert_ne!(old, new);
    assert_eq!(
        bench.broker.job(old).await,
        Err(BrokerError::UnknownJob {
            job: old.to_string()
        })
    );
    assert_eq!(bench.broker.find_job("a").await.unwrap().unwrap().id, new);
    // The same job again is a new one as well.
    bench.drain().await;
    bench
        .create(NewJob {
            identity: "other".to_owned(),
            ..job("a")
        })
        .await;
}

pub(super) async fn names_are_made_up(bench: Bench) {
    let a = bench
        .create(NewJob {
            name: None,
            ..job("a")
        })
        .await;
    let b = bench
        .create(NewJob {
            name: None,
            ..job("b")
        })
        .await;
    let [a, b] = [
        bench.broker.job(a).await.unwrap().name,
        bench.broker.job(b).await.unwrap().name,
    ];
    assert!(!a.is_empty() && a != b);
}

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
            .spawn(first.lease, vec![files("x")], vec![1])
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

pub(super) async fn a_periodic_job_waits_from_its_start(bench: Bench) {
    let id = bench.create(periodic("a")).await;
    let first = bench.one().await;
    bench.pass(Duration::from_secs(30));
    bench
        .broker
        .complete(first.lease, counted(2))
        .await
        .unwrap();
    let waiting = bench.broker.job(id).await.unwrap();
    assert_eq!(waiting.state, JobState::Waiting);
    assert_eq!(
        waiting.next_pass.unwrap().0 - waiting.started.unwrap().0,
        100_000
    );
    bench.pass(Duration::from_secs(69));
    assert_eq!(bench.lease(1).await, []);
    bench.pass(Duration::from_secs(1));
    let again = bench.one().await;
    bench
        .broker
        .complete(again.lease, counted(3))
        .await
        .unwrap();
    let waiting = bench.broker.job(id).await.unwrap();
    assert_eq!(
        (
            waiting.pass,
            waiting.pass_totals.files_seen,
            waiting.totals.files_seen
        ),
        (2, 3, 5)
    );
    let pass = [EventKind::PassStarted, EventKind::PassEnded];
    assert_eq!(bench.log(id).await[1..], [pass, pass].concat());
}

pub(super) async fn passes_never_overlap(bench: Bench) {
    let id = bench.create(periodic("a")).await;
    let first = bench.one().await;
    bench.pass(Duration::from_secs(50));
    bench
        .broker
        .extend(&[first.lease], Duration::from_secs(1000))
        .await
        .unwrap();
    bench.pass(Duration::from_secs(500));
    assert_eq!(bench.lease(1).await, []);
    bench.complete(&first).await;
    let waiting = bench.broker.job(id).await.unwrap();
    assert_eq!(waiting.next_pass, waiting.ended);
    // It is due at once.
    assert_eq!(bench.lease(5).await.len(), 1);
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

pub(super) async fn forget_removes_only_what_has_ended(bench: Bench) {
    let id = bench.create(job("a")).await;
    assert_eq!(
        bench.broker.forget(id).await,
        Err(BrokerError::NotEnded {
            name: "a".to_owned()
        })
    );
    let first = bench.one().await;
    let completion = Completion {
        failures: vec![failure("/f")],
        ..counted(1)
    };
    bench
        .broker
        .complete(first.lease, completion)
        .await
        .unwrap();
    bench.broker.forget(id).await.unwrap();
    assert_eq!(bench.broker.jobs().await.unwrap(), []);
    assert_eq!(bench.broker.find_job("a").await, Ok(None));
    // Its number is not given to another job.
    assert_ne!(bench.create(job("b")).await, id);
}

pub(super) async fn unknown_jobs_are_errors(bench: Bench) {
    let none = JobId(77);
    let unknown = BrokerError::UnknownJob {
        job: "77".to_owned(),
    };
    assert_eq!(bench.broker.job(none).await, Err(unknown.clone()));
    assert_eq!(bench.broker.events(none).await, Err(unknown.clone()));
    assert_eq!(bench.broker.note(none, "x").await, Err(unknown.clone()));
    assert_eq!(bench.broker.stop(none, true).await, Err(unknown.clone()));
    assert_eq!(bench.broker.forget(none).await, Err(unknown.clone()));
    assert_eq!(
        bench.broker.failures(none, None, 1).await,
        Err(unknown.clone())
    );
    assert_eq!(
        bench.broker.retry(none, &FailureFilter::default()).await,
        Err(unknown)
    );
}

pub(super) async fn the_log_is_bounded(bench: Bench) {
    let id = bench.create(job("a")).await;
    for number in 0..limits::MAX_EVENTS + 20 {
        bench.broker.note(id, &number.to_string()).await.unwrap();
    }
    let log = bench.broker.events(id).await.unwrap();
    assert_eq!(
        (log.len(), log[0].text.as_str()),
        (limits::MAX_EVENTS, "20")
    );
}

pub(super) async fn workers_are_listed_while_they_live(bench: Bench) {
    bench.broker.heartbeat(&info("w"), LEASE).await.unwrap();
    let id = bench.create(job("a")).await;
    bench.one().await;
    bench.pass(LEASE / 2);
    let news = WorkerInfo {
        status: "12 files/s".to_owned(),
        ..info("w")
    };
    bench.other.heartbeat(&news, LEASE).await.unwrap();
    let workers = bench.broker.workers().await.unwrap();
    assert_eq!(
        (workers.len(), &workers[0].info, &workers[0].leases),
        (1, &news, &vec![(id, 1)])
    );
    assert!(workers[0].since < workers[0].lives_until);
    bench.pass(LEASE);
    assert_eq!(bench.broker.workers().await.unwrap(), []);
}
