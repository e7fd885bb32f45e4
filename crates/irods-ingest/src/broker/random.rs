//! Random sequences of operations on an engine and on the [model](super::model), with the same answers and the same state after
//! each.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::model::Model;
use super::redis::server::Server;
use super::redis::{Address, RedisBroker};
use super::sqlite::{Clock, SqliteBroker};
use super::*;

#[derive(Debug, Clone)]
enum Op {
    Create {
        name: u8,
        identity: u8,
        hooks: (bool, bool),
        interval: Option<u8>,
        owner: Option<u8>,
        /// Which other queue its chunks are in, and how many may be in hand.
        share: (Option<u8>, Option<u8>),
    },
    Lease {
        worker: u8,
        max: usize,
        lease_for: u8,
        only: Option<u8>,
        except: Option<u8>,
        queues: Option<Vec<u8>>,
    },
    /// Whether there is work, after a tick.
    Look {
        queues: Option<Vec<u8>>,
    },
    Extend {
        leases: Vec<u8>,
        lease_for: u8,
    },
    Release {
        lease: u8,
        delay: u8,
    },
    Spawn {
        lease: u8,
        children: Vec<NewTask>,
        key: Option<u8>,
    },
    Begin {
        lease: u8,
    },
    Complete {
        lease: u8,
        failures: Vec<(u8, bool)>,
        children: Vec<NewTask>,
        retries: Vec<NewTask>,
        key: u8,
        compact: Option<u8>,
        fatal: Option<bool>,
    },
    /// Leases and completes one by one, at most this often.
    Drain {
        steps: u8,
    },
    Tick,
    Advance {
        by: u8,
    },
    Stop {
        job: u8,
        now: bool,
    },
    Forget {
        job: u8,
    },
    Retry {
        job: u8,
        path: Option<u8>,
    },
    Heartbeat {
        worker: u8,
        lives_for: u8,
    },
    Gone {
        worker: u8,
        how: Departure,
    },
    Clear {
        prefix: u8,
    },
    /// The latest profile is replaced, or one that may not be.
    Profile {
        job: u8,
        revision: Option<u8>,
    },
}

fn task() -> impl Strategy<Value = NewTask> {
    let class = prop_oneof![
        Just(TaskClass::Files),
        Just(TaskClass::Other),
        Just(TaskClass::Directory),
        Just(TaskClass::Start)
    ];
    (
        class,
        0..4_u32,
        any::<u8>(),
        proptest::option::weighted(0.2, 0..20_u64),
    )
        .prop_map(|(class, depth, payload, delay)| NewTask {
            class,
            depth,
            payload: vec![payload],
            delay: delay.map(Duration::from_millis),
        })
}

fn op() -> impl Strategy<Value = Op> {
    let few = 0..3_u8;
    let lease = any::<u8>();
    let job = 0..3_u8;
    let create = (
        few.clone(),
        few.clone(),
        (proptest::bool::weighted(0.3), proptest::bool::weighted(0.3)),
        proptest::option::weighted(0.3, 0..50_u8),
        proptest::option::weighted(0.3, few.clone()),
        (
            proptest::option::weighted(0.3, few.clone()),
            proptest::option::weighted(0.5, 1..4_u8),
        ),
    );
    let queues = || proptest::option::weighted(0.4, vec(0..6_u8, 0..4));
    let leasing = (
        few.clone(),
        0..4_usize,
        0..40_u8,
        proptest::option::weighted(0.1, job.clone()),
        proptest::option::weighted(0.1, job.clone()),
        queues(),
    );
    let completion = (
        lease,
        vec((0..5_u8, any::<bool>()), 0..3),
        (vec(task(), 0..3), vec(task(), 0..2)),
        few.clone(),
        proptest::option::weighted(0.3, any::<u8>()),
        proptest::option::weighted(0.05, any::<bool>()),
    );
    let departure = prop_oneof![
        Just(Departure::Left),
        Just(Departure::Interrupted),
        Just(Departure::Died)
    ];
    prop_oneof![
        4 => create.prop_map(|(name, identity, hooks, interval, owner, share)| {
            Op::Create { name, identity, hooks, interval, owner, share }
        }),
        12 => leasing
            .prop_map(|(worker, max, lease_for, only, except, queues)| {
                Op::Lease { worker, max, lease_for, only, except, queues }
            }),
        2 => queues().prop_map(|queues| Op::Look { queues }),
        2 => (vec(lease, 0..4), 0..40_u8).prop_map(|(leases, lease_for)| Op::Extend { leases, lease_for }),
        2 => (lease, 0..20_u8).prop_map(|(lease, delay)| Op::Release { lease, delay }),
        6 => (lease, vec(task(), 0..4), proptest::option::of(few.clone())).prop_map(|(lease, children, key)| Op::Spawn { lease, children, key }),
        2 => lease.prop_map(|lease| Op::Begin { lease }),
        14 => completion.prop_map(|(lease, failures, (children, retries), key, compact, fatal)| Op::Complete {
            lease, failures, children, retries, key, compact, fatal
        }),
        6 => (1..8_u8).prop_map(|steps| Op::Drain { steps }),
        1 => Just(Op::Tick),
        4 => (0..30_u8).prop_map(|by| Op::Advance { by }),
        2 => (job.clone(), any::<bool>()).prop_map(|(job, now)| Op::Stop { job, now }),
        1 => job.clone().prop_map(|job| Op::Forget { job }),
        3 => (job, proptest::option::of(0..5_u8)).prop_map(|(job, path)| Op::Retry { job, path }),
        2 => (few.clone(), 0..60_u8).prop_map(|(worker, lives_for)| Op::Heartbeat { worker, lives_for }),
        1 => (few.clone(), departure).prop_map(|(worker, how)| Op::Gone { worker, how }),
        1 => few.prop_map(|prefix| Op::Clear { prefix }),
        2 => (0..3_u8, proptest::option::weighted(0.3, 0..3_u8)).prop_map(|(job, revision)| Op::Profile { job, revision }),
    ]
}

