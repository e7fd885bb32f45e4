//! Columns of a catalog query (`GEN_QUERY`) and the flag bits that go with them.
//!
//! One table is the source of both the constants and the number <-> name look-ups, so they cannot
//! drift apart. Names are the ones that `iquest` takes (server source 4.3; 424 and 1013-1015 are of
//! 5.0). Numbers from [`FIRST_EXTENSION`] on belong to extensions of a zone's catalog and have no
//! name here. This module does not know how columns join; that is the catalog's business.

macro_rules! columns {
    ($($number:literal $name:ident),+ $(,)?) => {
        $(
            #[doc = concat!("Column ", stringify!($number), ", `", stringify!($name), "`.")]
            pub const $name: i32 = $number;
        )+

        /// Every known column as (number, name as in `iquest`), ascending by number.
        pub const COLUMNS: &[(i32, &str)] = &[$(($number, stringify!($name))),+];
    };
}

columns! {
    // Zones.
    101 ZONE_ID,
    102 ZONE_NAME,
    103 ZONE_TYPE,
    104 ZONE_CONNECTION,
    105 ZONE_COMMENT,
    106 ZONE_CREATE_TIME,
    107 ZONE_MODIFY_TIME,
    // Users.
    201 USER_ID,
    202 USER_NAME,
    203 USER_TYPE,
    204 USER_ZONE,
    206 USER_INFO,
    207 USER_COMMENT,
    208 USER_CREATE_TIME,
    209 USER_MODIFY_TIME,
    // Resources.
    301 RESC_ID,
    302 RESC_NAME,
    303 RESC_ZONE_NAME,
    304 RESC_TYPE_NAME,
    305 RESC_CLASS_NAME,
    306 RESC_LOC,
    307 RESC_VAULT_PATH,
    308 RESC_FREE_SPACE,
    309 RESC_INFO,
    310 RESC_COMMENT,
    311 RESC_CREATE_TIME,
    312 RESC_MODIFY_TIME,
    313 RESC_STATUS,
    314 RESC_FREE_SPACE_TIME,
    315 RESC_CHILDREN,
    316 RESC_CONTEXT,
    317 RESC_PARENT,
    318 RESC_PARENT_CONTEXT,
    319 RESC_MODIFY_TIME_MILLIS,
    // Replicas of data objects.
    401 DATA_ID,
    402 DATA_COLL_ID,
    403 DATA_NAME,
    404 DATA_REPL_NUM,
    405 DATA_VERSION,
    406 DATA_TYPE_NAME,
    407 DATA_SIZE,
    409 DATA_RESC_NAME,
    410 DATA_PATH,
    411 DATA_OWNER_NAME,
    412 DATA_OWNER_ZONE,
    413 DATA_REPL_STATUS,
    414 DATA_STATUS,
    415 DATA_CHECKSUM,
    416 DATA_EXPIRY,
    417 DATA_MAP_ID,
    418 DATA_COMMENTS,
    419 DATA_CREATE_TIME,
    420 DATA_MODIFY_TIME,
    421 DATA_MODE,
    422 DATA_RESC_HIER,
    423 DATA_RESC_ID,
    424 DATA_ACCESS_TIME,
    // Collections.
    500 COLL_ID,
    501 COLL_NAME,
    502 COLL_PARENT_NAME,
    503 COLL_OWNER_NAME,
    504 COLL_OWNER_ZONE,
    505 COLL_MAP_ID,
    506 COLL_INHERITANCE,
    507 COLL_COMMENTS,
    508 COLL_CREATE_TIME,
    509 COLL_MODIFY_TIME,
    510 COLL_TYPE,
    511 COLL_INFO_1,
    512 COLL_INFO_2,
    // Metadata (AVUs).
    600 META_DATA_ATTR_NAME,
    601 META_DATA_ATTR_VALUE,
    602 META_DATA_ATTR_UNITS,
    603 META_DATA_ATTR_ID,
    604 META_DATA_CREATE_TIME,
    605 META_DATA_MODIFY_TIME,
    610 META_COLL_ATTR_NAME,
    611 META_COLL_ATTR_VALUE,
    612 META_COLL_ATTR_UNITS,
    613 META_COLL_ATTR_ID,
    614 META_COLL_CREATE_TIME,
    615 META_COLL_MODIFY_TIME,
    620 META_NAMESPACE_COLL,
    621 META_NAMESPACE_DATA,
    622 META_NAMESPACE_RESC,
    623 META_NAMESPACE_USER,
    624 META_NAMESPACE_RESC_GROUP,
    625 META_NAMESPACE_RULE,
    626 META_NAMESPACE_MSRVC,
    627 META_NAMESPACE_MET2,
    630 META_RESC_ATTR_NAME,
    631 META_RESC_ATTR_VALUE,
    632 META_RESC_ATTR_UNITS,
    633 META_RESC_ATTR_ID,
    634 META_RESC_CREATE_TIME,
    635 META_RESC_MODIFY_TIME,
    640 META_USER_ATTR_NAME,
    641 META_USER_ATTR_VALUE,
    642 META_USER_ATTR_UNITS,
    643 META_USER_ATTR_ID,
    644 META_USER_CREATE_TIME,
    645 META_USER_MODIFY_TIME,
    650 META_RESC_GROUP_ATTR_NAME,
    651 META_RESC_GROUP_ATTR_VALUE,
    652 META_RESC_GROUP_ATTR_UNITS,
    653 META_RESC_GROUP_ATTR_ID,
    654 META_RESC_GROUP_CREATE_TIME,
    655 META_RESC_GROUP_MODIFY_TIME,
    660 META_RULE_ATTR_NAME,
    661 META_RULE_ATTR_VALUE,
    662 META_RULE_ATTR_UNITS,
    663 META_RULE_ATTR_ID,
    664 META_RULE_CREATE_TIME,
    665 META_RULE_MODIFY_TIME,
    670 META_MSRVC_ATTR_NAME,
    671 META_MSRVC_ATTR_VALUE,
    672 META_MSRVC_ATTR_UNITS,
    673 META_MSRVC_ATTR_ID,
    674 META_MSRVC_CREATE_TIME,
    675 META_MSRVC_MODIFY_TIME,
    680 META_MET2_ATTR_NAME,
    681 META_MET2_ATTR_VALUE,
    682 META_MET2_ATTR_UNITS,
    683 META_MET2_ATTR_ID,
    684 META_MET2_CREATE_TIME,
    685 META_MET2_MODIFY_TIME,
    // Permissions.
    700 DATA_ACCESS_TYPE,
    701 DATA_ACCESS_NAME,
    702 DATA_TOKEN_NAMESPACE,
    703 DATA_ACCESS_USER_ID,
    704 DATA_ACCESS_DATA_ID,
    710 COLL_ACCESS_TYPE,
    711 COLL_ACCESS_NAME,
    712 COLL_TOKEN_NAMESPACE,
    713 COLL_ACCESS_USER_ID,
    714 COLL_ACCESS_COLL_ID,
    720 RESC_ACCESS_TYPE,
    721 RESC_ACCESS_NAME,
    722 RESC_TOKEN_NAMESPACE,
    723 RESC_ACCESS_USER_ID,
    724 RESC_ACCESS_RESC_ID,
    730 META_ACCESS_TYPE,
    731 META_ACCESS_NAME,
    732 META_TOKEN_NAMESPACE,
    733 META_ACCESS_USER_ID,
    734 META_ACCESS_META_ID,
    740 RULE_ACCESS_TYPE,
    741 RULE_ACCESS_NAME,
    742 RULE_TOKEN_NAMESPACE,
    743 RULE_ACCESS_USER_ID,
    744 RULE_ACCESS_RULE_ID,
    750 MSRVC_ACCESS_TYPE,
    751 MSRVC_ACCESS_NAME,
    752 MSRVC_TOKEN_NAMESPACE,
    753 MSRVC_ACCESS_USER_ID,
    754 MSRVC_ACCESS_MSRVC_ID,
    // Groups.
    900 USER_GROUP_ID,
    901 USER_GROUP_NAME,
    // Delayed rules.
    1000 RULE_EXEC_ID,
    1001 RULE_EXEC_NAME,
    1002 RULE_EXEC_REI_FILE_PATH,
    1003 RULE_EXEC_USER_NAME,
    1004 RULE_EXEC_ADDRESS,
    1005 RULE_EXEC_TIME,
    1006 RULE_EXEC_FREQUENCY,
    1007 RULE_EXEC_PRIORITY,
    1008 RULE_EXEC_ESTIMATED_EXE_TIME,
    1009 RULE_EXEC_NOTIFICATION_ADDR,
    1010 RULE_EXEC_LAST_EXE_TIME,
    1011 RULE_EXEC_STATUS,
    1012 RULE_EXEC_CONTEXT,
    1013 RULE_EXEC_LOCK_HOST,
    1014 RULE_EXEC_LOCK_HOST_PID,
    1015 RULE_EXEC_LOCK_TIME,
    // Tokens.
    1100 TOKEN_NAMESPACE,
    1101 TOKEN_ID,
    1102 TOKEN_NAME,
    1103 TOKEN_VALUE,
    1104 TOKEN_VALUE2,
    1105 TOKEN_VALUE3,
    1106 TOKEN_COMMENT,
    // Audit trail.
    1200 AUDIT_OBJ_ID,
    1201 AUDIT_USER_ID,
    1202 AUDIT_ACTION_ID,
    1203 AUDIT_COMMENT,
    1204 AUDIT_CREATE_TIME,
    1205 AUDIT_MODIFY_TIME,
    // Users joined through access rows.
    1300 COLL_USER_NAME,
    1301 COLL_ZONE_NAME,
    1310 DATA_USER_NAME,
    1311 DATA_ZONE_NAME,
    1320 RESC_USER_NAME,
    1321 RESC_USER_ZONE,
    // Authentication names.
    1600 USER_AUTH_ID,
    1601 USER_DN,
    // Quotas.
    2000 QUOTA_USER_ID,
    2001 QUOTA_RESC_ID,
    2002 QUOTA_LIMIT,
    2003 QUOTA_OVER,
    2004 QUOTA_MODIFY_TIME,
    2010 QUOTA_USAGE_USER_ID,
    2011 QUOTA_USAGE_RESC_ID,
    2012 QUOTA_USAGE,
    2013 QUOTA_USAGE_MODIFY_TIME,
    2020 QUOTA_RESC_NAME,
    2021 QUOTA_USER_NAME,
    2022 QUOTA_USER_ZONE,
    2023 QUOTA_USER_TYPE,
    // Tickets.
    2200 TICKET_ID,
    2201 TICKET_STRING,
    2202 TICKET_TYPE,
    2203 TICKET_USER_ID,
    2204 TICKET_OBJECT_ID,
    2205 TICKET_OBJECT_TYPE,
    2206 TICKET_USES_LIMIT,
    2207 TICKET_USES_COUNT,
    2208 TICKET_EXPIRY,
    2209 TICKET_CREATE_TIME,
    2210 TICKET_MODIFY_TIME,
    2211 TICKET_WRITE_FILE_COUNT,
    2212 TICKET_WRITE_FILE_LIMIT,
    2213 TICKET_WRITE_BYTE_COUNT,
    2214 TICKET_WRITE_BYTE_LIMIT,
    2220 TICKET_ALLOWED_HOST_TICKET_ID,
    2221 TICKET_ALLOWED_HOST,
    2222 TICKET_ALLOWED_USER_TICKET_ID,
    2223 TICKET_ALLOWED_USER_NAME,
    2224 TICKET_ALLOWED_GROUP_TICKET_ID,
    2225 TICKET_ALLOWED_GROUP_NAME,
    2226 TICKET_DATA_NAME,
    2227 TICKET_DATA_COLL_NAME,
    2228 TICKET_COLL_NAME,
    2229 TICKET_OWNER_NAME,
    2230 TICKET_OWNER_ZONE,
}

