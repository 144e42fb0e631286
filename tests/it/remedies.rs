//! What a finding says to do are commands that work as they are printed: folder, symbol and
//! `--demo` included.

use std::fs;

use titan_download::domain::{Advice, PartitionKey, Place};

use crate::process::Sandbox;

/// What stands between backticks and is a command of ours.
fn commands(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(|text| Some(text.strip_prefix("titan-download")?.to_owned())).collect()
}

/// An archive of invented prices in a folder that a shell has to quote; its months of day bars.
fn demo() -> (Sandbox, Vec<PartitionKey>) {
    let sandbox = Sandbox::new();
    let what = ["--demo", "--symbol", "R_100", "--kind", "candles", "--granularity", "86400"];
    sandbox
        .run(&[what.as_slice(), &["--months", "1", "--output", "my archive"]].concat())
        .expect(0);
    let folder = sandbox.path("my archive/R_100/candles_86400");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let months = names.filter_map(|name| Some(name.to_str()?.strip_suffix(".parquet")?.to_owned()));
    let mut keys: Vec<PartitionKey> =
        months.map(|month| format!("R_100/candles_86400/{month}").parse().unwrap()).collect();
    keys.sort_unstable();
    (sandbox, keys)
}

#[test]
fn every_advice_can_be_typed_as_it_stands() {
    let (sandbox, keys) = demo();
    // The first month is over, and the last, if there is another, is not.
    let now = Some(keys[0].month.next().range().start().plus(2));
    let place = Place { root: Some("my archive".into()), is_demo: true, now };
    let mut n_run = 0;
    for advice in Advice::ALL {
        for partition in keys.iter().map(Some).chain([None]) {
            for words in commands(&advice.words(partition, &place)) {
                let ran = sandbox.shell(&words, &[]);
                assert_eq!(ran.code, Some(0), "{advice}: titan-download{words}\n{ran:?}");
                n_run += 1;
            }
        }
    }
    assert!(n_run >= 10, "{n_run}");
    // And without any folder they are about the default one.
    for words in commands(&Advice::Repair.words(keys.first(), &Place::default())) {
        assert_eq!(words, " repair --symbol R_100");
    }
}

#[test]
fn what_verify_prints_mends_an_archive_of_invented_prices() {
    let (sandbox, keys) = demo();
    let key = &keys[0];
    let file = sandbox.path(&format!("my archive/R_100/candles_86400/{}.parquet", key.month));
    let mut bytes = fs::read(&file).unwrap();
    bytes[40] ^= 0x10;
    fs::write(&file, bytes).unwrap();
    let verified = sandbox.run(&["verify", "my archive"]).expect(1);
    let printed = commands(&verified.stdout);
    assert!(!printed.is_empty(), "{}", verified.stdout);
    for words in &printed {
        let ran = sandbox.shell(words, &[]);
        assert_eq!(ran.code, Some(0), "titan-download{words}\n{ran:?}");
    }
    sandbox.run(&["verify", "my archive"]).expect(0);
    // The same in JSON.
    fs::remove_file(file.with_extension("metadata.json")).unwrap();
    let json = sandbox.run(&["verify", "my archive", "--json"]).expect(1).json();
    let findings = json["findings"].as_array().unwrap();
    let finding = findings
        .iter()
        .find(|f| f["kind"] == "sidecar_missing")
        .unwrap_or_else(|| panic!("{json}"));
    assert_eq!(finding["advice"], "repair");
    assert_eq!(finding["partition"], String::from(key.clone()));
    let repair = finding["repair"].as_str().unwrap();
    assert_eq!(repair, "run `titan-download repair --symbol R_100 --output 'my archive' --demo`");
    assert_eq!(json["report"]["partitions"][0]["findings"][0]["repair"], repair);
    sandbox.shell(&commands(repair)[0], &[]).expect(0);
    sandbox.run(&["verify", "my archive"]).expect(0);
}
