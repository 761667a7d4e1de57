//! What the page says and does, and whether there is enough of it to judge.

use std::collections::BTreeMap;

use safeurl_protocol::{ErrorClass, Features};
use url::Url;

use super::{Fact, Facts};
use crate::analysis::case::{Case, site_of, site_of_text};
use crate::analysis::lists::{Place, lists_host};
use crate::analysis::names::{mixes_scripts, words};

/// Fewer words than this without a form: nobody reads such a page.
const EMPTY_WORDS: u64 = 5;

/// Fewer words than this beside scripts: the page is built by them, which nobody ran.
const SCRIPTED_WORDS: u64 = 20;

/// More words than this are an article that speaks of such pages, not one of them.
const NOTICE_WORDS: u64 = 400;

/// So many disguised words in the beginning of a text are no accident.
const DISGUISED_WORDS: usize = 3;

/// Fewer links to another site are a footer.
const COPIED_LINKS: usize = 5;

pub(super) fn add(case: &Case<'_>, facts: &mut Facts) {
    thin(case, facts);
    let Some(features) = case.features() else { return };
    frames(case, features, facts);
    links(case, features, facts);
    phrases(case, facts);
    size(case, features, facts);
    if case.asks_password() {
        links_elsewhere(case, features, facts);
    } else {
        facts.measure(Fact::PageText, case.words(), format!("{} words", case.words()));
    }
    disguised_words(case, facts);
    // A saved copy says where it was saved from.
    if features.meta.get("generator").is_some_and(|name| name.to_lowercase().contains("httrack")) {
        facts.see(Fact::PageCopied, "generator HTTrack");
    }
}

/// What keeps a page from being called good.
fn thin(case: &Case<'_>, facts: &mut Facts) {
    match case.answer.and_then(|answer| answer.status) {
        Some(status) if !(200..300).contains(&status) && !(300..400).contains(&status) => {
            facts.see(Fact::StatusError, format!("status {status}"));
        }
        Some(status) if status >= 300 => {
            facts.see(Fact::ChainBroken, format!("ended at a redirect, status {status}"))
        }
        _ => {}
    }
    match case.content() {
        Some(content) if content.size > 0 => {
            if content.truncated {
                facts.see(Fact::ContentTruncated, format!("{} bytes were read", content.size));
            }
        }
        _ => facts.see(Fact::NoContent, "no body"),
    }
    let Some(last) = case.report.requests.last() else { return };
    if let Some(error) = &last.error {
        let cut_short = matches!(error.class, ErrorClass::Body | ErrorClass::Timeout | ErrorClass::Budget);
        let fact =
            if cut_short && last.status.is_some() { Fact::ContentTruncated } else { Fact::ChainBroken };
        facts.see(fact, &error.message);
    }
}

fn frames(case: &Case<'_>, features: &Features, facts: &mut Facts) {
    let own = case.site();
    for frame in features.iframes.iter().filter(|frame| frame.hidden) {
        let Some(url) = frame.src.as_deref().and_then(|src| Url::parse(src).ok()) else { continue };
        let host = url.host_str().unwrap_or_default();
        let foreign = url.has_host() && site_of(&url) != own;
        if foreign && !lists_host(&case.rules.lists().harmless_frame_hosts, host) {
            facts.see(Fact::FrameHidden, &url);
        }
    }
}

/// Copies keep the look of a menu but not where it led.
fn links(case: &Case<'_>, features: &Features, facts: &mut Facts) {
    let Some(page) = case.page.as_ref().filter(|_| case.asks_password()) else { return };
    let leads_nowhere = |href: &str| match Url::parse(href) {
        Ok(mut url) if url.has_host() => {
            let marked = url.fragment().is_some_and(str::is_empty);
            url.set_fragment(None);
            marked && url == *page
        }
        Ok(url) => url.scheme() == "javascript",
        Err(_) => true,
    };
    let dead = features.links.list.iter().filter(|link| leads_nowhere(&link.href)).count();
    if dead * 2 > features.links.list.len() {
        let all = features.links.list.len();
        facts.measure(Fact::LinksDead, dead as u64, format!("{dead} of {all} links"));
    }
}

/// Words that only look right keep filters of mail and search from reading them. One in the title is meant; in a
/// text one may be a slip of the keyboard.
fn disguised_words(case: &Case<'_>, facts: &mut Facts) {
    for word in words(case.title()).filter(|word| mixes_scripts(word)) {
        facts.see(Fact::PageMixedScript, word);
    }
    let text: Vec<_> = words(case.text()).filter(|word| mixes_scripts(word)).take(DISGUISED_WORDS).collect();
    if text.len() == DISGUISED_WORDS {
        facts.see(Fact::PageMixedScript, text.join(", "));
    }
}

/// Nearly every link of a login page leads to one and the same other site: the one it was copied from.
fn links_elsewhere(case: &Case<'_>, features: &Features, facts: &mut Facts) {
    let own = case.site();
    let mut sites = BTreeMap::<String, usize>::new();
    for site in features.links.list.iter().filter_map(|link| site_of_text(&link.href)) {
        *sites.entry(site).or_default() += 1;
    }
    let all: usize = sites.values().sum();
    if let Some((site, count)) = sites.into_iter().max_by_key(|(_, count)| *count)
        && Some(&site) != own.as_ref()
        && count >= COPIED_LINKS
        && count * 3 > all * 2
    {
        facts.see(Fact::LinksElsewhere, format!("{count} of {all} links lead to {site}"));
    }
}

fn phrases(case: &Case<'_>, facts: &mut Facts) {
    for (fact, text, place) in case.rules.phrases().find(case.title(), case.text()) {
        let notice = matches!(
            fact,
            Fact::PageChallenge
                | Fact::PageParked
                | Fact::PageTakenDown
                | Fact::PageDefault
                | Fact::PageScare
                | Fact::PageGiveaway
                | Fact::PageRunCommand
                | Fact::PageWallet
        );
        // What a title promises is promised, however long the small print.
        let promised = fact == Fact::PageGiveaway && place == Place::Title;
        if promised || !(notice && case.words() > NOTICE_WORDS) {
            facts.see(fact, text);
        }
    }
}

fn size(case: &Case<'_>, features: &Features, facts: &mut Facts) {
    let words = case.words();
    let shown = format!("{words} words");
    if !features.forms.is_empty() || case.asks_password() {
        return;
    }
    if words < SCRIPTED_WORDS && features.script_count > 0 {
        facts.see(Fact::PageNeedsScript, shown);
    } else if words < EMPTY_WORDS && features.resources.is_empty() {
        facts.see(Fact::PageEmpty, shown);
    }
}
