//! Each setting: good values arrive, bad ones are named with what to do.

use super::super::args::{self, Origins};
use super::*;

fn endpoint_of(_: Api, text: Option<&str>) -> Result<EndpointChoice, String> {
    let url = text.unwrap_or("wss://source.example").to_owned();
    let (scheme, host) = url.split_once("://").ok_or("no scheme")?;
    let (is_tls, is_loopback) = (scheme == "wss", host.starts_with("127."));
    let shown = url.split('?').next().unwrap_or_default().to_owned();
    Ok(EndpointChoice { is_tls, is_loopback, url, shown })
}

fn outside() -> Outside<'static> {
    Outside {
        token: None,
        endpoint: &endpoint_of,
        compression: &|text| if text == "lzma" { Err("no such codec".into()) } else { Ok(()) },
    }
}

fn read_with(line: &str, outside: &Outside<'_>) -> Result<DownloadSettings, SettingsError> {
    let words = std::iter::once("titan-download").chain(line.split_whitespace());
    let (cli, origins) = args::parse(words.map(Into::into).collect()).unwrap();
    download(&cli.download, &origins, outside)
}

fn read(line: &str) -> DownloadSettings {
    read_with(&format!("--symbol R_100 {line}"), &outside()).unwrap()
}

/// The message and the hint of a bad command line.
#[track_caller]
fn check(line: &str, message: &str, hint: &str) {
    let line =
        if line.contains("--symbol") { line.into() } else { format!("--symbol R_100 {line}") };
    let error = read_with(&line, &outside()).expect_err(&line);
    assert_eq!((error.to_string().as_str(), error.hint()), (message, hint));
}

#[test]
fn the_defaults_are_those_of_the_help() {
    let settings = read("");
    let names: Vec<_> = settings.request.series().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["R_100 ticks", "R_100 candles 60s"]);
    assert_eq!(settings.request.wanted[0].window, Window::Months(1));
    assert_eq!(settings.output, PathBuf::from("data_cache"));
    assert_eq!(settings.pace.rate, Rate::PerMinute(200));
    assert_eq!((settings.pace.concurrency, settings.pace.retries), (4, 6));
    assert_eq!(settings.pace.timeout, Duration::from_secs(30));
    assert_eq!(settings.pace.max_outage, Duration::from_secs(1_800));
    assert_eq!(settings.file.settle_lag, Duration::from_secs(86_400));
    assert_eq!(settings.file.gap_thresholds, crate::domain::GapThresholds::default());
    assert_eq!((settings.file.row_group_rows, settings.file.chunk_rows), (131_072, 65_536));
    assert_eq!(settings.warnings, Vec::<String>::new());
    assert!(settings.token.is_none() && settings.progress && !settings.dry_run);
}

#[test]
fn the_budget_is_shared_unless_the_exchange_is_on_this_machine() {
    assert!(read("").pace.is_shared);
    assert!(!read("--share-pace false").pace.is_shared);
    assert!(!read("--endpoint ws://127.0.0.1:9/").pace.is_shared);
    assert!(read("--endpoint ws://127.0.0.1:9/ --share-pace").pace.is_shared);
    assert!(!read("--demo").pace.is_shared);
    assert_eq!(read("--state-dir /var/x").state_dir, Some(PathBuf::from("/var/x")));
    check(
        "--share-pace maybe",
        "cannot read `--share-pace`: `maybe` is not known",
        "choose `true` or `false`",
    );
}

#[test]
fn series_are_asked_once_in_the_order_given() {
    let line = "--symbol R_50,R_100 --symbol R_50 --kind candles --granularity 60,3600";
    let settings = read_with(line, &outside()).unwrap();
    let names: Vec<_> = settings.request.series().iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        ["R_50 candles 60s", "R_50 candles 3600s", "R_100 candles 60s", "R_100 candles 3600s"]
    );
}

#[test]
fn windows() {
    let day = |text| day(text).unwrap();
    assert_eq!(read("--months 24").request.wanted[0].window, Window::Months(24));
    assert_eq!(read("--months 0").request.wanted[0].window, Window::Months(0));
    assert_eq!(read("--months 0.5").request.wanted[0].window, Window::MonthsOf30Days(0.5));
    assert_eq!(read("--test").request.wanted[0].window, Window::LastDay);
    assert_eq!(
        read("--start-date 2024-03-01").request.wanted[0].window,
        Window::Range { start: day("2024-03-01"), end: None }
    );
    assert_eq!(
        read("--start-date 2024-03-01 --end-date 2024-03-02").request.wanted[0].window,
        Window::Range { start: day("2024-03-01"), end: Some(day("2024-03-02")) }
    );
}

