//! From a plan to a report that fits its cap, and what it takes to make one: digests, cut strings, usage.
//!
//! A report that would be too long loses its least telling parts, in steps, rather than the scan.

use std::collections::BTreeMap;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use safeurl_protocol::{Features, Report, SCHEMA, Usage};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::fetch;
use crate::plan::Plan;

/// USER_HZ is 100 on every architecture Linux has (proc_pid_stat(5), time(7)).
const MS_PER_TICK: u64 = 10;

/// Runs the fetch and reports it. `begun` is when the invocation was read. Fails only when the process
/// cannot even have a runtime.
pub(crate) fn make(plan: &Plan, begun: Instant) -> io::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let seen = runtime.block_on(fetch::run(plan, begun));
    let mut report = Report {
        schema: SCHEMA,
        attempt: plan.attempt.clone(),
        requests: seen.requests,
        content: seen.content,
        features: seen.features,
        usage: Usage::default(),
        side: seen.side,
        body: None,
    };
    report.usage = usage(begun);
    shrink(&mut report, plan.output_cap)?;
    if let Some(body) = seen.body {
        attach(&mut report, &body, plan.output_cap)?;
    }
    Ok(report)
}

/// Adds as much of the body as fits beside the rest: it is there for a person, the rest is what is judged.
fn attach(report: &mut Report, body: &[u8], cap: usize) -> io::Result<()> {
    report.body = Some(String::new());
    let room = cap.saturating_sub(serde_json::to_vec(report)?.len());
    // Four characters hold three bytes; base64 has none that JSON must escape.
    let kept = body.get(..room / 4 * 3).unwrap_or(body);
    report.body = Some(STANDARD.encode(kept));
    Ok(())
}

/// Drops parts until the JSON fits: what is only listed before what is counted and judged, and what was beside the
/// hops before the hops. What is left at the end is their chain.
fn shrink(report: &mut Report, cap: usize) -> io::Result<()> {
    const STEPS: [fn(&mut Report); 8] = [
        |report| {
            if let Some(features) = &mut report.features {
                features.links.capped |= !features.links.list.is_empty();
                drop_list(&mut features.capped, "links", &mut features.links.list);
                drop_list(&mut features.capped, "resources", &mut features.resources);
                drop_list(&mut features.capped, "comments", &mut features.comments);
            }
        },
        |report| report.features.iter_mut().for_each(drop_most_lists),
        |report| {
            if let Some(features) = &mut report.features {
                drop_inputs(features);
            }
        },
        |report| {
            report.features = None;
            if let Some(content) = &mut report.content {
                content.text = None;
            }
        },
        |report| {
            for side in &mut report.side {
                side.exchange.headers.clear();
                side.exchange.tls = None;
            }
        },
        |report| report.requests.iter_mut().for_each(|exchange| exchange.headers.clear()),
        |report| {
            for exchange in &mut report.requests {
                if let Some(tls) = &mut exchange.tls {
                    tls.san_list.clear();
                    tls.chain.clear();
                }
            }
        },
        |report| report.side.clear(),
    ];
    for step in STEPS {
        if serde_json::to_vec(report)?.len() <= cap {
            return Ok(());
        }
        step(report);
    }
    Ok(())
}

/// The lists that are evidence beside the forms.
fn drop_most_lists(features: &mut Features) {
    let capped = &mut features.capped;
    drop_map(capped, "meta", &mut features.meta);
    drop_map(capped, "openGraph", &mut features.open_graph);
    drop_list(capped, "iframes", &mut features.iframes);
    drop_list(capped, "scripts", &mut features.scripts);
    drop_list(capped, "jsonLd", &mut features.json_ld);
    drop_list(capped, "possibleRedirects", &mut features.possible_redirects);
    drop_list(capped, "embedded", &mut features.embedded);
    drop_list(capped, "emails", &mut features.emails);
    drop_list(capped, "phones", &mut features.phones);
    drop_list(capped, "markers", &mut features.markers);
}

/// What forms ask for; where they post stays.
fn drop_inputs(features: &mut Features) {
    let mut dropped = false;
    for form in &mut features.forms {
        dropped |= !form.inputs.is_empty();
        form.inputs.clear();
    }
    name_dropped(&mut features.capped, "forms.inputs", dropped);
}

/// Empties a list and says so.
fn drop_list<T>(capped: &mut Vec<String>, name: &str, list: &mut Vec<T>) {
    name_dropped(capped, name, !list.is_empty());
    list.clear();
}

/// Empties a table and says so.
fn drop_map(capped: &mut Vec<String>, name: &str, map: &mut BTreeMap<String, String>) {
    name_dropped(capped, name, !map.is_empty());
    map.clear();
}

fn name_dropped(capped: &mut Vec<String>, name: &str, dropped: bool) {
    if dropped && !capped.iter().any(|known| known == name) {
        capped.push(name.to_owned());
    }
}

