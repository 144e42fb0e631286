//! The table of a publish that is stopped, as ARCHITECTURE.md has it.

use super::story::{archive_of, rows};
use super::*;
use crate::storage::steps::recorder::Event;

const HEAD: &str = "\
| stopped before it | readers see | found | repair taken | rows lost |
|---|---|---|---|---|
";

/// What something on disk is called in the table.
fn noun(path: &Path) -> &'static str {
    let name = path.to_str().unwrap();
    let nouns = [
        (".parquet", "file"),
        ("intent", "announcement"),
        (".metadata.json", "sidecar"),
        (".segment", "segment"),
        ("remarks", "remarks"),
        ("adoption", "notes of an adoption"),
        ("given-up", "note of a file given up"),
        ("watermark.json", "watermark"),
        ("staging", "staging"),
    ];
    let noun = nouns.iter().find(|(part, _)| name.contains(part));
    noun.map_or("folder", |(_, noun)| noun)
}

fn told(event: &Event) -> String {
    match event {
        Event::Create(path) => format!("make a draft of the {}", noun(path)),
        Event::Write(path) => format!("fill the draft of the {}", noun(path)),
        Event::Sync(path, _) => format!("sync the draft of the {}", noun(path)),
        Event::Rename(_, to) => format!("name the {}", noun(to)),
        Event::Link(from, _) => format!("keep the {}", noun(from)),
        Event::SyncDir(path) => format!("sync the names in the {}", noun(path)),
        Event::MakeDir(path) => format!("make the {}", noun(path)),
        Event::Remove(path) => format!("remove the {}", noun(path)),
        Event::RemoveDir(path) => format!("remove the folder of the {}", noun(path)),
        Event::Returned => "end".to_owned(),
    }
}

fn listed(words: Vec<String>) -> String {
    let mut unique: Vec<String> = Vec::new();
    for word in words {
        if !unique.contains(&word) {
            unique.push(word);
        }
    }
    if unique.is_empty() { "nothing".to_owned() } else { unique.join(", ") }
}

/// What lies there beside the published file and its sidecar.
fn found(tree: &model::Tree, end: &model::Tree) -> String {
    let mut words = Vec::new();
    for (name, content) in tree.iter().filter(|(_, content)| content.is_some()) {
        let what = noun(Path::new(name));
        if name.ends_with(".titan-tmp") {
            words.push(format!("a draft of the {what}"));
        } else if name.contains("/staging/") {
            words.push(
                what.replace("segment", "segments").replace("announcement", "an announcement"),
            );
        } else if what == "sidecar" {
            let is_new = end.get(name) == Some(content);
            words.push(format!("the {} sidecar", if is_new { "new" } else { "old" }));
        }
    }
    listed(words)
}

/// What the next run did, from its own steps.
fn repair(tree: &model::Tree, root: &Path, events: &[Event]) -> String {
    let is_there =
        |path: &Path| tree.contains_key(path.strip_prefix(root).unwrap().to_str().unwrap());
    let mut words = Vec::new();
    for event in events {
        match event {
            Event::Remove(path) if is_there(path) => {
                let is_draft = path.to_str().unwrap().ends_with(".titan-tmp");
                let what = if is_draft { "drafts" } else { noun(path) };
                words.push(format!("sweep {}", what.replace("segment", "segments")));
            }
            Event::Rename(_, to) => words.push(match noun(to) {
                "file" => "merge".to_owned(),
                what => format!("write the {what}"),
            }),
            _ => {}
        }
    }
    listed(words)
}

fn row_of(story: &Story, n: usize, end: &model::Tree) -> String {
    let tree = story.disk(n, None).seen();
    let archive = archive_of(&tree);
    let is_new = tree.get("R_100/ticks/2026-03.parquet") == end.get("R_100/ticks/2026-03.parquet");
    let events = recorded(|| {
        let store = archive.store("next");
        let _guard = store.lock(&series()).unwrap();
        load(&store).unwrap();
        publish(&store);
    });
    let after = read_rows::<Tick>(&archive.parquet());
    let n_lost = rows().iter().filter(|row| !after.contains(row)).count();
    format!(
        "the {} file | {} | {} | {n_lost} |",
        if is_new { "new" } else { "old" },
        found(&tree, end),
        repair(&tree, archive.root(), &events),
    )
}

fn table() -> String {
    let story = story::extension();
    let returned: Vec<_> =
        (0..story.events.len()).filter(|n| story.events[*n] == Event::Returned).collect();
    // The second publish: what was extended before it replaces a file of the first.
    let (first, last) = (returned[4] + 1, returned[5]);
    let end = story.disk(last, None).seen();
    let mut groups: Vec<(Vec<String>, String)> = Vec::new();
    for n in first..=last {
        let (step, row) = (told(&story.events[n]), row_of(&story, n, &end));
        match groups.last_mut().filter(|(_, known)| *known == row) {
            Some((steps, _)) => steps.push(step),
            None => groups.push((vec![step], row)),
        }
    }
    let lines = groups.into_iter().map(|(steps, row)| format!("| {} | {row}\n", listed(steps)));
    lines.fold(HEAD.to_owned(), |table, line| table + &line)
}

#[test]
fn the_architecture_says_what_becomes_of_a_publish_that_is_stopped() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let text = fs::read_to_string(path).unwrap();
    let table = table();
    assert!(
        text.contains(&table),
        "the steps of a publish or their repair have changed; put this table into `Publishing` of \
         ARCHITECTURE.md:\n\n{table}"
    );
}