#[test]
fn bad_windows() {
    let date = "write a date like `2024-03-01`";
    let months = "write a number of months like `12`, or a decimal like `0.5` for 15 days";
    check(
        "--start-date 2024-01-01 --end-date 2024-13-01",
        "cannot read `--end-date`: `2024-13-01` has no month 13",
        date,
    );
    check(
        "--start-date 1900-01-01",
        "cannot read `--start-date`: `1900-01-01` is before the year 2000, and the source has no history from then",
        date,
    );
    check(
        "--start-date 2024-01-01 --end-date 9999-01-01",
        "cannot read `--end-date`: `9999-01-01` is in the year 9999, long after now",
        date,
    );
    check("--end-date 2024-01-01", "`--end-date` needs a start", "add `--start-date YYYY-MM-DD`");
    check(
        "--start-date 2024-03-02 --end-date 2024-03-02",
        "the range from 2024-03-02T00:00:00Z to 2024-03-02T00:00:00Z is empty",
        "the end is exclusive: for one day, write the day after it as `--end-date`",
    );
    let bad = |text: &str, problem: &str| {
        check(
            &format!("--months {text}"),
            &format!("cannot read `--months`: `{text}` {problem}"),
            months,
        );
    };
    bad("-1", "is no time at all");
    bad("0.0", "is no time at all");
    bad("NaN", "is not a number of months");
    bad("inf", "is not a number of months");
    bad("twelve", "is not a number of months");
    bad("1201", "is too many months");
    bad("1e300", "is too many months");
}

#[test]
fn bad_series() {
    check(
        "--kind tick",
        "cannot read `--kind`: `tick` is not known",
        "did you mean `ticks`? choose `ticks` or `candles`",
    );
    check(
        "--granularity 61",
        "cannot read `--granularity`: the source has no candles of `61` seconds",
        "choose one of 60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400",
    );
    check(
        "--symbol ../../etc",
        "cannot read `--symbol`: `../../etc` is not a symbol",
        "a symbol is 2 to 30 letters, digits or underscores, like `R_100`",
    );
    check(
        "--symbol ,",
        "no symbol is given",
        "name one with `--symbol R_100`, set `TITAN_SYMBOL` in the environment or in `.env`, or write jobs into `titan.toml`",
    );
    assert_eq!(read_with("--test", &outside()).unwrap_err().to_string(), "no symbol is given");
}

#[test]
fn a_value_from_the_environment_is_named_by_its_variable() {
    let words = ["titan-download", "--symbol", "R_100", "--rate", "fast"];
    let (cli, _) = args::parse(words.map(Into::into).to_vec()).unwrap();
    let error = download(&cli.download, &Origins::from_environment(&["rate"]), &outside());
    assert_eq!(
        error.unwrap_err().to_string(),
        "cannot read `TITAN_RATE`: `fast` is not a whole number"
    );
}

/// Of four series each run would learn again where history begins, and never ask for a row.
#[test]
fn a_budget_reaches_the_first_page() {
    let settings = |text: &str| read_with(text, &outside());
    for (line, least) in [
        ("--symbol R_100 --kind ticks", 3),
        ("--symbol R_100", 4),
        ("--symbol R_100,R_50 --granularity 60,300", 8),
    ] {
        let with = |max: u64| settings(&format!("{line} --max-requests {max}"));
        assert_eq!(with(least).unwrap().pace.max_requests, Some(least));
        let error = with(least - 1).unwrap_err();
        let hint = format!("write at least {least} for what is asked for");
        assert!(error.hint().starts_with(&hint), "{}", error.hint());
        assert!(error.to_string().starts_with("cannot read `--max-requests`"), "{error}");
    }
}

#[test]
fn rates() {
    assert_eq!(read("--demo").pace.rate, Rate::Unlimited);
    assert_eq!(read("--demo --rate 50").pace.rate, Rate::PerMinute(50));
    assert_eq!(read("--endpoint ws://127.0.0.1:1").pace.rate, Rate::PerMinute(200));
    assert_eq!(read("--endpoint ws://127.0.0.1:1 --rate unlimited").pace.rate, Rate::Unlimited);
    assert_eq!(read("--rate 220").warnings, Vec::<String>::new());
    assert_eq!(
        read("--rate 221").warnings,
        ["221 requests a minute are more than the 220 that Deriv allows; expect refusals"]
    );
    assert_eq!(read("--endpoint ws://127.0.0.1:1 --rate 5000").warnings, Vec::<String>::new());
    check(
        "--rate unlimited",
        "cannot read `--rate`: `unlimited` is for endpoints on this machine only",
        "write requests per minute, at most 220 are allowed by Deriv",
    );
    check(
        "--rate 0",
        "cannot read `--rate`: `0` is out of bounds",
        "write requests per minute like `200`, or `unlimited` for an endpoint on this machine",
    );
}

