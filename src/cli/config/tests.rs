//! Good files arrive as keys with their lines; bad ones are named with place, key and advice.

use proptest::prelude::*;

use super::super::args::{JOB_KEYS, Keys};
use super::*;

fn read(text: &str) -> ConfigFile {
    parse("titan.toml", text, &KEYS_OF_ALL).unwrap_or_else(|failure| panic!("{failure:?}"))
}

/// Message and hint of a bad file.
#[track_caller]
fn check(text: &str, message: &str, hint: &str) {
    let failure = parse("titan.toml", text, &KEYS_OF_ALL).expect_err(text);
    assert_eq!(failure.error.to_string(), message, "{text}");
    assert_eq!(failure.hint.as_deref(), Some(hint), "{text}");
}

fn texts(file: &ConfigFile, key: &str) -> Vec<String> {
    file.values[key].texts.clone()
}

#[test]
fn values_arrive_as_they_would_be_typed() {
    let file = read(
        "\u{feff}# settings\r\nsymbol = [\"R_100\", \"R_50\",]\r\nmonths = 0.5\ngranularity = [60, 0xe10]\n\
         chunk-rows = 65_536\nquiet = true\nverbose = 2\nstart-date = 2026-01-01\nrate = \"unlimited\"\n\
         kind = 'ticks, candles,'\nspike-threshold = 7.5\noutput = \"päth\"\n",
    );
    assert_eq!(texts(&file, "symbol"), ["R_100", "R_50"]);
    assert_eq!(file.values["symbol"].line, 2);
    assert_eq!(texts(&file, "months"), ["0.5"]);
    assert_eq!(texts(&file, "granularity"), ["60", "3600"]);
    assert_eq!(texts(&file, "chunk-rows"), ["65536"]);
    assert_eq!(texts(&file, "quiet"), ["true"]);
    assert_eq!(texts(&file, "verbose"), ["2"]);
    assert_eq!(texts(&file, "start-date"), ["2026-01-01"]);
    assert_eq!(texts(&file, "kind"), ["ticks, candles,"]);
    assert_eq!(texts(&file, "output"), ["päth"]);
    assert_eq!(file.values["output"].line, 12);
    assert!(file.jobs.is_empty());
}

#[test]
fn what_is_empty_says_nothing() {
    let file = read("symbol = []\nkind = [\"\", \" \"]\nendpoint = \"\"\noutput = \"  \"\n");
    assert!(file.values.values().all(Given::is_void), "{file:?}");
    for text in ["", "\u{feff}", "\n\n# nothing\n"] {
        assert_eq!(read(text).values.len(), 0);
    }
}

#[test]
fn jobs_know_their_lines() {
    let file = read(
        "months = 1\n\n[[series]]\nsymbol = \"R_100\"\n\n[[series]]\nsymbol = [\"R_50\"]\nmonths = 24\n\
         gap-threshold = \"auto\"\n",
    );
    let lines: Vec<_> = file.jobs.iter().map(|job| job.origin.clone()).collect();
    assert_eq!(lines, [file.origin(3), file.origin(6)]);
    assert_eq!(file.jobs[1].values["months"].texts, ["24"]);
    assert_eq!(file.jobs[1].values["gap-threshold"].line, 9);
    let inline = read("series = [{ symbol = \"R_100\" }, { symbol = \"R_50\" }]");
    assert_eq!(inline.jobs.len(), 2);
}

#[test]
fn unknown_keys_are_named_with_the_one_that_was_meant() {
    let at = |place: &str, key: &str| format!("`titan.toml` {place}: unknown key `{key}`");
    let meant = |key: &str| format!("did you mean `{key}`?");
    check("rates = 1", &at("line 1 column 1", "rates"), &meant("rate"));
    check("\n  max_duration = 1", &at("line 2 column 3", "max_duration"), &meant("max-duration"));
    check("symbols = 1", &at("line 1 column 1", "symbols"), &meant("symbol"));
    check("serie = 1", &at("line 1 column 1", "serie"), &meant("series"));
    check("'größe' = 1", &at("line 1 column 1", "größe"), KEYS);
    check("[[series]]\nmonth = 1", &at("line 2 column 1", "month"), &meant("months"));
    check(
        "[[series]]\nnonsense-key = 1",
        &at("line 2 column 1", "nonsense-key"),
        "a job takes `symbol`, `kind`, `granularity`, `months`, `start-date`, `end-date`, `gap-threshold`",
    );
    check("[pace]\nrate = 1", &at("line 1 column 2", "pace"), &meant("rate"));
    check("\"\\u001b[2J\" = 1", &at("line 1 column 1", "\\u{1b}[2J"), KEYS);
    check(
        "[[series]]\nsymbol = \"R_100\"\noutput = \"x\"",
        "`titan.toml` line 3 column 1: `output` is not a key of a job but of the whole file",
        "write it above the first `[[series]]`",
    );
    check(
        "config = \"x\"",
        "`titan.toml` line 1 column 1: `config` is no key of the file",
        "leave it out, and give `--config` on the command line",
    );
}

static KEYS_OF_ALL: std::sync::LazyLock<Keys> = std::sync::LazyLock::new(Keys::all);

const KEYS: &str = "the keys are the long names of the options, as `--help` lists them";

