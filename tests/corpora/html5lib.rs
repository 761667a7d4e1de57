//! The conformance tests of HTML parsers, through all of the page's code.
//!
//! Row `html5lib-trees`, each case of `tree-construction`:
//! - a document with scripting off, or where it makes no difference: the facts of the expected tree and ours are the same
//!   (title, language, forms, password fields, links, scripts, frames, meta names, resources, and the visible text, white
//!   space aside);
//! - with scripting on: what is inside `noscript` is text in that tree, and elements for us, who list what pages hide
//!   there; we find the same title and nothing less;
//! - a fragment: the page's code reads documents, in which a fragment means something else; it is read to its end and
//!   gives the same facts twice.
//!
//! Row `html5lib-tokenizer`, each test of `tokenizer`: where it starts in the data state, the text it makes is the text a
//! person sees (white space aside), and its links are our links. Elements whose content is no text, and tests that start
//! inside of such an element, have nothing to compare: they are read to their end.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "tally.rs"]
pub mod tally;

use std::collections::BTreeSet;
use std::path::PathBuf;

use safeurl_protocol::{Features, TextStatistics};
use serde_json::Value;
use tally::Tally;

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = tally::corpora().join("html5lib").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

fn page(html: &str) -> (Features, TextStatistics) {
    safeurl_fetcher::page_facts(html.as_bytes(), "http://a.test/").expect("a URL")
}

/// One case of a `.dat` file.
#[derive(Default)]
struct Case {
    data: String,
    document: String,
    fragment: bool,
    scripting: bool,
}

/// <https://github.com/html5lib/html5lib-tests/blob/master/tree-construction/README.md>
fn cases(text: &str) -> Vec<Case> {
    let mut cases = Vec::<Case>::new();
    let mut section = String::new();
    for line in text.split('\n') {
        let begins = line == "#data" && (section.is_empty() || section == "#document");
        let moves = match section.as_str() {
            "#data" => line == "#errors",
            "" => false,
            _ => matches!(
                line,
                "#errors" | "#new-errors" | "#document-fragment" | "#script-on" | "#script-off" | "#document"
            ),
        };
        if begins {
            cases.push(Case::default());
        }
        if begins || moves {
            section = line.to_owned();
            let case = cases.last_mut().expect("a case begins with its data");
            case.fragment |= line == "#document-fragment";
            case.scripting |= line == "#script-on";
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        let held = match section.as_str() {
            "#data" => &mut case.data,
            "#document" => &mut case.document,
            _ => continue,
        };
        held.push_str(line);
        held.push('\n');
    }
    for case in &mut cases {
        // The line's end before the next section is not part of the data.
        case.data.pop();
    }
    cases
}

/// What both trees are asked for.
#[derive(Debug, Default, PartialEq)]
struct Facts {
    title: Option<String>,
    language: Option<String>,
    forms: u64,
    passwords: u64,
    links: u64,
    scripts: u64,
    frames: u64,
    resources: u64,
    meta: BTreeSet<String>,
    /// Without white space and NULs.
    text: String,
}

impl Facts {
    fn ours((features, text): &(Features, TextStatistics)) -> Self {
        Self {
            title: features.title.clone(),
            language: features.language.clone(),
            forms: features.form_count,
            passwords: features.password_fields,
            links: features.links.total,
            scripts: features.script_count,
            frames: features.iframes.len() as u64,
            resources: features.resources.len() as u64,
            meta: features.meta.keys().cloned().collect(),
            text: without_spaces(&text.excerpt),
        }
    }

    /// Counted in the printed tree.
    fn expected((tree, text): &(Vec<Element>, String)) -> Self {
        let mut facts = Self { text: without_spaces(text), ..Self::default() };
        let mut titled = false;
        for element in tree {
            let has = |name: &str| element.attribute(name).is_some_and(|value| !value.trim().is_empty());
            match element.name.as_str() {
                "html" => {
                    let declared = element.attribute("lang").or_else(|| element.attribute("xml:lang"));
                    facts.language = declared.map(str::to_owned).filter(|language| !language.is_empty());
                }
                "title" if !titled => {
                    titled = true;
                    let words: Vec<_> = element.text.split_ascii_whitespace().collect();
                    facts.title = (!words.is_empty()).then(|| words.join(" "));
                }
                "form" => facts.forms += 1,
                "a" | "area" => facts.links += u64::from(element.attribute("href").is_some()),
                "script" | "svg script" | "math script" => facts.scripts += 1,
                "iframe" | "frame" => facts.frames += 1,
                "img" | "source" | "video" | "audio" | "embed" => facts.resources += u64::from(has("src")),
                "object" => facts.resources += u64::from(has("data")),
                "link" => {
                    let sheet =
                        element.attribute("rel").is_some_and(|rel| rel.eq_ignore_ascii_case("stylesheet"));
                    facts.resources += u64::from(sheet && has("href"));
                }
                "input" => {
                    facts.resources += u64::from(has("src"));
                    let password =
                        element.attribute("type").is_some_and(|kind| kind.eq_ignore_ascii_case("password"));
                    facts.passwords += u64::from(password);
                }
                "meta" if element.attribute("content").is_some() => {
                    let name = element.attribute("name").or_else(|| element.attribute("http-equiv"));
                    facts.meta.extend(name.map(str::to_ascii_lowercase));
                }
                _ => {}
            }
        }
        facts
    }

    /// Whether everything in `other` is in here.
    fn holds(&self, other: &Self) -> bool {
        let counts = |f: &Self| [f.forms, f.passwords, f.links, f.scripts, f.frames, f.resources];
        self.title == other.title
            && counts(self).iter().zip(counts(other)).all(|(ours, theirs)| *ours >= theirs)
            && self.meta.is_superset(&other.meta)
    }
}

/// An element of a printed tree; `name` is `svg title` for one of SVG.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    /// Of its text children.
    text: String,
    depth: usize,
}

