//! The trait on the model's state.

use super::*;
use crate::broker::check;

fn is_same(job: &Job, new: &NewJob) -> bool {
    job.identity == new.identity && job.interval == new.interval
}

#[async_trait]
impl Broker for Model {
    async fn create_job(&self, new: NewJob) -> Result<Created> {
        check::new_job(&new)?;
        let mut state = self.state();
        state.tick();
        let now = state.now;
        let unfinished = |entry: &&Entry| !entry.view.state.has_ended();
        let by_name = state
            .jobs
            .iter()
            .filter(unfinished)
            .find(|entry| Some(&entry.view.name) == new.name.as_ref());
        let found = by_name.or_else(|| {
            state
                .jobs
                .iter()
                .filter(unfinished)
                .find(|entry| is_same(&entry.view, &new))
        });
        if let Some(found) = found {
            let shown = state.shown(found);
            let why = if !is_same(&shown, &new) {
                Some(InUse::Different)
            } else if shown.state == JobState::Stopping {
                Some(InUse::Stopping)
            } else if shown.owner_lives && shown.owner != new.owner {
                shown.owner.map(InUse::Owned)
            } else {
                None
            };
            if let Some(why) = why {
                return Err(BrokerError::NameInUse {
                    name: shown.name,
                    why,
                });
            }
            let entry = state.entry(shown.id)?;
            entry.view.owner = new.owner;
            entry.view.spec.clone_from(&new.spec);
            entry.new.spec = new.spec;
            entry.view.queues = new.queues;
            entry.view.max_in_flight = new.max_in_flight;
            entry.event(now, EventKind::Resumed, "");
            let job = state
                .jobs
                .iter()
                .find(|entry| entry.view.id == shown.id)
                .unwrap();
            return Ok(Created::Resumed(state.shown(job)));
        }
        state.last_job += 1;
        let id = JobId(state.last_job);
        let name = new.name.clone().unwrap_or_else(|| format!("job {id}"));
        state.jobs.retain(|entry| entry.view.name != name);
        let view = Job {
            id,
            name,
            identity: new.identity.clone(),
            spec: new.spec.clone(),
            state: JobState::Queued,
            failed: None,
            pass: 1,
            interval: new.interval,
            owner: new.owner.clone(),
            owner_lives: false,
            queues: new.queues.clone(),
            max_in_flight: new.max_in_flight,
            created: Timestamp(now),
            started: None,
            ended: None,
            next_pass: None,
            pass_totals: Counts::default(),
            totals: Counts::default(),
            outstanding: Outstanding::default(),
            failures: 0,
            failures_not_listed: 0,
        };
        let mut entry = Entry {
            view,
            new,
            ending: None,
            reopened: None,
            post_queued: false,
            turn: 0,
            tasks: Vec::new(),
            ledger: BTreeMap::new(),
            events: Vec::new(),
            profile: (0, Vec::new()),
        };
        entry.event(now, EventKind::Created, "");
        state.jobs.push(entry);
        state.begin_pass(id);
        let entry = state.jobs.last().unwrap();
        Ok(Created::New(state.shown(entry)))
    }

    async fn find_job(&self, name: &str) -> Result<Option<Job>> {
        let state = self.state();
        Ok(state
            .jobs
            .iter()
            .find(|entry| entry.view.name == name)
            .map(|entry| state.shown(entry)))
    }

    async fn job(&self, job: JobId) -> Result<Job> {
        let state = self.state();
        let entry = state.jobs.iter().find(|entry| entry.view.id == job);
        entry
            .map(|entry| state.shown(entry))
            .ok_or_else(|| unknown(job))
    }

    async fn jobs(&self) -> Result<Vec<Job>> {
        let state = self.state();
        Ok(state.jobs.iter().map(|entry| state.shown(entry)).collect())
    }

    async fn events(&self, job: JobId) -> Result<Vec<JobEvent>> {
        Ok(self.state().entry(job)?.events.clone())
    }

    async fn note(&self, job: JobId, text: &str) -> Result<()> {
        let mut state = self.state();
        let now = state.now;
        state.entry(job)?.event(now, EventKind::Note, text);
        Ok(())
    }

    async fn profile(&self, job: JobId) -> Result<(u64, Vec<u8>)> {
        Ok(self.state().entry(job)?.profile.clone())
    }

    async fn put_profile(&self, job: JobId, revision: u64, bytes: Vec<u8>) -> Result<bool> {
        check::profile(&bytes)?;
        let mut state = self.state();
        let entry = state.entry(job)?;
        let same = entry.profile.0 == revision;
        if same {
            entry.profile = (revision + 1, bytes);
        }
        Ok(same)
    }

