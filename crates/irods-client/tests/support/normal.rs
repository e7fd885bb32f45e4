//! When two requests of different clients are the same.

use irods_client::protocol::message::*;
use irods_client::protocol::{Packing, Pi, api};
use serde_json::Value;

/// A request's content, printed, without what clients may choose: a user name with or without zone, zeros before numbers, an
/// announced size that is in the structure and as a keyword, a transfer's threads.
pub(super) fn normal(number: i32, message: &[u8], any_digest: bool) -> String {
    let mut text = match number {
        api::DATA_OBJ_PUT | api::DATA_OBJ_OPEN | api::DATA_OBJ_UNLINK => {
            object(unpack(message), number)
        }
        api::OBJ_STAT | api::PHY_PATH_REG | api::DATA_OBJ_CHKSUM => object(unpack(message), number),
        api::DATA_OBJ_RENAME => format!("{:?}", unpack::<DataObjCopyInp>(message)),
        api::DATA_OBJ_READ => {
            // How much is read at a time is the client's choice.
            let mut input: OpenedDataObjInp = unpack(message);
            input.len = 0;
            format!("{input:?}")
        }
        api::DATA_OBJ_WRITE | api::DATA_OBJ_LSEEK => {
            format!("{:?}", unpack::<OpenedDataObjInp>(message))
        }
        api::DATA_OBJ_CLOSE => {
            let mut input: OpenedDataObjInp = unpack(message);
            input.cond_input = KeyValPair::new();
            format!("{input:?}")
        }
        api::RM_COLL | api::COLL_CREATE => {
            let mut input: CollInpNew = unpack(message);
            sort(&mut input.cond_input);
            format!("{input:?}")
        }
        api::GEN_QUERY => format!("{:?}", unpack::<GenQueryInp>(message)),
        api::MOD_AVU_METADATA => format!("{:?}", unpack::<ModAvuMetadataInp>(message)),
        api::MOD_ACCESS_CONTROL => format!("{:?}", unpack::<ModAccessControlInp>(message)),
        api::MOD_DATA_OBJ_META => {
            // python-irodsclient writes 0 for two pointers that nobody follows; absent means the same.
            let text = String::from_utf8(message.to_vec()).unwrap();
            let text = text
                .replace("<specColl>0</specColl>", "")
                .replace("<next>0</next>", "");
            let mut input: ModDataObjMeta = unpack(text.as_bytes());
            sort(input.reg_param.as_mut().unwrap());
            format!("{input:?}")
        }
        api::AUTH_RESPONSE => {
            let mut input: AuthResponseInp = unpack(message);
            input.username = input
                .username
                .map(|u| u.split('#').next().unwrap().to_owned());
            format!("{input:?}")
        }
        api::DATA_OBJ_REPL
        | api::DATA_OBJ_TRIM
        | api::DATA_OBJ_TRUNCATE
        | api::REPLICA_TRUNCATE => object(unpack(message), number),
        api::REG_DATA_OBJ => format!("{:?}", unpack::<DataObjInfo>(message)),
        api::SWITCH_USER => format!("{:?}", unpack::<SwitchUserInp>(message)),
        api::BULK_DATA_OBJ_REG => format!("{:?}", unpack::<GenQueryOut>(message)),
        api::TICKET_ADMIN => format!("{:?}", unpack::<TicketAdminInp>(message)),
        api::GET_FILE_DESCRIPTOR_INFO
        | api::REPLICA_CLOSE
        | api::ATOMIC_APPLY_METADATA_OPERATIONS
        | api::ATOMIC_APPLY_ACL_OPERATIONS => {
            let text = unpack::<BinBytesBuf>(message).0;
            let mut json: Value = serde_json::from_slice(&text).unwrap();
            if let Some(object) = json.as_object_mut() {
                // python-irodsclient writes the keyword without its last letter, so that servers ignore it; and absent
                // means no administrator.
                object.remove("send_notification");
                object.remove("send_notifications");
                object.entry("admin_mode").or_insert(false.into());
            }
            json.to_string()
        }
        api::AUTHENTICATION | api::TOUCH => {
            let text = unpack::<BinBytesBuf>(message).0;
            let mut json: Value = serde_json::from_slice(&text).unwrap();
            if any_digest && number == api::AUTHENTICATION {
                json = json["next_operation"].clone();
            }
            json.to_string()
        }
        api::OPR_COMPLETE => format!("{:?}", unpack::<IntPi>(message)),
        _ => format!("{message:?}"),
    };
    text.retain(|c| c != '\n');
    text
}

pub(super) fn unpack<T: Pi>(message: &[u8]) -> T {
    T::from_bytes(Packing::XML, message).unwrap()
}

fn object(mut input: DataObjInp, number: i32) -> String {
    if number == api::DATA_OBJ_PUT {
        input.num_threads = 0;
        input.create_mode = 0;
        input
            .cond_input
            .0
            .retain(|(k, _)| k != "dataSize" && k != "defRescName");
    }
    if number == api::DATA_OBJ_UNLINK || number == api::OBJ_STAT {
        input.create_mode = 0;
        input.data_size = 0;
    }
    if number == api::DATA_OBJ_OPEN {
        input.cond_input.0.retain(|(k, _)| k != "numThreads");
    }
    // A checksum is asked for by the keyword; one recorded client gave it a value.
    for (k, v) in &mut input.cond_input.0 {
        if k == "regChksum" {
            v.clear();
        }
        if k == "rescName" && number != api::DATA_OBJ_TRIM {
            *k = "destRescName".to_owned();
        }
    }
    sort(&mut input.cond_input);
    format!("{input:?}")
}

fn sort(keywords: &mut KeyValPair) {
    for (_, v) in &mut keywords.0 {
        if v.len() == 11 && v.bytes().all(|b| b.is_ascii_digit()) {
            *v = v.trim_start_matches('0').to_owned();
        }
    }
    keywords.0.sort();
}
