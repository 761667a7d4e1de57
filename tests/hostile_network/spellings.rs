//! Property: no text that any parser on the way takes leads to a packet to an address that must not be dialled.
//!
//! Texts go three ways: as a link through the worker's and the fetcher's parsers, as a Location through the
//! fetcher's, and as they are into a CONNECT, as a fetcher does that was taken over. Behind each is the real gateway
//! process, and the kernel counts what it dials.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use safeurl::domain::target::Target;
use safeurl::gateway::{Budgets, Door, Gateway, GatewayConfig};
use safeurl_egress::Policy;
use safeurl_egress::table::{V4, V6};
use safeurl_protocol::{Egress, Invocation, Method};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use crate::island::Island;
use crate::names::{Names, Query, Record, Reply};
use crate::web::{Web, answer, article};

/// Ports with a listener, and fewer that are refused for what they are.
const PORTS: [u16; 8] = [80, 443, 8080, 80, 443, 8080, 22, 6667];

/// How many texts are tried each way.
const CASES: u32 = 250;

/// A second opinion about addresses, in the standard library's words and not by the tables that decide.
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_documentation()
                || a == 0
                || a >= 224
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (18..20).contains(&b))
        }
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            v6.to_ipv4().is_some()
                || a >> 13 != 1
                || a == 0x2002
                || (a == 0x2001 && (b < 0x200 || b == 0xdb8))
        }
    }
}

/// Addresses of denied blocks, of whatever there is, and IPv6 with one of both inside.
fn address() -> impl Strategy<Value = IpAddr> {
    let v4_of = |bits: u32, block: usize| {
        let block = V4[block % V4.len()];
        Ipv4Addr::from(block.first.to_bits() | bits.checked_shr(block.prefix.into()).unwrap_or(0))
    };
    let v6_of = |bits: u128, block: usize| {
        let block = V6[block % V6.len()];
        Ipv6Addr::from(block.first.to_bits() | bits.checked_shr(block.prefix.into()).unwrap_or(0))
    };
    let v4 = prop_oneof![
        3 => (any::<u32>(), any::<usize>()).prop_map(move |(bits, block)| v4_of(bits, block)),
        3 => any::<u32>().prop_map(Ipv4Addr::from),
    ];
    let v6 = prop_oneof![
        2 => (any::<u128>(), any::<usize>()).prop_map(move |(bits, block)| v6_of(bits, block)),
        2 => any::<u128>().prop_map(|bits| Ipv6Addr::from((bits >> 3) | (1 << 125))),
        3 => (v4.clone(), 0..6_usize).prop_map(|(inner, form)| embedding(inner, form)),
    ];
    prop_oneof![3 => v4.prop_map(IpAddr::V4), 2 => v6.prop_map(IpAddr::V6)]
}

fn embedding(inner: Ipv4Addr, form: usize) -> Ipv6Addr {
    let bits = u128::from(inner.to_bits());
    let below = [0xffff_u128 << 32, 0, 0xffff << 48, 0x64_ff9b << 96, (0x2606 << 112) | (0x5efe << 32)];
    below.get(form).map_or(((0x2002 << 112) | (bits << 80)).into(), |prefix| (prefix | bits).into())
}

/// One way to write an address.
#[derive(Debug, Clone)]
struct Style {
    parts: usize,
    radix: [u8; 4],
    dot: &'static str,
    digits: u8,
    trailing: &'static str,
}

fn style() -> impl Strategy<Value = Style> {
    let dots = select(vec![".", ".", "\u{3002}", "\u{ff0e}", "\u{ff61}", "%2e", "%2E", "[.]"]);
    let trailing = select(vec!["", "", ".", "\u{3002}", "%2e", "\u{200b}", "\u{ad}"]);
    (1..=4_usize, any::<[u8; 4]>(), dots, any::<u8>(), trailing)
        .prop_map(|(parts, radix, dot, digits, trailing)| Style { parts, radix, dot, digits, trailing })
}

