//! Every message of every recording of a real server: it is read by the structure that belongs to
//! its call, and written again. Where a C++ peer wrote it, to the same bytes; where
//! python-irodsclient did, which leaves out fields and line ends, to the same content.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use bytes::BytesMut;
use irods_protocol::error::UnpackError;
use irods_protocol::header::{Header, kind};
use irods_protocol::message::*;
use irods_protocol::{Form, Packing, Pi, api, frame, xml};
use support::{Dir, Message};

/// Reads a body and writes it again.
type Again = fn(Packing, &[u8]) -> Result<Vec<u8>, Fault>;

enum Fault {
    /// It cannot be read.
    Refused(UnpackError),
    /// It was read wrongly.
    Wrong(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Refused(error) => write!(out, "refused: {error}"),
            Fault::Wrong(error) => out.write_str(error),
        }
    }
}

fn wrong(error: impl fmt::Display) -> Fault {
    Fault::Wrong(error.to_string())
}

fn again<T: Pi + PartialEq + Debug>(packing: Packing, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let value = T::from_bytes(packing, body).map_err(Fault::Refused)?;
    let written = value.to_bytes(packing).map_err(wrong)?;
    let reread = T::from_bytes(packing, &written).map_err(wrong)?;
    if reread != value {
        return Err(wrong(format!("{value:?} came back as {reread:?}")));
    }
    Ok(written)
}

/// As [`again`], and what the buffer holds is JSON.
fn json_again(packing: Packing, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let BinBytesBuf(buffer) = BinBytesBuf::from_bytes(packing, body).map_err(Fault::Refused)?;
    let text = buffer.strip_suffix(b"\0").unwrap_or(&buffer);
    serde_json::from_slice::<serde_json::Value>(text).map_err(wrong)?;
    again::<BinBytesBuf>(packing, body)
}

fn structure(message: &Message) -> Option<Again> {
    let Some(call) = message.api else {
        return match message.kind.as_str() {
            kind::CONNECT => Some(again::<StartupPack>),
            kind::VERSION => Some(again::<Version>),
            kind::CS_NEG => Some(again::<CsNeg>),
            _ => None,
        };
    };
    match message.dir {
        Dir::ToServer => request(call),
        Dir::ToClient => reply(call),
    }
}

fn request(call: i32) -> Option<Again> {
    Some(match call {
        api::DATA_OBJ_CREATE
        | api::DATA_OBJ_OPEN
        | api::DATA_OBJ_PUT
        | api::DATA_OBJ_GET
        | api::DATA_OBJ_UNLINK
        | api::DATA_OBJ_RSYNC
        | api::DATA_OBJ_CHKSUM
        | api::PHY_PATH_REG
        | api::DATA_OBJ_TRIM
        | api::OBJ_STAT
        | api::DATA_OBJ_TRUNCATE
        | api::DATA_OBJ_REPL
        | api::DATA_OBJ_PHYMV
        | api::REPLICA_TRUNCATE
        | api::GET_RESOURCE_INFO_FOR_OPERATION
        | api::REPLICA_OPEN => again::<DataObjInp>,
        api::REG_DATA_OBJ => again::<DataObjInfo>,
        api::MOD_DATA_OBJ_META | api::DATA_OBJECT_MODIFY_INFO => again::<ModDataObjMeta>,
        api::OPR_COMPLETE => again::<IntPi>,
        api::DATA_OBJ_RENAME | api::DATA_OBJ_COPY => again::<DataObjCopyInp>,
        api::DATA_OBJ_CLOSE | api::DATA_OBJ_LSEEK | api::DATA_OBJ_READ | api::DATA_OBJ_WRITE => {
            again::<OpenedDataObjInp>
        }
        api::RM_COLL | api::COLL_CREATE => again::<CollInpNew>,
        api::BULK_DATA_OBJ_REG => again::<GenQueryOut>,
        api::BULK_DATA_OBJ_PUT => again::<BulkOprInp>,
        api::GENERAL_ADMIN => again::<GeneralAdminInp>,
        api::GEN_QUERY => again::<GenQueryInp>,
        api::AUTH_RESPONSE => again::<AuthResponseInp>,
        api::MOD_AVU_METADATA => again::<ModAvuMetadataInp>,
        api::MOD_ACCESS_CONTROL => again::<ModAccessControlInp>,
        api::USER_ADMIN => again::<UserAdminInp>,
        api::SPECIFIC_QUERY => again::<SpecificQueryInp>,
        api::TICKET_ADMIN => again::<TicketAdminInp>,
        api::GET_TEMP_PASSWORD_FOR_OTHER => again::<GetTempPasswordForOtherInp>,
        api::GENQUERY2 => again::<GenQuery2Inp>,
        api::SWITCH_USER => again::<SwitchUserInp>,
        api::AUTHENTICATION
        | api::GET_FILE_DESCRIPTOR_INFO
        | api::ATOMIC_APPLY_METADATA_OPERATIONS
        | api::REPLICA_CLOSE
        | api::ATOMIC_APPLY_ACL_OPERATIONS
        | api::TOUCH => json_again,
        _ => return None,
    })
}

