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
use irods_client::metadata::Avu;

use crate::plan::Operation;

/// What begins the name of an entry whose own name is not UTF-8.
pub const UNENCODABLE_PREFIX: &str = "irods_UnicodeEncodeError_";

/// Attribute of the AVU with the true path of what has such a name.
const UNENCODABLE_ATTRIBUTE: &str = "irods::automated_ingest::UnicodeEncodeError";
/// Attribute of the AVU with the true path of what is called otherwise by a handler's map of characters.
const CHARACTER_MAP_ATTRIBUTE: &str = "irods::automated_ingest::character_map";
/// Units of these two.
const PATH_UNITS: &str = "python3.base64.b64encode(full_path_of_source_file)";
const LINK_TARGET: &str = "link_target";
const SOCKET_TARGET: &str = "socket_target";
/// Units of these two.
const INGEST_UNITS: &str = "automated_ingest";

/// Longest logical path, in bytes, that the catalog API takes: its buffers hold 1,088 bytes, of which iRODS allows 1,024
/// with the terminating zero.
pub const MAX_PATH_BYTES: usize = 1023;

/// Longest path element, in bytes, that a vault can hold: an uploaded object's file has its name.
pub const MAX_ELEMENT_BYTES: usize = 255;

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
    /// A physical path, to be registered, longer than [`MAX_PATH_BYTES`].
    #[error("physical path is {bytes} bytes long, iRODS takes {MAX_PATH_BYTES}: {path}")]
    PhysicalPathTooLong {
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

/// The name of an entry in the zone. `absolute` makes the entry's absolute path in the source, `name` is its last element.
pub fn element<A: AsRef<[u8]>>(name: &[u8], absolute: impl FnOnce() -> A) -> Cow<'_, str> {
    match std::str::from_utf8(name) {
        Ok(name) => Cow::Borrowed(name),
        Err(_) => Cow::Owned(format!(
            "{UNENCODABLE_PREFIX}{}",
            STANDARD.encode(absolute()).replace('/', "_")
        )),
    }
}

/// Names in the source that are called so in the zone: the name itself, and the one that is not UTF-8, if it stands for one.
pub fn source_names(element: &str) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    if let Some(encoded) = element.strip_prefix(UNENCODABLE_PREFIX)
        && let Ok(absolute) = STANDARD.decode(encoded.replace('_', "/"))
        && let Some(name) = absolute.rsplit(|byte| *byte == b'/').next()
        && std::str::from_utf8(name).is_err()
    {
        names.push(name.to_vec());
    }
    // No file has a name that is longer, and asking for one is an error.
    if element.len() <= MAX_ELEMENT_BYTES || names.is_empty() {
        names.push(element.as_bytes().to_vec());
    }
    names
}

/// The AVU that keeps the true path of a data object whose own name is not UTF-8; `None` for every other.
pub fn unencodable_avu(name: &[u8], absolute: &[u8]) -> Option<Avu> {
    match std::str::from_utf8(name) {
        Ok(_) => None,
        Err(_) => Some(Avu {
            attribute: UNENCODABLE_ATTRIBUTE.into(),
            value: STANDARD.encode(absolute),
            units: PATH_UNITS.into(),
        }),
    }
}

/// The logical path of what lies at `relative` below the source root: `target` for the root itself.
///
/// `root` is absolute; `relative` has no leading, trailing or double slash. The result is not checked: see [`check`].
pub fn logical_path(target: &str, root: &[u8], relative: &[u8]) -> String {
    let text = std::str::from_utf8(relative);
    let Ok(text) = text.map(|text| text.split('/').filter(|name| !name.is_empty())) else {
        return append_elements(target.to_owned(), root.to_vec(), relative);
    };
    let mut logical = String::with_capacity(target.len() + relative.len() + 1);
    logical.push_str(target);
    for name in text {
        push_element(&mut logical, name);
    }
    logical
}

fn push_element(logical: &mut String, name: &str) {
    if !logical.ends_with('/') {
        logical.push('/');
    }
    logical.push_str(name);
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
    let path = path.as_bytes();
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    for name in path
        .strip_prefix(b"/")
        .unwrap_or(path)
        .split(|byte| *byte == b'/')
    {
        if matches!(name, b"" | b"." | b"..") || name.contains(&0) {
            return Err(NameError::BadElement { name: text(name) });
        }
        if placement == Placement::Vault && name.len() > MAX_ELEMENT_BYTES {
            return Err(NameError::ElementTooLong {
                bytes: name.len(),
                name: text(name),
            });
        }
    }
    Ok(())
}