#[test]
fn wrong_types_are_named() {
    let flag = "write `true` or `false`, without quotes";
    let at = |place: &str, what: &str| format!("`titan.toml` {place}: {what}");
    check(
        "quiet = \"yes\"",
        &at("line 1 column 9", "`quiet` takes `true` or `false`, not a text"),
        flag,
    );
    check(
        "demo = 1",
        &at("line 1 column 8", "`demo` takes `true` or `false`, not a whole number"),
        flag,
    );
    check(
        "rate = [1, 2]",
        &at("line 1 column 8", "`rate` takes one value, not a list"),
        "write a number, or a text in quotes",
    );
    check(
        "output = 5",
        &at("line 1 column 10", "`output` takes a name in quotes, not a whole number"),
        "write the name of the file or folder in quotes",
    );
    check(
        "symbol = [\"R_100\", true]",
        &at("line 1 column 20", "`symbol` takes one value, not `true` or `false`"),
        "write a number, or a text in quotes",
    );
    check(
        "[symbol]\nname = \"R_100\"",
        &at("line 1 column 1", "`symbol` takes one value or a list, not a table"),
        "write a text in quotes, or a list like `[\"R_100\", \"R_50\"]`",
    );
    check(
        "series = 1",
        &at("line 1 column 1", "`series` is no list of jobs"),
        "begin each job with a line `[[series]]`",
    );
    check(
        "[series]\nsymbol = \"R_100\"",
        &at("line 1 column 2", "`series` is no list of jobs"),
        "begin each job with a line `[[series]]`",
    );
    check(
        "verbose = true",
        &at("line 1 column 11", "`verbose` takes a whole number, not `true` or `false`"),
        "write a number from 0 to 3",
    );
}

#[test]
fn what_is_no_toml_is_named_with_its_line() {
    let refused = |text: &str, parts: &[&str]| {
        let failure = parse("titan.toml", text, &KEYS_OF_ALL).expect_err(text);
        let message = failure.error.to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{text}: {message}");
        assert!(failure.hint.is_some());
    };
    refused("rate = 1\nrate = 2\n", &["line 2 column 1", "duplicate key"]);
    refused("rate = 1\nkind = ticks\n", &["line 2", "no TOML"]);
    refused("rate 100", &["line 1", "no TOML"]);
    refused("rate = 1\n[[series]\n", &["line 2", "no TOML"]);
    let deep = format!("kind = {}{}", "[".repeat(5_000), "]".repeat(5_000));
    refused(&deep, &["line 1", "no TOML"]);
    let dotted = format!("{}z = 1", "a.".repeat(20_000));
    refused(&dotted, &["line 1"]);
    refused("kind = \"\\u0000\"", &["`kind` takes a text without a NUL in it"]);
}

/// The token was once all that a person put into the file that everybody copies.
#[test]
fn secrets_are_refused_and_never_shown() {
    let planted = "pL4nt3dT0k3n";
    for text in [
        format!("token = \"{planted}\""),
        format!("[[series]]\nsymbol = \"R_100\"\ntoken = \"{planted}\""),
        format!("TITAN_TOKEN = \"{planted}\""),
        format!("api_token = \"{planted}\""),
    ] {
        let failure = parse("titan.toml", &text, &KEYS_OF_ALL).unwrap_err();
        let said = format!("{} {}", failure.error, failure.hint.unwrap());
        assert!(said.contains("not kept in this file") && said.contains("`TITAN_TOKEN`"), "{said}");
        assert!(!said.contains(planted), "{said}");
    }
    for text in [
        format!("tokn = \"{planted}\""),
        format!("quiet = \"{planted}\""),
        format!("token = {planted}"),
        format!("token = \"{planted}"),
        format!("token = \"{planted}\"\ntoken = \"{planted}\""),
        planted.to_owned(),
        format!("= {planted}"),
        format!("rate = 1 {planted}"),
    ] {
        let failure = parse("titan.toml", &text, &KEYS_OF_ALL).unwrap_err();
        let said = format!("{:?} {}", failure.chain(), failure.hint.unwrap());
        assert!(!said.contains(planted), "{text}: {said}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.toml");
    let refused = |path: &Path| {
        let failure = load(Some(path), &KEYS_OF_ALL).unwrap_err();
        assert!(failure.hint.is_some());
        failure.error.to_string()
    };
    assert!(refused(&path).contains("x.toml`: No such file"), "{}", refused(&path));
    assert!(refused(folder.path()).ends_with("it is a folder"));
    std::fs::write(&path, b"rate = 1\nkind = \"\xff\"\n").unwrap();
    assert!(refused(&path).ends_with("it is not UTF-8 from line 2 on"));
    std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    assert!(refused(&path).ends_with("it is larger than 1024 KiB"));
    std::fs::write(&path, "rate = 1\n").unwrap();
    assert_eq!(load(Some(&path), &KEYS_OF_ALL).unwrap().unwrap().values["rate"].texts, ["1"]);
    assert_eq!(load(Some(Path::new("/dev/null")), &KEYS_OF_ALL).unwrap().unwrap().values.len(), 0);
}

#[test]
fn every_key_of_a_job_is_a_key_of_the_file() {
    let keys = Keys::all();
    assert!(JOB_KEYS.iter().all(|key| keys.shape(key).is_some()));
    assert!(keys.shape("series").is_none() && keys.shape("config").is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Whatever stands in the file, it is read or refused with a place.
    #[test]
    fn no_text_is_a_panic(text in "[a-z\\-=\\[\\]\"'{}.,# \n\r\t0-9é\u{feff}]{0,200}") {
        if let Err(failure) = parse("titan.toml", &text, &KEYS_OF_ALL) {
            prop_assert!(failure.error.to_string().starts_with("`titan.toml` line "));
        }
    }
}
