use safeurl_protocol::{Form, FormInput, Header, Link};

use super::*;
use crate::analysis::sample::{RULES, Sample};
use crate::domain::document::Evidence;
use crate::domain::target::Target;
use crate::domain::timestamp::Timestamp;

const SITE: &str = "https://harbour.example/";

fn found(sample: &Sample) -> Vec<Technology> {
    let target = Target::parse(&sample.submitted).expect("a sample URL");
    let evidence = Evidence { target: &target, report: &sample.report, ledger: &sample.ledger };
    of(&Case::of(&RULES, evidence, Timestamp::from_seconds(0)))
}

/// A page that holds the example and nothing else that could show anything.
fn page_with(place: &str, example: &str) -> Sample {
    let mut sample = Sample::page(if place == "host" { example } else { SITE });
    let text = example.to_owned();
    let pair = || example.split_once(": ").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("name: text");
    match place {
        "header" => {
            let (name, value) = pair();
            sample.last().headers.push(Header { name, value });
        }
        "cookie" => {
            let value = format!("{example}=secret; Path=/");
            sample.last().headers.push(Header { name: "Set-Cookie".into(), value });
        }
        "meta" => {
            let (name, value) = pair();
            sample.features().meta.insert(name, value);
        }
        "script" => {
            sample.script(&[]);
            let script = sample.features().scripts.last_mut().expect("a script");
            script.src = Some(text);
        }
        "resource" => sample.features().resources.push(text),
        "link" => sample.features().links.list.push(Link { href: text, text: String::new() }),
        "comment" => sample.features().comments.push(text),
        "marker" => sample.features().markers.push(text),
        "form" => drop(sample.form(example, &["mail:email"])),
        "host" => {}
        other => panic!("no place is called {other}"),
    }
    sample
}

/// The places an entry looks at.
fn places(entry: &Entry) -> Vec<&'static str> {
    let all = [
        ("header", entry.header.is_empty()),
        ("cookie", entry.cookie.is_empty()),
        ("meta", entry.meta.is_empty()),
        ("script", entry.script.is_empty()),
        ("resource", entry.resource.is_empty()),
        ("link", entry.link.is_empty()),
        ("comment", entry.comment.is_empty()),
        ("marker", entry.marker.is_empty()),
        ("form", entry.form.is_empty()),
        ("host", entry.host.is_empty()),
    ];
    all.into_iter().filter(|(_, empty)| !empty).map(|(place, _)| place).collect()
}

#[test]
fn every_entry_is_known_by_each_of_its_examples_and_has_one_for_each_place() {
    let mut wrong = Vec::new();
    for entry in &known().0 {
        let mut versions = BTreeSet::new();
        for (place, example) in &entry.example {
            let seen = found(&page_with(place, example));
            match seen.iter().find(|technology| technology.name == entry.name) {
                Some(technology) => versions.extend(technology.version.clone()),
                None => wrong.push(format!("{} is not seen in {place} {example:?}", entry.name)),
            }
        }
        let missing: Vec<_> =
            places(entry).into_iter().filter(|place| !entry.example.contains_key(*place)).collect();
        if !missing.is_empty() {
            wrong.push(format!("{} has no example for {missing:?}", entry.name));
        }
        if entry.version.as_ref() != versions.first() || versions.len() > 1 {
            wrong.push(format!("{} shows {versions:?}, not {:?}", entry.name, entry.version));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(known().0.len() >= 150, "{} entries", known().0.len());
}

#[test]
fn a_plain_page_is_made_with_nothing_in_particular() {
    assert_eq!(found(&Sample::page(SITE)), []);
}

#[test]
fn what_an_entry_implies_is_there_too_and_names_are_in_order() {
    let mut sample = page_with("meta", "generator: WordPress 6.4.2");
    sample.last().headers.push(Header { name: "SERVER".into(), value: "nginx/1.25.3".into() });
    let seen = found(&sample);
    let names: Vec<_> = seen.iter().map(|seen| (seen.name.as_str(), seen.version.as_deref())).collect();
    assert_eq!(
        names,
        [("MySQL", None), ("nginx", Some("1.25.3")), ("PHP", None), ("WordPress", Some("6.4.2"))]
    );
}

#[test]
fn a_control_that_posts_elsewhere_counts_like_its_form() {
    let mut sample = Sample::page(SITE);
    let input = FormInput {
        name: "go".into(),
        kind: "submit".into(),
        form_action: Some("https://formspree.io/f/abc".into()),
    };
    let form = Form {
        action: SITE.into(),
        method: "POST".into(),
        inputs: vec![input],
        has_password: false,
        embedded: false,
    };
    sample.features().forms.push(form);
    assert_eq!(found(&sample).first().map(|seen| seen.name.as_str()), Some("Formspree"));
}

#[test]
fn a_page_that_is_too_much_is_looked_at_in_part() {
    let mut sample = Sample::page(SITE);
    let far = format!("{SITE}{}", "a".repeat(TEXT_BYTES));
    sample.features().resources = (0..1000).map(|n| format!("{far}{n}")).collect();
    let target = Target::parse(SITE).expect("a URL");
    let evidence = Evidence { target: &target, report: &sample.report, ledger: &sample.ledger };
    let traces = Traces::of(&Case::of(&RULES, evidence, Timestamp::from_seconds(0)));
    let bytes: usize = traces.resource.iter().map(String::len).sum();
    assert!(bytes <= PLACE_BYTES && bytes > PLACE_BYTES / 2, "{bytes}");
}

#[test]
fn a_file_that_cannot_be_meant_is_refused_with_the_reason() {
    let entry =
        |rest: &str| format!("[[technology]]\nname = \"A\"\ncategories = [\"x\"]\nexample = {{}}\n{rest}");
    assert!(Technologies::parse(&entry("")).is_ok());
    for (text, needle) in [
        (entry("") + &entry(""), "two entries"),
        (entry("implies = [\"B\"]"), "no entry"),
        (entry("colour = 1"), "unknown field `colour`"),
        (entry("script = [\"{v}\"]"), "one version at most"),
        (entry("host = [\"A.test\"]"), "lower case"),
        (entry("").replace("[\"x\"]", "[]"), "needs a category"),
    ] {
        let error = Technologies::parse(&text).expect_err(needle);
        let source = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
        assert!(format!("{error} {source}").contains(needle), "{error} {source}");
    }
}

#[test]
fn whoever_loads_the_rules_has_read_the_technologies_as_well() {
    assert_eq!(crate::analysis::load().digest(), crate::analysis::Rules::embedded().digest());
    assert!(KNOWN.get().is_some(), "the first page would wait for them");
}
