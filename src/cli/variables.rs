//! The variables of the program: those of the environment, and those that only `.env` sets.
//!
//! `.env` is shared with other programs. Lines of ours are read to the letter, without `$`; lines of
//! others come into the environment of the process where they can be read, and are passed over with
//! a warning where they cannot.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::args::{Keys, Origin, variable};
use super::error::Failure;
use super::suggest::similar;
use super::terminal::escaped;
use super::{CONFIG_VARIABLE, TOKEN};

/// Holds defaults for the environment, in the current folder.
pub(super) const ENV_FILE: &str = ".env";

/// How the name of every variable of ours begins.
const PREFIX: &str = "TITAN_";

/// Variables that only a build for debugging reads: those of the tests that stop it half-way.
const FOR_TESTS: [&str; 1] = ["TITAN_TEST_STEPS"];

/// Far larger than any file of settings.
const MOST_BYTES: u64 = 1 << 20;

/// Lines of one value of another program, such as a key: more are no value.
const MOST_LINES: usize = 256;

/// Longest piece of a name that is shown.
const SHOWN_CHARS: usize = 60;

/// The variables of the program, by name.
#[derive(Debug, Default)]
pub struct Variables {
    /// As they were before `.env` was read.
    pub environment: BTreeMap<String, OsString>,
    /// As `.env` has them.
    pub env_file: BTreeMap<String, OsString>,
    /// What a person should know of `.env`.
    pub warnings: Vec<String>,
}

impl Variables {
    /// Reads both. What else is in `.env` comes into the environment of the process; variables
    /// that are set already stay as they are. To be called before any other thread is started.
    ///
    /// # Errors
    ///
    /// If `.env` is there and cannot be read, or if one of ours is in no command: nobody should
    /// believe that a setting counts that is never looked at.
    pub fn read() -> Result<Self, Failure> {
        let names = Names::all();
        let mut environment = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with(PREFIX) && !is_of_kubernetes(&name, &value) {
                names.check(&name, "in the environment")?;
                environment.insert(name.into_owned(), value);
            }
        }
        let file = read_env_file(Path::new(ENV_FILE), &names)?;
        for line in &file.others {
            // Each line was read before; what it sets may be set already.
            let _ = dotenvy::from_read(line.as_bytes());
        }
        Ok(Self { environment, env_file: file.ours, warnings: file.warnings })
    }

    /// What a variable says, and where. An empty one says nothing.
    pub fn get(&self, name: &str) -> Option<(OsString, Origin)> {
        let said = |place: &BTreeMap<String, OsString>, origin: Origin| {
            let value = place.get(name).filter(|value| !is_void(value))?;
            Some((value.clone(), origin))
        };
        said(&self.environment, Origin::Environment)
            .or_else(|| said(&self.env_file, Origin::EnvFile))
    }
}

fn is_void(value: &OsStr) -> bool {
    value.to_str().is_some_and(|text| text.trim().is_empty())
}

/// Kubernetes tells every container of the services beside it. One that is called `titan-…` is told
/// of in names that begin like ours.
fn is_of_kubernetes(name: &str, value: &OsStr) -> bool {
    let is_address = || value.to_string_lossy().contains("://");
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_")
        || name.ends_with("_PORT") && is_address()
}

/// The variables that some command reads.
struct Names {
    options: BTreeSet<String>,
}

impl Names {
    fn all() -> Self {
        Self { options: Keys::all().names().map(str::to_owned).collect() }
    }

    /// Refuses a name that no command reads; `place` says where it stands.
    fn check(&self, name: &str, place: &str) -> Result<(), Failure> {
        let is_for_tests = cfg!(debug_assertions) && FOR_TESTS.contains(&name);
        let is_option = || self.options.iter().any(|option| variable(option) == name);
        if [TOKEN, CONFIG_VARIABLE].contains(&name) || is_for_tests || is_option() {
            return Ok(());
        }
        let option = name.trim_start_matches(PREFIX).to_lowercase().replace('_', "-");
        let options = self.options.iter().map(String::as_str).chain(["token", "config"]);
        let meant = if option.is_empty() { None } else { similar(&option, options) };
        let hint = match meant {
            Some(option) => format!("did you mean `{}`?", variable(option)),
            None => "the names are `TITAN_` and the long name of an option, as `--help` lists them"
                .to_owned(),
        };
        let mut shown: String = name.chars().take(SHOWN_CHARS).collect();
        if shown.len() < name.len() {
            shown.push('…');
        }
        let problem = format!("there is no variable `{}`; it stands {place}", escaped(&shown));
        Err(Failure::cannot_start(problem).with_hint(hint))
    }
}

