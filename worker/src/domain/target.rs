//! A URL as people hand it over, and what is really fetched for it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use url::{Host, Url};

/// The longest text taken as a URL, in bytes.
pub const MAX_URL_BYTES: usize = 8192;

/// The longest name and the longest part of one that fit a question to a name server (RFC 1035, section 2.3.4).
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// What to fetch for a submitted text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    submitted: String,
    url: Url,
    fallback: Option<Url>,
    userinfo: Option<String>,
    defanged: bool,
}

/// Why a text is not a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Nothing but white space.
    #[error("the URL is empty")]
    Empty,
    /// Longer than [`MAX_URL_BYTES`].
    #[error("the URL has {bytes} bytes; at most {MAX_URL_BYTES} are taken")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not http or https.
    #[error("the scheme '{scheme}' is not supported; only http and https are")]
    Scheme {
        /// The scheme found.
        scheme: String,
    },
    /// Not a URL.
    #[error("'{text}' is not a URL: {reason}")]
    Syntax {
        /// The text, shortened and escaped.
        text: String,
        /// What is wrong.
        reason: String,
    },
}

impl Target {
    /// Reads a URL as people get it: surrounding white space and angle brackets are dropped, `hxxp` and `[.]` are
    /// read as meant, userinfo is taken off, and without a scheme https is tried first, then http.
    ///
    /// The rest is the URL standard, except that what no name server can be asked for is refused, and so is a name
    /// whose `xn--` parts UTS #46 does not let through (browsers have taken those since 2025, in lower case).
    ///
    /// # Errors
    /// [`TargetError`] when no http or https URL is meant.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let submitted = text.trim();
        if submitted.is_empty() {
            return Err(TargetError::Empty);
        }
        if submitted.len() > MAX_URL_BYTES {
            return Err(TargetError::TooLong { bytes: submitted.len() });
        }
        let syntax = |reason: &str| TargetError::Syntax { text: shown(submitted), reason: reason.to_owned() };
        if submitted.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(syntax("it contains white space or control characters"));
        }
        let bare = submitted.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(submitted);
        let (armed, defanged) = refang(bare);

        let (with_scheme, guessed) = match scheme_of(&armed) {
            Some("http" | "https") => (armed, false),
            Some(scheme) => return Err(TargetError::Scheme { scheme: shown(scheme) }),
            None if looks_like_host(&armed) => (format!("https://{}", armed.trim_start_matches('/')), true),
            None => return Err(syntax("it has neither a scheme nor a host name")),
        };
        let mut url = Url::parse(&with_scheme).map_err(|error| syntax(&error.to_string()))?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(syntax("it has no host"));
        }
        if !url.domain().is_none_or(fits_dns) {
            return Err(syntax("its host name has a part that is empty or too long"));
        }
        let userinfo = take_userinfo(&mut url);
        url.set_fragment(None);
        let fallback = guessed.then(|| as_http(&url)).flatten();
        Ok(Self { submitted: submitted.to_owned(), url, fallback, userinfo, defanged })
    }

    /// The text as it was handed over, without surrounding white space.
    #[must_use]
    pub fn submitted(&self) -> &str {
        &self.submitted
    }

    /// What is fetched: no userinfo, no fragment.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// What is fetched when the first gets no answer, because the text named no scheme.
    #[must_use]
    pub fn fallback(&self) -> Option<&Url> {
        self.fallback.as_ref()
    }

    /// The `user:password` that stood in front of the host.
    #[must_use]
    pub fn userinfo(&self) -> Option<&str> {
        self.userinfo.as_deref()
    }

    /// The text was written so that it could not be clicked.
    #[must_use]
    pub fn defanged(&self) -> bool {
        self.defanged
    }

    /// The host as the URL parser writes it; never empty.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The registrable domain of the host.
    #[must_use]
    pub fn apex(&self) -> Option<String> {
        apex_of(&self.url)
    }
}

/// The registrable domain of a URL's host by the public suffix list; `None` for addresses and bare suffixes.
#[must_use]
pub fn apex_of(url: &Url) -> Option<String> {
    match url.host()? {
        Host::Domain(name) => apex_of_name(name),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

/// The registrable domain of a lower-case host name; `None` for what has an empty part, such as `.example.com`.
#[must_use]
pub fn apex_of_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.split('.').any(str::is_empty) {
        return None;
    }
    psl::domain_str(name).map(str::to_owned)
}

/// Whether a connection that was asked for with this host and port is one that the URL needs. Brackets, a final dot
/// and case make no difference.
#[must_use]
pub fn leads_to(url: &str, host: &str, port: u16) -> bool {
    let plain = |host: &str| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host.trim_end_matches('.').to_ascii_lowercase()
    };
    Url::parse(url).is_ok_and(|url| {
        url.host_str().map(plain) == Some(plain(host)) && url.port_or_known_default() == Some(port)
    })
}

