//! Leases: who holds a task, how it is lost, given back, multiplied.

use super::*;

pub(super) async fn a_lease_is_exclusive(bench: Bench) {
    bench.create(job("a")).await;
    let leased = bench.one().await;
    assert_eq!(
        (leased.payload.as_slice(), &*leased.spec),
        (&b"first"[..], &b"spec of a"[..])
    );
    assert_eq!(bench.lease(5).await, []);
    let request = LeaseRequest {
        worker: worker("v"),
        max: 5,
        lease_for: LEASE,
        filter: JobFilter::default(),
    };
    assert_eq!(bench.other.lease(&request).await.unwrap(), []);
}

pub(super) async fn an_expired_lease_returns_and_its_token_is_stale(bench: Bench) {
    let id = bench.create(job("a")).await;
    let lost = bench.one().await;
    bench.pass(LEASE);
    let again = bench.one().await;
    assert_eq!((again.lease.task, again.expiries), (lost.lease.task, 1));
    assert_ne!(again.lease.token, lost.lease.token);

    let before = bench.broker.job(id).await.unwrap();
    let complete = bench.broker.complete(lost.lease, counted(9)).await;
    assert!(complete.unwrap_err().is_stale());
    assert!(
        bench
            .broker
            .spawn(lost.lease, vec![files("x")], vec![1], vec![])
            .await
            .unwrap_err()
            .is_stale()
    );
    assert!(
        bench
            .broker
            .release(lost.lease, Duration::ZERO)
            .await
            .unwrap_err()
            .is_stale()
    );
    assert!(
        bench
            .broker
            .begin_once(lost.lease)
            .await
            .unwrap_err()
            .is_stale()
    );
    let extended = bench
        .broker
        .extend(&[lost.lease, again.lease], LEASE)
        .await
        .unwrap();
    assert_eq!(extended.lost, [lost.lease]);
    assert_eq!(bench.broker.job(id).await.unwrap(), before);

    bench.complete(&again).await;
    assert_eq!(bench.state(id).await, JobState::Finished);
}

pub(super) async fn a_late_token_is_good_until_taken_back(bench: Bench) {
    let id = bench.create(job("a")).await;
    let late = bench.one().await;
    bench.pass(LEASE * 3);
    bench.complete(&late).await;
    assert_eq!(bench.state(id).await, JobState::Finished);
}

pub(super) async fn a_second_completion_changes_nothing(bench: Bench) {
    let id = bench.with_children(job("a"), vec![files("x")]).await;
    let leased = bench.one().await;
    bench.complete(&leased).await;
    let before = bench.broker.job(id).await.unwrap();
    let again = Completion {
        failures: vec![failure("/f")],
        retries: vec![files("y")],
        ..counted(5)
    };
    assert!(
        bench
            .broker
            .complete(leased.lease, again)
            .await
            .unwrap_err()
            .is_stale()
    );
    assert_eq!(bench.broker.job(id).await.unwrap(), before);
    assert_eq!(before.totals.files_seen, 2);
}

pub(super) async fn extended_leases_stay(bench: Bench) {
    let id = bench.create(job("a")).await;
    let leased = bench.one().await;
    for _ in 0..5 {
        bench.pass(LEASE * 2 / 3);
        assert_eq!(
            bench.broker.extend(&[leased.lease], LEASE).await.unwrap(),
            Extended::default()
        );
        assert_eq!(bench.lease(1).await, []);
    }
    assert_eq!(bench.broker.stop(id, false).await, Ok(JobState::Stopping));
    let extended = bench.broker.extend(&[leased.lease], LEASE).await.unwrap();
    assert_eq!(
        extended,
        Extended {
            lost: vec![],
            stopping: vec![id]
        }
    );
}

pub(super) async fn a_release_counts_nothing(bench: Bench) {
    bench.create(job("a")).await;
    let leased = bench.one().await;
    bench
        .broker
        .spawn(leased.lease, vec![], b"here".to_vec(), vec![])
        .await
        .unwrap();
    bench
        .broker
        .release(leased.lease, Duration::ZERO)
        .await
        .unwrap();
    let again = bench.one().await;
    assert_eq!((again.expiries, again.cursor.as_slice()), (0, &b"here"[..]));

    bench
        .broker
        .release(again.lease, Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(bench.lease(1).await, []);
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.one().await.expiries, 0);
}

