//! Rules about the sources themselves.

use std::path::Path;

fn each_source(folder: &Path, look: &mut impl FnMut(&Path, &str)) {
    for entry in std::fs::read_dir(folder).expect("the sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            each_source(&path, look);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(&path, &std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

/// Where one statement may end: at the end of its literal.
fn statements(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("UPDATE scan_jobs").map(|(at, _)| {
        let rest = &text[at..];
        &rest[..rest.find("WHERE").unwrap_or(rest.len()).min(rest.find("\";").unwrap_or(rest.len()))]
    })
}

#[test]
fn only_one_statement_changes_the_state_of_a_job_and_it_is_in_transitions() {
    let mut updates = Vec::new();
    let mut heads = Vec::new();
    each_source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut |path, text| {
        if path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("testing.rs") {
            return;
        }
        let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        for statement in statements(shipped) {
            updates.push((name.clone(), statement.contains("{columns}") || statement.contains(" state = ")));
        }
        heads.extend(shipped.matches("version = version + ").map(|_| name.clone()));
    });
    let of_states: Vec<_> =
        updates.iter().filter(|(_, state)| *state).map(|(file, _)| file.as_str()).collect();
    assert_eq!(of_states, ["transitions.rs"], "{updates:?}");
    assert_eq!(heads, ["transitions.rs"]);
    assert!(updates.len() > of_states.len(), "the search finds the other updates too: {updates:?}");
}