/// What is in a file.
#[derive(Debug, Default)]
struct EnvFile {
    /// Of several lines for one variable the first counts.
    ours: BTreeMap<String, OsString>,
    /// Each as `dotenvy` reads it.
    others: Vec<String>,
    warnings: Vec<String>,
}

/// Tells whether a file says anything about a variable of ours.
pub(super) fn env_file_holds(path: &Path, name: &str) -> bool {
    read_env_file(path, &Names::all()).is_ok_and(|file| file.ours.contains_key(name))
}

fn read_env_file(path: &Path, names: &Names) -> Result<EnvFile, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) => parse(&bytes, names),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(EnvFile::default()),
        Err(error) => Err(Failure::cannot_start(format!("cannot read `.env`: {error}"))
            .with_hint("put plain text there that you may read, or take it away")),
    }
}

fn parse(bytes: &[u8], names: &Names) -> Result<EnvFile, Failure> {
    let no_text = |problem: &str| {
        Failure::cannot_start(format!("cannot read `.env`: {problem}"))
            .with_hint("write one `NAME=value` on each line, as plain text in UTF-8")
    };
    if bytes.len() as u64 > MOST_BYTES {
        return Err(no_text("it is larger than 1 MiB"));
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(no_text("it is UTF-16"));
    }
    // No variable can hold one, and the attempt to set one ends with its value on the screen.
    if bytes.contains(&0) {
        return Err(no_text("it holds a NUL byte"));
    }
    // An editor of another system may have left a mark there.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let (mut file, mut unread, mut at) = (EnvFile::default(), Vec::new(), 0);
    while let Some(line) = lines.get(at).map(|line| line.trim_ascii()) {
        let mut n_lines = 1;
        if let Some(ours) = without_export(line) {
            let (name, value) = our_line(ours).map_err(|problem| bad_line(at + 1, problem))?;
            names.check(name, &format!("in `.env` line {}", at + 1))?;
            file.ours.entry(name.to_owned()).or_insert_with(|| OsString::from(value));
        } else if !line.is_empty() && !line.starts_with(b"#") {
            match their_value(&lines[at..]) {
                Some((text, n)) => {
                    file.others.push(text);
                    n_lines = n;
                }
                None => unread.push(at + 1),
            }
        }
        at += n_lines;
    }
    file.warnings.extend(warning(&unread));
    Ok(file)
}

/// Tells of the lines that were passed over, and never what is in them: it may be a secret.
fn warning(unread: &[usize]) -> Option<String> {
    let (first, more) = unread.split_first()?;
    let more = match more.len() {
        0 => String::new(),
        n => format!(" and {n} more like it"),
    };
    Some(format!("`.env` line {first}{more} passed over: it is no `NAME=value` that can be read"))
}

fn bad_line(number: usize, problem: &str) -> Failure {
    // The line is not quoted, for it may hold the token.
    Failure::cannot_start(format!("cannot read `.env` line {number}: {problem}")).with_hint(
        "write one `NAME=value` on each line; in quotes if it begins with one or holds ` #`",
    )
}

/// A line of ours without the word that shells need.
fn without_export(line: &[u8]) -> Option<&[u8]> {
    let bare = line.strip_prefix(b"export").map(<[u8]>::trim_ascii_start).unwrap_or(line);
    bare.starts_with(PREFIX.as_bytes()).then_some(bare)
}

