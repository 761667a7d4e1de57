//! What arrives in a body, and what it is taken for.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use safeurl_protocol::{ErrorClass, RedirectMeans};

use crate::rig::{Rig, class, page, response, run, title};

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

#[test]
fn a_packed_page_is_read_and_both_sizes_are_told() {
    let rig = Rig::new();
    let html = format!("<title>packed</title>{}", "x".repeat(50_000));
    let packed = gzip(html.as_bytes());
    let headers = "Content-Type: text/html\r\nContent-Encoding: gzip\r\n";
    let report = rig.says("a.test:80", response("200 OK", headers, &packed)).fetch("http://a.test/");
    let hop = &report.requests[0];
    assert_eq!((hop.size, hop.encoded_size), (Some(html.len() as u64), Some(packed.len() as u64)));
    assert_eq!((title(&report), class(hop)), (Some("packed"), None));
}

#[test]
fn a_small_body_that_becomes_a_giant_stops_at_the_cap() {
    let rig = Rig::new();
    let headers = "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n";
    rig.says("a.test:80", response("200 OK", headers, &gzip(&vec![b'a'; 100_000_000])));
    let mut invocation = rig.invocation("http://a.test/");
    invocation.body_cap = 1_000_000;
    let report = run(&invocation);
    let content = report.content.as_ref().expect("a body");
    assert_eq!((content.size, content.truncated), (1_000_000, true));
    assert!(report.usage.peak_memory_bytes.is_some_and(|peak| peak < 32 * 1024 * 1024));
}

#[test]
fn an_encoding_nobody_asked_for_is_kept_packed_and_named() {
    let rig = Rig::new();
    let headers = "Content-Type: text/html\r\nContent-Encoding: compress\r\n";
    let report =
        rig.says("a.test:80", response("200 OK", headers, b"\x1f\x9d\x90<p>\x03")).fetch("http://a.test/");
    assert_eq!(class(&report.requests[0]), Some(ErrorClass::Body));
    assert!(report.content.as_ref().is_some_and(|content| content.size == 7 && content.truncated));
}

#[test]
fn text_is_read_in_the_encoding_it_says_it_has() {
    let rig = Rig::new();
    let russian = b"<meta charset=windows-1251><title>\xcf\xf0\xe8\xe2\xe5\xf2</title>";
    rig.says("a.test:80", response("200 OK", "Content-Type: text/html\r\n", russian));
    let japanese = b"<title>\x93\xfa\x96{</title>";
    rig.says("b.test:80", response("200 OK", "Content-Type: text/html; charset=Shift_JIS\r\n", japanese));
    let report = rig.fetch("http://a.test/");
    assert_eq!(title(&report), Some("Привет"));
    assert_eq!(report.content.and_then(|content| content.charset).as_deref(), Some("windows-1251"));
    assert_eq!(title(&rig.fetch("http://b.test/")), Some("日本"));
}

#[test]
fn a_program_served_as_an_invoice_is_a_program() {
    let rig = Rig::new();
    let headers =
        "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"invoice.pdf\"\r\n";
    rig.says("a.test:80", response("200 OK", headers, b"MZ\x90\x00\x03\x00\x00\x00\x04\x00"));
    let report = rig.fetch("http://a.test/download");
    let content = report.content.as_ref().expect("a body");
    assert_eq!(content.declared_mime_type.as_deref(), Some("application/pdf"));
    assert_eq!(content.sniffed_mime_type.as_deref(), Some("application/x-msdownload"));
    assert_eq!((content.file_name.as_deref(), content.attachment), (Some("invoice.pdf"), true));
    assert_eq!(content.name_matches_type, Some(false));
    assert_eq!(content.md5.as_deref(), Some("3d865335cb6e9360023f0ac4df16c587"));
    assert_eq!(content.sha256, "7ccd9bfcb65bb96e2e9e0603b91e790701508ead48aec4da8a2dd4b563b0576e");
    assert_eq!((report.features, &content.text), (None, &None));
}

