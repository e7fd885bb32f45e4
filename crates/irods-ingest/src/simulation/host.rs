//! What befalls a worker: its calls are late, lost before or after they were carried out, and it is frozen or dies at any of
//! them. All of it is drawn from the world's one random sequence, so that a seed tells everything that happens.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::source::Timestamp;

/// Seconds since 1970 when a schedule begins.
const EPOCH: u64 = 1_700_000_000;

/// What happens how often; chances are of a thousand calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Weather {
    pub(super) crash: u32,
    pub(super) freeze: u32,
    pub(super) lost: u32,
    pub(super) late: u32,
    pub(super) locked: u32,
    pub(super) outage: u32,
    /// So much of it in all, besides what may make a lease run out.
    pub(super) budget: u32,
    /// So often a worker dies or loses a call to the broker: fewer times than those after which a task is given up.
    pub(super) losses: u32,
    /// So often a worker is frozen, after which it comes back.
    pub(super) freezes: u32,
}

impl Weather {
    pub(super) const FAIR: Self = Self {
        crash: 0,
        freeze: 0,
        lost: 0,
        late: 0,
        locked: 0,
        outage: 0,
        budget: 0,
        losses: 0,
        freezes: 0,
    };
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    Answered,
    /// Never carried out.
    LostBefore,
    /// Carried out, and nobody told.
    LostAfter,
    /// Carried out after a while, and nobody told.
    Late(Duration),
    /// The zone answers that the object is in use.
    Locked,
}

/// What all hosts share: chance, time, and the record of what happened.
#[derive(Debug)]
pub(super) struct World {
    random: Mutex<StdRng>,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    weather: Weather,
    left: u32,
    losses_left: u32,
    freezes_left: u32,
    zone_down_until: Instant,
    /// How often the zone was killed.
    zone_life: u64,
    happened: Happened,
    trace: Vec<String>,
    hash: DefaultHasher,
}

/// How much of what happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Happened {
    pub(super) crashes: u32,
    pub(super) freezes: u32,
    pub(super) lost: u32,
    pub(super) locked: u32,
    pub(super) outages: u32,
    pub(super) drains: u32,
    pub(super) zone_calls: u32,
}

impl World {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            began: Instant::now(),
            state: Mutex::new(State {
                weather: Weather::FAIR,
                left: 0,
                losses_left: 0,
                freezes_left: 0,
                zone_down_until: Instant::now(),
                zone_life: 0,
                happened: Happened::default(),
                trace: Vec::new(),
                hash: DefaultHasher::new(),
            }),
        })
    }

    pub(super) fn below(&self, end: u32) -> u32 {
        self.random.lock().unwrap().random_range(0..end.max(1))
    }

    pub(super) fn one_in(&self, n: u32) -> bool {
        self.below(n) == 0
    }

    pub(super) fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap()
    }

    /// The clock of every machine.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.began.elapsed();
        Timestamp {
            seconds: i64::try_from(EPOCH + now.as_secs()).unwrap(),
            nanos: now.subsec_nanos(),
        }
    }

    pub(super) fn set_weather(&self, weather: Weather) {
        let mut state = self.state.lock().unwrap();
        state.weather = weather;
        state.left = weather.budget;
        state.losses_left = weather.losses;
        state.freezes_left = weather.freezes;
        state.happened = Happened::default();
    }

    /// Nothing more happens.
    pub(super) fn calm_down(&self) {
        let mut state = self.state.lock().unwrap();
        (state.left, state.losses_left, state.freezes_left) = (0, 0, 0);
    }

    pub(super) fn happened(&self) -> Happened {
        self.state.lock().unwrap().happened
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        let line = format!("{:>12} {}", self.began.elapsed().as_micros(), what());
        let mut state = self.state.lock().unwrap();
        line.hash(&mut state.hash);
        state.trace.push(line);
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Happened)) {
        count(&mut self.state.lock().unwrap().happened);
    }

    pub(super) fn trace(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().trace)
    }

    pub(super) fn hash(&self) -> u64 {
        self.state.lock().unwrap().hash.finish()
    }

    /// Whether one of a thousand times `chance` falls on this call, and there is still something left to happen.
    fn falls(&self, chance: impl FnOnce(&Weather) -> u32) -> bool {
        self.happens(chance, |state| &mut state.left)
    }

    /// The same for what may make a lease run out for good.
    fn harms(&self, chance: impl FnOnce(&Weather) -> u32) -> bool {
        self.happens(chance, |state| &mut state.losses_left)
    }

    fn happens(
        &self,
        chance: impl FnOnce(&Weather) -> u32,
        left: impl FnOnce(&mut State) -> &mut u32,
    ) -> bool {
        let draw = self.below(1000);
        let mut state = self.state.lock().unwrap();
        let wanted = draw < chance(&state.weather);
        let left = left(&mut state);
        let happens = *left > 0 && wanted;
        *left -= u32::from(happens);
        happens
    }

    /// The zone is there; `None` while it is not. It may be killed now.
    pub(super) fn zone_life(&self) -> Option<u64> {
        if self.falls(|weather| weather.outage) {
            let long = [1, 30, 300, 3700][self.below(4) as usize];
            let until = Instant::now() + Duration::from_secs(long);
            let mut state = self.state.lock().unwrap();
            state.zone_down_until = until;
            state.zone_life += 1;
            state.happened.outages += 1;
        }
        let state = self.state.lock().unwrap();
        (state.zone_down_until <= Instant::now()).then_some(state.zone_life)
    }
}

