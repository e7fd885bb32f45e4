//! What a client wants done with an object once its bytes are there: checksum, metadata, permissions.
//!
//! Read from the keywords before anything is stored, so that malformed ones change nothing
//! (`SYS_BAD_INPUT`, recorded exchange raw_data_obj_put); an unknown level or user is found when it is
//! applied, and the object stays.

use irods_protocol::codes;
use irods_protocol::keywords;
use irods_protocol::message::KeyValPair;

use crate::catalog::access::{self, Change, Level};
use crate::catalog::metadata::{self, Avu, EntityKind};
use crate::catalog::{Connection, Identity, Result};
use crate::checksum::Scheme;
use crate::reply::Failure;

/// Whether and why a checksum is computed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// Not asked for.
    #[default]
    None,
    /// To be stored.
    Register,
    /// To be compared with this one, and stored.
    Verify(String),
}

/// The wishes.
#[derive(Debug, Clone, Default)]
pub(crate) struct After {
    /// The checksum.
    pub checksum: Checksum,
    /// AVUs to attach.
    pub avus: Vec<Avu>,
    /// Permissions to give: level and user (`name` or `name#zone`).
    pub grants: Vec<(String, String)>,
    /// Bring all other replicas up to date.
    pub all: bool,
    /// Size that the client declared.
    pub size: Option<i64>,
}

impl After {
    /// The wishes of a call.
    ///
    /// # Errors
    /// `SYS_BAD_INPUT` for malformed lists, `SYS_INVALID_INPUT_PARAM` for a checksum of a kind that
    /// this zone does not compute.
    pub fn of(keywords: &KeyValPair) -> Result<Self, Failure> {
        let checksum = match (
            keywords.get(keywords::VERIFY_CHKSUM),
            keywords.has(keywords::REG_CHKSUM),
        ) {
            (Some(""), _) | (None, true) => Checksum::Register,
            (Some(expected), _) if Scheme::of(expected).is_some() => {
                Checksum::Verify(expected.to_owned())
            }
            (Some(other), _) => {
                return Err(Failure::new(
                    codes::SYS_INVALID_INPUT_PARAM,
                    format!("cannot compute checksums like {other:?}"),
                ));
            }
            (None, false) => Checksum::None,
        };
        let bad = |what: &str| Failure::new(codes::SYS_BAD_INPUT, format!("malformed {what}"));
        let avus = match keywords.get(keywords::METADATA_INCLUDED) {
            Some(text) => read_avus(text).ok_or_else(|| bad(keywords::METADATA_INCLUDED))?,
            None => Vec::new(),
        };
        let grants = match keywords.get(keywords::ACL_INCLUDED) {
            Some(text) => read_grants(text).ok_or_else(|| bad(keywords::ACL_INCLUDED))?,
            None => Vec::new(),
        };
        Ok(Self {
            checksum,
            avus,
            grants,
            all: keywords.has(keywords::ALL),
            size: None,
        })
    }

    /// Attaches the AVUs and gives the permissions.
    pub fn apply(&self, conn: &Connection, who: &Identity, path: &str) -> Result<()> {
        for avu in &self.avus {
            metadata::add(conn, who, EntityKind::DataObject, path, avu)?;
        }
        for (level, user) in &self.grants {
            let (name, zone) = crate::catalog::users::split_name(user);
            let change = Change::Grant {
                user: name.to_owned(),
                zone: zone.to_owned(),
                level: Level::parse(level)?,
            };
            access::modify(conn, who, path, &change, false)?;
        }
        Ok(())
    }

    /// The scheme of the checksum that the object gets; `renewed` if it gets one also where none was asked for.
    pub fn scheme(&self, renewed: bool) -> Option<Scheme> {
        match &self.checksum {
            Checksum::Verify(expected) => Scheme::of(expected),
            Checksum::Register => Some(Scheme::Sha2),
            Checksum::None => renewed.then_some(Scheme::Sha2),
        }
    }

    /// Whether [`After::apply`] has anything to do.
    pub fn has_extras(&self) -> bool {
        !self.avus.is_empty() || !self.grants.is_empty()
    }
}

/// `attribute;value;unit` triples; the last unit may be left out.
fn read_avus(text: &str) -> Option<Vec<Avu>> {
    let mut parts = split(text, ';');
    if parts.len() % 3 == 1 && parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    let avus = parts.chunks(3).map(|triple| match triple {
        [attribute, value, rest @ ..] if !attribute.is_empty() && !value.is_empty() => Some(Avu {
            attribute: attribute.clone(),
            value: value.clone(),
            units: rest.first().cloned().unwrap_or_default(),
        }),
        _ => None,
    });
    avus.collect()
}

/// `level user` pairs, joined by `;`.
fn read_grants(text: &str) -> Option<Vec<(String, String)>> {
    let mut entries = split(text, ';');
    if entries.last().is_some_and(String::is_empty) {
        entries.pop();
    }
    let grants = entries.iter().map(|entry| {
        let (level, user) = entry.split_once(' ')?;
        (!level.is_empty() && !user.is_empty() && !user.contains(' '))
            .then(|| (level.to_owned(), user.to_owned()))
    });
    grants.collect()
}

/// Splits at a separator that no backslash stands before.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => chars.next(),
            c if c == separator => {
                parts.push(String::new());
                continue;
            }
            c => Some(c),
        };
        if let (Some(c), Some(part)) = (c, parts.last_mut()) {
            part.push(c);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_the_lists_of_a_put() {
        let avu = |a: &str, v: &str, u: &str| Avu {
            attribute: a.into(),
            value: v.into(),
            units: u.into(),
        };
        assert_eq!(read_avus("a;b;c").unwrap(), [avu("a", "b", "c")]);
        assert_eq!(
            read_avus("a;b;;d;e").unwrap(),
            [avu("a", "b", ""), avu("d", "e", "")]
        );
        assert_eq!(read_avus(r"a\;b;c;;").unwrap(), [avu("a;b", "c", "")]);
        assert!(read_avus("a").is_none() && read_avus(";b;c").is_none());
        let grants = read_grants("read public;write alice#z").unwrap();
        assert_eq!(
            grants,
            [
                ("read".into(), "public".into()),
                ("write".into(), "alice#z".into())
            ]
        );
        for bad in ["read", "read  x", "public ", "read public; write alice"] {
            assert!(read_grants(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_checksum_of_an_unknown_kind_is_refused() {
        let of = |value: &str| After::of(&KeyValPair::new().with(keywords::VERIFY_CHKSUM, value));
        assert_eq!(of("").unwrap().checksum, Checksum::Register);
        assert_eq!(
            of("sha2:x").unwrap().checksum,
            Checksum::Verify("sha2:x".into())
        );
        assert_eq!(
            of("adler32:1").unwrap_err().code,
            codes::SYS_INVALID_INPUT_PARAM
        );
    }
}
