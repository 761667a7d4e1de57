//! Plays the fetcher in the sandbox's tests: says it is ready, reads one line, and does what it says.
//!
//! Uses std alone and is compiled by the tests as one static program. The line is a list of steps separated by
//! `|`; the first argument says how it starts.

use std::fs;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::{Command, abort, exit};
use std::thread;

const DOOR: &str = "/run/safeurl/gw.sock";

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("stranger") => say("{\"ready\":1,\"protocol\":3}\n"),
        Some("short-lived") => {
            eprintln!("no space left");
            exit(3);
        }
        Some("impatient") => {
            say("{\"ready\":1,\"protocol\":2}\n");
            exit(10);
        }
        _ => say("{\"ready\":1,\"protocol\":2}\n"),
    }
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line).is_err() || !line.ends_with('\n') {
        exit(10);
    }
    for step in line.trim_end_matches('\n').split('|') {
        let (step, argument) = step.split_once(' ').unwrap_or((step, ""));
        act(step, argument);
    }
}

fn act(step: &str, argument: &str) {
    let number = || argument.parse().unwrap_or_default();
    match step {
        "print" => say(&argument.replace("\\n", "\n")),
        "fill" => fill(&mut io::stdout().lock(), number()),
        "fill-stderr" => fill(&mut io::stderr().lock(), number()),
        "exit" => exit(i32::try_from(number()).unwrap_or_default()),
        "abort" => abort(),
        "hang" => loop {
            thread::park();
        },
        "spin" => loop {
            std::hint::spin_loop();
        },
        "flood" => loop {
            fill(&mut io::stdout().lock(), 1 << 16);
        },
        "eat" => {
            let mut eaten = vec![];
            loop {
                eaten.push(vec![1_u8; 1 << 20]);
            }
        }
        // Says that it is here and goes on when told to.
        "meet" => {
            let mut socket = UnixStream::connect(DOOR).expect("the door is open");
            socket.write_all(b"?").expect("somebody listens");
            let mut answer = [0];
            socket.read_exact(&mut answer).expect("somebody answers");
        }
        "probe" => probe(),
        other => panic!("unknown step {other}"),
    }
}

fn say(text: &str) {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).expect("somebody reads");
}

/// So many bytes whose place can be told from their value.
fn fill(out: &mut impl io::Write, bytes: u64) {
    let all: Vec<u8> = (0..bytes).map(|place| b'a' + (place % 23) as u8).collect();
    out.write_all(&all).and_then(|()| out.flush()).expect("somebody reads");
}

/// What the walls look like from the inside, a fact a line on standard error.
fn probe() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines() {
        if let Some((name, value)) = line.split_once(':') {
            let facts = ["Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "CapEff", "CapPrm", "CapBnd"];
            if facts.contains(&name) {
                eprintln!("{name}={}", value.split_whitespace().collect::<Vec<_>>().join(","));
            }
        }
    }
    let devices = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let cards: Vec<_> = devices.lines().skip(2).filter_map(|line| line.split(':').next()).collect();
    eprintln!("cards={}", cards.concat().trim());
    tried("tcp", TcpStream::connect("127.0.0.1:9"));
    tried("udp", UdpSocket::bind("127.0.0.1:0"));
    tried("udp6", UdpSocket::bind("[::1]:0"));
    tried("process", Command::new("/safeurl-fetcher").spawn());
    tried("thread", thread::Builder::new().spawn(|| ()).map(thread::JoinHandle::join));
    tried("unix", UnixStream::connect(DOOR));
    tried("datagram", std::os::unix::net::UnixDatagram::pair());
    tried("write root", fs::write("/x", "x"));
    tried("write door", fs::write("/run/safeurl/x", "x"));
    tried("write tmp", fs::write("/tmp/x", "x"));
    tried("write sysctl", fs::write("/proc/sys/kernel/hostname", "x"));
}

fn tried<T>(what: &str, result: io::Result<T>) {
    match result {
        Ok(_) => eprintln!("{what}=ok"),
        Err(error) => eprintln!("{what}={:?}", error.kind()),
    }
}