fn written(address: IpAddr, style: &Style) -> String {
    match address {
        IpAddr::V4(v4) => written_v4(v4, style),
        IpAddr::V6(v6) => {
            let plain = match style.parts {
                1 => v6.to_string(),
                2 => v6.to_string().to_uppercase(),
                3 => v6.segments().map(|group| format!("{group:04x}")).join(":"),
                _ => {
                    let [a, b, c, d, e, f, ..] = v6.segments();
                    let v4 = Ipv4Addr::from(v6.to_bits() as u32);
                    format!("{a:x}:{b:x}:{c:x}:{d:x}:{e:x}:{f:x}:{v4}")
                }
            };
            let zone = ["", "", "%25lo", "%lo"][usize::from(style.digits % 4)];
            format!("[{plain}{zone}]")
        }
    }
}

fn written_v4(v4: Ipv4Addr, style: &Style) -> String {
    let bits = v4.to_bits();
    let last = style.parts - 1;
    let part = |n: usize| {
        // The last part holds all that the others leave.
        let value = if n < last { u32::from(v4.octets()[n]) } else { bits & (u32::MAX >> (8 * last)) };
        match style.radix[n] % 6 {
            0 | 1 => value.to_string(),
            2 => format!("0{value:o}"),
            3 => format!("{value:#x}"),
            4 => format!("0X{value:08X}"),
            _ => format!("000{value:o}"),
        }
    };
    let text = (0..=last).map(part).collect::<Vec<_>>().join(style.dot);
    let digit = |c: char| match (style.digits % 5, c.to_digit(10)) {
        (0, Some(value)) => char::from_u32(0xff10 + value).map_or(c.to_string(), |wide| wide.to_string()),
        (1, Some(value)) => format!("%3{value}"),
        (2, Some(value @ 1..)) => {
            char::from_u32(0x245f + value).map_or(c.to_string(), |ring| ring.to_string())
        }
        _ => c.to_string(),
    };
    format!("{}{}", text.chars().map(digit).collect::<String>(), style.trailing)
}

/// A name whose server answers these addresses: they are in it.
fn name(addresses: &[IpAddr]) -> String {
    let hex = |address: &IpAddr| match address {
        IpAddr::V4(v4) => format!("{:08x}", v4.to_bits()),
        IpAddr::V6(v6) => format!("{:032x}", v6.to_bits()),
    };
    format!("x{}.test", addresses.iter().map(hex).collect::<Vec<_>>().join("-"))
}

fn zone(query: &Query) -> Reply {
    let label = query.name.split('.').next().unwrap_or_default();
    let texts = label.trim_start_matches('x').split('-');
    let addresses = texts.filter_map(|hex| match hex.len() {
        8 => u32::from_str_radix(hex, 16).ok().map(|bits| IpAddr::from(Ipv4Addr::from(bits))),
        32 => u128::from_str_radix(hex, 16).ok().map(|bits| IpAddr::from(Ipv6Addr::from(bits))),
        _ => None,
    });
    let records: Vec<Record> =
        addresses.map(|address| Record::address(&query.name, &address.to_string())).collect();
    Reply::Say(vec![query.answer(&records)])
}

fn host() -> impl Strategy<Value = String> {
    let few = prop::collection::vec(address(), 1..3).prop_filter("fits a label", |addresses| {
        addresses.iter().filter(|address| address.is_ipv6()).count() < 2
    });
    prop_oneof![
        6 => (address(), style()).prop_map(|(address, style)| written(address, &style)),
        3 => few.prop_map(|addresses| name(&addresses)),
        2 => any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).to_string()),
        1 => select(vec!["localhost", "LocalHost.", "x.localhost", "0", "1.2.3.4.5", "0x", "..", "[::]"])
            .prop_map(str::to_owned),
        1 => "[!-~]{1,24}",
    ]
}

/// How hosts stand in a text: `{h}` the host, `{o}` another, `{p}` a port.
const FORMS: [&str; 24] = [
    "http://{h}/",
    "http://{h}:{p}/",
    "https://{h}/",
    "https://{h}:{p}/x?y#z",
    "{h}",
    "{h}:{p}",
    "//{h}/",
    "///{h}:{p}",
    "http:{h}",
    "http:/{h}",
    "http:\\\\{h}\\x",
    "/\\{h}",
    "http://{o}@{h}:{p}/",
    "http://{o}:80@{h}/",
    "http://{o}@{o}@{h}/",
    "http://{h}\\@{o}/",
    "http://{h}#@{o}/",
    "http://{h}?@{o}/",
    "http://{h}%2f@{o}/",
    "http://{h}%00.{o}/",
    "http://{h}%09{o}/",
    "ht\ttp://{h}\t/",
    "hxxp://{h}:{p}/",
    "<http://{h}>",
];