fn ms(millis: u8) -> Duration {
    Duration::from_millis(u64::from(millis))
}

fn worker(number: u8) -> WorkerId {
    WorkerId(format!("worker {number}"))
}

/// Names of queues: the default ones, and three others.
fn names(queues: Option<Vec<u8>>) -> Option<Vec<String>> {
    let name = |number: u8| match Queues::DEFAULT.get(usize::from(number)) {
        Some(name) => (*name).to_owned(),
        None => other_queue(number - 3),
    };
    queues.map(|numbers| numbers.into_iter().map(name).collect())
}

fn other_queue(number: u8) -> String {
    format!("other {number}")
}

fn path(number: u8) -> Vec<u8> {
    [&b"/a"[..], b"/a/b", b"/a/b/c", b"/ab", b"/\xff"][usize::from(number)].to_vec()
}

/// The leases that both engines have handed out, pairwise.
#[derive(Default)]
struct Pairs(Vec<(Lease, Lease)>);

impl Pairs {
    /// One that was handed out lately, held or not.
    fn pick(&self, number: u8) -> Option<(Lease, Lease)> {
        let recent = self.0.len().min(6);
        (recent > 0).then(|| self.0[self.0.len() - 1 - usize::from(number) % recent])
    }
}

fn hidden(error: BrokerError) -> BrokerError {
    match error {
        BrokerError::Stale { .. } => BrokerError::Stale { task: 0 },
        other => other,
    }
}

/// One of the latest jobs, which may be forgotten.
fn job_of(last: u64, number: u8) -> JobId {
    JobId(last.saturating_sub(number.into()))
}

