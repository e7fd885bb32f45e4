//! The life of a job.

use super::*;

fn owned(name: &str, owner: &str) -> NewJob {
    NewJob {
        owner: Some(worker(owner)),
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
        .spawn(first.lease, vec![files("x")], vec![], vec![])
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

pub(super) async fn another_interval_is_another_job(bench: Bench) {
    let every = |name: &str, seconds: Option<u64>| NewJob {
        interval: seconds.map(Duration::from_secs),
        ..job(name)
    };
    let id = bench.create(every("a", Some(300))).await;
    let once = bench.create(every("b", None)).await;
    for (name, other) in [("a", Some(5)), ("a", None), ("b", Some(2))] {
        let refused = bench.broker.create_job(every(name, other)).await;
        assert_eq!(
            refused.unwrap_err(),
            BrokerError::NameInUse {
                name: name.to_owned(),
                why: InUse::Different
            }
        );
    }
    // The same work under no name, or under another: gone on with is only what has the interval.
    let nameless = |seconds| NewJob {
        name: None,
        ..every("a", seconds)
    };
    let Ok(Created::Resumed(found)) = bench.broker.create_job(nameless(Some(300))).await else {
        panic!("not resumed")
    };
    assert_eq!(found.id, id);
    let often = bench.create(nameless(Some(5))).await;
    let plain = bench.create(nameless(None)).await;
    let Ok(Created::Resumed(found)) = bench.broker.create_job(nameless(None)).await else {
        panic!("not resumed")
    };
    assert_eq!((found.id, found.interval), (plain, None));
    let mut intervals = Vec::new();
    for job in [id, once, often, plain] {
        intervals.push(bench.broker.job(job).await.unwrap().interval);
    }
    assert_eq!(
        intervals,
        [Some(300), None, Some(5), None].map(|seconds| seconds.map(Duration::from_secs))
    );
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
