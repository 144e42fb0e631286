//! The configuration file and `--print-config`, with the real binary.

use std::fs;

use serde_json::{Value, json};

use crate::process::{Ran, Sandbox, Server};

/// Sets one option in every place, so that each place wins once.
fn four_places(sandbox: &Sandbox) -> Ran {
    fs::write(
        sandbox.path("titan.toml"),
        "# nightly\nsymbol = [\"R_100\", \"R_50\"]\nrate = 40\nretries = 1\nconcurrency = 2\nkind = \"ticks\"\n\
         months = 3\nendpoint = \"ws://127.0.0.1:1/x?otp=s3cret\"\n",
    )
    .unwrap();
    let env_file = "TITAN_RATE=30\nTITAN_RETRIES=3\nTITAN_TOKEN=pL4nt3dT0k3n\nNO_COLOR=1\n";
    fs::write(sandbox.path(".env"), env_file).unwrap();
    let mut command = sandbox.command(&["--print-config", "--rate", "10", "--json"]);
    command.env("TITAN_RATE", "20").env("TITAN_RETRIES", "").env("TITAN_CONCURRENCY", "3");
    command.env("TITAN_TEST", "no").output().unwrap().into()
}

/// Nobody listens at port 1: whoever asked would end with 69.
#[test]
fn print_config_names_the_place_of_each_value_and_touches_nothing() {
    let sandbox = Sandbox::new();
    let ran = four_places(&sandbox).expect(0);
    let shown = ran.json();
    let setting = |option: &str| shown["settings"][option].clone();
    let masked = false;
    assert_eq!(setting("rate"), json!({ "value": "10", "origin": "flag", "masked": masked }));
    let concurrency = json!({ "value": "3", "origin": "environment", "masked": masked });
    assert_eq!(setting("concurrency"), concurrency);
    // Empty in the environment is not given there.
    let retries = json!({ "value": "3", "origin": "env_file", "masked": masked });
    assert_eq!(setting("retries"), retries);
    let from_file = |value: Value, line: u32| json!({ "value": value, "origin": "config_file", "file": "titan.toml", "line": line, "masked": masked });
    assert_eq!(setting("symbol"), from_file(json!(["R_100", "R_50"]), 2));
    assert_eq!(setting("months"), from_file(json!("3"), 7));
    assert_eq!(
        setting("timeout"),
        json!({ "value": "30s", "origin": "default", "masked": masked })
    );
    assert_eq!(setting("max-duration")["value"], Value::Null);
    assert_eq!(
        setting("test"),
        json!({ "value": false, "origin": "environment", "masked": masked })
    );
    assert_eq!(setting("token"), json!({ "value": null, "origin": "env_file", "masked": true }));
    assert_eq!(setting("endpoint")["value"], "ws://127.0.0.1:1/x");
    assert_eq!(shown["series"], json!(["R_100 ticks", "R_50 ticks"]));

    let text = sandbox.run(&["--print-config"]).expect(0);
    for line in ["rate = 30", "concurrency = 2", "# TITAN_RATE in .env", "# titan.toml line 5"] {
        assert!(text.stdout.contains(line), "{line}: {}", text.stdout);
    }
    for said in [ran, text] {
        for secret in ["s3cret", "pL4nt", "T0k3n"] {
            assert!(!said.stdout.contains(secret) && !said.stderr.contains(secret), "{said:?}");
        }
    }
    let names: Vec<_> = sandbox.content().into_keys().collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

/// What is printed is a configuration file that says the same.
#[test]
fn what_is_printed_can_be_read_again() {
    let sandbox = Sandbox::new();
    let file = "output = \"a \\\"b\\\"\\u0007\"\nmonths = 0.5\nverbose = 1\n\n[[series]]\nsymbol = [\"R_100\", \"R_50\"]\n\
                kind = \"candles\"\ngranularity = [60, 3600]\ngap-threshold = 7\n\n[[series]]\nsymbol = \"frxEURUSD\"\n\
                start-date = 2026-01-01\nend-date = 2026-02-01\n";
    fs::write(sandbox.path("first.toml"), file).unwrap();
    let options = ["--print-config", "--no-resume", "--config"];
    let print = |name: &str, more: &[&str]| {
        sandbox.run(&[options.as_slice(), &[name], more].concat()).expect(0)
    };
    let text = print("first.toml", &[]).stdout;
    assert!(!text.contains('\u{7}'), "{text:?}");
    fs::write(sandbox.path("second.toml"), &text).unwrap();
    let without_places = |mut value: Value| {
        value["session"] = Value::Null;
        let mut left = vec![&mut value];
        while let Some(value) = left.pop() {
            if let Value::Object(object) = value {
                for key in ["origin", "file", "line"] {
                    object.remove(key);
                }
            }
            match value {
                Value::Object(object) => left.extend(object.values_mut()),
                Value::Array(values) => left.extend(values),
                _ => {}
            }
        }
        value
    };
    let [first, second] =
        ["first.toml", "second.toml"].map(|name| without_places(print(name, &["--json"]).json()));
    assert_eq!(first, second, "{text}");
    assert_eq!(first["jobs"].as_array().unwrap().len(), 2);
    assert_eq!(first["series"].as_array().unwrap().len(), 6);
}

#[test]
fn print_config_says_what_a_download_would_say() {
    let sandbox = Sandbox::new();
    // All that is missing is a symbol: whoever asks for the defaults gets them.
    let ran = sandbox.run(&["--print-config"]).expect(0);
    assert!(ran.stdout.contains("output = \"data_cache\"") && ran.stderr.is_empty(), "{ran:?}");
    fs::write(sandbox.path("titan.toml"), "\nsymbol = \"R_100\"\nrate = \"fast\"\n").unwrap();
    let ran = sandbox.run(&["--print-config"]).expect(2);
    assert!(ran.stdout.contains("rate = \"fast\""), "{}", ran.stdout);
    let said =
        "error: cannot read `rate` in `titan.toml` line 3: `fast` is not a whole number\nhint: ";
    assert!(ran.stderr.starts_with(said), "{}", ran.stderr);
    let json = sandbox.run(&["--print-config", "--json"]).expect(2).json();
    assert_eq!(json["exit_code"], 2);
    assert!(json["error"]["message"].as_str().unwrap().contains("line 3"), "{json}");
}

#[test]
fn a_bad_file_is_refused_before_anybody_is_asked() {
    let sandbox = Sandbox::new();
    let refused = |arguments: &[&str], parts: &[&str]| {
        let before = sandbox.content();
        let ran = sandbox.run(arguments).expect(2);
        let n = |start: &str| ran.stderr.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!((n("error: "), n("hint: ")), (1, 1), "{}", ran.stderr);
        assert!(parts.iter().all(|part| ran.stderr.contains(part)), "{parts:?}\n{}", ran.stderr);
        assert!(ran.stdout.is_empty() && sandbox.content() == before, "{ran:?}");
    };
    let symbol = ["--symbol", "R_100", "--endpoint", "ws://127.0.0.1:1/"];
    let with = |more: &[&'static str]| [symbol.as_slice(), more].concat();
    refused(&with(&["--config", "none.toml"]), &["`none.toml`", "No such file", "`--config`"]);
    refused(&with(&["--config", "."]), &["`.`: it is a folder"]);
    fs::write(sandbox.path("titan.toml"), "max_duration = \"2h\"\n").unwrap();
    let said = ["`titan.toml` line 1 column 1: unknown key `max_duration`", "`max-duration`?"];
    refused(&with(&[]), &said);
    // Other commands read the same file.
    refused(&["status"], &said);
    // Another file, or none, leaves it alone.
    fs::write(sandbox.path("other.toml"), "output = \"far\"\n").unwrap();
    let ran = sandbox.run(&["status", "--config", "other.toml"]).expect(2);
    assert!(ran.stderr.contains("`far`"), "{}", ran.stderr);
    let mut command = sandbox.command(&["status"]);
    let ran: Ran = command.env("TITAN_CONFIG", "/dev/null").output().unwrap().into();
    assert!(ran.expect(2).stderr.contains("`data_cache`"));
    // With --json the error is an object too.
    let ran = sandbox.run(&["status", "--json"]).expect(2);
    assert!(ran.json()["error"]["message"].as_str().unwrap().contains("max_duration"));
}

/// A token in a file that is copied and shown around is refused, and said nowhere.
#[test]
fn a_token_in_the_file_is_refused_and_not_shown() {
    let sandbox = Sandbox::new();
    for text in ["token = \"pL4nt3d\"\n", "symbol = pL4nt3d\n", "quiet = \"pL4nt3d\"\n"] {
        fs::write(sandbox.path("titan.toml"), text).unwrap();
        for arguments in [["--print-config", "-vvv"], ["--print-config", "--json"]] {
            let ran = sandbox.run(&arguments).expect(2);
            assert!(!ran.stderr.contains("pL4nt") && !ran.stdout.contains("pL4nt"), "{ran:?}");
        }
    }
}

/// What `verify` and `status` look at comes from the file as well.
#[test]
fn the_other_commands_find_the_archive_of_the_file() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let file = "output = \"archive\"\nrate = \"unlimited\"\n\n[[series]]\nsymbol = \"R_100\"\nkind = \"candles\"\n\
                start-date = 2026-03-01\nend-date = 2026-03-03\n";
    fs::write(sandbox.path("titan.toml"), file).unwrap();
    let ran = sandbox.run(&["--endpoint", &server.url]).expect(0);
    assert!(ran.stdout.contains("2,880 rows"), "{}", ran.stdout);
    for command in ["verify", "status"] {
        let ran = sandbox.run(&[command]).expect(0);
        assert!(ran.stdout.contains("`archive`"), "{}", ran.stdout);
    }
    let ran = sandbox.run(&["explain", "R_100/candles_60@2026-03-01T12:00:00Z"]).expect(0);
    assert!(ran.stdout.contains("archive") || ran.stdout.contains("2026-03.parquet"), "{ran:?}");
}
