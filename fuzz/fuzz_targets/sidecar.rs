//! Whatever lies where a sidecar should, reading it does not panic, and what was read is written
//! and read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use titan_download::format::sidecar::Sidecar;

fuzz_target!(|file: &[u8]| {
    if let Ok(sidecar) = Sidecar::from_json(file) {
        let _ = sidecar.coverage();
        assert_eq!(Sidecar::from_json(&sidecar.to_json()).unwrap(), sidecar);
    }
});