/// Lower-case hex SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hex MD5, by which feeds of known malware still name files. It proves nothing.
pub(crate) fn md5(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// At most `max` bytes of `text`, at a character's border.
pub(crate) fn cut(mut text: String, max: usize) -> String {
    text.truncate(prefix(&text, max).len());
    text
}

/// The same of a text that is not ours.
pub(crate) fn prefix(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn usage(begun: Instant) -> Usage {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    Usage {
        peak_memory_bytes: peak_memory(&read("/proc/self/status")),
        cpu_ms: cpu_ms(&read("/proc/self/stat")),
        run_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

fn peak_memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn cpu_ms(stat: &str) -> Option<u64> {
    // The program's name may hold anything, also spaces and brackets: count from the last one.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)?.checked_mul(MS_PER_TICK)
}

#[cfg(test)]
mod tests {
    use safeurl_protocol::{
        Exchange, Features, Form, FormInput, Header, Link, Links, Purpose, SideRequest, Timings,
    };

    use super::*;

    fn large() -> Report {
        let link = Link { href: "http://a.test/".repeat(20), text: String::new() };
        let form = Form {
            action: "http://a.test/".to_owned(),
            method: "POST".to_owned(),
            inputs: Vec::new(),
            has_password: true,
            embedded: false,
        };
        Report {
            schema: SCHEMA,
            attempt: "j/1".to_owned(),
            requests: vec![Exchange {
                url: "http://a.test/".to_owned(),
                method: "GET".to_owned(),
                status: Some(200),
                status_text: None,
                protocol: None,
                headers: vec![Header { name: "x".to_owned(), value: "y".repeat(2000) }],
                mime_type: None,
                size: None,
                encoded_size: None,
                sha256: None,
                redirect: None,
                error: None,
                connection: None,
                timings: Timings::default(),
                tls: None,
                robots: None,
            }],
            content: None,
            features: Some(Features {
                links: Links { total: 100, list: vec![link; 100], capped: false },
                forms: vec![form],
                form_count: 1,
                ..Features::default()
            }),
            usage: Usage::default(),
            side: Vec::new(),
            body: None,
        }
    }

    #[test]
    fn a_report_that_is_too_long_loses_links_before_forms_and_forms_before_hops() {
        let mut report = large();
        shrink(&mut report, 4000).expect("serializable");
        let features = report.features.as_ref().expect("features stay");
        assert_eq!((features.forms.len(), features.links.total, features.links.capped), (1, 100, true));
        assert!(serde_json::to_vec(&report).expect("serializable").len() <= 4000);
        shrink(&mut report, 600).expect("serializable");
        assert_eq!((report.features, report.requests.len()), (None, 1));
    }

    #[test]
    fn lists_that_are_dropped_are_named_once_and_what_is_beside_goes_before_the_hops() {
        let mut report = large();
        let exchange = report.requests[0].clone();
        report.side.push(SideRequest { purpose: Purpose::Favicon, before: 1, exchange });
        let features = report.features.as_mut().expect("features");
        features.resources = vec!["x".repeat(5000)];
        features.comments = vec!["x".repeat(5000)];
        features.capped = vec!["comments".to_owned()];
        features.markers = vec!["x".repeat(5000)];
        let mut listed = report.clone();
        shrink(&mut listed, 10_500).expect("serializable");
        let features = listed.features.as_ref().expect("features stay");
        assert_eq!(
            (&features.capped, features.markers.len()),
            (&vec!["comments".into(), "links".into(), "resources".into()], 1)
        );
        shrink(&mut report, 3000).expect("serializable");
        let headers = |exchange: &Exchange| exchange.headers.len();
        assert_eq!((headers(&report.side[0].exchange), headers(&report.requests[0])), (0, 1));
        shrink(&mut report, 500).expect("serializable");
        assert_eq!((report.side.len(), report.requests.len()), (0, 1));
    }

    #[test]
    fn tables_and_inputs_that_are_dropped_are_named_too() {
        let mut report = large();
        let features = report.features.as_mut().expect("features");
        features.meta.insert("a".to_owned(), "b".to_owned());
        features.open_graph.insert("a".to_owned(), "b".to_owned());
        let input = FormInput { name: "n".to_owned(), kind: "text".to_owned(), form_action: None };
        features.forms[0].inputs = vec![input; 100];
        let rest = Report { features: None, ..report.clone() };
        shrink(&mut report, serde_json::to_vec(&rest).expect("serializable").len() + 2_000)
            .expect("serializable");
        let features = report.features.expect("features stay");
        assert_eq!(features.capped, ["links", "meta", "openGraph", "forms.inputs"]);
        assert_eq!((features.forms.len(), features.forms[0].inputs.len()), (1, 0));
    }

    #[test]
    fn a_body_fills_what_the_rest_leaves_and_never_more() {
        let body: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let before = serde_json::to_vec(&large()).expect("serializable").len();
        let frame = r#","body":"""#.len();
        for room in [0, 1, 3, 4, 5, 700, 1335, 1336, 10_000] {
            let (mut report, cap) = (large(), before + frame + room);
            attach(&mut report, &body, cap).expect("serializable");
            let length = serde_json::to_vec(&report).expect("serializable").len();
            let kept = STANDARD.decode(report.body.as_deref().expect("a body")).expect("base64");
            assert!(body.starts_with(&kept) && length <= cap, "{room}");
            // 1000 bytes are 1336 characters.
            assert_eq!(kept.len(), if room >= 1336 { 1000 } else { room / 4 * 3 }, "{room}");
        }
        let mut report = large();
        attach(&mut report, &body, 10).expect("serializable");
        assert_eq!(report.body.as_deref(), Some(""));
    }

    #[test]
    fn a_report_that_fits_is_left_alone() {
        let mut report = large();
        shrink(&mut report, 1_000_000).expect("serializable");
        assert_eq!(report, large());
    }

    #[test]
    fn usage_is_read_from_proc_whatever_the_program_is_called() {
        assert_eq!(peak_memory("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t1 kB\n"), Some(2_097_152));
        let stat = "7 (a) b (c)) R 1 2 3 4 5 6 7 8 9 10 12 30 0 0 20";
        assert_eq!(cpu_ms(stat), Some(420));
        assert_eq!((peak_memory(""), cpu_ms("7 x")), (None, None));
    }

    #[test]
    fn strings_are_cut_between_characters() {
        assert_eq!(cut("aé€".to_owned(), 2), "a");
        assert_eq!(cut("aé€".to_owned(), 3), "aé");
        assert_eq!(cut("aé€".to_owned(), 100), "aé€");
    }
}
