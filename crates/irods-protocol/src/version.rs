//! A server's release, and what changed at which one.
//!
//! Every rule that depends on the peer's version is a named predicate here, so that no other place
//! compares numbers. Sources: servers 4.2.8, 4.2.12, 4.3.0, 4.3.4 and 5.0.2, recordings of 5.0.90.

use std::fmt;
use std::str::FromStr;

/// A release as three numbers, ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First number.
    pub major: u16,
    /// Second number.
    pub minor: u16,
    /// Third number.
    pub patch: u16,
}

/// A text that is no release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no iRODS version (expected the form rods4.3.4)")]
pub struct VersionError(pub String);

impl Version {
    /// A release from its numbers.
    #[must_use]
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Whether this is `major.minor.patch` or later.
    #[must_use]
    pub const fn at_least(self, major: u16, minor: u16, patch: u16) -> bool {
        let (a, b, c) = (self.major, self.minor, self.patch);
        a > major || (a == major && (b > minor || (b == minor && c >= patch)))
    }

    /// The form of the startup and version messages, `rods4.3.4`.
    #[must_use]
    pub fn to_wire(self) -> String {
        format!("rods{self}")
    }

    /// `&apos;` stands for an apostrophe, both ways. Before, the entity meant a backtick and the
    /// apostrophe went as it is.
    #[must_use]
    pub const fn xml_apostrophe_fixed(self) -> bool {
        self.at_least(4, 2, 9)
    }

    /// The JSON calls take their text in base64 (`BinBytesBuf_PI`); before, raw (`BytesBuf_PI`).
    #[must_use]
    pub const fn json_apis_use_bin_bytes(self) -> bool {
        self.at_least(4, 2, 9)
    }

    /// Calls 20001 and 20002 exist (modify info, atomic metadata).
    #[must_use]
    pub const fn has_atomic_metadata(self) -> bool {
        self.at_least(4, 2, 8)
    }

    /// Calls 20003-20008 exist: open and close of a replica, atomic ACLs, touch, registration that
    /// answers with the replica.
    #[must_use]
    pub const fn has_replica_open(self) -> bool {
        self.at_least(4, 2, 9)
    }

    /// Replicas in flight have states 2 and 4 and are opened again with a token, which is what a
    /// put over several connections needs.
    #[must_use]
    pub const fn has_replica_tokens(self) -> bool {
        self.at_least(4, 2, 9)
    }

    /// Opening for creation truncates an existing object without asking for `forceFlag`.
    #[must_use]
    pub const fn create_truncates(self) -> bool {
        self.at_least(4, 2, 9)
    }

    /// `ticketAdminInp_PI` ends with a `KeyValPair_PI`.
    #[must_use]
    pub const fn ticket_input_has_keywords(self) -> bool {
        self.at_least(4, 2, 11)
    }

    /// Log-in goes through call 110000; 703 and 704 remain as a second way.
    #[must_use]
    pub const fn has_auth_framework(self) -> bool {
        self.at_least(4, 3, 0)
    }

    /// A call that the server does not know is answered (with -12000). Later servers say nothing,
    /// or close, so that calls have to be gated by the predicates here.
    #[must_use]
    pub const fn answers_unknown_api(self) -> bool {
        !self.at_least(4, 3, 0)
    }

    /// `MiscSvrInfo_PI` ends with certificate information.
    #[must_use]
    pub const fn misc_server_info_has_certificate(self) -> bool {
        self.at_least(4, 3, 0)
    }

    /// Permission names have underscores (`read_object`); before, blanks.
    #[must_use]
    pub const fn access_names_have_underscores(self) -> bool {
        self.at_least(4, 3, 0)
    }

    /// Permission levels between read and own can be granted by name.
    #[must_use]
    pub const fn has_granular_permissions(self) -> bool {
        self.at_least(4, 3, 0)
    }

    /// Tickets have times of creation and modification (columns 2209, 2210).
    #[must_use]
    pub const fn has_ticket_times(self) -> bool {
        self.at_least(4, 3, 0)
    }

    /// A connection can change its user without a new log-in (20012); calls 800, 801 and 10220
    /// came along.
    #[must_use]
    pub const fn has_switch_user(self) -> bool {
        self.at_least(4, 3, 1)
    }

    /// A bulk put with `forceFlag` is refused (-402000).
    #[must_use]
    pub const fn bulk_put_refuses_force(self) -> bool {
        self.at_least(4, 3, 1)
    }

