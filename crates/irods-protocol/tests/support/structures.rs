//! Every structure of the crate as a function that reads it and, where it can be read, writes it
//! again in both forms. Shared by the tests and the fuzz targets.

use irods_protocol::header::Header;
use irods_protocol::message::*;
use irods_protocol::{Packing, Pi};

/// Reads bytes as one structure; whether they were one.
pub type Read = fn(Packing, &[u8]) -> bool;

/// Reads a structure. What could be read must come back from either form, if it can be written.
fn read<T: Pi + PartialEq>(packing: Packing, bytes: &[u8]) -> bool {
    let Ok(value) = T::from_bytes(packing, bytes) else {
        return false;
    };
    for other in [Packing::XML, Packing::NATIVE, packing] {
        if other.access_time != packing.access_time {
            continue;
        }
        if let Ok(written) = value.to_bytes(other) {
            assert!(
                T::from_bytes(other, &written).is_ok_and(|again| again == value),
                "{} did not come back from {other:?}",
                T::NAME
            );
        }
    }
    true
}

macro_rules! structures {
    ($($name:ident),+ $(,)?) => {
        /// Wire name and reader of every structure.
        pub const ALL: &[(&str, Read)] = &[$((<$name as Pi>::NAME, read::<$name>)),+];
    };
}

structures! {
    AuthPlugReqInp, AuthPlugReqOut, AuthRequestOut, AuthResponseInp, BinBytesBuf, BulkOprInp,
    BytesBuf, CollEnt, CollInpNew, CollOprStat, CsNeg, DataObjCopyInp, DataObjInfo, DataObjInp,
    EndTransactionInp, FileLseekOut, GenQuery2Inp, GenQueryInp, GenQueryOut, GeneralAdminInp,
    GetHierFromLeafIdInp, GetHierarchyForRescInp, GetHierarchyForRescOut, GetLimitedPasswordInp,
    GetLimitedPasswordOut, GetTempPasswordForOtherInp, GetTempPasswordForOtherOut,
    GetTempPasswordOut, Header, IntPi, InxIvalPair, InxValPair, KeyValPair, MiscSvrInfo,
    MiscSvrInfoBase, ModAccessControlInp, ModAvuMetadataInp, ModDataObjMeta, OpenStat,
    OpenedDataObjInp, PamAuthRequestInp, PamAuthRequestOut, PortList, PortalOprOut, ProcStatInp,
    RErrMsg, RError, RegReplica, RodsObjStat, SpecColl, SpecificQueryInp, SslInp, StartupPack,
    StrPi, SwitchUserInp, TicketAdminInp, TransferStat, UnregDataObj, UserAdminInp, Version,
}