#[test]
fn a_response_without_a_body_is_one_of_no_bytes() {
    let rig = Rig::new();
    rig.says("a.test:80", "HTTP/1.1 204 No Content\r\n\r\n");
    rig.says("b.test:80", response("200 OK", "Content-Encoding: gzip\r\n", b""));
    for url in ["http://a.test/", "http://b.test/"] {
        let report = rig.fetch(url);
        let content = report.content.as_ref().expect("a response");
        assert_eq!((content.size, content.truncated, class(&report.requests[0])), (0, false, None));
        assert_eq!(content.sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(content.md5.as_deref(), Some("d41d8cd98f00b204e9800998ecf8427e"));
    }
}

#[test]
fn old_and_sloppy_servers_are_understood() {
    let rig = Rig::new();
    rig.says("old.test:80", "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<title>old</title>");
    rig.says("bare.test:80", "HTTP/1.1 200\nContent-Type : text/html\n\n<title>bare</title>");
    rig.says(
        "folded.test:80",
        "HTTP/1.1 200 OK\r\nContent-Type: text/html;\r\n charset=utf-8\r\n\r\n<title>folded</title>",
    );
    rig.says("early.test:80", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>early</title>");
    for name in ["old", "bare", "folded", "early"] {
        let report = rig.fetch(&format!("http://{name}.test/"));
        assert_eq!(title(&report), Some(name), "{:?}", report.requests[0]);
    }
}

#[test]
fn of_two_declared_types_the_last_counts_and_nosniff_is_obeyed() {
    let html = b"<!doctype html><title>page</title>";
    for (headers, read, declared) in [
        ("Content-Type: text/plain\r\nContent-Type: text/html\r\n", true, Some("text/html")),
        ("Content-Type: text/html\r\nContent-Type: text/plain\r\n", false, Some("text/plain")),
        // One that is none does not count.
        ("Content-Type: text/html\r\nContent-Type: */*\r\n", true, Some("text/html")),
        ("", true, None),
        ("X-Content-Type-Options: nosniff\r\n", false, None),
        (
            "X-Content-Type-Options: NoSniff\r\nContent-Type: unknown/unknown\r\n",
            false,
            Some("unknown/unknown"),
        ),
        ("Content-Type: unknown/unknown\r\n", true, Some("unknown/unknown")),
        ("X-Content-Type-Options: nosniff\r\nContent-Type: text/html\r\n", true, Some("text/html")),
    ] {
        let rig = Rig::new();
        let report = rig.says("a.test:80", response("200 OK", headers, html)).fetch("http://a.test/");
        assert_eq!(title(&report), read.then_some("page"), "{headers}");
        assert_eq!(report.requests[0].mime_type.as_deref(), declared, "{headers}");
        // What the bytes are is told beside it, whatever is declared.
        let sniffed = report.content.as_ref().and_then(|content| content.sniffed_mime_type.as_deref());
        assert_eq!(sniffed, Some("text/html"), "{headers}");
    }
}

#[test]
fn a_page_brings_its_text_and_where_its_scripts_would_lead() {
    let rig = Rig::new();
    let html = "<html lang=en><title>x</title><p>Three visible words</p><p hidden>and hidden ones</p>\
                <script>setTimeout(function () { window.location.href = '/next' }, 10)</script>\
                <script>location.replace('http://b.test/'); window.open(\"//c.test/pop\")</script>\
                <script>document.write('<meta http-equiv=refresh content=\"0;url=/meta\">')</script>";
    let report = rig.says("a.test:80", page(html)).fetch("http://a.test/dir/");
    let text = report.content.as_ref().and_then(|content| content.text.as_ref()).expect("statistics");
    assert_eq!((text.words, text.excerpt.as_str()), (3, "Three visible words"));
    let features = report.features.as_ref().expect("a page");
    assert_eq!(features.language.as_deref(), Some("en"));
    let read: Vec<_> = features.possible_redirects.iter().map(|one| (one.to.as_str(), one.by)).collect();
    let expected = [
        ("http://a.test/next", RedirectMeans::Location),
        ("http://b.test/", RedirectMeans::Replace),
        ("http://c.test/pop", RedirectMeans::Open),
        ("http://a.test/meta", RedirectMeans::Meta),
    ];
    assert_eq!(read, expected);
    // They are read, not followed.
    assert_eq!((report.requests.len(), &report.requests[0].redirect), (1, &None));
}
