//! However the network cuts a stream, the same frames come out of it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeMap;

use irods_protocol::frame::{self, Frame, FrameDecoder};
use irods_protocol::header::{Header, kind};
use irods_protocol::limits::Limits;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use support::Dir;

/// Feeds a stream in pieces of the given sizes, over and over, and takes what is complete.
fn decode(stream: &[u8], sizes: &[usize]) -> Vec<Frame> {
    let mut decoder = FrameDecoder::new(Limits::SESSION);
    let mut frames = Vec::new();
    let mut rest = stream;
    for &size in sizes.iter().cycle() {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        decoder.space().extend_from_slice(piece);
        while let Some(frame) = decoder.next_frame().unwrap() {
            frames.push(frame);
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(decoder.buffered(), 0, "the stream ends with a frame");
    frames
}

fn encode(frame: &Frame) -> Vec<u8> {
    let mut stream = frame::encode(
        &frame.kind,
        frame.int_info,
        &frame.message,
        &frame.error,
        frame.bytes.len(),
    )
    .unwrap();
    stream.extend_from_slice(&frame.bytes);
    stream
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let body = || prop::collection::vec(any::<u8>(), 0..300);
    ("[A-Z_]{1,20}", any::<i32>(), body(), body(), body()).prop_map(
        |(kind, int_info, message, error, bytes)| Frame {
            kind,
            int_info,
            message: message.into(),
            error: error.into(),
            bytes: bytes.into(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn frames_come_out_whole(
        frames in prop::collection::vec(any_frame(), 1..6),
        sizes in prop::collection::vec(1_usize..700, 1..20),
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(encode).collect();
        prop_assert_eq!(decode(&stream, &sizes), frames);
    }

    #[test]
    fn bytes_left_apart_are_what_follows_their_frame(
        frames in prop::collection::vec(any_frame(), 1..6),
        sizes in prop::collection::vec(1_usize..700, 1..20),
        from in 0..300,
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(encode).collect();
        let mut decoder = FrameDecoder::new(Limits::SESSION);
        let (mut came, mut rest, mut sizes) = (Vec::new(), &stream[..], sizes.iter().cycle());
        while came.len() < frames.len() {
            if let Some((mut frame, left)) = decoder
                .next_frame_apart(|header| header.bytes_len > from)
                .unwrap()
            {
                prop_assert!(left == 0 || decoder.buffered() == 0);
                let (bytes, after) = rest.split_at(left);
                frame.bytes = [&frame.bytes[..], bytes].concat().into();
                came.push(frame);
                rest = after;
                continue;
            }
            let (piece, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            decoder.space().extend_from_slice(piece);
            rest = after;
        }
        prop_assert_eq!(came, frames);
        prop_assert!(rest.is_empty() && decoder.buffered() == 0);
    }
}

/// A header that was taken by who would leave the bytes apart.
#[test]
fn who_wants_all_of_a_frame_gets_it_whoever_asked_before() {
    let message = frame::encode(kind::API_REQ, 676, b"m", b"", 3).unwrap();
    let mut decoder = FrameDecoder::new(Limits::SESSION);
    decoder
        .space()
        .extend_from_slice(&message[..message.len() - 1]);
    assert_eq!(decoder.next_frame_apart(|_| true), Ok(None));
    decoder.space().extend_from_slice(b"mby");
    assert_eq!(decoder.next_frame(), Ok(None));
    decoder.space().extend_from_slice(b"e");
    let frame = decoder.next_frame().unwrap().unwrap();
    assert_eq!(
        (&frame.message[..], &frame.bytes[..]),
        (&b"m"[..], &b"bye"[..])
    );
}

#[test]
fn recorded_streams_come_out_whole() {
    let Some(messages) = support::recordings() else {
        return;
    };
    // Streams as sent, without the messages whose byte stream the recording shortens.
    let mut streams: BTreeMap<(String, Dir), (Vec<u8>, usize)> = BTreeMap::new();
    for message in messages
        .iter()
        .filter(|message| message.bytes.len() == message.bytes_len)
    {
        let (scenario, _) = message.place.split_once(':').unwrap();
        let (stream, frames) = streams
            .entry((scenario.to_owned(), message.dir))
            .or_default();
        stream.extend_from_slice(&u32::try_from(message.header.len()).unwrap().to_be_bytes());
        for part in [
            &message.header,
            &message.message,
            &message.error,
            &message.bytes,
        ] {
            stream.extend_from_slice(part);
        }
        *frames += 1;
    }
    assert!(streams.len() > 200);
    for ((scenario, dir), (stream, frames)) in streams {
        let whole = decode(&stream, &[stream.len()]);
        assert_eq!(whole.len(), frames, "{scenario} {dir:?}");
        for sizes in [&[1_usize][..], &[3, 1448, 7], &[65_536]] {
            assert!(
                decode(&stream, sizes) == whole,
                "{scenario} {dir:?} in pieces of {sizes:?}"
            );
        }
    }
}

/// The start of a TLS session: a header whose lengths are parameters and that has no body, the
/// shared secret, then calls; and in one of those, an answer of four bytes without a header.
#[test]
fn what_is_not_a_frame_is_taken_between_frames() {
    let parameters = Header {
        kind: "AES-256-CBC".to_owned(),
        message_len: 32,
        error_len: 8,
        bytes_len: 16,
        int_info: 0,
    };
    let secret = frame::encode("SHARED_SECRET", 0, &[7; 32], &[], 0).unwrap();
    let call = frame::encode(kind::API_REQ, 679, b"<a></a>", &[], 0).unwrap();
    let carry_on = 99_999_997_i32.to_be_bytes();
    let stream = [
        frame::encode_header(&parameters).unwrap(),
        secret,
        call.clone(),
        carry_on.to_vec(),
        call,
    ]
    .concat();

    for size in [1, 7, stream.len()] {
        let mut decoder = FrameDecoder::new(Limits::LOGIN);
        let mut pieces = stream.chunks(size);
        let mut more = |decoder: &mut FrameDecoder| {
            decoder.space().extend_from_slice(pieces.next().unwrap());
        };
        let header = loop {
            match decoder.next_bare_header().unwrap() {
                Some(header) => break header,
                None => more(&mut decoder),
            }
        };
        assert_eq!(header, parameters);
        let mut next_frame = |decoder: &mut FrameDecoder| loop {
            match decoder.next_frame().unwrap() {
                Some(frame) => break frame,
                None => more(decoder),
            }
        };
        assert_eq!(next_frame(&mut decoder).message, vec![7; 32]);
        assert_eq!(next_frame(&mut decoder).int_info, 679);
        let raw = loop {
            match decoder.next_raw(4) {
                Some(raw) => break raw,
                None => decoder.space().extend_from_slice(pieces.next().unwrap()),
            }
        };
        assert_eq!(raw.as_ref(), carry_on);
        while decoder.next_frame().unwrap().is_none() {
            decoder.space().extend_from_slice(pieces.next().unwrap());
        }
        assert_eq!(decoder.buffered(), 0);
    }
}
