//! Whatever lies where the facts of a source should, reading it does not panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let _ = titan_download::storage::doors::facts(file);
});
