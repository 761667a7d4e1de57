//! What pages hide: frames nobody sees, and documents inside the page's own text.

use safeurl_protocol::EmbeddedKind;

use super::*;

#[test]
fn a_frame_inside_something_hidden_is_hidden() {
    for (around, hidden) in [
        ("<div hidden>", true),
        ("<div style=display:none><p>", true),
        ("<div style='width:0;height:0;overflow:hidden'>", true),
        ("<div style='position:absolute;left:-9999px'>", true),
        ("<div style='height:0;overflow:hidden;padding-bottom:56.25%'>", false),
        ("<div style='height:0'>", false),
        ("<div><p hidden></p>", false),
    ] {
        assert_eq!(features(&format!("{around}<iframe src=/f>")).iframes[0].hidden, hidden, "{around}");
    }
}

#[test]
fn a_login_form_in_a_frames_own_text_is_read() {
    let got = features(
        "<base href=//b.test/><iframe srcdoc=\"<form action=/in><input type=password></form><a href=x>y</a>\
         <script>location='/go'</script>\"></iframe>\
         <iframe src='data:text/html;base64,PGZvcm0gYWN0aW9uPWh0dHA6Ly9jLnRlc3QvPjxpbnB1dCB0eXBlPXBhc3N3b3JkPg=='>",
    );
    let kinds: Vec<_> = got.embedded.iter().map(|one| (one.kind, one.element.as_str())).collect();
    assert_eq!(kinds, [(EmbeddedKind::Srcdoc, "iframe"), (EmbeddedKind::Data, "iframe")]);
    let actions: Vec<_> = got.forms.iter().map(|form| (form.action.as_str(), form.has_password)).collect();
    assert_eq!(actions, [("http://b.test/in", true), ("http://c.test/", true)]);
    assert_eq!((got.form_count, got.password_fields), (2, 2));
    assert_eq!((got.script_count, got.scripts.len()), (1, 1));
    assert!(got.forms.iter().all(|form| form.embedded) && !features("<form>").forms[0].embedded);
    assert_eq!((got.links.total, got.links.list[0].href.as_str()), (1, "http://b.test/x"));
    assert_eq!(got.possible_redirects[0].to, "http://b.test/go");
}

#[test]
fn a_form_a_script_writes_is_read() {
    let got = features(
        "<script>document.write(unescape('%3Cform%20action=/x%3E%3Cinput type=password%3E'))</script>\
         <script>document.write(atob('PGlmcmFtZSBzcmM9Ly9iLnRlc3QvIHdpZHRoPTA+'))</script>\
         <script>document.write('<script src=/lib.js><\\/script>')</script>",
    );
    assert_eq!((got.form_count, got.password_fields), (1, 1));
    assert_eq!((got.iframes[0].src.as_deref(), got.iframes[0].hidden), (Some("http://b.test/"), true));
    assert_eq!(got.script_count, 3);
}

#[test]
fn documents_are_read_one_level_deep_and_listed_with_their_carrier() {
    let got = features(
        "<iframe srcdoc=\"<iframe srcdoc='<form>'></iframe>\"></iframe><a href='data:text/html,<form>'>x</a>\
         <object data='data:application/pdf,%25PDF'></object><img src='data:image/png,x'><embed src=blob:x>",
    );
    let carriers: Vec<_> = got.embedded.iter().map(|one| one.element.as_str()).collect();
    assert_eq!(carriers, ["iframe", "a", "object", "embed"]);
    assert_eq!((got.form_count, got.iframes.len()), (1, 2));
}

#[test]
fn documents_inside_that_are_not_read_are_no_secret() {
    let frame = "<iframe srcdoc='<form></form>'></iframe>";
    let got = page(&frame.repeat(16));
    assert_eq!((got.features.form_count, got.stopped), (16, false));
    let got = page(&format!("{}{frame}", "<iframe srcdoc='<p>decoy'></iframe>".repeat(16)));
    assert_eq!((got.features.form_count, got.stopped), (0, true));
    let written = |times| page(&"<script>document.write('<p>')</script>".repeat(times)).stopped;
    assert_eq!((written(1), written(1000)), (false, true));
    let large = format!("<iframe srcdoc='{}<form>'></iframe>", "x".repeat(2 * 1024 * 1024));
    let got = page(&large);
    assert_eq!((got.features.form_count, got.stopped), (0, true));
}
