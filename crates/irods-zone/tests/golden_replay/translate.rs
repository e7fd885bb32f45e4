//! What a recorded request says in terms of the recorded server, said in terms of the zone: paths on the
//! server's disk, catalog ids, descriptors, query handles, replica tokens, and the login.

use std::collections::HashMap;
use std::path::Path;

use irods_protocol::auth::framework::AuthMessage;
use irods_protocol::auth::{native, scramble};
use irods_protocol::message::*;
use irods_protocol::{Form, Packing, Pi, api};

/// The passwords of the recorded users.
const PASSWORDS: [&str; 5] = ["rods", "apass", "bobpass", "bobpass2", "carlpw"];

/// Checksum of the recorded file of 40 MiB, and of ours.
const FORTY: (&str, &str) = (
    "sha2:DtZ2aE4zbxb9vh4VMyivWvLYcxrhXoL7GzkHhDLC7wg=",
    "sha2:gKNyEYjkAhiwiyZ3a8U72ugeR4T/9x1xRQoZcxnLoRM=",
);

/// Where things lay on the recorded server, and where they lie here.
#[derive(Debug, Clone)]
pub struct Places(Vec<(String, String)>);

impl Places {
    pub fn new(zone_dir: &Path, files: &Path, gold: &Path) -> Self {
        let here = |dir: &Path| format!("{}/", dir.display());
        Self(vec![
            ("/var/lib/irods/".into(), here(zone_dir)),
            ("/srv/ingest/data/".into(), here(files)),
            ("/srv/data/gold5/".into(), here(gold)),
            // What the recorded 40 MiB file held is not known; it is all zero here.
            (FORTY.0.into(), FORTY.1.into()),
        ])
    }

    pub fn to_here(&self, text: &[u8]) -> Vec<u8> {
        self.0.iter().fold(text.to_vec(), |text, (there, here)| {
            replace(&text, there.as_bytes(), here.as_bytes())
        })
    }