    async fn stop(&self, job: JobId, at_once: bool) -> Result<JobState> {
        let mut state = self.state();
        let now = state.now;
        let entry = state.entry(job)?;
        match entry.view.state {
            JobState::Waiting => entry.end(now, JobState::Stopped, EventKind::Stopped, ""),
            state if state.has_ended() => return Ok(state),
            _ => {
                if entry.active() || entry.ending == Some(Ending::Pass) {
                    entry.begin_ending(Ending::Stop);
                    entry.event(now, EventKind::Stopping, "");
                }
                if at_once {
                    entry.drop_tasks(|_| true);
                }
                state.settle(job);
            }
        }
        Ok(state.entry(job)?.view.state)
    }

    async fn forget(&self, job: JobId) -> Result<()> {
        let mut state = self.state();
        let entry = state.entry(job)?;
        if !entry.view.state.has_ended() {
            return Err(BrokerError::NotEnded {
                name: entry.view.name.clone(),
            });
        }
        state.jobs.retain(|entry| entry.view.id != job);
        Ok(())
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<Vec<Leased>> {
        let mut state = self.state();
        state.tick();
        let now = state.now;
        let until = now + millis(request.lease_for);
        let mut turn = state
            .jobs
            .iter()
            .filter(|entry| entry.active())
            .map(|entry| entry.turn)
            .max()
            .unwrap_or(0);
        let mut order: Vec<(u64, JobId)> = state
            .jobs
            .iter()
            .filter(|entry| entry.active())
            .map(|entry| (entry.turn, entry.view.id))
            .collect();
        order.sort();
        let mut rooms: BTreeMap<JobId, BTreeMap<TaskClass, usize>> = state
            .jobs
            .iter()
            .map(|entry| (entry.view.id, entry.room(&request.filter)))
            .collect();
        let mut leased = Vec::new();
        loop {
            let before = leased.len();
            for (_, job) in &order {
                if leased.len() >= request.max || !request.filter.admits(*job) {
                    continue;
                }
                let entry = state.entry(*job)?;
                let room = rooms.get_mut(job).unwrap();
                let ready = entry
                    .tasks
                    .iter_mut()
                    .filter(|task| task.place == Place::Ready && room[&task.class] > 0);
                let Some(task) =
                    ready.min_by_key(|task| (task.class, std::cmp::Reverse(task.depth), task.id))
                else {
                    continue;
                };
                *room.get_mut(&task.class).unwrap() -= 1;
                let token = Token::random();
                task.place = Place::Leased {
                    token,
                    worker: request.worker.clone(),
                    until,
                };
                leased.push(Leased {
                    lease: Lease {
                        task: TaskId(task.id),
                        token,
                    },
                    job: *job,
                    spec: entry.new.spec.clone().into(),
                    kind: task.kind,
                    class: task.class,
                    depth: task.depth,
                    payload: task.payload.clone(),
                    cursor: task.cursor.clone(),
                    expiries: task.expiries,
                    deadline: Timestamp(until),
                    pass: entry.view.pass,
                    waited: Duration::from_millis(now - task.since),
                });
                turn += 1;
                entry.turn = turn;
                if entry.view.state == JobState::Queued {
                    entry.view.state = JobState::Running;
                    entry.view.started = Some(Timestamp(now));
                    entry.event(now, EventKind::PassStarted, "");
                }
            }
            if leased.len() == before {
                return Ok(leased);
            }
        }
    }

    async fn extend(&self, leases: &[Lease], lease_for: Duration) -> Result<Extended> {
        let mut state = self.state();
        let deadline = state.now + millis(lease_for);
        let mut extended = Extended::default();
        for lease in leases {
            let Ok((job, at)) = state.held(*lease) else {
                state.forgive(*lease);
                extended.lost.push(*lease);
                continue;
            };
            let entry = state.entry(job)?;
            if let Place::Leased { until, .. } = &mut entry.tasks[at].place {
                *until = deadline;
            }
            if entry.view.state == JobState::Stopping && !extended.stopping.contains(&job) {
                extended.stopping.push(job);
            }
        }
        Ok(extended)
    }

    async fn release(&self, lease: Lease, delay: Duration) -> Result<()> {
        let mut state = self.state();
        let due = state.now + millis(delay);
        let (job, at) = state.held(lease)?;
        let entry = state.entry(job)?;
        entry.tasks[at].since = due;
        entry.tasks[at].place = if delay.is_zero() {
            Place::Ready
        } else {
            Place::Delayed(due)
        };
        if entry.view.state == JobState::Stopping {
            entry.drop_tasks(|place| !matches!(place, Place::Leased { .. }));
            state.settle(job);
        }
        Ok(())
    }

    async fn spawn(
        &self,
        lease: Lease,
        children: Vec<NewTask>,
        cursor: Vec<u8>,
        signatures: Vec<Append>,
    ) -> Result<Spawned> {
        check::batch(&children, &cursor, &signatures)?;
        let mut state = self.state();
        let (job, at) = state.held(lease)?;
        let entry = state.entry(job)?;
        if entry.view.state == JobState::Stopping {
            return Ok(Spawned::Stopping);
        }
        entry.tasks[at].cursor = cursor;
        for child in &children {
            state.queue(job, TaskKind::Work, child);
        }
        for append in &signatures {
            state.append(&append.key, &append.bytes, None);
        }
        let entry = state.entry(job)?;
        let order = |task: &Task| (task.class, std::cmp::Reverse(task.depth));
        let own = order(&entry.tasks[at]);
        let ready = entry.tasks.iter().filter(|task| task.place == Place::Ready);
        Ok(match ready.filter(|task| order(task) < own).count() {
            limits::MAX_BEFORE.. => Spawned::Crowded,
            _ => Spawned::Queued,
        })
    }

    async fn begin_once(&self, lease: Lease) -> Result<Begun> {
        let mut state = self.state();
        let (job, at) = state.held(lease)?;
        let begun = std::mem::replace(&mut state.entry(job)?.tasks[at].begun, true);
        Ok(if begun { Begun::Again } else { Begun::First })
    }

    async fn complete(&self, lease: Lease, completion: Completion) -> Result<()> {
        check::completion(&completion)?;
        let mut state = self.state();
        let now = state.now;
        let (job, at) = state.held(lease)?;
        for append in &completion.signatures {
            state.append(&append.key, &append.bytes, None);
        }
        for Compaction {
            key,
            replaces,
            bytes,
        } in &completion.compactions
        {
            let is_replaced =
                |segment: &Stored| segment.key == *key && replaces.contains(&SegmentId(segment.id));
            let mut distinct = replaces.clone();
            distinct.sort();
            distinct.dedup();
            let position = state
                .segments
                .iter()
                .filter(|segment| is_replaced(segment))
                .map(|segment| segment.position)
                .min();
            if state
                .segments
                .iter()
                .filter(|segment| is_replaced(segment))
                .count()
                == distinct.len()
            {
                state.segments.retain(|segment| !is_replaced(segment));
                state.append(key, bytes, position);
            }
        }
        let entry = state.entry(job)?;
        let task = entry.tasks.remove(at);
        entry.view.totals += completion.counts;
        entry.view.pass_totals += completion.counts;
        let goes_on = entry.view.state != JobState::Stopping && completion.fatal.is_none();
        let mut retry = None;
        if goes_on {
            for new in &completion.children {
                state.queue(job, TaskKind::Work, new);
            }
            for new in &completion.retries {
                let queued = state.queue(job, TaskKind::Work, new);
                retry.get_or_insert(queued);
            }
        }
        let entry = state.entry(job)?;
        if completion.retries.is_empty() {
            entry.ledger.retain(|_, (_, of)| *of != Some(task.id));
        }
        for (_, of) in entry
            .ledger
            .values_mut()
            .filter(|(_, of)| *of == Some(task.id))
        {
            *of = retry;
        }
        for failure in &completion.failures {
            state.fail(job, failure);
        }
        let entry = state.entry(job)?;
        if let Some(fatal) = &completion.fatal {
            let (ending, why) = match fatal {
                Fatal::Pass(why) => (Ending::Pass, why),
                Fatal::Job(why) => (Ending::Job, why),
            };
            if entry.ending.is_none() || entry.ending == Some(Ending::Pass) && ending == Ending::Job
            {
                entry.begin_ending(ending);
                entry.view.failed = Some(clip(why, MAX_TEXT).to_owned());
            } else {
                entry.event(now, EventKind::Note, why);
            }
        } else if goes_on && task.kind == TaskKind::PreJob {
            let first = entry.new.first.clone();
            state.queue(job, TaskKind::Work, &first);
        }
        state.settle(job);
        Ok(())
    }

    async fn tick(&self) -> Result<()> {
        self.state().tick();
        Ok(())
    }

    async fn wait_for_work(&self, filter: &JobFilter, _timeout: Duration) -> Result<bool> {
        let mut state = self.state();
        state.tick();
        Ok(state.jobs.iter().any(|entry| {
            entry.active() && filter.admits(entry.view.id) && {
                let room = entry.room(filter);
                let takes = |task: &Task| task.place == Place::Ready && room[&task.class] > 0;
                entry.tasks.iter().any(takes)
            }
        }))
    }

    async fn signatures(&self, key: &[u8]) -> Result<Vec<Segment>> {
        let state = self.state();
        let of_key = state.segments.iter().filter(|segment| segment.key == key);
        Ok(of_key
            .map(|segment| Segment {
                id: SegmentId(segment.id),
                bytes: segment.bytes.clone(),
            })
            .collect())
    }

    async fn clear_signatures(&self, prefix: &[u8]) -> Result<u64> {
        let mut state = self.state();
        let mut keys: Vec<_> = state
            .segments
            .iter()
            .map(|segment| segment.key.clone())
            .collect();
        keys.retain(|key| key.starts_with(prefix));
        keys.sort();
        keys.dedup();
        state
            .segments
            .retain(|segment| !segment.key.starts_with(prefix));
        Ok(keys.len() as u64)
    }

    async fn failures(&self, job: JobId, after: Option<&[u8]>, max: usize) -> Result<FailurePage> {
        let mut state = self.state();
        let entry = state.entry(job)?;
        let not_listed = entry.view.failures_not_listed;
        let later = entry
            .ledger
            .iter()
            .filter(|(path, _)| after.is_none_or(|after| path.as_slice() > after));
        let mut entries: Vec<FailureRecord> = later
            .take(max + 1)
            .map(|(_, (record, task))| FailureRecord {
                retrying: task.is_some(),
                ..record.clone()
            })
            .collect();
        let more = entries.len() > max;
        entries.truncate(max);
        Ok(FailurePage {
            entries,
            more,
            not_listed,
        })
    }

    async fn retry(&self, job: JobId, filter: &FailureFilter) -> Result<Retried> {
        let mut state = self.state();
        let now = state.now;
        let entry = state.entry(job)?;
        if entry.view.state == JobState::Stopping {
            return Err(BrokerError::Stopping {
                name: entry.view.name.clone(),
            });
        }
        let mut retried = Retried {
            queued: 0,
            left: 0,
            not_listed: entry.view.failures_not_listed,
        };
        let paths: Vec<_> = entry.ledger.keys().cloned().collect();
        for path in paths {
            let entry = state.entry(job)?;
            let (record, task) = entry.ledger.get(&path).unwrap();
            if !filter.admits(&record.failure) {
                continue;
            }
            match record.failure.retry.clone() {
                Some(retry) if task.is_none() => {
                    let queued = state.queue(job, TaskKind::Work, &retry);
                    state.entry(job)?.ledger.get_mut(&path).unwrap().1 = Some(queued);
                    retried.queued += 1;
                }
                _ => retried.left += 1,
            }
        }
        let entry = state.entry(job)?;
        if retried.queued > 0 {
            if !entry.active() {
                entry.reopened = Some(entry.view.state);
                entry.view.state = JobState::Queued;
                entry.view.pass += 1;
                entry.view.started = None;
                entry.view.ended = None;
                entry.view.pass_totals = Counts::default();
                entry.turn = 0;
            }
            entry.event(now, EventKind::Retried, &retried.queued.to_string());
        }
        Ok(retried)
    }

    async fn heartbeat(&self, info: &WorkerInfo, lives_for: Duration) -> Result<()> {
        check::worker(info)?;
        let mut state = self.state();
        let now = state.now;
        let lives_until = Timestamp(now + millis(lives_for));
        let since = if state.lives(&info.id) {
            state.workers[&info.id].since
        } else {
            Timestamp(now)
        };
        state.workers.insert(
            info.id.clone(),
            Worker {
                info: info.clone(),
                since,
                heard: Timestamp(now),
                lives_until,
                leases: Vec::new(),
            },
        );
        Ok(())
    }

    async fn workers(&self) -> Result<Vec<Worker>> {
        let state = self.state();
        let mut workers = Vec::new();
        for (id, worker) in state.workers.iter().filter(|(id, _)| state.lives(id)) {
            let mut worker = worker.clone();
            for entry in &state.jobs {
                let in_hand = |task: &&Task| matches!(&task.place, Place::Leased { worker, .. } if worker == id);
                let count = entry.tasks.iter().filter(in_hand).count() as u64;
                if count > 0 {
                    worker.leases.push((entry.view.id, count));
                }
            }
            workers.push(worker);
        }
        Ok(workers)
    }

    async fn worker_gone(&self, worker: &WorkerId, how: Departure) -> Result<()> {
        let mut state = self.state();
        state.workers.remove(worker);
        let now = state.now;
        let jobs: Vec<JobId> = state.jobs.iter().map(|entry| entry.view.id).collect();
        for job in jobs {
            let entry = state.entry(job)?;
            for task in &mut entry.tasks {
                if matches!(&task.place, Place::Leased { worker: holder, .. } if holder == worker) {
                    task.place = Place::Ready;
                    task.since = now;
                    match how {
                        Departure::Left => {}
                        Departure::Interrupted => task.expiries = task.expiries.max(1),
                        Departure::Died => task.expiries += 1,
                    }
                }
            }
            if entry.view.state == JobState::Stopping {
                entry.drop_tasks(|place| !matches!(place, Place::Leased { .. }));
                state.settle(job);
            }
        }
        Ok(())
    }
}
