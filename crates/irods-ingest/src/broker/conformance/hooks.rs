//! pre_job and post_job: when they run, and that they run once.

use super::*;

fn hooked(name: &str) -> NewJob {
    NewJob {
        pre_job: true,
        post_job: true,
        ..job(name)
    }
}

pub(super) async fn pre_job_goes_first_and_post_job_last(bench: Bench) {
    let id = bench.create(hooked("a")).await;
    let mut kinds = Vec::new();
    loop {
        let mut leased = bench.lease(5).await;
        let Some(task) = leased.pop() else { break };
        assert_eq!(leased, [], "a hook is never beside other tasks");
        if task.payload == b"first" {
            let completion = Completion {
                retries: vec![files("more")],
                ..counted(1)
            };
            bench.broker.complete(task.lease, completion).await.unwrap();
        } else {
            bench.complete(&task).await;
        }
        kinds.push(task.kind);
    }
    assert_eq!(
        kinds,
        [
            TaskKind::PreJob,
            TaskKind::Work,
            TaskKind::Work,
            TaskKind::PostJob
        ]
    );
    assert_eq!(bench.state(id).await, JobState::Finished);
}

pub(super) async fn hooks_run_once_a_pass(bench: Bench) {
    let id = bench
        .create(NewJob {
            interval: Some(Duration::from_secs(100)),
            ..hooked("a")
        })
        .await;
    for pass in 1..=3 {
        let mut kinds = Vec::new();
        while let Some(task) = bench.lease(5).await.pop() {
            bench.complete(&task).await;
            kinds.push(task.kind);
        }
        assert_eq!(kinds, [TaskKind::PreJob, TaskKind::Work, TaskKind::PostJob]);
        assert_eq!(bench.broker.job(id).await.unwrap().pass, pass);
        bench.pass(Duration::from_secs(100));
    }
}

pub(super) async fn a_hook_that_was_begun_says_so(bench: Bench) {
    bench.create(hooked("a")).await;
    let hook = bench.one().await;
    bench
        .broker
        .release(hook.lease, Duration::ZERO)
        .await
        .unwrap();
    let hook = bench.one().await;
    assert_eq!(bench.broker.begin_once(hook.lease).await, Ok(Begun::First));
    bench.pass(LEASE);
    let again = bench.one().await;
    assert_eq!(
        (again.kind, bench.broker.begin_once(again.lease).await),
        (TaskKind::PreJob, Ok(Begun::Again))
    );
}

pub(super) async fn post_job_does_not_run_after_a_stop(bench: Bench) {
    let id = bench
        .create(NewJob {
            pre_job: false,
            ..hooked("a")
        })
        .await;
    let first = bench.one().await;
    bench.broker.stop(id, false).await.unwrap();
    bench.complete(&first).await;
    assert_eq!(
        (bench.state(id).await, bench.lease(5).await),
        (JobState::Stopped, vec![])
    );
}

pub(super) async fn an_unknown_pre_job_fails_the_pass(bench: Bench) {
    let id = bench.create(hooked("a")).await;
    let hook = bench.one().await;
    bench.broker.begin_once(hook.lease).await.unwrap();
    bench
        .broker
        .worker_gone(&worker("w"), Departure::Died)
        .await
        .unwrap();
    let again = bench.one().await;
    assert_eq!(bench.broker.begin_once(again.lease).await, Ok(Begun::Again));
    let completion = Completion {
        fatal: Some(Fatal::Pass("pre_job: outcome unknown".to_owned())),
        ..counted(0)
    };
    bench
        .broker
        .complete(again.lease, completion)
        .await
        .unwrap();
    assert_eq!(
        (bench.state(id).await, bench.lease(5).await),
        (JobState::Failed, vec![])
    );
}
