//! Whatever a server sends in one frame, reading it neither panics nor overflows the stack.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    let _ = titan_download::deriv::classify(frame);
});
