//! The redirect loop: hops in order, one deadline over all of them.
//!
//! The first hop decides whether there is a scan; what a later hop does is evidence, so nothing in here
//! returns an error. One connection per request; what a visit remembers from one to the next is in `visit`. The
//! document of the last response that had a head is what the report's content and features speak of.

pub(crate) mod cookies;
mod exchange;
mod head;
mod icon;
pub(crate) mod redirect;
mod referer;
mod request;
mod robots;
mod site;
mod visit;

use std::time::Duration;

use safeurl_protocol::{Content, ErrorClass, Exchange, Features, HopError, SideRequest, Timings};
use tokio::time::Instant;

use crate::connect::tls::TlsSetup;
use crate::plan::{Plan, fetchable};
use redirect::Visited;
pub(crate) use referer::Policy;
use visit::{Leg, Onward, Visit};

/// The target a refresh value names.
pub(crate) fn refresh_target(value: &str) -> Option<&str> {
    redirect::refresh(value)?.1
}

/// Kept of the supervisor's patience for printing the report when a page took all the time to arrive.
const PRINT_TIME: Duration = Duration::from_millis(400);

/// Longer URLs are not followed: no browser's address bar and no server takes them.
const MAX_URL_BYTES: usize = 8 * 1024;

/// Everything seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: Vec<Exchange>,
    pub(crate) side: Vec<SideRequest>,
    pub(crate) content: Option<Content>,
    pub(crate) features: Option<Features>,
    /// What was kept of the body that `content` speaks of, where evidence is wanted.
    pub(crate) body: Option<Vec<u8>>,
}

/// What every hop works with.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    plan: &'a Plan,
    tls: TlsSetup,
    /// The network is left alone from here on.
    deadline: Instant,
    /// Reading pages ends here.
    parse_deadline: Instant,
}

/// Fetches, follows and reports what was seen.
pub(crate) async fn run(plan: &Plan, begun: Instant) -> Seen {
    let tls = match TlsSetup::new() {
        Ok(tls) => tls,
        Err(refused) => return unfetched(&plan.url, refused.class, refused.message),
    };
    let deadline = begun + plan.fetch_time;
    let parse_deadline = begun + plan.fetch_time.max(plan.whole_time.saturating_sub(PRINT_TIME));
    let context = Context { plan, tls, deadline, parse_deadline };
    let mut visit = Visit::new(&context);
    let first = match &plan.fallback_url {
        None => first_hop(&mut visit, &plan.url, deadline).await,
        Some(fallback) => {
            // The first try gets half of the time, or a port that swallows everything leaves none for the other.
            let half = begun + plan.fetch_time / 2;
            match first_hop(&mut visit, &plan.url, half).await {
                Some(step) => Some(step),
                None => first_hop(&mut visit, fallback, deadline).await,
            }
        }
    };
    if let Some((leg, Some(onward))) = first {
        follow(&mut visit, leg, onward).await;
    }
    visit.fetch_icon().await;
    visit.seen
}

/// Fetches a submitted URL; `None` when nobody answered.
async fn first_hop(
    visit: &mut Visit<'_>,
    text: &str,
    head_deadline: Instant,
) -> Option<(Leg, Option<Onward>)> {
    let url = match fetchable(text) {
        Ok(url) => url,
        Err(message) => {
            visit.seen.requests.extend(unfetched(text, ErrorClass::InvalidTarget, message).requests);
            return None;
        }
    };
    let leg = Leg::typed(url);
    let opened = visit.open(&leg, head_deadline).await;
    opened.answered.then_some((leg, opened.onward))
}

/// Goes from hop to hop until one stays, fails or must not be followed.
async fn follow(visit: &mut Visit<'_>, first: Leg, onward: Onward) {
    let Context { plan, deadline, .. } = *visit.context();
    let mut visited = Visited::new(&first.url);
    let (mut leg, mut step) = (first, Some(onward));
    let mut followed = 0u32;
    while let Some(onward) = step {
        let used_up = followed >= plan.max_redirects;
        let target = visited.admit(&onward.next, used_up, MAX_URL_BYTES, |url| visit.cookies(url));
        let target = match target {
            Ok(target) => target,
            Err(error) => {
                if let Some(last) = visit.seen.requests.last_mut() {
                    // What broke the body is told already and explains more.
                    last.error.get_or_insert(error);
                }
                return;
            }
        };
        followed = followed.saturating_add(1);
        leg = leg.on(&onward, target);
        step = visit.open(&leg, deadline).await.onward;
    }
}

/// The hop that ends with what comes out of this stream, for tests that make answers up.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) async fn answered(
    url: &url::Url,
    stream: Box<dyn crate::connect::Duplex>,
    http2: bool,
    body_cap: usize,
    deadline: Instant,
) -> exchange::Hop {
    let ask = request::Ask {
        url,
        purpose: request::For::Page { typed: true },
        site: site::Relation::None,
        referer: None,
        cookies: None,
        extra: &hyper::header::HeaderMap::new(),
        body_cap,
        head_deadline: deadline,
        deadline,
        parse_deadline: deadline,
    };
    exchange::over(&ask, stream, http2).await
}

/// The report of a target no request can be made for.
fn unfetched(url: &str, class: ErrorClass, message: String) -> Seen {
    let mut exchange = blank(url);
    exchange.error = Some(HopError { class, message });
    Seen { requests: vec![exchange], ..Seen::default() }
}

/// An exchange of which nothing is known yet.
fn blank(url: &str) -> Exchange {
    Exchange {
        url: crate::report::cut(url.to_owned(), MAX_URL_BYTES),
        method: "GET".to_owned(),
        status: None,
        status_text: None,
        protocol: None,
        headers: Vec::new(),
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
    }
}
