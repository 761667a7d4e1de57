//! The README says what is: its settings, commands, classes, targets, caps and crates are those of the program, and the
//! tests it names exist.

#![expect(clippy::expect_used, reason = "a test that cannot go on stops")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use safeurl::domain::failure::FailureClass;
use safeurl::metrics::{Counted, Metrics};

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

/// Rows of one table of a section, told by the first cell of its head, without the head.
fn table(heading: &str, head: &str) -> Vec<Vec<String>> {
    let readme = text("README.md");
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).expect("a section of that name");
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().skip_while(|line| !line.starts_with(&format!("| {head} |")));
    let lines = lines.skip(2).take_while(|line| line.starts_with("| "));
    lines
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// What stands between backticks, as `make x`, `make y`.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn the_readme_lists_every_command() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("readme-man-{}", std::process::id()));
    let made = Command::new(env!("CARGO_BIN_EXE_safeurl")).args(["man", "--output"]).arg(&folder).output();
    assert!(made.expect("the program runs").status.success());
    // Each command has a page, hidden ones have none.
    let pages = fs::read_dir(&folder).expect("the pages").map(|page| page.expect("a page").file_name());
    let pages: BTreeSet<String> = pages.filter_map(|name| name.into_string().ok()).collect();
    fs::remove_dir_all(&folder).expect("the pages can go");
    let names = pages.iter().filter_map(|page| page.strip_prefix("safeurl-")?.strip_suffix(".1"));
    let names: BTreeSet<String> = names.map(|name| name.replace('-', " ")).collect();
    let is_group = |name: &str| names.iter().any(|other| other.starts_with(&format!("{name} ")));
    let commands: BTreeSet<&str> = names.iter().map(String::as_str).filter(|name| !is_group(name)).collect();
    let table = table("Using it", "command");
    let listed: BTreeSet<&str> = table.iter().flat_map(|row| quoted(&row[0])).collect();
    assert_eq!(listed, commands);
}

#[test]
fn the_readme_names_every_class_of_failure() {
    let readme = text("README.md");
    let (_, operation) = readme.split_once("\nClasses: ").expect("the classes");
    // The list, without what is said of some of them behind it.
    let list = operation.split(" (").next().unwrap_or_default();
    let listed: Vec<&str> = quoted(list).collect();
    assert_eq!(listed, FailureClass::ALL.map(FailureClass::as_str));
}

#[test]
fn the_readme_lists_every_metric_with_its_type_labels_and_unit() {
    let counted = Counted { containers: Some(0), ..Counted::default() };
    let scrape = Metrics::new().text(Some(&counted));
    let described = |kind: &str, family: &str| {
        let start = format!("# {kind} {family} ");
        scrape.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
    };
    let families = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let there: Vec<Vec<String>> = families
        .map(|(family, kind)| {
            let name = match kind {
                "counter" => format!("{family}_total"),
                "info" => format!("{family}_info"),
                _ => family.to_owned(),
            };
            let series = scrape.lines().find_map(|line| line.strip_prefix(&format!("{name}{{")));
            let series = series.filter(|_| kind != "histogram").and_then(|series| series.split_once('}'));
            let labels =
                series.map(|(labels, _)| labels.split(',').filter_map(|pair| pair.split('=').next()));
            let labels: Vec<String> =
                labels.into_iter().flatten().map(|label| format!("`{label}`")).collect();
            vec![
                format!("`{name}`"),
                kind.to_owned(),
                labels.join(", "),
                described("UNIT", family).unwrap_or_default(),
            ]
        })
        .collect();
    assert!(there.len() > 20, "{there:?}");
    let mut listed = table("Operation", "metric");
    for row in &mut listed {
        // What is counted has no unit of its own in the scrape.
        if !["seconds", "bytes"].contains(&row[3].as_str()) {
            row[3].clear();
        }
        row.truncate(4);
    }
    assert_eq!(listed, there);
}

