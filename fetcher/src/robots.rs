//! robots.txt: which paths of a site a program may fetch, as RFC 9309 has it. Pure.
//!
//! A file is read as far as the standard asks and never refused: lines that are no rules are skipped. Beyond the
//! standard are the mistakes that the most used reader forgives, since people who write these files test them with
//! it: a missing colon, a misspelt `disallow`, and `index.html` for its folder.

/// What is read of a file; the standard asks for 500 KiB (section 2.5).
pub const MAX_BYTES: usize = 512 * 1024;

/// The path of the file itself, which is always allowed (section 2.2.2).
const OWN_PATH: &str = "/robots.txt";

/// Longer paths are compared by their beginning: matching costs the product of path and rules.
const MAX_PATH_BYTES: usize = 8 * 1024;

/// A file, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Robots {
    groups: Vec<Group>,
}

/// Rules and whom they are for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Group {
    agents: Vec<String>,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    allow: bool,
    /// As it stands in the file.
    text: String,
    /// Normalised, without the `$` at its end.
    pattern: String,
    /// There was one.
    anchored: bool,
}

/// What a file says about one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether the path may be fetched.
    pub allowed: bool,
    /// The line that decided, such as `Disallow: /private`; `None` when none speaks of the path.
    pub rule: Option<String>,
}

/// The directives that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Agent,
    Allow,
    Disallow,
}

impl Robots {
    /// Reads a file. Takes time and memory in proportion to [`MAX_BYTES`] at most.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let bytes = without_mark(whole_lines(bytes));
        let mut groups: Vec<Group> = Vec::new();
        // Lines naming agents follow each other at the start of a group; a rule ends that row of names.
        let mut naming = false;
        for line in bytes.split(|byte| matches!(byte, b'\n' | b'\r')) {
            match directive(line) {
                Some((Key::Agent, value)) => {
                    if !naming {
                        groups.push(Group::default());
                        naming = true;
                    }
                    if let Some(group) = groups.last_mut() {
                        group.agents.push(product(value));
                    }
                }
                Some((Key::Allow, value)) => {
                    naming = false;
                    add(&mut groups, true, value);
                }
                Some((Key::Disallow, value)) => {
                    naming = false;
                    add(&mut groups, false, value);
                }
                None => {}
            }
        }
        Self { groups }
    }

    /// The product tokens named, in order, `*` among them.
    pub fn agents(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().flat_map(|group| group.agents.iter().map(String::as_str))
    }

    /// The number of rules that say something.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.groups.iter().map(|group| group.rules.len()).sum()
    }

    /// Judges a path with its query, as it is sent, for the product token `product`.
    #[must_use]
    pub fn decide(&self, product: &str, path: &str) -> Decision {
        let path = if path.is_empty() { "/" } else { path };
        let path = normal(crate::report::prefix(path, MAX_PATH_BYTES).as_bytes(), Side::Path);
        if path == OWN_PATH {
            return Decision { allowed: true, rule: None };
        }
        let named = |group: &&Group| {
            !product.is_empty() && group.agents.iter().any(|agent| agent.eq_ignore_ascii_case(product))
        };
        let everybody = |group: &&Group| group.agents.iter().any(|agent| agent == "*");
        let own = self.groups.iter().any(|group| named(&group));
        let groups = self.groups.iter().filter(|group| if own { named(group) } else { everybody(group) });
        // The longest pattern wins, and of equally long ones the one that allows.
        let decided = groups
            .flat_map(|group| &group.rules)
            .filter(|rule| rule.covers(&path))
            .max_by_key(|rule| (rule.weight(), rule.allow));
        match decided {
            None => Decision { allowed: true, rule: None },
            Some(rule) => Decision { allowed: rule.allow, rule: Some(rule.line()) },
        }
    }
}

/// The token a program calls itself in these files: the first product of its User-Agent value.
#[must_use]
pub fn product(user_agent: &[u8]) -> String {
    if user_agent.first() == Some(&b'*') && user_agent.get(1).is_none_or(u8::is_ascii_whitespace) {
        return "*".to_owned();
    }
    let token = |byte: &&u8| byte.is_ascii_alphabetic() || matches!(**byte, b'-' | b'_');
    user_agent.iter().take_while(token).copied().map(char::from).collect()
}

