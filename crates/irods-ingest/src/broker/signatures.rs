//! The signature cache as the broker sees it: under a key, a list of segments of opaque bytes.
//!
//! Segments are only appended, or replaced as a set, so two tasks of one directory never lose each other's entries. A
//! replacement takes the place of the first segment that it replaces: what was appended since still counts as later. If one of the segments
//! to be replaced is gone (cleared, or replaced by another scan), the replacement is dropped, never stored beside the others.

use serde::{Deserialize, Serialize};

/// The broker's number of a segment; never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SegmentId(pub u64);

/// A stored segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Names it in a [`Compaction`].
    pub id: SegmentId,
    /// As appended.
    pub bytes: Vec<u8>,
}

/// A segment to be added at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The record.
    pub key: Vec<u8>,
    /// The entries; nothing is stored if empty.
    pub bytes: Vec<u8>,
}

/// A segment that takes the place of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compaction {
    /// The record.
    pub key: Vec<u8>,
    /// The segments that were read; at least one.
    pub replaces: Vec<SegmentId>,
    /// The entries that are left; if empty, the segments are only removed.
    pub bytes: Vec<u8>,
}