pub(super) async fn a_lapse_is_counted(bench: Bench) {
    bench.create(job("a")).await;
    for expiries in 0..12 {
        assert_eq!(bench.one().await.expiries, expiries);
        bench.pass(LEASE);
    }
}

pub(super) async fn a_lapse_whose_holder_comes_back_counts_no_more(bench: Bench) {
    bench.create(job("a")).await;
    for lost in 0..20 {
        let held = bench.one().await;
        assert_eq!(held.expiries, lost.min(1));
        bench.pass(LEASE);
        bench.broker.tick().await.unwrap();
        let extended = bench.broker.extend(&[held.lease], LEASE).await.unwrap();
        assert_eq!(extended.lost, [held.lease]);
    }
    // Neither twice for the same lease, nor for those of others that did not come back.
    let gone = bench.one().await;
    bench.pass(LEASE);
    let held = bench.one().await;
    assert_eq!(held.expiries, 2);
    bench.pass(LEASE);
    bench.broker.tick().await.unwrap();
    for _ in 0..3 {
        let leases = [held.lease, held.lease];
        bench.broker.extend(&leases, LEASE).await.unwrap();
    }
    let last = bench.one().await;
    assert_eq!((last.lease.task, last.expiries), (gone.lease.task, 2));
}

pub(super) async fn who_leaves_in_the_middle_is_marked_and_not_counted(bench: Bench) {
    bench.create(job("a")).await;
    let (w, broker) = (worker("w"), &bench.broker);
    for left in 0..5 {
        assert_eq!(bench.one().await.expiries, left.min(1));
        broker
            .worker_gone(&w, Departure::Interrupted)
            .await
            .unwrap();
    }
    bench.one().await;
    broker.worker_gone(&w, Departure::Died).await.unwrap();
    assert_eq!(bench.one().await.expiries, 2);
}

pub(super) async fn children_and_cursor_are_one(bench: Bench) {
    let id = bench.create(job("a")).await;
    let first = bench.one().await;
    let children = (0..limits::MAX_CHILDREN)
        .map(|n| files(&n.to_string()))
        .collect::<Vec<_>>();
    bench
        .broker
        .spawn(first.lease, children, b"to 999".to_vec(), vec![])
        .await
        .unwrap();
    let outstanding = bench.broker.job(id).await.unwrap().outstanding;
    assert_eq!(
        outstanding,
        Outstanding {
            ready: 1000,
            delayed: 0,
            leased: 1
        }
    );
}

/// The crash of design: batches are spawned, the worker dies, another one goes on after the last batch.
pub(super) async fn a_rerun_gets_the_cursor(bench: Bench) {
    let id = bench.create(job("a")).await;
    let names = ["a", "b", "c", "d", "e"];
    let mut done = Vec::new();
    // Each holder spawns one batch and dies, the last one completes.
    loop {
        let filter = JobFilter::default();
        let request = LeaseRequest {
            worker: worker("w"),
            max: 100,
            lease_for: LEASE,
            filter,
        };
        let mut leased = bench.broker.lease(&request).await.unwrap();
        let scan = leased.iter().position(|leased| leased.payload == b"first");
        let scan = scan.map(|at| leased.remove(at));
        for chunk in leased {
            bench.complete(&chunk).await;
            done.push(String::from_utf8(chunk.payload).unwrap());
        }
        let Some(scan) = scan else { break };
        let cursor = String::from_utf8(scan.cursor).unwrap();
        match names.iter().find(|name| **name > cursor.as_str()) {
            Some(name) => {
                let children = vec![files(name)];
                bench
                    .broker
                    .spawn(scan.lease, children, name.as_bytes().to_vec(), vec![])
                    .await
                    .unwrap();
                bench.pass(LEASE);
            }
            None => bench.broker.complete(scan.lease, counted(1)).await.unwrap(),
        }
    }
    assert_eq!(done, names);
    let ended = bench.broker.job(id).await.unwrap();
    assert_eq!((ended.state, ended.totals.tasks), (JobState::Finished, 6));
}

