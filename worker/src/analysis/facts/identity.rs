//! Whose page this says it is, and whether anything bears that out.
//!
//! A copy of a login is good when nothing about it is odd. What it cannot have is a name that fits: either it names the
//! original, or it names nobody. That is no proof of anything, but such a page is not called good.

use safeurl_protocol::{EmbeddedKind, Features};
use url::Url;

use super::brand::asks_for_secrets;
use super::{Fact, Facts};
use crate::analysis::brands::{Brand, Place};
use crate::analysis::case::{Case, site_of_text};
use crate::analysis::names::{readable_host, words};
use crate::domain::target::{apex_of, apex_of_name};

/// A part of a title longer than this many words is a headline, not a name.
const NAME_WORDS: usize = 4;

/// More words than this are an article about somebody.
const PAGE_WORDS: u64 = 400;

/// Shorter words of a host name stand in any text.
const OWN_LETTERS: usize = 3;

/// After a sign of ownership the owner's name follows within so many characters.
const OWNER_CHARACTERS: usize = 60;

/// Signs of ownership, in lower case.
const OWNERSHIP: [&str; 3] = ["©", "copyright", "(c) "];

/// What separates a page's name from its site's in a title.
const SEPARATORS: [char; 9] = ['|', '–', '—', '·', '•', '»', ':', '«', '｜'];

/// A page inside the page with fewer bytes is a picture's frame or an empty one.
const EMBEDDED_BYTES: u64 = 500;

pub(super) fn add(case: &Case<'_>, facts: &mut Facts) {
    let (Some(features), Some(page)) = (case.features(), &case.page) else { return };
    let host = page.host_str().unwrap_or_default();
    let secrets = asks_for_secrets(case);
    copied(case, features, host, secrets, facts);
    embedded(case, features, facts);
    if facts.seen(Fact::BrandOwnSite).is_some() {
        return;
    }
    let place = Place::of(host);
    let others = || case.rules.brands().iter().filter(|brand| !brand.runs(&place));
    if secrets {
        let owners = owners(case.text());
        let is_one = |brand: &Brand| owners.iter().any(|owner| brand.is_named_surely_in(owner));
        for brand in others().filter(|brand| is_one(brand)) {
            facts.brand(&brand.name);
            facts.see(Fact::BrandOwnerElsewhere, format!("{} on {host}", brand.name));
        }
        if !says_its_own_name(case, features, page) {
            facts.see(Fact::PageNobodyVouches, host);
        }
    } else if case.words() <= PAGE_WORDS {
        // A field to type into is the first page of a login in two steps.
        let typed = features.forms.iter().flat_map(|form| &form.inputs);
        let asks = typed.into_iter().any(|input| matches!(input.kind.as_str(), "email" | "text" | "tel"));
        let names: Vec<_> = names(case, features)
            .into_iter()
            .filter(|name| name.split_whitespace().count() <= NAME_WORDS)
            .map(|name| (name, name.to_lowercase()))
            .collect();
        for brand in others() {
            let presents = |lower: &str| {
                if asks { brand.is_named_in(lower) } else { brand.is_named_surely_in(lower) }
            };
            if let Some((name, _)) = names.iter().find(|(_, lower)| presents(lower)) {
                facts.brand(&brand.name);
                facts.see(Fact::BrandPresentsItself, format!("{name} on {host}"));
            }
        }
    }
}

