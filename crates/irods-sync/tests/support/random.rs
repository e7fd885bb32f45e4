//! Chance that can be had again: every test says its seed, and `IRODS_TEST_SEED` sets it.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// A generator for a test, its seed said on stderr (which is shown when the test fails).
pub fn seeded(what: &str) -> StdRng {
    let seed = match std::env::var("IRODS_TEST_SEED") {
        Ok(seed) => seed.parse().expect("IRODS_TEST_SEED is a number"),
        Err(_) => rand::random(),
    };
    eprintln!("{what}: IRODS_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}
