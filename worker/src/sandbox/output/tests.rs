//! The reader of container output, by table and with arbitrary cuts.

use proptest::prelude::*;

use super::*;

const ATTEMPT: &str = "0198c5c0-0000-7000-8000-000000000000/1";
const READY: &str = "{\"ready\":1,\"protocol\":2}\n";

fn header_of(attempt: &str, bytes: u64, sha256: &str) -> String {
    let header = ReportHeader { report: 1, attempt: attempt.to_owned(), bytes, sha256: sha256.to_owned() };
    format!("{}\n", serde_json::to_string(&header).expect("a plain struct"))
}

fn framed(report: &[u8]) -> Vec<u8> {
    let mut text = header_of(ATTEMPT, report.len() as u64, &hex(&Sha256::digest(report))).into_bytes();
    text.extend_from_slice(report);
    text.push(b'\n');
    text
}

/// A ready container that was handed its job.
fn handed_over(limit: u64) -> Output {
    let mut output = Output::new(limit);
    output.stdout(READY.as_bytes());
    assert_eq!(output.progress(), Progress::Ready);
    output.expect(ATTEMPT);
    output
}

fn read(after_ready: &[u8], limit: u64) -> Result<Vec<u8>, Fault> {
    let mut output = handed_over(limit);
    output.stdout(after_ready);
    output.finish()
}

fn reason(result: Result<Vec<u8>, Fault>) -> String {
    match result {
        Err(Fault::Invalid(reason)) => reason,
        other => panic!("expected invalid output, got {other:?}"),
    }
}

#[test]
fn a_report_is_whole_with_and_without_its_last_newline() {
    let mut text = framed(b"{\"a\":1}");
    assert_eq!(read(&text, 100).expect("whole"), b"{\"a\":1}");
    text.pop();
    assert_eq!(read(&text, 100).expect("whole"), b"{\"a\":1}");
}

#[test]
fn an_empty_report_is_whole() {
    assert_eq!(read(&framed(b""), 100).expect("whole"), b"");
}

#[test]
fn a_report_may_be_as_long_as_the_limit_and_not_a_byte_longer() {
    assert_eq!(read(&framed(&[b'x'; 100]), 100).expect("whole").len(), 100);
    assert_eq!(read(&framed(&[b'x'; 101]), 100), Err(Fault::TooLarge));
}

#[test]
fn an_announced_length_beyond_the_limit_is_too_large_before_a_byte_of_it_came() {
    let mut output = handed_over(100);
    output.stdout(header_of(ATTEMPT, u64::MAX, "").as_bytes());
    assert_eq!(output.progress(), Progress::Broken(Fault::TooLarge));
}

#[test]
fn what_is_not_a_report_is_named() {
    let good = framed(b"{}");
    let digest = hex(&Sha256::digest(b"{}"));
    let cases: [(&str, Vec<u8>); 7] = [
        ("there is no report", vec![]),
        ("the output ended inside the header line", good[..10].to_vec()),
        ("the report ended 1 bytes early", good[..good.len() - 2].to_vec()),
        ("the header line is too long", vec![b' '; MAX_LINE_BYTES]),
        ("the line after the ready line is not a header", b"hello\n".to_vec()),
        ("the report is of another attempt", format!("{}{{}}", header_of("x/1", 2, &digest)).into_bytes()),
        (
            "the report does not have the announced SHA-256",
            format!("{}[]", header_of(ATTEMPT, 2, &digest)).into_bytes(),
        ),
    ];
    for (expected, text) in cases {
        assert_eq!(reason(read(&text, 4096)), expected);
    }
}

#[test]
fn nothing_that_follows_a_whole_report_changes_it() {
    let good = framed(b"{}");
    let flood = vec![b'x'; 64 * 1024];
    for more in [good.as_slice(), b"\n", b"x", &flood] {
        let mut output = handed_over(100);
        output.stdout(&[good.as_slice(), more].concat());
        output.stdout(more);
        for _ in 0..=STDERR_BUDGET_BYTES / flood.len() as u64 {
            output.stderr(&flood);
        }
        assert_eq!(output.progress(), Progress::Whole);
        assert_eq!(output.finish().expect("whole"), b"{}");
    }
}

