//! Refuses paths that were written for a shell and that no shell has seen: they would become folders
//! named `~` or `$HOME`.

use std::ffi::OsStr;

use clap::{ArgMatches, Command as ClapCommand};

use super::super::error::Failure;
use super::super::terminal::escaped;
use super::origins::{Origin, Origins};
use super::shape::Shape;

/// Opening and closing quotes, those of word processors included.
const QUOTES: [(char, char); 5] =
    [('"', '"'), ('\'', '\''), ('`', '`'), ('\u{201c}', '\u{201d}'), ('\u{2018}', '\u{2019}')];

/// Says why a path was not meant as it is written, and what to write instead.
pub fn unexpanded(path: &OsStr) -> Option<(String, String)> {
    let text = path.to_string_lossy();
    let shown = escaped(&text.chars().take(60).collect::<String>());
    let (first, last) = (text.chars().next()?, text.chars().next_back()?);
    let what = match first {
        '~' | '$' => format!("begins with `{first}`, and no shell has expanded it"),
        _ if text.chars().count() > 1 && QUOTES.contains(&(first, last)) => {
            "is wrapped in quotes, and no shell has taken them away".to_owned()
        }
        _ => return None,
    };
    let hint = format!("write the whole path; a file or folder truly named so is `./{shown}`");
    Some((format!("`{shown}` {what}"), hint))
}

/// Refuses a path that was found in a place, literals in backticks: `` `TITAN_CONFIG` ``.
///
/// # Errors
///
/// If it was written for a shell and no shell has seen it.
pub fn check_path(path: &OsStr, place: &str) -> Result<(), Failure> {
    match unexpanded(path) {
        None => Ok(()),
        Some((problem, hint)) => {
            Err(Failure::cannot_start(format!("cannot read {place}: {problem}")).with_hint(hint))
        }
    }
}

/// Refuses such paths among the options of a command, wherever their values came from.
pub(super) fn check(
    command: &ClapCommand,
    matches: &ArgMatches,
    origins: &Origins,
) -> Result<(), Failure> {
    for arg in command.get_arguments().filter(|arg| Shape::of(arg) == Shape::Path) {
        let values = matches.try_get_raw(arg.get_id().as_str()).ok().flatten();
        for path in values.into_iter().flatten() {
            let place = match arg.get_long() {
                Some(long) => origins.of(long).place_of(long),
                None => Origin::Flag.place_of("output"),
            };
            check_path(path, &place)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_have_changed_is_no_path() {
        for bad in ["~", "~/m", "~me/m", "$HOME/m", "${HOME}", "\"/data/x\"", "'x'", "\"\"", "“x”"]
        {
            let (problem, hint) = unexpanded(OsStr::new(bad)).expect(bad);
            assert!(problem.contains("no shell") && hint.contains("./"), "{problem} {hint}");
        }
        for good in ["./~", "a~", "/data/$x", "'90s", "x'", "\"", "", "data_cache", "-"] {
            assert_eq!(unexpanded(OsStr::new(good)), None, "{good}");
        }
    }
}
