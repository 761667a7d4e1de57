//! What the addresses themselves say: the submitted one and every one it led to.

use url::{Host, Url};

use super::redirect::is_private;
use super::{Fact, Facts};
use crate::analysis::brands::{Likeness, Place};
use crate::analysis::case::{Case, site_of};
use crate::analysis::lists::lists_host;
use crate::analysis::names::{mixes_scripts, readable_host, skeleton, words};
use crate::domain::target::{address_of, apex_of, apex_of_name};

/// Shorter names are not called random: abbreviations look the same.
const RANDOM_LETTERS: usize = 12;

/// Words shorter than this are not looked for in addresses: `ing` is a bank and the end of half the verbs.
const BRAND_LETTERS: usize = 4;

pub(super) fn add(case: &Case<'_>, facts: &mut Facts) {
    if let Some(userinfo) = case.target.userinfo() {
        facts.see(Fact::UrlUserinfo, userinfo.split(':').next().unwrap_or_default());
    }
    hidden_address(case, facts);
    for url in &case.hops {
        host(case, url, facts);
        path(case, url, facts);
    }
}

/// `http://0x7f.1/` and the like: the parser sees an address where a person sees none.
fn hidden_address(case: &Case<'_>, facts: &mut Facts) {
    let submitted = case.target.submitted();
    if let Some(Host::Ipv4(address)) = case.target.url().host()
        && !submitted.replace("[.]", ".").contains(&address.to_string())
    {
        facts.see(Fact::UrlHiddenAddress, format!("{submitted} is {address}"));
    }
}

fn host(case: &Case<'_>, url: &Url, facts: &mut Facts) {
    let lists = case.rules.lists();
    if let Some(port) = url.port() {
        facts.see(Fact::UrlOddPort, format!("port {port} of {}", url.host_str().unwrap_or_default()));
    }
    let name = match url.host() {
        None => return,
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => {
            if !address_of(url).is_some_and(is_private) {
                facts.see(Fact::UrlIpHost, url.host_str().unwrap_or_default());
            }
            return;
        }
        Some(Host::Domain(name)) => name.trim_end_matches('.'),
    };
    let tld = name.rsplit('.').next().unwrap_or_default();
    if lists.abused_tlds.iter().any(|abused| abused == tld) {
        facts.see(Fact::UrlAbusedTld, format!(".{tld}"));
    }
    for (list, fact) in [
        (&lists.shortener_hosts, Fact::UrlShortener),
        (&lists.free_hosts, Fact::UrlFreeHosting),
        (&lists.dynamic_dns_hosts, Fact::UrlDynamicDns),
    ] {
        if lists_host(list, name) {
            facts.see(fact, name);
        }
    }
    facts.measure(Fact::UrlHostLength, name.chars().count() as u64, name);
    international(name, facts);
    let run_by_a_brand = case.rules.brands().any_runs(&Place::of(name));
    if !run_by_a_brand {
        brands(case, name, facts);
    }

    let own = apex_of(url).unwrap_or_else(|| name.to_owned());
    let below = name.strip_suffix(own.as_str()).unwrap_or_default().trim_end_matches('.');
    let labels = below.split('.').filter(|label| !label.is_empty() && *label != "www").count();
    facts.measure(Fact::UrlSubdomains, labels as u64, name);
    // The hyphens of punycode are not written by anyone.
    let hyphens =
        name.split('.').filter(|label| !label.starts_with("xn--")).map(|label| label.matches('-').count());
    facts.measure(Fact::UrlHyphens, hyphens.max().unwrap_or(0) as u64, name);
    if name.split('.').take(labels + 1).any(looks_random) {
        facts.see(Fact::UrlRandomHost, name);
    }
    if !run_by_a_brand {
        for word in words(name).filter(|word| lists.credential_words.contains(word)) {
            facts.see(Fact::UrlCredentialWords, word);
        }
    }
}

fn international(name: &str, facts: &mut Facts) {
    if !name.split('.').any(|label| label.starts_with("xn--")) {
        return;
    }
    let readable = readable_host(name);
    facts.see(Fact::UrlPunycode, format!("{name} reads {readable}"));
    for label in readable.split('.').filter(|label| mixes_scripts(label)) {
        facts.see(Fact::UrlMixedScript, label);
    }
}

/// Brands in a name that is not theirs: as a word, or as something that looks like one.
fn brands(case: &Case<'_>, name: &str, facts: &mut Facts) {
    let brands = case.rules.brands();
    let readable = readable_host(name);
    let own = apex_of_name(name).map_or_else(|| readable.clone(), |apex| readable_host(&apex));
    let site = own.split('.').next().unwrap_or_default();
    // What is one brand's very name is not a slip of another's.
    let looks: Vec<_> = std::iter::once(site.to_owned())
        .chain(words(site))
        .filter(|word| !brands.has_word(word))
        .map(|word| (skeleton(&word), word))
        .collect();
    let spelled: Vec<_> = words(&readable)
        .filter(|word| word.chars().count() >= BRAND_LETTERS && brands.has_word(word))
        .collect();
    for brand in brands.iter() {
        let near = looks.iter().filter_map(|(look, word)| Some((brand.likeness(word, look)?, word))).min();
        if let Some((likeness, word)) = near {
            let fact = match likeness {
                Likeness::Looks => Fact::UrlBrandLookalike,
                Likeness::Slip => Fact::UrlBrandSlip,
            };
            facts.brand(&brand.name);
            facts.see(fact, format!("{word} for {}", brand.name));
        } else if let Some(word) = spelled.iter().find(|word| brand.has_word(word)) {
            facts.brand(&brand.name);
            facts.see(Fact::UrlBrandInHost, format!("{word} in {name}"));
        }
    }
}

