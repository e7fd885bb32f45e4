//! A reply as a list of named values, so that two can be compared value by value.

use irods_protocol::message::*;
use irods_protocol::{Packing, Pi, api, columns};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::{Debug, Write as _};

/// A value and where it stands in the reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    pub field: String,
    pub value: String,
}

/// What a reply holds besides its result.
pub struct Rendered {
    pub leaves: Vec<Leaf>,
    /// Rows of a query, unless their order is part of the answer: then they are leaves.
    pub rows: Vec<Vec<Leaf>>,
}

impl Rendered {
    fn leaf(&mut self, field: impl Into<String>, value: impl Into<String>) {
        self.leaves.push(Leaf {
            field: field.into(),
            value: value.into(),
        });
    }
}

/// Reads a reply to `call`; what has no structure here is compared as bytes.
pub fn reply(
    call: i32,
    packing: Packing,
    message: &[u8],
    error: &[u8],
    bytes: &[u8],
    ordered: bool,
) -> Rendered {
    let mut out = Rendered {
        leaves: Vec::new(),
        rows: Vec::new(),
    };
    if !error.is_empty() {
        match RError::from_bytes(packing, error) {
            Ok(RError(entries)) => {
                for entry in entries {
                    out.leaf("error.status", entry.status.to_string());
                    out.leaf("error.msg", entry.msg);
                }
            }
            Err(error) => out.leaf("error", error.to_string()),
        }
    }
    if !bytes.is_empty() {
        out.leaf("bytes.len", bytes.len().to_string());
        let mut digest = String::new();
        for byte in Sha256::digest(bytes) {
            let _ = write!(digest, "{byte:02x}");
        }
        out.leaf("bytes.sha256", digest);
    }
    if message.is_empty() {
        out.leaf("message", "absent");
        return out;
    }
    match call {
        api::DATA_OBJ_PUT | api::DATA_OBJ_GET => debug::<PortalOprOut>(&mut out, packing, message),
        api::REG_DATA_OBJ => debug::<DataObjInfo>(&mut out, packing, message),
        api::DATA_OBJ_CHKSUM
        | api::REPLICA_TRUNCATE
        | api::GET_RESOURCE_INFO_FOR_OPERATION
        | api::GET_HOST_FOR_PUT
        | api::GET_HOST_FOR_GET
        | api::GENQUERY2 => text_or_json(&mut out, packing, message),
        api::OBJ_STAT => debug::<RodsObjStat>(&mut out, packing, message),
        api::DATA_OBJ_LSEEK => debug::<FileLseekOut>(&mut out, packing, message),
        api::RM_COLL => debug::<CollOprStat>(&mut out, packing, message),
        api::BULK_DATA_OBJ_REG | api::GEN_QUERY | api::SPECIFIC_QUERY => {
            table(&mut out, packing, message, ordered);
        }
        api::DATA_OBJ_REPL | api::DATA_OBJ_COPY | api::DATA_OBJ_PHYMV => {
            debug::<TransferStat>(&mut out, packing, message);
        }
        api::GET_MISC_SVR_INFO => debug::<MiscSvrInfo>(&mut out, packing, message),
        api::AUTH_REQUEST => out.leaf("challenge", "<challenge>"),
        api::GET_TEMP_PASSWORD_FOR_OTHER => {
            debug::<GetTempPasswordForOtherOut>(&mut out, packing, message);
        }
        api::CLIENT_HINTS => match BytesBuf::from_bytes(packing, message) {
            Ok(BytesBuf(text)) => json_text(&mut out, &text),
            Err(error) => out.leaf("message", error.to_string()),
        },
        api::AUTHENTICATION
        | api::GET_FILE_DESCRIPTOR_INFO
        | api::ATOMIC_APPLY_METADATA_OPERATIONS
        | api::REPLICA_OPEN
        | api::ATOMIC_APPLY_ACL_OPERATIONS => match BinBytesBuf::from_bytes(packing, message) {
            Ok(BinBytesBuf(text)) => json_text(&mut out, &text),
            Err(error) => out.leaf("message", error.to_string()),
        },
        _ => out.leaf("message", String::from_utf8_lossy(message)),
    }
    out
}

/// The fields of a structure, as its debugging text has them.
fn debug<T: Pi + Debug>(out: &mut Rendered, packing: Packing, message: &[u8]) {
    let value = match T::from_bytes(packing, message) {
        Ok(value) => value,
        Err(error) => return out.leaf("message", error.to_string()),
    };
    for line in format!("{value:#?}").lines() {
        let line = line.trim().trim_end_matches(',');
        if let Some((field, value)) = line.split_once(": ")
            && !value.ends_with(['{', '(', '['])
        {
            out.leaf(field, value.trim_matches('"'));
        }
    }
}

fn text_or_json(out: &mut Rendered, packing: Packing, message: &[u8]) {
    match StrPi::from_bytes(packing, message) {
        Ok(text) => {
            let text = text.my_str.unwrap_or_default();
            if text.starts_with(['{', '[']) {
                json_text(out, text.as_bytes());
            } else {
                out.leaf("my_str", text);
            }
        }
        Err(error) => out.leaf("message", error.to_string()),
    }
}

fn json_text(out: &mut Rendered, text: &[u8]) {
    let text: Vec<u8> = text.iter().copied().filter(|&byte| byte != 0).collect();
    match serde_json::from_slice(&text) {
        Ok(value) => json(out, String::new(), &value),
        Err(error) => out.leaf("json", error.to_string()),
    }
}

fn json(out: &mut Rendered, field: String, value: &Value) {
    match value {
        Value::Object(members) if members.is_empty() => out.leaf(field, "{}"),
        Value::Object(members) => {
            for (name, value) in members {
                let dot = if field.is_empty() { "" } else { "." };
                json(out, format!("{field}{dot}{name}"), value);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                json(out, format!("{field}[]"), element);
            }
        }
        Value::String(text) => out.leaf(field, text.clone()),
        other => out.leaf(field, other.to_string()),
    }
}

fn table(out: &mut Rendered, packing: Packing, message: &[u8], ordered: bool) {
    let page = match GenQueryOut::from_bytes(packing, message) {
        Ok(page) => page,
        Err(error) => return out.leaf("message", error.to_string()),
    };
    out.leaf("row_cnt", page.row_cnt.to_string());
    out.leaf("more", (page.continue_inx > 0).to_string());
    out.leaf("total_row_count", page.total_row_count.to_string());
    let name =
        |column: i32| columns::name_of(column).map_or_else(|| column.to_string(), str::to_owned);
    for column in &page.columns {
        out.leaf("columns", name(column.attri_inx));
        out.leaf(
            "reslen",
            format!("{} {}", name(column.attri_inx), column.reslen),
        );
    }
    for row in 0..usize::try_from(page.row_cnt).unwrap_or(0) {
        let cells = page.columns.iter().map(|column| Leaf {
            field: name(column.attri_inx),
            value: column
                .values
                .get(row)
                .map(ToString::to_string)
                .unwrap_or_default(),
        });
        if ordered {
            out.leaves.extend(cells);
        } else {
            out.rows.push(cells.collect());
        }
    }
}
