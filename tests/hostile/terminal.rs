//! What a terminal would obey, in everything that a fetcher can say: it is shown, and not obeyed, wherever it is told.

use std::time::Duration;

use safeurl_protocol::{Content, Features, Form, FormInput, Frame, Link, Links};

use crate::claims::{claims, claims_of, hex, page, stage};
use crate::leftovers;
use crate::stage::Ran;

/// Moves the cursor, names the window, clears the screen, in the seven-bit and the eight-bit form, turns the direction
/// of writing round, and ends the line.
const ESCAPES: &str =
    "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}txt.exe\u{2066}\r\n\u{8}\u{7f}\u{0}<b>,=1+1\"'";

/// What a terminal would obey instead of showing it.
fn obeyed(text: &str) -> Vec<char> {
    let direction = ['\u{200e}', '\u{200f}', '\u{061c}'];
    let bidi = |c: char| ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    text.chars()
        .filter(|&c| (c.is_control() && c != '\n' && c != '\t') || bidi(c) || direction.contains(&c))
        .collect()
}

#[test]
fn terminal_escapes_are_shown_harmlessly_everywhere() {
    assert_eq!(obeyed(ESCAPES).len(), 10, "the check sees them");
    let text = serde_json::to_string(ESCAPES).unwrap();
    let report = claims("/requests/0/statusText", &text)
        .replacen("\"headers\":[]", &format!("\"headers\":[{{\"name\":\"Server\",\"value\":{text}}}]"), 1)
        .replacen("\"url\":\"http://a.test/\"", &format!("\"url\":{text}"), 1);
    let error = claims("/requests/0/error", &format!("{{\"class\":\"tls\",\"message\":{text}}}"));
    let failed = error.replacen("\"status\":200", "\"status\":null", 1);
    let cry = format!("cry {}", hex(&ESCAPES.repeat(3)));
    let content = serde_json::to_string(&full_content()).unwrap();
    let features = serde_json::to_string(&full_features()).unwrap();
    let full = claims_of(&[("/content", &content), ("/features", &features)]);
    let pages = [
        page(&[&report, "exit 0"]),
        page(&[&cry, &failed, "exit 0"]),
        page(&[&cry, "exit 9"]),
        page(&[&full, "exit 0"]),
    ];
    let stage = stage("40s");
    let urls = || pages.iter().map(String::as_str);
    harmless("scan", &stage.run(["scan"].into_iter().chain(urls())));
    let ids = stage.query("SELECT id FROM scan_jobs");
    assert_eq!(ids.len(), pages.len());
    // One alone is told of at length.
    for url in urls() {
        let scanned = stage.run(["scan", url]);
        harmless("scan of one", &scanned);
        let told = ["my title", "my file", "my field"].map(|shown| scanned.out.contains(shown));
        assert_eq!(told, [url == pages[3]; 3], "{scanned:?}");
    }
    let scanned = stage.run(["scan", "--json"].into_iter().chain(urls()));
    harmless("scan --json", &scanned);
    for shown in ["my title", "my file", "my link", "my text", "my comment"] {
        assert!(scanned.out.contains(shown), "{shown}: {scanned:?}");
    }

    let mut worker = stage.worker(&[]);
    assert_eq!(stage.run(["submit"].into_iter().chain(urls())).code, Some(0));
    let open = "SELECT count(*) FROM scan_jobs WHERE state IN ('QUEUED','FETCHING','ANALYZING')";
    stage.wait_for(open, "0", Duration::from_secs(120));
    worker.signal("-TERM");
    worker.end();
    assert_eq!(obeyed(&stage.log()), Vec::<char>::new(), "the worker's log: {}", stage.log());

    let mut commands = vec!["jobs list", "jobs list --json", "jobs export", "jobs export --format csv"];
    let of_a_job = ["jobs show", "jobs show --json", "jobs logs", "jobs logs --json"];
    let of_each = ids.iter().flat_map(|row| of_a_job.map(|command| format!("{command} {}", row[0])));
    let of_each: Vec<_> = of_each.collect();
    commands.extend(of_each.iter().map(String::as_str));
    for command in commands {
        harmless(command, &stage.run(command.split(' ')));
    }
    leftovers::none_within(&stage, Duration::from_secs(45));
}

/// A download, as far as a report tells of one.
fn full_content() -> Content {
    Content {
        sha256: "0".repeat(64),
        md5: None,
        size: 1,
        declared_mime_type: Some(format!("text/{ESCAPES}")),
        sniffed_mime_type: Some(format!("my/type{ESCAPES}")),
        charset: Some(ESCAPES.into()),
        truncated: false,
        file_name: Some(format!("my file{ESCAPES}.exe")),
        name_matches_type: Some(false),
        attachment: true,
        text: None,
    }
}

/// A page that has something of everything.
fn full_features() -> Features {
    let text = |name: &str| format!("{name}{ESCAPES}");
    let link = Link { href: text("http://my.test/my link"), text: text("my text") };
    let field = FormInput { name: text("my field"), kind: "password".into(), form_action: None };
    let form = Form {
        action: text("http://my.test/my form"),
        method: "POST".into(),
        inputs: vec![field],
        has_password: true,
        embedded: false,
    };
    Features {
        title: Some(text("my title")),
        description: Some(text("my words")),
        links: Links { total: 1, list: vec![link], capped: false },
        forms: vec![form],
        iframes: vec![Frame { src: Some(text("http://my.test/my frame")), hidden: true }],
        resources: vec![text("http://my.test/my picture")],
        comments: vec![text("my comment")],
        emails: vec![text("my@mail.test")],
        capped: vec![text("links")],
        ..Features::default()
    }
}

fn harmless(what: &str, ran: &Ran) {
    for (stream, text) in [("stdout", &ran.out), ("stderr", &ran.err)] {
        assert_eq!(obeyed(text), Vec::<char>::new(), "{what}, {stream}: {text:?}");
    }
    assert!(!ran.out.is_empty() || !ran.err.is_empty(), "{what} says nothing");
}
