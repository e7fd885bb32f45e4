//! The tests of the engine once more, in zones that are as bad as real servers and networks can be: in each module by the
//! seed of its name, or all by `IRODS_HARSH_SEED`.
//!
//! What they expect is the same but for what differs by right where answers are lost; there the test says so.

// Each seed is a copy of the same tests.
#![allow(clippy::duplicate_mod)]

#[path = "ingest.rs"]
mod ingest_seed_1;
#[path = "ingest.rs"]
mod ingest_seed_2;
#[path = "ingest.rs"]
mod ingest_seed_6;

#[path = "delete.rs"]
mod delete_seed_3;
#[path = "delete.rs"]
mod delete_seed_6;

#[path = "hooks.rs"]
mod hooks_seed_2;
#[path = "hooks.rs"]
mod hooks_seed_3;