impl Element {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Lines begin with `| ` and two spaces for each level; a text or a value may go on over lines that do not.
fn tree(document: &str) -> (Vec<Element>, String) {
    let (mut elements, mut shown) = (Vec::<Element>::new(), String::new());
    let mut node = String::new();
    let mut lines = document.lines().peekable();
    while let Some(line) = lines.next() {
        node.push_str(line);
        if lines.peek().is_some_and(|next| !next.starts_with("| ")) {
            node.push('\n');
            continue;
        }
        add(&mut elements, &mut shown, node.trim_end_matches('\n'));
        node.clear();
    }
    (elements, shown)
}

fn add(elements: &mut Vec<Element>, seen: &mut String, node: &str) {
    let Some(rest) = node.strip_prefix("| ") else { return };
    let shown = rest.trim_start_matches(' ');
    let depth = (rest.len() - shown.len()) / 2;
    let above = |elements: &mut Vec<Element>| {
        elements
            .iter()
            .rposition(|element| element.depth < depth)
            .filter(|at| elements[*at].depth + 1 == depth)
    };
    if shown.starts_with("<!") || shown.starts_with("<?") {
        return;
    }
    if let Some(name) = shown.strip_prefix('<').and_then(|name| name.strip_suffix('>')) {
        elements.push(Element { name: name.to_owned(), depth, ..Element::default() });
    } else if let Some(text) = shown.strip_prefix('"') {
        let text = text.strip_suffix('"').expect("a text is closed");
        if let Some(parent) = above(elements) {
            elements[parent].text.push_str(text);
        }
        if !is_unseen(elements, depth) {
            seen.push_str(text);
        }
    } else if let Some((name, value)) = shown.split_once("=\"")
        && let Some(owner) = above(elements)
    {
        let value = value.strip_suffix('"').expect("a value is closed");
        elements[owner].attributes.push((name.to_owned(), value.to_owned()));
    }
}

/// Whether an element around a node at this depth keeps its text from a reader.
fn is_unseen(elements: &[Element], mut depth: usize) -> bool {
    elements.iter().rev().any(|element| {
        let around = element.depth < depth;
        depth = depth.min(element.depth);
        around && UNSEEN.contains(&element.name.as_str())
    })
}

fn check(case: &Case) -> Result<(), String> {
    let ours = Facts::ours(&page(&case.data));
    if case.fragment {
        let again = Facts::ours(&page(&case.data));
        return if ours == again { Ok(()) } else { Err("another result the second time".to_owned()) };
    }
    let expected = Facts::expected(&tree(&case.document));
    let good = if case.scripting { ours.holds(&expected) } else { ours == expected };
    if good { Ok(()) } else { Err(format!("{:?}: {ours:?}, expected {expected:?}", case.data)) }
}

#[test]
fn every_tree_of_html5lib_gives_the_facts_it_holds() {
    let files = files("tree-construction", "dat");
    let texts: Vec<String> = files
        .iter()
        .map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned())
        .collect();
    let expected =
        texts.iter().map(|text| text.lines().filter(|line| line.starts_with("#data")).count()).sum();
    let mut tally = Tally::new("html5lib-trees", expected);
    let mut seen = [0; 5];
    for (path, text) in files.iter().zip(&texts) {
        let name = path.file_stem().unwrap().to_string_lossy();
        for (n, case) in cases(text).iter().enumerate() {
            tally.case(format!("{name}:{}", n + 1), check(case));
            let facts = Facts::expected(&tree(&case.document));
            let held = [facts.forms, facts.links, facts.scripts, facts.frames];
            let titles = u64::from(facts.title.is_some());
            seen.iter_mut().zip(held.into_iter().chain([titles])).for_each(|(sum, held)| *sum += held);
        }
    }
    // A reader of trees that reads nothing would agree with pages that hold nothing.
    assert!(seen.iter().all(|sum| *sum > 5), "{seen:?}");
    tally.finish();
}

