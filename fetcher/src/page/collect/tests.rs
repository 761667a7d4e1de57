//! Facts of small pages, one idea each.

mod capped;
mod hidden;
mod survives;

use std::time::Duration;

use super::*;
use crate::page::address::MAX_URL_BYTES;
use crate::page::parse;

fn page(html: &str) -> Page {
    let url = Url::parse("http://a.test/dir/page?q=1").expect("a URL");
    let far = Instant::now() + Duration::from_secs(600);
    collect(&parse::parse(html.as_bytes(), encoding_rs::UTF_8, far).dom, &url, far)
}

fn features(html: &str) -> Features {
    page(html).features
}

fn names(form: &safeurl_protocol::Form) -> Vec<&str> {
    form.inputs.iter().map(|input| input.name.as_str()).collect()
}

#[test]
fn the_title_is_the_first_one_of_the_document_and_not_of_a_picture() {
    let html = "<svg><title>drawing</title></svg><body><title> The\n  first </title><title>second</title>";
    assert_eq!(features(html).title.as_deref(), Some("The first"));
    assert_eq!(features("<title> </title><title>late</title>").title, None);
}

#[test]
fn meta_elements_are_listed_by_name_and_the_first_wins() {
    let got = features(
        "<html lang=' de '><meta name=Description content='one'><meta name=description content=two>\
         <meta http-equiv=X-UA-Compatible content=IE><meta property=og:Title content=T>\
         <link rel='x CANONICAL' href=/c><link rel=canonical href=/d>",
    );
    assert_eq!(got.description.as_deref(), Some("one"));
    assert_eq!(got.meta.get("x-ua-compatible").map(String::as_str), Some("IE"));
    assert_eq!(got.open_graph.get("title").map(String::as_str), Some("T"));
    assert_eq!(got.canonical.as_deref(), Some("http://a.test/c"));
    assert_eq!(got.language.as_deref(), Some("de"));
}

#[test]
fn a_language_is_found_wherever_it_is_declared() {
    for html in
        ["<html lang=pt>", "<html xml:lang=pt>", "<meta http-equiv=Content-Language content='pt, en'>"]
    {
        assert_eq!(features(html).language.as_deref(), Some("pt"), "{html}");
    }
    let both = features("<html lang=de><meta http-equiv=content-language content=en>");
    assert_eq!(both.language.as_deref(), Some("de"));
}

#[test]
fn open_graph_is_read_from_either_attribute() {
    let got = features("<meta name=og:image content=a><meta property='og:type' name=x content=b>");
    let read: Vec<_> = got.open_graph.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(read, [("image", "a"), ("type", "b")]);
    assert_eq!(got.meta.get("x").map(String::as_str), Some("b"));
}

#[test]
fn the_icon_is_the_first_one_and_whole_when_it_is_in_the_page() {
    assert_eq!(
        page("<link rel=apple-touch-icon href=/t><link rel='shortcut icon' href=/i>").icon.as_deref(),
        Some("http://a.test/i")
    );
    let data = format!("data:image/png;base64,{}", "A".repeat(100_000));
    assert_eq!(page(&format!("<link rel=icon href='{data}'>")).icon, Some(data));
    let huge = "A".repeat(300_000);
    assert_eq!(page(&format!("<link rel=icon href='data:,{huge}'>")).icon, None);
}

#[test]
fn a_button_may_send_a_form_elsewhere() {
    let got = features(
        "<form action=/one><input type=submit formaction=//b.test/two><button formaction=' /three '>x</button>\
         <input type=text formaction=/no></form>",
    );
    let actions: Vec<_> = got.forms[0].inputs.iter().map(|input| input.form_action.as_deref()).collect();
    assert_eq!(actions, [Some("http://b.test/two"), Some("http://a.test/three"), None]);
}

#[test]
fn structured_data_gives_types_and_contacts() {
    let got = features(
        "<script type='application/ld+json'>{\"@graph\":[{\"@type\":\"Shop\",\"telephone\":\"+49 30 901820\",\
         \"email\":\"x@y.org\"},{\"@type\":[\"Shop\",\"Place\"]}]}</script>\
         <span itemprop=telephone>030 / 12 34</span><meta itemprop=telephone content=+15551234567>",
    );
    assert_eq!(got.json_ld, ["Shop", "Place"]);
    assert_eq!(got.emails, ["x@y.org"]);
    let phones: Vec<_> = got.phones.iter().map(|phone| (phone.text.as_str(), phone.marked)).collect();
    assert_eq!(phones, [("+49 30 901820", true), ("030 / 12 34", true), ("+15551234567", true)]);
}

