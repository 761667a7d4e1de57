//! The cookies of one scan: kept from hop to hop, and gone with the process. Pure.
//!
//! RFC 6265 and its revision (draft-ietf-httpbis-rfc6265bis), the part that a visit without scripts needs: every
//! navigation here is a top-level GET, so SameSite and HttpOnly decide nothing. The clock is the caller's.

mod date;
mod set_cookie;

use url::{Host, Url};

use super::site::is_public_suffix;
use set_cookie::SetCookie;

/// Browsers keep some 180 for a domain; a visit that needs more than this is not one.
const MAX_COOKIES: usize = 50;

/// Of one Cookie header. Servers refuse heads of more than 8 or 16 KiB, and the way out has a budget.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// What a site has asked us to remember.
#[derive(Debug, Default)]
pub(crate) struct Jar {
    /// In the order they were first made.
    cookies: Vec<Cookie>,
}

#[derive(Debug)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    /// For the host alone, not for names below it.
    host_only: bool,
    path: String,
    secure: bool,
    /// Seconds since the epoch; a cookie of the session outlives it all the same.
    expires: Option<i64>,
}

impl Jar {
    /// Takes one Set-Cookie value of a response from `url`. What the rules do not allow is left out, as in a browser.
    pub(crate) fn store(&mut self, url: &Url, line: &str, now: i64) {
        let Some(cookie) = SetCookie::parse(line).and_then(|parsed| accept(url, parsed, now)) else { return };
        if !cookie.secure && url.scheme() != "https" && self.would_hide_a_secure_one(&cookie) {
            return;
        }
        let gone = cookie.expires.is_some_and(|at| at <= now);
        let same = self.cookies.iter().position(|old| {
            (&old.name, &old.domain, old.host_only, &old.path)
                == (&cookie.name, &cookie.domain, cookie.host_only, &cookie.path)
        });
        match same {
            Some(at) if gone => drop(self.cookies.remove(at)),
            // It keeps its place, which is its age.
            Some(at) => self.cookies[at] = cookie,
            None if gone => {}
            None => {
                if self.cookies.len() >= MAX_COOKIES {
                    self.cookies.remove(0);
                }
                self.cookies.push(cookie);
            }
        }
    }

    /// The value of the Cookie header for a request to `url`.
    pub(crate) fn header(&self, url: &Url, now: i64) -> Option<String> {
        let host = host(url)?;
        let secure = url.scheme() == "https";
        let mut sent: Vec<&Cookie> = self
            .cookies
            .iter()
            .filter(|cookie| {
                let there =
                    if cookie.host_only { cookie.domain == host } else { below(url, host, &cookie.domain) };
                let alive = cookie.expires.is_none_or(|at| at > now);
                there && alive && path_matches(url.path(), &cookie.path) && (secure || !cookie.secure)
            })
            .collect();
        // Longer paths first; the sort leaves equal ones by age.
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let mut value = String::new();
        for cookie in sent {
            let before = value.len();
            value.push_str(if before == 0 { "" } else { "; " });
            value.push_str(&cookie.name);
            value.push_str(if cookie.name.is_empty() { "" } else { "=" });
            value.push_str(&cookie.value);
            if value.len() > MAX_HEADER_BYTES {
                value.truncate(before);
                break;
            }
        }
        (!value.is_empty()).then_some(value)
    }

    /// Who listens in on plain http must not put a cookie in the place of one that only https set.
    fn would_hide_a_secure_one(&self, new: &Cookie) -> bool {
        let related = |a: &str, b: &str| a == b || ends_with_label(a, b) || ends_with_label(b, a);
        self.cookies.iter().any(|old| {
            old.secure
                && old.name == new.name
                && related(&old.domain, &new.domain)
                && path_matches(&new.path, &old.path)
        })
    }
}

