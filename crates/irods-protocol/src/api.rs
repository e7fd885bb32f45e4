//! API numbers: what a request asks for, who may ask, and since which release.
//!
//! One table is the source of the constants and of the look-ups. Privilege and allowlist are what
//! real servers enforce (server source 4.2.8 to 5.0.2); whether the call then succeeds is the
//! handler's business. Calls that 5.0 removed are not listed.

use crate::version::Version;

/// What a connection must be to make a call, weakest first. The numbers are iRODS's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Privilege {
    /// Nothing: callable before log-in.
    None = 0,
    /// Anybody who logged in, also anonymously.
    Public = 1,
    /// Any user, also of another zone.
    RemoteUser = 2,
    /// A user of this zone.
    LocalUser = 3,
    /// An administrator, also of another zone.
    RemoteAdmin = 4,
    /// An administrator (`rodsadmin`) of this zone.
    LocalAdmin = 5,
}

/// One API call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Api {
    /// The number in `intInfo` of a request.
    pub number: i32,
    /// iRODS's name, without its suffix `_AN`.
    pub name: &'static str,
    /// Least privilege; below it the answer is `SYS_NO_API_PRIV` (-13000).
    pub privilege: Privilege,
    /// Whether the client API allowlist of a stock server has it. Where not, everybody but a
    /// `rodsadmin` gets -13000 whatever the privilege says.
    pub allowlisted: bool,
    /// First release with this call, [`OLDEST`] for what was there before.
    pub since: Version,
}

/// The oldest release that this crate speaks to.
pub const OLDEST: Version = Version::new(4, 2, 0);

macro_rules! apis {
    ($($number:literal $name:ident $privilege:ident $allow:ident ($major:literal, $minor:literal, $patch:literal)),+ $(,)?) => {
        $(
            #[doc = concat!("API ", stringify!($number), ", `", stringify!($name), "`.")]
            pub const $name: i32 = $number;
        )+

        /// Every known call, ascending by number.
        pub const APIS: &[Api] = &[$(Api {
            number: $number,
            name: stringify!($name),
            privilege: Privilege::$privilege,
            allowlisted: apis!(@allow $allow),
            since: Version::new($major, $minor, $patch),
        }),+];
    };
    (@allow listed) => { true };
    (@allow unlisted) => { false };
}

