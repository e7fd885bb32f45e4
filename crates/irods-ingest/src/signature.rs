//! Signatures: how a directory's entries looked when they were last applied, in 24 bytes each.
//!
//! A directory's record is a list of segments; a segment is a run of entries; an entry is three little-endian 64-bit
//! hashes: of the name, of (kind, mtime, size, version), of (ctime). Completions append segments, and the last entry of a name wins,
//! so nothing is ever read, changed and written back. The content hash 0 is reserved: it marks an entry that must
//! count as changed at the next scan ([`is_racy`]).
//!
//! Pure: this module reads and writes bytes, the broker keeps them. A damaged segment is ignored as a whole, which
//! costs work (everything in it counts as new) and never correctness. No inode number: network file systems do not
//! keep them. Two names whose 64-bit hashes collide within one directory would share an entry: the later one wins, and
//! the other is seen as changed at every scan; it is never taken for unchanged unless its size and times agree as well.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::plan::Operation;
use crate::source::{Stat, Timestamp};

/// Bytes of one entry.
pub const ENTRY_LEN: usize = 24;

/// Stands for the fact that a directory was a mount point. No entry has such a name.
pub const MOUNT_POINT: &[u8] = b"/mounted";

/// Content hash of an entry that must be taken for changed.
const CHANGED: u64 = 0;

/// More segments than this, and a clean scan should compact the record.
const MAX_SEGMENTS: usize = 8;

/// How an entry compares with what is remembered of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is remembered.
    New,
    /// Modification time, size or kind differ.
    DataChanged,
    /// Only the inode's change time differs: owner, permissions, links, extended attributes.
    MetadataChanged,
    /// Nothing differs.
    Unchanged,
}

impl Verdict {
    /// All verdicts, in the order of their declaration.
    pub const ALL: [Self; 4] = [
        Self::New,
        Self::DataChanged,
        Self::MetadataChanged,
        Self::Unchanged,
    ];
}

/// Collects entries into the bytes of one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    bytes: Vec<u8>,
}

impl Segment {
    /// An empty segment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers that `name` was applied as `stat` says. `seen_at` is the worker's clock when that stat was taken, before
    /// the content was read: an entry that is racy by then is stored as changed.
    pub fn push(&mut self, name: &[u8], stat: &Stat, seen_at: Timestamp) {
        let content = match is_racy(stat, seen_at) {
            true => CHANGED,
            false => content_hash(stat),
        };
        self.push_hashes(name_hash(name), content, change_hash(stat));
    }

    /// Remembers that something was mounted on the directory when it was scanned.
    pub fn push_mount_point(&mut self) {
        self.push_hashes(name_hash(MOUNT_POINT), 1, 1);
    }

    /// Remembers that the directory `name` was scanned into this collection.
    pub fn push_place(&mut self, name: &[u8], collection: &str) {
        self.push_hashes(name_hash(name), place_hash(collection), 1);
    }

    /// `name` counts as changed at the next scan, whatever it looks like then.
    pub fn push_changed(&mut self, name: &[u8]) {
        self.push_hashes(name_hash(name), CHANGED, 1);
    }

    /// Nothing is remembered any more of whatever `record` remembers besides these names.
    pub fn push_others_forgotten<'a>(
        &mut self,
        record: &Record,
        names: impl IntoIterator<Item = &'a [u8]>,
    ) {
        let keep: HashSet<u64, RandomState> = names.into_iter().map(name_hash).collect();
        let mut others: Vec<u64> = record.entries.keys().copied().collect();
        others.retain(|name| !keep.contains(name));
        others.sort_unstable();
        for name in others {
            self.push_hashes(name, CHANGED, CHANGED);
        }
    }

    fn push_hashes(&mut self, name: u64, content: u64, change: u64) {
        self.bytes.extend_from_slice(&name.to_le_bytes());
        self.bytes.extend_from_slice(&content.to_le_bytes());
        self.bytes.extend_from_slice(&change.to_le_bytes());
    }

    /// No entry was pushed: nothing needs to be stored.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.bytes.len() / ENTRY_LEN
    }

    /// The bytes to append to the directory's record.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The names in a listing, 8 bytes each.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<u64>);

