//! Where it led, and the connections that were made for it.

use safeurl_protocol::{Purpose, RedirectKind, RobotsSource};

use super::{LIST, bytes};
use crate::cli::terminal::defang::Defang;
use crate::cli::terminal::layout::Section;
use crate::cli::terminal::text::{FAINT, GREEN, NONE, RED, Text, YELLOW};
use crate::domain::document::{Decision, Document, EgressEntry, Request};

pub(super) fn sections(document: &Document, defang: Defang) -> Vec<Section> {
    let mut led = Section::full("Where it led");
    led.list(&document.body.requests, LIST, |section, request| hop(section, request, defang));
    vec![led]
}

fn hop(section: &mut Section, request: &Request, defang: Defang) {
    let beside = request.purpose != Purpose::Document;
    let status = match request.status {
        Some(status) => {
            let style = match status {
                _ if beside => FAINT,
                200..=299 => GREEN,
                300..=399 => NONE,
                _ => YELLOW,
            };
            Text::new(style, &status.to_string())
        }
        None => Text::new(RED, "no answer"),
    };
    let what = match request.purpose {
        Purpose::Document => "",
        Purpose::Robots => "rules for programs",
        Purpose::Favicon => "icon",
    };
    let took = format!("{} ms", request.timings.total_ms);
    let ip = request.ip.as_deref().unwrap_or_default();
    let tail = [what, ip, &took].into_iter().filter(|part| !part.is_empty());
    let tail = Text::new(FAINT, &tail.collect::<Vec<_>>().join("  "));
    let url = Text::new(if beside { FAINT } else { NONE }, &defang.text(&request.url));
    section.row(status, url, tail);
    if let Some(error) = &request.error {
        let class = format!("{}: ", error.class.as_str());
        section.more(Text::new(RED, &class).and(NONE, &defang.text(&error.message)));
    }
    if let Some(robots) = &request.robots {
        let answer = if robots.allowed { "allowed" } else { "not allowed" };
        let from = match robots.source {
            RobotsSource::File => "by robots.txt",
            RobotsSource::Missing => "as there is no robots.txt",
            RobotsSource::Unreachable => "as robots.txt could not be had",
        };
        let rule = robots.rule.as_ref().map(|rule| format!(" ({rule})")).unwrap_or_default();
        section.more(Text::new(FAINT, &format!("{answer} {from}{rule}")));
    }
    if let Some(redirect) = &request.redirect {
        let by = match redirect.kind {
            RedirectKind::Http => "sent on",
            RedirectKind::Meta => "sent on by the page (meta refresh)",
            RedirectKind::Header => "sent on by a Refresh header",
        };
        section.more(Text::new(FAINT, by));
    }
}

/// The gateway's ledger.
pub(super) fn connections(document: &Document, defang: Defang) -> Section {
    let mut section = Section::full("Connections, as the gateway saw them");
    section.list(&document.body.egress, LIST, |section, entry| connection(section, entry, defang));
    section
}

fn connection(section: &mut Section, entry: &EgressEntry, defang: Defang) {
    let to = match &entry.dialed {
        Some(address) if *address != entry.host => format!(" → {address}"),
        _ => String::new(),
    };
    let (decision, style) = match entry.decision {
        Decision::Allowed => ("allowed", NONE),
        Decision::Denied => ("denied", RED),
    };
    let name = format!("{}:{}{to}", defang.host(&entry.host), entry.port);
    let rule = Text::new(style, &format!("{decision} ({})", entry.rule));
    let moved = format!("{} in, {} out", bytes(entry.bytes_in), bytes(entry.bytes_out));
    let took = entry.duration_ms.map(|took| format!("  {took} ms")).unwrap_or_default();
    let tail = match entry.decision {
        Decision::Allowed => rule.gap(2).and(FAINT, &format!("{moved}{took}")),
        Decision::Denied => rule,
    };
    section.row(Text::new(FAINT, &entry.seq.to_string()), name.into(), tail);
    if entry.tried.len() > 1 {
        section.more(Text::new(FAINT, &format!("dialled {}", entry.tried.join(", "))));
    }
    if let Some(error) = &entry.error {
        section.more(Text::new(FAINT, &defang.text(error)));
    }
}
