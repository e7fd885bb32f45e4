//! What was done when, in columns of time: a thousand at most, so a column is as wide as that takes.
//!
//! The width of a column is a power of two of milliseconds and its beginning a multiple of that, by the broker's clock. So timelines
//! of several workers can be put together exactly, in any order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Stage;

/// The most columns.
pub const MAX_COLUMNS: u64 = 1024;
/// Nanoseconds of the narrowest column.
const NARROWEST: u64 = 1_000_000;

/// Columns of time, those in which nothing was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// A column is this power of two of milliseconds wide.
    scale: u32,
    columns: BTreeMap<u64, Column>,
}

/// What was done in a column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Nanoseconds in each stage, over all tasks and workers.
    pub busy: [u64; Stage::COUNT],
    /// Files dealt with, those of a task spread over the time that it took.
    pub files: u64,
    /// Bytes uploaded, in the same way.
    pub bytes: u64,
}

impl Column {
    fn merge(&mut self, other: &Self) {
        for (busy, more) in self.busy.iter_mut().zip(other.busy) {
            *busy = busy.saturating_add(more);
        }
        self.files = self.files.saturating_add(other.files);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

impl Timeline {
    /// Nanoseconds of a column.
    pub fn width(&self) -> u64 {
        NARROWEST << self.scale
    }

    /// The columns by number; one begins at its number times the width, in nanoseconds since 1970.
    pub fn columns(&self) -> impl Iterator<Item = (u64, &Column)> {
        self.columns
            .iter()
            .map(|(number, column)| (*number, column))
    }

    /// Adds the time in a stage, in nanoseconds since 1970.
    pub(super) fn spend(&mut self, stage: Stage, from: u64, to: u64) {
        if from >= to {
            return;
        }
        self.make_room(from, to - 1);
        let width = self.width();
        let mut from = from;
        while from < to {
            let number = from / width;
            let end = to.min((number + 1).saturating_mul(width));
            let busy = &mut self.columns.entry(number).or_default().busy[stage as usize];
            *busy = busy.saturating_add(end - from);
            from = end;
        }
    }

    /// Adds what was done in a time, spread over it evenly and as whole numbers.
    pub(super) fn done(&mut self, (from, to): (u64, u64), files: u64, bytes: u64) {
        let to = to.max(from.saturating_add(1));
        self.make_room(from, to - 1);
        let width = self.width();
        // What was done by a time, whatever the width of columns: so they add up.
        let by = |amount: u64, time: u64| {
            let share = u128::from(amount) * u128::from(time - from) / u128::from(to - from);
            u64::try_from(share).unwrap_or(u64::MAX)
        };
        let mut begin = from;
        while begin < to {
            let number = begin / width;
            let end = to.min((number + 1).saturating_mul(width));
            let column = self.columns.entry(number).or_default();
            let more = |amount| by(amount, end) - by(amount, begin);
            column.files = column.files.saturating_add(more(files));
            column.bytes = column.bytes.saturating_add(more(bytes));
            begin = end;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.widen(other.scale);
        let width = other.width();
        let ends = |(first, last): (u64, u64)| (first * width, last.saturating_mul(width));
        if let Some((from, to)) = other.ends().map(ends) {
            self.make_room(from, to);
        }
        let by = self.scale - other.scale;
        for (number, column) in &other.columns {
            self.columns.entry(number >> by).or_default().merge(column);
        }
    }

    fn ends(&self) -> Option<(u64, u64)> {
        let (first, _) = self.columns.first_key_value()?;
        let (last, _) = self.columns.last_key_value()?;
        Some((*first, *last))
    }

    /// Makes columns so wide that these times are in them as well.
    fn make_room(&mut self, from: u64, to: u64) {
        let mut scale = self.scale;
        loop {
            let width = NARROWEST << scale;
            let by = scale - self.scale;
            let (mut first, mut last) = (from / width, to / width);
            if let Some((a, b)) = self.ends() {
                (first, last) = (first.min(a >> by), last.max(b >> by));
            }
            if last - first < MAX_COLUMNS {
                break;
            }
            scale += 1;
        }
        self.widen(scale);
    }

    fn widen(&mut self, scale: u32) {
        let by = scale.saturating_sub(self.scale);
        if by == 0 {
            return;
        }
        self.scale = scale;
        for (number, column) in std::mem::take(&mut self.columns) {
            self.columns.entry(number >> by).or_default().merge(&column);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_long_time_is_spread_over_its_columns() {
        let mut timeline = Timeline::default();
        timeline.spend(Stage::Scan, 500_000, 2_250_000);
        let busy: Vec<_> = timeline
            .columns()
            .map(|(n, c)| (n, c.busy[Stage::Scan as usize]))
            .collect();
        assert_eq!(busy, [(0, 500_000), (1, 1_000_000), (2, 250_000)]);
    }

    #[test]
    fn years_are_a_thousand_columns() {
        let mut timeline = Timeline::default();
        for day in 0..3650 {
            let noon = day * 86_400 * SECOND;
            timeline.done((noon, noon), 1, 0);
        }
        timeline.spend(Stage::Irods, 0, 3650 * 86_400 * SECOND);
        assert!(timeline.columns().count() as u64 <= MAX_COLUMNS);
        assert!(timeline.columns().count() as u64 > MAX_COLUMNS / 3);
        assert_eq!(
            timeline
                .columns()
                .map(|(_, column)| column.files)
                .sum::<u64>(),
            3650
        );
    }

    proptest! {
        #[test]
        fn it_does_not_matter_who_adds_what_when(spans in vec((0..100 * SECOND, 0..30 * SECOND, 0..3_usize), 0..60)) {
            let mut whole = Timeline::default();
            let mut parts: [Timeline; 3] = Default::default();
            for (from, length, part) in &spans {
                for timeline in [&mut whole, &mut parts[*part]] {
                    timeline.spend(Stage::Plan, *from, from + length);
                    timeline.done((*from, from + length), 7, *length);
                }
            }
            let mut forth = Timeline::default();
            parts.iter().for_each(|part| forth.merge(part));
            let mut back = Timeline::default();
            parts.iter().rev().for_each(|part| back.merge(part));
            prop_assert_eq!(&forth, &back);
            prop_assert_eq!(&forth, &whole);
            let busy: u64 = whole.columns().map(|(_, column)| column.busy[Stage::Plan as usize]).sum();
            prop_assert_eq!(busy, spans.iter().map(|(_, length, _)| length).sum::<u64>());
        }
    }
}