#[test]
fn a_digest_in_capitals_is_wrong() {
    let text = format!("{}{{}}", header_of(ATTEMPT, 2, &hex(&Sha256::digest(b"{}")).to_uppercase()));
    assert!(read(text.as_bytes(), 100).is_err());
}

#[test]
fn the_first_line_must_say_ready_with_our_protocol() {
    for (line, expected) in [
        ("{\"ready\":1,\"protocol\":3}\n", "the fetcher speaks protocol 3, this worker 2"),
        ("{\"ready\":0,\"protocol\":2}\n", "the first line is not a ready line"),
        ("hello\n", "the first line is not a ready line"),
    ] {
        let mut output = Output::new(100);
        output.stdout(line.as_bytes());
        assert_eq!(reason(output.finish()), expected);
    }
}

#[test]
fn a_report_before_the_job_is_handed_over_is_invalid() {
    let mut output = Output::new(100);
    output.stdout(READY.as_bytes());
    output.stdout(b"{");
    output.expect(ATTEMPT);
    assert_eq!(reason(output.finish()), "output before a job was handed over");
}

#[test]
fn output_without_end_is_wrong_once_and_nothing_of_it_is_kept() {
    let mut output = handed_over(100);
    output.stdout(b"not a header\n");
    let before = output.progress();
    for _ in 0..1000 {
        output.stdout(&[0; 1024]);
    }
    assert_eq!(output.progress(), before, "the first fault stays");

    let mut output = handed_over(10_000);
    output.stdout(&header_of(ATTEMPT, 10_000, "").into_bytes());
    output.stdout(&[0; 32 * 1024]);
    assert_eq!(reason(output.finish()), "the report does not have the announced SHA-256");
}

#[test]
fn only_the_end_of_standard_error_is_kept_and_a_flood_of_it_is_too_large() {
    let mut output = handed_over(100);
    output.stderr(&[b'a'; STDERR_TAIL_BYTES]);
    output.stderr(b"the end");
    let tail = output.stderr_tail();
    assert_eq!(tail.len(), STDERR_TAIL_BYTES);
    assert!(tail.ends_with("athe end"));
    assert_eq!(output.progress(), Progress::Ready);
    output.stderr(&vec![b'a'; usize::try_from(STDERR_BUDGET_BYTES).expect("small")]);
    assert_eq!(output.progress(), Progress::Broken(Fault::TooLarge));
    assert_eq!(output.stderr_tail().len(), STDERR_TAIL_BYTES);
}

/// Cuts `text` at the given places, in order.
fn pieces<'a>(text: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    places.sort_unstable();
    places.push(text.len());
    let mut start = 0;
    places
        .into_iter()
        .map(|end| {
            let piece = &text[start..end];
            start = end;
            piece
        })
        .collect()
}

proptest! {
    #[test]
    fn a_report_is_read_the_same_however_it_is_cut(
        report in prop::collection::vec(any::<u8>(), 0..5000),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut output = handed_over(5000);
        let text = framed(&report);
        for piece in pieces(&text, &cuts) {
            output.stdout(piece);
        }
        prop_assert_eq!(output.finish(), Ok(report));
    }

    #[test]
    fn a_damaged_report_never_passes_however_it_is_cut(
        report in prop::collection::vec(any::<u8>(), 1..500),
        place in any::<prop::sample::Index>(),
        change in 1_u8..,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let mut text = framed(&report);
        // The last newline is not the reader's to check, everything before it is.
        let body = text.len() - 1 - report.len();
        let place = body + place.index(report.len());
        text[place] ^= change;
        let mut output = handed_over(500);
        for piece in pieces(&text, &cuts) {
            output.stdout(piece);
        }
        prop_assert!(output.finish().is_err());
    }

    #[test]
    fn no_output_makes_the_reader_panic_or_keep_more_than_its_limit(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..10),
    ) {
        let mut output = handed_over(1000);
        for chunk in &chunks {
            output.stdout(chunk);
            output.stderr(chunk);
        }
        prop_assert!(output.stderr_tail().chars().count() <= STDERR_TAIL_BYTES);
        if let Ok(report) = output.finish() {
            prop_assert!(report.len() <= 1000);
        }
    }
}
