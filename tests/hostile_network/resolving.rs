//! Names whose name server is the attacker's: what it says is checked before it is dialled, and what it says badly
//! is no answer.

use std::time::Duration;

use serde_json::Value;

use crate::island::Island;
use crate::names::{A, AAAA, Names, Query, Record, Reply};
use crate::program::{denials, dialled, end, scan};
use crate::web::{Web, answer, article};

const OUT: &str = "93.184.216.34";
const OUT_6: &str = "2606:4700::6810:84e5";
const IN: &str = "10.0.0.9";

fn links(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("http://{name}.test/")).collect()
}

/// The link with such a name.
fn of<'a>(documents: &'a crate::program::Documents, name: &str) -> &'a Value {
    &documents[&format!("http://{name}.test/")]
}

/// Records of a name itself.
fn at(query: &Query, addresses: &[&str]) -> Vec<Record> {
    addresses.iter().map(|address| Record::address(&query.name, address)).collect()
}

fn honest(query: &Query, records: &[Record]) -> Reply {
    Reply::Say(vec![query.answer(records)])
}

/// Honest, and IPv4 after IPv6: the first answer does not wait long for the other family.
fn later_v4(query: &Query, records: &[Record]) -> Reply {
    match query.kind {
        A => Reply::Late(Duration::from_millis(100), query.answer(records)),
        _ => honest(query, records),
    }
}

/// Everybody came to one of these, and nobody anywhere else.
fn only_out(island: &Island, web: &Web, names: &Names) {
    let arrivals = web.arrivals(island.dialled() - names.over_tcp());
    for arrival in &arrivals {
        assert!([OUT, OUT_6].contains(&arrival.at.to_string().as_str()), "{arrivals:?}");
    }
}

#[test]
fn a_name_that_turns_inward_between_two_questions_is_dialled_only_where_it_was_checked() {
    let island = Island::new();
    let web = Web::open(&island, &[80], |path| match path {
        "/" => answer(302, "Location: /again\r\n", ""),
        _ => article(),
    });
    let names = Names::open(&island, |query| match (query.name.as_str(), query.time) {
        // The first answer is public, every later one is not; nothing may be remembered of either.
        ("turns.test", 1) => honest(query, &at(query, &[OUT])),
        ("turns.test", _) => honest(query, &at(query, &["127.0.0.1"])),
        ("turns6.test", 1) => honest(query, &at(query, &[OUT_6])),
        ("turns6.test", _) => honest(query, &at(query, &["::1"])),
        // Inside for the second family, once the first has been seen outside.
        ("grows.test", 1) => honest(query, &at(query, &[OUT])),
        ("grows.test", _) => later_v4(query, &at(query, &[OUT, "fd00::9"])),
        _ => honest(query, &[]),
    });
    let scans = [("turns", OUT, "loopback"), ("turns6", OUT_6, "loopback"), ("grows", OUT, "unique-local")];
    let documents = scan(&island, &links(&scans.map(|(name, ..)| name)), &[]);
    for (name, first, rule) in scans {
        let document = of(&documents, name);
        assert_eq!(end(document), ("COMPLETED", ""), "{name}: {document}");
        assert_eq!(document["requests"][0]["ip"], first, "{name}");
        assert_eq!(document["requests"][1]["error"]["class"], "egress_denied", "{name}: {document}");
        assert_eq!(dialled(document), [first], "{name}");
        assert!(denials(document).iter().all(|denied| *denied == rule), "{name}: {:?}", denials(document));
    }
    only_out(&island, &web, &names);
}