/// HTML elements whose text nobody reads on the page.
const UNSEEN: &[&str] =
    &["head", "title", "script", "style", "template", "noscript", "iframe", "noframes", "datalist"];

/// Elements whose content is no visible text, or is not read as markup.
const OTHER_CONTENT: &[&str] = &[
    "script",
    "style",
    "title",
    "textarea",
    "xmp",
    "iframe",
    "noembed",
    "noframes",
    "noscript",
    "plaintext",
    "template",
    "select",
    "option",
    "table",
    "frameset",
    "head",
    "svg",
    "math",
];

/// `\uXXXX` undone, as tests ask for that have characters JSON cannot hold.
fn unescaped(text: &str) -> String {
    let mut units = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("\\u") {
        units.extend(rest[..at].encode_utf16());
        units.push(u16::from_str_radix(&rest[at + 2..at + 6], 16).expect("four digits"));
        rest = &rest[at + 6..];
    }
    units.extend(rest.encode_utf16());
    String::from_utf16_lossy(&units)
}

fn without_spaces(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '\0').collect()
}

/// Whether there was something to compare, and whether it was the same.
fn check_tokens(test: &Value) -> (bool, Result<(), String>) {
    let escaped = test["doubleEscaped"].as_bool().unwrap_or(false);
    let read = |text: &str| if escaped { unescaped(text) } else { text.to_owned() };
    let input = read(test["input"].as_str().expect("an input"));
    let (features, text) = page(&input);
    let states = test["initialStates"].as_array();
    if states.is_some_and(|states| !states.iter().any(|state| state == "Data state")) {
        return (false, Ok(()));
    }
    let (mut shown, mut links, mut other) = (String::new(), 0, false);
    for token in test["output"].as_array().expect("an output") {
        match token[0].as_str() {
            Some("Character") => shown.push_str(&read(token[1].as_str().expect("a text"))),
            Some("StartTag") => {
                let name = token[1].as_str().expect("a name");
                other |= OTHER_CONTENT.contains(&name);
                links += u64::from(matches!(name, "a" | "area") && token[2].get("href").is_some());
            }
            _ => {}
        }
    }
    if other {
        return (false, Ok(()));
    }
    let (ours, theirs) = (without_spaces(&text.excerpt), without_spaces(&shown));
    if ours == theirs && features.links.total == links {
        return (true, Ok(()));
    }
    let how =
        format!("{input:?}: {ours:?} and {} links, expected {theirs:?} and {links}", features.links.total);
    (true, Err(how))
}

#[test]
fn every_token_of_html5lib_is_read() {
    let files = files("tokenizer", "test");
    let texts: Vec<String> = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    // A description may hold the word too, but no colon behind it.
    let is_key = |after: &str| after.trim_start().starts_with(':');
    let expected = texts
        .iter()
        .map(|text| {
            text.match_indices("\"input\"").filter(|(at, key)| is_key(&text[at + key.len()..])).count()
        })
        .sum();
    let mut tally = Tally::new("html5lib-tokenizer", expected);
    let mut compared = 0;
    for (path, text) in files.iter().zip(&texts) {
        let name = path.file_stem().unwrap().to_string_lossy();
        let file: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let tests =
            ["tests", "xmlViolationTests"].into_iter().filter_map(|key| file[key].as_array()).flatten();
        for (n, test) in tests.enumerate() {
            let (comparable, result) = check_tokens(test);
            compared += usize::from(comparable);
            tally.case(format!("{name}:{}", n + 1), result);
        }
    }
    assert!(compared * 10 > expected * 9, "only {compared} of {expected} were compared");
    tally.finish();
}
