//! Memory follows what was received, never what a peer announces. Alone in its process, because it
//! measures the whole of it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use irods_protocol::frame::{self, FrameDecoder};
use irods_protocol::header::{Header, kind};
use irods_protocol::limits::Limits;
use irods_protocol::message::{
    BinBytesBuf, BytesBuf, GenQueryOut, InxIvalPair, KeyValPair, RError,
};
use irods_protocol::{Packing, Pi};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MEGABYTE: usize = 1 << 20;

/// Most bytes that were in use at a time while something ran, on top of what was before.
fn peak_of(run: impl FnOnce()) -> usize {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    run();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

#[test]
fn announcing_costs_nothing() {
    // A header that announces as much as is allowed, and then a peer that sends little by little.
    let sent = 3 * MEGABYTE;
    let peak = peak_of(|| {
        let header = Header {
            kind: kind::API_REPLY.to_owned(),
            bytes_len: i32::try_from(Limits::SESSION.bytes).unwrap(),
            ..Header::default()
        };
        let mut decoder = FrameDecoder::new(Limits::SESSION);
        decoder
            .space()
            .extend_from_slice(&frame::encode_header(&header).unwrap());
        assert_eq!(decoder.next_frame(), Ok(None));
        for _ in 0..sent / 1024 {
            decoder.space().extend_from_slice(&[7; 1024]);
            assert_eq!(decoder.next_frame(), Ok(None));
        }
        assert_eq!(decoder.buffered(), sent);
    });
    // Growing by doubling holds the old and the new buffer for a moment.
    assert!(peak < 4 * sent, "{peak} bytes for {sent} received");

    let count = i32::MAX.to_be_bytes();
    let native = |more: &[u8]| [count.as_slice(), more].concat();
    let xml = |name: &str, counter: &str, first: &str| {
        format!("<{name}><{counter}>2147483647</{counter}>{first}</{name}>").into_bytes()
    };
    let peak = peak_of(|| {
        assert!(KeyValPair::from_bytes(Packing::NATIVE, &native(&[0; 64])).is_err());
        assert!(InxIvalPair::from_bytes(Packing::NATIVE, &native(&[0; 64])).is_err());
        assert!(RError::from_bytes(Packing::NATIVE, &native(&[0; 64])).is_err());
        assert!(BinBytesBuf::from_bytes(Packing::NATIVE, &native(&[0; 64])).is_err());
        assert!(BytesBuf::from_bytes(Packing::NATIVE, &native(&[0; 64])).is_err());
        let query = native(&[0, 0, 0, 50, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(GenQueryOut::from_bytes(Packing::NATIVE, &query).is_err());
        let keywords = xml("KeyValPair_PI", "ssLen", "<keyWord>a</keyWord>");
        assert!(KeyValPair::from_bytes(Packing::XML, &keywords).is_err());
        let _ = BinBytesBuf::from_bytes(
            Packing::XML,
            &xml("BinBytesBuf_PI", "buflen", "<buf>QQ==</buf>"),
        );
        let _ = BytesBuf::from_bytes(Packing::XML, &xml("BytesBuf_PI", "buflen", "<buf>a</buf>"));
    });
    assert!(
        peak < MEGABYTE / 4,
        "{peak} bytes for messages of a few dozen"
    );
}