#[test]
fn the_readme_lists_every_target_of_the_makefile() {
    let makefile = text("Makefile");
    let targets = makefile.lines().filter(|line| line.contains(" ## "));
    let targets: BTreeSet<String> =
        targets.filter_map(|line| Some(format!("make {}", line.split_once(':')?.0))).collect();
    let rows = rows("Development");
    let listed = rows.iter().flat_map(|row| quoted(&row[0])).filter(|name| name.starts_with("make "));
    // Some are named with their variables.
    let bare = |name: &str| name.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let listed: BTreeSet<String> = listed.map(bare).collect();
    assert_eq!(listed, targets);
}

#[test]
fn the_readme_gives_a_reason_for_every_crate() {
    let mut used = BTreeSet::new();
    for manifest in ["worker", "fetcher", "fetcher/protocol", "fetcher/egress"] {
        let manifest: toml::Table = text(&format!("{manifest}/Cargo.toml")).parse().expect("a manifest");
        let crates = manifest.get("dependencies").and_then(toml::Value::as_table);
        used.extend(crates.into_iter().flat_map(toml::Table::keys).cloned());
    }
    used.retain(|name| !name.starts_with("safeurl-"));
    let table = rows("How it is built");
    let head = table.iter().rposition(|row| row[0] == "crate").expect("a table of crates");
    let listed: BTreeSet<String> =
        table[head + 1..].iter().flat_map(|row| quoted(&row[0])).map(str::to_owned).collect();
    assert_eq!(listed, used);
}

#[test]
fn the_caps_of_the_readme_are_those_of_the_sources() {
    let table = table("What a scan collects", "what");
    assert!(table.len() > 20, "{table:?}");
    for row in table {
        let named: Vec<&str> = quoted(&row[2]).collect();
        let [constant, path] = named[..] else { panic!("{row:?}") };
        let source = text(path);
        let declared = source.lines().find_map(|line| {
            let (_, declared) = line.split_once(&format!("const {constant}: "))?;
            Some(declared.split_once(" = ")?.1.trim_end_matches(';').to_owned())
        });
        let declared = declared.unwrap_or_else(|| panic!("{path} has no {constant}"));
        assert_eq!(value(&row[1]), value(&declared), "{}: {} is not {declared}", row[0], row[1]);
    }
}

/// A number with a unit, a product of numbers, or a duration, as one number.
fn value(text: &str) -> u64 {
    let text = text.replace("Duration::from_secs(", "").replace([')', '_'], "");
    let text = text.replace("KiB", "* 1024").replace("MiB", "* 1024 * 1024").replace(" s", "");
    let factors = text.split('*').map(str::trim);
    factors.map(|factor| factor.parse::<u64>().unwrap_or_else(|_| panic!("{text} is no number"))).product()
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
    let table = table("Threat model", "layer");
    let named: Vec<_> = table.iter().flat_map(|row| row[2].split(", ")).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        let declared = format!("fn {}(", name.trim_matches('`'));
        assert!(sources.iter().any(|source| source.contains(&declared)), "there is no test {name}");
    }
}

#[test]
fn every_fuzz_target_of_the_worker_is_in_the_readme_with_what_it_reads() {
    let readme = text("README.md");
    let list = text("tests/fuzz/worker/targets.rs");
    let names: Vec<_> =
        list.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split('"').next()).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in &names {
        assert!(readme.contains(&format!("`{name}`")), "{name} is not told of");
    }
    for row in table("Threat model", "from") {
        for target in quoted(&row[3]) {
            assert!(names.contains(&target), "there is no target {target}");
        }
    }
}

#[test]
fn the_number_of_restrictions_is_that_of_the_probe() {
    let readme = text("README.md");
    let words: Vec<_> = readme.split_whitespace().collect();
    let told = format!("{} restrictions:", safeurl_protocol::probe::RESTRICTIONS.len());
    assert!(words.join(" ").contains(&told), "{told}");
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