#[test]
fn contacts_are_found_in_text_links_and_attributes_and_listed_once() {
    let got = features(
        "<p>Mail <b>info</b>@Example.org or <a href='mailto:a@b.org,c@d.org?cc=e%40f.org&subject=x'>us</a></p>\
         <p>info@example.org, Tel. 030 901820-0</p><a href=tel:+49309018200>call</a><a href=tel:0309018200>x</a>\
         <input value=g@h.org placeholder=no@no.org><div title='i@j.org'></div>",
    );
    assert_eq!(got.emails, ["a@b.org", "c@d.org", "e@f.org", "info@example.org", "g@h.org", "i@j.org"]);
    let phones: Vec<_> = got.phones.iter().map(|phone| (phone.text.as_str(), phone.marked)).collect();
    assert_eq!(phones, [("030 901820-0", true), ("+49309018200", true)]);
}

#[test]
fn disguised_addresses_are_read_as_a_person_reads_them() {
    for html in [
        "a&#64;b.org",
        "a<!-- x -->@b.org",
        "a<span style='display:none'>NOSPAM</span>@b.org",
        "a [at] b [dot] org",
        "<i>a</i> (at) b.org",
        "<span data-cfemail=5a3b1a387435283d>[email protected]</span>",
        "<a href='/cdn-cgi/l/email-protection#5a3b1a387435283d'>x</a>",
        "<span style='unicode-bidi:bidi-override; direction: rtl'>gro.b@a</span>",
        "<bdo dir=rtl>gro.b@a</bdo>",
        "<script>m = 'a' + '@' + 'b.org'</script>",
        "<noscript>a@b.org</noscript>",
        "<a href=x onclick=\"location='mai'+'lto:a@b.org'\">x</a>",
    ] {
        assert!(features(html).emails.contains(&"a@b.org".to_owned()), "{html}: {:?}", features(html).emails);
    }
}

#[test]
fn comments_and_traces_are_listed() {
    let got = features(
        "<!-- saved from url=(0019)http://bank.example/ --><!--[if IE]><form><![endif]--><!-- header -->\
         <app ng-version='17.1'></app><div data-v-1a2b></div>",
    );
    assert_eq!(got.comments, ["saved from url=(0019)http://bank.example/"]);
    assert_eq!(got.markers, ["ng-version=17.1", "vue"]);
}

#[test]
fn scripts_handlers_and_script_links_may_redirect() {
    let got = features(
        "<base href=http://b.test/d/><script>location = 'x'</script><body onload=\"location.replace('/y')\">\
         <a href=\"javascript:window.open('http://c%2etest/')\">x</a>\
         <script type=text/template>location='no'</script>\
         <script>document.write('<meta http-equiv=refresh content=\"0;url=/z\">')</script>",
    );
    let read: Vec<_> = got.possible_redirects.iter().map(|one| (one.to.as_str(), one.by)).collect();
    use safeurl_protocol::RedirectMeans::{Location, Meta, Open, Replace};
    assert_eq!(
        read,
        [
            ("http://b.test/d/x", Location),
            ("http://b.test/y", Replace),
            ("http://c.test/", Open),
            ("http://b.test/z", Meta)
        ]
    );
    assert_eq!(got.meta_refresh, None);
}

#[test]
fn the_first_base_with_an_address_counts_for_all_but_an_empty_action() {
    let got = features("<base target=x><base href=//b.test/sub/><base href=/no><a href=x>t</a><form></form>");
    assert_eq!(got.links.list[0].href, "http://b.test/sub/x");
    assert_eq!(got.forms[0].action, "http://a.test/dir/page?q=1");
    assert_eq!(
        features("<base href='javascript:x'><a href=x>t</a>").links.list[0].href,
        "http://a.test/dir/x"
    );
}

#[test]
fn links_keep_their_text_and_what_is_no_url() {
    let got = features(
        "<a href=' /x '> a <b>b</b>\n c</a><a name=no></a><area href='http://[bad'><a href=tel:1>t</a>",
    );
    let list: Vec<_> = got.links.list.iter().map(|link| (link.href.as_str(), link.text.as_str())).collect();
    assert_eq!(list, [("http://a.test/x", "a b c"), ("http://[bad", ""), ("tel:1", "t")]);
    assert_eq!((got.links.total, got.links.capped), (3, false));
}

#[test]
fn controls_belong_to_the_form_the_standard_gives_them_to() {
    let got = features(
        "<input name=early form=two type=Password>\
         <form action=/one method=post><input name=a><select name=s></select><textarea id=t></textarea>\
         <button>b</button></form>\
         <table><form id=two action=https://b.test/two><tr><td><input name=in-table></td></tr></table>\
         <input name=nobody form=missing><input type=PASSWORD name=alone form=''>",
    );
    assert_eq!(got.forms.len(), 2);
    assert_eq!(names(&got.forms[0]), ["a", "s", "t", ""]);
    let kinds: Vec<_> = got.forms[0].inputs.iter().map(|input| input.kind.as_str()).collect();
    assert_eq!(kinds, ["text", "select", "textarea", "button"]);
    assert_eq!((got.forms[0].method.as_str(), got.forms[0].has_password), ("POST", false));
    assert_eq!(names(&got.forms[1]), ["early", "in-table"]);
    assert_eq!((got.forms[1].method.as_str(), got.forms[1].has_password), ("GET", true));
    assert_eq!(got.password_fields, 2);
}

