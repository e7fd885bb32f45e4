//! The first byte chooses the structure, the rest is its body.
#![no_main]

#[path = "../../tests/support/structures.rs"]
mod structures;

use irods_protocol::Packing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some((&which, body)) = data.split_first()
        && let Some((_, read)) = structures::ALL.get(usize::from(which) % structures::ALL.len())
    {
        read(Packing::XML, body);
    }
});