fn reply(call: i32) -> Option<Again> {
    Some(match call {
        api::DATA_OBJ_PUT | api::DATA_OBJ_GET => again::<PortalOprOut>,
        api::REG_DATA_OBJ => again::<DataObjInfo>,
        api::DATA_OBJ_CHKSUM
        | api::REPLICA_TRUNCATE
        | api::GET_RESOURCE_INFO_FOR_OPERATION
        | api::GENQUERY2 => again::<StrPi>,
        api::OBJ_STAT => again::<RodsObjStat>,
        api::DATA_OBJ_LSEEK => again::<FileLseekOut>,
        api::RM_COLL => again::<CollOprStat>,
        api::BULK_DATA_OBJ_REG | api::GEN_QUERY | api::SPECIFIC_QUERY => again::<GenQueryOut>,
        api::DATA_OBJ_REPL | api::DATA_OBJ_COPY | api::DATA_OBJ_PHYMV => again::<TransferStat>,
        api::GET_MISC_SVR_INFO => again::<MiscSvrInfo>,
        api::AUTH_REQUEST => again::<AuthRequestOut>,
        api::GET_TEMP_PASSWORD_FOR_OTHER => again::<GetTempPasswordForOtherOut>,
        api::CLIENT_HINTS => again::<BytesBuf>,
        api::AUTHENTICATION
        | api::GET_FILE_DESCRIPTOR_INFO
        | api::ATOMIC_APPLY_METADATA_OPERATIONS
        | api::REPLICA_OPEN
        | api::ATOMIC_APPLY_ACL_OPERATIONS => json_again,
        _ => return None,
    })
}

/// The leaf elements of a tagged text in order, read apart from the code under test.
fn leaves(text: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open: Option<(String, usize)> = None;
    let mut at = 0;
    while let Some(start) = text[at..]
        .iter()
        .position(|&byte| byte == b'<')
        .map(|n| at + n)
    {
        let Some(end) = text[start..]
            .iter()
            .position(|&byte| byte == b'>')
            .map(|n| start + n)
        else {
            break;
        };
        let tag = String::from_utf8_lossy(&text[start + 1..end]).into_owned();
        match (tag.strip_prefix('/'), open.take()) {
            (Some(name), Some((opened, from))) if name == opened => {
                found.push((opened, xml::unescape(&text[from..start], true)));
            }
            (Some(_), _) => {}
            (None, _) => open = Some((tag, end + 1)),
        }
        at = end + 1;
    }
    found
}

/// Whether all that was said is said again, in order, and what is said on top is empty.
fn same_content(recorded: &[u8], written: &[u8]) -> Result<(), String> {
    let recorded = leaves(recorded);
    let mut expected = recorded.iter().peekable();
    for leaf in leaves(written) {
        if expected.peek() == Some(&&leaf) {
            expected.next();
        } else if !matches!(leaf.1.as_slice(), b"" | b"0") {
            return Err(format!("{leaf:?} where {:?} was recorded", expected.peek()));
        }
    }
    expected
        .next()
        .map_or(Ok(()), |left| Err(format!("{left:?} is lost")))
}

fn compare(cpp: bool, packing: Packing, recorded: &[u8], written: &[u8]) -> Result<(), String> {
    if recorded == written {
        return Ok(());
    }
    if cpp || packing.form == Form::Native {
        let at = recorded
            .iter()
            .zip(written)
            .take_while(|(a, b)| a == b)
            .count();
        let part = |bytes: &[u8]| {
            let around = &bytes[at.saturating_sub(60)..bytes.len().min(at + 60)];
            String::from_utf8_lossy(around).into_owned()
        };
        return Err(format!(
            "byte {at} of {}: {:?} was written, {:?} recorded",
            recorded.len(),
            part(written),
            part(recorded)
        ));
    }
    same_content(recorded, written)
}

#[derive(Default)]
struct Count {
    exact: usize,
    content: usize,
    refused: usize,
    uncovered: usize,
}

