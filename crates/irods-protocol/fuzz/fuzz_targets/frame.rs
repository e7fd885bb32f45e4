//! A stream in pieces: the first byte of each 64 says how the rest is cut.
#![no_main]

use irods_protocol::frame::FrameDecoder;
use irods_protocol::limits::Limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&step, stream)) = data.split_first() else {
        return;
    };
    let mut whole = FrameDecoder::new(Limits::SESSION);
    whole.space().extend_from_slice(stream);
    let mut cut = FrameDecoder::new(Limits::SESSION);
    let mut pieces = stream.chunks(usize::from(step).max(1));
    loop {
        let frame = whole.next_frame();
        // Pieces until the cut stream says the same, or is at its end.
        let mut same = cut.next_frame();
        while same == Ok(None) {
            let Some(piece) = pieces.next() else { break };
            cut.space().extend_from_slice(piece);
            same = cut.next_frame();
        }
        assert_eq!(frame, same);
        if !matches!(frame, Ok(Some(_))) {
            return;
        }
    }
});