impl Rule {
    fn new(allow: bool, value: &[u8]) -> Self {
        let (pattern, anchored) = match value.strip_suffix(b"$") {
            Some(rest) => (rest, true),
            None => (value, false),
        };
        let text = String::from_utf8_lossy(value).into_owned();
        Self { allow, text, pattern: normal(pattern, Side::Pattern), anchored }
    }

    /// Octets of the pattern.
    fn weight(&self) -> usize {
        self.pattern.len() + usize::from(self.anchored)
    }

    fn line(&self) -> String {
        const MAX_LINE_BYTES: usize = 500;
        let name = if self.allow { "Allow" } else { "Disallow" };
        crate::report::cut(format!("{name}: {}", self.text), MAX_LINE_BYTES)
    }

    /// `*` stands for any characters; without an anchor the pattern is a prefix. Each piece is looked for where the
    /// one before it ended, which is right because the shortest way leaves the most for the rest.
    fn covers(&self, path: &str) -> bool {
        let mut pieces = self.pattern.split('*');
        let Some(mut rest) = pieces.next().and_then(|first| path.strip_prefix(first)) else { return false };
        let mut pieces = pieces.peekable();
        if pieces.peek().is_none() {
            return !self.anchored || rest.is_empty();
        }
        while let Some(piece) = pieces.next() {
            if self.anchored && pieces.peek().is_none() {
                return rest.ends_with(piece);
            }
            let Some(at) = rest.find(piece) else { return false };
            rest = &rest[at + piece.len()..];
        }
        true
    }
}

/// Adds a rule to the last group. One before any group is for nobody, and one without a value says nothing.
fn add(groups: &mut [Group], allow: bool, value: &[u8]) {
    let Some(group) = groups.last_mut() else { return };
    if value.is_empty() {
        return;
    }
    let rule = Rule::new(allow, value);
    if let Some((folder, file)) = rule.pattern.rsplit_once('/')
        && allow
        && file.starts_with("index.htm")
    {
        let pattern = format!("{folder}/");
        group.rules.push(Rule { allow, text: rule.text.clone(), pattern, anchored: true });
    }
    group.rules.push(rule);
}

/// As much as is read. Half a line would be another rule than the whole one.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    match bytes.get(..MAX_BYTES) {
        Some(read) if bytes.len() > MAX_BYTES => {
            let end = read.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(0);
            read.get(..end).unwrap_or_default()
        }
        _ => bytes,
    }
}

/// The file without a byte order mark, or as much of one as there is.
fn without_mark(bytes: &[u8]) -> &[u8] {
    let marks = b"\xef\xbb\xbf".iter().zip(bytes).take_while(|(mark, byte)| mark == byte).count();
    bytes.get(marks..).unwrap_or_default()
}

