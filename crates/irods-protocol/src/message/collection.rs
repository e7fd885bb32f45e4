//! Collections.

use super::{KeyValPair, SpecColl};
use crate::limits::MAX_NAME_LEN;
use crate::pack::pi;

pi! {
    /// Input of the calls on collections.
    CollInpNew "CollInpNew_PI" {
        coll_name "collName" (str MAX_NAME_LEN),
        flags "flags" (int),
        opr_type "oprType" (int),
        cond_input "KeyValPair_PI" (struct KeyValPair),
    }

    /// Progress and result of recursive calls.
    CollOprStat "CollOprStat_PI" {
        files_cnt "filesCnt" (int),
        total_file_cnt "totalFileCnt" (int),
        bytes_written "bytesWritten" (double),
        last_obj_path "lastObjPath" (str MAX_NAME_LEN),
    }

    /// One entry of an open collection.
    CollEnt "CollEnt_PI" {
        obj_type "objType" (int),
        repl_num "replNum" (int),
        repl_status "replStatus" (int),
        data_mode "dataMode" (int),
        data_size "dataSize" (double),
        coll_name "collName" (strptr),
        data_name "dataName" (strptr),
        data_id "dataId" (strptr),
        create_time "createTime" (strptr),
        modify_time "modifyTime" (strptr),
        chksum "chksum" (strptr),
        resource "resource" (strptr),
        resc_hier "resc_hier" (strptr),
        phy_path "phyPath" (strptr),
        owner_name "ownerName" (strptr),
        data_type "dataType" (strptr),
        spec_coll "SpecColl_PI" (struct SpecColl),
    }
}