apis! {
    601 DATA_OBJ_CREATE RemoteUser listed (4, 2, 0),
    602 DATA_OBJ_OPEN RemoteUser listed (4, 2, 0),
    606 DATA_OBJ_PUT RemoteUser listed (4, 2, 0),
    608 DATA_OBJ_GET RemoteUser listed (4, 2, 0),
    615 DATA_OBJ_UNLINK RemoteUser listed (4, 2, 0),
    619 REG_DATA_OBJ RemoteUser listed (4, 2, 0),
    620 UNREG_DATA_OBJ RemoteUser listed (4, 2, 0),
    621 REG_REPLICA RemoteUser listed (4, 2, 0),
    622 MOD_DATA_OBJ_META RemoteUser unlisted (4, 2, 0),
    625 EXEC_MY_RULE RemoteUser listed (4, 2, 0),
    626 OPR_COMPLETE RemoteUser listed (4, 2, 0),
    627 DATA_OBJ_RENAME RemoteUser listed (4, 2, 0),
    628 DATA_OBJ_RSYNC RemoteUser listed (4, 2, 0),
    629 DATA_OBJ_CHKSUM RemoteUser listed (4, 2, 0),
    630 PHY_PATH_REG RemoteUser listed (4, 2, 0),
    632 DATA_OBJ_TRIM RemoteUser listed (4, 2, 0),
    633 OBJ_STAT RemoteUser listed (4, 2, 0),
    645 QUERY_SPEC_COLL RemoteUser listed (4, 2, 0),
    652 DATA_OBJ_TRUNCATE RemoteUser listed (4, 2, 0),
    661 CLOSE_COLLECTION RemoteUser listed (4, 2, 0),
    667 CHK_OBJ_PERM_AND_STAT RemoteUser listed (4, 2, 0),
    669 DATA_OBJ_OPEN_AND_STAT RemoteUser listed (4, 2, 0),
    672 DATA_OBJ_CREATE_AND_STAT RemoteUser listed (4, 2, 0),
    673 DATA_OBJ_CLOSE RemoteUser listed (4, 2, 0),
    674 DATA_OBJ_LSEEK RemoteUser listed (4, 2, 0),
    675 DATA_OBJ_READ RemoteUser listed (4, 2, 0),
    676 DATA_OBJ_WRITE RemoteUser listed (4, 2, 0),
    677 COLL_REPL RemoteUser listed (4, 2, 0),
    678 OPEN_COLLECTION RemoteUser listed (4, 2, 0),
    679 RM_COLL RemoteUser listed (4, 2, 0),
    680 MOD_COLL RemoteUser listed (4, 2, 0),
    681 COLL_CREATE RemoteUser listed (4, 2, 0),
    683 REG_COLL RemoteUser listed (4, 2, 0),
    686 GET_HOST_FOR_PUT RemoteUser listed (4, 2, 0),
    687 GET_RESC_QUOTA RemoteUser listed (4, 2, 0),
    688 BULK_DATA_OBJ_REG RemoteUser listed (4, 2, 0),
    689 BULK_DATA_OBJ_PUT RemoteUser listed (4, 2, 0),
    690 PROC_STAT RemoteUser listed (4, 2, 0),
    694 GET_HOST_FOR_GET RemoteUser listed (4, 2, 0),
    695 DATA_OBJ_REPL RemoteUser listed (4, 2, 0),
    696 DATA_OBJ_COPY RemoteUser listed (4, 2, 0),
    697 DATA_OBJ_PHYMV RemoteUser listed (4, 2, 0),
    700 GET_MISC_SVR_INFO None listed (4, 2, 0),
    701 GENERAL_ADMIN LocalAdmin listed (4, 2, 0),
    702 GEN_QUERY RemoteUser listed (4, 2, 0),
    703 AUTH_REQUEST None listed (4, 2, 0),
    704 AUTH_RESPONSE None listed (4, 2, 0),
    705 AUTH_CHECK None listed (4, 2, 0),
    706 MOD_AVU_METADATA RemoteUser listed (4, 2, 0),
    707 MOD_ACCESS_CONTROL RemoteUser listed (4, 2, 0),
    709 GET_TEMP_PASSWORD RemoteUser listed (4, 2, 0),
    713 READ_COLLECTION RemoteUser listed (4, 2, 0),
    714 USER_ADMIN RemoteUser listed (4, 2, 0),
    718 END_TRANSACTION RemoteUser unlisted (4, 2, 0),
    722 SPECIFIC_QUERY RemoteUser listed (4, 2, 0),
    723 TICKET_ADMIN RemoteUser listed (4, 2, 0),
    724 GET_TEMP_PASSWORD_FOR_OTHER LocalAdmin listed (4, 2, 0),
    725 PAM_AUTH_REQUEST None listed (4, 2, 0),
    726 GET_LIMITED_PASSWORD RemoteUser listed (4, 2, 0),
    800 CHECK_AUTH_CREDENTIALS LocalAdmin listed (4, 3, 1),
    801 GET_LIBRARY_FEATURES None listed (4, 3, 1),
    802 REPLICA_TRUNCATE RemoteUser listed (4, 3, 2),
    1100 SSL_START None listed (4, 2, 0),
    1101 SSL_END None listed (4, 2, 0),
    1201 AUTH_PLUG_REQ None listed (4, 2, 0),
    1203 GET_HIER_FOR_RESC None listed (4, 2, 0),
    1204 GET_HIER_FROM_LEAF_ID RemoteUser listed (4, 2, 0),
    10204 SERVER_REPORT LocalAdmin listed (4, 2, 0),
    10205 ZONE_REPORT LocalAdmin listed (4, 2, 0),
    10215 CLIENT_HINTS RemoteUser listed (4, 2, 0),
    10220 GET_RESOURCE_INFO_FOR_OPERATION RemoteUser listed (4, 3, 1),
    10221 GENQUERY2 RemoteUser listed (4, 3, 2),
    20000 GET_FILE_DESCRIPTOR_INFO RemoteUser listed (4, 2, 0),
    20001 DATA_OBJECT_MODIFY_INFO RemoteUser listed (4, 2, 8),
    20002 ATOMIC_APPLY_METADATA_OPERATIONS RemoteUser listed (4, 2, 8),
    20003 REPLICA_OPEN RemoteUser listed (4, 2, 9),
    20004 REPLICA_CLOSE RemoteUser listed (4, 2, 9),
    20005 ATOMIC_APPLY_ACL_OPERATIONS RemoteUser listed (4, 2, 9),
    20006 DATA_OBJECT_FINALIZE RemoteUser unlisted (4, 2, 9),
    20007 TOUCH RemoteUser listed (4, 2, 9),
    20008 REGISTER_PHYSICAL_PATH RemoteUser listed (4, 2, 9),
    20009 GET_GRID_CONFIGURATION_VALUE LocalAdmin listed (4, 2, 9),
    20010 SET_GRID_CONFIGURATION_VALUE LocalAdmin listed (4, 2, 9),
    20012 SWITCH_USER None listed (4, 3, 1),
    110000 AUTHENTICATION None listed (4, 3, 0),
}

