//! Whatever arrives, the answer is a value or a typed error.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/structures.rs"]
mod structures;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::BytesMut;
use irods_protocol::error::{FrameError, UnpackError};
use irods_protocol::frame::{self, FrameDecoder};
use irods_protocol::header::{Header, kind};
use irods_protocol::limits::Limits;
use irods_protocol::message::{
    BinBytesBuf, BytesBuf, GenQueryOut, InxIvalPair, InxValPair, KeyValPair, RError,
};
use irods_protocol::{Packing, Pi};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// How older and newer peers pack.
const PACKINGS: [Packing; 4] = [
    Packing::XML,
    Packing::NATIVE,
    Packing::STARTUP,
    Packing {
        access_time: false,
        ..Packing::NATIVE
    },
];

fn read_as_everything(bytes: &[u8]) {
    for packing in PACKINGS {
        for (_, read) in structures::ALL {
            read(packing, bytes);
        }
    }
}

#[test]
fn the_list_of_structures_is_complete() {
    let listed: BTreeSet<&str> = structures::ALL.iter().map(|(name, _)| *name).collect();
    let mut defined = BTreeSet::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/message");
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in text.lines().map(str::trim) {
            let wire = line.split('"').nth(1).filter(|wire| wire.ends_with("_PI"));
            if let Some(wire) = wire
                && (line.ends_with('{') || line.starts_with("const NAME"))
                && !line.contains("packer.begin")
                && !line.contains("u.begin")
            {
                defined.insert(wire.to_owned());
            }
        }
    }
    assert!(defined.len() > 50, "{defined:?}");
    for wire in &defined {
        assert!(
            listed.contains(wire.as_str()),
            "{wire} is not in tests/support/structures.rs"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_as_everything(&bytes);
        let mut buffer = BytesMut::from(bytes.as_slice());
        while let Ok(Some(_)) = Header::take(&mut buffer) {}
        let mut decoder = FrameDecoder::new(Limits::SESSION);
        decoder.space().extend_from_slice(&bytes);
        while let Ok(Some(_)) = decoder.next_frame() {}
    }

    #[test]
    fn any_tags(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "<", ">", "</", "<GenQueryOut_PI>", "</GenQueryOut_PI>", "<rowCnt>", "</rowCnt>",
                "<KeyValPair_PI>", "</KeyValPair_PI>", "<ssLen>", "</ssLen>", "<keyWord>",
                "</keyWord>", "<svalue>", "</svalue>", "<BinBytesBuf_PI>", "<buflen>", "<buf>",
                "</buf>", "</buflen>", "2147483647", "-1", "1", "2", "QUJD", "&amp;", "&", "\0",
                "%@#ANULLSTR$%\0", "\n", "\u{fffd}", "<RError_PI>", "<count>", "</count>",
                "<RErrMsg_PI>", "<status>", "</status>", "<msg>", "</msg>", "</RErrMsg_PI>",
            ]),
            0..40,
        ),
    ) {
        read_as_everything(parts.concat().as_bytes());
    }
}