async fn apply(op: Op, model: &Model, engine: &dyn Broker, clock: &AtomicU64, pairs: &mut Pairs) {
    macro_rules! same {
        ($($call:tt)*) => {{
            let (expected, found) = (model.$($call)*.await, engine.$($call)*.await);
            assert_eq!(found.map_err(hidden), expected.map_err(hidden), "{}", stringify!($($call)*));
        }};
    }
    macro_rules! same_of_lease {
        ($number:expr, $method:ident $(, $argument:expr)*) => {{
            let Some((expected, found)) = pairs.pick($number) else { return };
            let expected = model.$method(expected $(, $argument.clone())*).await;
            let found = engine.$method(found $(, $argument.clone())*).await;
            assert_eq!(found.map_err(hidden), expected.map_err(hidden), stringify!($method));
        }};
    }
    let last = model.jobs().await.unwrap().last().map_or(1, |job| job.id.0);
    match op {
        Op::Create {
            name,
            identity,
            hooks,
            interval,
            owner,
            share: (queue, max_in_flight),
        } => {
            let new = NewJob {
                name: Some(format!("job {name}")),
                spec: vec![name, identity],
                identity: format!("identity {identity}"),
                first: NewTask {
                    class: TaskClass::Directory,
                    depth: 0,
                    payload: b"first".to_vec(),
                    delay: None,
                },
                pre_job: hooks.0,
                post_job: hooks.1,
                interval: interval.map(ms),
                owner: owner.map(worker),
                queues: Queues {
                    file: queue.map_or_else(|| "file".to_owned(), other_queue),
                    ..Queues::default()
                },
                max_in_flight: max_in_flight.map(u32::from),
            };
            same!(create_job(new.clone()));
        }
        Op::Lease {
            worker: number,
            max,
            lease_for,
            only,
            except,
            queues,
        } => {
            let filter = JobFilter {
                only: only.map(|job| job_of(last, job)),
                except: except.map(|job| job_of(last, job)).into_iter().collect(),
                queues: names(queues),
            };
            let request = LeaseRequest {
                worker: worker(number),
                max,
                lease_for: ms(lease_for),
                filter,
            };
            let expected = model.lease(&request).await.unwrap();
            let found = engine.lease(&request).await.unwrap();
            assert_eq!(found.len(), expected.len());
            for (mut found, expected) in found.into_iter().zip(expected) {
                pairs.0.push((expected.lease, found.lease));
                found.lease = expected.lease;
                assert_eq!(found, expected);
            }
        }
        Op::Look { queues } => {
            same!(tick());
            let filter = JobFilter {
                queues: names(queues),
                ..JobFilter::default()
            };
            same!(wait_for_work(&filter, Duration::ZERO));
        }
        Op::Extend { leases, lease_for } => {
            let both: Vec<_> = leases
                .into_iter()
                .filter_map(|number| pairs.pick(number))
                .collect();
            let (ours, theirs): (Vec<_>, Vec<_>) = both.iter().copied().unzip();
            let expected = model.extend(&ours, ms(lease_for)).await.unwrap();
            let mut found = engine.extend(&theirs, ms(lease_for)).await.unwrap();
            let translate =
                |lease: &Lease| both.iter().find(|(_, theirs)| theirs == lease).unwrap().0;
            found.lost = found.lost.iter().map(translate).collect();
            assert_eq!(found, expected);
        }
        Op::Release { lease, delay } => same_of_lease!(lease, release, ms(delay)),
        Op::Spawn {
            lease,
            children,
            key,
        } => {
            let signatures = key.map(|key| Append {
                key: vec![b'k'; usize::from(key)],
                bytes: vec![lease],
            });
            let signatures: Vec<_> = signatures.into_iter().collect();
            same_of_lease!(lease, spawn, children, vec![lease], signatures)
        }
        Op::Begin { lease } => same_of_lease!(lease, begin_once),
        Op::Complete {
            lease,
            failures,
            children,
            retries,
            key,
            compact,
            fatal,
        } => {
            let key = vec![b'k'; usize::from(key)];
            let compactions = compact.map(|pattern| {
                let replaces = (0..8).filter(|bit| pattern >> bit & 1 == 1 || *bit == 0);
                Compaction {
                    key: key.clone(),
                    replaces: replaces.map(|bit| SegmentId(bit + 1)).collect(),
                    bytes: vec![pattern / 2],
                }
            });
            let failures = failures.into_iter().map(|(number, again)| Failure {
                path: path(number),
                operation: "put".to_owned(),
                code: Some(-1000 - i32::from(number)),
                code_name: format!("CODE_{}", number % 2),
                message: "message".to_owned(),
                attempts: 1,
                retry: again.then(|| NewTask {
                    class: TaskClass::Files,
                    depth: 1,
                    payload: path(number),
                    delay: None,
                }),
            });
            let completion = Completion {
                counts: Counts {
                    tasks: 1,
                    files_seen: u64::from(lease),
                    ..Counts::default()
                },
                signatures: vec![Append {
                    key: key.clone(),
                    bytes: vec![lease],
                }],
                compactions: compactions.into_iter().collect(),
                failures: failures.collect(),
                children,
                retries,
                fatal: fatal.map(|job| {
                    if job {
                        Fatal::Job("job".to_owned())
                    } else {
                        Fatal::Pass("pass".to_owned())
                    }
                }),
            };
            same_of_lease!(lease, complete, completion);
            if lease % 4 > 0 {
                // Mostly go on with leases that may be held; sometimes complete twice.
                let done = pairs.pick(lease);
                pairs.0.retain(|pair| Some(*pair) != done);
            }
        }
        Op::Drain { steps } => {
            let filter = JobFilter::default();
            let request = LeaseRequest {
                worker: worker(0),
                max: 1,
                lease_for: ms(30),
                filter,
            };
            for _ in 0..steps {
                let expected = model.lease(&request).await.unwrap().pop();
                let found = engine.lease(&request).await.unwrap().pop();
                let (Some(expected), Some(found)) = (&expected, &found) else {
                    assert_eq!((expected, found), (None, None));
                    break;
                };
                assert_eq!(found.payload, expected.payload);
                let completion = Completion {
                    counts: Counts {
                        tasks: 1,
                        ..Counts::default()
                    },
                    ..Completion::default()
                };
                model
                    .complete(expected.lease, completion.clone())
                    .await
                    .unwrap();
                engine.complete(found.lease, completion).await.unwrap();
            }
        }
        Op::Tick => same!(tick()),
        Op::Advance { by } => {
            let now = clock.fetch_add(u64::from(by), Ordering::SeqCst) + u64::from(by);
            model.set_now(now);
        }
        Op::Stop { job, now } => same!(stop(job_of(last, job), now)),
        Op::Forget { job } => same!(forget(job_of(last, job))),
        Op::Retry { job, path: number } => {
            let filter = FailureFilter {
                path: number.map(path),
                code_name: None,
            };
            same!(retry(job_of(last, job), &filter));
        }
        Op::Heartbeat {
            worker: number,
            lives_for,
        } => {
            let info = WorkerInfo {
                id: worker(number),
                host: "host".to_owned(),
                pid: number.into(),
                process: String::new(),
                version: "1".to_owned(),
                status: lives_for.to_string(),
            };
            same!(heartbeat(&info, ms(lives_for)));
        }
        Op::Gone {
            worker: number,
            how,
        } => {
            same!(worker_gone(&worker(number), how));
        }
        Op::Clear { prefix } => same!(clear_signatures(&vec![b'k'; usize::from(prefix)])),
        Op::Profile { job, revision } => {
            let job = job_of(last, job);
            let latest = model.profile(job).await.map_or(0, |(latest, _)| latest);
            let revision = revision.map_or(latest, u64::from);
            same!(put_profile(job, revision, vec![latest as u8, 1]));
        }
    }
}

