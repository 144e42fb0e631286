//! Reads what `verify` shall do.

use super::super::args::{Origins, VerifyArgs};
use super::parse::{BadValue, number, quoted, symbol};
use super::{SampleChoice, SettingsError, VerifyDepth, VerifySettings, named};

/// A threshold below this would call the usual unusual.
const LEAST_THRESHOLD: f64 = 1.0;

/// Reads what `verify` shall do.
///
/// # Errors
///
/// The first setting that cannot be used.
pub fn verify(args: &VerifyArgs, origins: &Origins) -> Result<VerifySettings, SettingsError> {
    let threads = args.threads.as_deref().map(|text| number(text, 1..=1024)).transpose();
    let symbols = args.symbols.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    let sample = args.sample.as_deref().map(sample).transpose();
    Ok(VerifySettings {
        root: args.path.clone().unwrap_or_else(|| args.output.clone()),
        symbols: named("symbol", origins, symbols.map(symbol).collect())?,
        depth: match (args.fast, args.deep) {
            (true, _) => VerifyDepth::Fast,
            (false, false) => VerifyDepth::Full,
            (false, true) => VerifyDepth::Deep,
        },
        sample: named("sample", origins, sample)?,
        threads: named("threads", origins, threads)?,
        spike_threshold: named("spike-threshold", origins, factor(&args.spike_threshold))?,
        frozen_threshold: named("frozen-threshold", origins, factor(&args.frozen_threshold))?,
    })
}

/// `3/7`: the third of seven parts; `auto/7`: another one every day.
fn sample(text: &str) -> Result<SampleChoice, BadValue> {
    let hint = "write `3/7` for the third of seven parts, or `auto/7` for another one every day";
    let bad = |problem: &str| BadValue::new(format!("{} {problem}", quoted(text)), hint);
    let (part, n_parts) = text.trim().split_once('/').ok_or_else(|| bad("is not a part"))?;
    let whole = |text: &str| number(text, 1..=1_000_000).map_err(|_| bad("is not a part"));
    let n_parts = whole(n_parts)?;
    let part = if part.trim() == "auto" { None } else { Some(whole(part)?) };
    if part.is_some_and(|part| part > n_parts) {
        return Err(bad("is beyond the last part"));
    }
    Ok(SampleChoice { part, n_parts })
}

/// How many times the usual: any number from 1 on.
fn factor(text: &str) -> Result<f64, BadValue> {
    let hint = "write a number from 1 on, like `20` or `7.5`";
    match text.trim().parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor >= LEAST_THRESHOLD => Ok(factor),
        Ok(_) => Err(BadValue::new(format!("{} is out of bounds", quoted(text)), hint)),
        Err(_) => Err(BadValue::new(format!("{} is not a number", quoted(text)), hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::args::{self, Command};
    use super::*;
    use crate::domain::Symbol;

    fn read(line: &str) -> Result<VerifySettings, SettingsError> {
        let words = ["titan-download", "verify"].into_iter().chain(line.split_whitespace());
        let (cli, origins) = args::parse(words.map(Into::into).collect()).unwrap();
        let Some(Command::Verify(args)) = cli.command else { panic!("another command") };
        verify(&args, &origins)
    }

    #[test]
    fn all_of_the_archive_is_checked_by_default() {
        let settings = read("").unwrap();
        assert_eq!((settings.depth, settings.sample), (VerifyDepth::Full, None));
        assert!(settings.symbols.is_empty() && settings.threads.is_none());
        assert_eq!((settings.spike_threshold, settings.frozen_threshold), (20.0, 10.0));
    }

    #[test]
    fn depth_part_and_symbols_are_chosen() {
        let settings =
            read("--deep --sample 2/30 --symbol R_100,R_50 --spike-threshold 7.5").unwrap();
        assert_eq!(settings.depth, VerifyDepth::Deep);
        assert_eq!(settings.sample, Some(SampleChoice { part: Some(2), n_parts: 30 }));
        let symbols: Vec<_> = settings.symbols.iter().map(Symbol::as_str).collect();
        assert_eq!(symbols, ["R_100", "R_50"]);
        assert_eq!(settings.spike_threshold, 7.5);
        let settings = read("--fast --sample auto/7").unwrap();
        assert_eq!(settings.depth, VerifyDepth::Fast);
        assert_eq!(settings.sample, Some(SampleChoice { part: None, n_parts: 7 }));
    }

    #[test]
    fn bad_values_are_named() {
        let check = |line: &str, message: &str| {
            assert_eq!(read(line).expect_err(line).to_string(), message);
        };
        check("--sample 3", "cannot read `--sample`: `3` is not a part");
        check("--sample 0/3", "cannot read `--sample`: `0/3` is not a part");
        check("--sample 4/3", "cannot read `--sample`: `4/3` is beyond the last part");
        check("--sample auto/0", "cannot read `--sample`: `auto/0` is not a part");
        check("--symbol ../x", "cannot read `--symbol`: `../x` is not a symbol");
        check("--spike-threshold 0", "cannot read `--spike-threshold`: `0` is out of bounds");
        check("--spike-threshold NaN", "cannot read `--spike-threshold`: `NaN` is out of bounds");
        check("--frozen-threshold x", "cannot read `--frozen-threshold`: `x` is not a number");
    }
}
