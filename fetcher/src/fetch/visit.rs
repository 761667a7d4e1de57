//! One visit: what is remembered from request to request, and everything around a hop that is not the exchange.
//!
//! Cookies, the page that sends a browser on, the rules for robots and the icon live here, for as long as one scan
//! takes. What a hop leads to is decided by the caller.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::HeaderMap;
use safeurl_protocol::{Exchange, Favicon, Purpose, RedirectKind, RobotsDecision, SideRequest};
use tokio::time::Instant;
use url::Url;

use super::cookies::Jar;
use super::exchange::{self, Hop};
use super::redirect::Next;
use super::referer::{Policy, referer};
use super::request::{Ask, For};
use super::robots::{Denied, Keeper};
use super::site::{Relation, relation};
use super::{Context, Seen, blank, icon};
use crate::plan::fetchable;

/// A page is worth waiting for, its icon is not.
const ICON_TIME: Duration = Duration::from_secs(3);

/// Redirects followed to an icon.
const MAX_ICON_REDIRECTS: usize = 3;

/// A visit under way.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    context: &'a Context<'a>,
    jar: Jar,
    /// Present where robots.txt is kept to.
    robots: Option<Keeper>,
    /// The page that `seen` has features of, while its icon may still be wanted.
    page: Option<Page>,
    /// A page was asked for again because of a cookie it had set. Once is what pages that look at their visitors need;
    /// one that sets a new cookie every time would never stay.
    again: bool,
    pub(super) seen: Seen,
}