/// First column number that is reserved for extensions of a zone's catalog.
pub const FIRST_EXTENSION: i32 = 10_001;

/// Pseudo columns that carry side information in the tables of bulk calls; they are not in the
/// catalog and a query for them fails.
pub mod pseudo {
    /// End offset of a file inside the byte stream of a bulk put, decimal text.
    pub const OFFSET: i32 = 999_998;
    /// `register` or `modify`, per row of a bulk registration.
    pub const OPERATION: i32 = 999_999;
    /// First column of the process table that `PROC_STAT` answers with.
    pub const PROCESS_FIRST: i32 = 1_000_001;
}

/// What a query wants of a selected column: the low bits of the value beside the column number.
/// Values 0 and 1 both mean the plain column. Any aggregate groups by the plain columns.
pub mod select {
    /// The plain column.
    pub const PLAIN: i32 = 1;
    /// Smallest value.
    pub const MIN: i32 = 2;
    /// Largest value.
    pub const MAX: i32 = 3;
    /// Sum of the values.
    pub const SUM: i32 = 4;
    /// Average of the values.
    pub const AVG: i32 = 5;
    /// Number of values.
    pub const COUNT: i32 = 6;
    /// Mask of the aggregate in a select value; the rest is ordering.
    pub const AGGREGATE_MASK: i32 = 0xff;
    /// Order ascending by this column; several apply in order of appearance.
    pub const ORDER_ASC: i32 = 0x400;
    /// Order descending by this column.
    pub const ORDER_DESC: i32 = 0x800;
}

