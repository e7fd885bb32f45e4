//! Data objects: opening, reading, writing, putting, copying, stat.

use super::{BinBytesBuf, KeyValPair};
use crate::error::{PackError, UnpackError};
use crate::limits::{CHKSUM_LEN, LONG_NAME_LEN, MAX_NAME_LEN, NAME_LEN, SHORT_STR_LEN, TIME_LEN};
use crate::pack::{Packer, Pi, Unpacker, pi};

pi! {
    /// Input of most calls on a data object.
    DataObjInp "DataObjInp_PI" {
        obj_path "objPath" (str MAX_NAME_LEN),
        create_mode "createMode" (int),
        open_flags "openFlags" (int),
        offset "offset" (double),
        data_size "dataSize" (double),
        num_threads "numThreads" (int),
        opr_type "oprType" (int),
        spec_coll "SpecColl_PI" (structptr SpecColl),
        cond_input "KeyValPair_PI" (struct KeyValPair),
    }

    /// A special collection (mount point, link, structured file).
    SpecColl "SpecColl_PI" {
        coll_class "collClass" (int),
        kind "type" (int),
        collection "collection" (str MAX_NAME_LEN),
        obj_path "objPath" (str MAX_NAME_LEN),
        resource "resource" (str NAME_LEN),
        resc_hier "rescHier" (str MAX_NAME_LEN),
        phy_path "phyPath" (str MAX_NAME_LEN),
        cache_dir "cacheDir" (str MAX_NAME_LEN),
        cache_dirty "cacheDirty" (int),
        repl_num "replNum" (int),
    }

    /// Calls on an open replica: read, write, seek, close.
    OpenedDataObjInp "OpenedDataObjInp_PI" {
        l1desc_inx "l1descInx" (int),
        len "len" (int),
        whence "whence" (int),
        opr_type "oprType" (int),
        offset "offset" (double),
        bytes_written "bytesWritten" (double),
        cond_input "KeyValPair_PI" (struct KeyValPair),
    }

    /// Copy and rename: source, then destination.
    DataObjCopyInp "DataObjCopyInp_PI" {
        source "source" (struct DataObjInp),
        destination "destination" (struct DataObjInp),
    }

    /// Result of a seek.
    FileLseekOut "fileLseekOut_PI" {
        offset "offset" (double),
    }

    /// Result of replicate, copy and move.
    TransferStat "TransferStat_PI" {
        num_threads "numThreads" (int),
        flags "flags" (int),
        bytes_written "bytesWritten" (double),
    }

    /// Result of put and get: where the bytes go over which ports. `numThreads` 0: over this connection.
    PortalOprOut "PortalOprOut_PI" {
        status "status" (int),
        l1desc_inx "l1descInx" (int),
        num_threads "numThreads" (int),
        chksum "chksum" (str CHKSUM_LEN),
        port_list "PortList_PI" (struct PortList),
    }

    /// Ports of a portal transfer.
    PortList "PortList_PI" {
        port_num "portNum" (int),
        cookie "cookie" (int),
        sock "sock" (int),
        window_size "windowSize" (int),
        host_addr "hostAddr" (str LONG_NAME_LEN),
    }

    /// Result of `OBJ_STAT`. Times are decimal seconds as stored.
    RodsObjStat "RodsObjStat_PI" {
        obj_size "objSize" (double),
        obj_type "objType" (int),
        data_mode "dataMode" (int),
        data_id "dataId" (str NAME_LEN),
        chksum "chksum" (str NAME_LEN),
        owner_name "ownerName" (str NAME_LEN),
        owner_zone "ownerZone" (str NAME_LEN),
        create_time "createTime" (str TIME_LEN),
        modify_time "modifyTime" (str TIME_LEN),
        spec_coll "SpecColl_PI" (structptr SpecColl),
    }

    /// Result of open-and-stat.
    OpenStat "OpenStat_PI" {
        data_size "dataSize" (double),
        data_type "dataType" (str NAME_LEN),
        data_mode "dataMode" (str SHORT_STR_LEN),
        l3desc_inx "l3descInx" (int),
        repl_status "replStatus" (int),
        resc_type_inx "rescTypeInx" (int),
        repl_num "replNum" (int),
    }

    /// Changing a replica's row.
    ModDataObjMeta "ModDataObjMeta_PI" {
        data_obj_info "DataObjInfo_PI" (structptr DataObjInfo),
        reg_param "KeyValPair_PI" (structptr KeyValPair),
    }

    /// Removing a replica's row.
    UnregDataObj "UnregDataObj_PI" {
        data_obj_info "DataObjInfo_PI" (structptr DataObjInfo),
        cond_input "KeyValPair_PI" (structptr KeyValPair),
    }

    /// Adding a replica's row: source, then destination. The packing instruction has pointers here; in XML, where both
    /// have one name, a null one could not be told from the other, so neither may be null.
    RegReplica "RegReplica_PI" {
        source "DataObjInfo_PI" (struct DataObjInfo),
        destination "DataObjInfo_PI" (struct DataObjInfo),
        cond_input "KeyValPair_PI" (struct KeyValPair),
    }

    /// Server information. `cert_info` is there from 4.3 on.
    MiscSvrInfoBase "MiscSvrInfo_PI" {
        server_type "serverType" (int),
        server_boot_time "serverBootTime" (int),
        rel_version "relVersion" (str NAME_LEN),
        api_version "apiVersion" (str NAME_LEN),
        rods_zone "rodsZone" (str NAME_LEN),
    }

    /// Server information as 4.3 and later send it.
    MiscSvrInfo "MiscSvrInfo_PI" {
        server_type "serverType" (int),
        server_boot_time "serverBootTime" (int),
        rel_version "relVersion" (str NAME_LEN),
        api_version "apiVersion" (str NAME_LEN),
        rods_zone "rodsZone" (str NAME_LEN),
        cert_info "BinBytesBuf_PI" (struct BinBytesBuf),
    }
}

