//! Drives the HTML parser over a page, within bounds of time, nodes and depth.
//!
//! A guard sits between tokenizer and tree builder and drops every token once a bound is reached: a single
//! chunk of input can otherwise become millions of nodes (unclosed formatting elements are cloned into each
//! paragraph). Scripting counts as off, so `noscript` is parsed like everything else.

use std::cell::Cell;
use std::time::Instant;

use encoding_rs::{CoderResult, Encoding};
use html5ever::TokenizerResult;
use html5ever::buffer_queue::BufferQueue;
use html5ever::interface::TreeSink as _;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};

use super::dom::{Dom, Growing, NodeId};

/// Pages of several megabytes have some 50,000 nodes; this many take about 30 MB.
const MAX_NODES: usize = 200_000;

/// Blink flattens what is deeper than 512; each level costs time at every token.
const MAX_DEPTH: u32 = 5_000;

/// A login page hidden in a frame has some 500.
const MAX_INNER_NODES: usize = 50_000;

/// From here on elements that nest are left out, as Blink does at 512: what they hold is still read, one level up.
const FLAT_DEPTH: u32 = 1_000;

/// The tokenizer compares each attribute with all before it, so that one endless tag gets slow: time is looked
/// at after each piece of this many bytes.
const PIECE_BYTES: usize = 8 * 1024;

/// A parsed page.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) dom: Dom,
    /// A bound was reached, and what came after it is missing.
    pub(super) stopped: bool,
}

struct Guard {
    builder: TreeBuilder<NodeId, Growing>,
    max_nodes: usize,
    deadline: Instant,
    stopped: Cell<bool>,
}

impl Guard {
    fn check(&self) -> bool {
        let tree = &self.builder.sink;
        if tree.len() > self.max_nodes || tree.deepest() > MAX_DEPTH || Instant::now() >= self.deadline {
            self.stopped.set(true);
        }
        self.stopped.get()
    }

    /// Whether a start tag opens a level that is not needed to know what the page holds.
    fn too_deep_for(&self, token: &Token) -> bool {
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag && !tag.self_closing => {
                self.builder.sink.latest() > FLAT_DEPTH && !is_flat(&tag.name)
            }
            _ => false,
        }
    }
}

/// Elements that are facts, and hold no other element of their kind.
fn is_flat(name: &str) -> bool {
    matches!(
        name,
        "a" | "area"
            | "base"
            | "body"
            | "br"
            | "button"
            | "embed"
            | "form"
            | "html"
            | "iframe"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "option"
            | "script"
            | "select"
            | "source"
            | "style"
            | "textarea"
            | "title"
    )
}

impl TokenSink for Guard {
    type Handle = NodeId;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<NodeId> {
        if self.check() || self.too_deep_for(&token) {
            return TokenSinkResult::Continue;
        }
        self.builder.process_token(token, line)
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// Parses a page's `bytes`, decoded piece by piece.
pub(super) fn parse(bytes: &[u8], encoding: &'static Encoding, deadline: Instant) -> Parsed {
    parse_within(MAX_NODES, bytes, encoding, deadline)
}

/// Parses a document inside a page whose own tree is still there.
pub(super) fn parse_inner(bytes: &[u8], deadline: Instant) -> Parsed {
    parse_within(MAX_INNER_NODES, bytes, encoding_rs::UTF_8, deadline)
}

fn parse_within(max_nodes: usize, bytes: &[u8], encoding: &'static Encoding, deadline: Instant) -> Parsed {
    let options = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let builder = TreeBuilder::new(Growing::new(), options);
    let guard = Guard { builder, max_nodes, deadline, stopped: Cell::new(false) };
    let tokenizer = Tokenizer::new(guard, TokenizerOpts::default());
    let input = BufferQueue::default();
    let mut decoder = encoding.new_decoder_with_bom_removal();
    let mut rest = bytes;
    loop {
        let mut piece = String::with_capacity(PIECE_BYTES);
        let (result, read, _) = decoder.decode_to_string(rest, &mut piece, true);
        rest = rest.get(read..).unwrap_or_default();
        input.push_back(StrTendril::from(piece.as_str()));
        // A script or an encoding the page asks for interrupts the tokenizer; neither is acted upon.
        while !matches!(tokenizer.feed(&input), TokenizerResult::Done) {}
        if tokenizer.sink.check() || result == CoderResult::InputEmpty {
            break;
        }
    }
    let stopped = tokenizer.sink.stopped.get();
    if !stopped {
        tokenizer.end();
    }
    Parsed { stopped: stopped || tokenizer.sink.stopped.get(), dom: tokenizer.sink.builder.sink.finish() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::dom::DOCUMENT;
    use super::*;

    fn parsed(html: &str) -> Parsed {
        parse(html.as_bytes(), encoding_rs::UTF_8, Instant::now() + Duration::from_secs(600))
    }

    fn count(dom: &Dom, name: &str) -> usize {
        dom.below(DOCUMENT)
            .filter(|id| dom.element(*id).is_some_and(|element| element.html() == name))
            .count()
    }

    #[test]
    fn the_tree_is_the_one_the_standard_builds() {
        let got = parsed("<table><form><tr><td>x<form></table><p>a<b>b<p>c</b>d<template><form></template>");
        assert!(!got.stopped);
        assert_eq!((count(&got.dom, "form"), count(&got.dom, "b"), count(&got.dom, "p")), (2, 2, 2));
        let text: String = got.dom.below(DOCUMENT).filter_map(|id| got.dom.text(id)).collect();
        assert_eq!(text, "xabcd");
    }

    #[test]
    fn cloned_formatting_elements_and_deep_nesting_stop_at_a_bound() {
        let open: String = (0..500).map(|n| format!("<b id={n}>")).collect();
        // Each block that ends leaves the elements to be opened again in the next.
        let got = parsed(&format!("<div>{open}</div>{}", "<div>x</div>".repeat(2000)));
        assert!(got.stopped && got.dom.below(DOCUMENT).count() < MAX_NODES + 5000);
        assert!(parsed(&format!("<svg>{}", "<a>".repeat(100_000))).stopped);
        assert!(!parsed(&"<div>".repeat(1_000)).stopped);
    }

    #[test]
    fn what_stands_deeper_than_anybody_nests_is_still_read() {
        let html = format!("{}<form><input type=password></form><a href=x>", "<div>".repeat(100_000));
        let got = parsed(&html);
        assert!(!got.stopped);
        assert_eq!((count(&got.dom, "form"), count(&got.dom, "input"), count(&got.dom, "a")), (1, 1, 1));
        assert!(count(&got.dom, "div") <= FLAT_DEPTH as usize + 1);
    }

    #[test]
    fn a_deadline_that_has_passed_leaves_an_empty_tree() {
        let got = parse(b"<p>x", encoding_rs::UTF_8, Instant::now());
        assert_eq!((got.stopped, count(&got.dom, "p")), (true, 0));
    }

    #[test]
    fn a_character_split_between_two_pieces_is_one_character() {
        for shift in 0..4 {
            let text = format!("<p>{}{}", "x".repeat(shift), "é€😀".repeat(4000));
            let got = parsed(&text);
            let read: String = got.dom.below(DOCUMENT).filter_map(|id| got.dom.text(id)).collect();
            assert_eq!(read, text[3..], "{shift}");
        }
    }
}