/// What a page is called by its own words: the parts of its title, and what it says to other programs.
fn names<'a>(case: &Case<'a>, features: &'a Features) -> Vec<&'a str> {
    let title = case.title().split(SEPARATORS).flat_map(|part| part.split(" - "));
    let site = features.open_graph.get("site_name").map(String::as_str);
    let application = features.meta.get("application-name").map(String::as_str);
    title.chain(site).chain(application).map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// Who owns the page by its words, in lower case: `© 2024 Example Bank`.
fn owners(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let signs = OWNERSHIP.iter().flat_map(|sign| text.match_indices(sign).map(|(at, sign)| at + sign.len()));
    let owners = signs.map(|at| {
        let owner: String = text[at..].chars().take(OWNER_CHARACTERS).collect();
        // The next sentence speaks of something else.
        owner.split(". ").next().unwrap_or_default().to_owned()
    });
    owners.collect()
}

/// The page speaks of the site that it is on, as most do in title, description, logo's text or footer.
fn says_its_own_name(case: &Case<'_>, features: &Features, page: &Url) -> bool {
    let Some(site) = apex_of(page) else { return false };
    let label = readable_host(&site).split('.').next().unwrap_or_default().to_owned();
    let own = squeezed(&label);
    if own.chars().count() < OWN_LETTERS {
        return false;
    }
    let mut said = names(case, features).join(" ");
    for text in [features.description.as_deref(), Some(case.text())].into_iter().flatten() {
        said.push(' ');
        said.push_str(text);
    }
    let spoken: Vec<String> = words(&said).collect();
    let parts: Vec<String> = words(&label).filter(|part| part.chars().count() >= OWN_LETTERS).collect();
    let by_words = !parts.is_empty() && parts.iter().all(|part| spoken.contains(part));
    by_words || squeezed(&said).contains(&own)
}

fn squeezed(text: &str) -> String {
    words(text).collect()
}

/// Copiers and browsers write into a page where they took it from.
fn copied(case: &Case<'_>, features: &Features, host: &str, secrets: bool, facts: &mut Facts) {
    for comment in &features.comments {
        let Some(origin) = origin_of(comment) else { continue };
        let site = apex_of_name(&origin).unwrap_or_else(|| origin.clone());
        if Some(&site) == case.site().as_ref() {
            continue;
        }
        facts.see(Fact::PageCopied, format!("from {origin}"));
        let place = Place::of(host);
        let brand = case.rules.brands().owners(&origin).find(|brand| !brand.runs(&place));
        if let Some(brand) = brand {
            facts.brand(&brand.name);
            facts.see(Fact::BrandCopied, format!("{} from {origin}", brand.name));
        } else if secrets {
            facts.see(Fact::PageCopiedLogin, format!("from {origin}"));
        }
    }
}

/// The host in `saved from url=(0024)https://bank.example/`, `Mirrored from bank.example/login by …` and the like.
fn origin_of(comment: &str) -> Option<String> {
    let lower = comment.to_lowercase();
    let (_, rest) = ["saved from url=", "mirrored from ", "page saved with singlefile"]
        .iter()
        .find_map(|mark| lower.split_once(mark))?;
    let address = rest.split_whitespace().find(|word| word.contains('.'))?;
    let address = address.split_once(')').map_or(address, |(_, address)| address);
    let address = address.trim_start_matches("url:");
    let full = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    Url::parse(&full).ok()?.domain().map(str::to_owned)
}

/// A whole page carried inside this one is not seen by who looks at addresses.
fn embedded(case: &Case<'_>, features: &Features, facts: &mut Facts) {
    let pages = features.embedded.iter().filter(|embedded| {
        let html = embedded.mime_type.as_deref().is_some_and(|kind| kind.contains("html"));
        let large = embedded.size.is_none_or(|size| size >= EMBEDDED_BYTES);
        // Players and mail programs fill frames by srcdoc; nobody sends visitors to a page in an address.
        embedded.kind == EmbeddedKind::Data && html && large
    });
    for page in pages {
        facts.see(Fact::PageInsidePage, format!("{} bytes in {}", page.size.unwrap_or(0), page.element));
    }
    if case.words() >= super::script::HARDLY_ANY_WORDS || !features.forms.is_empty() {
        return;
    }
    for redirect in &features.possible_redirects {
        if site_of_text(&redirect.to).is_some_and(|site| Some(site) != case.site()) {
            facts.see(Fact::ScriptLeavesSite, &redirect.to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_says_where_it_was_taken_from() {
        for (comment, origin) in [
            ("saved from url=(0031)https://www.bank.example/login", Some("www.bank.example")),
            (" Mirrored from bank.example/a.html by HTTrack Website Copier/3.x ", Some("bank.example")),
            (
                "Page saved with SingleFile \n url: https://bank.example/ \n saved date: x",
                Some("bank.example"),
            ),
            ("saved from url=(0014)about:internet", None),
            ("Mirrored from", None),
            ("the menu", None),
        ] {
            assert_eq!(origin_of(comment).as_deref(), origin, "{comment}");
        }
    }
}
