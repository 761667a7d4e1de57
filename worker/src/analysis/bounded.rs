//! A report cut to what the analysis is willing to look at.
//!
//! The fetcher keeps to limits of its own, but a report comes out of a container that may have been taken over, and
//! whatever fits into its output would be compared with every brand. What lies beyond these limits is not judged;
//! each leaves an honest report whole.

use std::borrow::Cow;

use safeurl_protocol::{Features, Report};

use crate::domain::target::MAX_URL_BYTES;

/// Redirects end long before.
const EXCHANGES: usize = 100;

/// Links, resources, scripts and frames of a page.
const PARTS: usize = 2000;

/// Forms of a page, and controls of a form.
const FORMS: usize = 200;

/// Traits of a script; the fetcher knows a dozen.
const TRAITS: usize = 32;

/// Telephone numbers, comments, traces of tools, targets in scripts, embedded documents: the fetcher lists fewer of each.
const FOUND: usize = 500;

/// Headers of one answer.
const HEADERS: usize = 300;

/// Any one text; the beginning of the visible text is the longest that is used.
const TEXT_BYTES: usize = 16 * 1024;

/// The report itself when it keeps to the limits, which it nearly always does.
pub(super) fn bounded(report: &Report) -> Cow<'_, Report> {
    if keeps_to_limits(report) { Cow::Borrowed(report) } else { Cow::Owned(cut(report)) }
}

fn keeps_to_limits(report: &Report) -> bool {
    let exchanges = report.requests.len() <= EXCHANGES
        && report.side.len() <= EXCHANGES
        && report.in_order().all(|(_, exchange)| {
            exchange.url.len() <= MAX_URL_BYTES
                && exchange.headers.len() <= HEADERS
                && exchange.redirect.as_ref().is_none_or(|redirect| redirect.to.len() <= MAX_URL_BYTES)
        });
    let content = report.content.as_ref().is_none_or(|content| {
        let texts = [&content.declared_mime_type, &content.sniffed_mime_type, &content.file_name];
        texts.into_iter().flatten().all(|text| text.len() <= TEXT_BYTES)
            && content.text.as_ref().is_none_or(|text| text.excerpt.len() <= TEXT_BYTES)
    });
    exchanges
        && content
        && report.features.as_ref().is_none_or(|features| cut_features(features) == *features)
}

fn cut(report: &Report) -> Report {
    let mut report = report.clone();
    // How it ended is told by the last exchange, however many there are.
    if report.requests.len() > EXCHANGES {
        let last = report.requests.pop();
        report.requests.truncate(EXCHANGES - 1);
        report.requests.extend(last);
    }
    report.side.truncate(EXCHANGES);
    for exchange in report.requests.iter_mut().chain(report.side.iter_mut().map(|side| &mut side.exchange)) {
        exchange.headers.truncate(HEADERS);
        shorten(&mut exchange.url, MAX_URL_BYTES);
        if let Some(redirect) = &mut exchange.redirect {
            shorten(&mut redirect.to, MAX_URL_BYTES);
        }
    }
    if let Some(content) = &mut report.content {
        let texts = [&mut content.declared_mime_type, &mut content.sniffed_mime_type, &mut content.file_name];
        texts.into_iter().flatten().for_each(|text| shorten(text, TEXT_BYTES));
        if let Some(text) = &mut content.text {
            shorten(&mut text.excerpt, TEXT_BYTES);
        }
    }
    report.features = report.features.as_ref().map(cut_features);
    report
}