impl<'a> Extend<&'a [u8]> for Names {
    fn extend<I: IntoIterator<Item = &'a [u8]>>(&mut self, names: I) {
        self.0.extend(names.into_iter().map(name_hash));
    }
}

/// A directory's record, read.
#[derive(Clone, Debug, Default)]
pub struct Record {
    entries: HashMap<u64, (u64, u64), RandomState>,
    segments: usize,
    stored: usize,
    damaged: usize,
}

impl Record {
    /// Reads segments in the order in which they were appended. Total: any bytes will do.
    pub fn read<'a>(segments: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut record = Self::default();
        for segment in segments {
            record.segments += 1;
            record.entries.reserve(segment.len() / ENTRY_LEN);
            let (entries, rest) = segment.as_chunks::<ENTRY_LEN>();
            if !rest.is_empty() {
                record.damaged += 1;
                continue;
            }
            record.stored += entries.len();
            for entry in entries {
                let [name, content, change] = words(entry);
                match (content, change) {
                    (CHANGED, CHANGED) => record.entries.remove(&name),
                    known => record.entries.insert(name, known),
                };
            }
        }
        record
    }

    /// How `name`, which now looks like `stat`, compares with what is remembered.
    pub fn verdict(&self, name: &[u8], stat: &Stat) -> Verdict {
        match self.entries.get(&name_hash(name)) {
            None => Verdict::New,
            Some((content, _)) if *content != content_hash(stat) => Verdict::DataChanged,
            Some((_, change)) if *change != change_hash(stat) => Verdict::MetadataChanged,
            Some(_) => Verdict::Unchanged,
        }
    }

    /// Whether the directory `name` was last scanned into this collection.
    pub fn is_placed(&self, name: &[u8], collection: &str) -> bool {
        self.entries.get(&name_hash(name)) == Some(&(place_hash(collection), 1))
    }

    /// Whether something was mounted on the directory when it was last scanned.
    pub fn was_mount_point(&self) -> bool {
        self.entries.contains_key(&name_hash(MOUNT_POINT))
    }

    /// Whether something is remembered of `name`.
    pub fn holds(&self, name: &[u8]) -> bool {
        self.entries.contains_key(&name_hash(name))
    }

    /// Number of names remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of segments that were ignored because their length is not that of whole entries.
    pub fn damaged(&self) -> usize {
        self.damaged
    }

    /// Whether a clean scan that saw `names_in_listing` entries should replace the segments it read by
    /// [`Record::compacted`]: there are many segments, most of what is stored is superseded or gone, or some is damaged.
    pub fn should_compact(&self, names_in_listing: &Names) -> bool {
        let live = self.entries.len().min(names_in_listing.0.len());
        self.damaged > 0 || self.segments > MAX_SEGMENTS || self.stored > 64 + 2 * live
    }

    /// One segment that says the same of the given names and forgets all others. Entries are in the order of their
    /// name hash, so equal records have equal bytes.
    pub fn compacted(&self, names_in_listing: &Names) -> Segment {
        let keep: HashSet<u64, RandomState> = names_in_listing.0.iter().copied().collect();
        let mut kept: Vec<_> = self
            .entries
            .iter()
            .filter(|(name, _)| keep.contains(name))
            .collect();
        kept.sort_unstable_by_key(|(name, _)| **name);
        let mut segment = Segment::new();
        for (name, (content, change)) in kept {
            segment.push_hashes(*name, *content, *change);
        }
        segment
    }
}

fn place_hash(collection: &str) -> u64 {
    xxh3_64(collection.as_bytes()).max(1)
}

