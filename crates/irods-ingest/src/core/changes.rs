//! What a hook before an action changes of what the action does.

use serde::{Deserialize, Deserializer};

/// What is done otherwise than was decided; where a field is empty, nothing is. Only a data object's creation and change can be
/// changed: whose hooks change more fail the entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// Another logical path. It is followed only where entries may be put anywhere ([`super::choice::Targets::Anywhere`]): only
    /// then are objects claimed, so that none is taken for another file's.
    pub target: Option<String>,
    /// Another absolute path: what is registered, or what an upload reads.
    pub path: Option<Vec<u8>>,
    /// Bytes that what is registered has.
    pub size: Option<u64>,
    /// Its modification time, seconds since 1970.
    pub mtime: Option<i64>,
    /// Another resource; an inner `None` leaves it to the zone.
    #[serde(deserialize_with = "given")]
    pub resource: Option<Option<String>>,
    /// The physical path as the zone's server sees it.
    pub physical_path: Option<String>,
}

/// A field that is there, null or not.
pub(crate) fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}