/// Refuses what an operation could not keep: a logical path as [`check`] does, and a physical path that a server would cut
/// off, and so register another file.
pub(crate) fn check_entry(
    logical: &str,
    physical: &str,
    operation: Operation,
) -> Result<(), NameError> {
    let placement = match operation.uploads() {
        true => Placement::Vault,
        false => Placement::InPlace,
    };
    check(logical, placement)?;
    match operation.registers() && physical.len() > MAX_PATH_BYTES {
        true => Err(NameError::PhysicalPathTooLong {
            bytes: physical.len(),
            path: physical.to_owned(),
        }),
        false => Ok(()),
    }
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
        push_element(&mut logical, &element(name, || &absolute));
    }
    logical
}

/// Whether an AVU is one of those that are kept here, whatever its value: of a link, a socket, a name.
pub(crate) fn is_about_the_file(avu: &Avu) -> bool {
    let kept = [
        (LINK_TARGET, INGEST_UNITS),
        (SOCKET_TARGET, INGEST_UNITS),
        (UNENCODABLE_ATTRIBUTE, PATH_UNITS),
        (CHARACTER_MAP_ATTRIBUTE, PATH_UNITS),
    ];
    kept.contains(&(avu.attribute.as_str(), avu.units.as_str()))
}

/// The AVU of a data object that was made from a symbolic link: where it leads, beside the link where its text is
/// relative; not normalised. `directory` is the absolute path of the link's directory.
pub fn link_target_avu(directory: &[u8], text: &[u8]) -> Avu {
    let target = match text.first() {
        Some(b'/') => text.to_vec(),
        _ => [directory, b"/", text].concat(),
    };
    Avu {
        attribute: LINK_TARGET.into(),
        value: physical_path(&target),
        units: INGEST_UNITS.into(),
    }
}