fn cut_features(features: &Features) -> Features {
    let mut cut = features.clone();
    cut.links.list.truncate(PARTS);
    cut.resources.truncate(PARTS);
    cut.scripts.truncate(PARTS);
    cut.iframes.truncate(PARTS);
    cut.forms.truncate(FORMS);
    cut.phones.truncate(FOUND);
    cut.comments.truncate(FOUND);
    cut.markers.truncate(FOUND);
    cut.possible_redirects.truncate(FOUND);
    cut.embedded.truncate(FOUND);
    for text in cut.comments.iter_mut().chain(&mut cut.markers) {
        shorten(text, TEXT_BYTES);
    }
    cut.possible_redirects.iter_mut().for_each(|redirect| shorten(&mut redirect.to, MAX_URL_BYTES));
    for text in [&mut cut.title, &mut cut.canonical].into_iter().flatten() {
        shorten(text, TEXT_BYTES);
    }
    cut.meta.values_mut().chain(cut.open_graph.values_mut()).for_each(|text| shorten(text, TEXT_BYTES));
    cut.links.list.iter_mut().for_each(|link| shorten(&mut link.href, MAX_URL_BYTES));
    cut.resources.iter_mut().for_each(|address| shorten(address, MAX_URL_BYTES));
    cut.scripts.iter_mut().for_each(|script| script.traits.truncate(TRAITS));
    cut.iframes.iter_mut().filter_map(|frame| frame.src.as_mut()).for_each(|src| shorten(src, MAX_URL_BYTES));
    for form in &mut cut.forms {
        shorten(&mut form.action, MAX_URL_BYTES);
        form.inputs.truncate(FORMS);
        for input in &mut form.inputs {
            shorten(&mut input.name, TEXT_BYTES);
            if let Some(action) = &mut input.form_action {
                shorten(action, MAX_URL_BYTES);
            }
        }
    }
    cut
}

fn shorten(text: &mut String, bytes: usize) {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use safeurl_protocol::{PhoneText, Purpose, SideRequest};

    use super::*;
    use crate::analysis::sample::Sample;

    #[test]
    fn an_honest_report_is_not_touched() {
        let sample = Sample::page("https://harbour.example/");
        assert!(matches!(bounded(&sample.report), Cow::Borrowed(_)));
    }

    #[test]
    fn what_was_asked_beside_the_hops_is_cut_like_them() {
        let mut sample = Sample::page("https://harbour.example/");
        let mut exchange = sample.report.requests[0].clone();
        exchange.url = format!("https://harbour.example/{}", "x".repeat(MAX_URL_BYTES));
        sample.report.side =
            vec![SideRequest { purpose: Purpose::Favicon, before: 1, exchange }; EXCHANGES + 1];
        let cut = bounded(&sample.report);
        assert_eq!((cut.side.len(), cut.side[0].exchange.url.len()), (EXCHANGES, MAX_URL_BYTES));
        assert!(matches!(bounded(&cut), Cow::Borrowed(_)), "a cut report keeps to the limits");
    }

    #[test]
    fn what_lies_beyond_a_limit_is_not_judged_and_the_end_still_is() {
        let mut sample = Sample::page("https://harbour.example/");
        for n in 0..EXCHANGES {
            sample.hop(&format!("https://harbour.example/{n}"), Some(302));
        }
        sample.hop("https://www.paypal.com/", Some(200));
        sample.title(&"é".repeat(TEXT_BYTES));
        sample.links(PARTS + 1, "https://harbour.example/a");
        sample.script(&["eval"; TRAITS + 1]);
        sample.form("https://harbour.example/", &["a:text"; FORMS + 1]);
        sample.features().comments = vec!["é".repeat(TEXT_BYTES); FOUND + 1];
        let phone = PhoneText { text: "1".into(), marked: false };
        sample.features().phones = vec![phone; FOUND + 1];
        let cut = bounded(&sample.report);
        let features = cut.features.as_ref().expect("features");
        assert_eq!(cut.requests.len(), EXCHANGES);
        assert_eq!(cut.requests.last(), sample.report.requests.last());
        assert_eq!(features.title.as_ref().map(String::len), Some(TEXT_BYTES));
        assert_eq!(features.links.list.len(), PARTS);
        assert_eq!(features.scripts[0].traits.len(), TRAITS);
        assert_eq!(features.forms[0].inputs.len(), FORMS);
        assert_eq!((features.comments.len(), features.comments[0].len()), (FOUND, TEXT_BYTES));
        assert_eq!(features.phones.len(), FOUND);
        assert!(matches!(bounded(&cut), Cow::Borrowed(_)), "a cut report keeps to the limits");
    }
}