async fn compare(model: &Model, engine: &dyn Broker) {
    let jobs = model.jobs().await.unwrap();
    assert_eq!(engine.jobs().await.unwrap(), jobs);
    for job in jobs {
        assert_eq!(
            engine.events(job.id).await.unwrap(),
            model.events(job.id).await.unwrap()
        );
        assert_eq!(
            engine.failures(job.id, None, 100).await.unwrap(),
            model.failures(job.id, None, 100).await.unwrap()
        );
        assert_eq!(
            engine.profile(job.id).await.unwrap(),
            model.profile(job.id).await.unwrap()
        );
    }
    assert_eq!(
        engine.workers().await.unwrap(),
        model.workers().await.unwrap()
    );
    for length in 0..3 {
        let key = vec![b'k'; length];
        assert_eq!(
            engine.signatures(&key).await.unwrap(),
            model.signatures(&key).await.unwrap()
        );
    }
}

/// A few in every test run, as many as wanted by hand.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(32)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_does_as_the_model_does(ops in vec(op(), 1..120)) {
        run(async {
            let directory = tempfile::tempdir().unwrap();
            let clock = Arc::new(AtomicU64::new(START));
            let path = directory.path().join("broker");
            let engine = SqliteBroker::open_at(path, Clock::Manual(Arc::clone(&clock))).await.unwrap();
            play(ops, &engine, &clock).await;
        });
    }
}

/// All cases on one server, each under a prefix of its own.
#[test]
fn redis_does_as_the_model_does() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let number = AtomicU64::new(0);
    let config = ProptestConfig {
        cases: cases(),
        max_shrink_iters: 2000,
        source_file: Some(file!()),
        ..ProptestConfig::default()
    };
    proptest!(config, |(ops in vec(op(), 1..120))| {
        run(async {
            let clock = Arc::new(AtomicU64::new(START));
            let number = number.fetch_add(1, Ordering::SeqCst);
            let address = Address::parse(&server.url(&format!("prefix=case{number}"))).unwrap();
            let engine = RedisBroker::open_at(address, Arc::clone(&clock)).await.unwrap();
            play(ops, &engine, &clock).await;
        });
    });
}

/// When the clocks start.
const START: u64 = 1_000_000;

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

async fn play(ops: Vec<Op>, engine: &dyn Broker, clock: &AtomicU64) {
    let model = Model::default();
    model.set_now(START);
    let mut pairs = Pairs::default();
    for op in ops {
        apply(op, &model, engine, clock, &mut pairs).await;
        compare(&model, engine).await;
    }
}
