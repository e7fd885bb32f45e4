//! Bytes of file names: in JSON text where they are UTF-8, base64 in an object where they are not, so that it stays readable and
//! nothing is lost; in binary formats as they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form<'a> {
    Text(std::borrow::Cow<'a, str>),
    Base64 { base64: String },
}

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if !serializer.is_human_readable() {
        return serializer.serialize_bytes(bytes);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Form::Text(text.into()),
        Err(_) => Form::Base64 {
            base64: STANDARD.encode(bytes),
        },
    }
    .serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    if !deserializer.is_human_readable() {
        return <&[u8]>::deserialize(deserializer).map(<[u8]>::to_vec);
    }
    match Form::deserialize(deserializer)? {
        Form::Text(text) => Ok(text.into_owned().into_bytes()),
        Form::Base64 { base64 } => STANDARD.decode(base64).map_err(D::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Holder(#[serde(with = "super")] Vec<u8>);

    #[test]
    fn any_bytes_come_back() {
        for bytes in [
            &b"plain name"[..],
            b"\xff\xfe",
            b"",
            "\u{fe}\"\\\n".as_bytes(),
        ] {
            let json = serde_json::to_string(&Holder(bytes.to_vec())).unwrap();
            assert_eq!(
                serde_json::from_str::<Holder>(&json).unwrap().0,
                bytes,
                "{json}"
            );
            let binary = postcard::to_extend(&Holder(bytes.to_vec()), Vec::new()).unwrap();
            assert_eq!(postcard::from_bytes::<Holder>(&binary).unwrap().0, bytes);
        }
    }
}
