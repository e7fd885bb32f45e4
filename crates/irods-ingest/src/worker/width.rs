//! How many tasks at once get the most done, found while working.
//!
//! What a zone takes at the same time depends on its catalog, its disks and the way to it: a real server registered twice as much over four
//! connections as over one, as much over eight, and a third less over sixteen; one that is far away gains by each. So the width is
//! searched: it grows as long as that gains, then shrinks as long as that costs nothing, rests, and is searched again, since
//! other people's work comes and goes.

use std::time::Duration;

use tokio::time::Instant;

use crate::broker::Counts;

/// Where a search begins.
const FIRST: usize = 4;
/// What is no accident.
const GAIN: f64 = 1.05;
/// Least time of a measurement, and least tasks in it for each at the same time, so that their ends do not decide it.
const LEAST_TIME: Duration = Duration::from_secs(2);
const LEAST_TASKS: usize = 3;
/// Least that is done in a measurement by each: where it is less, the source is what takes the time.
const LEAST_WORK: usize = 10;
/// Measurements that a width is kept for once it is found.
const REST: u32 = 15;

/// How many tasks there may be at once.
#[derive(Debug)]
pub(super) struct Width {
    now: usize,
    most: usize,
    search: Option<Search>,
}

#[derive(Debug)]
struct Search {
    phase: Phase,
    measured: Measured,
}

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// The next measurement says what to compare with.
    Begin {
        upwards: bool,
    },
    /// From a width that did so much in a second.
    Up {
        from: usize,
        rate: f64,
    },
    Down {
        from: usize,
        rate: f64,
    },
    Rest {
        left: u32,
    },
}

/// Since the width was changed.
#[derive(Debug)]
struct Measured {
    since: Instant,
    tasks: usize,
    work: f64,
}

impl Measured {
    fn begin(since: Instant) -> Self {
        Measured {
            since,
            tasks: 0,
            work: 0.0,
        }
    }
}

impl Width {
    /// Always the same.
    pub(super) fn fixed(tasks: usize) -> Self {
        let most = tasks.max(1);
        Width {
            now: most,
            most,
            search: None,
        }
    }

    /// Searched from 1 up to `most`.
    pub(super) fn searched(most: usize, now: Instant) -> Self {
        let most = most.max(1);
        Width {
            now: FIRST.min(most),
            most,
            search: Some(Search {
                phase: Phase::Begin { upwards: true },
                measured: Measured::begin(now),
            }),
        }
    }

    /// Tasks that there may be now.
    pub(super) fn now(&self) -> usize {
        self.now
    }

    /// There was less to do than could have been done, so that no rate says anything of the width.
    pub(super) fn was_idle(&mut self, now: Instant) {
        if let Some(search) = &mut self.search {
            search.measured = Measured::begin(now);
        }
    }

    /// A task has ended.
    pub(super) fn ended(&mut self, counts: &Counts, now: Instant) {
        let Some(search) = &mut self.search else {
            return;
        };
        let measured = &mut search.measured;
        measured.tasks += 1;
        measured.work += work_in_zone(counts);
        let time = now.saturating_duration_since(measured.since);
        if time < LEAST_TIME || measured.tasks < LEAST_TASKS * self.now {
            return;
        }
        let (work, rate) = (measured.work, measured.work / time.as_secs_f64());
        *measured = Measured::begin(now);
        // Where little is asked of the zone, nothing is learnt of it.
        if work >= (LEAST_WORK * self.now) as f64 {
            (search.phase, self.now) = next(search.phase, self.now, self.most, rate);
        }
    }
}

/// What comes after a measurement of `width`, and with which width.
fn next(phase: Phase, width: usize, most: usize, rate: f64) -> (Phase, usize) {
    let rest = |width| (Phase::Rest { left: REST }, width);
    let down = |rate| match width - (width / 4).max(1).min(width - 1) {
        narrower if narrower == width => rest(width),
        narrower => (Phase::Down { from: width, rate }, narrower),
    };
    let up = |rate| match (2 * width).min(most) {
        // As many as there may be: perhaps fewer do as well.
        wider if wider == width => down(rate),
        wider => (Phase::Up { from: width, rate }, wider),
    };
    match phase {
        Phase::Begin { upwards: true } => up(rate),
        Phase::Begin { upwards: false } => down(rate),
        Phase::Up { rate: before, .. } if rate >= before * GAIN => up(rate),
        // Not worth it. Perhaps fewer do as well.
        Phase::Up { from, .. } => (Phase::Begin { upwards: false }, from),
        Phase::Down { rate: before, .. } if rate * GAIN >= before => down(rate.max(before)),
        Phase::Down { from, .. } => rest(from),
        Phase::Rest { left: 0 } => up(rate),
        Phase::Rest { left } => (Phase::Rest { left: left - 1 }, width),
    }
}