fn text() -> impl Strategy<Value = String> {
    (host(), host(), select(&PORTS[..]), select(&FORMS[..])).prop_map(|(host, other, port, form)| {
        form.replace("{h}", &host).replace("{o}", &other).replace("{p}", &port.to_string())
    })
}

/// Where texts are tried.
struct World<'a> {
    island: &'a Island,
    web: Web,
    runtime: Runtime,
    gateway: Gateway,
    location: Arc<Mutex<String>>,
    dials: Cell<u32>,
    denials: Cell<u32>,
}

impl<'a> World<'a> {
    fn new(island: &'a Island, run_dir: &std::path::Path) -> Self {
        let location: Arc<Mutex<String>> = Arc::default();
        let shown = Arc::clone(&location);
        let web = Web::open(island, &[80, 443, 8080], move |path| match path {
            "/go" => {
                let to = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
                answer(302, &format!("Location: {to}\r\n"), "")
            }
            _ => article(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let config = GatewayConfig {
            program: env!("CARGO_BIN_EXE_safeurl").into(),
            run_dir: run_dir.to_owned(),
            user: None,
            allow_networks: Vec::new(),
            nat64_recheck: false,
            resolvers: vec![Names::AT],
            hosts: std::collections::BTreeMap::new(),
            dns_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(20),
        };
        let gateway = runtime.block_on(Gateway::spawn(config)).expect("a gateway");
        let (dials, denials) = (Cell::new(0), Cell::new(0));
        Self { island, web, runtime, gateway, location, dials, denials }
    }

    /// Does something at a door of its own, then looks at what was dialled.
    fn watch(&self, act: impl FnOnce(&Door) -> Result<(), TestCaseError>) -> Result<(), TestCaseError> {
        let before = self.island.dialled();
        let budgets = Budgets {
            deadline_ms: 120_000,
            max_connections: 100,
            max_concurrent: 10,
            max_hosts: 100,
            bytes_in: 10_000_000,
            bytes_in_at_once: u64::MAX,
            bytes_in_rate: 1,
            bytes_out: 10_000_000,
        };
        let own_uid = rustix::process::getuid().as_raw();
        let door = self.runtime.block_on(async {
            let door = self.gateway.open(self.gateway.new_door(), own_uid).await.expect("a door");
            door.bind("job/1", budgets).await.expect("bound");
            door
        });
        let acted = act(&door);
        let ledger = self.runtime.block_on(door.close()).expect("a ledger");
        door.discard().expect("removed");
        let mut told = 0;
        for entry in &ledger.entries {
            let denied = entry.decision == safeurl_protocol::ledger::Decision::Denied;
            self.denials.set(self.denials.get() + u32::from(denied));
            prop_assert!(!denied || entry.tried.is_empty(), "{entry:?}");
            told += entry.tried.len() as u64;
        }
        prop_assert_eq!(self.island.dialled() - before, told, "the ledger tells every dial: {:?}", ledger);
        self.dials.set(self.dials.get() + u32::try_from(told).expect("few"));
        let arrivals = self.web.arrivals(self.island.dialled());
        for arrival in &arrivals[usize::try_from(before).expect("few")..] {
            let allowed = Policy::default().check(arrival.at, arrival.port).allowed;
            prop_assert!(allowed && !is_inside(arrival.at), "{:?}: {:?}", arrival, ledger);
        }
        acted
    }

    /// Fetches as the program in the container does. Whatever the link, the gateway understands what it is asked for.
    fn fetch(&self, door: &Door, url: String, fallback_url: Option<String>) -> Result<(), TestCaseError> {
        let invocation = Invocation {
            attempt: "job/1".to_owned(),
            url,
            fallback_url,
            method: Method::Get,
            headers: Vec::new(),
            user_agent: "test".to_owned(),
            timeout_ms: 60_000,
            max_redirects: 10,
            body_cap: 100_000,
            output_cap: 1_000_000,
            respect_robots: false,
            evidence: false,
            egress: Egress::Gateway { socket: door.mount_dir.join("gw.sock").display().to_string() },
        };
        let report = safeurl_fetcher::fetch(invocation).expect("a report, whatever is in it");
        for hop in &report.requests {
            let error = hop.error.as_ref().map_or("", |error| &error.message);
            prop_assert!(!error.contains("gateway answered"), "{}: {}", hop.url, error);
        }
        Ok(())
    }

    /// Asks the gateway itself.
    fn connect(&self, door: &Door, host: &str, port: u16) -> [u8; 12] {
        self.runtime.block_on(async {
            let mut stream = UnixStream::connect(door.mount_dir.join("gw.sock")).await.expect("a socket");
            let head = format!("CONNECT {host}:{port} HTTP/1.1\r\n\r\n");
            stream.write_all(head.as_bytes()).await.expect("sent");
            let mut status = [0; 12];
            stream.read_exact(&mut status).await.expect("every request is answered");
            status
        })
    }
}

#[test]
fn no_text_leads_to_a_packet_to_an_address_that_is_denied() {
    let island = Island::new();
    let _names = Names::open(&island, zone);
    let run_dir = std::env::temp_dir().join(format!("safeurl-spell-{}", std::process::id()));
    island.inside(|| {
        let world = World::new(&island, &run_dir);
        let run = |what: &str, test: &dyn Fn(String, String, u16) -> Result<(), TestCaseError>| {
            let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
            let texts = (text(), host(), select(&PORTS[..]));
            let result = TestRunner::new(config).run(&texts, |(text, host, port)| test(text, host, port));
            result.unwrap_or_else(|failure| panic!("{what}: {failure}"));
            let (dials, denials) = (world.dials.take(), world.denials.take());
            println!("{what}: {dials} dials, {denials} denials");
            assert!(dials >= 10 && denials >= 30, "{what}: {dials} dials and {denials} denials prove little");
        };
        run("links", &|text, _, _| {
            let Ok(target) = Target::parse(&text) else { return Ok(()) };
            let (url, fallback) = (target.url().to_string(), target.fallback().map(ToString::to_string));
            world.watch(|door| world.fetch(door, url, fallback))
        });
        run("locations", &|text, _, _| {
            *world.location.lock().unwrap_or_else(PoisonError::into_inner) = text;
            world.watch(|door| world.fetch(door, "http://93.184.216.34/go".to_owned(), None))
        });
        run("requests", &|_, host, port| {
            world.watch(|door| {
                world.connect(door, &host, port);
                Ok(())
            })
        });
    });
    let _ = std::fs::remove_dir_all(&run_dir);
}

/// The first, the middle and the last address of what a prefix leaves of this many bits.
fn offsets(prefix: u8, bits: u32) -> [u128; 3] {
    let rest = (u128::MAX >> (128 - bits)).checked_shr(prefix.into()).unwrap_or(0);
    [0, rest / 2, rest]
}

#[test]
fn a_fetcher_that_was_taken_over_reaches_no_address_of_any_denied_block() {
    let island = Island::new();
    let run_dir = std::env::temp_dir().join(format!("safeurl-block-{}", std::process::id()));
    let v4 = V4.iter().flat_map(|block| {
        let first = u128::from(block.first.to_bits());
        // The cast keeps the 32 bits that there are.
        offsets(block.prefix, 32).map(|offset| IpAddr::from(Ipv4Addr::from((first | offset) as u32)))
    });
    let v6 = V6.iter().flat_map(|block| {
        let first = block.first.to_bits();
        offsets(block.prefix, 128).map(|offset| IpAddr::from(Ipv6Addr::from(first | offset)))
    });
    let addresses: Vec<IpAddr> = v4.chain(v6).collect();
    island.inside(|| {
        let world = World::new(&island, &run_dir);
        let answer = |address: IpAddr| {
            let host = SocketAddr::new(address, 80).to_string();
            let host = host.strip_suffix(":80").expect("its port");
            let mut status = [0; 12];
            let watched = world.watch(|door| {
                status = world.connect(door, host, 80);
                Ok(())
            });
            watched.expect("nothing is dialled that must not be");
            String::from_utf8_lossy(&status).into_owned()
        };
        for address in addresses {
            assert_eq!(answer(address), "HTTP/1.1 403", "{address}");
        }
        assert_eq!((island.packets(), world.dials.get()), (0, 0));
        assert_eq!(answer(IpAddr::from([93, 184, 216, 34])), "HTTP/1.1 200", "the door is open");
        assert_eq!(island.dialled(), 1);
    });
    let _ = std::fs::remove_dir_all(&run_dir);
}
