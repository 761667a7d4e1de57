//! One fetch to be judged, with what every group of facts needs of it.

use std::collections::BTreeSet;

use safeurl_protocol::ledger::Ledger;
use safeurl_protocol::{Content, Exchange, Features, Report};
use url::Url;

use super::rules::Rules;
use crate::domain::document::Evidence;
use crate::domain::target::{Target, apex_of};
use crate::domain::timestamp::Timestamp;

/// The evidence, and what is derived from it more than once.
pub(super) struct Case<'a> {
    pub(super) rules: &'a Rules,
    pub(super) target: &'a Target,
    pub(super) report: &'a Report,
    pub(super) ledger: &'a Ledger,
    pub(super) now: Timestamp,
    /// The submitted URL and every URL asked for, in order, without doubles.
    pub(super) hops: Vec<Url>,
    /// The last exchange that got an answer.
    pub(super) answer: Option<&'a Exchange>,
    /// Its URL.
    pub(super) page: Option<Url>,
}

impl<'a> Case<'a> {
    pub(super) fn of(rules: &'a Rules, evidence: Evidence<'a>, now: Timestamp) -> Self {
        let Evidence { target, report, ledger } = evidence;
        let mut known = BTreeSet::new();
        let asked = report.requests.iter().filter_map(|exchange| Url::parse(&exchange.url).ok());
        let hops = std::iter::once(target.url().clone())
            .chain(asked)
            .filter(|url| url.has_host() && known.insert(url.to_string()))
            .collect();
        let answer = report.requests.iter().rev().find(|exchange| exchange.status.is_some());
        let page = answer.and_then(|exchange| Url::parse(&exchange.url).ok());
        Self { rules, target, report, ledger, now, hops, answer, page }
    }

    /// What the last document holds, when it is HTML.
    pub(super) fn features(&self) -> Option<&'a Features> {
        self.report.features.as_ref()
    }

    pub(super) fn content(&self) -> Option<&'a Content> {
        self.report.content.as_ref()
    }

    /// The page's site.
    pub(super) fn site(&self) -> Option<String> {
        self.page.as_ref().and_then(site_of)
    }

    pub(super) fn title(&self) -> &'a str {
        self.features().and_then(|features| features.title.as_deref()).unwrap_or_default()
    }

    /// The beginning of the visible text.
    pub(super) fn text(&self) -> &'a str {
        self.content().and_then(|content| content.text.as_ref()).map_or("", |text| text.excerpt.as_str())
    }

    pub(super) fn words(&self) -> u64 {
        self.content().and_then(|content| content.text.as_ref()).map_or(0, |text| text.words)
    }

    /// The page asks for a password, in a form or outside of one.
    pub(super) fn asks_password(&self) -> bool {
        self.features().is_some_and(|features| {
            features.password_fields > 0 || features.forms.iter().any(|form| form.has_password)
        })
    }
}

/// The registrable domain, or the host where there is none: what counts as one site.
pub(super) fn site_of(url: &Url) -> Option<String> {
    apex_of(url).or_else(|| url.host_str().map(str::to_owned))
}

/// The site of an address in a page; `None` when it is not a URL with a host.
pub(super) fn site_of_text(text: &str) -> Option<String> {
    Url::parse(text).ok().as_ref().and_then(site_of)
}
