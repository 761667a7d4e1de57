//! What the gateway reads from a container, and what the supervisor reads from the gateway.

use safeurl_egress::{Network, Policy, literal};
use safeurl_protocol::ledger::{Ledger, LedgerLine};

use crate::gateway::check::{Outlook, check};
use crate::gateway::message::{Order, Report};
use crate::gateway::record::ledger_in;
use crate::gateway::request::{BadRequest, Connect, MAX_HEAD_BYTES, parse};

pub(super) fn connect_head(data: &[u8]) {
    let read = parse(data);
    match &read {
        Ok(Some(Connect { host, port })) => {
            assert!(data.len() <= MAX_HEAD_BYTES && data.ends_with(b"\r\n\r\n"));
            assert!(!host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic()), "{host:?}");
            assert!(!host.bytes().any(|byte| b"/\\@?#[]<>".contains(&byte)), "{host:?}");
            let again =
                if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
            assert_eq!(parse(format!("CONNECT {again} HTTP/1.1\r\n\r\n").as_bytes()), read);
            let more = [data, b"x"].concat();
            let refused = if more.len() > MAX_HEAD_BYTES {
                [BadRequest::Early, BadRequest::TooLong]
            } else {
                [BadRequest::Early; 2]
            };
            assert!(parse(&more).is_err_and(|error| refused.contains(&error)), "bytes behind the head");
        }
        Ok(None) => assert!(data.len() < MAX_HEAD_BYTES),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    // What is not whole is no request yet, wherever it is cut.
    for cut in [data.len() / 3, data.len() / 2, data.len().saturating_sub(1)] {
        if cut < data.len() && read.is_ok() {
            assert_eq!(parse(&data[..cut]), Ok(None));
        }
    }
}

/// Networks that may be dialled although they are not public, and in the next line where to go: an address in any
/// spelling, a host, a URL.
pub(super) fn destination(data: &[u8]) {
    let (networks, rest) = super::first_line(data);
    let text = String::from_utf8_lossy(rest);
    for word in networks.split(' ') {
        if let Ok(network) = word.parse::<Network>() {
            assert_eq!(network.to_string().parse::<Network>().as_ref(), Ok(&network));
        }
    }
    let strict = Policy::default();
    let answer = check(&strict, &text);
    assert_eq!(answer.rule.is_none(), answer.decision == Outlook::NeedsResolution);
    if let Some(address) = literal(text.trim()) {
        // However it is spelt, it is the same address.
        assert_eq!(literal(&address.to_string()), Some(address));
        assert_eq!(strict.check(address, 80).allowed, answer.decision == Outlook::Allowed, "{address}");
        let allowed = Policy::new(
            vec![
                format!("{address}/32")
                    .parse()
                    .or_else(|_| format!("{address}/128").parse())
                    .expect("a network of one"),
            ],
            false,
        );
        assert!(allowed.check(address, 80).allowed, "allow_networks wins over every denial");
    }
    if answer.decision == Outlook::Allowed {
        let recheck = check(&Policy::new(Vec::new(), true), &text);
        assert!(
            matches!(recheck.decision, Outlook::Allowed),
            "judging by what is embedded allows less, not more"
        );
    }
}

pub(super) fn ledger(data: &[u8]) {
    let ledger = ledger_in(data).expect("memory can be read");
    let lines = data.split(|byte| *byte == b'\n').count();
    assert!(ledger.entries.len() <= lines);
    assert!(ledger.complete || ledger.exhausted.is_none(), "only the end names a budget");
    assert!(ledger.entries.iter().all(|entry| ledger.entry(entry.seq).is_some()));
    let bound = ledger.attempt.clone().map(|attempt| LedgerLine::Bound { attempt, at: 0 });
    let entries = ledger.entries.iter().cloned().map(LedgerLine::Connection);
    let end = ledger.complete.then(|| LedgerLine::End { at: 0, exhausted: ledger.exhausted.clone() });
    let written: Vec<u8> = bound
        .into_iter()
        .chain(entries)
        .chain(end)
        .flat_map(|line| [serde_json::to_vec(&line).expect("a line can be written"), b"\n".to_vec()].concat())
        .collect();
    assert_eq!(ledger_in(&written[..]).expect("memory can be read"), ledger);
    // A line that broke off takes nothing else with it.
    let torn: Ledger =
        ledger_in(&[&written[..], b"{\"event\":\"end\",\"at"].concat()[..]).expect("memory can be read");
    assert_eq!(torn, ledger);
}

/// A packet of the control socket, read as either side would.
pub(super) fn gateway_message(data: &[u8]) {
    if let Ok(report) = serde_json::from_slice::<Report>(data) {
        let packet = serde_json::to_vec(&report).expect("a report can be written");
        assert_eq!(serde_json::from_slice::<Report>(&packet).expect("and read again"), report);
    }
    if let Ok(order) = serde_json::from_slice::<Order>(data) {
        let packet = serde_json::to_value(&order).expect("an order can be written");
        let again: Order = serde_json::from_value(packet.clone()).expect("and read again");
        assert_eq!(serde_json::to_value(&again).expect("and written"), packet);
        assert!(["configure", "open", "bind", "close"].contains(&order.command.name()));
    }
}
