//! Which tasks go to whom: named queues, and bounds on what is in hand.

use super::*;

fn of_queues(names: &[&str], max: usize) -> LeaseRequest {
    LeaseRequest {
        worker: worker("w"),
        max,
        lease_for: LEASE,
        filter: JobFilter {
            queues: Some(names.iter().map(|&name| name.to_owned()).collect()),
            ..JobFilter::default()
        },
    }
}

impl Bench {
    async fn of_queues(&self, names: &[&str], max: usize) -> Vec<Leased> {
        self.broker.lease(&of_queues(names, max)).await.unwrap()
    }

    async fn has_work(&self, names: &[&str]) -> bool {
        let filter = of_queues(names, 1).filter;
        let found = self.broker.wait_for_work(&filter, Duration::ZERO).await;
        found.unwrap()
    }
}

fn payloads(leased: &[Leased]) -> Vec<&str> {
    leased
        .iter()
        .map(|leased| std::str::from_utf8(&leased.payload).unwrap())
        .collect()
}

fn capped(name: &str, cap: u32) -> NewJob {
    NewJob {
        max_in_flight: Some(cap),
        ..job(name)
    }
}

pub(super) async fn a_request_is_for_the_queues_that_are_served(bench: Bench) {
    let queues = Queues {
        file: "big".to_owned(),
        ..Queues::default()
    };
    let new = NewJob {
        queues: queues.clone(),
        pre_job: true,
        ..job("a")
    };
    let id = bench.create(new).await;
    assert_eq!(bench.broker.job(id).await.unwrap().queues, queues);
    assert_eq!(bench.of_queues(&["big", "path"], 9).await, []);
    assert!(!bench.has_work(&["big", "path"]).await);
    assert!(bench.has_work(&["restart"]).await);
    let hook = bench.of_queues(&["restart"], 9).await.remove(0);
    assert_eq!(hook.kind, TaskKind::PreJob);
    bench.complete(&hook).await;
    let first = bench.of_queues(&["path"], 9).await.remove(0);
    let children = vec![
        task(TaskClass::Directory, 1, "directory"),
        task(TaskClass::Other, 1, "other"),
        files("files"),
        task(TaskClass::Start, 1, "start"),
    ];
    let spawned = bench.broker.spawn(first.lease, children, vec![], vec![]);
    spawned.await.unwrap();
    bench.complete(&first).await;
    assert_eq!(bench.of_queues(&["file", "none"], 9).await, []);
    assert_eq!(bench.of_queues(&[], 9).await, []);
    for (names, expected) in [
        (&["path"][..], &["other", "directory"][..]),
        (&["big", "restart"], &["files", "start"]),
        (&["restart", "path"], &["other", "directory", "start"]),
    ] {
        assert!(bench.has_work(names).await);
        let leased = bench.of_queues(names, 9).await;
        assert_eq!(payloads(&leased), expected);
        assert!(!bench.has_work(names).await);
        for leased in leased {
            let given_back = bench.broker.release(leased.lease, Duration::ZERO);
            given_back.await.unwrap();
        }
    }
    assert_eq!(
        bench.drain().await,
        ["files", "other", "directory", "start"]
    );
}

pub(super) async fn no_more_chunks_in_hand_than_the_job_allows(bench: Bench) {
    let chunks: Vec<_> = (0..5).map(|number| files(&format!("{number}"))).collect();
    let id = bench.with_children(capped("a", 2), chunks).await;
    assert_eq!(bench.broker.job(id).await.unwrap().max_in_flight, Some(2));
    let in_hand = bench.lease(9).await;
    assert_eq!(payloads(&in_hand), ["0", "1"]);
    // By whomever.
    let request = LeaseRequest {
        worker: worker("other"),
        max: 9,
        lease_for: LEASE,
        filter: JobFilter::default(),
    };
    assert_eq!(bench.other.lease(&request).await.unwrap(), []);
    let filter = JobFilter::default();
    let found = bench.broker.wait_for_work(&filter, Duration::ZERO).await;
    assert_eq!(found, Ok(false), "whoever waits is not woken for nothing");
    bench.complete(&in_hand[0]).await;
    let found = bench.broker.wait_for_work(&filter, Duration::ZERO).await;
    assert_eq!(found, Ok(true));
    assert_eq!(payloads(&bench.other.lease(&request).await.unwrap()), ["2"]);
    // Another job has a bound of its own, or none.
    let other = bench
        .with_children(job("b"), vec![files("x"), files("y")])
        .await;
    assert_eq!(payloads(&bench.lease(9).await), ["x", "y"]);
    assert_eq!(bench.broker.job(other).await.unwrap().max_in_flight, None);
}