/// A write could still follow that leaves this entry's times and size as they are, because the clock that stamps files
/// has not ticked since: the entry was modified and changed within that clock's granularity of `seen_at`.
///
/// The granularity is taken as 20 ms (twice the slowest kernel tick), and as 2 s where neither time has a fraction of
/// a second (file systems that store whole seconds, or even ones). A file with a modification time in the future but an
/// old change time is not racy: a write would move its modification time. The rule needs a file server's clock
/// not to run behind the worker's by more than the granularity. What has a version is never racy: another content would have another.
pub fn is_racy(stat: &Stat, seen_at: Timestamp) -> bool {
    if stat.version != 0 {
        return false;
    }
    let granularity: i128 = match (stat.mtime.nanos, stat.ctime.nanos) {
        (0, 0) => 2_000_000_000,
        _ => 20_000_000,
    };
    stat.mtime.min(stat.ctime).as_nanos() >= seen_at.as_nanos() - granularity
}

/// What the record of a directory is filed under. Everything that changes the meaning of "already applied" is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey<'a> {
    /// The source root, absolute.
    pub root: &'a [u8],
    /// The directory, relative to the root; empty for the root itself.
    pub directory: &'a [u8],
    /// The job's target collection.
    pub target: &'a str,
    /// The operation.
    pub operation: Operation,
    /// The resource that was asked for, if one was.
    pub resource: Option<&'a str>,
    /// The user as whom the entries are applied, `name#zone`.
    pub user: &'a str,
    /// What chooses for single entries, if something does.
    pub handler: Option<u64>,
}

impl CacheKey<'_> {
    /// The key as bytes. Different keys have different bytes: each part is preceded by its length.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Self::target_prefix(self.root, self.target);
        put_part(&mut bytes, self.directory);
        bytes.push(self.operation.number());
        match self.resource {
            None => bytes.push(0),
            Some(resource) => {
                bytes.push(1);
                put_part(&mut bytes, resource.as_bytes());
            }
        }
        put_part(&mut bytes, self.user.as_bytes());
        // Without one the key is as it always was.
        if let Some(handler) = self.handler {
            put_part(&mut bytes, &handler.to_be_bytes());
        }
        bytes
    }

    /// The bytes with which every key of this source root and target begins, and no other key.
    pub fn target_prefix(root: &[u8], target: &str) -> Vec<u8> {
        let mut bytes = Self::root_prefix(root);
        put_part(&mut bytes, target.as_bytes());
        bytes
    }

    /// The bytes with which every key of this source root begins, and no key of any other root.
    pub fn root_prefix(root: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(root.len() + 64);
        put_part(&mut bytes, root);
        bytes
    }
}

/// Appends a part with its length, 8 bytes big-endian.
fn put_part(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
    bytes.extend_from_slice(part);
}

fn name_hash(name: &[u8]) -> u64 {
    xxh3_64(name)
}

/// Hash of kind, modification time and size, and of the version where there is one; never [`CHANGED`].
fn content_hash(stat: &Stat) -> u64 {
    let mut bytes = [0u8; 29];
    bytes[..8].copy_from_slice(&stat.mtime.seconds.to_le_bytes());
    bytes[8..12].copy_from_slice(&stat.mtime.nanos.to_le_bytes());
    bytes[12..20].copy_from_slice(&stat.size.to_le_bytes());
    bytes[20] = stat.kind as u8;
    bytes[21..].copy_from_slice(&stat.version.to_le_bytes());
    let used = match stat.version {
        0 => &bytes[..21],
        _ => &bytes[..],
    };
    match xxh3_64(used) {
        CHANGED => 1,
        hash => hash,
    }
}

fn change_hash(stat: &Stat) -> u64 {
    let mut bytes = [0u8; 12];
    bytes[..8].copy_from_slice(&stat.ctime.seconds.to_le_bytes());
    bytes[8..].copy_from_slice(&stat.ctime.nanos.to_le_bytes());
    xxh3_64(&bytes)
}

fn words(entry: &[u8; ENTRY_LEN]) -> [u64; 3] {
    let mut words = [0u64; 3];
    for (word, bytes) in words.iter_mut().zip(entry.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests;