    pub fn to_there(&self, text: &str) -> String {
        self.0
            .iter()
            .rev()
            .fold(text.to_owned(), |text, (there, here)| {
                text.replace(here.as_str(), there)
            })
    }
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(from) {
            out.extend_from_slice(to);
            at += from.len();
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

/// What the recorded server called things, and what the zone calls them; learnt from replies.
#[derive(Debug, Default)]
pub struct Names {
    /// Catalog ids and replica tokens.
    pub words: HashMap<String, String>,
}

/// The same for what is known on one connection only.
#[derive(Debug, Default)]
pub struct Handles {
    pub descriptors: HashMap<i32, i32>,
    pub cursors: HashMap<i32, i32>,
    /// The recorded challenge and ours.
    pub challenge: Option<(Vec<u8>, Vec<u8>)>,
    pub password: String,
}

impl Handles {
    fn descriptor(&self, there: i32) -> i32 {
        self.descriptors.get(&there).copied().unwrap_or(there)
    }

    fn cursor(&self, there: i32) -> i32 {
        self.cursors.get(&there).copied().unwrap_or(there)
    }

    /// The password that a recorded digest was made of.
    fn password_of(&self, digest: &[u8]) -> &'static str {
        let (there, _) = self.challenge.as_ref().unwrap();
        let right = |password: &&&str| native::verify(there, password, digest);
        PASSWORDS.iter().find(right).copied().unwrap_or("wrong")
    }
}

/// The body of a request as the zone must see it.
pub fn request(
    call: i32,
    packing: Packing,
    body: &[u8],
    places: &Places,
    names: &Names,
    handles: &mut Handles,
) -> Vec<u8> {
    match call {
        api::AUTHENTICATION => login(packing, body, handles),
        api::AUTH_RESPONSE => {
            let mut input = AuthResponseInp::from_bytes(packing, body).unwrap();
            let password = handles.password_of(&input.response);
            password.clone_into(&mut handles.password);
            let (_, ours) = handles.challenge.as_ref().unwrap();
            input.response = native::response(ours, password).to_vec();
            input.to_bytes(packing).unwrap()
        }
        api::DATA_OBJ_CLOSE | api::DATA_OBJ_LSEEK | api::DATA_OBJ_READ | api::DATA_OBJ_WRITE => {
            let mut input = OpenedDataObjInp::from_bytes(packing, body).unwrap();
            input.l1desc_inx = handles.descriptor(input.l1desc_inx);
            input.to_bytes(packing).unwrap()
        }
        api::OPR_COMPLETE => {
            let mut input = IntPi::from_bytes(packing, body).unwrap();
            input.my_int = handles.descriptor(input.my_int);
            input.to_bytes(packing).unwrap()
        }
        api::GET_FILE_DESCRIPTOR_INFO | api::REPLICA_CLOSE => {
            let BinBytesBuf(text) = BinBytesBuf::from_bytes(packing, body).unwrap();
            let text = text.strip_suffix(b"\0").unwrap_or(&text);
            let mut json: serde_json::Value = serde_json::from_slice(text).unwrap();
            if let Some(there) = json["fd"].as_i64() {
                json["fd"] = handles.descriptor(there as i32).into();
            }
            BinBytesBuf(json.to_string().into_bytes())
                .to_bytes(packing)
                .unwrap()
        }
        api::GEN_QUERY => {
            let body = words(packing, body, names);
            let mut input = GenQueryInp::from_bytes(packing, &body).unwrap();
            if input.continue_inx == 0 {
                return body;
            }
            input.continue_inx = handles.cursor(input.continue_inx);
            input.to_bytes(packing).unwrap()
        }
        api::SPECIFIC_QUERY => {
            let body = words(packing, body, names);
            let mut input = SpecificQueryInp::from_bytes(packing, &body).unwrap();
            if input.continue_inx == 0 {
                return body;
            }
            input.continue_inx = handles.cursor(input.continue_inx);
            input.to_bytes(packing).unwrap()
        }
        api::GENERAL_ADMIN => {
            let body = places.to_here(body);
            let mut input = GeneralAdminInp::from_bytes(packing, &body).unwrap();
            if input.arg3.as_deref() != Some("password") {
                return body;
            }
            input.arg4 = input.arg4.map(|text| password(&text, handles));
            input.to_bytes(packing).unwrap()
        }
        api::USER_ADMIN => {
            let mut input = UserAdminInp::from_bytes(packing, body).unwrap();
            input.arg3 = input.arg3.map(|text| password(&text, handles));
            input.to_bytes(packing).unwrap()
        }
        _ => words(packing, &places.to_here(body), names),
    }
}

/// A new password, scrambled for this connection.
fn password(scrambled: &str, handles: &Handles) -> String {
    let (there, ours) = handles.challenge.as_ref().unwrap();
    let clear = scramble::read_new_password(scrambled, &handles.password, there).unwrap();
    scramble::new_password(&clear, &handles.password, ours, 7).unwrap()
}

fn login(packing: Packing, body: &[u8], handles: &mut Handles) -> Vec<u8> {
    let BinBytesBuf(text) = BinBytesBuf::from_bytes(packing, body).unwrap();
    let message = AuthMessage::parse(&text).unwrap();
    let Ok(digest) = message.digest() else {
        return body.to_vec();
    };
    let there = handles.password_of(&digest);
    there.clone_into(&mut handles.password);
    let (_, ours) = handles.challenge.as_ref().unwrap();
    let mut json: serde_json::Value =
        serde_json::from_slice(text.strip_suffix(b"\0").unwrap_or(&text)).unwrap();
    use base64::Engine as _;
    json["request_result"] = String::from_utf8(ours.clone()).unwrap().into();
    json["digest"] = base64::engine::general_purpose::STANDARD
        .encode(native::response(ours, there))
        .into();
    BinBytesBuf(json.to_string().into_bytes())
        .to_bytes(packing)
        .unwrap()
}

/// Ids and tokens where they stand as whole words.
fn words(packing: Packing, body: &[u8], names: &Names) -> Vec<u8> {
    let border = |byte: Option<&u8>| match byte {
        None => true,
        Some(byte) if packing.form == Form::Xml => !byte.is_ascii_alphanumeric(),
        Some(byte) => matches!(byte, b'\'' | 0),
    };
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let mut out = Vec::with_capacity(body.len());
    let mut at = 0;
    while at < body.len() {
        let len = body[at..].iter().take_while(|byte| part(byte)).count();
        let word = &body[at..at + len];
        let known = std::str::from_utf8(word)
            .ok()
            .and_then(|w| names.words.get(w));
        match known {
            Some(ours) if border(out.last()) && border(body.get(at + len)) => {
                out.extend_from_slice(ours.as_bytes());
            }
            _ => out.extend_from_slice(word),
        }
        at += len;
        if let Some(byte) = body.get(at) {
            out.push(*byte);
            at += 1;
        }
    }
    out
}