/// Name and value of a line of ours. Nothing in the value has a meaning, but for quotes around it
/// and, without them, ` #` before a remark.
fn our_line(line: &[u8]) -> Result<(&str, &str), &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "it is not UTF-8")?;
    let (name, value) = line.split_once('=').ok_or("there is no `=` after the name")?;
    let (name, value) = (name.trim_end(), value.trim_start());
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err("a name holds letters, digits and `_` alone");
    }
    let Some(quote) = value.chars().next().filter(|first| ['"', '\''].contains(first)) else {
        let is_remark = |at: usize| value[..at].ends_with([' ', '\t']) || at == 0;
        let end = value.match_indices('#').map(|(at, _)| at).find(|at| is_remark(*at));
        return Ok((name, value[..end.unwrap_or(value.len())].trim_end()));
    };
    let (value, after) = value[1..].split_once(quote).ok_or("a quote is not closed")?;
    match after.is_empty() || after.starts_with([' ', '\t']) && after.trim().starts_with('#') {
        true => Ok((name, value)),
        false => Err("something follows the closing quote"),
    }
}

/// The value of another program that begins here, and how many lines it takes; one in quotes may
/// take several. It never reaches over a line of ours: that would hide a setting.
fn their_value(lines: &[&[u8]]) -> Option<(String, usize)> {
    let mut text = String::new();
    for (n, line) in lines.iter().take(MOST_LINES).enumerate() {
        if n > 0 && without_export(line.trim_ascii()).is_some() {
            return None;
        }
        text.push_str(std::str::from_utf8(line).ok()?.trim_end_matches('\r'));
        text.push('\n');
        let mut read = dotenvy::from_read_iter(text.as_bytes());
        match (read.next(), read.next()) {
            (Some(Ok(_)), None) => return Some((text, n + 1)),
            // Without a quote, what follows makes no difference.
            _ if !text.contains(['"', '\'']) => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ours say, one `NAME=value` each, and the warnings.
    fn read(text: impl AsRef<[u8]>) -> (Vec<String>, Vec<String>) {
        let file = parse(text.as_ref(), &Names::all()).unwrap();
        let ours = file.ours.iter().map(|(name, value)| format!("{name}={}", value.display()));
        (ours.collect(), file.warnings)
    }

    fn refused(text: impl AsRef<[u8]>) -> String {
        let failure = parse(text.as_ref(), &Names::all()).unwrap_err();
        assert!(failure.hint.is_some());
        failure.chain().join(": ")
    }

    #[test]
    fn lines_of_ours_are_read_to_the_letter() {
        let check = |line: &str, value: &str| {
            let (ours, warnings) = read(line);
            assert_eq!((ours, warnings), (vec![format!("TITAN_OUTPUT={value}")], vec![]), "{line}");
        };
        check("TITAN_OUTPUT=/data/a$b/c", "/data/a$b/c");
        check("TITAN_OUTPUT=${HOME}/x\\n", "${HOME}/x\\n");
        check("TITAN_OUTPUT=a!b\"c", "a!b\"c");
        check("TITAN_OUTPUT=it's", "it's");
        check("TITAN_OUTPUT=/my data/x \r\n", "/my data/x");
        check("  export  TITAN_OUTPUT = x", "x");
        check("TITAN_OUTPUT=a#b # the archive", "a#b");
        check("TITAN_OUTPUT=", "");
        check("TITAN_OUTPUT=# nothing", "");
        check("TITAN_OUTPUT='a # $b'  # the archive", "a # $b");
        check("TITAN_OUTPUT=\"C:\\new\\$x\"", "C:\\new\\$x");
        check("TITAN_OUTPUT='\"/data/x\"'", "\"/data/x\"");
        check("TITAN_OUTPUT=first\nTITAN_OUTPUT=second", "first");
        check("\u{feff}TITAN_OUTPUT=marked", "marked");
        check("\u{feff}# first\nTITAN_OUTPUT=x", "x");
    }

    #[test]
    fn lines_of_others_are_passed_over_if_need_be_and_never_hide_one_of_ours() {
        let check = |text: &[u8], unread: Option<&str>| {
            let (ours, warnings) = read([text, b"\nTITAN_RATE=5\n"].concat());
            let shown = String::from_utf8_lossy(text);
            assert_eq!(ours, ["TITAN_RATE=5"], "{shown}");
            let begins = |warning: &String| unread.is_some_and(|part| warning.contains(part));
            assert_eq!(warnings.len(), usize::from(unread.is_some()), "{shown} {warnings:?}");
            assert!(warnings.iter().all(begins), "{shown}: {warnings:?}");
            assert!(warnings.iter().all(|warning| !warning.contains("bar")), "{warnings:?}");
        };
        check(b"FOO=bar", None);
        check(b"# it's a remark", None);
        check(b"KEY=\"one\ntwo\n\nthree\"", None);
        check(b"FOO=bar baz", Some("`.env` line 1 passed over"));
        check(b"X=1\n\nFOO=bar baz", Some("line 3 passed"));
        check(b"FOO=a!b\"c", Some("line 1 passed"));
        check(b"FOO='bar\nBAR=1", Some("line 1 passed"));
        check(b"FOO=bar baz\nnothing\n- x: y", Some("line 1 and 2 more like it"));
        check(b"K\xfcche=bar", Some("line 1 passed"));
        check(b"# K\xfcche", None);
    }

    #[test]
    fn a_line_of_ours_that_cannot_be_read_is_an_error_with_its_number() {
        let check = |line: &[u8], problem: &str| {
            let said = refused([b"A=1\n\n", line, b"\n"].concat());
            assert_eq!(said, format!("cannot read `.env` line 3: {problem}"));
        };
        check(b"TITAN_RATE", "there is no `=` after the name");
        check(b"TITAN_TOKEN: s3cret", "there is no `=` after the name");
        check(b"TITAN_RA TE=5", "a name holds letters, digits and `_` alone");
        check(b"TITAN_TOKEN='s3cret", "a quote is not closed");
        check(b"TITAN_OUTPUT=\"a\"b", "something follows the closing quote");
        check(b"TITAN_OUTPUT=\"a\"#b", "something follows the closing quote");
        check(b"TITAN_OUTPUT=\xff", "it is not UTF-8");
        assert!(refused(b"TITAN_RATE=\x005").ends_with("NUL byte"));
        assert!(refused(b"\xff\xfeT\x00").ends_with("UTF-16"));
        assert!(refused(vec![b'#'; (1 << 20) + 1]).ends_with("larger than 1 MiB"));
    }

    #[test]
    fn a_name_that_nobody_reads_is_an_error_with_a_suggestion() {
        let check = |name: &str, hint: &str| {
            let failure = Names::all().check(name, "in the environment").unwrap_err();
            assert!(failure.chain()[0].contains("it stands in the environment"));
            assert!(failure.hint.as_ref().is_some_and(|said| said.contains(hint)), "{failure:?}");
        };
        check("TITAN_DRYRUN", "did you mean `TITAN_DRY_RUN`?");
        check("TITAN_SYMBOLS", "`TITAN_SYMBOL`");
        check("TITAN_TOKENS", "`TITAN_TOKEN`");
        check("TITAN_rate", "`TITAN_RATE`");
        check("TITAN_CONFIGURATION_OF_MINE", "as `--help` lists them");
        check("TITAN_", "as `--help` lists them");
        for name in ["TITAN_DRY_RUN", "TITAN_SPIKE_THRESHOLD", "TITAN_TOKEN", "TITAN_CONFIG"] {
            assert!(Names::all().check(name, "here").is_ok(), "{name}");
        }
        let said = refused("A=1\nTITAN_DRYRUN=1\n");
        assert_eq!(said, "there is no variable `TITAN_DRYRUN`; it stands in `.env` line 2");
    }

    #[test]
    fn what_kubernetes_tells_of_a_service_is_none_of_ours() {
        let check = |name, value: &str, expected| {
            assert_eq!(is_of_kubernetes(name, OsStr::new(value)), expected, "{name}");
        };
        check("TITAN_SERVICE_HOST", "10.0.0.1", true);
        check("TITAN_SERVICE_PORT_HTTP", "80", true);
        check("TITAN_PORT", "tcp://10.0.0.1:80", true);
        check("TITAN_PORT_80_TCP_ADDR", "10.0.0.1", true);
        check("TITAN_PORT", "80", false);
        check("TITAN_RATE", "5", false);
    }
}