/// Small changes get deeper into the readers than noise does.
#[test]
fn recorded_bodies_with_faults() {
    let Some(messages) = support::recordings() else {
        return;
    };
    let mut bodies: Vec<(Packing, &[u8])> = Vec::new();
    let mut seen = BTreeSet::new();
    for message in messages
        .iter()
        .filter(|message| !message.message.is_empty())
    {
        // One body of each kind and length is enough.
        let key = (
            message.api,
            message.dir,
            message.message.len(),
            message.packing.form as u8,
        );
        if message.message.len() < 4000 && seen.insert(key) {
            bodies.push((message.packing, &message.message));
        }
    }
    assert!(bodies.len() > 500);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    let mut read_any = 0_u32;
    for (packing, body) in bodies {
        for _ in 0..12 {
            let mut bytes = body.to_vec();
            match random(4) {
                0 => bytes.truncate(random(bytes.len())),
                1 => {
                    let at = random(bytes.len());
                    bytes[at] = u8::try_from(random(256)).unwrap();
                }
                2 => {
                    let at = random(bytes.len());
                    bytes.drain(at..(at + random(40)).min(body.len()));
                }
                _ => {
                    let at = random(bytes.len());
                    let piece = body[at..(at + random(40)).min(body.len())].to_vec();
                    let to = random(bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
            for (_, read) in structures::ALL {
                read_any += u32::from(read(packing, &bytes));
            }
        }
    }
    assert!(
        read_any > 1000,
        "the faults left nothing readable: {read_any}"
    );
}

#[test]
fn lengths_of_headers_are_bounded() {
    for length in [0, 1089, 1 << 20, u32::MAX] {
        let mut buffer = BytesMut::from(length.to_be_bytes().as_slice());
        assert_eq!(
            Header::take(&mut buffer),
            Err(FrameError::HeaderLength(length))
        );
    }
    // A length that is allowed, and nothing behind it: wait.
    assert_eq!(
        Header::take(&mut BytesMut::from(&[0, 0, 4, 64, b'<'][..])),
        Ok(None)
    );
}

#[test]
fn lengths_of_sections_are_bounded() {
    let refused = |message_len, error_len, bytes_len| {
        let header = Header {
            kind: kind::API_REPLY.to_owned(),
            message_len,
            error_len,
            bytes_len,
            int_info: 0,
        };
        let mut decoder = FrameDecoder::new(Limits::LOGIN);
        decoder
            .space()
            .extend_from_slice(&frame::encode_header(&header).unwrap());
        matches!(decoder.next_frame(), Err(FrameError::Length { .. }))
    };
    assert!(refused(-1, 0, 0) && refused(0, -1, 0) && refused(0, 0, -1));
    assert!(refused(i32::MAX, 0, 0) && refused(0, i32::MAX, 0) && refused(0, 0, i32::MAX));
    assert!(refused(i32::MIN, i32::MIN, i32::MIN));
    assert!(!refused(64 * 1024, 0, 0));
    assert!(refused(0, 0, 1), "no byte stream before log-in");
}

#[test]
fn counts_beyond_the_message_are_refused() {
    fn bad<T: Pi + std::fmt::Debug>(packing: Packing, bytes: &[u8]) {
        let result = T::from_bytes(packing, bytes);
        assert!(
            matches!(
                result,
                Err(UnpackError::BadCount { .. }
                    | UnpackError::Truncated { .. }
                    | UnpackError::Missing { .. })
            ),
            "{}: {result:?}",
            T::NAME
        );
    }
    for count in [i32::MAX, -1, i32::MIN, 70_000] {
        let native = |more: &[u8]| [count.to_be_bytes().as_slice(), more].concat();
        bad::<KeyValPair>(Packing::NATIVE, &native(b"a\0b\0"));
        bad::<InxIvalPair>(Packing::NATIVE, &native(&[0; 64]));
        bad::<InxValPair>(Packing::NATIVE, &native(&[0; 64]));
        bad::<RError>(Packing::NATIVE, &native(&[0; 64]));
        bad::<BinBytesBuf>(Packing::NATIVE, &native(b"abc"));
        bad::<BytesBuf>(Packing::NATIVE, &native(b"abc"));
        bad::<GenQueryOut>(
            Packing::NATIVE,
            &native(&[0, 0, 0, 50, 0, 0, 0, 0, 0, 0, 0, 0]),
        );

        let xml = |name: &str, counter: &str, first: &str| {
            format!("<{name}><{counter}>{count}</{counter}>{first}</{name}>").into_bytes()
        };
        bad::<KeyValPair>(
            Packing::XML,
            &xml("KeyValPair_PI", "ssLen", "<keyWord>a</keyWord>"),
        );
        bad::<InxIvalPair>(
            Packing::XML,
            &xml("InxIvalPair_PI", "iiLen", "<inx>1</inx>"),
        );
        bad::<InxValPair>(Packing::XML, &xml("InxValPair_PI", "isLen", "<inx>1</inx>"));
        let entry = "<RErrMsg_PI><status>0</status><msg></msg></RErrMsg_PI>";
        bad::<RError>(Packing::XML, &xml("RError_PI", "count", entry));
    }
}

#[test]
fn deep_nesting_needs_no_stack() {
    for (open, close) in [
        ("<KeyValPair_PI>", "</KeyValPair_PI>"),
        ("<RErrMsg_PI>", "</RErrMsg_PI>"),
        (
            "<GenQueryOut_PI><SqlResult_PI>",
            "</SqlResult_PI></GenQueryOut_PI>",
        ),
        ("<DataObjInfo_PI><next>", "</next></DataObjInfo_PI>"),
    ] {
        let text = open.repeat(20_000) + &close.repeat(20_000);
        read_as_everything(text.as_bytes());
    }
    read_as_everything(&b"%@#ANULLSTR$%\0".repeat(20_000));
}
