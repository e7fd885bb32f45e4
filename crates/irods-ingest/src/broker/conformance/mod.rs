//! The rules of the trait as tests that every engine passes.
//!
//! Each function of the files below takes a fresh broker through [`Bench`] and knows nothing of the engine. An engine joins by
//! a module with a `bench` function and a line at the end of this file.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod hooks;
mod jobs;
mod leases;
mod ledger;
mod order;
mod profile;
mod sharing;
mod signatures;
mod stops;

use std::sync::Arc;
use std::time::Duration;

use super::*;

/// A broker under test and its time.
pub(super) struct Bench {
    pub(super) broker: Arc<dyn Broker>,
    /// Another connection to the same store.
    pub(super) other: Arc<dyn Broker>,
    pub(super) advance: Box<dyn Fn(Duration) + Send + Sync>,
    /// What must outlive the broker, such as its directory.
    pub(super) _keep: Box<dyn Send + Sync>,
}

/// How long leases last here, unless a test says otherwise.
const LEASE: Duration = Duration::from_secs(60);

fn worker(name: &str) -> WorkerId {
    WorkerId(name.to_owned())
}

fn info(name: &str) -> WorkerInfo {
    WorkerInfo {
        id: worker(name),
        host: "host".to_owned(),
        pid: 7,
        process: "boot 1".to_owned(),
        version: "0.1".to_owned(),
        status: "{}".to_owned(),
    }
}

fn task(class: TaskClass, depth: u32, payload: &str) -> NewTask {
    NewTask {
        class,
        depth,
        payload: payload.as_bytes().to_vec(),
        delay: None,
    }
}

fn files(payload: &str) -> NewTask {
    task(TaskClass::Files, 1, payload)
}

fn delayed(payload: &str, seconds: u64) -> NewTask {
    NewTask {
        delay: Some(Duration::from_secs(seconds)),
        ..files(payload)
    }
}

/// A plain job of this name and an identity of its own, whose first task is `first`.
fn job(name: &str) -> NewJob {
    NewJob {
        name: Some(name.to_owned()),
        spec: format!("spec of {name}").into_bytes(),
        identity: format!("identity of {name}"),
        first: task(TaskClass::Directory, 0, "first"),
        pre_job: false,
        post_job: false,
        interval: None,
        owner: None,
        queues: Queues::default(),
        max_in_flight: None,
    }
}

fn periodic(name: &str) -> NewJob {
    NewJob {
        interval: Some(Duration::from_secs(100)),
        ..job(name)
    }
}

fn failure(path: &str) -> Failure {
    Failure {
        path: path.as_bytes().to_vec(),
        operation: "register".to_owned(),
        code: Some(-816_000),
        code_name: "CAT_INVALID_ARGUMENT".to_owned(),
        message: "no".to_owned(),
        attempts: 1,
        retry: Some(files(path)),
    }
}

fn counted(files_seen: u64) -> Completion {
    Completion {
        counts: Counts {
            files_seen,
            tasks: 1,
            ..Counts::default()
        },
        ..Completion::default()
    }
}

impl Bench {
    async fn create(&self, job: NewJob) -> JobId {
        match self.broker.create_job(job).await.unwrap() {
            Created::New(job) => job.id,
            Created::Resumed(job) => panic!("resumed {job:?}"),
        }
    }

    async fn lease(&self, max: usize) -> Vec<Leased> {
        let filter = JobFilter::default();
        let request = LeaseRequest {
            worker: worker("w"),
            max,
            lease_for: LEASE,
            filter,
        };
        self.broker.lease(&request).await.unwrap()
    }

    /// Leases the one task that is ready.
    async fn one(&self) -> Leased {
        let mut leased = self.lease(2).await;
        assert_eq!(leased.len(), 1, "{leased:?}");
        leased.remove(0)
    }

    async fn complete(&self, leased: &Leased) {
        self.broker
            .complete(leased.lease, counted(1))
            .await
            .unwrap();
    }

    /// Creates a job and completes its first task with these children ready instead.
    async fn with_children(&self, new: NewJob, children: Vec<NewTask>) -> JobId {
        let id = self.create(new).await;
        let first = self.one().await;
        let spawned = self
            .broker
            .spawn(first.lease, children, b"cursor".to_vec(), vec![]);
        assert_ne!(spawned.await.unwrap(), Spawned::Stopping);
        self.complete(&first).await;
        id
    }

    async fn state(&self, job: JobId) -> JobState {
        self.broker.job(job).await.unwrap().state
    }

    async fn log(&self, job: JobId) -> Vec<EventKind> {
        self.broker
            .events(job)
            .await
            .unwrap()
            .into_iter()
            .map(|event| event.kind)
            .collect()
    }

    /// Completes whatever is ready until nothing is; answers the payloads in order.
    async fn drain(&self) -> Vec<String> {
        let mut done = Vec::new();
        while let Some(leased) = self.lease(1).await.pop() {
            self.complete(&leased).await;
            done.push(String::from_utf8(leased.payload).unwrap());
        }
        done
    }

    fn pass(&self, time: Duration) {
        (self.advance)(time);
    }
}