    /// SQL-like catalog queries (10221) exist.
    #[must_use]
    pub const fn has_genquery2(self) -> bool {
        self.at_least(4, 3, 2)
    }

    /// Truncation of one replica without opening it (802) exists.
    #[must_use]
    pub const fn has_replica_truncate(self) -> bool {
        self.at_least(4, 3, 2)
    }

    /// `rm group` is understood.
    #[must_use]
    pub const fn has_remove_group(self) -> bool {
        self.at_least(4, 3, 2)
    }

    /// Groups are made by `add group`, and `add user` refuses the type `rodsgroup`.
    #[must_use]
    pub const fn group_admin_verbs(self) -> bool {
        self.at_least(4, 3, 4)
    }

    /// `DataObjInfo_PI` ends with `dataAccessTime`, and column 424 exists. In native packing the
    /// field must be left out for an older peer.
    #[must_use]
    pub const fn data_obj_info_has_access_time(self) -> bool {
        self.at_least(5, 0, 0)
    }

    /// Calls 682 and 699 (lock and unlock) exist; 5.0 removed them.
    #[must_use]
    pub const fn has_lock_calls(self) -> bool {
        !self.at_least(5, 0, 0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// Reads `rods4.3.4`; also without the prefix, with fewer numbers (missing ones are 0), and
    /// with anything behind the third number, such as `-rc1` of a build.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError(text.chars().take(64).collect());
        let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        let mut rest = trimmed.strip_prefix("rods").unwrap_or(trimmed);
        let mut numbers = [0_u16; 3];
        for (at, number) in numbers.iter_mut().enumerate() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            let (digits, tail) = rest.split_at(end);
            *number = digits.parse().map_err(|_| error())?;
            match tail.strip_prefix('.') {
                Some(next) if at < 2 && next.starts_with(|c: char| c.is_ascii_digit()) => {
                    rest = next
                }
                _ => break,
            }
        }
        let [major, minor, patch] = numbers;
        Ok(Self {
            major,
            minor,
            patch,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn reads_what_servers_announce() {
        assert_eq!(version("rods4.3.4"), Version::new(4, 3, 4));
        assert_eq!(version("rods5.0.90"), Version::new(5, 0, 90));
        assert_eq!(version("4.2.12"), Version::new(4, 2, 12));
        assert_eq!(version("rods4.3"), Version::new(4, 3, 0));
        assert_eq!(version("rods4.3.0-rc1\0"), Version::new(4, 3, 0));
        assert_eq!(version("rods4.3.4.1"), Version::new(4, 3, 4));
        assert_eq!(version("rods4."), Version::new(4, 0, 0));
        for bad in ["", "rods", "rods.4", "v4.3", "rods99999999.1.1", "-4.3.0"] {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
        assert_eq!(version("rods5.0.2").to_wire(), "rods5.0.2");
    }

    #[test]
    fn orders_by_number_and_not_by_text() {
        assert!(version("rods4.2.12") > version("rods4.2.9"));
        assert!(version("rods4.3.0") > version("rods4.2.12"));
        assert!(version("rods5.0.0") > version("rods4.9.9"));
        for (a, b) in [
            ("4.2.12", "4.2.9"),
            ("4.3.0", "4.2.12"),
            ("5.0.0", "4.3.4"),
            ("4.3.4", "4.3.4"),
        ] {
            let b = version(b);
            assert!(version(a).at_least(b.major, b.minor, b.patch));
        }
        assert!(!version("4.2.9").at_least(4, 2, 12));
    }

    #[test]
    fn predicates_switch_at_their_release() {
        let old = version("rods4.2.8");
        assert!(old.has_atomic_metadata() && old.answers_unknown_api() && old.has_lock_calls());
        assert!(!old.xml_apostrophe_fixed() && !old.json_apis_use_bin_bytes());
        assert!(version("rods4.2.9").has_replica_open());
        assert!(!version("rods4.2.12").has_auth_framework());
        assert!(version("rods4.3.0").has_auth_framework());
        assert!(!version("rods4.3.3").group_admin_verbs());
        let new = version("rods5.0.90");
        assert!(new.data_obj_info_has_access_time() && new.group_admin_verbs());
        assert!(new.has_genquery2() && !new.has_lock_calls());
    }
}