#[test]
fn every_body_comes_back() {
    let Some(messages) = support::recordings() else {
        return;
    };
    let mut counts: BTreeMap<(String, Dir), Count> = BTreeMap::new();
    let mut failures = Vec::new();
    for message in messages
        .iter()
        .filter(|message| !message.message.is_empty())
    {
        let what = message.api.map_or(message.kind.clone(), |call| {
            format!("{call:>6} {}", api::name_of(call).unwrap_or("unknown"))
        });
        let count = counts.entry((what, message.dir)).or_default();
        let Some(again) = structure(message) else {
            count.uncovered += 1;
            continue;
        };
        let result = again(message.packing, &message.message).and_then(|written| {
            compare(message.cpp, message.packing, &message.message, &written).map_err(wrong)?;
            Ok(written == message.message)
        });
        match result {
            Ok(true) => count.exact += 1,
            Ok(false) => count.content += 1,
            // What the server refused as well, and with the same code.
            Err(Fault::Refused(error)) if message.answer == Some(error.code()) => {
                println!("{}: {error}, and the server said so too", message.place);
                count.refused += 1;
            }
            Err(fault) => failures.push(format!("{}: {fault}", message.place)),
        }
    }
    for ((what, dir), count) in &counts {
        let Count {
            exact,
            content,
            refused,
            uncovered,
        } = count;
        println!(
            "{what:<50} {dir:?}: {exact} to the byte, {content} in content, {refused} refused, {uncovered} not covered"
        );
    }
    assert!(
        failures.is_empty(),
        "{} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );

    let exact: usize = counts.values().map(|count| count.exact).sum();
    let content: usize = counts.values().map(|count| count.content).sum();
    let uncovered: usize = counts.values().map(|count| count.uncovered).sum();
    println!("{exact} to the byte, {content} in content, {uncovered} not covered");
    assert!(exact >= 6000, "only {exact} bodies came back to the byte");
    assert!(
        content >= 2000,
        "only {content} bodies came back in content"
    );
    assert!(uncovered <= 4, "{uncovered} bodies have no structure");
}

#[test]
fn every_error_section_comes_back_to_the_byte() {
    let Some(messages) = support::recordings() else {
        return;
    };
    let mut seen = 0;
    for message in messages.iter().filter(|message| !message.error.is_empty()) {
        let written = again::<RError>(message.packing, &message.error)
            .unwrap_or_else(|fault| panic!("{}: {fault}", message.place));
        compare(true, message.packing, &message.error, &written)
            .unwrap_or_else(|error| panic!("{}: {error}", message.place));
        seen += 1;
    }
    assert!(seen >= 40, "only {seen} error sections");
}

#[test]
fn every_header_comes_back() {
    let Some(messages) = support::recordings() else {
        return;
    };
    for message in &messages {
        let mut buffer = BytesMut::new();
        let length = u32::try_from(message.header.len()).unwrap();
        buffer.extend_from_slice(&length.to_be_bytes());
        buffer.extend_from_slice(&message.header);
        let recorded = buffer.clone();
        let header = Header::take(&mut buffer).unwrap().unwrap();
        assert!(buffer.is_empty(), "{}", message.place);
        assert_eq!(header.kind, message.kind, "{}", message.place);
        assert_eq!(header.int_info, message.int_info, "{}", message.place);
        assert_eq!(
            usize::try_from(header.message_len),
            Ok(message.message.len())
        );
        assert_eq!(usize::try_from(header.error_len), Ok(message.error.len()));
        assert_eq!(usize::try_from(header.bytes_len), Ok(message.bytes_len));
        let written = frame::encode_header(&header).unwrap();
        if message.cpp {
            assert_eq!(written, recorded, "{}", message.place);
        } else {
            same_content(&recorded[4..], &written[4..])
                .unwrap_or_else(|error| panic!("{}: {error}", message.place));
        }
    }
    assert!(messages.len() >= 9000, "only {} headers", messages.len());
}

#[test]
fn recorded_codes_and_calls_have_names() {
    let Some(messages) = support::recordings() else {
        return;
    };
    for message in &messages {
        if message.kind == kind::API_REPLY && message.int_info < 0 {
            let named = irods_protocol::codes::name_of(message.int_info).is_some();
            // What a failing rule answers; it is no code of the table.
            assert!(
                named || message.int_info == -99_999,
                "{}: {}",
                message.place,
                message.int_info
            );
        }
        // 99999 was sent to see what a server makes of an unknown call.
        if let Some(call) = message.api.filter(|&call| call != 99_999) {
            assert!(api::name_of(call).is_some(), "{}: {call}", message.place);
        }
        if message.packing.form == Form::Xml && message.dir == Dir::ToServer {
            for (element, text) in leaves(&message.message) {
                let keyword = String::from_utf8_lossy(&text);
                assert!(
                    element != "keyWord"
                        || irods_protocol::keywords::meaning_of(&keyword).is_some(),
                    "{}: {keyword}",
                    message.place
                );
            }
        }
    }
}
