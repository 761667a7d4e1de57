//! Where inline scripts would send a browser, which markup they write, and which texts they hold.
//!
//! Names and calls are matched over tokens; a target counts when it is a constant (see [`super::constant`]). That a
//! statement is there does not mean that it is reached.

use safeurl_protocol::{PossibleRedirect, RedirectMeans};

use super::constant::{Constant, Constants, MAX_WORK};
use super::token::{Kind, tokens};

/// A script that could go to more places is a menu.
pub(in crate::page) const MAX_REDIRECTS: usize = 50;
/// Code looked at in one page, all scripts and handlers together.
const MAX_CODE_BYTES: usize = 4 * 1024 * 1024;
/// Of one script.
const MAX_SCRIPT_BYTES: usize = 1024 * 1024;
/// Pieces of markup kept for reading, and their bytes.
const MAX_WRITTEN: usize = 16;
const MAX_WRITTEN_BYTES: usize = 512 * 1024;
/// Longer chains of names are no address.
const MAX_CHAIN: usize = 8;

/// The globals a page reaches its windows by.
const WINDOWS: &[&str] =
    &["window", "document", "top", "self", "parent", "globalThis", "opener", "frames", "this"];

/// What the scripts of a page would do.
#[derive(Debug)]
pub(in crate::page) struct Scripts {
    /// Targets as the script names them.
    pub(in crate::page) redirects: Vec<PossibleRedirect>,
    pub(in crate::page) capped: bool,
    /// Markup that is written into the page.
    pub(in crate::page) written: Vec<String>,
    /// Texts with an `@` in them.
    pub(in crate::page) texts: Vec<String>,
    written_bytes: usize,
    /// There was more of it than is kept.
    pub(in crate::page) unread: bool,
    code: usize,
    work: usize,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            redirects: Vec::new(),
            capped: false,
            written: Vec::new(),
            texts: Vec::new(),
            written_bytes: 0,
            unread: false,
            code: MAX_CODE_BYTES,
            work: MAX_WORK,
        }
    }
}

impl Scripts {
    /// Reads one script or event handler.
    pub(in crate::page) fn read(&mut self, code: &str) {
        let code = crate::report::prefix(code, MAX_SCRIPT_BYTES.min(self.code));
        self.code -= code.len();
        let tokens = tokens(code);
        let mut constants = Constants::new(code, &tokens);
        let mut at = 0;
        while at < tokens.len() {
            at = match tokens[at].kind {
                Kind::Text | Kind::Open => self.text(&constants, at),
                Kind::Name => self.name(&mut constants, at),
                Kind::Number | Kind::Regex | Kind::Mark => at + 1,
            };
        }
    }

    fn text(&mut self, constants: &Constants<'_>, at: usize) -> usize {
        let Some(constant) = constants.sum(at, &mut self.work) else { return at + 1 };
        // Each text stands for itself; a page that has more than that is no contact page.
        if constant.text.contains('@') && constant.text.len() < 4096 && self.texts.len() < 200 {
            self.texts.push(constant.text);
        }
        constant.end.max(at + 1)
    }

