//! What the zone in memory holds, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};

use irods_client::collection::{Replica, ReplicaStatus};
use irods_client::protocol::{codes, path};

/// The one resource.
pub(super) const RESOURCE: &str = "demoResc";

/// Objects whose name has this in it are refused.
pub(super) const BAD: &str = "bad";

#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) replica: Replica,
    pub(super) content: Vec<u8>,
    /// Which upload is under way.
    pub(super) writer: u64,
}

#[derive(Debug, Default)]
pub(super) struct Catalog {
    pub(super) collections: BTreeSet<String>,
    pub(super) objects: BTreeMap<String, Object>,
    life: u64,
    writers: u64,
}

pub(super) type Answer<T> = std::result::Result<T, i32>;

impl Catalog {
    /// What a server that was killed has made of what was being written, once it is there again.
    pub(super) fn come_to(&mut self, life: u64) {
        if self.life == life {
            return;
        }
        self.life = life;
        for object in self.objects.values_mut() {
            if object.replica.status == ReplicaStatus::Intermediate {
                object.replica.status = ReplicaStatus::Stale;
            }
        }
    }

    pub(super) fn check_new(&self, name: &str) -> Answer<()> {
        let parent = path::parent(name).unwrap_or("/");
        if !self.collections.contains(parent) {
            return Err(codes::CAT_UNKNOWN_COLLECTION);
        }
        if self.collections.contains(name) {
            return Err(codes::CAT_NAME_EXISTS_AS_COLLECTION);
        }
        Ok(())
    }

    pub(super) fn object(&mut self, name: &str) -> Answer<&mut Object> {
        self.objects.get_mut(name).ok_or(codes::CAT_NO_ROWS_FOUND)
    }

    pub(super) fn begin_put(
        &mut self,
        name: &str,
        over: bool,
        append: Option<u64>,
        now: i64,
    ) -> Answer<u64> {
        self.check_new(name)?;
        check_good(name)?;
        self.writers += 1;
        let writer = self.writers;
        match self.objects.get_mut(name) {
            Some(_) if !over && append.is_none() => Err(codes::OVERWRITE_WITHOUT_FORCE_FLAG),
            Some(object) if object.replica.status == ReplicaStatus::Intermediate => {
                Err(codes::INTERMEDIATE_REPLICA_ACCESS)
            }
            Some(object) if append.is_some_and(|from| from != object.replica.size) => {
                Err(codes::SYS_COPY_LEN_ERR)
            }
            Some(object) => {
                object.replica.status = ReplicaStatus::Intermediate;
                object.writer = writer;
                if append.is_none() {
                    object.content.clear();
                }
                Ok(writer)
            }
            None => {
                let mut replica = replica(name, now);
                replica.status = ReplicaStatus::Intermediate;
                let object = Object {
                    replica,
                    content: Vec::new(),
                    writer,
                };
                self.objects.insert(name.to_owned(), object);
                Ok(writer)
            }
        }
    }

    pub(super) fn end_put(&mut self, name: &str, writer: u64, bytes: &[u8], whole: bool, now: i64) {
        let Some(object) = self.objects.get_mut(name) else {
            return;
        };
        if object.writer != writer || object.replica.status != ReplicaStatus::Intermediate {
            return;
        }
        let written = match whole {
            true => bytes,
            false => &bytes[..bytes.len() / 2],
        };
        object.content.extend_from_slice(written);
        object.replica.size = object.content.len() as u64;
        object.replica.mtime = now;
        object.replica.checksum.clear();
        object.replica.status = match whole {
            true => ReplicaStatus::Good,
            false => ReplicaStatus::Stale,
        };
    }
}

pub(super) fn check_good(name: &str) -> Answer<()> {
    match name.contains(BAD) {
        true => Err(codes::UNIX_FILE_OPEN_ERR),
        false => Ok(()),
    }
}

pub(super) fn replica(name: &str, mtime: i64) -> Replica {
    Replica {
        number: 0,
        size: 0,
        mtime,
        checksum: String::new(),
        status: ReplicaStatus::Good,
        path: format!("/vault{name}").into(),
        hierarchy: RESOURCE.into(),
    }
}
