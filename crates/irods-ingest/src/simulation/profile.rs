//! What workers measured is handed in exactly once, whatever calls to the broker are lost and whoever else is quicker.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::broker::{Link, Queue};
use super::host::{Host, Weather, World};
use crate::broker::{
    Broker, Counts, JobFilter, LeaseRequest, NewJob, NewTask, Queues, TaskClass, WorkerId,
};
use crate::patience::Backoff;
use crate::profile::recorder::Recorder;
use crate::profile::{About, Profile, Stage, Stages};

const LEASE: Duration = Duration::from_secs(30);

fn job() -> NewJob {
    NewJob {
        name: None,
        spec: Vec::new(),
        identity: "job".into(),
        first: NewTask {
            class: TaskClass::Start,
            depth: 0,
            payload: Vec::new(),
            delay: None,
        },
        pre_job: false,
        post_job: false,
        interval: None,
        owner: None,
        queues: Queues::default(),
        max_in_flight: None,
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_measured_is_handed_in_once_whatever_is_lost() {
    for seed in 0..20 {
        let world = World::new(seed);
        let queue = Queue::new(world.clone());
        let id = queue.here().create_job(job()).await.unwrap().job().id;
        let request = LeaseRequest {
            worker: WorkerId("w".into()),
            max: 1,
            lease_for: LEASE,
            filter: JobFilter::default(),
        };
        let leased = queue.here().lease(&request).await.unwrap().remove(0);
        world.set_weather(Weather {
            lost: 300,
            losses: 1000,
            ..Weather::FAIR
        });
        let workers: Vec<_> = (0..5_u64)
            .map(|number| {
                let (world, queue, leased) = (world.clone(), queue.clone(), leased.clone());
                tokio::spawn(async move {
                    let name = format!("w{number}");
                    let host = Host::new(world, name.clone());
                    let link = Link { queue, host };
                    let recorder = Arc::new(Recorder::new(id));
                    let stages = Stages::of(recorder.clone());
                    for _ in 0..10 {
                        for _ in 0..=number {
                            stages.task(&leased, "task", b"", LEASE).done();
                            stages.time(Stage::Plan, "plan", About::NOTHING, || ());
                            stages.completed(&Counts::default(), Instant::now());
                        }
                        // In vain it is tried again, with more.
                        let _ = recorder.hand_in(&link, &WorkerId(name.clone())).await;
                    }
                    let mut backoff = Backoff::new();
                    let id = WorkerId(name);
                    while recorder.hand_in(&link, &id).await.is_err() || recorder.has_more() {
                        backoff.wait().await;
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
        let (revision, bytes) = queue.here().profile(id).await.unwrap();
        let profile = Profile::read(&bytes).unwrap();
        let all = (1..=5).sum::<u64>() * 10;
        let counts =
            [Stage::Queue, Stage::Task, Stage::Plan].map(|stage| profile.last.stage(stage).count);
        assert_eq!((profile.last.tasks, counts), (all, [all; 3]), "seed {seed}");
        assert!((5..=100).contains(&revision), "seed {seed}: {revision}");
        assert!(world.happened().lost > 10, "seed {seed}");
    }
}