/// A page that was read.
#[derive(Debug)]
struct Page {
    url: Url,
    policy: Policy,
    icon: Option<String>,
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
        let robots = context.plan.respect_robots.then(|| Keeper::new(&context.plan.user_agent));
        Self { context, jar: Jar::default(), robots, page: None, again: false, seen: Seen::default() }
    }

    pub(super) fn context(&self) -> &'a Context<'a> {
        self.context
    }

    /// What would be sent to `url` of the cookies.
    pub(super) fn cookies(&self, url: &Url) -> Option<String> {
        self.jar.header(url, now())
    }

    /// Makes one hop, unless robots.txt forbids it, and takes what it brings.
    pub(super) async fn open(&mut self, leg: &Leg, head_deadline: Instant) -> Opened {
        let robots = match self.may(&leg.url, head_deadline).await {
            Ok(decision) => decision,
            Err(denied) => {
                let answered = denied.answered;
                self.seen.requests.push(untried(&leg.url, denied));
                return Opened { answered, onward: None };
            }
        };
        let nothing = HeaderMap::new();
        let ask = Ask {
            url: &leg.url,
            purpose: For::Page { typed: leg.cause.is_none() },
            site: leg.site,
            referer: leg.cause.as_ref().and_then(|(page, policy)| referer(*policy, page, &leg.url)),
            cookies: self.cookies(&leg.url),
            extra: self.extra(&leg.url, &nothing),
            body_cap: self.context.plan.body_cap,
            head_deadline,
            deadline: self.context.deadline,
            parse_deadline: self.context.parse_deadline,
        };
        let mut hop = exchange::run(self.context, &ask).await;
        hop.exchange.robots = robots;
        self.remember(&leg.url, &hop.exchange);
        if hop.next.is_none() && hop.again.is_some() && !self.again && self.cookies(&leg.url) != ask.cookies {
            self.again = true;
            hop.next = hop.again.take();
            hop.exchange.redirect = hop.next.as_ref().map(Next::redirect);
        }
        self.take(leg, hop)
    }

    /// Adds a hop to what was seen.
    fn take(&mut self, leg: &Leg, hop: Hop) -> Opened {
        let header = header_policy(&hop.exchange);
        let meta = hop.document.as_ref().and_then(|document| document.referrer);
        let page = meta.or(header).unwrap_or_default();
        let answered = hop.exchange.status.is_some();
        if let Some(document) = hop.document {
            let good = hop.exchange.status.is_some_and(|status| (200..300).contains(&status));
            self.page = (good && document.features.is_some()).then(|| Page {
                url: leg.url.clone(),
                policy: page,
                icon: document.icon,
            });
            self.seen.content = Some(document.content);
            self.seen.features = document.features;
            self.seen.body = self.context.plan.evidence.then_some(hop.body);
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

    /// Asks robots.txt where the job keeps to it.
    async fn may(&mut self, url: &Url, deadline: Instant) -> Result<Option<RobotsDecision>, Denied> {
        let Some(keeper) = &mut self.robots else { return Ok(None) };
        let mut made = Vec::new();
        let answer = keeper.ask(self.context, url, deadline, &mut made).await;
        for exchange in made {
            self.beside(Purpose::Robots, exchange);
        }
        answer.map(Some)
    }

    fn beside(&mut self, purpose: Purpose, exchange: Exchange) {
        self.seen.side.push(SideRequest { purpose, before: self.seen.requests.len(), exchange });
    }

    fn remember(&mut self, url: &Url, exchange: &Exchange) {
        let lines = exchange.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("set-cookie"));
        for line in lines {
            self.jar.store(url, &line.value, now());
        }
    }

    /// Fetches the icon of the page that was read last. Whatever goes wrong, the page stays as it is.
    pub(super) async fn fetch_icon(&mut self) {
        let Some(page) = self.page.take() else { return };
        let deadline = self.context.deadline.min(Instant::now() + ICON_TIME);
        let found = match &page.icon {
            Some(address) if icon::is_data(address) => {
                icon::inside(address).map(|bytes| icon::of(address, &bytes))
            }
            Some(address) => self.icon_at(&page, fetchable(address).ok(), deadline).await,
            None => self.icon_at(&page, page.url.join("/favicon.ico").ok(), deadline).await,
        };
        if let Some(features) = &mut self.seen.features {
            features.favicon = found;
        }
    }

    async fn icon_at(&mut self, page: &Page, first: Option<Url>, deadline: Instant) -> Option<Favicon> {
        let mut url = first?;
        let mut site = relation(&page.url, &url);
        let nothing = HeaderMap::new();
        for _ in 0..=MAX_ICON_REDIRECTS {
            if Instant::now() >= deadline {
                return None;
            }
            let robots = match self.may(&url, deadline).await {
                Ok(decision) => decision,
                Err(denied) => {
                    self.beside(Purpose::Favicon, untried(&url, denied));
                    return None;
                }
            };
            // What another site has set is not for requests that a page makes of it, as in browsers today.
            let near = site != Relation::CrossSite;
            let ask = Ask {
                url: &url,
                purpose: For::Icon,
                site,
                referer: referer(page.policy, &page.url, &url),
                cookies: self.cookies(&url).filter(|_| near),
                extra: self.extra(&url, &nothing),
                body_cap: icon::MAX_BYTES,
                head_deadline: deadline,
                deadline,
                parse_deadline: deadline,
            };
            let mut hop = exchange::run(self.context, &ask).await;
            hop.exchange.robots = robots;
            if near {
                self.remember(&url, &hop.exchange);
            }
            let found = picture(&url, &hop);
            self.beside(Purpose::Favicon, hop.exchange);
            url = match hop.next.and_then(|next| next.by_http()) {
                Some(next) => next,
                None => return found,
            };
            site = site.max(relation(&page.url, &url));
        }
        None
    }
}

/// The icon in a response, if it is one: whole, and not the page that sites show for what they do not have.
fn picture(url: &Url, hop: &Hop) -> Option<Favicon> {
    let document = hop.document.as_ref()?;
    let good = hop.exchange.status.is_some_and(|status| (200..300).contains(&status));
    let page =
        document.features.is_some() || document.content.sniffed_mime_type.as_deref() == Some("text/html");
    let whole = hop.exchange.error.is_none() && !document.content.truncated && !hop.body.is_empty();
    (good && !page && whole).then(|| icon::of(url.as_str(), &hop.body))
}

/// The exchange of a request that was not made.
fn untried(url: &Url, denied: Denied) -> Exchange {
    let mut exchange = blank(url.as_str());
    exchange.error = Some(denied.error);
    exchange.robots = Some(denied.decision);
    exchange
}

/// Several headers of the name are one list.
fn header_policy(exchange: &Exchange) -> Option<Policy> {
    let named = exchange.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("referrer-policy"));
    named.filter_map(|header| Policy::from_header(&header.value)).next_back()
}

/// Seconds since the epoch. A clock before it is broken, and then no cookie has expired.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