/// How much a task has done in the zone: an object, a collection or a MiB is one.
fn work_in_zone(counts: &Counts) -> f64 {
    let done = [
        counts.registered,
        counts.uploaded,
        counts.appended,
        counts.updated,
        counts.metadata_only,
        counts.collections_created,
        counts.deleted,
        counts.bytes_uploaded >> 20,
    ];
    done.iter().fold(0.0, |sum, part| sum + *part as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works for so long in a zone that does `rate` in a second with so many at once; the widths after each measurement. What is measured
    /// is off by up to 3 %.
    fn widths(width: &mut Width, rate: impl Fn(usize) -> f64, measurements: usize) -> Vec<usize> {
        let mut now = Instant::now();
        width.was_idle(now);
        let mut noise = 7_u64;
        let mut found = Vec::new();
        for _ in 0..measurements {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let off = 0.97 + 0.06 * ((noise >> 33) as f64 / f64::from(1_u32 << 31));
            let tasks = LEAST_TASKS * width.now();
            let done = 2.0 * rate(width.now()) * off / tasks as f64;
            now += LEAST_TIME;
            for _ in 0..tasks {
                let counts = Counts {
                    registered: done.round() as u64,
                    ..Counts::default()
                };
                width.ended(&counts, now);
            }
            found.push(width.now());
        }
        found
    }

    fn settled(rate: impl Fn(usize) -> f64) -> Vec<usize> {
        let mut width = Width::searched(32, Instant::now());
        widths(&mut width, rate, 100).split_off(20)
    }

    /// What a real server of two cores did.
    fn real(width: usize) -> f64 {
        let points = [(1, 190.0), (4, 400.0), (8, 406.0), (16, 264.0), (64, 50.0)];
        let above = points.iter().position(|(at, _)| *at >= width).unwrap_or(4);
        let ((a, low), (b, high)) = (points[above.max(1) - 1], points[above.max(1)]);
        low + (high - low) * (width - a) as f64 / (b - a) as f64
    }

    #[tokio::test]
    async fn the_width_comes_to_where_most_is_done_and_stays_about_there() {
        type Zone = fn(usize) -> f64;
        let zones: [(&str, Zone, std::ops::RangeInclusive<usize>); 5] = [
            ("a real one", real, 3..=9),
            ("no more than four", |w| 1000.0 * w.min(4) as f64, 3..=6),
            ("one at a time", |_| 500.0, 1..=4),
            ("far away", |w| 200.0 * w as f64, 22..=32),
            ("better alone", |w| 9000.0 / w as f64, 1..=2),
        ];
        for (zone, rate, best) in zones {
            let widths = settled(rate);
            let there = widths.iter().filter(|width| best.contains(width)).count();
            assert!(there * 10 >= widths.len() * 9, "{zone}: {widths:?}");
        }
    }

    #[tokio::test]
    async fn it_follows_a_zone_that_changes() {
        let mut width = Width::searched(32, Instant::now());
        let few = widths(&mut width, |w| 1000.0 * w.min(3) as f64, 60);
        assert!(*few.last().unwrap_or(&0) <= 5, "{few:?}");
        let many = widths(&mut width, |w| 1000.0 * w.min(20) as f64, 60);
        assert!(*many.last().unwrap_or(&0) >= 15, "{many:?}");
        let most = widths(&mut width, |w| 200.0 * w as f64, 60);
        assert!(*most.last().unwrap_or(&0) >= 22, "{most:?}");
        let alone = widths(&mut width, |w| 9000.0 / w as f64, 60);
        assert!(*alone.last().unwrap_or(&9) <= 2, "{alone:?}");
    }

    #[tokio::test]
    async fn nothing_is_learnt_where_there_is_little_to_do_or_nothing_is_asked() {
        let mut width = Width::searched(32, Instant::now());
        for little in [0.0, 4.0] {
            let widths = widths(&mut width, |_| little, 50);
            assert!(widths.iter().all(|w| *w == FIRST), "{widths:?}");
        }
        let mut now = Instant::now();
        let counts = Counts {
            registered: 50,
            ..Counts::default()
        };
        for _ in 0..1000 {
            now += LEAST_TIME;
            width.ended(&counts, now);
            width.was_idle(now);
        }
        assert_eq!(width.now(), FIRST);
        let mut fixed = Width::fixed(7);
        assert!(widths(&mut fixed, real, 50).iter().all(|w| *w == 7));
    }
}
