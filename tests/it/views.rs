//! The archive through DuckDB, where Python with duckdb is installed, and what the documents show.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::python::python_with;

fn titan(folder: &Path, arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_titan-download"))
        .args(arguments)
        .current_dir(folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .output()
        .unwrap()
}

/// Runs Python with `code`; `None` and a word if one of `modules` is missing.
fn python(folder: &Path, modules: &[&str], code: &str) -> Option<String> {
    let output = python_with(modules)?.args(["-c", code]).current_dir(folder).output().unwrap();
    let (out, err) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{code}\n{out}\n{err}");
    Some(out)
}

fn archive() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("it's [one]").tempdir().unwrap();
    let output =
        titan(folder.path(), &["--demo", "--symbol", "R_100,cryBTCUSD", "--test", "--quiet"]);
    assert!(output.status.success(), "{output:?}");
    folder
}

#[test]
fn the_views_are_what_they_say() {
    let folder = archive();
    let sql = titan(folder.path(), &["views", "--sql"]);
    assert!(sql.status.success(), "{sql:?}");
    fs::write(folder.path().join("views.sql"), sql.stdout).unwrap();
    let code = r#"
import duckdb
duckdb.execute(open("views.sql").read())
one = lambda query: duckdb.sql(query).fetchall()[0]
count = one("SELECT count(*) FROM read_parquet('data_cache/R_100/ticks/????-??.parquet')")[0]
assert one("SELECT count(*) FROM ticks WHERE symbol = 'R_100'")[0] == count > 40_000
assert one("SELECT count(DISTINCT symbol) FROM candles")[0] == 2
first, last = one("SELECT min(epoch), max(epoch) FROM ticks WHERE symbol = 'R_100'")
# Bars of ticks are the bars of the source, but for their edges.
same, all = one("""SELECT count(*) FILTER (m.high = c.high AND m.low = c.low), count(*)
    FROM minutes m JOIN candles c USING (symbol, epoch) WHERE symbol = 'R_100' AND granularity = 60""")
assert same > 0.9 * all > 1_000, (same, all)
rows = duckdb.sql(f"SELECT * FROM filled('R_100', {first - 2}, {first + 100}, 1)").fetchall()
assert len(rows) == 102 and rows[0][2] is None and rows[2][3] == 0 and rows[3][3] in (0, 1)
assert all >= one("SELECT count(*) FROM bars(300) WHERE symbol = 'R_100'")[0] * 4
print("held")
"#;
    if let Some(out) = python(folder.path(), &["duckdb"], code) {
        assert_eq!(out.trim(), "held");
    }
}

#[test]
fn views_of_nothing_are_none() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(titan(folder.path(), &["views", "--sql"]).status.code(), Some(2));
    fs::create_dir(folder.path().join("data_cache")).unwrap();
    assert_eq!(titan(folder.path(), &["views", "--sql"]).status.code(), Some(2));
    fs::create_dir(folder.path().join("data_cache/.titan")).unwrap();
    let sql = titan(folder.path(), &["views", "--sql"]);
    assert_eq!(sql.status.code(), Some(1));
    assert!(String::from_utf8(sql.stderr).unwrap().contains("holds no series yet"));
    let listed = titan(folder.path(), &["views"]);
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), "the archive holds no series yet\n");
}

#[allow(clippy::print_stderr)]
/// Each block of Python runs where its library is installed.
#[test]
fn the_examples_for_readers_run() {
    let text = |name| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let text = ["README.md", "docs/reading.md"].map(text).concat();
    let blocks: Vec<_> =
        text.split("```python\n").skip(1).map(|b| b.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 9, "{} blocks", blocks.len());
    let folder = archive();
    let views = titan(folder.path(), &["views", "--sql"]).stdout;
    fs::write(folder.path().join("views.sql"), views).unwrap();
    let known = ["duckdb", "pandas", "pyarrow", "polars", "datafusion", "pyspark"];
    for block in blocks {
        let is_used = |module: &&&str| {
            block.contains(&format!("import {module}")) || block.contains(&format!("from {module}"))
        };
        let modules: Vec<_> = known.iter().filter(is_used).copied().collect();
        // Spark takes half a minute to start.
        if modules.contains(&"pyspark") && std::env::var_os("TITAN_LONG_TESTS").is_none() {
            eprintln!("skipped: Spark, without TITAN_LONG_TESTS");
            continue;
        }
        python(folder.path(), &modules, block);
    }
}