/// Runs the whole suite on one engine.
macro_rules! promises {
    ($engine:ident, $bench:expr) => {
        promises! { @ $engine, $bench,
            leases: a_lease_is_exclusive, an_expired_lease_returns_and_its_token_is_stale, a_late_token_is_good_until_taken_back,
                a_second_completion_changes_nothing, extended_leases_stay, a_release_counts_nothing, a_lapse_is_counted,
                a_lapse_whose_holder_comes_back_counts_no_more, who_leaves_in_the_middle_is_marked_and_not_counted,
                children_and_cursor_are_one, a_rerun_gets_the_cursor, who_has_many_tasks_before_it_is_told,
                batches_are_bounded, the_last_children_go_with_the_completion, the_dead_give_back_at_once,
                waiting_ends_when_work_comes, filters_choose_jobs, any_token_is_checked;
            order: files_then_others_then_directories_deepest_first, jobs_take_turns, a_small_job_is_not_starved,
                delayed_tasks_wait, returned_tasks_keep_their_place;
            sharing: a_request_is_for_the_queues_that_are_served, no_more_chunks_in_hand_than_the_job_allows,
                a_chunk_that_leaves_makes_room_for_another, directories_wait_while_many_chunks_do,
                turns_are_taken_within_queues_too, a_resumed_job_is_shared_as_the_last_start_says,
                what_cannot_be_a_queue_is_refused;
            jobs: totals_are_exact, a_job_finishes_when_nothing_is_outstanding, an_unfinished_job_is_resumed,
                a_job_is_resumed_by_identity, another_interval_is_another_job, a_live_owner_keeps_its_job, a_dead_owner_does_not,
                a_name_in_use_is_refused, an_ended_name_is_free, names_are_made_up,
                a_periodic_job_waits_from_its_start, passes_never_overlap, forget_removes_only_what_has_ended,
                unknown_jobs_are_errors, the_log_is_bounded, workers_are_listed_while_they_live;
            stops: stop_lets_leases_finish, stop_drops_children_and_retries, stop_now_takes_leases_away,
                stopping_ends_without_workers, a_waiting_job_stops_at_once, a_fatal_error_ends_the_job,
                a_stop_outranks_a_fatal_error, a_fatal_job_outranks_a_fatal_pass, a_stop_outranks_a_fatal_pass,
                a_failed_pass_is_not_the_end_of_a_periodic_job;
            hooks: pre_job_goes_first_and_post_job_last, hooks_run_once_a_pass, a_hook_that_was_begun_says_so,
                post_job_does_not_run_after_a_stop, an_unknown_pre_job_fails_the_pass;
            ledger: failures_are_listed_by_path, a_path_has_one_entry, the_ledger_is_capped_and_counts_on,
                a_retry_that_succeeds_removes_the_entry, a_retry_that_fails_keeps_it, a_retry_that_is_put_off_keeps_it,
                a_dropped_retry_stays_in_the_ledger, retries_can_be_chosen, a_stopped_job_stays_stopped_after_a_retry,
                a_retry_between_passes_keeps_the_schedule, a_new_pass_starts_a_new_ledger, long_texts_are_cut;
            profile: a_lease_says_how_long_its_task_was_ready, a_lease_says_of_which_pass_it_is,
                a_profile_is_replaced_by_who_has_seen_it, a_profile_goes_with_its_job,
                a_resumed_job_has_the_specification_of_the_last_start;
            signatures: segments_are_appended_in_order, a_compaction_takes_the_place_of_what_it_read,
                a_compaction_of_what_is_gone_is_dropped, a_batch_brings_signatures_of_its_own, clearing_is_by_prefix, a_stale_completion_stores_nothing;
        }
    };
    (@ $engine:ident, $bench:expr, $($file:ident: $($promise:ident),+;)+) => {
        mod $engine {
            $($(
                #[tokio::test]
                async fn $promise() {
                    // Where an engine's server cannot be had, its bench says so and there is none.
                    let bench: Option<super::Bench> = $bench.await.into();
                    if let Some(bench) = bench {
                        super::$file::$promise(bench).await;
                    }
                }
            )+)+
        }
    };
}

async fn model() -> Bench {
    use super::model::Model;
    let model = Arc::new(Model::default());
    let broker: Arc<dyn Broker> = Arc::<Model>::clone(&model);
    let now = std::sync::Mutex::new(Duration::ZERO);
    let advance = move |by| {
        let mut now = now.lock().unwrap();
        *now += by;
        model.set_now(u64::try_from(now.as_millis()).unwrap());
    };
    Bench {
        other: Arc::clone(&broker),
        broker,
        advance: Box::new(advance),
        _keep: Box::new(()),
    }
}

async fn sqlite() -> Bench {
    use super::sqlite::{Clock, SqliteBroker};
    use std::sync::atomic::{AtomicU64, Ordering};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker");
    let now = Arc::new(AtomicU64::new(1_000_000));
    let open = || SqliteBroker::open_at(path.clone(), Clock::Manual(Arc::clone(&now)));
    let (broker, other) = (open().await.unwrap(), open().await.unwrap());
    let advance = move |by: Duration| {
        now.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    };
    Bench {
        broker: Arc::new(broker),
        other: Arc::new(other),
        advance: Box::new(advance),
        _keep: Box::new(directory),
    }
}

async fn redis() -> Option<Bench> {
    use super::redis::{Address, RedisBroker};
    use std::sync::atomic::{AtomicU64, Ordering};
    let server = super::redis::server::Server::start(&[])?;
    let now = Arc::new(AtomicU64::new(1_000_000));
    let address = Address::parse(&server.url("")).unwrap();
    let open = || RedisBroker::open_at(address.clone(), Arc::clone(&now));
    let (broker, other) = (open().await.unwrap(), open().await.unwrap());
    let advance = move |by: Duration| {
        now.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    };
    Some(Bench {
        broker: Arc::new(broker),
        other: Arc::new(other),
        advance: Box::new(advance),
        _keep: Box::new(server),
    })
}

promises!(on_the_model, super::model());
promises!(on_sqlite, super::sqlite());
promises!(on_redis, super::redis());
