//! Pages that are too much, and files that are not what they say, through the container and its limits.

use serde_json::Value;

use crate::site::{Answer, Site};
use crate::stage::Stage;

/// The container's own limit, as the settings have it, is 512 MiB; a page may take a quarter of it.
const PAGE_MEMORY: u64 = 128 * 1024 * 1024;

const HTML: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<title>giant</title>";

/// What a scan with the default limits says, once it is sure that nothing had to be killed.
fn scanned(site: &Site) -> Value {
    let ran = Stage::new().run(["scan", &site.url("/"), "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let document = ran.json().remove(0);
    assert_eq!(document["job"]["state"], "COMPLETED", "{document}");
    assert_eq!(document["sandbox"]["outcome"], "exited");
    assert_eq!(document["sandbox"]["limits"]["memoryBytes"], 512 * 1024 * 1024);
    let peak = document["sandbox"]["peakMemoryBytes"].as_u64().unwrap();
    assert!(peak > 0 && peak < PAGE_MEMORY, "{peak} bytes");
    document
}

#[test]
fn a_page_of_200_megabytes_is_read_as_far_as_the_cap() {
    const LINE: &[u8] = b"<p class=line>A line of a page that never seems to end, again and again.</p>\n";
    for (kind, piece) in [("lines", LINE), ("tags", b"<b><i>"), ("text", b"word "), ("one tag", b"<a b=c ")] {
        let times = 200_000_000 / piece.len();
        let site = Site::start(move |path| match path {
            "/" => Answer::Long { head: HTML, piece, times },
            _ => Answer::Head(404, Vec::new()),
        });
        let document = scanned(&site);
        assert_eq!(document["content"]["size"], 10 * 1024 * 1024, "{kind}");
        assert_eq!(document["content"]["truncated"], true, "{kind}");
        assert_eq!(document["page"]["title"], "giant", "{kind}");
    }
}

#[test]
fn a_page_of_100_000_links_lists_some_and_says_so() {
    let site = Site::start(|path| match path {
        "/" => Answer::Long {
            head: HTML,
            piece: b"<a href=//b.example/x>x</a> <a href=/y>y</a>\n",
            times: 50_000,
        },
        _ => Answer::Head(404, Vec::new()),
    });
    let document = scanned(&site);
    let links = &document["features"]["links"];
    assert_eq!((links["list"].as_array().unwrap().len(), &links["capped"]), (500, &Value::Bool(true)));
    let capped = document["features"]["capped"].as_array().unwrap();
    assert!(capped.contains(&"links".into()), "{capped:?}");
    assert_eq!((&links["internal"], &links["external"]), (&250.into(), &250.into()));
}

#[test]
fn a_program_that_is_called_an_invoice_is_named_for_what_it_is() {
    let program = b"MZ\x90\x00\x03\x00\x00\x00\x04\x00";
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nConnection: close\r\n\
                Content-Disposition: attachment; filename=\"invoice.pdf\"\r\n\r\n";
    let site = Site::start(move |_| Answer::Raw([head.as_bytes(), program].concat()));
    let document = scanned(&site);
    let content = &document["content"];
    assert_eq!(content["declaredMimeType"], "application/pdf");
    assert_eq!(content["sniffedMimeType"], "application/x-msdownload");
    assert_eq!((&content["fileName"], &content["nameMatchesType"]), (&"invoice.pdf".into(), &false.into()));
    assert_eq!(content["md5"], "3d865335cb6e9360023f0ac4df16c587");
    assert_eq!(content["sha256"], "7ccd9bfcb65bb96e2e9e0603b91e790701508ead48aec4da8a2dd4b563b0576e");
    assert!(document["lists"]["hashes"].as_array().unwrap().contains(&content["sha256"]));
    assert_eq!(document["features"], Value::Null);
}
