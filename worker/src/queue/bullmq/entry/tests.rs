use std::time::Duration;

use proptest::prelude::*;

use super::options::Keep;
use super::*;
use crate::domain::delivery::Backoff;

fn entry(fields: &[(&str, &str)]) -> Entry {
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Entry::read("7", &fields)
}

fn asking(opts: &str) -> Entry {
    entry(&[("opts", opts)])
}

#[test]
fn a_hash_of_an_official_producer_is_read_field_by_field() {
    let read = entry(&[
        ("name", "scan"),
        ("data", "{\"jobId\":\"0f5c\", \"url\":\"https://example.com/\"}"),
        ("opts", "{\"backoff\":{\"delay\":600,\"type\":\"exponential\"},\"attempts\":2}"),
        ("timestamp", "1795292125154"),
        ("delay", "0"),
        ("priority", "0"),
        ("ats", "2"),
        ("atm", "1"),
        ("defa", "job stalled more than allowable limit"),
        ("rjk", "sched1"),
        ("parentKey", "bull:scan-jobs:p"),
        ("stacktrace", "[\"Error: boom 0\"]"),
    ]);
    let expected = Entry {
        id: "7".to_owned(),
        name: "scan".to_owned(),
        data: "{\"jobId\":\"0f5c\", \"url\":\"https://example.com/\"}".to_owned(),
        opts: "{\"backoff\":{\"delay\":600,\"type\":\"exponential\"},\"attempts\":2}".to_owned(),
        timestamp: 1_795_292_125_154,
        atm: 1,
        ats: 2,
        deferred: Some("job stalled more than allowable limit".to_owned()),
        scheduler: Some("sched1".to_owned()),
        parent_key: Some("bull:scan-jobs:p".to_owned()),
        stacktrace: Some("[\"Error: boom 0\"]".to_owned()),
        retries: Retries {
            attempts: 2,
            backoff: Backoff::Exponential { delay: Duration::from_millis(600), jitter: 0.0 },
        },
    };
    assert_eq!(read, expected);
    assert_eq!(read.delivered(), Delivered { atm: 1, deferred: true });
}

#[test]
fn what_is_absent_or_empty_has_the_value_that_official_readers_give_it() {
    for fields in
        [&[][..], &[("name", ""), ("data", ""), ("opts", ""), ("atm", ""), ("defa", ""), ("rjk", "")]]
    {
        let read = entry(fields);
        assert_eq!((read.name.as_str(), read.data.as_str(), read.opts.as_str()), ("", "{}", "{}"));
        assert_eq!((read.timestamp, read.atm, read.ats), (0, 0, 0));
        assert_eq!(
            (read.deferred, read.scheduler, read.parent_key, read.stacktrace),
            (None, None, None, None)
        );
        assert_eq!(read.retries, Retries::default());
    }
}

#[test]
fn the_older_count_of_attempts_is_preferred_and_odd_numbers_are_read_as_parse_int_does() {
    assert_eq!(entry(&[("atm", "1"), ("attemptsMade", "3")]).atm, 3);
    for (text, count) in [
        ("600", 600),
        ("600.0", 600),
        (" 12abc", 12),
        ("-3", 0),
        ("x", 0),
        ("99999999999999999999", u32::MAX),
    ] {
        assert_eq!(entry(&[("atm", text)]).atm, count, "{text}");
    }
    assert_eq!(entry(&[("timestamp", "-5")]).timestamp, -5);
}

