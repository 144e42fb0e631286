//! Whatever stands at the end of a Parquet file under our keys, one `key=value` a line, reading it
//! does not panic, and what was read is written and read back the same.
#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use titan_download::format::Footer;

fuzz_target!(|text: &str| {
    let pairs: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    if let Ok(footer) = Footer::from_pairs(|key| pairs.get(key).copied()) {
        let again: HashMap<String, String> = footer.to_pairs().into_iter().collect();
        let read = Footer::from_pairs(|key| again.get(key).map(String::as_str));
        assert_eq!(read.as_ref(), Ok(&footer));
    }
});