macro_rules! data_obj_info {
    ($( $field:ident $wire:literal ($($kind:tt)+) ),* $(,)?) => {
        /// `DataObjInfo_PI`: one replica's row.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct DataObjInfo {
            $(
                #[doc = concat!("`", $wire, "`")]
                pub $field: $crate::pack::pi_type!($($kind)+),
            )*
            /// `dataAccessTime`, last field from 5.0 on.
            pub data_access_time: String,
        }

        impl Pi for DataObjInfo {
            const NAME: &'static str = "DataObjInfo_PI";

            fn pack(&self, packer: &mut Packer) -> Result<(), PackError> {
                packer.begin(Self::NAME, |p| {
                    $( $crate::pack::pi_pack!(p, self.$field, $wire, $($kind)+); )*
                    if p.packing().access_time {
                        p.text("dataAccessTime", TIME_LEN, self.data_access_time.as_bytes())?;
                    }
                    Ok(())
                })
            }

            fn unpack(unpacker: &mut Unpacker<'_>) -> Result<Self, UnpackError> {
                unpacker.begin(Self::NAME, |u| {
                    Ok(DataObjInfo {
                        $( $field: $crate::pack::pi_unpack!(u, $wire, $($kind)+), )*
                        data_access_time: if u.packing().access_time {
                            u.trailing_text("dataAccessTime", TIME_LEN)?
                        } else {
                            String::new()
                        },
                    })
                })
            }
        }

        #[cfg(test)]
        impl crate::sample::Sample for DataObjInfo {
            fn sample(source: &mut crate::sample::Source) -> Self {
                DataObjInfo {
                    $( $field: crate::sample::pi_sample!(source, $($kind)+), )*
                    data_access_time: String::new(),
                }
            }
        }
    };
}

data_obj_info! {
    obj_path "objPath" (str MAX_NAME_LEN),
    resc_name "rescName" (str NAME_LEN),
    resc_hier "rescHier" (str MAX_NAME_LEN),
    data_type "dataType" (str NAME_LEN),
    data_size "dataSize" (double),
    chksum "chksum" (str NAME_LEN),
    version "version" (str NAME_LEN),
    file_path "filePath" (str MAX_NAME_LEN),
    data_owner_name "dataOwnerName" (str NAME_LEN),
    data_owner_zone "dataOwnerZone" (str NAME_LEN),
    repl_num "replNum" (int),
    repl_status "replStatus" (int),
    status_string "statusString" (str NAME_LEN),
    data_id "dataId" (double),
    coll_id "collId" (double),
    data_map_id "dataMapId" (int),
    flags "flags" (int),
    data_comments "dataComments" (str LONG_NAME_LEN),
    data_mode "dataMode" (str SHORT_STR_LEN),
    data_expiry "dataExpiry" (str TIME_LEN),
    data_create "dataCreate" (str TIME_LEN),
    data_modify "dataModify" (str TIME_LEN),
    data_access "dataAccess" (str NAME_LEN),
    data_access_inx "dataAccessInx" (int),
    write_flag "writeFlag" (int),
    dest_resc_name "destRescName" (str NAME_LEN),
    backup_resc_name "backupRescName" (str NAME_LEN),
    sub_path "subPath" (str MAX_NAME_LEN),
    spec_coll "specColl" (intptr),
    reg_uid "regUid" (int),
    other_flags "otherFlags" (int),
    cond_input "KeyValPair_PI" (struct KeyValPair),
    in_pdmo "in_pdmo" (str MAX_NAME_LEN),
    next "next" (intptr),
    resc_id "rescId" (double),
}