/// The AVU of a data object that was made from a socket.
pub fn socket_target_avu() -> Avu {
    Avu {
        attribute: SOCKET_TARGET.into(),
        value: "socket".into(),
        units: INGEST_UNITS.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_names_stay_as_they_are() {
        for name in [
            "a",
            " ",
            "'",
            "\"",
            "&<>",
            "`",
            "naïve 日本語",
            "a\nb",
            "...",
            "-",
        ] {
            let absolute = format!("/src/{name}");
            assert_eq!(element(name.as_bytes(), || &absolute), name);
            assert_eq!(unencodable_avu(name.as_bytes(), absolute.as_bytes()), None);
            let logical = logical_path("/z/t", b"/src", name.as_bytes());
            assert_eq!(logical, format!("/z/t/{name}"));
            assert_eq!(check(&logical, Placement::Vault), Ok(()));
            assert_eq!(physical_path(absolute.as_bytes()), absolute);
        }
        assert_eq!(logical_path("/z/t", b"/src", b""), "/z/t");
        assert_eq!(logical_path("/z/t", b"/", b"etc/hosts"), "/z/t/etc/hosts");
        assert_eq!(
            logical_path("/z/t", b"/src", b".hidden/x"),
            "/z/t/.hidden/x"
        );
    }

    #[test]
    fn names_that_are_not_utf8_are_those_of_existing_catalogs() {
        let absolute = b"/a/bad\xe1\x80";
        let name = "irods_UnicodeEncodeError_L2EvYmFk4YA=";
        assert_eq!(element(b"bad\xe1\x80", || absolute), name);
        assert_eq!(
            logical_path("/z/t", b"/a", b"bad\xe1\x80"),
            format!("/z/t/{name}")
        );
        assert_eq!(physical_path(absolute), format!("/a/{name}"));
        let avu = unencodable_avu(b"bad\xe1\x80", absolute).unwrap();
        assert_eq!(avu.attribute, "irods::automated_ingest::UnicodeEncodeError");
        assert_eq!(avu.value, "L2EvYmFk4YA=");
        assert_eq!(
            avu.units,
            "python3.base64.b64encode(full_path_of_source_file)"
        );
    }

    #[test]
    fn they_work_at_any_depth_and_stay_one_element() {
        // The base64 of this path has a slash and a plus: `L2EvPz8/+w==`.
        let absolute = b"/a/???\xfb";
        assert_eq!(STANDARD.encode(absolute), "L2EvPz8/+w==");
        let name = "irods_UnicodeEncodeError_L2EvPz8_+w==";
        assert_eq!(element(b"???\xfb", || absolute), name);
        assert_eq!(
            unencodable_avu(b"???\xfb", absolute).unwrap().value,
            "L2EvPz8/+w=="
        );
        let logical = logical_path("/z/t", b"/a", b"???\xfb/sub/good");
        assert_eq!(logical, format!("/z/t/{name}/sub/good"));
        assert_eq!(
            physical_path(b"/a/???\xfb/sub/good"),
            format!("/a/{name}/sub/good")
        );
    }

    #[test]
    fn what_is_called_so_may_be_one_of_two() {
        let both: [&[u8]; 2] = [b"bad\xe1\x80", b"irods_UnicodeEncodeError_L2EvYmFk4YA="];
        assert_eq!(source_names("irods_UnicodeEncodeError_L2EvYmFk4YA="), both);
        // Base64 of a good path, of nothing, and no base64.
        for literal in ["L2EvYg==", "", "x y"].map(|end| format!("{UNENCODABLE_PREFIX}{end}")) {
            assert_eq!(source_names(&literal), [literal.as_bytes()]);
        }
        assert_eq!(source_names("a"), [b"a"]);
        let long = element(&[0xff; 250], || [b"/", &[0xff; 250][..]].concat()).into_owned();
        assert_eq!(source_names(&long), [[0xff; 250]]);
    }

    #[test]
    fn what_irods_refuses_is_refused_with_its_reason() {
        let long = "x".repeat(256);
        let placed = |path: &str, placement| check(path, placement).map_err(|e| e.to_string());
        assert!(placed(&format!("/z/{long}"), Placement::InPlace).is_ok());
        assert!(placed(&format!("/z/{}", &long[1..]), Placement::Vault).is_ok());
        assert!(
            placed(&format!("/z/{long}"), Placement::Vault)
                .unwrap_err()
                .starts_with("name is 256 bytes long, a vault takes 255")
        );
        let deep = "/elements".repeat(200);
        assert!(placed(&deep[..1023], Placement::Vault).is_ok());
        assert!(
            placed(&deep[..1024], Placement::Vault)
                .unwrap_err()
                .starts_with("logical path is 1024 bytes long, iRODS takes 1023")
        );
        for bad in ["/z//a", "/z/./a", "/z/a/..", "/z/a/", "", "/", "/z/a\0b"] {
            let error = check(bad, Placement::InPlace).unwrap_err();
            assert!(
                matches!(error, NameError::BadElement { .. }),
                "{bad:?} {error}"
            );
        }
    }

    #[test]
    fn targets() {
        for (given, normal) in [
            ("/z/home", "/z/home"),
            ("/z/home/", "/z/home"),
            ("//z///home//rods//", "/z/home/rods"),
            ("/z/my coll`", "/z/my coll`"),
        ] {
            assert_eq!(target_collection(given).as_deref(), Ok(normal));
        }
        for relative in ["", "z/home", "."] {
            let error = target_collection(relative).unwrap_err();
            assert!(matches!(error, NameError::Relative { .. }), "{error}");
        }
        for high in ["/", "//", "/z", "/z/"] {
            let error = target_collection(high).unwrap_err().to_string();
            assert!(
                error.contains("Root may only contain collections which represent zones"),
                "{error}"
            );
        }
        for bad in ["/z/../y", "/z/a/..", "/z/./a", "/z/a\0"] {
            let error = target_collection(bad).unwrap_err();
            assert!(
                matches!(error, NameError::BadElement { .. }),
                "{bad:?} {error}"
            );
        }
    }

    #[test]
    fn links_and_sockets_are_described() {
        let target = |text: &[u8]| link_target_avu(b"/src/d", text).value;
        assert_eq!(target(b"x/../y"), "/src/d/x/../y");
        assert_eq!(target(b"/abs"), "/abs");
        assert_eq!(socket_target_avu().value, "socket");
    }

    proptest! {
        #[test]
        fn every_entry_is_one_element_that_irods_takes(
            name in "[^/\0]{1,12}|.{0,3}", raw in prop::collection::vec(1u8..=255, 1..20),
        ) {
            let raw: Vec<u8> = raw.into_iter().filter(|byte| *byte != b'/').collect();
            for name in [name.as_bytes(), &raw] {
                if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || name.contains(&0) {
                    continue;
                }
                let logical = logical_path("/z/t", b"/src", name);
                prop_assert_eq!(logical.matches('/').count(), 3);
                prop_assert_eq!(check(&logical, Placement::InPlace), Ok(()));
            }
        }

        #[test]
        fn different_bad_names_stay_different(
            a in prop::collection::vec(0x80u8..=0xff, 1..6), b in prop::collection::vec(0x80u8..=0xff, 1..6),
        ) {
            prop_assert_eq!(a == b, logical_path("/z/t", b"/s", &a) == logical_path("/z/t", b"/s", &b));
        }
    }
}
