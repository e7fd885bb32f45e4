//! A bound on the bytes that a worker uploads in a second, over all its streams.
//!
//! [`Bucket`] is the arithmetic, without a clock. [`Throttle`] gives it one, and [`Throttle::reader`] slows a source down where
//! it is read, which holds for every way in which its bytes are sent. Whoever comes first is served first. It bounds what is
//! read for uploads; what the protocol adds is not counted.

use std::io::{self, Read};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What an idle bucket gathers: the bytes of so long a time may go at once.
const BURST: Duration = Duration::from_millis(100);
/// How long a reader sleeps at most before it looks whether anybody still wants its bytes.
const LOOK: Duration = Duration::from_millis(100);

/// Bytes let through at a rate. Times are since any moment, the same for all calls.
#[derive(Debug)]
pub struct Bucket {
    /// Bytes a second.
    rate: NonZeroU64,
    /// When all that was let through is paid for.
    paid: Duration,
}

impl Bucket {
    /// A bucket of so many bytes a second.
    pub fn new(rate: NonZeroU64) -> Self {
        Bucket {
            rate,
            paid: Duration::ZERO,
        }
    }

    /// Lets `bytes` through; answers how long their sender must wait from `now` on.
    pub fn take(&mut self, now: Duration, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate.get());
        let costs = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let from = self.paid.max(now.saturating_sub(BURST));
        self.paid = from.saturating_add(costs);
        self.paid.saturating_sub(now)
    }

    /// The most that is worth taking at once: a tenth of a second's bytes, so that streams take turns.
    pub fn portion(&self) -> usize {
        usize::try_from(self.rate.get() / 10)
            .unwrap_or(usize::MAX)
            .max(1)
    }
}

/// A bucket that the streams of a worker share.
#[derive(Debug)]
pub(crate) struct Throttle {
    bucket: Mutex<Bucket>,
    began: Instant,
}

impl Throttle {
    pub(crate) fn new(rate: NonZeroU64) -> Self {
        Throttle {
            bucket: Mutex::new(Bucket::new(rate)),
            began: Instant::now(),
        }
    }

    /// The source, slowed down, and what ends its waiting when it is dropped.
    pub(crate) fn reader(self: &Arc<Self>, source: Box<dyn Read + Send>) -> (Throttled, Wanted) {
        let given_up = Arc::new(AtomicBool::new(false));
        let wanted = Wanted(given_up.clone());
        let throttled = Throttled {
            source,
            throttle: self.clone(),
            given_up,
        };
        (throttled, wanted)
    }
}

/// A source that is read no faster than its throttle allows. It blocks: it is for a thread that may.
pub(crate) struct Throttled {
    source: Box<dyn Read + Send>,
    throttle: Arc<Throttle>,
    given_up: Arc<AtomicBool>,
}

/// As long as this lives, somebody wants the bytes.
#[must_use]
pub(crate) struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Read for Throttled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bucket = &self.throttle.bucket;
        let portion = bucket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .portion();
        let most = portion.min(buffer.len());
        let read = self.source.read(&mut buffer[..most])?;
        let mut left = {
            let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(self.throttle.began.elapsed(), read as u64)
        };
        while !left.is_zero() {
            if self.given_up.load(Ordering::Relaxed) {
                return Err(io::Error::other("nobody wants it any more"));
            }
            let nap = left.min(LOOK);
            std::thread::sleep(nap);
            left -= nap;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn bucket(rate: u64) -> Bucket {
        Bucket::new(NonZeroU64::new(rate).unwrap())
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn bytes_are_paid_for_in_the_order_in_which_they_came() {
        let mut bucket = bucket(1000);
        let now = 10 * SECOND;
        // What an idle time has gathered, then the rate.
        assert_eq!(bucket.take(now, 100), Duration::ZERO);
        assert_eq!(bucket.take(now, 500), SECOND / 2);
        assert_eq!(bucket.take(now, 500), SECOND);
        assert_eq!(bucket.take(now + SECOND / 2, 1000), SECOND * 3 / 2);
        // A long idle time gathers no more than a burst.
        assert_eq!(bucket.take(1000 * SECOND, 100), Duration::ZERO);
        assert_eq!(bucket.take(1000 * SECOND, 1000), SECOND);
    }

    #[test]
    fn nothing_overflows() {
        let mut slow = bucket(1);
        assert!(slow.take(SECOND, u64::MAX) > SECOND);
        assert_eq!(slow.take(Duration::MAX, u64::MAX), Duration::ZERO);
        assert_eq!(slow.take(Duration::ZERO, 1), Duration::MAX);
        let mut fast = bucket(u64::MAX);
        assert_eq!(fast.take(Duration::ZERO, 1), Duration::ZERO);
        assert!(fast.portion() > 1 && slow.portion() == 1);
    }

    proptest! {
        /// Senders that wait as they are told send, in any time, no more than the rate and one burst, and lose none of it while
        /// there is always somebody who wants to send.
        #[test]
        fn no_more_than_the_rate_and_no_less(rate in 1_000_u64..1_000_000_000, sizes in proptest::collection::vec((0..3_usize, 1_u64..5_000_000), 1..60)) {
            let mut bucket = bucket(rate);
            let start = 5 * SECOND;
            // Three senders, each with a clock of its own that stands where it may send next.
            let mut free = [start; 3];
            let mut sent = 0;
            let mut last = start;
            for (_, size) in sizes {
                let sender = (0..3).min_by_key(|&sender| free[sender]).unwrap();
                let now = free[sender];
                free[sender] = now + bucket.take(now, size);
                sent += size;
                last = last.max(free[sender]);
            }
            let seconds = (last - start).as_secs_f64();
            let allowed = rate as f64 * (seconds + BURST.as_secs_f64());
            prop_assert!(sent as f64 <= allowed * 1.000_001 + 1.0, "{sent} in {seconds} s at {rate}");
            prop_assert!(seconds == 0.0 || sent as f64 >= rate as f64 * seconds * 0.999_999 - 1.0, "{sent} in {seconds} s at {rate}");
        }
    }

    #[test]
    fn a_throttled_source_gives_all_its_bytes_and_stops_when_nobody_wants_them() {
        let content: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        let throttle = Arc::new(Throttle::new(NonZeroU64::new(1 << 40).unwrap()));
        let (mut source, _wanted) = throttle.reader(Box::new(io::Cursor::new(content.clone())));
        let mut read = Vec::new();
        source.read_to_end(&mut read).unwrap();
        assert!(read == content);
        // A byte in a hundred years.
        let throttle = Arc::new(Throttle::new(NonZeroU64::new(1).unwrap()));
        throttle
            .bucket
            .lock()
            .unwrap()
            .take(Duration::ZERO, 1 << 32);
        let (mut source, wanted) = throttle.reader(Box::new(io::Cursor::new(content)));
        drop(wanted);
        assert!(source.read_to_end(&mut read).is_err());
    }
}
