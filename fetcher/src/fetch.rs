//! The redirect loop: hops in order, one deadline over all of them.
//!
//! The first hop decides whether there is a scan; what a later hop does is evidence, so nothing in here
//! returns an error. One connection per hop, no cookies, no state between hops but the URLs visited. The
//! document of the last response that had a head is what the report's content and features speak of.

mod exchange;
mod head;
mod redirect;
mod request;

use std::time::Duration;

use safeurl_protocol::{Content, ErrorClass, Exchange, Features, HopError, SideRequest, Timings};
use tokio::time::Instant;
use url::Url;

use crate::connect::tls::TlsSetup;
use crate::plan::{Plan, fetchable};
use exchange::Hop;
use redirect::{Next, Visited};

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
    let mut seen = Seen::default();
    let first = match &plan.fallback_url {
        None => first_hop(&context, &mut seen, &plan.url, deadline).await,
        Some(fallback) => {
            // The first try gets half of the time, or a port that swallows everything leaves none for the other.
            let half = begun + plan.fetch_time / 2;
            match first_hop(&context, &mut seen, &plan.url, half).await {
                Some(step) => Some(step),
                None => first_hop(&context, &mut seen, fallback, deadline).await,
            }
        }
    };
    if let Some((url, next)) = first {
        follow(&context, &mut seen, url, next).await;
    }
    seen
}

/// Fetches a submitted URL; `None` when no response head arrived.
async fn first_hop(
    context: &Context<'_>,
    seen: &mut Seen,
    text: &str,
    head_deadline: Instant,
) -> Option<(Url, Option<Next>)> {
    let url = match fetchable(text) {
        Ok(url) => url,
        Err(message) => {
            seen.requests.extend(unfetched(text, ErrorClass::InvalidTarget, message).requests);
            return None;
        }
    };
    let nothing = hyper::HeaderMap::new();
    let hop = exchange::run(context, &url, extra(context, &url, &nothing), head_deadline).await;
    let answered = hop.exchange.status.is_some();
    let next = take(seen, hop);
    answered.then_some((url, next))
}

/// Extra headers may hold secrets: they go to the origin they were given for and nowhere else. The fallback over
/// http is another origin: whoever keeps https from answering must not get them in clear text.
fn extra<'a>(context: &'a Context<'_>, target: &Url, nothing: &'a hyper::HeaderMap) -> &'a hyper::HeaderMap {
    let own = Url::parse(&context.plan.url).is_ok_and(|submitted| submitted.origin() == target.origin());
    if own { &context.plan.headers } else { nothing }
}

/// Goes from hop to hop until one stays, fails or must not be followed.
async fn follow(context: &Context<'_>, seen: &mut Seen, first: Url, next: Option<Next>) {
    let mut visited = Visited::new(&first);
    let mut step = next;
    let mut followed = 0u32;
    while let Some(next) = step {
        let target = match visited.admit(&next, followed >= context.plan.max_redirects, MAX_URL_BYTES) {
            Ok(target) => target,
            Err(error) => {
                if let Some(last) = seen.requests.last_mut() {
                    // What broke the body is told already and explains more.
                    last.error.get_or_insert(error);
                }
                return;
            }
        };
        followed = followed.saturating_add(1);
        let nothing = hyper::HeaderMap::new();
        let hop = exchange::run(context, &target, extra(context, &target, &nothing), context.deadline).await;
        step = take(seen, hop);
    }
}

/// Adds a hop to what was seen.
fn take(seen: &mut Seen, hop: Hop) -> Option<Next> {
    if let Some(document) = hop.document {
        seen.content = Some(document.content);
        seen.features = document.features;
    }
    seen.requests.push(hop.exchange);
    hop.next
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
