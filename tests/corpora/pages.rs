//! Real pages, scanned whole: every benign article and 60 pages of each class of a phishing corpus are served on
//! loopback and must be COMPLETED with the title and number of forms that an independent parser finds.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on stops")]
#![expect(dead_code, reason = "what the tests share is used by each in part")]

#[path = "../e2e/leftovers.rs"]
mod leftovers;
#[path = "../e2e/site.rs"]
mod site;
#[path = "../support/sqld.rs"]
#[expect(dead_code, reason = "pages are scanned with a database in a file")]
mod sqld;
#[path = "../e2e/stage.rs"]
mod stage;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use site::{Answer, Site};
use stage::Stage;

/// Pages taken of each class of the phishing corpus, by name.
const OF_EACH_CLASS: usize = 60;

fn corpora() -> PathBuf {
    let folder =
        std::env::var_os("SAFEURL_CORPORA").map(PathBuf::from).expect("SAFEURL_CORPORA names the folder");
    assert!(folder.is_dir(), "SAFEURL_CORPORA is {}, which is no folder", folder.display());
    folder
}

/// Every gzip-ed page of a folder, by name.
fn pages_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut pages: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "gz"))
        .collect();
    pages.sort();
    pages
}

/// Title and number of forms by page, as html5lib finds them; each page is named with the charset it was read with.
fn expectations(pages: &[(String, Value)]) -> BTreeMap<String, (Option<String>, u64)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpora/expected_pages.py");
    let python = std::env::var_os("CORPORA_PYTHON").unwrap_or_else(|| "python3".into());
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a Python with html5lib; `make test-corpora` makes one");
    let list: String = pages
        .iter()
        .map(|(path, charset)| format!("{}\n", json!({"path": path, "charset": charset})))
        .collect();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::spawn(move || stdin.write_all(list.as_bytes()));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "html5lib cannot be used");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| {
            let facts: Value = serde_json::from_str(line).unwrap();
            let title = facts["title"].as_str().map(str::to_owned);
            (facts["path"].as_str().unwrap().to_owned(), (title, facts["forms"].as_u64().unwrap()))
        })
        .collect()
}

/// Where bytes cannot be decoded, decoders differ in how many of them one U+FFFD stands for; the rest must agree.
fn same_title(ours: Option<&str>, theirs: Option<&str>) -> bool {
    let undecodable = |title: &str| title.contains('\u{fffd}');
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if undecodable(ours) && undecodable(theirs) => {
            ours.chars().filter(char::is_ascii).eq(theirs.chars().filter(char::is_ascii))
        }
        (ours, theirs) => ours == theirs,
    }
}

#[test]
fn real_pages_are_completed_with_the_facts_of_an_independent_parser() {
    let corpora = corpora();
    let mut pages = pages_in(&corpora.join("pages_benign_articles/trafilatura"));
    pages.extend(pages_in(&corpora.join("pages_benign_articles/readability")));
    for class in ["phish", "benign"] {
        pages.extend(
            pages_in(&corpora.join("pages_phishtank2022_dev").join(class)).into_iter().take(OF_EACH_CLASS),
        );
    }

    let served = pages.clone();
    let site = Site::start(move |path| {
        let number: usize = path.trim_matches('/').parse().unwrap_or(usize::MAX);
        let Some(page) = served.get(number) else { return Answer::Head(404, Vec::new()) };
        let body = std::fs::read(page).unwrap();
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        answer.extend(body);
        Answer::Raw(answer)
    });
    let stage = Stage::new();
    let lines: String = (0..pages.len()).map(|n| format!("{}\n", site.url(&format!("/{n}")))).collect();
    // A page's own refresh is not followed: it would lead to a page that is not part of the corpus.
    std::fs::write(stage.dir.join("safeurl.toml"), "[fetch]\nmax_redirects = 0\n").unwrap();
    let submitted = stage.feed(["submit", "-"], &lines);
    assert_eq!(submitted.code, Some(0), "{submitted:?}");
    let mut worker = stage.worker(&["--concurrency", "4"]);
    let unfinished = "SELECT count(*) FROM scan_jobs WHERE state IN ('QUEUED', 'FETCHING', 'ANALYZING')";
    stage.wait_for(unfinished, "0", Duration::from_secs(600));
    worker.signal("-TERM");
    assert_eq!(worker.end(), Some(0), "{}", stage.log());

    let rows = stage.query(
        "SELECT j.url, j.state, d.body FROM scan_jobs j LEFT JOIN documents d ON d.job_id = j.id ORDER BY j.id",
    );
    let found: Vec<(String, &str, Value)> = rows
        .iter()
        .map(|row| {
            let number: usize = row[0].rsplit('/').next().unwrap().parse().unwrap();
            let body = serde_json::from_str(&row[2]).unwrap_or(Value::Null);
            (pages[number].display().to_string(), row[1].as_str(), body)
        })
        .collect();
    let charsets: Vec<_> =
        found.iter().map(|(page, _, body)| (page.clone(), body["page"]["charset"].clone())).collect();
    let expected = expectations(&charsets);

    let mut deviations = Vec::new();
    for (page, state, body) in &found {
        let (title, forms) = &expected[page];
        let our_title = body["page"]["title"].as_str();
        // The other parser runs no script either, and does not look into what one would write.
        let own = |forms: &Vec<Value>| forms.iter().filter(|form| form["embedded"] != true).count();
        let our_forms = body["features"]["forms"].as_array().map_or(0, own) as u64;
        if *state != "COMPLETED" || !same_title(our_title, title.as_deref()) || our_forms != *forms {
            deviations.push(format!("{page}: {state} {our_title:?} {our_forms}, expected {title:?} {forms}"));
        }
    }
    println!("| corpus | passed | expected | deviations |\n|---|---|---|---|");
    println!("| real pages | {} | {} | {} |", found.len() - deviations.len(), pages.len(), deviations.len());
    assert!(deviations.is_empty(), "{deviations:#?}");
    assert_eq!(found.len(), pages.len());
    leftovers::none_within(&stage, Duration::from_secs(45));
}