/// A cookie as it will be kept; `None` when the site may not set it.
fn accept(url: &Url, parsed: SetCookie<'_>, now: i64) -> Option<Cookie> {
    let host = host(url)?;
    let (domain, host_only) = match parsed.domain.as_deref() {
        None => (host.to_owned(), true),
        Some(domain) if domain == host && is_public_suffix(domain) => (host.to_owned(), true),
        Some(domain) if below(url, host, domain) && !is_public_suffix(domain) => (domain.to_owned(), false),
        Some(_) => return None,
    };
    if parsed.secure && url.scheme() != "https" {
        return None;
    }
    let path = match parsed.path {
        Some(path) if path.starts_with('/') => path,
        _ => default_path(url.path()),
    };
    let begins = |prefix: &str| {
        let name = if parsed.name.is_empty() { parsed.value } else { parsed.name };
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let (promised_secure, promised_host) = (begins("__Secure-"), begins("__Host-"));
    if parsed.name.is_empty() && (promised_secure || promised_host) {
        return None;
    }
    if (promised_secure || promised_host) && !parsed.secure {
        return None;
    }
    if promised_host && !(host_only && parsed.domain.is_none() && parsed.path == Some("/")) {
        return None;
    }
    Some(Cookie {
        name: parsed.name.to_owned(),
        value: parsed.value.to_owned(),
        domain,
        host_only,
        path: path.to_owned(),
        secure: parsed.secure,
        expires: match parsed.max_age {
            Some(seconds) if seconds <= 0 => Some(i64::MIN),
            Some(seconds) => Some(now.saturating_add(seconds)),
            None => parsed.expires,
        },
    })
}

/// As URLs have it, in lower case; IPv6 addresses in brackets.
fn host(url: &Url) -> Option<&str> {
    url.host_str()
}

/// Whether a cookie of `domain` is also for `host`. Addresses have nothing below them.
fn below(url: &Url, host: &str, domain: &str) -> bool {
    host == domain || (matches!(url.host(), Some(Host::Domain(_))) && ends_with_label(host, domain))
}

fn ends_with_label(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|start| start.ends_with('.'))
}

fn path_matches(path: &str, cookie: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie.ends_with('/'))
}

