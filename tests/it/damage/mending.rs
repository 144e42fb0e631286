//! `repair` brings back whatever is damaged, or says why it cannot: the real binary against the
//! simulated exchange.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use serde_json::Value;

use super::Clean;
use super::site::Site;
use super::table::{Damage, OF_FILES, OF_ROWS, OF_WORDS};
use crate::process::{Ran, Sandbox};
use crate::support::*;

/// What a repair makes of a damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Every file is byte for byte what it was.
    Same,
    /// The damage claimed more than was there, and now it is there.
    More,
    /// It only looks wrong: nothing of it leaves.
    Stays,
    /// It cannot be brought back, and this is why.
    Refused(&'static str),
}

/// Everything else is brought back as it was.
static EXCEPTIONS: &[(&str, End)] = &[
    ("coverage in the footer of what was never asked", End::More),
    ("coverage in both of what was never asked", End::More),
    ("coverage that failed", End::More),
    ("a link in the place of a file", End::Refused("symbolic link")),
    ("a footer of an unknown version", End::Refused("this build cannot read it")),
    ("a sidecar of an unknown version", End::Refused("a newer version of this program wrote it")),
    // A lie that fits itself cannot be told from a source that changed its mind.
    ("a candle altered, and forged", End::Refused("error restatement")),
    ("a bad price, and forged", End::Refused("error restatement")),
    ("a price that stands still, and forged", End::Refused("error restatement")),
    ("prices rounded, and forged", End::Refused("error restatement")),
    ("a high below the close, and forged", End::Refused("error restatement")),
    ("a negative price, and forged", End::Refused("error restatement")),
    ("a price that is no number, and forged", End::Refused("error restatement")),
    // And one whose rows hash to what was promised is what the source answered.
    ("a price off the grid, and forged", End::Stays),
    ("a candle off its grid, and forged", End::Stays),
];

fn end_of(damage: &Damage) -> End {
    let exception = EXCEPTIONS.iter().find(|(name, _)| *name == damage.name);
    exception.map_or(End::Same, |(_, end)| *end)
}

fn repair(sandbox: &Sandbox, root: &Path, url: &str, more: &[&str]) -> Ran {
    let root = root.to_str().unwrap();
    let fixed = ["repair", root, "--endpoint", url, "--rate", "unlimited", "--no-progress"];
    sandbox.run(&[fixed.as_slice(), more].concat())
}

/// The Parquet files of the series, by their place.
fn parquet(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in ["R_100/ticks", "R_100/candles_60", "R_100/candles_120", "R_50/candles_60"] {
        for entry in fs::read_dir(root.join(folder)).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            // Strangers stay where they are.
            if name.len() == "2026-03.parquet".len() && name.ends_with(".parquet") {
                files.insert(format!("{folder}/{name}"), fs::read(path).unwrap());
            }
        }
    }
    files
}

/// What a sidecar says of the partition, whichever run wrote it.
fn lasting(root: &Path, place: &str, damage: &Damage) -> Value {
    let path = root.join(place.replace(".parquet", ".metadata.json"));
    let mut sidecar: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let object = sidecar.as_object_mut().unwrap();
    for run in ["created_at", "download_duration_seconds", "source", "run", "findings", "locked"] {
        object.remove(run);
    }
    for part in ["coverage", "gaps"] {
        for range in object[part].as_array_mut().unwrap() {
            range.as_object_mut().unwrap().retain(|key, _| !key.starts_with("asked"));
        }
    }
    // A question that was asked is known to the sidecar alone, and one run does not confirm what it
    // doubts itself.
    if damage.name.contains("sidecar") || damage.name == "a gap where there are rows" {
        for gap in sidecar["gaps"].as_array_mut().unwrap() {
            gap.as_object_mut().unwrap().remove("class");
        }
    }
    sidecar
}

/// What is wrong with the end of one damage; empty if nothing is.
fn mended(clean: &Path, site: &Site, damage: &Damage, url: &str) -> String {
    let sandbox = Sandbox::new();
    let rows = |place: &str| rows_of(&site.root().join(place));
    let stays = end_of(damage) == End::Stays;
    let places: Vec<_> =
        if stays { parquet(site.root()).into_keys().collect() } else { Vec::new() };
    let kept: Vec<_> = places.iter().map(|place| rows(place)).collect();
    let ran = repair(&sandbox, site.root(), url, &["--deep"]);
    let said = format!("{}\n{}", ran.stdout, ran.stderr);
    let wrong = |what: &str| format!("{}: {what}\n{said}\n", damage.name);
    let (before, after) = (parquet(clean), parquet(site.root()));
    if let End::Refused(why) = end_of(damage) {
        let is_said = ran.code == Some(1) && said.contains(why);
        return if is_said { String::new() } else { wrong(&format!("not said: {why}")) };
    }
    if ran.code != Some(0) {
        return wrong(&format!("exit {:?}", ran.code));
    }
    if stays {
        let is_kept = places.iter().zip(&kept).all(|(place, kept)| {
            let now = rows(place);
            kept.iter().all(|(epoch, row)| now.get(epoch) == Some(row))
        });
        let checked = sandbox.run(&["verify", site.root().to_str().unwrap(), "--deep"]);
        let is_sound = is_kept && checked.code == Some(0);
        return if is_sound { String::new() } else { wrong(&checked.stdout) };
    }
    if end_of(damage) == End::More {
        let grown = before.keys().all(|place| {
            let (old, new) = (rows_of(&clean.join(place)), rows_of(&site.root().join(place)));
            old.iter().all(|(epoch, row)| new.get(epoch) == Some(row))
        });
        let is_more = before.iter().any(|(place, old)| after[place].len() > old.len());
        return if grown && is_more { String::new() } else { wrong("not more") };
    }
    if before != after {
        let places: Vec<_> = after.keys().collect();
        let differing = before.iter().filter(|(place, old)| after.get(*place) != Some(old));
        let differing: Vec<_> = differing.map(|(place, _)| place).collect();
        return wrong(&format!("other files: {places:?}, differing {differing:?}"));
    }
    let both = |place| (lasting(clean, place, damage), lasting(site.root(), place, damage));
    let told = before.keys().map(|place| (place, both(place))).find(|(_, (old, new))| old != new);
    if let Some((place, (old, new))) = told {
        return wrong(&format!("another sidecar of {place}: {old}\n{new}"));
    }
    let checked = sandbox.run(&["verify", site.root().to_str().unwrap(), "--deep"]);
    if checked.code != Some(0) {
        return wrong(&format!("verify: {}", checked.stdout));
    }
    String::new()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_damaged_is_brought_back_or_said_why_not() {
    let clean = Clean::download().await;
    let exchange = Exchange::open(quiet_config(epoch("2026-03-10T12:00:00Z"))).await;
    let damages: Vec<_> = [OF_FILES, OF_WORDS, OF_ROWS].into_iter().flatten().collect();
    assert!(damages.len() >= 60);
    let (url, root) = (exchange.url(), clean.folder.path().to_owned());
    let sites: Vec<_> = damages.iter().map(|damage| (clean.damaged_by(damage), *damage)).collect();
    let wrong = tokio::task::spawn_blocking(move || {
        let (next, wrong) = (Mutex::new(sites.iter()), Mutex::new(String::new()));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    loop {
                        let Some((site, damage)) = next.lock().unwrap().next() else { return };
                        let found = mended(&root, site, damage, &url);
                        wrong.lock().unwrap().push_str(&found);
                    }
                });
            }
        });
        wrong.into_inner().unwrap()
    });
    let wrong = wrong.await.unwrap();
    assert!(wrong.is_empty(), "{wrong}");
}