fn path(case: &Case<'_>, url: &Url, facts: &mut Facts) {
    let lists = case.rules.lists();
    let text = url.as_str();
    facts.measure(Fact::UrlLength, text.chars().count() as u64, text);
    let path = url.path().to_lowercase();
    let last = path.rsplit('/').next().unwrap_or_default();
    if let Some((_, ending)) = last.rsplit_once('.')
        && (lists.program_endings.iter().any(|known| known == ending)
            || lists.script_endings.iter().any(|known| known == ending && known != "js"))
    {
        facts.see(Fact::UrlProgramName, last);
    }
    let rest = format!("{path}?{}", url.query().unwrap_or_default()).to_lowercase();
    if rest.contains("http://")
        || rest.contains("https://")
        || rest.contains("http%3a%2f%2f")
        || rest.contains("https%3a%2f%2f")
    {
        facts.see(Fact::UrlEmbedsUrl, text);
    }
    // A fragment never reaches the server, but scripts of a page read the victim's address from it.
    let submitted = case.target.submitted();
    let fragment = submitted.split_once('#').map_or("", |(_, fragment)| fragment);
    if [rest.as_str(), fragment].iter().any(|part| has_mail_address(part)) {
        facts.see(Fact::UrlMailAddress, text);
    }
    let page =
        last.is_empty() || [".html", ".htm", ".php", ".asp", ".aspx"].iter().any(|end| last.ends_with(end));
    let folders = ["/wp-includes/", "/wp-content/", "/wp-admin/", "/.well-known/", "/cgi-bin/"];
    if page && folders.iter().any(|folder| path.contains(folder)) {
        facts.see(Fact::UrlSystemFolder, url.path());
    }
    let brands = case.rules.brands();
    // The last segment is left out: articles about a brand have it in their title.
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let folders: Vec<_> = folders
        .split('/')
        .filter(|folder| folder.chars().count() >= BRAND_LETTERS && brands.has_word(folder))
        .collect();
    let host = url.host_str().unwrap_or_default();
    if folders.is_empty() || brands.any_runs(&Place::of(host)) {
        return;
    }
    let site: Vec<_> = site_of(url).map_or_else(Vec::new, |site| words(&site).collect());
    for brand in brands.iter() {
        if let Some(word) = folders.iter().find(|folder| brand.has_word(folder))
            && !site.iter().any(|own| brand.has_word(own))
        {
            facts.brand(&brand.name);
            facts.see(Fact::UrlBrandInPath, format!("{word} in {}", url.path()));
        }
    }
}

/// `name@host.tld`, with the sign as it is or percent-encoded.
fn has_mail_address(text: &str) -> bool {
    let text = text.replace("%40", "@");
    text.match_indices('@').any(|(at, _)| {
        let name = text[..at].chars().next_back();
        let host: String = text[at + 1..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
            .collect();
        let dotted = host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.len() >= 2);
        name.is_some_and(char::is_alphanumeric) && dotted
    })
}

/// Long runs of hexadecimal digits, digits between letters many times over, or hardly a vowel.
fn looks_random(label: &str) -> bool {
    label.split('-').any(|word| {
        if word.len() < RANDOM_LETTERS || !word.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return false;
        }
        let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
        let digits = word.len() - letters;
        let hexadecimal = digits >= 3 && word.bytes().all(|b| b.is_ascii_hexdigit());
        let turns = word
            .as_bytes()
            .windows(2)
            .filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit())
            .count();
        let vowels = word.bytes().filter(|b| matches!(b, b'a' | b'e' | b'i' | b'o' | b'u' | b'y')).count();
        hexadecimal || turns >= 5 || (letters >= 10 && vowels * 6 < letters)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_names_are_told_from_words() {
        for (label, random) in [
            ("a3f09c1b77de", true),
            ("x7k2m9q4w1zz", true),
            ("xkcdqwrtpsdfg", true),
            ("international", false),
            ("web2print", false),
            ("schwarzwald-tourismus", false),
            ("20240101", false),
        ] {
            assert_eq!(looks_random(label), random, "{label}");
        }
    }

    #[test]
    fn mail_addresses_are_found_however_the_sign_is_written() {
        for (text, found) in [
            ("/x?e=jo@corp.test", true),
            ("jo%40corp.test", true),
            ("/@user/post", false),
            ("/a@b", false),
            ("/npm/pkg@1.2.3/x", true),
            ("@corp.test", false),
        ] {
            assert_eq!(has_mail_address(text), found, "{text}");
        }
    }
}