/// And once it was given back, those go first.
pub(super) async fn who_has_many_tasks_before_it_is_told(bench: Bench) {
    let scan = NewJob {
        first: task(TaskClass::Directory, 1, "scan"),
        ..job("a")
    };
    bench.create(scan).await;
    let scan = bench.one().await;
    let mut queued = Vec::new();
    for number in 0..limits::MAX_BEFORE {
        let (class, depth) = [
            (TaskClass::Files, 1),
            (TaskClass::Other, 1),
            (TaskClass::Directory, 2),
        ][number % 3];
        let name = format!("{class:?} {number}");
        let after = [
            task(TaskClass::Directory, 1, "like it"),
            task(TaskClass::Directory, 0, "above it"),
            delayed("later", 1_000_000),
        ];
        let mut children = vec![task(class, depth, &name)];
        children.extend(after);
        queued.push(name);
        let spawned = bench
            .broker
            .spawn(scan.lease, children, vec![1], vec![])
            .await;
        let crowded = queued.len() == limits::MAX_BEFORE;
        let expected = match crowded {
            true => Spawned::Crowded,
            false => Spawned::Queued,
        };
        assert_eq!(spawned, Ok(expected), "{number}");
    }
    let released = bench.broker.release(scan.lease, Duration::ZERO);
    released.await.unwrap();
    let leased = bench.lease(limits::MAX_BEFORE).await;
    assert!(leased.iter().all(|leased| leased.payload != b"scan"));
    // What was taken does not count.
    let scan = bench.lease(1).await.remove(0);
    assert_eq!(
        (scan.payload.as_slice(), scan.cursor),
        (&b"scan"[..], vec![1])
    );
    let spawned = bench
        .broker
        .spawn(scan.lease, vec![], vec![2], vec![])
        .await;
    assert_eq!(spawned, Ok(Spawned::Queued));
}

pub(super) async fn batches_are_bounded(bench: Bench) {
    let id = bench.create(job("a")).await;
    let first = bench.one().await;
    let before = bench.broker.job(id).await.unwrap();
    let many = vec![files("x"); limits::MAX_CHILDREN + 1];
    let refused =
        |result: BrokerError| assert!(matches!(result, BrokerError::Invalid { .. }), "{result:?}");
    refused(
        bench
            .broker
            .spawn(first.lease, many.clone(), vec![], vec![])
            .await
            .unwrap_err(),
    );
    let large = NewTask {
        payload: vec![0; limits::MAX_PAYLOAD + 1],
        ..files("x")
    };
    refused(
        bench
            .broker
            .spawn(first.lease, vec![large], vec![], vec![])
            .await
            .unwrap_err(),
    );
    refused(
        bench
            .broker
            .spawn(first.lease, vec![], vec![0; limits::MAX_CURSOR + 1], vec![])
            .await
            .unwrap_err(),
    );
    let retries = Completion {
        retries: many.clone(),
        ..Completion::default()
    };
    let children = Completion {
        children: many,
        ..Completion::default()
    };
    for completion in [retries, children] {
        let complete = bench.broker.complete(first.lease, completion).await;
        refused(complete.unwrap_err());
    }
    refused(
        bench
            .broker
            .create_job(NewJob {
                name: Some(String::new()),
                ..job("b")
            })
            .await
            .unwrap_err(),
    );
    assert_eq!(bench.broker.job(id).await.unwrap(), before);
}

pub(super) async fn the_last_children_go_with_the_completion(bench: Bench) {
    let id = bench.create(job("a")).await;
    let first = bench.one().await;
    let with = |children| Completion {
        children,
        ..counted(1)
    };
    let completion = with(vec![files("x"), delayed("y", 5)]);
    let complete = async || bench.broker.complete(first.lease, completion.clone()).await;
    complete().await.unwrap();
    assert!(complete().await.unwrap_err().is_stale());
    let job = bench.broker.job(id).await.unwrap();
    let outstanding = job.outstanding;
    assert_eq!((outstanding.ready, outstanding.delayed), (1, 1));
    assert_eq!(
        (job.state, job.totals),
        (JobState::Running, counted(1).counts)
    );

    let child = bench.one().await;
    assert_eq!(child.payload, b"x");
    bench.broker.stop(id, false).await.unwrap();
    let late = with(vec![files("z")]);
    bench.broker.complete(child.lease, late).await.unwrap();
    let job = bench.broker.job(id).await.unwrap();
    assert_eq!((job.state, job.outstanding.total()), (JobState::Stopped, 0));
}

