//! The ledger of failures and retry.

use super::*;

const ALL: FailureFilter = FailureFilter {
    path: None,
    code_name: None,
};

fn failing(failures: &[&str]) -> Completion {
    Completion {
        failures: failures.iter().map(|path| failure(path)).collect(),
        ..counted(1)
    }
}

impl Bench {
    /// A job that ended with these paths in its ledger.
    async fn failed(&self, new: NewJob, paths: &[&str]) -> JobId {
        let id = self.create(new).await;
        let first = self.one().await;
        self.broker
            .complete(first.lease, failing(paths))
            .await
            .unwrap();
        id
    }

    async fn listed(&self, job: JobId) -> Vec<String> {
        let page = self.broker.failures(job, None, 100).await.unwrap();
        page.entries
            .into_iter()
            .map(|entry| String::from_utf8(entry.failure.path).unwrap())
            .collect()
    }
}

pub(super) async fn failures_are_listed_by_path(bench: Bench) {
    let id = bench.failed(job("a"), &["/c", "/a", "/b", "/d"]).await;
    let page = bench.broker.failures(id, None, 2).await.unwrap();
    assert_eq!(
        (page.entries.len(), page.more, page.not_listed),
        (2, true, 0)
    );
    assert_eq!(page.entries[0].failure, failure("/a"));
    let page = bench.broker.failures(id, Some(b"/b"), 2).await.unwrap();
    assert_eq!((page.entries.len(), page.more), (2, false));
    assert_eq!(page.entries[1].failure, failure("/d"));
    assert_eq!(bench.broker.job(id).await.unwrap().failures, 4);
}

pub(super) async fn a_path_has_one_entry(bench: Bench) {
    let id = bench
        .with_children(job("a"), vec![files("x"), files("y")])
        .await;
    let [x, y] = <[Leased; 2]>::try_from(bench.lease(2).await).unwrap();
    bench
        .broker
        .complete(x.lease, failing(&["/f"]))
        .await
        .unwrap();
    let later = Completion {
        failures: vec![Failure {
            message: "later".to_owned(),
            ..failure("/f")
        }],
        ..counted(1)
    };
    bench.broker.complete(y.lease, later).await.unwrap();
    let page = bench.broker.failures(id, None, 9).await.unwrap();
    assert_eq!(
        (page.entries.len(), page.entries[0].failure.message.as_str()),
        (1, "later")
    );
}

pub(super) async fn the_ledger_is_capped_and_counts_on(bench: Bench) {
    let paths: Vec<_> = (0..limits::MAX_FAILURES + 5)
        .map(|number| format!("/{number:05}"))
        .collect();
    let id = bench
        .failed(
            job("a"),
            &paths.iter().map(String::as_str).collect::<Vec<_>>(),
        )
        .await;
    let ended = bench.broker.job(id).await.unwrap();
    assert_eq!((ended.failures, ended.failures_not_listed), (10_000, 5));
    assert_eq!(
        bench.broker.failures(id, None, 1).await.unwrap().not_listed,
        5
    );
    let retried = bench.broker.retry(id, &ALL).await.unwrap();
    assert_eq!(
        retried,
        Retried {
            queued: 10_000,
            left: 0,
            not_listed: 5
        }
    );
}

pub(super) async fn a_retry_that_succeeds_removes_the_entry(bench: Bench) {
    let id = bench
        .failed(
            NewJob {
                post_job: true,
                ..job("a")
            },
            &["/a", "/b"],
        )
        .await;
    bench.drain().await;
    assert_eq!(
        bench.broker.retry(id, &ALL).await,
        Ok(Retried {
            queued: 2,
            left: 0,
            not_listed: 0
        })
    );
    // Asked for twice, done once.
    assert_eq!(
        bench.broker.retry(id, &ALL).await,
        Ok(Retried {
            queued: 0,
            left: 2,
            not_listed: 0
        })
    );
    let page = bench.broker.failures(id, None, 9).await.unwrap();
    assert!(page.entries.iter().all(|entry| entry.retrying));
    // Just those, without hooks.
    assert_eq!(bench.drain().await, ["/a", "/b"]);
    let ended = bench.broker.job(id).await.unwrap();
    assert_eq!(
        (ended.state, ended.pass, ended.failures),
        (JobState::Finished, 2, 0)
    );
    assert_eq!((ended.pass_totals.tasks, ended.totals.tasks), (2, 4));
}

pub(super) async fn a_retry_that_fails_keeps_it(bench: Bench) {
    let id = bench.failed(job("a"), &["/a", "/b"]).await;
    bench.broker.retry(id, &ALL).await.unwrap();
    let [a, b] = <[Leased; 2]>::try_from(bench.lease(2).await).unwrap();
    bench
        .broker
        .complete(a.lease, failing(&["/a"]))
        .await
        .unwrap();
    bench.complete(&b).await;
    assert_eq!(
        (bench.state(id).await, bench.listed(id).await),
        (JobState::Finished, vec!["/a".to_owned()])
    );
    assert!(!bench.broker.failures(id, None, 9).await.unwrap().entries[0].retrying);
}

