//! Asks a site for its robots.txt before a hop and decides by it, once for each origin (RFC 9309 section 2.3).
//!
//! A file is fetched over the same way as a page, without cookies and without what else belongs to a visitor. What
//! is not there allows everything; what cannot be learnt allows nothing.

use std::collections::HashMap;

use hyper::header::{HeaderMap, HeaderValue};
use safeurl_protocol::{ErrorClass, Exchange, HopError, RobotsDecision, RobotsSource};
use tokio::time::Instant;
use url::Url;

use super::request::{Ask, For};
use super::site::Relation;
use super::{Context, exchange};
use crate::robots::{MAX_BYTES, Robots, product};

/// What we are called in these files.
const PRODUCT: &str = "safeurl";

/// Redirects followed to a file, as many as the standard asks for (section 2.3.1.2).
const MAX_REDIRECTS: usize = 5;

/// The rules of the origins met so far.
#[derive(Debug)]
pub(super) struct Keeper {
    product: String,
    known: HashMap<String, Rules>,
}

#[derive(Debug)]
enum Rules {
    File(Robots),
    Missing,
    Unreachable(Unreachable),
}

#[derive(Debug, Clone)]
struct Unreachable {
    why: HopError,
    /// The origin answered at all.
    answered: bool,
}

/// A hop that must not be made.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) decision: RobotsDecision,
    pub(super) error: HopError,
    /// The origin answered: it is there, and another address of it is not to be tried.
    pub(super) answered: bool,
}

impl Keeper {
    /// A job with a User-Agent of its own is known by its first word; one that looks like a browser by our name.
    pub(super) fn new(user_agent: &HeaderValue) -> Self {
        let own = product(user_agent.as_bytes());
        let named = !own.is_empty() && own != "*" && !own.eq_ignore_ascii_case("mozilla");
        Self { product: if named { own } else { PRODUCT.to_owned() }, known: HashMap::new() }
    }

    /// Whether `url` may be fetched. Exchanges that were needed to learn it are added to `made`.
    pub(super) async fn ask(
        &mut self,
        context: &Context<'_>,
        url: &Url,
        deadline: Instant,
        made: &mut Vec<Exchange>,
    ) -> Result<RobotsDecision, Denied> {
        let origin = url.origin().ascii_serialization();
        let rules = match self.known.remove(&origin) {
            Some(rules) => rules,
            None => learn(context, url, deadline, made).await,
        };
        let answer = judge(&rules, &self.product, &origin, url);
        self.known.insert(origin, rules);
        answer
    }
}

fn judge(rules: &Rules, product: &str, origin: &str, url: &Url) -> Result<RobotsDecision, Denied> {
    let nothing = |allowed, source| RobotsDecision { allowed, source, rule: None };
    match rules {
        Rules::Missing => Ok(nothing(true, RobotsSource::Missing)),
        Rules::Unreachable(Unreachable { why, answered }) => Err(Denied {
            decision: nothing(false, RobotsSource::Unreachable),
            error: why.clone(),
            answered: *answered,
        }),
        Rules::File(file) => {
            let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
            let found = file.decide(product, path);
            let decision =
                RobotsDecision { allowed: found.allowed, source: RobotsSource::File, rule: found.rule };
            if decision.allowed {
                return Ok(decision);
            }
            let rule = decision.rule.as_deref().unwrap_or_default();
            let message = format!("{origin}/robots.txt has the rule \"{rule}\" for {product}");
            let error = HopError { class: ErrorClass::RobotsDisallowed, message };
            Err(Denied { decision, error, answered: true })
        }
    }
}

/// Fetches the file of an origin.
async fn learn(context: &Context<'_>, url: &Url, deadline: Instant, made: &mut Vec<Exchange>) -> Rules {
    let Ok(mut file) = url.join("/robots.txt") else { return Rules::Missing };
    let nothing = HeaderMap::new();
    for redirects in 0..=MAX_REDIRECTS {
        let ask = Ask {
            url: &file,
            purpose: For::Robots,
            site: Relation::None,
            referer: None,
            cookies: None,
            extra: &nothing,
            // One byte more shows the parser that there was more.
            body_cap: MAX_BYTES + 1,
            head_deadline: deadline,
            deadline,
            parse_deadline: deadline,
        };
        let hop = exchange::run(context, &ask).await;
        let (status, error) = (hop.exchange.status, hop.exchange.error.clone());
        made.push(hop.exchange);
        match (status, error) {
            (None, error) => return Rules::Unreachable(unconnected(&file, error, redirects == 0)),
            (Some(200..=299), Some(error)) => {
                return Rules::Unreachable(disallowed(format!(
                    "{file} could not be read: {}",
                    error.message
                )));
            }
            (Some(200..=299), None) => return Rules::File(Robots::parse(&hop.body)),
            (Some(300..=399), _) => match hop.next.and_then(|next| next.by_http()) {
                Some(next) => file = next,
                None => return Rules::Missing,
            },
            (Some(400..=499), _) => return Rules::Missing,
            (Some(status), _) => {
                return Rules::Unreachable(disallowed(format!("{file} answered {status}")));
            }
        }
    }
    Rules::Missing
}

/// No response head. Where the origin itself was not reached the hop would have ended the same way, and what it
/// would have ended with says more than that its rules are unknown.
fn unconnected(file: &Url, error: Option<HopError>, own: bool) -> Unreachable {
    let (class, message) = error.map_or((ErrorClass::HttpProtocol, String::new()), |e| (e.class, e.message));
    let as_it_is = match class {
        ErrorClass::InvalidTarget
        | ErrorClass::EgressDenied
        | ErrorClass::Dns
        | ErrorClass::DnsUnavailable
        | ErrorClass::Connect
        | ErrorClass::Tls
        | ErrorClass::Timeout
        | ErrorClass::Budget => own,
        ErrorClass::RobotsDisallowed
        | ErrorClass::HttpProtocol
        | ErrorClass::Body
        | ErrorClass::RedirectLoop
        | ErrorClass::TooManyRedirects
        | ErrorClass::RedirectRefused => false,
    };
    if as_it_is {
        let why = HopError { class, message: format!("while asking for {file}: {message}") };
        return Unreachable { why, answered: false };
    }
    let unknown = disallowed(format!("{file} could not be fetched: {message}"));
    Unreachable { answered: !own, ..unknown }
}

fn disallowed(what: String) -> Unreachable {
    let message = format!("{what}, so nothing there may be fetched");
    Unreachable { why: HopError { class: ErrorClass::RobotsDisallowed, message }, answered: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_known_by_its_own_name_or_by_ours() {
        for (text, expected) in [
            ("Mozilla/5.0 (X11; rv:1) Gecko", "safeurl"),
            ("mozilla", "safeurl"),
            ("MyBot/1.0 (+http://a.test)", "MyBot"),
            ("* x", "safeurl"),
            ("/", "safeurl"),
        ] {
            assert_eq!(Keeper::new(&HeaderValue::from_static(text)).product, expected, "{text}");
        }
    }
}