#[test]
fn attempts_and_backoff_are_read_in_every_form_that_producers_write() {
    let ms = Duration::from_millis;
    let fixed = |delay, jitter| Backoff::Fixed { delay: ms(delay), jitter };
    for (opts, attempts, backoff) in [
        ("{}", 0, Backoff::None),
        ("no json", 0, Backoff::None),
        ("[1]", 0, Backoff::None),
        (r#"{"attempts":3}"#, 3, Backoff::None),
        (r#"{"attempts":"3"}"#, 3, Backoff::None),
        (r#"{"attempts":2.5}"#, 3, Backoff::None),
        (r#"{"attempts":-1}"#, 0, Backoff::None),
        (r#"{"attempts":1e99}"#, u32::MAX, Backoff::None),
        (r#"{"attempts":2,"backoff":400}"#, 2, fixed(400, 0.0)),
        (r#"{"attempts":2,"backoff":0}"#, 2, Backoff::None),
        (r#"{"backoff":{"type":"fixed","delay":100,"jitter":0.5}}"#, 0, fixed(100, 0.5)),
        (r#"{"backoff":{"type":"mine","delay":100}}"#, 0, fixed(100, 0.0)),
        (r#"{"backoff":{"delay":-7,"jitter":9}}"#, 0, fixed(0, 1.0)),
        (r#"{"backoff":{"type":"fixed","delay":1e300}}"#, 0, fixed(31_536_000_000, 0.0)),
        (
            r#"{"backoff":{"type":"exponential","delay":300}}"#,
            0,
            Backoff::Exponential { delay: ms(300), jitter: 0.0 },
        ),
    ] {
        assert_eq!(asking(opts).retries, Retries { attempts, backoff }, "{opts}");
    }
}

#[test]
fn a_keep_rule_is_a_flag_a_number_or_an_object() {
    let all = Keep { count: None, age: None, limit: 1000 };
    for (rule, keep) in [
        ("null", all),
        ("false", all),
        ("true", Keep { count: Some(0), ..all }),
        ("0", Keep { count: Some(0), ..all }),
        ("5", Keep { count: Some(5), ..all }),
        ("-1", all),
        (r#"{"count":2}"#, Keep { count: Some(2), ..all }),
        (r#"{"age":1}"#, Keep { age: Some(Duration::from_secs(1)), ..all }),
        (
            r#"{"age":0.5,"count":5,"limit":9}"#,
            Keep { count: Some(5), age: Some(Duration::from_millis(500)), limit: 9 },
        ),
        (r#"{"limit":1000000}"#, all),
        (r#"{"limit":0}"#, Keep { limit: 1, ..all }),
    ] {
        let read = asking(&format!("{{\"removeOnComplete\":{rule}}}"));
        assert_eq!(read.options().keep_completed(), keep, "{rule}");
        assert_eq!(read.options().keep_failed(), all, "{rule}");
        let read = asking(&format!("{{\"removeOnFail\":{rule}}}"));
        assert_eq!(read.options().keep_failed(), keep, "{rule}");
    }
}

#[test]
fn one_stack_trace_is_added_for_each_failed_attempt_and_the_oldest_go() {
    for (opts, before, after) in [
        ("{}", None, r#"["boom"]"#),
        ("{}", Some(r#"["a","b"]"#), r#"["a","b","boom"]"#),
        ("{}", Some("not json"), r#"["boom"]"#),
        (r#"{"stackTraceLimit":2}"#, Some(r#"["a","b"]"#), r#"["b","boom"]"#),
        (r#"{"stackTraceLimit":0}"#, Some(r#"["a"]"#), "[]"),
        (r#"{"stackTraceLimit":-1}"#, Some(r#"["a"]"#), r#"["a","boom"]"#),
    ] {
        let read = Entry { stacktrace: before.map(str::to_owned), ..asking(opts) };
        assert_eq!(read.stacktrace_with("boom"), after, "{opts} {before:?}");
    }
}

proptest! {
    #[test]
    fn no_hash_and_no_options_are_too_odd_to_be_read(
        fields in prop::collection::vec(("(name|data|opts|timestamp|atm|attemptsMade|ats|defa|stacktrace)", ".*"), 0..9),
        attempts in prop::num::f64::ANY, delay in prop::num::f64::ANY, jitter in prop::num::f64::ANY,
    ) {
        Entry::read("x", &fields).stacktrace_with("boom");
        let opts = format!(r#"{{"attempts":{attempts},"kl":{delay},"backoff":{{"delay":{delay},"jitter":{jitter}}},
            "removeOnFail":{{"count":{delay},"age":{delay}}}}}"#);
        let read = asking(&opts);
        prop_assert!(read.retries.after(1, 0.5).is_none_or(|wait| wait <= Duration::from_secs(365 * 86_400)));
        let _ = (read.options().keep_failed(), read.options().log_lines());
    }
}