/// The folder of the page that set the cookie.
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(at) if at > 0 => &path[..at],
        _ => "/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    /// What is sent to `to` after `from` set these.
    fn after(from: &str, lines: &[&str], to: &str) -> String {
        let mut jar = Jar::default();
        for line in lines {
            jar.store(&url(from), line, NOW);
        }
        jar.header(&url(to), NOW).unwrap_or_default()
    }

    #[test]
    fn a_cookie_goes_where_its_domain_says() {
        for (from, line, to, expected) in [
            ("http://a.test/", "a=1", "http://a.test/", "a=1"),
            ("http://a.test/", "a=1", "http://x.a.test/", ""),
            ("http://a.test/", "a=1", "http://a.test:8080/", "a=1"),
            ("http://x.a.test/", "a=1; Domain=.A.test", "http://y.a.test/", "a=1"),
            ("http://x.a.test/", "a=1; Domain=a.test", "http://aa.test/", ""),
            ("http://x.a.test/", "a=1; Domain=b.test", "http://b.test/", ""),
            ("http://a.test/", "a=1; Domain=x.a.test", "http://x.a.test/", ""),
            ("http://a.test/", "a=1; Domain=test", "http://a.test/", ""),
            ("http://a.co.uk/", "a=1; Domain=co.uk", "http://b.co.uk/", ""),
            ("http://test/", "a=1; Domain=test", "http://test/", "a=1"),
            ("http://test/", "a=1; Domain=test", "http://a.test/", ""),
            ("http://a.test/", "a=1; Domain=", "http://x.a.test/", ""),
            ("http://1.2.3.4/", "a=1; Domain=1.2.3.4", "http://1.2.3.4/", "a=1"),
            ("http://1.2.3.4/", "a=1; Domain=3.4", "http://1.2.3.4/", ""),
            ("http://[::1]/", "a=1", "http://[::1]:8/", "a=1"),
            ("http://x.bücher.test/", "a=1; Domain=bücher.test", "http://bücher.test/", "a=1"),
        ] {
            assert_eq!(after(from, &[line], to), expected, "{from} {line} {to}");
        }
    }

    #[test]
    fn a_cookie_goes_where_its_path_says_and_longer_paths_come_first() {
        for (from, line, to, expected) in [
            ("http://a.test/d/e/f", "a=1", "http://a.test/d/e", "a=1"),
            ("http://a.test/d/e/f", "a=1", "http://a.test/d/ee", ""),
            ("http://a.test/d", "a=1", "http://a.test/", "a=1"),
            ("http://a.test/d/e", "a=1; Path=/x", "http://a.test/x/y?z", "a=1"),
            ("http://a.test/d/e", "a=1; Path=/x", "http://a.test/xy", ""),
            ("http://a.test/d/e", "a=1; Path=x", "http://a.test/d/", "a=1"),
            ("http://a.test/d/e", "a=1; Path=/q; path=/", "http://a.test/", "a=1"),
        ] {
            assert_eq!(after(from, &[line], to), expected, "{from} {line} {to}");
        }
        let lines = ["a=1; Path=/", "b=2; Path=/d", "c=3; Path=/", "b=4; Path=/d"];
        assert_eq!(after("http://a.test/", &lines, "http://a.test/d/"), "b=4; a=1; c=3");
    }

    #[test]
    fn secure_cookies_come_from_https_and_go_nowhere_else() {
        assert_eq!(after("http://a.test/", &["a=1; Secure"], "https://a.test/"), "");
        assert_eq!(after("https://a.test/", &["a=1; Secure"], "http://a.test/"), "");
        assert_eq!(after("https://a.test/", &["a=1; secure=x"], "https://a.test/"), "a=1");
        let mut jar = Jar::default();
        jar.store(&url("https://a.test/"), "a=1; Secure", NOW);
        jar.store(&url("http://x.a.test/"), "a=2; Domain=a.test", NOW);
        assert_eq!(jar.header(&url("https://a.test/"), NOW).as_deref(), Some("a=1"));
    }

    #[test]
    fn prefixes_are_promises_that_are_kept() {
        for (line, kept) in [
            ("__Secure-a=1", false),
            ("__Secure-a=1; Secure", true),
            ("__Host-a=1; Secure; Path=/", true),
            ("__host-a=1; Secure", false),
            ("__Host-a=1; Secure; Path=/; Domain=a.test", false),
            ("__Host-a=1; Path=/", false),
            ("=__Host-a=1; Secure; Path=/", false),
        ] {
            assert_eq!(!after("https://a.test/", &[line], "https://a.test/").is_empty(), kept, "{line}");
        }
    }

    #[test]
    fn what_has_expired_is_deleted_and_max_age_wins_over_a_date() {
        let dead = "Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        let sent = |lines: &[&str]| after("http://a.test/", lines, "http://a.test/");
        assert_eq!(sent(&["a=1", &format!("a=; {dead}")]), "");
        assert_eq!(sent(&["a=1", "a=2; Max-Age=0"]), "");
        assert_eq!(sent(&["a=1", "a=2; Max-Age=-5"]), "");
        assert_eq!(sent(&[&format!("a=1; {dead}; Max-Age=9")]), "a=1");
        assert_eq!(sent(&["a=1; Max-Age=soon"]), "a=1");
        let mut jar = Jar::default();
        jar.store(&url("http://a.test/"), "a=1; Max-Age=10", NOW);
        assert_eq!(jar.header(&url("http://a.test/"), NOW + 10), None);
    }

    #[test]
    fn the_jar_holds_only_so_many_and_lets_the_oldest_go() {
        let mut jar = Jar::default();
        for n in 0..=MAX_COOKIES {
            jar.store(&url("http://a.test/"), &format!("n{n}=1"), NOW);
        }
        let sent = jar.header(&url("http://a.test/"), NOW).expect("cookies");
        assert_eq!(sent.split("; ").count(), MAX_COOKIES);
        assert!(!sent.contains("n0=") && sent.starts_with("n1=1; "));
    }
}
