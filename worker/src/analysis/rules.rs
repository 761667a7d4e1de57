//! The rules as data: read, checked and applied. A rule names one fact and says what it means when that fact
//! was seen often enough; it computes nothing.

use std::collections::BTreeSet;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::brands::{Brand, Brands};
use super::facts::{Fact, Facts};
use super::lists::{Lists, Phrase, Phrases};
use crate::domain::verdict::{Category, Finding, Severity};

/// The files of `config/rules`, read as one text.
const EMBEDDED: &str = concat!(
    include_str!("../../../config/rules/lists.toml"),
    include_str!("../../../config/rules/brands.toml"),
    include_str!("../../../config/rules/phrases.toml"),
    include_str!("../../../config/rules/address.toml"),
    include_str!("../../../config/rules/page.toml"),
    include_str!("../../../config/rules/file.toml"),
    include_str!("../../../config/rules/thin.toml"),
);

/// No rule adds or takes away more than this.
const MAX_WEIGHT: i32 = 100;

/// A checked set of rules.
#[derive(Debug, Clone)]
pub struct Rules {
    thresholds: Thresholds,
    lists: Lists,
    brands: Brands,
    phrases: Phrases,
    rules: Vec<Rule>,
    digest: String,
}

/// Why a text is not a set of rules.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Not TOML of this shape; an unknown fact is found here too.
    #[error("the rules do not read")]
    Syntax {
        /// Where and why.
        #[from]
        source: toml::de::Error,
    },
    /// A rule that says something impossible.
    #[error("rule '{id}': {reason}")]
    Rule {
        /// The rule's id.
        id: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Thresholds that leave no room for a state.
    #[error("the thresholds must satisfy 0 < suspicious < malicious <= 100")]
    Thresholds,
    /// A brand without words or domains, or named twice.
    #[error("brand '{name}': {reason}")]
    Brand {
        /// The brand's name.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A phrase that is not a regular expression.
    #[error("the phrase for '{fact}' is not a regular expression")]
    Phrase {
        /// The fact it stands for.
        fact: &'static str,
        /// Why not.
        source: Box<regex::Error>,
    },
}

/// From which score on a state holds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Thresholds {
    pub(super) suspicious: u8,
    pub(super) malicious: u8,
}

/// One rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// Stable, kebab-case.
    pub(super) id: String,
    pub(super) fact: Fact,
    /// How often the fact must have been seen.
    #[serde(default = "once")]
    pub(super) at_least: u64,
    pub(super) weight: i32,
    pub(super) severity: Severity,
    pub(super) category: Category,
    pub(super) title: String,
    /// Ends "The verdict is …: "; `{}` stands for the first piece of evidence.
    pub(super) sentence: String,
    /// What was seen is too little to call the page good.
    #[serde(default)]
    pub(super) thin: bool,
}

const fn once() -> u64 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    thresholds: Thresholds,
    lists: Lists,
    #[serde(default)]
    brand: Vec<Brand>,
    #[serde(default)]
    phrase: Vec<Phrase>,
    rule: Vec<Rule>,
}

/// A rule whose fact was seen.
#[derive(Debug, Clone)]
pub(super) struct Fired<'a> {
    pub(super) rule: &'a Rule,
    pub(super) evidence: Vec<String>,
}

impl Fired<'_> {
    pub(super) fn finding(&self) -> Finding {
        Finding {
            rule_id: self.rule.id.clone(),
            title: self.rule.title.clone(),
            severity: self.rule.severity,
            weight: self.rule.weight,
            category: self.rule.category,
            evidence: self.evidence.clone(),
        }
    }
}

impl Rules {
    /// The rules this program was built with.
    ///
    /// # Panics
    /// Never: a test reads them.
    #[must_use]
    pub fn embedded() -> Self {
        Self::parse(EMBEDDED).expect("the embedded rules are read by a test")
    }

