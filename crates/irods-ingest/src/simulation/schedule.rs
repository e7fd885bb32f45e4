//! What is played: a tree, a job of it with everything that may happen, changes to the tree, the same again, and at last
//! a pass in fair weather.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::broker::{Link, Queue};
use super::catalog::{BAD, RESOURCE};
use super::check;
use super::host::{Host, Weather, World};
use super::source::{Node, ROOT, Tree};
use super::zone::{Reach, Server};
use crate::broker::{Broker, Created, Departure, Job, JobId, NewJob, WorkerId, WorkerInfo};
use crate::core::{Event, EventHandler, HookError, Subject};
use crate::plan::{DeleteMode, Operation};
use crate::shutdown::shutdown;
use crate::source::Timestamp;
use crate::spec::{ChecksumPolicy, JobOptions, JobSpec};
use crate::sync_task::{LogTasks, Task};
use crate::worker::{Worker, WorkerError, WorkerOptions};

/// The collection of the source.
pub(super) const TARGET: &str = "/z/home/rods/target";

/// Everything that a schedule is about.
pub(super) struct Play {
    pub(super) world: Arc<World>,
    pub(super) queue: Arc<Queue>,
    pub(super) server: Arc<Server>,
    pub(super) tree: Arc<Tree>,
    pub(super) options: JobOptions,
    pub(super) hooks: Option<Arc<Hooks>>,
    workers: u32,
    concurrency: usize,
}

/// What is changed between two passes.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) new: Vec<String>,
    pub(super) modified: Vec<String>,
    pub(super) removed: Vec<String>,
}

/// Counts hooks by event and target; they run in the worker, so they may be its last act.
#[derive(Debug, Default)]
pub(super) struct Hooks(Mutex<Runs>);