    /// A chain of names, and what is done with it.
    fn name<'a>(&mut self, constants: &mut Constants<'a>, at: usize) -> usize {
        if let Some(end) = self.jquery(constants, at) {
            return end;
        }
        let (chain, end) = chain(constants, at);
        let bare = chain.len() == 1;
        let inside = windows_left(&chain);
        let path = &chain[inside..];
        let before = at.checked_sub(1).and_then(|at| constants.token(at));
        if matches!(before, Some((Kind::Mark, "." | "]"))) || before == Some((Kind::Name, "function")) {
            return end;
        }
        if constants.is_mark(end, "=") {
            let local = matches!(before, Some((Kind::Name, "let" | "const")));
            let value = constants.sum(end + 1, &mut self.work);
            if !local && matches!(path, ["location"] | ["location", "href"]) {
                self.redirect(RedirectMeans::Location, value.as_ref());
            } else if is_markup(path) {
                self.write(value.as_ref());
            } else if bare {
                let known = value.filter(|value| value.whole).map(|value| value.text);
                constants.assign(chain[0], known);
            }
        } else if constants.is_mark(end, "+=") {
            if is_markup(path) {
                let value = constants.sum(end + 1, &mut self.work);
                self.write(value.as_ref());
            } else if bare {
                constants.assign(chain[0], None);
            }
        } else if constants.is_mark(end, "(") {
            self.call(constants, &chain, inside, end + 1);
        }
        end
    }

    fn call(&mut self, constants: &Constants<'_>, chain: &[&str], inside: usize, at: usize) {
        let path = &chain[inside..];
        let means = match path {
            ["location", "assign"] => RedirectMeans::Location,
            ["location", "replace"] => RedirectMeans::Replace,
            // Others have an open of their own: requests, databases, documents.
            ["open"] if !chain.contains(&"document") => RedirectMeans::Open,
            ["write" | "writeln"] if chain.contains(&"document") => {
                let value = constants.sum(at, &mut self.work);
                return self.write(value.as_ref());
            }
            _ => return,
        };
        let value = constants.sum(at, &mut self.work);
        self.redirect(means, value.as_ref());
    }

    /// `$(location).attr('href', …)`, as old as jQuery.
    fn jquery(&mut self, constants: &Constants<'_>, at: usize) -> Option<usize> {
        constants.token(at).filter(|(_, name)| matches!(*name, "$" | "jQuery"))?;
        if !constants.is_mark(at + 1, "(") {
            return None;
        }
        let (chain, end) = chain(constants, at + 2);
        let is_location = matches!(&chain[windows_left(&chain)..], ["location"]);
        let is_set = constants.is_mark(end, ")")
            && constants.is_mark(end + 1, ".")
            && matches!(constants.token(end + 2), Some((Kind::Name, "attr" | "prop")))
            && constants.is_mark(end + 3, "(")
            && constants.token(end + 4) == Some((Kind::Text, "href"))
            && constants.is_mark(end + 5, ",");
        if !(is_location && is_set) {
            return None;
        }
        let value = constants.sum(end + 6, &mut self.work);
        self.redirect(RedirectMeans::Location, value.as_ref());
        Some(end + 6)
    }

    fn redirect(&mut self, by: RedirectMeans, value: Option<&Constant>) {
        let Some(value) = value else { return };
        let to = value.text.trim();
        // Of a target whose end is not known the host has to be.
        let host = to.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?', '#']));
        let stays = to.is_empty()
            || to.starts_with('#')
            || to.starts_with("about:")
            || to.get(..11).is_some_and(|start| start.eq_ignore_ascii_case("javascript:"));
        if stays || (!value.whole && !host) {
            return;
        }
        self.keep(to, by);
    }

    pub(in crate::page) fn keep(&mut self, to: &str, by: RedirectMeans) {
        let redirect = PossibleRedirect { to: crate::report::prefix(to, 4096).to_owned(), by };
        if self.redirects.contains(&redirect) {
            return;
        }
        if self.redirects.len() < MAX_REDIRECTS {
            self.redirects.push(redirect);
        } else {
            self.capped = true;
        }
    }

    fn write(&mut self, value: Option<&Constant>) {
        let Some(value) = value.filter(|value| value.text.contains('<')) else { return };
        let room = self.written.len() < MAX_WRITTEN
            && self.written_bytes.saturating_add(value.text.len()) <= MAX_WRITTEN_BYTES;
        if room {
            self.written_bytes += value.text.len();
            self.written.push(value.text.clone());
        } else {
            self.unread = true;
        }
    }
}

