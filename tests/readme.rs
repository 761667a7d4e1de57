//! The README says what is: its settings are those of the program, and the tests it names exist.

#![expect(clippy::expect_used, reason = "a test that cannot go on stops")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("a file of the repository")
}

/// Rows of the tables below a heading, as cells.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let readme = text("README.md");
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).expect("a section of that name");
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with("| "));
    lines
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

#[test]
fn the_readme_lists_every_setting_with_its_default_and_its_variable() {
    let settings: toml::Table = text("config/safeurl.toml").parse().expect("the defaults are TOML");
    let table = rows("Configuration");
    let mut listed = 0;
    for (section, keys) in &settings {
        for (key, default) in keys.as_table().expect("a section") {
            let name = format!("`{section}.{key}`");
            let row = table.iter().find(|row| row[0] == name);
            let row = row.unwrap_or_else(|| panic!("{name} is not in the README"));
            // What is too long for a table is told in words there.
            let shown = row[1].trim_matches('`');
            let same = format!("x = {shown}").parse::<toml::Table>().is_ok_and(|read| read["x"] == *default);
            assert!(same || !row[1].starts_with('`'), "{name}: {shown} is not {default}");
            assert_eq!(row[2], format!("`SAFEURL_{}_{}`", section.to_uppercase(), key.to_uppercase()));
            listed += 1;
        }
    }
    assert_eq!(
        table.iter().filter(|row| row[0].starts_with('`')).count(),
        listed,
        "none but those that exist"
    );
}

#[test]
fn the_tests_that_the_threat_model_names_exist() {
    let mut sources = Vec::new();
    for folder in ["worker/src", "fetcher", "tests"] {
        read(&root().join(folder), &mut sources);
    }
    let table = rows("Threat model");
    let named: Vec<_> = table[1..].iter().flat_map(|row| row[2].split(", ")).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        let declared = format!("fn {}(", name.trim_matches('`'));
        assert!(sources.iter().any(|source| source.contains(&declared)), "there is no test {name}");
    }
}

fn read(folder: &Path, sources: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(fs::read_to_string(&path).expect("a source"));
        }
    }
}