#[test]
fn short_pauses_are_for_this_machine_only() {
    let hint = "write a duration from 1m to 10years";
    check("--breaker-cooldown 59s", "cannot read `--breaker-cooldown`: `59s` is too short", hint);
    check("--ratelimit-pause 1s", "cannot read `--ratelimit-pause`: `1s` is too short", hint);
    let local = read("--endpoint ws://127.0.0.1:1 --breaker-cooldown 50ms --ratelimit-pause 1s");
    assert_eq!(local.pace.breaker_cooldown, Duration::from_millis(50));
    assert_eq!(local.pace.ratelimit_pause, Duration::from_secs(1));
}

#[test]
fn endpoints() {
    check(
        "--endpoint ws://far.example?otp=s3cret",
        "the endpoint `ws://far.example` is on another machine and not encrypted",
        "use `wss://`, or allow it with `--insecure-ws`",
    );
    check(
        "--endpoint far.example",
        "cannot read `--endpoint`: no scheme",
        "write an endpoint like `wss://host/path` or `ws://127.0.0.1:8080`",
    );
    assert!(read("--endpoint ws://far.example --insecure-ws").endpoint.is_some());
    assert!(read("--endpoint ws://127.0.0.1:8080").endpoint.is_some());
    assert_eq!(read("--demo").endpoint, None);
    check("--api v2", "cannot read `--api`: `v2` is not known", "choose `v1` or `legacy`");
    check(
        "--app-id 0",
        "cannot read `--app-id`: `0` is out of bounds",
        "write a number from 1 to 4294967295",
    );
}

#[test]
fn file_options() {
    let settings = read("--compression snappy --gap-threshold 30 --settle-lag 0s --chunk-rows 10");
    assert_eq!(settings.file.compression, "snappy");
    assert_eq!(settings.file.gap_thresholds.everywhere, Some(30));
    assert_eq!(settings.file.settle_lag, Duration::ZERO);
    check(
        "--compression lzma",
        "cannot read `--compression`: no such codec",
        "choose `zstd`, `zstd:1` to `zstd:22`, `snappy` or `none`",
    );
    check(
        "--gap-threshold never",
        "cannot read `--gap-threshold`: `never` is not a whole number",
        "write `auto` or seconds, for one symbol `frxEURUSD=120`, for one series `R_100/ticks=4` or \
         `R_100/candles_60=auto`",
    );
    check(
        "--chunk-rows 0",
        "cannot read `--chunk-rows`: `0` is out of bounds",
        "write a number from 1 to 10000000",
    );
}

#[test]
fn tokens_come_from_the_environment_or_a_file_and_are_never_shown() {
    let with = |token: &str| Outside { token: Some(token.to_owned()), ..outside() };
    let settings = read_with("--symbol R_100", &with(" s3cret\n")).unwrap();
    assert_eq!(settings.token.as_ref().map(Token::reveal), Some("s3cret"));
    assert!(!format!("{settings:?}").contains("s3cret"));
    assert!(read_with("--symbol R_100", &with("")).unwrap().token.is_none());

    let error = read_with("--symbol R_100", &with("s3cret s3cret")).unwrap_err();
    assert!(!format!("{error} {error:?} {}", error.hint()).contains("s3cret"));

    let file = tempfile::NamedTempFile::new().unwrap();
    let line = format!("--symbol R_100 --token-file {}", file.path().display());
    assert_eq!(read_with(&line, &outside()).unwrap_err().to_string(), "the token file is empty");
    std::fs::write(file.path(), "from-file\n").unwrap();
    let settings = read_with(&line, &with("from-environment")).unwrap();
    assert_eq!(settings.token.as_ref().map(Token::reveal), Some("from-file"));

    let line = "--symbol R_100 --endpoint ws://far.example --insecure-ws";
    let settings = read_with(line, &with("s3cret")).unwrap();
    assert_eq!(settings.warnings, ["the API token travels unencrypted to another machine"]);
}