/// `a.b['c']`, and where it ends.
fn chain<'a>(constants: &Constants<'a>, at: usize) -> (Vec<&'a str>, usize) {
    let Some((Kind::Name, first)) = constants.token(at) else { return (Vec::new(), at) };
    let mut chain = vec![first];
    let mut at = at + 1;
    while chain.len() < MAX_CHAIN {
        match (constants.token(at), constants.token(at + 1)) {
            (Some((Kind::Mark, ".")), Some((Kind::Name, name))) => {
                chain.push(name);
                at += 2;
            }
            (Some((Kind::Mark, "[")), Some((Kind::Text, name))) if constants.is_mark(at + 2, "]") => {
                chain.push(name);
                at += 3;
            }
            _ => break,
        }
    }
    (chain, at)
}

/// How many names at the beginning only say which window.
fn windows_left(chain: &[&str]) -> usize {
    chain.iter().take_while(|name| WINDOWS.contains(name)).count().min(chain.len().saturating_sub(1))
}

fn is_markup(path: &[&str]) -> bool {
    path.len() > 1 && matches!(path.last(), Some(&("innerHTML" | "outerHTML")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirects(code: &str) -> Vec<(String, RedirectMeans)> {
        let mut scripts = Scripts::default();
        scripts.read(code);
        scripts.redirects.into_iter().map(|redirect| (redirect.to, redirect.by)).collect()
    }

    #[test]
    fn every_way_to_another_page_is_seen() {
        use RedirectMeans::{Location, Open, Replace};
        for (code, means) in [
            ("location = 'http://a/'", Location),
            ("window.location.href='http://a/'", Location),
            ("top.document.location=\"http:\\/\\/a/\"", Location),
            ("self['location']['href'] = 'http://a/'", Location),
            ("if(x){parent.location.assign('http://a/')}", Location),
            ("setTimeout(function(){ location.replace('htt' + 'p://a/') }, 1)", Replace),
            ("window.open('\\x68ttp://\\u0061/', '_blank')", Open),
            ("open('http://a/')", Open),
            ("var u = atob('aHR0cDovL2Ev'); location.href = u", Location),
            ("$(location).attr('href', 'http://a/')", Location),
            ("x ? 1 : location.href='http://a/'", Location),
            ("() => location.href = 'http://a/'", Location),
        ] {
            assert_eq!(redirects(code), [("http://a/".to_owned(), means)], "{code}");
        }
        assert_eq!(redirects("location='http://a/?e=' + mail"), [("http://a/?e=".to_owned(), Location)]);
    }

    #[test]
    fn what_does_not_leave_the_page_is_no_redirect() {
        for code in [
            "location.hash = 'x'",
            "location == 'http://a/'",
            "location.href === 'http://a/'",
            "// location = 'http://a/'",
            "x = \"location = 'http://a/'\"",
            "/location='http:..a'/.test(y)",
            "xhr.open('GET', 'http://a/')",
            "document.open('text/html')",
            "x.location = 'http://a/'",
            "let location = 'x'",
            "function open(x) {}",
            "location = '#top'; location = 'javascript:void(0)'; location = ''",
            "location = 'http://' + host",
            "location.replace(url)",
            "let u = 'http://a/'; u += y; location = u",
        ] {
            assert_eq!(redirects(code), [], "{code}");
        }
    }

    #[test]
    fn markup_that_is_written_and_texts_with_a_sign_are_kept() {
        let mut scripts = Scripts::default();
        scripts.read(
            "document.write(unescape('%3Cform%3E')); x.innerHTML = '<p>' + y; document.write('no'); \
             m = 'a' + '@' + 'b.c';",
        );
        assert_eq!(scripts.written, ["<form>", "<p>"]);
        assert_eq!(scripts.texts, ["a@b.c"]);
    }

    #[test]
    fn hostile_code_ends() {
        for code in ["a=", "location=", "a.", "((", "'x'+", "a['", "window.", "$(", "=", "atob("] {
            let mut scripts = Scripts::default();
            scripts.read(&code.repeat(100_000));
            assert!(scripts.redirects.len() <= MAX_REDIRECTS);
        }
        let many: String = (0..1000).map(|n| format!("location='/{n}';")).collect();
        let mut scripts = Scripts::default();
        scripts.read(&many);
        assert!(scripts.capped && scripts.redirects.len() == MAX_REDIRECTS);
    }
}
