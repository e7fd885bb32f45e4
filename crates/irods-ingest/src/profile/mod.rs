//! What the time of a job is spent on: for each stage how many calls, how long they took, and when.
//!
//! A job of which a profile is wanted ([`JobOptions::profile`](crate::spec::JobOptions::profile)) has its [`Stages`] measured by each worker, at
//! the seams that there are: the source and the zone are set up with somebody who listens, the pool of
//! Python processes, decisions and transfers ask [`Stages`] around what they do. Of any other job nothing is measured, and that costs
//! a look at an empty option.
//!
//! A worker gathers an [`Account`] and hands it in every few seconds, when it has nothing to do and before it leaves: it adds
//! it to the job's [`Profile`], which the broker keeps as opaque bytes with a revision. What is handed in has a number, so it counts once
//! whatever calls are lost; a worker that is killed takes with it only what it had not handed in yet. Completed tasks that are accounted for
//! can be compared with those that the job counts.
//!
//! Nothing here grows with the job: times are in buckets, and the timeline is a thousand columns.

mod account;
mod histogram;
mod kept;
pub(crate) mod recorder;
mod source;
mod stages;
mod timeline;

pub use account::{About, Account, Row, Stage};
pub use kept::{Part, Profile, ProfileError};
pub use stages::{Gathered, Measured, Stages};
pub use timeline::{Column, MAX_COLUMNS, Timeline};