#[test]
fn a_name_with_one_address_inside_is_denied_whatever_else_is_in_the_answer() {
    let island = Island::new();
    let web = Web::open(&island, &[80], |_| article());
    let names = Names::open(&island, |query| {
        let alias = |of: &str| Record::alias(&query.name, of);
        let inside = Record::address("inside.test", IN);
        match (query.name.as_str(), query.kind) {
            ("inside.test" | "outside.test", A) => {
                honest(query, &at(query, &[if query.name == "inside.test" { IN } else { OUT }]))
            }
            ("mixed.test", A) => honest(query, &at(query, &[OUT, IN])),
            ("last.test", A) => honest(query, &at(query, &[vec![OUT; 60], vec![IN]].concat())),
            ("families.test", _) => later_v4(query, &at(query, &[OUT, "fe80::1"])),
            // Too late to be waited for: not checked, and not dialled either.
            ("slow.test", A) => Reply::Late(Duration::from_secs(3), query.answer(&at(query, &[IN]))),
            ("slow.test", AAAA) => honest(query, &at(query, &[OUT_6])),
            ("mapped.test", AAAA) => honest(query, &at(query, &["::ffff:169.254.169.254"])),
            ("nat64.test", AAAA) => honest(query, &at(query, &["64:ff9b::10.0.0.9"])),
            ("zero.test", A) => honest(query, &at(query, &["0.0.0.0"])),
            ("alias.test", _) => honest(query, &[alias("inside.test"), inside]),
            ("bare-alias.test", _) => honest(query, &[alias("inside.test")]),
            ("chain.test", _) => honest(query, &[alias("link1.test")]),
            ("link1.test", _) => honest(query, &[alias("link2.test")]),
            ("link2.test", _) => honest(query, &[alias("inside.test")]),
            // A name server may be believed about an alias of this machine, a client must not be.
            ("to-localhost.test", _) => honest(query, &[alias("localhost")]),
            ("with-localhost.test", _) => {
                honest(query, &[alias("localhost"), Record::address("localhost", "127.0.0.1")])
            }
            ("strangers.test", A) => honest(query, &[at(query, &[OUT]), vec![inside]].concat()),
            _ => honest(query, &[]),
        }
    });
    let scans = [
        ("inside", "private"),
        ("mixed", "private"),
        ("last", "private"),
        ("families", "link-local"),
        ("mapped", "metadata"),
        ("nat64", "nat64"),
        ("zero", "this-network"),
        ("alias", "private"),
        ("bare-alias", "private"),
        ("chain", "private"),
        ("to-localhost", "loopback"),
        ("with-localhost", "loopback"),
        ("strangers", "private"),
    ];
    let mut wanted = links(&scans.map(|(name, _)| name));
    wanted.extend(links(&["outside", "slow"]));
    let documents = scan(&island, &wanted, &[]);
    for (name, rule) in scans {
        let document = of(&documents, name);
        assert_eq!(end(document), ("FAILED", "egress_denied"), "{name}: {document}");
        assert_eq!(denials(document), [rule], "{name}");
    }
    assert_eq!(end(of(&documents, "outside")), ("COMPLETED", ""), "an honest name beside them is reached");
    assert_eq!(end(of(&documents, "slow")), ("COMPLETED", ""), "what was answered in time is enough");
    assert!(dialled(of(&documents, "slow")).iter().all(|address| *address == OUT_6));
    only_out(&island, &web, &names);
}

/// 64 KiB of addresses out there, and what comes last.
fn huge(query: &Query, last: &[&str]) -> Vec<u8> {
    let outside: Vec<String> = (0..4000_u32).map(|n| format!("93.184.{}.{}", n >> 8, n & 0xff)).collect();
    let mut all: Vec<&str> = outside.iter().map(String::as_str).collect();
    all.extend(last);
    query.answer(&at(query, &all))
}

