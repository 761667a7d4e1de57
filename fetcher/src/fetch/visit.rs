//! One visit: what is remembered from request to request, and everything around a hop that is not the exchange.
//!
//! Cookies and the page that sends a browser on live here, for as long as one scan
//! takes. What a hop leads to is decided by the caller.

use std::time::{SystemTime, UNIX_EPOCH};

use hyper::header::HeaderMap;
use safeurl_protocol::{Exchange, Features, RedirectKind};
use tokio::time::Instant;
use url::Url;

use super::cookies::Jar;
use super::exchange::{self, Hop};
use super::redirect::Next;
use super::referer::{Policy, referer};
use super::request::Ask;
use super::site::{Relation, relation};
use super::{Context, Seen};

/// A visit under way.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    context: &'a Context<'a>,
    jar: Jar,
    pub(super) seen: Seen,
}

/// The way to one page.
#[derive(Debug, Clone)]
pub(super) struct Leg {
    pub(super) url: Url,
    /// The page whose refresh causes this, and its policy; `None` for what a person asked for.
    cause: Option<(Url, Policy)>,
    site: Relation,
}

/// What a hop leads to.
#[derive(Debug)]
pub(super) struct Onward {
    pub(super) next: Next,
    /// By the Referrer-Policy header.
    header: Option<Policy>,
    /// By header or page.
    page: Policy,
}

/// How a hop went.
#[derive(Debug)]
pub(super) struct Opened {
    /// Somebody is there, whatever was said.
    pub(super) answered: bool,
    pub(super) onward: Option<Onward>,
}

impl Leg {
    /// What a person asked for.
    pub(super) fn typed(url: Url) -> Self {
        Self { url, cause: None, site: Relation::None }
    }

    /// From this page on to `url`. A redirect goes on for whoever caused this request; a refresh is the page's own
    /// doing.
    pub(super) fn on(&self, onward: &Onward, url: Url) -> Self {
        match onward.next.kind {
            RedirectKind::Http => {
                let cause = self.cause.clone().map(|(page, policy)| (page, onward.header.unwrap_or(policy)));
                // A chain that has left the site once does not come back to it.
                let site =
                    cause.as_ref().map_or(Relation::None, |(page, _)| relation(page, &url).max(self.site));
                Self { url, cause, site }
            }
            RedirectKind::Meta | RedirectKind::Header => {
                let site = relation(&self.url, &url);
                Self { url, cause: Some((self.url.clone(), onward.page)), site }
            }
        }
    }
}

impl<'a> Visit<'a> {
    pub(super) fn new(context: &'a Context<'a>) -> Self {
        Self { context, jar: Jar::default(), seen: Seen::default() }
    }

    pub(super) fn context(&self) -> &'a Context<'a> {
        self.context
    }

    /// What would be sent to `url` of the cookies.
    pub(super) fn cookies(&self, url: &Url) -> Option<String> {
        self.jar.header(url, now())
    }

    /// Makes one hop and takes what it brings.
    pub(super) async fn open(&mut self, leg: &Leg, head_deadline: Instant) -> Opened {
        let nothing = HeaderMap::new();
        let ask = Ask {
            url: &leg.url,
            typed: leg.cause.is_none(),
            site: leg.site,
            referer: leg.cause.as_ref().and_then(|(page, policy)| referer(*policy, page, &leg.url)),
            cookies: self.cookies(&leg.url),
            extra: self.extra(&leg.url, &nothing),
            body_cap: self.context.plan.body_cap,
            head_deadline,
            deadline: self.context.deadline,
        };
        let hop = exchange::run(self.context, &ask).await;
        self.remember(&leg.url, &hop.exchange);
        self.take(hop)
    }

    /// Adds a hop to what was seen.
    fn take(&mut self, hop: Hop) -> Opened {
        let header = header_policy(&hop.exchange);
        let meta = hop.document.as_ref().and_then(|document| meta_policy(document.features.as_ref()?));
        let page = meta.or(header).unwrap_or_default();
        let answered = hop.exchange.status.is_some();
        if let Some(document) = hop.document {
            self.seen.content = Some(document.content);
            self.seen.features = document.features;
        }
        self.seen.requests.push(hop.exchange);
        Opened { answered, onward: hop.next.map(|next| Onward { next, header, page }) }
    }

    /// Extra headers may hold secrets: they go to the origin they were given for and nowhere else. The fallback over
    /// http is another origin: whoever keeps https from answering must not get them in clear text.
    fn extra<'h>(&self, target: &Url, nothing: &'h HeaderMap) -> &'h HeaderMap
    where
        'a: 'h,
    {
        let plan = self.context.plan;
        let own = Url::parse(&plan.url).is_ok_and(|submitted| submitted.origin() == target.origin());
        if own { &plan.headers } else { nothing }
    }

    fn remember(&mut self, url: &Url, exchange: &Exchange) {
        let lines = exchange.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("set-cookie"));
        for line in lines {
            self.jar.store(url, &line.value, now());
        }
    }
}

/// Several headers of the name are one list.
fn header_policy(exchange: &Exchange) -> Option<Policy> {
    let named = exchange.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("referrer-policy"));
    named.filter_map(|header| Policy::from_header(&header.value)).next_back()
}

fn meta_policy(features: &Features) -> Option<Policy> {
    Policy::from_meta(features.meta.get("referrer")?)
}

/// Seconds since the epoch. A clock before it is broken, and then no cookie has expired.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