/// Suffixes for names that no public list has, though networks and examples have them (RFC 2606, 6761, 6762, 7686, and
/// what ICANN keeps for private use).
const SPECIAL_USE: [&str; 9] =
    ["test", "example", "invalid", "localhost", "local", "onion", "internal", "arpa", "alt"];

/// Whether a word of a sentence is the name or the IPv4 address of a host, and not of a file: it ends in a suffix that
/// names end in.
#[must_use]
pub fn is_host_in_text(word: &str) -> bool {
    if !word.contains('.') || word.split('.').any(str::is_empty) {
        return false;
    }
    if word.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return word.parse::<Ipv4Addr>().is_ok();
    }
    let word = word.to_lowercase();
    let last = word.rsplit('.').next().unwrap_or_default();
    SPECIAL_USE.contains(&last)
        || psl::suffix(word.as_bytes())
            .is_some_and(|suffix| suffix.is_known() && suffix.as_bytes().len() < word.len())
}

/// The address of a URL's host, when it is one.
#[must_use]
pub fn address_of(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
    }
}

/// Shows a URL in logs without what may be secret: userinfo, query and fragment.
#[derive(Debug, Clone, Copy)]
pub struct Masked<'a>(pub &'a Url);

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(url) = self;
        write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())?;
        f.write_str(if url.query().is_some() { "?…" } else { "" })
    }
}

/// Undoes the usual ways to make a URL unclickable.
fn refang(text: &str) -> (String, bool) {
    let mut armed = text.to_owned();
    for (from, to) in [
        ("[.]", "."),
        ("(.)", "."),
        ("{.}", "."),
        ("[dot]", "."),
        ("(dot)", "."),
        ("[://]", "://"),
        ("[:]//", "://"),
        ("[:]", ":"),
        ("[/]", "/"),
    ] {
        armed = replaced(&armed, from, to);
    }
    let scheme_end = armed.find(':').unwrap_or(0);
    let meant = match armed[..scheme_end].to_ascii_lowercase().as_str() {
        "hxxp" | "h**p" | "httx" | "htxp" | "hxtp" => Some("http"),
        "hxxps" | "h**ps" | "hxtps" | "htxps" => Some("https"),
        _ => None,
    };
    if let Some(scheme) = meant {
        armed.replace_range(..scheme_end, scheme);
    }
    let defanged = armed != text;
    (armed, defanged)
}

/// The text with each of these pieces replaced, in whatever case its letters are.
fn replaced(text: &str, from: &str, to: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = 0;
    // In lower case every byte stands where it stood.
    for (at, found) in text.to_ascii_lowercase().match_indices(from) {
        out.push_str(&text[rest..at]);
        out.push_str(to);
        rest = at + found.len();
    }
    out.push_str(&text[rest..]);
    out
}

/// The scheme, when the text has one. `host:8080/path` has none.
fn scheme_of(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let mut letters = scheme.chars();
    let is_scheme = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    if !is_scheme {
        return None;
    }
    let port = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_port = !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    if is_port && !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    Some(match scheme {
        s if s.eq_ignore_ascii_case("http") => "http",
        s if s.eq_ignore_ascii_case("https") => "https",
        s if rest.starts_with("//") || !s.contains('.') => s,
        _ => return None,
    })
}

/// Whether a text without scheme begins with something that can only be meant as a host.
fn looks_like_host(text: &str) -> bool {
    let authority = text.trim_start_matches('/').split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    host.starts_with('[') || has_port || host.trim_matches('.').contains('.') || host == "localhost"
}

/// Whether a name server can be asked for the name at all; a dot at the end stands for the root.
fn fits_dns(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= MAX_NAME_BYTES
        && name.split('.').all(|label| !label.is_empty() && label.len() <= MAX_LABEL_BYTES)
}

fn take_userinfo(url: &mut Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let userinfo = match url.password() {
        Some(password) => format!("{}:{password}", url.username()),
        None => url.username().to_owned(),
    };
    // Neither can fail: the URL has a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(userinfo)
}

/// The same over http. A port that was named stays.
fn as_http(url: &Url) -> Option<Url> {
    let mut http = url.clone();
    http.set_scheme("http").ok()?;
    Some(http)
}