/// Calls after which the zone is another.
fn is_sent(call: &str) -> bool {
    matches!(
        call,
        "PUT" | "PHY_PATH_REG" | "MOD_DATA_OBJ_META" | "DATA_OBJ_UNLINK"
    )
}

/// A call that is being sent.
struct Sending<'a>(&'a AtomicU32);

impl<'a> Sending<'a> {
    fn begin(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One process of a worker.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) world: Arc<World>,
    pub(super) name: String,
    dead: AtomicBool,
    frozen_until: Mutex<Instant>,
    /// So many calls after which the zone is another are just being sent.
    sending: AtomicU32,
    pub(super) died: Notify,
}

impl Host {
    pub(super) fn new(world: Arc<World>, name: String) -> Arc<Self> {
        Arc::new(Self {
            world,
            name,
            dead: AtomicBool::new(false),
            frozen_until: Mutex::new(Instant::now()),
            sending: AtomicU32::new(0),
            died: Notify::new(),
        })
    }

    async fn die(&self) -> Infallible {
        if !self.dead.swap(true, Ordering::SeqCst) {
            self.died.notify_one();
        }
        std::future::pending().await
    }

    /// Nothing goes on in a process that is dead, or for as long as it is frozen.
    async fn live(&self) {
        loop {
            if self.dead.load(Ordering::SeqCst) {
                self.die().await;
            }
            let until = *self.frozen_until.lock().unwrap();
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    async fn pass_time(&self) {
        let world = &self.world;
        let millis = match world.below(50) {
            0 => world.below(4000),
            _ => world.below(8),
        };
        tokio::time::sleep(Duration::from_millis(u64::from(millis))).await;
        self.live().await;
    }

    async fn may_end_here(&self, call: &str, when: &str) {
        let world = &self.world;
        if world.harms(|weather| weather.crash) {
            world.note(|| format!("{} dies {when} {call}", self.name));
            world.count(|happened| happened.crashes += 1);
            self.die().await;
        }
        if world.happens(|weather| weather.freeze, |state| &mut state.freezes_left) {
            // What is sent just then, by whatever task, comes from the past if that lasts, and no client can keep a zone from it.
            let short = self.sending.load(Ordering::SeqCst) > 0;
            let long = [3, 12, 40, 200][world.below(if short { 2 } else { 4 }) as usize];
            world.note(|| format!("{} is frozen for {long} s {when} {call}", self.name));
            world.count(|happened| happened.freezes += 1);
            *self.frozen_until.lock().unwrap() = Instant::now() + Duration::from_secs(long);
            self.live().await;
        }
    }

    /// Before a call is carried out.
    pub(super) async fn begin(&self, call: &str, subject: &str) -> Fate {
        self.begin_at(call, subject, false).await
    }

    /// The same for a call to the broker: a task whose call got no answer is done again.
    pub(super) async fn begin_at(&self, call: &str, subject: &str, broker: bool) -> Fate {
        self.live().await;
        let _sending = is_sent(call).then(|| Sending::begin(&self.sending));
        self.pass_time().await;
        self.may_end_here(call, "before").await;
        let world = &self.world;
        let lost = match broker {
            true => world.harms(|weather| weather.lost),
            false => world.falls(|weather| weather.lost),
        };
        let fate = if lost {
            world.count(|happened| happened.lost += 1);
            match world.one_in(2) {
                true => Fate::LostBefore,
                false => Fate::LostAfter,
            }
        } else if !broker && world.falls(|weather| weather.late) {
            world.count(|happened| happened.lost += 1);
            Fate::Late(Duration::from_millis(u64::from(world.below(20_000))))
        } else if !broker && world.falls(|weather| weather.locked) {
            world.count(|happened| happened.locked += 1);
            Fate::Locked
        } else {
            Fate::Answered
        };
        world.note(|| format!("{} {call} {subject} {fate:?}", self.name));
        fate
    }

    /// After it was carried out, before the caller learns of it.
    pub(super) async fn end(&self, call: &str) {
        self.pass_time().await;
        self.may_end_here(call, "after").await;
    }
}
