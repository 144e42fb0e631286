//! The API token: where it may come from, and a type that nobody can print by mistake.
//!
//! It comes from the environment, from `.env` or from a file, and never from the command line, which
//! every user of the machine can read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::super::TOKEN;
use super::super::variables::env_file_holds;
use super::SettingsError;
use super::parse::quoted;

/// An API token. Shown nowhere, and wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Takes the text of a token as it is.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The token itself, for the connection alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

const ALONE: &str = "put the token into the file, and nothing else";

/// Far longer than any token; a larger file is another file by mistake.
const MOST_BYTES: u64 = 4_096;

/// The token of the file, else the one of the environment; an empty variable is none.
pub(super) fn token(
    file: Option<&Path>,
    variable: Option<&str>,
) -> Result<Option<Token>, SettingsError> {
    let (text, place) = match file {
        Some(path) => (read(path)?, "the token file"),
        None => (Zeroizing::new(variable.unwrap_or_default().to_owned()), "`TITAN_TOKEN`"),
    };
    let token = text.trim();
    if token.is_empty() {
        return match file {
            Some(_) => Err(SettingsError::rule("the token file is empty", ALONE)),
            None => Ok(None),
        };
    }
    // Never shown, not even in part: a token with a typing error is nearly the token.
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let hint = if file.is_some() { ALONE } else { "set it to the token, and nothing else" };
        return Err(SettingsError::rule(format!("{place} holds something that is no token"), hint));
    }
    Ok(Some(Token::new(token)))
}

/// Reads a token file that nobody else can read. Never waits: a pipe that nobody writes into is
/// refused like everything that is no file.
fn read(path: &Path) -> Result<Zeroizing<String>, SettingsError> {
    let shown = quoted(&path.to_string_lossy());
    let fail = |what: &str, hint: &str| {
        SettingsError::rule(format!("cannot use the token file {shown}: {what}"), hint)
    };
    let no_access =
        |error: io::Error| fail(&error.to_string(), "check the permissions of the file");
    let mut file = match open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(path)),
        Err(error) => return Err(no_access(error)),
    };
    let metadata = file.metadata().map_err(no_access)?;
    if !metadata.is_file() {
        return Err(fail("it is no ordinary file", ALONE));
    }
    if metadata.len() > MOST_BYTES {
        return Err(fail("it is too large for a token", ALONE));
    }
    if is_open_to_others(&metadata) {
        let hint = format!("keep it to yourself: `chmod 600 {}`", path.display());
        return Err(fail("other users can read or write it", &hint));
    }
    let mut text = Zeroizing::new(String::with_capacity(MOST_BYTES as usize));
    match file.by_ref().take(MOST_BYTES).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(fail("it holds something that is no text", ALONE))
        }
        Err(error) => Err(no_access(error)),
    }
}

/// Who types the token where the file belongs must not find it in a log: a name without a folder or
/// an ending may be one.
fn missing(path: &Path) -> SettingsError {
    let text = path.to_string_lossy();
    let hint = "name a file that holds the token; the token itself is never typed";
    let shown =
        if text.contains(['/', '.']) { format!(" {}", quoted(&text)) } else { String::new() };
    SettingsError::rule(format!("there is no token file{shown} of the given name"), hint)
}

/// Opens without waiting, whatever is there.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.custom_flags(flags.bits().cast_signed());
    }
    options.open(path)
}

#[cfg(unix)]
fn is_open_to_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

/// Elsewhere the rights of a file are not told by its mode.
#[cfg(not(unix))]
fn is_open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

/// What to say if `.env` holds the token and other users can read it.
pub(in super::super) fn warning_of_env_file(path: &Path) -> Option<String> {
    let is_open = std::fs::metadata(path).is_ok_and(|metadata| is_open_to_others(&metadata));
    (is_open && env_file_holds(path, TOKEN)).then(|| {
        let shown = path.display();
        format!("`{shown}` holds the API token and other users can read it: `chmod 600 {shown}`")
    })
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn file(dir: &Path, content: &str, mode: u32) -> std::path::PathBuf {
        let path = dir.join("token.txt");
        let _ = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn problem(path: &Path) -> String {
        let error = token(Some(path), None).expect_err("refused");
        format!("{error}; {}", error.hint())
    }

    #[test]
    fn a_token_file_that_only_its_owner_reads_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o600, 0o400] {
            let path = file(dir.path(), " s3cret\n", mode);
            assert_eq!(token(Some(&path), Some("other")).unwrap().unwrap().reveal(), "s3cret");
        }
        let path = file(dir.path(), "s3cret", 0o600);
        symlink(&path, dir.path().join("link")).unwrap();
        assert!(token(Some(&dir.path().join("link")), None).unwrap().is_some());
        for mode in [0o640, 0o604, 0o620, 0o644] {
            let said = problem(&file(dir.path(), "s3cret", mode));
            assert!(said.contains("other users") && said.contains("chmod 600"), "{mode:o}: {said}");
            assert!(!said.contains("s3cret"));
        }
    }

    #[test]
    fn what_is_no_ordinary_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600))
            .unwrap();
        for path in [pipe.as_path(), dir.path(), Path::new("/dev/zero"), Path::new("/dev/null")] {
            assert!(problem(path).contains("no ordinary file"), "{}", problem(path));
        }
        assert!(problem(&file(dir.path(), "", 0o600)).contains("empty"));
        assert!(problem(&file(dir.path(), &"x".repeat(5_000), 0o600)).contains("too large"));
        let said = problem(&file(dir.path(), "s3cret and more", 0o600));
        assert!(said.contains("no token") && !said.contains("s3cret"), "{said}");
    }

    #[test]
    fn a_token_in_the_place_of_the_file_is_not_repeated() {
        let said = problem(Path::new("pL4nt3dT0k3n"));
        assert!(!said.contains("pL4nt3d") && said.contains("never typed"), "{said}");
        assert!(problem(Path::new("/nowhere/token")).contains("`/nowhere/token`"));
    }

    #[test]
    fn an_env_file_with_a_token_that_others_read_is_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let warning = |content, mode| warning_of_env_file(&file(dir.path(), content, mode));
        let said = warning("TITAN_TOKEN=s3cret\n", 0o644).expect("a warning");
        assert!(said.contains("chmod 600") && !said.contains("s3cret"), "{said}");
        assert_eq!(warning("TITAN_TOKEN=s3cret\n", 0o600), None);
        assert_eq!(warning("TITAN_RATE=5\n", 0o644), None);
        assert_eq!(warning_of_env_file(&dir.path().join("none")), None);
    }

    #[test]
    fn a_token_prints_as_nothing() {
        assert_eq!(format!("{:?}", Token::new("s3cret")), "Token(…)");
    }
}
