//! Pages built to hurt whoever reads them: each ends, in bounds, with what was read.

use super::*;

/// Through all of the page's code, with the limits of a real fetch: how far it gets depends on the machine.
fn limited(html: &str) -> Features {
    let url = Url::parse("http://a.test/").expect("a URL");
    let far = tokio::time::Instant::now() + Duration::from_secs(600);
    let source = crate::page::Source {
        url: &url,
        declared: Some("text/html; charset=utf-8"),
        disposition: None,
        options: None,
    };
    let got = crate::page::read(&source, html.as_bytes(), false, far);
    got.features.expect("it is a page")
}

/// A form before what hurts: it must not be lost.
fn after_a_form(html: &str) -> Features {
    let features = limited(&format!("<title>t</title><form><input type=password></form>{html}"));
    assert_eq!((features.title.as_deref(), features.password_fields), (Some("t"), 1));
    features
}

#[test]
fn deep_nesting_keeps_what_was_read_before_and_below() {
    let deep = "<div>".repeat(100_000);
    let below = features(&format!("<form>{deep}<a href=/x>x</a>{}", "</div>".repeat(100_000)));
    assert_eq!((below.form_count, below.links.total), (1, 1));
    after_a_form(&format!("<svg>{}", "<g>".repeat(100_000)));
    after_a_form(&"<b>".repeat(1_000_000));
    after_a_form(&"<table><tr><td>".repeat(50_000));
    after_a_form(&"<template>".repeat(50_000));
}

#[test]
fn long_lists_are_counted_and_cut() {
    let got = features(&"<a href=/x></a>".repeat(100_000));
    assert_eq!((got.links.total, got.links.list.len()), (100_000, MAX_LINKS));
    let got = features(&"<form></form>".repeat(50_000));
    assert_eq!((got.form_count, got.forms.len()), (50_000, 50));
    let got = features(&"<script>location='/x'</script>".repeat(20_000));
    assert_eq!((got.script_count, got.possible_redirects.len()), (20_000, 1));
}

#[test]
fn long_texts_are_cut_wherever_they_stand() {
    let mega = |what: &str, bytes: usize| what.repeat(bytes / what.len());
    after_a_form(&format!("<a href=\"{}\">x</a>", mega("x", 10_000_000)));
    after_a_form(&format!("<div style=\"{}\" class=\"{}\">", mega("a:b;", 2_000_000), mega("c ", 500_000)));
    after_a_form(&format!("<!--{}-->", mega("author ", 500_000)));
    after_a_form(&format!("<p>{}", mega("&amp;", 1_000_000)));
    after_a_form(&format!("<p>{}", mega("a@b.org (at) x.y 030 1234567 ", 500_000)));
    after_a_form(&format!("<p>{}", mega("@", 1_000_000)));
    after_a_form(&format!("<p>{}", mega("\0", 1_000_000)));
    after_a_form(&format!("<script>{}</script>", mega("x='a'+", 500_000)));
    after_a_form(&format!("<script type=application/ld+json>{}</script>", mega("{\"a\":[", 1_000_000)));
    after_a_form(&format!("<iframe srcdoc=\"{}\">", mega("<p>x", 1_000_000)));
}

#[test]
fn traps_that_cost_the_square_of_their_size_end() {
    let attributes: String = (0..20_000).map(|n| format!(" a{n}=b")).collect();
    after_a_form(&format!("<p{attributes}>"));
    after_a_form(&format!("<html{attributes}><html{attributes}><body{attributes}>"));
    after_a_form(&"<span style='direction:rtl;unicode-bidi:bidi-override'>x".repeat(20_000));
    after_a_form(&"<a href=x><p>".repeat(20_000));
    after_a_form(&"<iframe srcdoc='<iframe srcdoc=x>'></iframe>".repeat(20_000));
    after_a_form(&"<select><option><button><p>".repeat(20_000));
    let blanks = " ".repeat(5_000_000);
    after_a_form(&format!("<p>{blanks}x"));
    after_a_form(&format!("<p hidden>(at){blanks}x"));
    after_a_form(&format!("<noscript>[at]{blanks}[dot]{blanks}x"));
    after_a_form(&format!("{}{blanks}x", "<bdo dir=rtl>".repeat(900)));
}

#[test]
fn a_deadline_between_two_nodes_keeps_what_was_read() {
    let html = format!("<title>t</title>{}", "<p>x</p>".repeat(10_000));
    let far = Instant::now() + Duration::from_secs(600);
    let dom = parse::parse(html.as_bytes(), encoding_rs::UTF_8, far).dom;
    let url = Url::parse("http://a.test/").expect("a URL");
    let got = collect(&dom, &url, Instant::now());
    assert!(got.stopped && got.text.words < u64::from(NODES_A_LOOK));
    assert_eq!(got.features.title.as_deref(), Some("t"));
}
