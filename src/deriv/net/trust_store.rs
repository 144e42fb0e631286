//! Whose certificates are trusted.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};

/// The variables that name certificates; every OpenSSL program reads them.
const FILE: &str = "SSL_CERT_FILE";
const DIR: &str = "SSL_CERT_DIR";

/// Certificates were named and none could be read.
///
/// Going on with others would trust somebody whom nobody named, and where the named ones are
/// needed, every connection would be refused without a word about the reason.
#[derive(Debug, thiserror::Error)]
#[error("`{variable}` names `{}`, which holds no certificate that can be used{}", path.display(), reason(why))]
pub struct InvalidTrustStore {
    variable: &'static str,
    path: PathBuf,
    why: Option<String>,
}

fn reason(why: &Option<String>) -> String {
    why.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
}

/// Checks the certificates that `get`, the environment, names; reads nothing if it names none.
///
/// # Errors
///
/// If it names a file or folders from which no certificate comes.
pub fn check_trust_store(get: impl Fn(&str) -> Option<OsString>) -> Result<(), InvalidTrustStore> {
    let named = |variable| get(variable).filter(|value| !value.is_empty());
    if let Some(file) = named(FILE) {
        let path = PathBuf::from(file);
        judge(FILE, load_certs_from_paths(Some(&path), None), &path)?;
    }
    if let Some(folders) = named(DIR) {
        let mut found = CertificateResult::default();
        for folder in std::env::split_paths(&folders) {
            let each = load_certs_from_paths(None, Some(&folder));
            found.certs.extend(each.certs);
            found.errors.extend(each.errors);
        }
        judge(DIR, found, Path::new(&folders))?;
    }
    Ok(())
}

fn judge(
    variable: &'static str,
    found: CertificateResult,
    path: &Path,
) -> Result<(), InvalidTrustStore> {
    let (n_usable, _) = RootCertStore::empty().add_parsable_certificates(found.certs);
    if n_usable > 0 {
        return Ok(());
    }
    let why = found.errors.first().map(ToString::to_string);
    Err(InvalidTrustStore { variable, path: path.to_owned(), why })
}

/// The certificates that were named, else those of the system; those of Mozilla where the system
/// has none, as in small containers.
pub(super) fn roots() -> Result<RootCertStore, InvalidTrustStore> {
    check_trust_store(|name| std::env::var_os(name))?;
    let mut roots = RootCertStore::empty();
    let native = load_native_certs();
    let (n_added, _) = roots.add_parsable_certificates(native.certs);
    if n_added == 0 {
        tracing::debug!(
            n_errors = native.errors.len(),
            "no system certificates, using built-in ones"
        );
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_named_and_gives_nothing_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (empty, none) = (dir.path().join("empty.pem"), dir.path().join("none.pem"));
        fs::write(&empty, "no certificate\n").unwrap();
        let good = dir.path().join("good");
        fs::create_dir(&good).unwrap();
        let certified = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
        fs::write(good.join("x.pem"), certified.cert.pem()).unwrap();
        let check =
            |file: Option<&Path>, folders: Option<&Path>, problem: Option<(&str, &Path)>| {
                let found = check_trust_store(|name| match name {
                    FILE => file.map(OsString::from),
                    DIR => folders.map(OsString::from),
                    _ => panic!("{name}"),
                });
                let said = found.map_err(|error| error.to_string()).err();
                let Some((variable, path)) = problem else { return assert_eq!(said, None) };
                let begin = format!("`{variable}` names `{}`, which holds no", path.display());
                assert!(said.as_ref().is_some_and(|said| said.starts_with(&begin)), "{said:?}");
            };
        let file = good.join("x.pem");
        check(None, None, None);
        check(Some(Path::new("")), Some(Path::new("")), None);
        check(Some(&file), None, None);
        check(None, Some(&good), None);
        check(Some(&none), None, Some((FILE, &none)));
        check(Some(&empty), None, Some((FILE, &empty)));
        check(Some(&good), None, Some((FILE, &good)));
        // One that gives something does not excuse the other.
        check(Some(&none), Some(&good), Some((FILE, &none)));
        check(Some(&file), Some(&none), Some((DIR, &none)));
        let folders = std::env::join_paths([&none, &good]).unwrap();
        check(None, Some(Path::new(&folders)), None);
    }
}