/// However it leaves.
pub(super) async fn a_chunk_that_leaves_makes_room_for_another(bench: Bench) {
    let chunks = vec![files("1"), files("2"), files("3")];
    let id = bench.with_children(capped("a", 1), chunks).await;
    let one = bench.one().await;
    bench
        .broker
        .release(one.lease, Duration::ZERO)
        .await
        .unwrap();
    let one = bench.one().await;
    bench
        .broker
        .release(one.lease, Duration::from_secs(9))
        .await
        .unwrap();
    let two = bench.one().await;
    assert_eq!(two.payload, b"2");
    bench.pass(LEASE);
    let again = bench.one().await;
    assert_eq!((again.payload.as_slice(), again.expiries), (&b"1"[..], 0));
    bench
        .broker
        .worker_gone(&worker("w"), Departure::Died)
        .await
        .unwrap();
    let again = bench.one().await;
    assert_eq!((again.payload.as_slice(), again.expiries), (&b"1"[..], 1));
    // A retry is a chunk as well.
    let failed = Completion {
        retries: vec![files("retry")],
        ..counted(1)
    };
    bench.broker.complete(again.lease, failed).await.unwrap();
    assert_eq!(payloads(&[bench.one().await]), ["2"]);
    // A stop takes what is in hand away, and the next job of that name begins with nothing in hand.
    bench.broker.stop(id, true).await.unwrap();
    bench
        .with_children(capped("a", 1), vec![files("4"), files("5")])
        .await;
    assert_eq!(payloads(&[bench.one().await]), ["4"]);
}

pub(super) async fn directories_wait_while_many_chunks_do(bench: Bench) {
    let ahead = limits::MAX_AHEAD;
    let mut children: Vec<_> = (0..ahead).map(|_| files("files")).collect();
    children.push(task(TaskClass::Directory, 1, "directory"));
    children.push(task(TaskClass::Other, 1, "other"));
    bench.with_children(capped("a", 1), children).await;
    // Those who do not serve files.
    assert_eq!(payloads(&bench.of_queues(&["path"], 9).await), ["other"]);
    assert!(!bench.has_work(&["path"]).await);
    // One chunk goes, and fewer than the limit wait.
    assert_eq!(payloads(&bench.lease(1).await), ["files"]);
    assert!(bench.has_work(&["path"]).await);
    assert_eq!(payloads(&bench.lease(9).await), ["directory"]);
}

pub(super) async fn turns_are_taken_within_queues_too(bench: Bench) {
    for name in ["a", "b"] {
        let mut children: Vec<_> = (0..4).map(|_| files(&format!("{name} files"))).collect();
        let directory = format!("{name} directory");
        children.push(task(TaskClass::Directory, 1, &directory));
        children.push(task(TaskClass::Directory, 1, &directory));
        let id = bench.create(capped(name, 3)).await;
        let request = LeaseRequest {
            filter: JobFilter {
                only: Some(id),
                ..JobFilter::default()
            },
            ..of_queues(&[], 1)
        };
        let first = bench.broker.lease(&request).await.unwrap().remove(0);
        let spawned = bench.broker.spawn(first.lease, children, vec![], vec![]);
        spawned.await.unwrap();
        bench.complete(&first).await;
    }
    let leased = bench.of_queues(&["file"], 4).await;
    let of = |name: &str| {
        payloads(&leased)
            .iter()
            .filter(|payload| payload.starts_with(name))
            .count()
    };
    assert_eq!((of("a"), of("b")), (2, 2));
    let leased = bench.of_queues(&["path"], 2).await;
    let mut found = payloads(&leased);
    found.sort_unstable();
    assert_eq!(found, ["a directory", "b directory"]);
}

pub(super) async fn a_resumed_job_is_shared_as_the_last_start_says(bench: Bench) {
    bench.create(capped("a", 1)).await;
    let queues = Queues {
        path: "elsewhere".to_owned(),
        ..Queues::default()
    };
    let again = NewJob {
        queues: queues.clone(),
        max_in_flight: Some(7),
        ..job("a")
    };
    let resumed = bench.broker.create_job(again).await.unwrap();
    assert!(matches!(resumed, Created::Resumed(_)), "{resumed:?}");
    let found = bench.broker.job(resumed.job().id).await.unwrap();
    assert_eq!((found.queues, found.max_in_flight), (queues, Some(7)));
    assert!(bench.has_work(&["elsewhere"]).await && !bench.has_work(&["path"]).await);
    let free = bench.broker.create_job(job("a")).await.unwrap();
    assert_eq!(free.job().max_in_flight, None);
    assert!(bench.has_work(&["path"]).await);
}

pub(super) async fn what_cannot_be_a_queue_is_refused(bench: Bench) {
    for name in [
        String::new(),
        "a\0b".to_owned(),
        "x".repeat(limits::MAX_NAME + 1),
    ] {
        let new = NewJob {
            queues: Queues {
                restart: name,
                ..Queues::default()
            },
            ..job("a")
        };
        let error = bench.broker.create_job(new).await.unwrap_err();
        assert!(matches!(error, BrokerError::Invalid { .. }), "{error:?}");
    }
    let error = bench.broker.create_job(capped("a", 0)).await.unwrap_err();
    assert!(matches!(error, BrokerError::Invalid { .. }), "{error:?}");
    assert_eq!(bench.broker.jobs().await, Ok(vec![]));
}