/// At most 80 characters, control characters escaped.
fn shown(text: &str) -> String {
    let escaped: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().count() > 80 { format!("{escaped}…") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> String {
        Target::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).url().to_string()
    }

    #[test]
    fn urls_are_read_as_people_write_them() {
        for (text, meant) in [
            ("https://example.com/a?b=c#d", "https://example.com/a?b=c"),
            ("  http://example.com ", "http://example.com/"),
            ("<http://example.com/x>", "http://example.com/x"),
            ("hxxp://evil[.]example/x", "http://evil.example/x"),
            ("hXXps[:]//evil[.]example", "https://evil.example/"),
            ("http[://]evil(dot)example", "http://evil.example/"),
            ("HXXP://evil[DOT]example/A[Dot]B", "http://evil.example/A.B"),
            ("example.com/path", "https://example.com/path"),
            ("example.com:8443/path", "https://example.com:8443/path"),
            ("localhost:8080", "https://localhost:8080/"),
            ("//example.com/x", "https://example.com/x"),
            ("[::1]:8080/x", "https://[::1]:8080/x"),
            ("HTTP:example.com", "http://example.com/"),
            ("http://0x7f.1/", "http://127.0.0.1/"),
            ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ] {
            assert_eq!(url(text), meant, "{text}");
        }
    }

    #[test]
    fn only_a_missing_scheme_has_a_fallback() {
        let target = Target::parse("example.com:81/x").expect("a target");
        assert_eq!(target.fallback().map(Url::as_str), Some("http://example.com:81/x"));
        assert_eq!(Target::parse("https://example.com").expect("a target").fallback(), None);
    }

    #[test]
    fn userinfo_is_taken_off_and_kept_for_the_analysis() {
        let target = Target::parse("http://www.paypal.com:pw@evil.example/").expect("a target");
        assert_eq!(target.url().as_str(), "http://evil.example/");
        assert_eq!(target.userinfo(), Some("www.paypal.com:pw"));
    }

    #[test]
    fn what_is_not_a_web_address_is_refused_with_the_reason() {
        assert_eq!(Target::parse(" "), Err(TargetError::Empty));
        let long = format!("http://example.com/{}", "a".repeat(9000));
        assert_eq!(Target::parse(&long), Err(TargetError::TooLong { bytes: 9019 }));
        for (text, scheme) in
            [("ftp://example.com/x", "ftp"), ("mailto:a@b.c", "mailto"), ("data:,x", "data")]
        {
            assert_eq!(Target::parse(text), Err(TargetError::Scheme { scheme: scheme.into() }), "{text}");
        }
        for text in [
            "not a url",
            "word",
            "http://",
            "https:///",
            "http://[::1",
            "http://a b/",
            "http://exa\u{0}mple.com",
            "http://a..example/",
            "http://.example/",
            // Punycode that UTS #46 refuses.
            "http://xn--a.example/",
        ] {
            assert!(matches!(Target::parse(text), Err(TargetError::Syntax { .. })), "{text}");
        }
        let label = |bytes: usize| format!("http://{}.example/", "a".repeat(bytes));
        assert!(Target::parse(&label(63)).is_ok());
        assert!(matches!(Target::parse(&label(64)), Err(TargetError::Syntax { .. })));
    }

    #[test]
    fn the_registrable_domain_follows_the_public_suffix_list() {
        for (host, apex) in [
            ("www.example.co.uk", Some("example.co.uk")),
            ("a.b.github.io", Some("b.github.io")),
            ("co.uk", None),
            ("example.com.", Some("example.com")),
            (".example.com", None),
            ("example.com..", None),
            ("食狮.公司.cn", Some("食狮.公司.cn")),
            ("www.xn--85x722f.xn--55qx5d.cn", Some("xn--85x722f.xn--55qx5d.cn")),
        ] {
            assert_eq!(apex_of_name(host).as_deref(), apex, "{host}");
        }
    }

    #[test]
    fn names_of_hosts_in_a_text_are_told_from_names_of_files() {
        for host in ["evil.example", "login.Bank.COM", "1.2.3.4", "食狮.公司.cn", "a.onion", "x.github.io"]
        {
            assert!(is_host_in_text(host), "{host}");
        }
        for other in [
            "invoice.pdf",
            "login.php",
            "1.2.3",
            "1.2.3.4.5",
            "example",
            ".com",
            "a..com",
            "com",
            "co.uk",
            "e.g",
        ] {
            assert!(!is_host_in_text(other), "{other}");
        }
    }

    #[test]
    fn a_masked_url_shows_no_query_and_no_userinfo() {
        let url = Url::parse("https://user:pw@example.com:81/path?token=1#f").expect("a URL");
        assert_eq!(Masked(&url).to_string(), "https://example.com:81/path?…");
    }

    proptest! {
        /// No text panics, and what is accepted is http or https with a host and without userinfo or fragment.
        #[test]
        fn any_text_is_a_clean_target_or_an_error(text in "\\PC{0,60}|(hxxp|http|//)?[:/@\\[\\].#a-z0-9]{0,40}") {
            if let Ok(target) = Target::parse(&text) {
                prop_assert!(matches!(target.url().scheme(), "http" | "https"));
                prop_assert!(!target.host().is_empty());
                prop_assert!(target.url().username().is_empty() && target.url().password().is_none());
                prop_assert!(target.url().fragment().is_none());
            }
        }
    }
}
