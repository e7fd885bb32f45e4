//! Logical names: what an entry of the source is called in the zone, and which names iRODS refuses.
//!
//! A name that is UTF-8 stays as it is. One that is not becomes `irods_UnicodeEncodeError_` followed by the standard base64 of
//! the entry's absolute path, as existing catalogs have it; base64's `/`, which would make two path elements, is
//! written `_` (not in the standard alphabet, so it can be turned back). The rule is applied element by
//! element, at any depth: an entry with a good name below a directory with a bad one keeps its name.
//! The true path, in standard base64, goes with the object as an AVU.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What begins the name of an entry whose own name is not UTF-8.
pub const UNENCODABLE_PREFIX: &str = "irods_UnicodeEncodeError_";

/// Longest logical path, in bytes, that the catalog API takes: its buffers hold 1,088 bytes, of which iRODS allows 1,024
/// with the terminating zero.
pub const MAX_PATH_BYTES: usize = 1023;

/// Longest path element, in bytes, that a vault can hold: an uploaded object's file has its name.
pub const MAX_ELEMENT_BYTES: usize = 255;

/// An attribute, value, unit triple to attach to what was created.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Avu {
    /// Attribute.
    pub attribute: String,
    /// Value.
    pub value: String,
    /// Units; empty for none.
    pub units: String,
}

/// Why a name or path cannot be used in the zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Longer than [`MAX_PATH_BYTES`].
    #[error("logical path is {bytes} bytes long, iRODS takes {MAX_PATH_BYTES}: {path}")]
    PathTooLong {
        /// Its length.
        bytes: usize,
        /// The path.
        path: String,
    },
    /// An element longer than [`MAX_ELEMENT_BYTES`] that would become a file name in a vault.
    #[error("name is {bytes} bytes long, a vault takes {MAX_ELEMENT_BYTES}: {name}")]
    ElementTooLong {
        /// Its length.
        bytes: usize,
        /// The element.
        name: String,
    },
    /// An element that is empty, `.`, `..`, or contains a NUL character or a slash.
    #[error("`{}` is not a name that iRODS accepts", name.escape_debug())]
    BadElement {
        /// The element.
        name: String,
    },
    /// A target that does not begin with a slash.
    #[error("target collection `{path}` is not an absolute path; /ZONE/... is expected")]
    Relative {
        /// As given.
        path: String,
    },
    /// A target without a collection below the zone.
    #[error(
        "target collection `{path}` is too high: Root may only contain collections which represent zones; /ZONE/COLLECTION is expected"
    )]
    TooHigh {
        /// As given.
        path: String,
    },
}

/// Where the bytes of an object will lie, which decides how long its name may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Registered where they are: only the catalog limits the name.
    InPlace,
    /// Written into a vault, as a file of that name.
    Vault,
}

/// The name of an entry in the zone. `absolute` is the entry's absolute path in the source, `name` its last element.
pub fn element<'a>(name: &'a [u8], absolute: &[u8]) -> Cow<'a, str> {
    match std::str::from_utf8(name) {
        Ok(name) => Cow::Borrowed(name),
        Err(_) => Cow::Owned(format!(
            "{UNENCODABLE_PREFIX}{}",
            STANDARD.encode(absolute).replace('/', "_")
        )),
    }
}

/// The AVU that keeps the true path of a data object whose own name is not UTF-8; `None` for every other.
pub fn unencodable_avu(name: &[u8], absolute: &[u8]) -> Option<Avu> {
    match std::str::from_utf8(name) {
        Ok(_) => None,
        Err(_) => Some(Avu {
            attribute: "irods::automated_ingest::UnicodeEncodeError".into(),
            value: STANDARD.encode(absolute),
            units: "python3.base64.b64encode(full_path_of_source_file)".into(),
        }),
    }
}

/// The logical path of what lies at `relative` below the source root: `target` for the root itself.
///
/// `root` is absolute; `relative` has no leading, trailing or double slash. The result is not checked: see [`check`].
pub fn logical_path(target: &str, root: &[u8], relative: &[u8]) -> String {
    append_elements(target.to_owned(), root.to_vec(), relative)
}

/// An absolute source path as text, as it is registered: elements that are not UTF-8 are replaced as in the logical
/// name. Such a path does not exist on disk; catalogs have always had it so, since they hold text only.
pub fn physical_path(absolute: &[u8]) -> String {
    match std::str::from_utf8(absolute) {
        Ok(path) => path.to_owned(),
        Err(_) => append_elements(String::new(), Vec::new(), absolute),
    }
}

/// `collection` and `name` with exactly one slash between.
pub fn join(collection: &str, name: &str) -> String {
    match collection.ends_with('/') {
        true => format!("{collection}{name}"),
        false => format!("{collection}/{name}"),
    }
}

/// Refuses a logical path that iRODS would refuse, or worse, shorten.
pub fn check(path: &str, placement: Placement) -> Result<(), NameError> {
    if path.len() > MAX_PATH_BYTES {
        return Err(NameError::PathTooLong {
            bytes: path.len(),
            path: path.to_owned(),
        });
    }
    for name in path.strip_prefix('/').unwrap_or(path).split('/') {
        if matches!(name, "" | "." | "..") || name.contains('\0') {
            return Err(NameError::BadElement {
                name: name.to_owned(),
            });
        }
        if placement == Placement::Vault && name.len() > MAX_ELEMENT_BYTES {
            return Err(NameError::ElementTooLong {
                bytes: name.len(),
                name: name.to_owned(),
            });
        }
    }
    Ok(())
}

/// The job's target collection, checked and normalised: no trailing or double slashes, no `.` or `..`, absolute, and at
/// least one collection below the zone.
pub fn target_collection(given: &str) -> Result<String, NameError> {
    if !given.starts_with('/') {
        return Err(NameError::Relative { path: given.into() });
    }
    let names: Vec<_> = given.split('/').filter(|name| !name.is_empty()).collect();
    let path = format!("/{}", names.join("/"));
    match names.len() {
        0 | 1 => Err(NameError::TooHigh { path: given.into() }),
        _ => check(&path, Placement::InPlace).map(|()| path),
    }
}

fn append_elements(mut logical: String, mut absolute: Vec<u8>, relative: &[u8]) -> String {
    for name in relative.split(|byte| *byte == b'/') {
        if name.is_empty() {
            continue;
        }
        if !absolute.ends_with(b"/") {
            absolute.push(b'/');
        }
        absolute.extend_from_slice(name);
        logical = join(&logical, &element(name, &absolute));
    }
    logical
}