/// The first bytes of a message, the rest changed.
fn spoilt(mut message: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Reply {
    change(&mut message);
    Reply::Say(vec![message])
}

/// What a hostile name server answers, by the first label of the name.
fn hostile(query: &Query) -> Reply {
    if query.kind == AAAA && !query.name.starts_with("loop") {
        return honest(query, &[]);
    }
    let (out, inside) = (query.answer(&at(query, &[OUT])), query.answer(&at(query, &[IN])));
    let end = out.len();
    match (query.name.split('.').next().unwrap_or_default(), query.tcp) {
        ("cut-short", _) => spoilt(inside, |message| message.truncate(end - 2)),
        ("head-only", _) => spoilt(inside, |message| message.truncate(12)),
        ("empty", _) => Reply::Say(vec![Vec::new()]),
        ("noise", _) => Reply::Say(vec![vec![0xff; 512]]),
        // A name that points at itself, and one that points behind the message.
        ("pointer-loop", _) => spoilt(inside, |message| {
            let owner = end - 16;
            message[owner..owner + 2].copy_from_slice(&[0xc0, u8::try_from(owner).expect("short")]);
        }),
        ("pointer-out", _) => {
            spoilt(inside, |message| message[end - 16..end - 14].copy_from_slice(&[0xff, 0xff]))
        }
        ("many-records", _) => spoilt(inside, |message| message[6..8].copy_from_slice(&[0xff, 0xff])),
        ("long-data", _) => {
            spoilt(inside, |message| message[end - 6..end - 4].copy_from_slice(&[0xff, 0xff]))
        }
        ("short-data", _) => spoilt(inside, |message| message[end - 6..end - 4].copy_from_slice(&[0, 3])),
        ("a-question", _) => spoilt(inside, |message| message[2] &= 0x7f),
        ("other-question", _) => spoilt(inside, |message| message[13] ^= 1),
        // From somebody who guessed wrongly, and then from the server.
        ("other-id", _) => {
            let mut forged = inside;
            forged[0] ^= 0xff;
            Reply::Say(vec![forged, out])
        }
        ("other-id-only", _) => spoilt(inside, |message| message[0] ^= 0xff),
        ("huge-out" | "huge-in" | "tcp-silent" | "tcp-lies" | "tcp-noise", false) => {
            spoilt(out, |message| message[2] |= 2)
        }
        ("huge-out", true) => Reply::Say(vec![huge(query, &[])]),
        ("huge-in", true) => Reply::Say(vec![huge(query, &[IN])]),
        ("tcp-lies", true) => Reply::Raw([&[0xff, 0xff], out.as_slice()].concat()),
        ("tcp-noise", true) => Reply::Raw(vec![0xff; 70_000]),
        ("loop-self", _) => honest(query, &[Record::alias(&query.name, &query.name)]),
        ("loop-a", _) => honest(query, &[Record::alias(&query.name, "loop-b.test")]),
        ("loop-b", _) => honest(query, &[Record::alias(&query.name, "loop-a.test")]),
        (name, _) if name.starts_with("loop") => {
            let next: u32 = name[4..].parse::<u32>().expect("a number") + 1;
            honest(query, &[Record::alias(&query.name, &format!("loop{next}.test"))])
        }
        ("late", _) => Reply::Late(Duration::from_secs(8), out),
        ("failed", _) => Reply::Say(vec![query.message(2, &at(query, &[IN]))]),
        ("refused", _) => Reply::Say(vec![query.message(5, &[])]),
        ("gone", _) => Reply::Say(vec![query.message(3, &[])]),
        ("nothing", _) => honest(query, &[]),
        _ => Reply::Silence,
    }
}

#[test]
fn an_answer_that_is_none_ends_in_dns_and_is_asked_again_unless_it_says_that_there_is_nothing() {
    let island = Island::new();
    let web = Web::open(&island, &[80], |_| article());
    let names = Names::open(&island, hostile);
    let unanswered = [
        "cut-short",
        "head-only",
        "empty",
        "noise",
        "pointer-loop",
        "pointer-out",
        "many-records",
        "long-data",
        "short-data",
        "a-question",
        "other-id-only",
        "late",
        "failed",
        "refused",
        "silent",
    ];
    let nothing = ["gone", "nothing", "loop-self", "loop-a", "loop0"];
    let reached = ["other-id", "huge-out"];
    let denied = ["huge-in"];
    // Nobody believes it over UDP; over TCP, if there is time for that, it is an answer without the name.
    let either = ["other-question"];
    let all = [&unanswered[..], &either, &nothing, &reached, &denied].concat();
    let silence = [("SAFEURL_GATEWAY_DNS_TIMEOUT", "2s"), ("SAFEURL_RETRY_MAX_ATTEMPTS", "2")];
    let (first, second) = all.split_at(unanswered.len() + either.len());
    let mut documents = scan(&island, &links(first), &silence);
    documents.extend(scan(&island, &links(second), &[("SAFEURL_RETRY_MAX_ATTEMPTS", "2")]));
    let mut wrong = Vec::new();
    for name in all {
        let document = of(&documents, name);
        let (state, class) = end(document);
        let attempts = document["job"]["attempt"].as_u64().expect("a number");
        let expected = match name {
            name if unanswered.contains(&name) => ("FAILED", "dns", 2),
            name if nothing.contains(&name) => ("FAILED", "dns", 1),
            name if either.contains(&name) => ("FAILED", "dns", attempts),
            name if denied.contains(&name) => ("FAILED", "egress_denied", 1),
            _ => ("COMPLETED", "", 1),
        };
        if (state, class, attempts) != expected {
            wrong.push(format!(
                "{name}: {state} {class} after {attempts}, not {expected:?}: {}",
                document["egress"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let arrivals = web.arrivals(island.dialled() - names.over_tcp());
    assert!(arrivals.iter().all(|arrival| arrival.at.to_string().starts_with("93.184.")), "{arrivals:?}");
}

#[test]
fn a_name_server_that_lies_about_lengths_over_tcp_has_given_no_answer() {
    let island = Island::new();
    let web = Web::open(&island, &[80], |_| article());
    let names = Names::open(&island, hostile);
    let settings = [("SAFEURL_GATEWAY_DNS_TIMEOUT", "1s"), ("SAFEURL_RETRY_MAX_ATTEMPTS", "1")];
    // One after the other: questions to one server share a connection, and so what was said on it.
    for name in ["tcp-silent", "tcp-lies", "tcp-noise"] {
        let documents = scan(&island, &links(&[name]), &settings);
        let document = of(&documents, name);
        assert_eq!(end(document), ("FAILED", "dns"), "{name}: {document}");
        assert_eq!(document["job"]["failure"]["retryable"], true, "{name}: {document}");
    }
    assert!(names.over_tcp() >= 3, "they were asked");
    assert_eq!(web.arrivals(island.dialled() - names.over_tcp()).len(), 0);
}
