//! What is written about settings is so: the example of the README, and `.env.example`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use titan_download::cli::args::{Keys, variable};

use crate::process::Sandbox;

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn the_example_of_the_readme_is_a_configuration_file() {
    let readme = document("README.md");
    let (_, rest) = readme.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").unwrap();
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("titan.toml"), example).unwrap();
    let json = sandbox.run(&["--print-config", "--json"]).expect(0).json();
    let found: Vec<_> =
        json["series"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let expected = [
        "R_100 ticks",
        "R_50 ticks",
        "R_100 candles 60s",
        "R_100 candles 3600s",
        "frxEURUSD candles 60s",
        "frxEURUSD candles 3600s",
    ];
    assert_eq!(found, expected);
}

/// Every option of the main job is listed with its default, and nothing else is.
#[test]
fn the_example_of_variables_is_complete() {
    let text = document(".env.example");
    let line = |line: &str| {
        let (name, value) = line.strip_prefix("# TITAN_")?.split_once('=')?;
        Some((format!("TITAN_{name}"), value.to_owned()))
    };
    let listed: BTreeMap<String, String> = text.lines().filter_map(line).collect();
    // For trying things out only; `--help` does not show it either.
    let hidden = variable("share-pace");
    let keys = Keys::all();
    let mut expected: BTreeSet<_> = keys.names().map(variable).collect();
    expected.extend(["TITAN_TOKEN".to_owned(), "TITAN_CONFIG".to_owned()]);
    assert!(expected.remove(&hidden));
    assert_eq!(listed.keys().cloned().collect::<BTreeSet<_>>(), expected);

    let json = Sandbox::new().run(&["--print-config", "--json"]).expect(0).json();
    for (option, setting) in json["settings"].as_object().unwrap() {
        if setting["origin"] != "default" {
            continue;
        }
        let shown = &listed[&variable(option)];
        let default = match &setting["value"] {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(list) if list.is_empty() => continue,
            serde_json::Value::Array(list) => {
                list.iter().map(|one| one.as_str().unwrap()).collect::<Vec<_>>().join(",")
            }
            other => other.to_string(),
        };
        assert_eq!(*shown, default, "{option}");
    }
}
