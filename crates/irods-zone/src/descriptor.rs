//! The open replicas of one connection, by descriptor number.
//!
//! Numbers run from 3 to 1025 as on real servers (server source 4.3, `NUM_L1_DESC`); the lowest free
//! one is given.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use irods_protocol::codes;
use irods_protocol::message::DataObjInp;

use crate::catalog::replicas::Replica;
use crate::reply::Failure;
use crate::writing::Writing;

/// First descriptor of a connection.
const FIRST: i32 = 3;
/// Last descriptor of a connection.
const LAST: i32 = 1025;

/// One open replica.
pub(crate) struct Descriptor {
    /// What the client asked for.
    pub input: DataObjInp,
    /// The replica as it was when it was opened.
    pub replica: Replica,
    /// Its file.
    pub file: Arc<File>,
    /// Where the next read or write goes.
    pub position: u64,
    /// Reading is allowed.
    pub readable: bool,
    /// There if writing is allowed.
    pub writing: Option<Arc<Writing>>,
}

/// The table.
#[derive(Default)]
pub(crate) struct Descriptors {
    open: BTreeMap<i32, Descriptor>,
}

impl Descriptors {
    /// Whether one more can be opened.
    ///
    /// # Errors
    /// `SYS_OUT_OF_FILE_DESC`.
    pub fn room(&self) -> Result<(), Failure> {
        if self.open.len() > (LAST - FIRST) as usize {
            return Err(Failure::code(codes::SYS_OUT_OF_FILE_DESC));
        }
        Ok(())
    }

    /// Adds one and returns its number. There must be [`Descriptors::room`].
    pub fn add(&mut self, descriptor: Descriptor) -> i32 {
        let number = (FIRST..)
            .find(|n| !self.open.contains_key(n))
            .unwrap_or(LAST);
        self.open.insert(number, descriptor);
        number
    }

    /// The one of that number.
    ///
    /// # Errors
    /// `SYS_FILE_DESC_OUT_OF_RANGE` outside of the table, `BAD_INPUT_DESC_INDEX` if it is not open.
    pub fn get(&mut self, number: i32) -> Result<&mut Descriptor, Failure> {
        Self::check(number)?;
        self.open
            .get_mut(&number)
            .ok_or(Failure::code(codes::BAD_INPUT_DESC_INDEX))
    }

    /// Takes the one of that number out.
    ///
    /// # Errors
    /// As [`Descriptors::get`].
    pub fn take(&mut self, number: i32) -> Result<Descriptor, Failure> {
        Self::check(number)?;
        self.open
            .remove(&number)
            .ok_or(Failure::code(codes::BAD_INPUT_DESC_INDEX))
    }

    /// Takes all out.
    pub fn drain(&mut self) -> impl Iterator<Item = Descriptor> + use<> {
        std::mem::take(&mut self.open).into_values()
    }

    fn check(number: i32) -> Result<(), Failure> {
        if (FIRST..=LAST).contains(&number) {
            Ok(())
        } else {
            Err(Failure::code(codes::SYS_FILE_DESC_OUT_OF_RANGE))
        }
    }
}