/// How often before and after, by event and target.
type Runs = BTreeMap<(&'static str, String), (u32, u32)>;

impl Hooks {
    pub(super) fn take(&self) -> Runs {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[derive(Debug)]
struct Handler {
    hooks: Option<Arc<Hooks>>,
    host: Arc<Host>,
}

#[async_trait]
impl EventHandler for Handler {
    fn has_hooks(&self, _: Event) -> bool {
        self.hooks.is_some()
    }

    async fn pre(&self, event: Event, subject: Subject<'_>) -> Result<(), HookError> {
        if let Some(hooks) = &self.hooks {
            self.host.begin("pre", event.name()).await;
            let key = (event.name(), subject.target.to_owned());
            hooks.0.lock().unwrap().entry(key).or_default().0 += 1;
            self.host.end("pre").await;
        }
        Ok(())
    }

    async fn post(&self, event: Event, subject: Subject<'_>) -> Result<(), HookError> {
        if let Some(hooks) = &self.hooks {
            self.host.begin("post", event.name()).await;
            let key = (event.name(), subject.target.to_owned());
            hooks.0.lock().unwrap().entry(key).or_default().1 += 1;
            self.host.end("post").await;
        }
        Ok(())
    }
}

/// Plays the schedule of a world.
///
/// # Errors
/// What is not as it was promised.
pub(super) async fn play(world: Arc<World>) -> Result<(), String> {
    let play = Play::new(&world);
    play.plant();
    let bad = play.world.one_in(3);
    if bad {
        play.tree.set("d0/bad", Some(b"never".to_vec()));
        play.tree.set("bad too", Some(b"nor this".to_vec()));
    }
    let changing = play.world.one_in(3);
    let planted = Changed {
        new: play.files(),
        ..Changed::default()
    };
    play.settle(1).await;

    // The first pass, perhaps of a source that changes meanwhile.
    let weather = play.weather(changing);
    world.set_weather(weather);
    let job = match changing {
        false => play.job("first").await?,
        true => {
            let meddle = play.meddle();
            let job = play.job("first");
            let (job, ()) = tokio::join!(job, meddle);
            job?
        }
    };
    world.calm_down();
    play.settle(90).await;
    match changing {
        false => check::pass(&play, &job, &planted, true).await?,
        true => check::account(&play, &job).await?,
    }

    // The second pass finds what changed since, unless somebody stops it; then some of that may be taken back.
    let before = play.tree.all();
    let changed = match changing {
        false => play.change(),
        true => Changed::default(),
    };
    play.settle(1).await;
    let weather = play.weather(changing);
    world.set_weather(weather);
    let stopped = !changing && world.one_in(3);
    if stopped {
        play.stopped_job("stopped").await?;
        world.calm_down();
        play.settle(90).await;
        play.take_back(&before, &changed.modified);
        play.settle(1).await;
        world.set_weather(weather);
    }
    let job = play.job("second").await?;
    world.calm_down();
    play.settle(90).await;
    match changing || stopped {
        false => check::pass(&play, &job, &changed, false).await?,
        true => check::account(&play, &job).await?,
    }
    check::mirror(&play)?;

    // And the third that nothing did.
    world.set_weather(Weather::FAIR);
    play.forget_hooks();
    let job = play.job("third").await?;
    check::nothing_to_do(&play, &job).await?;
    check::mirror(&play)
}

impl Play {
    fn new(world: &Arc<World>) -> Self {
        let operation = [
            Operation::RegisterSync,
            Operation::RegisterSync,
            Operation::PutSync,
            Operation::PutSync,
            Operation::PutAppend,
        ][world.below(5) as usize];
        let deletes = world.one_in(3);
        let direct = operation == Operation::RegisterSync && world.one_in(3);
        let options = JobOptions {
            operation,
            files_per_task: 1 + world.below(6) as usize,
            initial_ingest: world.one_in(6),
            compare_catalog: world.one_in(5),
            direct_register: direct,
            resource: direct.then(|| RESOURCE.into()),
            checksum: match world.one_in(3) {
                true => ChecksumPolicy::Verify,
                false => ChecksumPolicy::None,
            },
            delete_mode: match (deletes, operation) {
                (false, _) => DeleteMode::DoNotDelete,
                (true, Operation::RegisterSync) => DeleteMode::Unregister,
                (true, _) => DeleteMode::NoTrash,
            },
            max_retries: 8,
            delay: 1,
            max_in_flight: world.one_in(5).then(|| 1 + world.below(3)),
            ..JobOptions::default()
        };
        let hooks = world.one_in(2).then(Arc::default);
        let play = Play {
            queue: Queue::new(world.clone()),
            server: Server::new(world.clone()),
            tree: Tree::new(world.clone()),
            options,
            hooks,
            workers: 1 + world.below(3),
            concurrency: 1 + world.below(3) as usize,
            world: world.clone(),
        };
        world.note(|| {
            let hooks = if play.hooks.is_some() { "hooks" } else { "" };
            format!(
                "{} workers of {} {hooks} {:?}",
                play.workers, play.concurrency, play.options
            )
        });
        play
    }

    /// What may happen in a pass. While the source changes nobody may come back from the past: a request that is carried
    /// out late would overwrite what is newer, and no client can keep a zone from that.
    fn weather(&self, changing: bool) -> Weather {
        let world = &self.world;
        let some = |most: u32| match world.one_in(3) {
            true => 0,
            false => world.below(most),
        };
        let (crash, freeze, lost, late, locked, outage) =
            (some(25), some(12), some(40), some(20), some(40), some(6));
        let past = u32::from(!changing);
        let budget = world.below(25);
        let losses = world.below(10);
        Weather {
            crash,
            freeze: freeze * past,
            lost,
            late: late * past,
            // Deletions of what is in use are left to the next pass.
            locked: match self.options.deletes() {
                true => 0,
                false => locked,
            },
            outage,
            budget,
            losses,
            freezes: 2 * losses,
        }
    }

    /// A tree whose files are of all ages.
    fn plant(&self) {
        let world = &self.world;
        let mut directories = vec![String::new()];
        for n in 0..1 + world.below(5) {
            let within = &directories[world.below(directories.len() as u32) as usize];
            let path = name_in(within, &format!("d{n}"));
            self.tree.set(&path, None);
            directories.push(path);
        }
        for n in 0..2 + world.below(14) {
            let within = &directories[world.below(directories.len() as u32) as usize];
            let path = name_in(within, &format!("f{n}"));
            let age = [0, 1, 200, 400, 100_000][world.below(5) as usize];
            let now = world.now();
            let time = Timestamp {
                seconds: now.seconds - age,
                nanos: 1 + world.below(900_000_000),
            };
            self.tree.set_at(&path, Some(self.content()), time);
        }
    }

    fn content(&self) -> Vec<u8> {
        let (byte, long) = (self.world.below(256) as u8, self.world.below(14) as usize);
        vec![byte; long]
    }

    pub(super) fn files(&self) -> Vec<String> {
        let all = self.tree.all().into_iter();
        all.filter(|(_, node)| !node.is_directory())
            .map(|(path, _)| path)
            .collect()
    }

    fn directories(&self) -> Vec<String> {
        let all = self.tree.all().into_iter();
        all.filter(|(_, node)| node.is_directory())
            .map(|(path, _)| path)
            .collect()
    }

    fn one_of(&self, of: &[String]) -> Option<String> {
        (!of.is_empty()).then(|| of[self.world.below(of.len() as u32) as usize].clone())
    }

    /// Changes to the tree that the next pass is to find.
    fn change(&self) -> Changed {
        let world = &self.world;
        let before = self.files();
        let appends = self.options.operation == Operation::PutAppend;
        let deletes = self.options.delete_mode != DeleteMode::DoNotDelete;
        for n in 0..world.below(8) {
            match world.below(6) {
                0 | 1 => {
                    let within = self.one_of(&self.directories()).unwrap_or_default();
                    let path = name_in(&within, &format!("new{n}"));
                    self.tree.set(&path, Some(self.content()));
                }
                2 | 3 => self.change_one(appends),
                4 if deletes => {
                    if let Some(path) = self.one_of(&self.files()) {
                        self.tree.remove(&path);
                    }
                }
                5 if deletes && world.one_in(2) => {
                    if let Some(path) = self.one_of(&self.directories()) {
                        self.tree.remove(&path);
                    }
                }
                _ => {
                    let path = format!("more{n}");
                    self.tree.set(&path, None);
                    let path = name_in(&path, "in it");
                    self.tree.set(&path, Some(self.content()));
                }
            }
        }
        // No root is emptied: that deletes nothing.
        self.tree.set("last", Some(b"last".to_vec()));
        let now = self.tree.all();
        let mut changed = Changed::default();
        for path in self.files() {
            let node = &now[&path];
            if !before.contains(&path) {
                changed.new.push(path);
            } else if node.stat.mtime.seconds >= world.now().seconds {
                changed.modified.push(path);
            }
        }
        changed.removed = before
            .into_iter()
            .filter(|path| !now.contains_key(path))
            .collect();
        changed
    }

    fn change_one(&self, appends: bool) {
        let good: Vec<String> = self.files();
        let good: Vec<String> = good
            .into_iter()
            .filter(|path| !path.contains(BAD))
            .collect();
        let Some(path) = self.one_of(&good) else {
            return;
        };
        let mut content = match appends {
            true => self.tree.all()[&path].content.clone(),
            false => Vec::new(),
        };
        content.extend(self.content());
        // Whoever compares checksums finds nothing to do where a file was written with what it had.
        if appends || content == self.tree.all()[&path].content {
            content.push(1);
        }
        self.tree.set(&path, Some(content));
    }

    /// Changes the source while a job is at work on it.
    async fn meddle(&self) {
        let appends = self.options.operation == Operation::PutAppend;
        for n in 0..self.world.below(12) {
            tokio::time::sleep(Duration::from_millis(u64::from(self.world.below(500)))).await;
            match self.world.below(3) {
                0 => {
                    let within = self.one_of(&self.directories()).unwrap_or_default();
                    let path = name_in(&within, &format!("new{n}"));
                    self.tree.set(&path, Some(self.content()));
                }
                _ => self.change_one(appends),
            }
            self.world.note(|| "the source changes".into());
        }
    }

    /// Lets time go by, so that nothing of the past is still on its way.
    async fn settle(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    pub(super) fn forget_hooks(&self) {
        if let Some(hooks) = &self.hooks {
            hooks.take();
        }
    }

    /// Some of what was changed is again as it was. Not where files only grow.
    fn take_back(&self, before: &BTreeMap<String, Node>, modified: &[String]) {
        let can = self.options.operation != Operation::PutAppend;
        for path in modified {
            if can && self.world.one_in(2) {
                self.world.note(|| format!("{path} comes back"));
                self.tree.put(path, before[path].clone());
            }
        }
    }

    /// Runs a job to its end.
    async fn job(&self, name: &str) -> Result<Job, String> {
        let job = self.begin(name).await?;
        self.end(&job, name).await
    }

    /// Runs a job and stops it somewhere.
    async fn stopped_job(&self, name: &str) -> Result<(), String> {
        let job = self.begin(name).await?;
        let after = Duration::from_millis(u64::from(self.world.below(3000)));
        let now = !self.world.one_in(3);
        let stop = async {
            tokio::time::sleep(after).await;
            self.world.note(|| format!("{name} is stopped, now: {now}"));
            let broker = self.queue.here();
            broker.stop(job.id, now).await
        };
        let (job, stopped) = tokio::join!(self.end(&job, name), stop);
        stopped.map_err(|error| error.to_string())?;
        job.map(|_| ())
    }

    async fn begin(&self, name: &str) -> Result<Job, String> {
        self.forget_hooks();
        let spec = JobSpec::new(
            Path::new(ROOT),
            TARGET.into(),
            "z".into(),
            "rods#z".into(),
            self.options.clone(),
        );
        let created = self.queue.here().create_job(NewJob {
            name: Some(name.into()),
            identity: name.into(),
            spec: serde_json::to_vec(&spec).unwrap(),
            first: Task::Restart.to_new_task().unwrap(),
            pre_job: false,
            post_job: false,
            interval: None,
            owner: None,
            queues: self.options.queues.clone(),
            max_in_flight: self.options.max_in_flight,
        });
        let Ok(Created::New(job)) = created.await else {
            return Err("the job was not created".into());
        };
        self.world.note(|| format!("job {name}"));
        Ok(job)
    }

    async fn end(&self, job: &Job, name: &str) -> Result<Job, String> {
        let workers: Vec<_> = (0..self.workers)
            .map(|n| {
                let crew = Crew {
                    world: self.world.clone(),
                    queue: self.queue.clone(),
                    server: self.server.clone(),
                    tree: self.tree.clone(),
                    hooks: self.hooks.clone(),
                    concurrency: self.concurrency,
                    job: job.id,
                };
                tokio::spawn(crew.work(format!("{name}-{n}")))
            })
            .collect();
        for worker in workers {
            let done = tokio::time::timeout(Duration::from_secs(2 * 86_400), worker).await;
            match done {
                Ok(Ok(done)) => done?,
                Ok(Err(panic)) => return Err(format!("a worker panicked: {panic}")),
                Err(_) => {
                    let job = self.queue.here().job(job.id).await.unwrap();
                    let (left, totals) = (job.outstanding, job.totals);
                    return Err(format!("the job does not end: {left:?} {totals:?}"));
                }
            }
        }
        self.queue
            .here()
            .job(job.id)
            .await
            .map_err(|error| error.to_string())
    }
}

fn name_in(directory: &str, name: &str) -> String {
    match directory {
        "" => name.to_owned(),
        directory => format!("{directory}/{name}"),
    }
}

/// A place where a worker is started again and again until the job has ended.
struct Crew {
    world: Arc<World>,
    queue: Arc<Queue>,
    server: Arc<Server>,
    tree: Arc<Tree>,
    hooks: Option<Arc<Hooks>>,
    concurrency: usize,
    job: JobId,
}

impl Crew {
    async fn work(self, name: String) -> Result<(), String> {
        let world = self.world.clone();
        for life in 0.. {
            let host = Host::new(world.clone(), format!("{name}.{life}"));
            let (tell, told) = shutdown();
            let mut options = WorkerOptions::new(info(&host.name), self.concurrency);
            options.filter.only = Some(self.job);
            options.until_ended = Some(self.job);
            let id = options.info.id.clone();
            let broker = Link {
                queue: self.queue.clone(),
                host: host.clone(),
            };
            let zone = Reach {
                server: self.server.clone(),
                host: host.clone(),
            };
            let handler = Handler {
                hooks: self.hooks.clone(),
                host: host.clone(),
            };
            let worker = Worker::new(
                Arc::new(broker),
                zone,
                Arc::new(handler),
                Arc::new(LogTasks),
                options,
                told,
            );
            let mut running = tokio::spawn(worker.with_source(self.tree.clone()).run());
            let leave = world.one_in(6) && life < 3;
            let after = Duration::from_millis(u64::from(world.below(3000)));
            let urgent = world.one_in(3);
            let leaving = async {
                if !leave {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(after).await;
                world.note(|| format!("{} is told to leave", host.name));
                world.count(|happened| happened.drains += 1);
                tell.request();
                if urgent {
                    tokio::time::sleep(after / 10).await;
                    tell.request();
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                ended = &mut running => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(WorkerError::Broker(error))) if error.is_unavailable() => {}
                    Ok(Err(error)) => return Err(format!("{} gave up: {error}", host.name)),
                    Err(panic) => return Err(format!("{} panicked: {panic}", host.name)),
                },
                () = host.died.notified() => {
                    running.abort();
                    let _ = running.await;
                    if world.one_in(2) {
                        // Somebody on the same machine notices.
                        let gone = self.queue.here().worker_gone(&id, Departure::Died);
                        gone.await.map_err(|error| error.to_string())?;
                    }
                    let pause = Duration::from_millis(u64::from(world.below(50_000)));
                    tokio::time::sleep(pause).await;
                }
                () = leaving => {}
            }
            match self.queue.here().job(self.job).await {
                Ok(job) if job.state.has_ended() => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }
}

fn info(name: &str) -> WorkerInfo {
    WorkerInfo {
        id: WorkerId(name.into()),
        host: "here".into(),
        pid: 1,
        process: String::new(),
        version: String::new(),
        status: String::new(),
    }
}
