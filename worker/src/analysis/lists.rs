//! The word lists and phrases that facts are found with: suffixes of hosts, endings of file names, words.

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::facts::Fact;
use super::rules::RulesError;

/// A phrase that compiles to more than this is a mistake.
const PHRASE_BYTES: usize = 1 << 20;

/// Lists of lower-case words. A "host" entry matches the host itself and every host below it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lists {
    /// Top-level domains with far more abuse than use.
    pub(super) abused_tlds: Vec<String>,
    /// Hosts that turn short links into long ones.
    pub(super) shortener_hosts: Vec<String>,
    /// Hosts where anyone publishes a page for nothing.
    pub(super) free_hosts: Vec<String>,
    /// Suffixes of dynamic DNS and tunnel services.
    pub(super) dynamic_dns_hosts: Vec<String>,
    /// Hosts that take a form's content for anyone.
    pub(super) collector_hosts: Vec<String>,
    /// Frames that good pages hide.
    pub(super) harmless_frame_hosts: Vec<String>,
    /// Words of a host name that pretend to be the place to log in.
    pub(super) credential_words: Vec<String>,
    /// File endings of programs, without the dot.
    pub(super) program_endings: Vec<String>,
    /// File endings of scripts and of files that start something when opened.
    pub(super) script_endings: Vec<String>,
    /// File endings of archives and disk images.
    pub(super) archive_endings: Vec<String>,
    /// File endings of documents and media, which a program hides behind.
    pub(super) document_endings: Vec<String>,
    /// Names of fields that ask for a password or code.
    pub(super) secret_fields: Vec<String>,
    /// Names of the scripts to which kits post what they collect.
    pub(super) kit_scripts: Vec<String>,
    /// Names of fields that ask for a payment card's number or code.
    pub(super) card_fields: Vec<String>,
    /// Names of fields that ask for official numbers of a person.
    pub(super) identity_fields: Vec<String>,
}

/// Whether a host is one of the list or lies below one.
pub(super) fn lists_host(list: &[String], host: &str) -> bool {
    let host = host.trim_end_matches('.');
    list.iter().any(|entry| {
        host.strip_suffix(entry.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// Text that stands for a fact.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Phrase {
    fact: Fact,
    r#where: Place,
    pattern: String,
}

/// Where a phrase is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Place {
    Title,
    Text,
    Either,
}

/// Compiled phrases.
#[derive(Debug, Clone)]
pub(super) struct Phrases(Vec<(Fact, Place, Regex)>);

impl Phrases {
    pub(super) fn new(phrases: Vec<Phrase>) -> Result<Self, RulesError> {
        let compiled = phrases.into_iter().map(|phrase| {
            let regex = RegexBuilder::new(&phrase.pattern)
                .case_insensitive(true)
                .size_limit(PHRASE_BYTES)
                .build()
                .map_err(|source| RulesError::Phrase {
                    fact: phrase.fact.name(),
                    source: Box::new(source),
                })?;
            Ok((phrase.fact, phrase.r#where, regex))
        });
        compiled.collect::<Result<_, RulesError>>().map(Self)
    }

    /// Each fact whose phrase stands in the title or the text, with what was matched and where it was looked for.
    pub(super) fn find<'t>(&self, title: &'t str, text: &'t str) -> Vec<(Fact, &'t str, Place)> {
        let hits = self.0.iter().filter_map(|(fact, place, regex)| {
            let found = match place {
                Place::Title => regex.find(title),
                Place::Text => regex.find(text),
                Place::Either => regex.find(title).or_else(|| regex.find(text)),
            };
            found.map(|found| (*fact, found.as_str(), *place))
        });
        hits.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_listed_with_all_below_it_and_nothing_beside_it() {
        let list = ["example.com".to_owned()];
        for (host, listed) in [
            ("example.com", true),
            ("a.b.example.com", true),
            ("example.com.", true),
            ("badexample.com", false),
            ("example.com.evil.test", false),
            ("", false),
        ] {
            assert_eq!(lists_host(&list, host), listed, "{host}");
        }
    }
}