fn directive(line: &[u8]) -> Option<(Key, &[u8])> {
    let line = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
    let (name, value) = match line.iter().position(|byte| *byte == b':') {
        Some(colon) => (line.get(..colon)?, line.get(colon + 1..)?),
        None => {
            // Two words are a rule whose colon was forgotten; more are prose.
            let space = line.iter().position(u8::is_ascii_whitespace)?;
            let value = line.get(space..)?.trim_ascii();
            if value.iter().any(u8::is_ascii_whitespace) {
                return None;
            }
            (line.get(..space)?, value)
        }
    };
    let is =
        |known: &[&str]| known.iter().any(|word| name.trim_ascii().eq_ignore_ascii_case(word.as_bytes()));
    let key = if is(&["user-agent", "useragent", "user agent"]) {
        Key::Agent
    } else if is(&["allow"]) {
        Key::Allow
    } else if is(&["disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"]) {
        Key::Disallow
    } else {
        return None;
    };
    Some((key, value.trim_ascii()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Pattern,
    Path,
}

/// The form two paths are compared in (section 2.2.2): what is encoded without need is decoded, and what a URL
/// cannot hold is encoded. The two characters that mean something in a pattern are encoded where they do not. What
/// is not ASCII in a path is left: it was to be encoded before it was sent.
fn normal(text: &[u8], side: Side) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let encoded = (byte == b'%').then(|| hex_pair(after)).flatten();
        match (byte, side) {
            (b'%', _) if encoded.is_some() => {
                rest = after.get(2..).unwrap_or_default();
                let decoded = encoded.unwrap_or_default();
                if decoded.is_ascii_alphanumeric() || b"-._~".contains(&decoded) {
                    out.push(decoded);
                } else {
                    push_encoded(&mut out, decoded);
                }
            }
            (b'*', Side::Path) | (b'$', _) => push_encoded(&mut out, byte),
            (0x80.., Side::Path) => out.push(byte),
            (0..=b' ' | b'"' | b'<' | b'>' | b'`' | b'{' | b'}' | b'^' | b'|' | 0x7f.., _) => {
                push_encoded(&mut out, byte);
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex_pair(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn push_encoded(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(file: &str, path: &str) -> bool {
        Robots::parse(file.as_bytes()).decide("safeurl", path).allowed
    }

    #[test]
    fn the_group_that_names_us_counts_alone_and_all_such_groups_are_one() {
        let file = "User-agent: *\nDisallow: /\n\nUser-Agent: other\nuser-agent: SafeURL/2.0\nDisallow: /a\n\
                    Crawl-delay: 9\nSitemap: http://a.test/x\nUser-agent: x\nDisallow: /c\n\
                    User-agent: safeurl\nDisallow: /b";
        for (path, expected) in [("/a", false), ("/b", false), ("/c", true), ("/", true)] {
            assert_eq!(allowed(file, path), expected, "{path}");
        }
        assert!(!Robots::parse(file.as_bytes()).decide("safe", "/c").allowed);
    }

    #[test]
    fn the_longest_rule_wins_and_is_told() {
        let robots = Robots::parse(b"user-agent: *\ndisallow: /p\nallow: /p/q*z$ # not more\nallow: /p\n");
        let decide = |path| robots.decide("safeurl", path);
        assert_eq!(decide("/p/qaz"), Decision { allowed: true, rule: Some("Allow: /p/q*z$".to_owned()) });
        assert_eq!(decide("/p"), Decision { allowed: true, rule: Some("Allow: /p".to_owned()) });
        assert_eq!(decide("/elsewhere"), Decision { allowed: true, rule: None });
    }

    #[test]
    fn stars_and_anchors_match_as_the_standard_says() {
        let matches =
            |pattern: &str, path: &str| !allowed(&format!("user-agent: *\ndisallow: {pattern}"), path);
        for (pattern, path, expected) in [
            ("/a*b*c$", "/a-b-b-c-c", true),
            ("/a*b*c$", "/a-c-b", false),
            ("*/a", "/x/a/y", true),
            ("/*$", "/anything", true),
            ("/a$b", "/a$b", true),
            ("/a$b", "/a", false),
            ("/a%2Ab", "/a*b", true),
            ("/a%24", "/a$", true),
            ("/%62%61z", "/baz", true),
            ("/a b", "/a%20b", true),
            ("/%c3%a4", "/%C3%A4", true),
            ("/ä", "/%C3%A4", true),
            ("/%2F", "//", false),
            ("/%zz", "/%zz", true),
            ("/**x", "/abx", true),
            ("/aa*a$", "/aa", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn the_file_itself_is_allowed_and_a_rule_before_any_group_is_for_nobody() {
        assert!(allowed("user-agent: *\ndisallow: /", "/robots.txt"));
        assert!(allowed("disallow: /", "/x"));
        assert!(allowed("user-agent: *\ndisallow:", "/x"));
        assert!(allowed("<html><body>user-agent: *</body></html>", "/x"));
    }

    #[test]
    fn a_file_full_of_stars_is_judged() {
        let rule = format!("disallow: /{}b\n", "*a".repeat(30));
        let file = format!("user-agent: *\n{}", rule.repeat(MAX_BYTES / rule.len() + 1));
        assert!(allowed(&file, &format!("/{}", "a".repeat(MAX_PATH_BYTES))));
    }

    #[test]
    fn a_product_is_the_first_word_of_a_user_agent() {
        for (text, expected) in
            [("curl/8.1 x", "curl"), ("my-bot_x (y)", "my-bot_x"), ("*", "*"), ("*x", ""), ("", "")]
        {
            assert_eq!(product(text.as_bytes()), expected);
        }
    }
}
