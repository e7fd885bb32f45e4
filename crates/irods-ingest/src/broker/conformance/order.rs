//! The order in which tasks are taken.

use super::*;

pub(super) async fn files_then_others_then_directories_deepest_first(bench: Bench) {
    let children = vec![
        task(TaskClass::Directory, 1, "directory 1"),
        task(TaskClass::Files, 1, "files 1"),
        task(TaskClass::Directory, 3, "directory 3"),
        task(TaskClass::Other, 9, "other 9"),
        task(TaskClass::Files, 2, "files 2"),
        task(TaskClass::Files, 1, "files 1 later"),
        task(TaskClass::Directory, u32::MAX, "directory deepest"),
        task(
            TaskClass::Directory,
            limits::MAX_DEPTH,
            "directory deep later",
        ),
    ];
    bench.with_children(job("a"), children).await;
    let expected = [
        "files 2",
        "files 1",
        "files 1 later",
        "other 9",
        "directory deepest",
        "directory deep later",
        "directory 3",
        "directory 1",
    ];
    assert_eq!(bench.drain().await, expected);
}

pub(super) async fn jobs_take_turns(bench: Bench) {
    let mut names = Vec::new();
    for name in ["a", "b", "c"] {
        let chunks = (1..=3)
            .map(|number| files(&format!("{name}{number}")))
            .collect();
        bench.with_children(job(name), chunks).await;
        // The next job's first task is the only one that is ready.
        names.extend(bench.lease(3).await.iter().map(|leased| leased.lease));
    }
    for lease in names {
        bench.broker.release(lease, Duration::ZERO).await.unwrap();
    }
    let order = bench.drain().await;
    assert_eq!(order.len(), 9);
    for round in order.chunks(3) {
        let mut jobs: Vec<_> = round.iter().map(|payload| &payload[..1]).collect();
        jobs.sort_unstable();
        assert_eq!(jobs, ["a", "b", "c"], "{order:?}");
    }
}

pub(super) async fn a_small_job_is_not_starved(bench: Bench) {
    bench
        .with_children(job("huge"), (0..500).map(|_| files("huge")).collect())
        .await;
    bench.create(job("small")).await;
    let leased = bench.lease(2).await;
    let payloads: Vec<_> = leased
        .iter()
        .map(|leased| leased.payload.as_slice())
        .collect();
    assert!(payloads.contains(&&b"first"[..]), "{payloads:?}");
    // And one call that could be filled by one job is shared by both.
    let small = leased
        .iter()
        .find(|leased| leased.payload == b"first")
        .unwrap();
    bench
        .broker
        .spawn(small.lease, vec![files("small"); 10], vec![], vec![])
        .await
        .unwrap();
    let small = bench
        .lease(10)
        .await
        .iter()
        .filter(|leased| leased.payload == b"small")
        .count();
    assert_eq!(small, 5);
}

pub(super) async fn delayed_tasks_wait(bench: Bench) {
    let id = bench
        .with_children(
            job("a"),
            vec![delayed("late", 30), delayed("soon", 10), files("now")],
        )
        .await;
    assert_eq!(bench.drain().await, ["now"]);
    let outstanding = bench.broker.job(id).await.unwrap().outstanding;
    assert_eq!(
        outstanding,
        Outstanding {
            ready: 0,
            delayed: 2,
            leased: 0
        }
    );
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.drain().await, ["soon"]);
    bench.pass(Duration::from_secs(20));
    assert_eq!(bench.drain().await, ["late"]);
    assert_eq!(bench.state(id).await, JobState::Finished);
}

pub(super) async fn returned_tasks_keep_their_place(bench: Bench) {
    bench
        .with_children(job("a"), vec![files("x"), files("y"), files("z")])
        .await;
    let x = bench.lease(1).await.remove(0);
    bench.broker.release(x.lease, Duration::ZERO).await.unwrap();
    assert_eq!(bench.drain().await, ["x", "y", "z"]);
}