pub(super) async fn a_retry_that_is_put_off_keeps_it(bench: Bench) {
    let id = bench.failed(job("a"), &["/a"]).await;
    bench.broker.retry(id, &ALL).await.unwrap();
    let task = bench.one().await;
    let put_off = Completion {
        retries: vec![delayed("/a", 5)],
        ..counted(0)
    };
    bench.broker.complete(task.lease, put_off).await.unwrap();
    assert!(bench.broker.failures(id, None, 9).await.unwrap().entries[0].retrying);
    bench.pass(Duration::from_secs(5));
    bench.drain().await;
    assert_eq!(
        (bench.state(id).await, bench.listed(id).await),
        (JobState::Finished, vec![])
    );
}

pub(super) async fn a_dropped_retry_stays_in_the_ledger(bench: Bench) {
    let id = bench.failed(job("a"), &["/a", "/b"]).await;
    bench.broker.retry(id, &ALL).await.unwrap();
    let a = bench.lease(1).await.remove(0);
    bench.broker.stop(id, false).await.unwrap();
    assert!(matches!(
        bench.broker.retry(id, &ALL).await,
        Err(BrokerError::Stopping { .. })
    ));
    let put_off = Completion {
        retries: vec![delayed("/a", 5)],
        ..counted(0)
    };
    bench.broker.complete(a.lease, put_off).await.unwrap();
    let page = bench.broker.failures(id, None, 9).await.unwrap();
    assert_eq!(
        page.entries
            .iter()
            .map(|entry| entry.retrying)
            .collect::<Vec<_>>(),
        [false, false]
    );
    assert_eq!(bench.state(id).await, JobState::Stopped);
}

pub(super) async fn retries_can_be_chosen(bench: Bench) {
    let id = bench.create(job("a")).await;
    let first = bench.one().await;
    let other = Failure {
        code_name: "UNIX_FILE_OPEN_ERR".to_owned(),
        ..failure("/d/x")
    };
    let hopeless = Failure {
        retry: None,
        ..failure("/d/y")
    };
    let failures = vec![
        failure("/d"),
        other,
        hopeless,
        failure("/da"),
        failure("/e"),
    ];
    bench
        .broker
        .complete(
            first.lease,
            Completion {
                failures,
                ..counted(1)
            },
        )
        .await
        .unwrap();
    let below = FailureFilter {
        path: Some(b"/d".to_vec()),
        code_name: Some("CAT_INVALID_ARGUMENT".to_owned()),
    };
    assert_eq!(
        bench.broker.retry(id, &below).await,
        Ok(Retried {
            queued: 1,
            left: 1,
            not_listed: 0
        })
    );
    assert_eq!(bench.drain().await, ["/d"]);
    let nothing = FailureFilter {
        path: Some(b"/none".to_vec()),
        code_name: None,
    };
    assert_eq!(
        bench.broker.retry(id, &nothing).await,
        Ok(Retried {
            queued: 0,
            left: 0,
            not_listed: 0
        })
    );
    assert_eq!(bench.state(id).await, JobState::Finished);
    let slash = FailureFilter {
        path: Some(b"/d/".to_vec()),
        code_name: None,
    };
    assert_eq!(bench.broker.retry(id, &slash).await.unwrap().queued, 1);
}

pub(super) async fn a_stopped_job_stays_stopped_after_a_retry(bench: Bench) {
    let id = bench
        .with_children(job("a"), vec![files("x"), files("y")])
        .await;
    let x = bench.lease(1).await.remove(0);
    bench.broker.stop(id, false).await.unwrap();
    bench
        .broker
        .complete(x.lease, failing(&["/a"]))
        .await
        .unwrap();
    bench.broker.retry(id, &ALL).await.unwrap();
    assert_eq!(bench.state(id).await, JobState::Queued);
    assert_eq!(bench.drain().await, ["/a"]);
    assert_eq!(
        (bench.state(id).await, bench.listed(id).await),
        (JobState::Stopped, vec![])
    );
}

pub(super) async fn a_retry_between_passes_keeps_the_schedule(bench: Bench) {
    let id = bench
        .failed(
            NewJob {
                interval: Some(Duration::from_secs(100)),
                ..job("a")
            },
            &["/a"],
        )
        .await;
    let due = bench.broker.job(id).await.unwrap().next_pass;
    bench.pass(Duration::from_secs(40));
    bench.broker.retry(id, &ALL).await.unwrap();
    assert_eq!(bench.drain().await, ["/a"]);
    let waiting = bench.broker.job(id).await.unwrap();
    assert_eq!((waiting.state, waiting.next_pass), (JobState::Waiting, due));
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.drain().await, ["first"]);
}

pub(super) async fn a_new_pass_starts_a_new_ledger(bench: Bench) {
    let id = bench
        .failed(
            NewJob {
                interval: Some(Duration::from_secs(100)),
                ..job("a")
            },
            &["/a"],
        )
        .await;
    assert_eq!(bench.listed(id).await, ["/a"]);
    bench.pass(Duration::from_secs(100));
    bench.drain().await;
    assert_eq!(bench.listed(id).await, [""; 0]);
}

pub(super) async fn long_texts_are_cut(bench: Bench) {
    let id = bench.create(job("a")).await;
    let first = bench.one().await;
    let long = Failure {
        message: "é".repeat(limits::MAX_TEXT),
        ..failure("/a")
    };
    bench
        .broker
        .complete(
            first.lease,
            Completion {
                failures: vec![long],
                ..counted(1)
            },
        )
        .await
        .unwrap();
    let page = bench.broker.failures(id, None, 9).await.unwrap();
    assert_eq!(
        page.entries[0].failure.message,
        "é".repeat(limits::MAX_TEXT / 2)
    );
}
