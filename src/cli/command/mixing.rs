//! Keeps invented prices and real ones apart: they look alike, and once mixed nothing tells them
//! apart again.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::domain::Series;
use crate::format::Layout;

use super::super::error::Failure;

/// Name of the built-in simulated exchange where others have their URL.
pub(super) const DEMO: &str = "demo";

/// Refuses a folder whose partitions of `series` are of the other sort.
///
/// # Errors
///
/// If invented prices would come among real ones, or the other way round.
pub(super) fn refuse(root: &Path, series: &[Series], is_demo: bool) -> Result<(), Failure> {
    let layout = Layout::new(root);
    for series in series {
        let folder = layout.series_dir(series);
        let Some(was_demo) = holds_demo(&folder) else { continue };
        if was_demo == is_demo {
            continue;
        }
        let (held, wanted) = if was_demo { ("invented", "real") } else { ("real", "invented") };
        return Err(Failure::cannot_start(format!(
            "`{}` holds {held} prices and would get {wanted} ones",
            folder.display()
        ))
        .with_hint("give `--demo` a folder of its own with `--output`"));
    }
    Ok(())
}

/// Whether the partitions in `folder` are invented; `None` if there are none. The first sidecar
/// speaks for all, because each run comes through here.
fn holds_demo(folder: &Path) -> Option<bool> {
    let is_sidecar = |path: &Path| path.to_string_lossy().ends_with(".metadata.json");
    let entries = fs::read_dir(folder).ok()?;
    let path = entries.flatten().map(|entry| entry.path()).find(|path| is_sidecar(path))?;
    let text = fs::read(path).ok()?;
    let sidecar: Value = serde_json::from_slice(&text).ok()?;
    Some(sidecar["source"]["endpoint"] == DEMO)
}

#[cfg(test)]
mod tests {
    use crate::domain::Kind;

    use super::super::super::report::samples;
    use super::*;

    fn check(endpoint: Option<&str>, is_demo: bool, is_refused: bool) {
        let root = tempfile::tempdir().unwrap();
        let series = samples::series(Kind::Ticks);
        if let Some(endpoint) = endpoint {
            let sidecar = Layout::new(root.path()).sidecar(&samples::key(Kind::Ticks, "2026-03"));
            fs::create_dir_all(sidecar.parent().unwrap()).unwrap();
            let text = serde_json::json!({ "source": { "endpoint": endpoint } }).to_string();
            fs::write(sidecar, text).unwrap();
        }
        let result = refuse(root.path(), &[series], is_demo);
        assert_eq!(result.is_err(), is_refused, "{endpoint:?} {is_demo}");
    }

    #[test]
    fn invented_and_real_prices_stay_apart() {
        check(None, true, false);
        check(None, false, false);
        check(Some("demo"), true, false);
        check(Some("demo"), false, true);
        check(Some("wss://source.example"), true, true);
        check(Some("wss://source.example"), false, false);
    }
}