/// Bits of the `options` field of a query.
pub mod option {
    /// Fill `totalRowCount` of the answer.
    pub const RETURN_TOTAL_ROW_COUNT: i32 = 0x20;
    /// Leave out the `DISTINCT` that every query has otherwise.
    pub const NO_DISTINCT: i32 = 0x40;
    /// Quota query (answered by rules of its own on a real server).
    pub const QUOTA_QUERY: i32 = 0x80;
    /// Close the statement after this page; the answer's `continueInx` is -1 if there may be more.
    pub const AUTO_CLOSE: i32 = 0x100;
    /// Compare with the upper-cased column.
    pub const UPPER_CASE_WHERE: i32 = 0x200;
}

/// Most columns that one query can select (size of the result's slot array).
pub const MAX_SELECTED: usize = 50;
/// Rows per page that the C++ clients ask for.
pub const DEFAULT_ROWS: i32 = 256;

/// Name of a column number, if it is a column of the catalog proper.
#[must_use]
pub fn name_of(column: i32) -> Option<&'static str> {
    let at = COLUMNS
        .binary_search_by_key(&column, |&(number, _)| number)
        .ok()?;
    COLUMNS.get(at).map(|&(_, name)| name)
}

/// Number of a column name; ASCII case is ignored, as `iquest` upper-cases what it is given.
#[must_use]
pub fn number_of(name: &str) -> Option<i32> {
    COLUMNS
        .iter()
        .find(|(_, known)| known.eq_ignore_ascii_case(name))
        .map(|&(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_free_of_duplicates() {
        assert!(COLUMNS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let mut names: Vec<_> = COLUMNS.iter().map(|(_, name)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COLUMNS.len());
    }

    #[test]
    fn looks_up_both_ways() {
        for &(number, name) in COLUMNS {
            assert_eq!(name_of(number), Some(name));
            assert_eq!(number_of(name), Some(number));
        }
        assert_eq!(number_of("coll_name"), Some(COLL_NAME));
        assert_eq!(
            name_of(408),
            None,
            "the resource group column is gone since 4.1"
        );
        assert_eq!(name_of(FIRST_EXTENSION), None);
        assert_eq!(number_of(""), None);
    }
}
