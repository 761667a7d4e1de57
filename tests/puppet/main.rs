//! Plays the fetcher in the sandbox's tests: says it is ready, reads one line, and does what it says.
//!
//! Uses std alone and is compiled by the tests as one static program. The line is a list of steps separated by
//! `|`; the first argument says how it starts. One that obeys the page gets a real job instead of such a line: the
//! steps are the last part of the URL's path, in hexadecimal and a line each. Probed, it says that all is well, a slow
//! one when it was told to go on.

mod acts;
mod calls;
mod digest;
mod facts;

use std::fs;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::{Command, abort, exit};
use std::thread;
use std::time::Duration;

const DOOR: &str = "/run/safeurl/gw.sock";

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("stranger") => say("{\"ready\":1,\"protocol\":3}\n"),
        Some("short-lived") => {
            eprintln!("no space left");
            exit(3);
        }
        // A process of a fork bomb.
        Some("park") => loop {
            thread::park();
        },
        // Uses its way out before it has a job.
        Some("hasty") if !std::env::args().any(|argument| argument == "--probe") => {
            let socket = UnixStream::connect(DOOR).expect("the door is there");
            say("{\"ready\":1,\"protocol\":2}\n");
            // Open for as long as it lives.
            std::mem::forget(socket);
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
    // It has nothing to hide its walls with but lies.
    if std::env::args().any(|argument| argument == "--probe") {
        if std::env::args().nth(1).as_deref() == Some("slow") {
            act("meet", "");
        }
        acts::report("probe/1", include_str!("walls.json"));
        exit(0);
    }
    let line = line.trim_end_matches('\n');
    let (attempt, steps) = match field(line, "url") {
        Some(url) => {
            let steps = unhex(url.rsplit('/').next().unwrap_or_default());
            (field(line, "attempt").unwrap_or_default(), String::from_utf8(steps).unwrap_or_default())
        }
        None => ("", line.replace('|', "\n")),
    };
    for step in steps.split('\n') {
        let (step, argument) = step.split_once(' ').unwrap_or((step, ""));
        match step {
            "report" => acts::report(attempt, argument),
            "report-as" => {
                let (other, text) = argument.split_once(' ').unwrap_or((argument, ""));
                acts::report(other, text);
            }
            "report-of" => {
                let (times, text) = argument.split_once(' ').unwrap_or(("0", ""));
                acts::report(attempt, &text.repeat(times.parse().unwrap_or_default()));
            }
            _ => act(step, argument),
        }
    }
}

/// The text of a field of a JSON object that has no escapes in it.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("\"{name}\":\""))?;
    rest.split('"').next()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|two| (two[0] * 16 + two[1]) as u8).collect()
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
        "flood" => loop {
            fill(&mut io::stdout().lock(), 1 << 16);
        },
        // Says that it is here and goes on when told to.
        "meet" => {
            let mut socket = UnixStream::connect(DOOR).expect("the door is open");
            socket.write_all(b"?").expect("somebody listens");
            let mut answer = [0];
            socket.read_exact(&mut answer).expect("somebody answers");
        }
        "probe" => probe(),
        "facts" => facts::tell(),
        "cry" => io::stderr().write_all(&unhex(argument)).expect("somebody reads"),
        "walk" => facts::walk(argument),
        "search" => facts::search(argument),
        // So many times what follows.
        "repeat" => {
            let (times, text) = argument.split_once(' ').unwrap_or(("0", ""));
            say(&text.repeat(times.parse().unwrap_or_default()));
        }
        // Waits for a datagram, for so many milliseconds.
        "hear" => {
            let socket = UdpSocket::bind("0.0.0.0:9999").expect("a network");
            socket.set_read_timeout(Some(Duration::from_millis(number()))).expect("a number");
            eprintln!("listening");
            eprintln!("heard={}", socket.recv(&mut [0; 16]).is_ok());
        }
        // Sends datagrams to an address for about a second.
        "tell" => {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a network");
            for _ in 0..20 {
                // What the network refuses is not sent.
                let _ = socket.send_to(b"here", (argument, 9999));
                thread::sleep(Duration::from_millis(50));
            }
        }
        other if acts::act(other, argument) => {}
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
    tried("write groups", fs::write(groups(), "1"));
    tried("write sysctl", fs::write("/proc/sys/kernel/hostname", "x"));
}

/// Where processes move to the control group that the container sees as its own, in either generation.
fn groups() -> &'static str {
    let both = ["/sys/fs/cgroup/pids/cgroup.procs", "/sys/fs/cgroup/cgroup.procs"];
    both.into_iter().find(|path| fs::exists(path).unwrap_or_default()).unwrap_or("/sys/fs/cgroup/x")
}

fn tried<T>(what: &str, result: io::Result<T>) {
    match result {
        Ok(_) => eprintln!("{what}=ok"),
        Err(error) => eprintln!("{what}={:?}", error.kind()),
    }
}
