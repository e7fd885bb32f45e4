//! The chance in delays. A simulation decides it by its seed.

/// A number in 0..1.
pub(crate) fn chance() -> f64 {
    #[cfg(test)]
    if let Some(chance) = seeded::next() {
        return chance;
    }
    rand::random()
}

/// Chance that comes from a seed, in this thread.
#[cfg(test)]
pub(crate) mod seeded {
    use std::cell::RefCell;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    thread_local! {
        static RANDOM: RefCell<Option<StdRng>> = const { RefCell::new(None) };
    }

    pub(crate) fn begin(seed: u64) {
        RANDOM.set(Some(StdRng::seed_from_u64(seed)));
    }

    pub(crate) fn end() {
        RANDOM.set(None);
    }

    pub(super) fn next() -> Option<f64> {
        RANDOM.with_borrow_mut(|random| Some(random.as_mut()?.random_range(0.0..1.0)))
    }
}