    /// Reads and checks a set of rules.
    ///
    /// # Errors
    /// [`RulesError`] names the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let File { thresholds, lists, brand, phrase, rule: rules } = toml::from_str(text)?;
        if !(0 < thresholds.suspicious
            && thresholds.suspicious < thresholds.malicious
            && thresholds.malicious <= 100)
        {
            return Err(RulesError::Thresholds);
        }
        let mut ids = BTreeSet::new();
        for rule in &rules {
            let wrong = |reason| Err(RulesError::Rule { id: rule.id.clone(), reason });
            if rule.id.is_empty() || !rule.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
                return wrong("an id is made of lower-case letters and hyphens");
            }
            if !ids.insert(rule.id.as_str()) {
                return wrong("two rules have this id");
            }
            if rule.at_least == 0 {
                return wrong("at_least = 0 would always fire");
            }
            if rule.weight.abs() > MAX_WEIGHT {
                return wrong("the weight must lie between -100 and 100");
            }
            if rule.title.trim().is_empty() || rule.sentence.trim().is_empty() {
                return wrong("title and sentence must say something");
            }
        }
        let digest = Sha256::digest(text.as_bytes());
        Ok(Self {
            thresholds,
            lists,
            brands: Brands::new(brand)?,
            phrases: Phrases::new(phrase)?,
            rules,
            digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// SHA-256 of the text the rules were read from, in lower-case hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    pub(super) const fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    pub(super) const fn lists(&self) -> &Lists {
        &self.lists
    }

    pub(super) const fn brands(&self) -> &Brands {
        &self.brands
    }

    pub(super) const fn phrases(&self) -> &Phrases {
        &self.phrases
    }

    /// Every rule, in the order of the files.
    #[cfg(test)]
    pub(super) fn all(&self) -> &[Rule] {
        &self.rules
    }

    /// Every rule's id.
    #[cfg(test)]
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.id.as_str())
    }

    /// Every rule whose fact was seen often enough, strongest first.
    pub(super) fn fired(&self, facts: &Facts) -> Vec<Fired<'_>> {
        let mut fired: Vec<_> = self
            .rules
            .iter()
            .filter_map(|rule| {
                let seen = facts.seen(rule.fact)?;
                (seen.count >= rule.at_least).then(|| Fired { rule, evidence: seen.evidence.clone() })
            })
            .collect();
        fired.sort_by(|a, b| b.rule.weight.cmp(&a.rule.weight).then_with(|| a.rule.id.cmp(&b.rule.id)));
        fired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(rules: &str) -> Result<Rules, RulesError> {
        let text = format!(
            "{}{}{rules}",
            include_str!("../../../config/rules/lists.toml"),
            include_str!("../../../config/rules/brands.toml")
        );
        Rules::parse(&text)
    }

    fn rule(id: &str, fact: &str, weight: i32) -> String {
        format!(
            "\n[[rule]]\nid = \"{id}\"\nfact = \"{fact}\"\nweight = {weight}\nseverity = \"low\"\n\
             category = \"other\"\ntitle = \"t\"\nsentence = \"s\"\n"
        )
    }

    #[test]
    fn the_embedded_rules_read_and_use_every_fact() {
        let rules = Rules::embedded();
        let used: BTreeSet<_> = rules.rules.iter().map(|rule| rule.fact).collect();
        let unused: Vec<_> = Fact::ALL.iter().filter(|fact| !used.contains(fact)).collect();
        assert!(unused.is_empty(), "no rule speaks of {unused:?}");
        assert!(rules.rules.len() >= 25);
    }

    #[test]
    fn a_change_of_a_rule_shows_here() {
        let rules = Rules::embedded();
        let table: String = rules
            .rules
            .iter()
            .map(|rule| {
                let thin = if rule.thin { " thin" } else { "" };
                format!("{:>4} {:8} {}{thin}\n", rule.weight, format!("{:?}", rule.severity), rule.id)
            })
            .collect();
        insta::assert_snapshot!(table);
    }

    #[test]
    fn rules_that_cannot_be_meant_are_refused_with_the_reason() {
        assert!(with(&rule("a", "url-ip-host", 1)).is_ok());
        for (rules, needle) in [
            (rule("a", "no-such-fact", 1), "unknown variant `no-such-fact`"),
            (rule("a", "url-ip-host", 1) + &rule("a", "url-punycode", 1), "two rules have this id"),
            (rule("a", "url-ip-host", 101), "between -100 and 100"),
            (rule("A b", "url-ip-host", 1), "lower-case letters and hyphens"),
            (rule("a", "url-ip-host", 1) + "at_least = 0\n", "always fire"),
            (rule("a", "url-ip-host", 1) + "colour = 1\n", "unknown field `colour`"),
            (
                rule("a", "url-ip-host", 1) + "[[brand]]\nname = \"X\"\nwords = []\ndomains = [\"x.test\"]\n",
                "brand 'X'",
            ),
            (
                rule("a", "url-ip-host", 1)
                    + "[[phrase]]\nfact = \"page-parked\"\nwhere = \"title\"\npattern = \"(\"\n",
                "not a regular expression",
            ),
        ] {
            let error = with(&rules).expect_err(needle);
            let text = format!(
                "{error} {}",
                std::error::Error::source(&error).map_or_else(String::new, ToString::to_string)
            );
            assert!(text.contains(needle), "{text}");
        }
    }

    #[test]
    fn thresholds_leave_room_for_every_state() {
        let text = EMBEDDED.replacen("malicious = 70", "malicious = 20", 1);
        assert_ne!(text, EMBEDDED);
        assert!(matches!(Rules::parse(&text), Err(RulesError::Thresholds)));
    }

    #[test]
    fn the_digest_is_that_of_the_text_and_nothing_else() {
        let one = with(&rule("a", "url-ip-host", 1)).expect("rules");
        let same = with(&rule("a", "url-ip-host", 1)).expect("rules");
        let other = with(&rule("a", "url-ip-host", 2)).expect("rules");
        assert_eq!(one.digest(), same.digest());
        assert_ne!(one.digest(), other.digest());
        assert_eq!(one.digest().len(), 64);
    }
}