/// The call of a number.
#[must_use]
pub fn by_number(number: i32) -> Option<&'static Api> {
    let at = APIS.binary_search_by_key(&number, |api| api.number).ok()?;
    APIS.get(at)
}

/// Name of a call for logs; `None` for a number that is no known call.
#[must_use]
pub fn name_of(number: i32) -> Option<&'static str> {
    by_number(number).map(|api| api.name)
}

impl Api {
    /// Whether a server of that release has the call. Ask before calling: a server from 4.3.0 on
    /// does not answer a call that it does not know.
    #[must_use]
    pub fn exists_in(&self, server: Version) -> bool {
        server >= self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_free_of_duplicates() {
        assert!(APIS.windows(2).all(|pair| pair[0].number < pair[1].number));
        for api in APIS {
            assert_eq!(by_number(api.number), Some(api));
            assert!(api.since >= OLDEST);
        }
        assert_eq!(by_number(99_999), None);
        assert_eq!(name_of(DATA_OBJ_OPEN), Some("DATA_OBJ_OPEN"));
    }

    #[test]
    fn before_login_only_what_login_needs() {
        let open: Vec<i32> = APIS
            .iter()
            .filter(|api| api.privilege == Privilege::None)
            .map(|api| api.number)
            .collect();
        assert_eq!(
            open,
            [
                700, 703, 704, 705, 725, 801, 1100, 1101, 1201, 1203, 20012, 110_000
            ]
        );
    }

    #[test]
    fn some_calls_are_for_administrators_although_their_privilege_is_a_users() {
        let closed: Vec<i32> = APIS
            .iter()
            .filter(|api| !api.allowlisted)
            .map(|api| api.number)
            .collect();
        assert_eq!(
            closed,
            [MOD_DATA_OBJ_META, END_TRANSACTION, DATA_OBJECT_FINALIZE]
        );
    }

    #[test]
    fn calls_are_gated_by_release() {
        let exists = |number, major, minor, patch| {
            by_number(number).is_some_and(|api| api.exists_in(Version::new(major, minor, patch)))
        };
        assert!(exists(TOUCH, 4, 2, 9) && !exists(TOUCH, 4, 2, 8));
        assert!(exists(GENQUERY2, 5, 0, 90) && !exists(GENQUERY2, 4, 3, 1));
        assert!(exists(GEN_QUERY, 4, 2, 0));
    }
}
