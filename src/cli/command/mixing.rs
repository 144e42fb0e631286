//! Keeps invented prices and real ones apart: they look alike, and once mixed nothing tells them
//! apart again.
//!
//! An archive of invented prices bears a mark, made before the first of them comes into it. Where
//! anything lies that no mark speaks for, it counts as real: who cannot tell, refuses.

use std::fs;
use std::path::Path;

use crate::domain::Series;
use crate::format::Layout;

use super::super::error::Failure;

/// Name of the built-in simulated exchange where others have their URL.
pub(super) const DEMO: &str = "demo";

/// Refuses an archive of the other sort.
///
/// # Errors
///
/// If invented prices would come among real ones, or the other way round.
pub(super) fn refuse(root: &Path, series: &[Series], is_demo: bool) -> Result<(), Failure> {
    if !is_demo {
        return refuse_real(root);
    }
    let layout = Layout::new(root);
    let mut places: Vec<_> = series.iter().map(|series| layout.series_dir(series)).collect();
    places.extend([layout.staging_root(), layout.source_facts()]);
    if layout.invented_mark().exists() || !places.iter().any(|place| holds_anything(place)) {
        return Ok(());
    }
    Err(mixed(root, "real", "invented"))
}

/// Refuses an archive of invented prices.
///
/// # Errors
///
/// If real prices would come among invented ones.
pub(super) fn refuse_real(root: &Path) -> Result<(), Failure> {
    match Layout::new(root).invented_mark().exists() {
        true => Err(mixed(root, "invented", "real")),
        false => Ok(()),
    }
}

fn mixed(root: &Path, held: &str, wanted: &str) -> Failure {
    let root = root.display();
    Failure::cannot_start(format!("`{root}` holds {held} prices and would get {wanted} ones"))
        .with_hint("give `--demo` a folder of its own with `--output`")
}

/// Whether there is a file, or a folder with anything in it. What cannot be read counts.
fn holds_anything(place: &Path) -> bool {
    match fs::read_dir(place) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::Kind;

    use super::super::super::report::samples;
    use super::*;

    fn check(found: Option<&str>, for_demo: bool, for_real: bool) {
        let root = tempfile::tempdir().unwrap();
        if let Some(found) = found {
            let path = root.path().join(found);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "something").unwrap();
        }
        let series = [samples::series(Kind::Ticks)];
        assert_eq!(refuse(root.path(), &series, true).is_ok(), for_demo, "{found:?}");
        assert_eq!(refuse(root.path(), &series, false).is_ok(), for_real, "{found:?}");
        assert_eq!(refuse_real(root.path()).is_ok(), for_real, "{found:?}");
    }

    #[test]
    fn invented_and_real_prices_stay_apart() {
        check(None, true, true);
        check(Some(".titan/invented-prices"), true, false);
        // Whatever nobody marked counts as real.
        check(Some("R_100/ticks/2026-03.parquet"), false, true);
        check(Some("R_100/ticks/2026-03.metadata.json"), false, true);
        check(Some(".titan/staging/R_50/ticks/2026-03/1-2.segment"), false, true);
        check(Some(".titan/source-facts.json"), false, true);
        check(Some("R_50/notes.txt"), true, true);
    }
}