#[test]
fn a_form_inside_a_form_is_no_form_and_one_in_a_template_is() {
    assert_eq!(features("<form><form></form></form><template><form><input name=x></template>").form_count, 2);
}

#[test]
fn scripts_are_named_by_source_or_digest() {
    let got = features(
        "<script src=/x.js>ignored</script><script>eval(1)</script><svg><script href=/y.js /></svg>",
    );
    assert_eq!(got.script_count, 3);
    assert_eq!(got.scripts[0].src.as_deref(), Some("http://a.test/x.js"));
    assert_eq!(got.scripts[1].inline_sha256.as_deref(), Some(crate::report::sha256(b"eval(1)").as_str()));
    assert_eq!((got.scripts[1].size, got.scripts[1].traits.as_slice()), (Some(7), &["eval".to_owned()][..]));
    assert_eq!(got.scripts[2].src.as_deref(), Some("http://a.test/y.js"));
}

#[test]
fn frames_nobody_can_see_are_hidden() {
    for (attributes, hidden) in [
        ("", false),
        ("width=0", true),
        ("height='1px'", true),
        ("width=100%", false),
        ("hidden", true),
        ("style='Display : NONE !important'", true),
        ("style='visibility:hidden'", true),
        ("style='width:1px'", true),
        ("style='position:absolute;left:-9999px'", true),
        ("style='opacity:.0'", true),
        ("style='width:100px;opacity:1'", false),
    ] {
        let got = features(&format!("<iframe src=/f {attributes}></iframe>"));
        assert_eq!(got.iframes[0].hidden, hidden, "{attributes}");
    }
}

#[test]
fn a_refresh_counts_only_where_a_browser_with_scripts_acts_upon_it() {
    let got = page("<base href=//b.test/><meta http-equiv=REFRESH content='3; url=/next'>");
    assert_eq!(got.features.meta_refresh.as_deref(), Some("http://b.test/next"));
    let refresh = got.refresh.expect("a refresh");
    assert_eq!((refresh.value.as_str(), refresh.base.as_str()), ("3; url=/next", "http://b.test/"));
    for hidden in ["noscript", "template"] {
        let html = format!("<{hidden}><meta http-equiv=refresh content='0;url=/x'></{hidden}>");
        assert_eq!(page(&html).refresh, None, "{hidden}");
    }
    assert_eq!(features("<meta http-equiv=refresh content=30>").meta_refresh, None);
}

#[test]
fn visible_text_is_what_a_person_reads() {
    let got = page(
        "<title>no</title><style>no</style><p>One<b>Two</b></p><p>three</p><script>no</script>\
         <div hidden>no</div><span style='display:none'>no <p>no</p></span><noscript>no</noscript>four<br>five",
    );
    assert_eq!((got.text.excerpt.as_str(), got.text.words), ("OneTwo three four five", 4));
}

#[test]
fn lists_are_capped_and_totals_are_not() {
    let many = |what: &str| what.repeat(1000);
    let got = features(&format!(
        "{}{}{}{}{}<form>{}</form>",
        many("<a href=/x>x</a>"),
        many("<script>1</script>"),
        many("<iframe></iframe>"),
        many("<img src=/i>"),
        many("<form></form>"),
        many("<input>"),
    ));
    assert_eq!((got.links.total, got.links.list.len(), got.links.capped), (1000, MAX_LINKS, true));
    assert_eq!((got.script_count, got.scripts.len()), (1000, MAX_SCRIPTS));
    assert_eq!((got.iframes.len(), got.resources.len()), (MAX_FRAMES, MAX_RESOURCES));
    assert_eq!((got.form_count, got.forms.len()), (1001, 50));
    assert_eq!(got.capped, ["scripts", "iframes", "resources", "forms", "links"]);
    let wide = features(&format!("<form>{}</form>", many("<input>")));
    assert_eq!((wide.forms[0].inputs.len(), wide.capped), (100, vec!["forms.inputs".to_owned()]));
}

#[test]
fn long_strings_are_cut() {
    let long = "é".repeat(100_000);
    let got = features(&format!(
        "<title>{long}</title><a href='http://b.test/{long}'>{long}</a><img src='data:image/png,{long}'>\
         <meta name='{long}' content='{long}'>"
    ));
    assert!(got.title.is_some_and(|title| title.len() <= MAX_TEXT_BYTES));
    assert!(got.links.list[0].href.len() <= MAX_URL_BYTES && got.links.list[0].text.len() <= 256);
    assert!(got.resources[0].starts_with("data:image/png,") && got.resources[0].len() <= 256);
    assert!(got.meta.iter().all(|(name, value)| name.len() <= 100 && value.len() <= MAX_TEXT_BYTES));
}