pub(super) async fn the_dead_give_back_at_once(bench: Bench) {
    bench
        .with_children(job("a"), vec![files("x"), files("y")])
        .await;
    let filter = JobFilter::default();
    let mut held = Vec::new();
    for name in ["v", "w"] {
        let request = LeaseRequest {
            worker: worker(name),
            max: 1,
            lease_for: LEASE,
            filter: filter.clone(),
        };
        held.extend(bench.broker.lease(&request).await.unwrap());
    }
    bench
        .broker
        .worker_gone(&worker("v"), Departure::Died)
        .await
        .unwrap();
    let again = bench.one().await;
    assert_eq!((again.payload.as_slice(), again.expiries), (&b"x"[..], 1));
    assert!(
        bench
            .broker
            .complete(held[0].lease, counted(1))
            .await
            .unwrap_err()
            .is_stale()
    );
    bench
        .broker
        .worker_gone(&worker("w"), Departure::Left)
        .await
        .unwrap();
    let expiries: Vec<_> = bench
        .lease(5)
        .await
        .iter()
        .map(|leased| leased.expiries)
        .collect();
    assert_eq!(expiries, [1, 0]);
}

pub(super) async fn waiting_ends_when_work_comes(bench: Bench) {
    let any = JobFilter::default();
    assert_eq!(
        bench.broker.wait_for_work(&any, Duration::ZERO).await,
        Ok(false)
    );
    // Queued through the other connection, as another process would.
    let new = bench.other.create_job(job("a")).await.unwrap();
    let long = Duration::from_secs(600);
    assert_eq!(bench.broker.wait_for_work(&any, long).await, Ok(true));
    let not_it = JobFilter {
        only: None,
        except: vec![new.job().id],
        queues: None,
    };
    assert_eq!(
        bench.broker.wait_for_work(&not_it, Duration::ZERO).await,
        Ok(false)
    );
    bench.one().await;
    assert_eq!(
        bench.broker.wait_for_work(&any, Duration::ZERO).await,
        Ok(false)
    );
    bench.pass(LEASE);
    assert_eq!(bench.broker.wait_for_work(&any, long).await, Ok(true));
}

pub(super) async fn filters_choose_jobs(bench: Bench) {
    let a = bench.create(job("a")).await;
    let b = bench.create(job("b")).await;
    let leased = |filter| {
        let request = LeaseRequest {
            worker: worker("w"),
            max: 5,
            lease_for: LEASE,
            filter,
        };
        let broker = Arc::clone(&bench.broker);
        async move {
            broker
                .lease(&request)
                .await
                .unwrap()
                .iter()
                .map(|leased| leased.job)
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(
        leased(JobFilter {
            only: Some(a),
            except: vec![a],
            queues: None,
        })
        .await,
        []
    );
    assert_eq!(
        leased(JobFilter {
            only: None,
            except: vec![a],
            queues: None,
        })
        .await,
        [b]
    );
    assert_eq!(
        leased(JobFilter {
            only: Some(a),
            except: vec![],
            queues: None,
        })
        .await,
        [a]
    );
}

pub(super) async fn any_token_is_checked(bench: Bench) {
    bench.create(job("a")).await;
    let leased = bench.one().await;
    let guessed = Lease {
        token: Token::random(),
        ..leased.lease
    };
    assert!(
        bench
            .broker
            .complete(guessed, counted(1))
            .await
            .unwrap_err()
            .is_stale()
    );
    let other_task = Lease {
        task: TaskId(u64::MAX),
        ..leased.lease
    };
    assert!(
        bench
            .broker
            .complete(other_task, counted(1))
            .await
            .unwrap_err()
            .is_stale()
    );
    bench.complete(&leased).await;
}
