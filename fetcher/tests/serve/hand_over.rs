//! Ready line, invocation, and the exit codes around them.

use safeurl_protocol::{MAX_INVOCATION_BYTES, exit};

use crate::rig::{Rig, Waiting, header, page, run, title};

#[test]
fn end_of_file_before_a_job_ends_quietly_with_its_own_code() {
    for text in [&b""[..], b"{\"attempt\":\"a/1\"", b"{}"] {
        let mut program = Waiting::start();
        program.write(text);
        let (output, _, status) = program.close();
        assert_eq!((output.as_slice(), status.code()), (&b""[..], Some(i32::from(exit::NO_JOB))));
    }
}

#[test]
fn a_line_that_is_no_invocation_is_refused_with_a_reason() {
    let rig = Rig::new();
    let mut unknown = serde_json::to_value(rig.invocation("http://a.test/")).expect("serializable");
    unknown["surprise"] = true.into();
    let mut framing = rig.invocation("http://a.test/");
    framing.headers.push(header("Transfer-Encoding", "chunked"));
    for line in [
        "not json".to_owned(),
        "{}".to_owned(),
        unknown.to_string(),
        serde_json::to_string(&framing).expect("serializable"),
    ] {
        let mut program = Waiting::start();
        program.write(format!("{line}\n").as_bytes());
        let (output, complaint, status) = program.finish();
        assert_eq!((output.as_slice(), status.code()), (&b""[..], Some(i32::from(exit::BAD_INVOCATION))));
        assert!(complaint.contains("bad invocation"), "{complaint}");
    }
}

#[test]
fn a_line_without_end_is_refused_at_the_limit() {
    let mut program = Waiting::start();
    program.write(&vec![b'x'; MAX_INVOCATION_BYTES]);
    let (output, complaint, status) = program.finish();
    assert_eq!((output.as_slice(), status.code()), (&b""[..], Some(i32::from(exit::BAD_INVOCATION))));
    assert!(complaint.contains("longer than"), "{complaint}");
}

#[test]
fn a_job_outlives_the_supervisor_that_wrote_it() {
    let rig = Rig::new();
    rig.says("a.test:80", page("<title>alive</title>"));
    let mut program = Waiting::start();
    let line = serde_json::to_string(&rig.invocation("http://a.test/")).expect("serializable");
    program.write(format!("{line}\n").as_bytes());
    let (output, _, status) = program.close();
    assert_eq!(status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output).contains("\"title\":\"alive\""));
}

#[test]
fn the_report_stays_below_its_cap() {
    let rig = Rig::new();
    let links: String = (0..400).map(|n| format!("<a href='/{n}{}'>x</a>", "y".repeat(200))).collect();
    rig.says("a.test:80", page(&format!("<title>large</title>{links}")));
    let mut invocation = rig.invocation("http://a.test/");
    invocation.output_cap = 10_000;
    let report = run(&invocation);
    assert_eq!(title(&report), Some("large"));
    let links = &report.features.as_ref().expect("a page").links;
    assert_eq!((links.total, links.list.len(), links.capped), (400, 0, true));
}

#[test]
fn a_page_of_a_megabyte_is_read_in_less_than_32_megabytes() {
    let rig = Rig::new();
    let row =
        "<div class='row'><a href='/item?id=1234'>An item</a> <p>with <b>some</b> words about it</p></div>\n";
    let html = format!("<title>long</title>{}", row.repeat(1024 * 1024 / row.len()));
    rig.says("a.test:80", page(&html));
    let report = rig.fetch("http://a.test/");
    assert_eq!(title(&report), Some("long"));
    let peak = report.usage.peak_memory_bytes.expect("known on Linux");
    println!("peak memory {} KiB for {} KiB of page", peak / 1024, html.len() / 1024);
    assert!(peak < 32 * 1024 * 1024, "{peak}");
    assert!(report.usage.cpu_ms.is_some());
}
