//! Resource hierarchies, hosts and other information.

use super::KeyValPair;
use crate::limits::{LONG_NAME_LEN, MAX_NAME_LEN, NAME_LEN};
use crate::pack::pi;

pi! {
    /// A resource name, API 1203.
    GetHierarchyForRescInp "GetHierarchyForRescInp_PI" {
        resc_name "resc_name_" (str MAX_NAME_LEN),
    }

    /// Its hierarchy, API 1203.
    GetHierarchyForRescOut "GetHierarchyForRescOut_PI" {
        resc_hier "resc_hier_" (str MAX_NAME_LEN),
    }

    /// A leaf resource's id, API 1204.
    GetHierFromLeafIdInp "GetHierarchyFromLeafIdInp_PI" {
        resc_id "resc_id_" (double),
    }

    /// Server processes, API 690.
    ProcStatInp "ProcStatInp_PI" {
        addr "addr" (str LONG_NAME_LEN),
        rods_zone "rodsZone" (str NAME_LEN),
        cond_input "KeyValPair_PI" (struct KeyValPair),
    }

    /// TLS start and end, APIs 1100 and 1101.
    SslInp "sslStartInp_PI" {
        arg0 "arg0" (strptr),
    }
}
