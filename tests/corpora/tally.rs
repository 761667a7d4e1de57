//! One row of the table that `make test-corpora` ends with: how much of a third-party collection we agree with.
//!
//! A case passes or deviates. Each deviation stands in `deviations/<row>.tsv` with its reason: one that does not is a
//! failure, and so is a line there that deviates no longer. A row with more than 2 % deviations fails as well, so that
//! reasons do not pile up. The number of cases is counted from the files by the caller in another way than the cases
//! themselves are read, so that a reader which skips some is found out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Deviations of a row, per hundred cases.
const DEVIATIONS_PER_HUNDRED: usize = 2;

/// Counts one row.
#[derive(Debug)]
pub struct Tally {
    row: &'static str,
    /// Cases that the files hold.
    expected: usize,
    passed: usize,
    deviated: BTreeMap<String, String>,
}

/// The folder with the collections.
pub fn corpora() -> PathBuf {
    // Relative to the repository, wherever the test runs; an absolute path stays as it is.
    let folder = std::env::var_os("SAFEURL_CORPORA").map_or("../shared/corpora".into(), PathBuf::from);
    root().join(folder)
}

/// One file of them as text.
pub fn text(path: &str) -> String {
    String::from_utf8_lossy(&bytes(path)).into_owned()
}

/// One file of them.
pub fn bytes(path: &str) -> Vec<u8> {
    let path = corpora().join(path);
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "cannot read {}: {error}\nhint: set SAFEURL_CORPORA to the folder that holds it",
            path.display()
        )
    })
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("..")
}

impl Tally {
    /// A row of `expected` cases.
    pub fn new(row: &'static str, expected: usize) -> Self {
        Self { row, expected, passed: 0, deviated: BTreeMap::new() }
    }

    /// One case: what came out, or how it differs from what the file says.
    pub fn case(&mut self, id: impl Into<String>, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(how) => {
                let id = id.into();
                let doubled = self.deviated.insert(id.clone(), how);
                assert!(doubled.is_none(), "{}: two cases are called {id:?}", self.row);
            }
        }
    }

    /// Writes the row and checks it.
    pub fn finish(self) {
        let reasons = self.reasons();
        self.write(&reasons);
        let cases = self.passed + self.deviated.len();
        assert_eq!(cases, self.expected, "{}: the files hold another number of cases", self.row);
        let unexplained: Vec<_> =
            self.deviated.iter().filter(|(id, _)| !reasons.contains_key(*id)).take(50).collect();
        assert!(
            unexplained.is_empty(),
            "{}: {} deviations, without a reason in deviations/{}.tsv: {unexplained:#?}",
            self.row,
            self.deviated.len(),
            self.row
        );
        let gone: BTreeSet<_> = reasons.keys().filter(|id| !self.deviated.contains_key(*id)).collect();
        assert!(gone.is_empty(), "{}: these have a reason and do not deviate: {gone:?}", self.row);
        assert!(
            self.deviated.len() * 100 <= self.expected * DEVIATIONS_PER_HUNDRED,
            "{}: {} of {} deviate",
            self.row,
            self.deviated.len(),
            self.expected
        );
    }

    /// `id<TAB>reason` lines; `#` begins a comment.
    fn reasons(&self) -> BTreeMap<String, String> {
        let path = root().join("tests/corpora/deviations").join(format!("{}.tsv", self.row));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|line| {
                let (id, reason) = line.split_once('\t').unwrap_or_else(|| panic!("{line:?} has no reason"));
                (id.to_owned(), reason.to_owned())
            })
            .collect()
    }

    /// For the table: row, passed, expected, number of deviations, the reasons with their numbers.
    fn write(&self, reasons: &BTreeMap<String, String>) {
        let mut counted = BTreeMap::<&str, usize>::new();
        for id in self.deviated.keys() {
            *counted.entry(reasons.get(id).map_or("NO REASON", String::as_str)).or_default() += 1;
        }
        let reasons: Vec<_> = counted.iter().map(|(reason, count)| format!("{count}: {reason}")).collect();
        let line = format!(
            "{}\t{}\t{}\t{}\t{}\n",
            self.row,
            self.passed,
            self.expected,
            self.deviated.len(),
            reasons.join("; ")
        );
        let folder = root().join("target/corpora");
        std::fs::create_dir_all(&folder).expect("the build folder can be written");
        std::fs::write(folder.join(format!("{}.tsv", self.row)), &line)
            .expect("the build folder can be written");
        print!("{line}");
    }
}
