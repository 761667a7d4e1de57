//! Words that a person reads as others than they are: look-alike letters, accents, and characters that do not show.

use std::collections::BTreeSet;

use super::{Fact, Facts};
use crate::analysis::case::Case;
use crate::analysis::names::skeleton;

/// Words of login pages that filters look for, and that no other language writes with accents.
const VOCABULARY: [&str; 13] = [
    "password",
    "username",
    "account",
    "verify",
    "security",
    "login",
    "signin",
    "access",
    "microsoft",
    "outlook",
    "webmail",
    "mailbox",
    "download",
];

/// One such word may be a word of another language or a slip; a second one, or a long one, is meant.
const MEANT: usize = 2;

/// A disguised word this long is no chance.
const LONG: usize = 8;

pub(super) fn add(case: &Case<'_>, facts: &mut Facts) {
    let mut found = BTreeSet::new();
    let fields = case.features().into_iter().flat_map(|features| {
        features.forms.iter().flat_map(|form| form.inputs.iter().map(|input| input.name.as_str()))
    });
    for text in [case.title(), case.text()].into_iter().chain(fields) {
        found.extend(disguised(text));
    }
    let long = found.iter().any(|word| word.1.len() >= LONG);
    if found.len() >= MEANT || long {
        let shown: Vec<_> = found.into_iter().map(|(word, _)| word).collect();
        facts.see(Fact::PageDisguisedWords, shown.join(", "));
    }
}

/// Disguised words as they stand, each with what it is read as.
fn disguised(text: &str) -> impl Iterator<Item = (String, &'static str)> + '_ {
    let part_of_word = |c: char| c.is_alphanumeric() || is_unseen(c);
    text.split(move |c: char| !part_of_word(c)).filter_map(|word| {
        // Longer than any of them with a character between each two of theirs.
        if word.is_ascii() && !word.contains("vv") || word.len() > 100 {
            return None;
        }
        let plain: String = word.chars().filter(|c| !is_unseen(*c)).flat_map(char::to_lowercase).collect();
        let read = skeleton(&plain);
        let meant = VOCABULARY.iter().find(|known| skeleton(known) == read)?;
        (plain != **meant || plain.chars().count() != word.chars().count())
            .then(|| (word.to_lowercase(), *meant))
    })
}

/// Joiners, spaces of no width and soft hyphens, which show nothing inside a word this short.
const fn is_unseen(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_disguise_are_told_from_words_of_other_languages() {
        for (text, found) in [
            ("Your Passvvord", 1),
            ("Old Accëss, New Lögin", 2),
            ("Do\u{ad}wn\u{ad}load", 1),
            ("pаssword", 1),
            ("password Account LOGIN download", 0),
            ("sécurité accès vérification contraseña", 0),
            ("Sicherheits\u{ad}überprüfung", 0),
            ("vvv", 0),
        ] {
            assert_eq!(disguised(text).count(), found, "{text}");
        }
    }
}
