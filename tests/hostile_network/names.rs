//! A name server of an island, over UDP and TCP, that says what a test wants it to say, true or not.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::island::Island;

/// Types of records: RFC 1035 section 3.2.2 and RFC 3596 section 2.1.
pub(crate) const A: u16 = 1;
pub(crate) const CNAME: u16 = 5;
pub(crate) const AAAA: u16 = 28;

/// A question.
#[derive(Debug)]
pub(crate) struct Query {
    /// In lower case, without the dot at the end.
    pub(crate) name: String,
    pub(crate) kind: u16,
    /// Asked over TCP.
    pub(crate) tcp: bool,
    /// The how many-th question for this name and type, from 1.
    pub(crate) time: u64,
    id: [u8; 2],
    question: Vec<u8>,
}

/// What is sent back.
#[derive(Debug)]
pub(crate) enum Reply {
    Silence,
    /// This message, after a while.
    Late(Duration, Vec<u8>),
    /// These messages one after the other; over TCP with their lengths before them.
    Say(Vec<Vec<u8>>),
    /// Over TCP: these bytes as they are.
    Raw(Vec<u8>),
}

/// A record as it goes into a message.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    owner: String,
    kind: u16,
    ttl: u32,
    data: Vec<u8>,
}

impl Record {
    /// An address of either family.
    pub(crate) fn address(owner: &str, address: &str) -> Self {
        let (kind, data) = match address.parse().expect("an address") {
            IpAddr::V4(v4) => (A, v4.octets().to_vec()),
            IpAddr::V6(v6) => (AAAA, v6.octets().to_vec()),
        };
        // Nothing here may be remembered.
        Self { owner: owner.to_owned(), kind, ttl: 0, data }
    }

    pub(crate) fn alias(owner: &str, of: &str) -> Self {
        Self { owner: owner.to_owned(), kind: CNAME, ttl: 0, data: encoded(of) }
    }
}

impl Query {
    /// An honest answer with these of the records that are asked for, and aliases.
    pub(crate) fn answer(&self, records: &[Record]) -> Vec<u8> {
        let fitting: Vec<Record> =
            records.iter().filter(|record| [CNAME, self.kind].contains(&record.kind)).cloned().collect();
        self.message(0, &fitting)
    }

    /// An answer with this response code (RFC 1035 section 4.1.1).
    pub(crate) fn message(&self, code: u8, records: &[Record]) -> Vec<u8> {
        // An answer, recursion desired and available; one question.
        let mut message = vec![self.id[0], self.id[1], 0x81, 0x80 | code, 0, 1];
        message.extend(u16::try_from(records.len()).expect("not that many").to_be_bytes());
        message.extend([0; 4]);
        message.extend(&self.question);
        for record in records {
            // The name asked for stands at byte 12: a pointer to it keeps large answers in 64 KiB.
            let owner = if record.owner == self.name { vec![0xc0, 12] } else { encoded(&record.owner) };
            message.extend(owner);
            message.extend(record.kind.to_be_bytes());
            message.extend([0, 1]);
            message.extend(record.ttl.to_be_bytes());
            message.extend(u16::try_from(record.data.len()).expect("short").to_be_bytes());
            message.extend(&record.data);
        }
        message
    }
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).expect("a label"));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// The server; its threads end with the test's process.
pub(crate) struct Names {
    over_tcp: Arc<AtomicU64>,
}

impl Names {
    /// Where it is asked in every island.
    pub(crate) const AT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);

    pub(crate) fn open(island: &Island, zone: impl Fn(&Query) -> Reply + Send + Sync + 'static) -> Self {
        let zone = Arc::new(zone);
        let counts = Arc::new(Mutex::new(HashMap::new()));
        let (udp, tcp) = island.inside(|| {
            (UdpSocket::bind(Self::AT).expect("free"), TcpListener::bind(Self::AT).expect("free"))
        });
        let names = Self { over_tcp: Arc::default() };
        let asked = move |packet: &[u8], tcp: bool| {
            let query = read(packet, tcp, &counts)?;
            Some(zone(&query))
        };
        let (asked, over_tcp) = (Arc::new(asked), Arc::clone(&names.over_tcp));
        let by_udp = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut packet = [0; 4096];
            while let Ok((length, client)) = udp.recv_from(&mut packet) {
                let reply = by_udp(&packet[..length], false).unwrap_or(Reply::Silence);
                say_by_udp(&udp, client, reply);
            }
        });
        std::thread::spawn(move || {
            for client in tcp.incoming().map_while(Result::ok) {
                over_tcp.fetch_add(1, Ordering::SeqCst);
                let asked = Arc::clone(&asked);
                std::thread::spawn(move || serve_tcp(client, &*asked));
            }
        });
        names
    }

    /// How often somebody connected to ask.
    pub(crate) fn over_tcp(&self) -> u64 {
        self.over_tcp.load(Ordering::SeqCst)
    }
}

fn say_by_udp(udp: &UdpSocket, client: SocketAddr, reply: Reply) {
    match reply {
        Reply::Silence | Reply::Raw(_) => {}
        Reply::Say(messages) => messages.iter().for_each(|message| drop(udp.send_to(message, client))),
        Reply::Late(after, message) => {
            let udp = udp.try_clone().expect("a socket");
            std::thread::spawn(move || {
                std::thread::sleep(after);
                udp.send_to(&message, client)
            });
        }
    }
}

fn serve_tcp(mut client: TcpStream, asked: &(dyn Fn(&[u8], bool) -> Option<Reply> + Sync)) {
    let mut length = [0; 2];
    while client.read_exact(&mut length).is_ok() {
        let mut packet = vec![0; u16::from_be_bytes(length).into()];
        if client.read_exact(&mut packet).is_err() {
            return;
        }
        let messages = match asked(&packet, true) {
            None | Some(Reply::Silence) => continue,
            Some(Reply::Raw(bytes)) => {
                let _ = client.write_all(&bytes);
                continue;
            }
            Some(Reply::Late(after, message)) => {
                std::thread::sleep(after);
                vec![message]
            }
            Some(Reply::Say(messages)) => messages,
        };
        for message in messages {
            let length = u16::try_from(message.len()).expect("at most 64 KiB").to_be_bytes();
            let _ = client.write_all(&[&length, message.as_slice()].concat());
        }
    }
}

/// Reads a question; `None` for what is none.
fn read(packet: &[u8], tcp: bool, counts: &Mutex<HashMap<(String, u16), u64>>) -> Option<Query> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(packet.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?);
    let name = labels.join(".");
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let time = counts.entry((name.clone(), kind)).or_default();
    *time += 1;
    let question = packet.get(12..at + 4)?.to_vec();
    Some(Query { name, kind, tcp, time: *time, id: [packet[0], packet[1]], question })
}
