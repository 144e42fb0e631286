//! Where this program keeps what all its runs on this machine share: not the archive, which may be
//! copied elsewhere.

use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use crate::resilience::SharedPace;

use super::clock;

/// Our folder below the user's state.
const FOLDER: &str = "titan-download";

/// The folder of what is shared, `said` or else in the user's state folder; `None` without a home.
pub(super) fn folder(said: Option<&Path>) -> Option<PathBuf> {
    folder_of(said, std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
}

/// The pace that is shared by all who ask `host` at `port` through `api`, in `folder` or else in
/// the user's state folder.
pub(super) fn shared_pace(folder: Option<&Path>, api: &str, host: &str, port: u16) -> SharedPace {
    let folder = self::folder(folder);
    // Without a home there is no such place; opening nothing fails, and that is told there.
    let path = folder.map(|folder| folder.join("pace").join(file_name(api, host, port)));
    SharedPace {
        path: path.unwrap_or_default(),
        clock: clock::machine(),
        process: RandomState::new().hash_one(std::process::id()),
    }
}

/// As it was said, or where the conventions of the desktop put it.
fn folder_of(
    said: Option<&Path>,
    xdg: Option<OsString>,
    home: Option<OsString>,
) -> Option<PathBuf> {
    let absolute =
        |path: Option<OsString>| path.map(PathBuf::from).filter(|path| path.is_absolute());
    let said = said.filter(|path| !path.as_os_str().is_empty()).map(Path::to_owned);
    said.or_else(|| Some(absolute(xdg)?.join(FOLDER)))
        .or_else(|| Some(absolute(home)?.join(".local/state").join(FOLDER)))
}

/// Limits are kept by host, so the path of the address does not count. Two addresses that become
/// one name share a budget, which is safe.
fn file_name(api: &str, host: &str, port: u16) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let plain = |c: char| if is_plain(c) { c } else { '_' };
    let host: String = host.chars().map(plain).take(100).collect();
    format!("{api}-{host}-{port}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_follows_the_conventions() {
        let os = |text: &str| Some(OsString::from(text));
        let check = |said: Option<&str>, xdg, home, expected: Option<&str>| {
            let found = folder_of(said.map(Path::new), xdg, home);
            assert_eq!(found, expected.map(PathBuf::from));
        };
        check(Some("here"), os("/xdg"), os("/home/me"), Some("here"));
        check(None, os("/xdg"), os("/home/me"), Some("/xdg/titan-download"));
        check(None, None, os("/home/me"), Some("/home/me/.local/state/titan-download"));
        check(Some(""), os(""), os("/home/me"), Some("/home/me/.local/state/titan-download"));
        check(None, os("not/absolute"), None, None);
        check(None, None, None, None);
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        assert_eq!(file_name("v1", "api.derivws.com", 443), "v1-api.derivws.com-443.json");
        assert_eq!(file_name("legacy", "::1", 80), "legacy-__1-80.json");
        assert!(!file_name("v1", "../../x/y", 1).contains('/'));
    }
}
