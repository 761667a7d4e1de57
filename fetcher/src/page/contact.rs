//! How a page says its people can be reached: e-mail addresses and texts that look like telephone numbers.
//!
//! Running text is gathered up to the end of a block, so that an address split over elements is one, and what nobody
//! sees between its parts is not in it.

use std::collections::{HashMap, HashSet};

use safeurl_protocol::PhoneText;

use super::json_ld::Said;
use super::{email, embedded, phone};
use crate::report::prefix;

/// A staff list has some 100.
pub(super) const MAX_EMAILS: usize = 200;
/// A page of branches has some 50.
pub(super) const MAX_PHONES: usize = 100;
/// A block of text longer than this is looked at in pieces.
const MAX_BLOCK_BYTES: usize = 16 * 1024;
/// Of an attribute or a link: a letter with its text.
const MAX_VALUE_BYTES: usize = 8 * 1024;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    pub(super) emails: Vec<String>,
    pub(super) phones: Vec<PhoneText>,
    pub(super) emails_capped: bool,
    pub(super) phones_capped: bool,
    known: HashSet<String>,
    /// By their digits.
    numbers: HashMap<String, usize>,
    block: String,
}

impl Contacts {
    /// Visible text, in pieces.
    pub(super) fn visible(&mut self, mut text: &str) {
        while !text.is_empty() {
            let room = MAX_BLOCK_BYTES.saturating_sub(self.block.len()).max(4);
            let piece = prefix(text, room);
            self.block.push_str(piece);
            text = &text[piece.len()..];
            if self.block.len() >= MAX_BLOCK_BYTES - 4 {
                self.gap();
            }
        }
    }

    /// A block ends here.
    pub(super) fn gap(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let block = std::mem::take(&mut self.block);
        self.text(&block);
        phone::find(&block, &mut |text| self.phone(text, false));
        self.block = block;
        self.block.clear();
    }

    /// Other text, in one piece: addresses only.
    pub(super) fn text(&mut self, text: &str) {
        email::find(text, &mut |address| self.email(address));
        email::find_disguised(text, &mut |address| self.email(address));
    }

    /// An attribute's value.
    pub(super) fn value(&mut self, value: &str) {
        if value.contains('@') {
            email::find(prefix(value, MAX_VALUE_BYTES), &mut |address| self.email(address));
        }
    }

    /// Text that is shown from its end to its beginning.
    pub(super) fn reversed(&mut self, text: &str) {
        self.value(&text.chars().rev().collect::<String>());
    }

    /// What Cloudflare put in place of an address.
    pub(super) fn encoded(&mut self, hex: &str) {
        if let Some(text) = email::cloudflare(hex.trim()) {
            self.value(&text);
        }
    }

    /// A link's address.
    pub(super) fn link(&mut self, href: &str) {
        let href = prefix(href.trim(), MAX_VALUE_BYTES);
        if let Some((_, hex)) = href.split_once("/cdn-cgi/l/email-protection#") {
            self.encoded(hex);
        }
        if href.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:")) {
            // The text of a letter may name addresses too; a field's name and its mark do not belong to them.
            for part in href[7..].split(['?', '&', ',', ';']) {
                let part = part.split_once('=').map_or(part, |(_, value)| value);
                let text = embedded::percent_decoded(part);
                self.value(&String::from_utf8_lossy(&text));
            }
        }
        if let Some(text) = phone::of_link(href) {
            self.phone(&text, true);
        }
    }

    /// What JSON-LD says; a type is no contact and given back.
    pub(super) fn said(&mut self, said: Said) -> Option<String> {
        match said {
            Said::Type(name) => return Some(name),
            Said::Telephone(text) => self.marked(&text),
            Said::Email(text) => self.value(&text),
        }
        None
    }

    /// A text that stands where a telephone number belongs.
    pub(super) fn marked(&mut self, text: &str) {
        let text = text.trim().trim_start_matches("tel:");
        let digits = text.chars().filter(char::is_ascii_digit).count();
        if (3..=17).contains(&digits) {
            self.phone(prefix(text, phone::MAX_TEXT_BYTES), true);
        }
    }

    fn phone(&mut self, text: &str, marked: bool) {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if let Some(known) = self.numbers.get(&digits).and_then(|index| self.phones.get_mut(*index)) {
            known.marked |= marked;
        } else if self.phones.len() < MAX_PHONES {
            self.numbers.insert(digits, self.phones.len());
            self.phones.push(PhoneText { text: text.to_owned(), marked });
        } else {
            self.phones_capped = true;
        }
    }

    fn email(&mut self, address: String) {
        if self.known.contains(&address) {
            return;
        }
        if self.emails.len() < MAX_EMAILS {
            self.known.insert(address.clone());
            self.emails.push(address);
        } else {
            self.emails_capped = true;
        }
    }
}
