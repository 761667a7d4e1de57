//! Floods and broken rules over HTTP/2, through the container.

use std::collections::BTreeMap;

use crate::chains;
use crate::frames::{End, attacks};
use crate::leftovers;
use crate::scanned::{self, end};
use crate::server::secure;
use crate::stage::Stage;

#[test]
fn each_attack_over_http2_ends_as_the_table_says() {
    let shown = chains::alone(&["127.0.0.1"], 2000, 4000);
    let attacks: BTreeMap<_, _> = attacks()
        .into_iter()
        .map(|attack| {
            let playing = attack.clone();
            let address = secure(chains::server(&shown, &["h2"]), move |stream| playing.play(stream));
            (format!("https://{address}/"), attack)
        })
        .collect();
    let stage = Stage::new();
    let urls: Vec<_> = attacks.keys().cloned().collect();
    for (url, document) in scanned::all(&stage, &urls, "8s") {
        let attack = &attacks[&url];
        let [state, failure, error] = end(&document);
        let title = document["page"]["title"].as_str();
        let ended = match (state.as_str(), failure.as_str(), error.as_str(), title) {
            ("FAILED", "http_protocol", "http_protocol", _) => Some(End::Refused),
            ("TIMED_OUT", "timeout", "timeout", _) => Some(End::TimedOut),
            ("COMPLETED", "-", "-", Some("whole")) => Some(End::Page),
            ("COMPLETED", "-", "body" | "timeout", Some("begun")) => Some(End::Cut),
            _ => None,
        };
        assert_eq!(ended, Some(attack.end), "{}: {document}", attack.name);
        assert_eq!(document["requests"][0]["tls"]["alpn"], "h2", "{}", attack.name);
    }
    leftovers::none_within(&stage, std::time::Duration::from_secs(45));
}
