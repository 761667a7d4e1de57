//! What a fetcher that was taken over would try. Each act says on standard error how far it came.

use std::fs::{self, File};
use std::hint::{black_box, spin_loop};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::calls::{self, close, signal};
use crate::{DOOR, fill, say};

const MIB: usize = 1 << 20;

/// Tries an act of this name; false when there is none.
pub(crate) fn act(name: &str, argument: &str) -> bool {
    let number = argument.parse::<usize>().unwrap_or_default();
    match name {
        "fork-bomb" => fork_bomb(number),
        "eat" => eat(number),
        "eat-at-once" => {
            let all = vec![1_u8; number * MIB];
            tell("eaten", black_box(&all).len() / MIB);
        }
        "fill-file" => fill_file(argument),
        "many-files" => many_files(number),
        "many-descriptors" => many_descriptors(number),
        "spin" => spin(number),
        "ignore-signals" => {
            let _ = (1..32).map(|number| signal(number, 1)).count();
        }
        "close-stdout" => {
            let _ = close(1);
        }
        "drip" => drip(number),
        "knock" => knock(number),
        "until-quota" => until_quota(argument),
        "connect" => connect(argument),
        "say-to-gateway" => {
            let _ = UnixStream::connect(DOOR).and_then(|socket| answered(socket, &crate::unhex(argument)));
        }
        "call" => calls::call(argument),
        "beget" => calls::beget(argument),
        "families" => calls::families(),
        "sweep" => calls::sweep(argument),
        _ => return false,
    }
    true
}

fn tell(what: &str, value: impl std::fmt::Display) {
    eprintln!("{what}={value}");
}

/// As many processes and threads as there may be, at most so many of each; all of them stay.
fn fork_bomb(most: usize) {
    let mut processes = 0;
    let refused = loop {
        match Command::new("/safeurl-fetcher").arg("park").spawn() {
            Ok(_) if processes < most => processes += 1,
            Ok(_) => break "nothing".to_owned(),
            Err(error) => break format!("{:?}", error.kind()),
        }
    };
    tell("processes", processes);
    tell("processes refused", refused);
    let mut threads = 0;
    let refused = loop {
        let stay = || loop {
            thread::park();
        };
        match thread::Builder::new().stack_size(64 * 1024).spawn(stay) {
            Ok(_) if threads < most => threads += 1,
            Ok(_) => break "nothing".to_owned(),
            Err(error) => break format!("{:?}", error.kind()),
        }
    };
    tell("threads", threads);
    tell("threads refused", refused);
}

/// So many MiB one after the other, without end for 0.
fn eat(most: usize) {
    let mut eaten = vec![];
    while most == 0 || eaten.len() < most {
        eaten.push(vec![1_u8; MIB]);
    }
    tell("eaten", black_box(&eaten).len());
}

/// `<path> <MiB>`.
fn fill_file(argument: &str) {
    let (path, most) = argument.split_once(' ').unwrap_or((argument, "0"));
    let piece = vec![1_u8; MIB];
    let mut written = 0;
    let result = File::create(path).and_then(|mut file| {
        while written < most.parse().unwrap_or(0) {
            file.write_all(&piece)?;
            written += 1;
        }
        Ok(())
    });
    tell("written", written);
    tell("refused", result.map_or_else(|error| format!("{:?}", error.kind()), |()| "nothing".to_owned()));
}

fn many_files(most: usize) {
    let failed = (0..most).find_map(|n| File::create(format!("/tmp/{n}")).err().map(|error| (n, error)));
    told_where(most, failed);
}

fn many_descriptors(most: usize) {
    let mut open = vec![];
    let failed = (0..most).find_map(|n| match File::open("/proc/self/stat") {
        Ok(file) => {
            open.push(file);
            None
        }
        Err(error) => Some((n, error)),
    });
    told_where(most, failed);
}

fn told_where(most: usize, failed: Option<(usize, io::Error)>) {
    tell("made", failed.as_ref().map_or(most, |(n, _)| *n));
    tell("refused", failed.map_or_else(|| "nothing".to_owned(), |(_, error)| format!("{:?}", error.kind())));
}

/// Two threads for so many milliseconds, without end for 0; then says how often it was held back.
fn spin(millis: usize) {
    let until = (millis > 0).then(|| Instant::now() + Duration::from_millis(millis as u64));
    let turn = move || {
        while until.is_none_or(|until| Instant::now() < until) {
            spin_loop();
        }
    };
    let other = thread::spawn(turn);
    turn();
    let _ = other.join();
    let folders = ["", "cpu/", "cpu,cpuacct/"];
    let found = folders.iter().find_map(|at| fs::read_to_string(format!("/sys/fs/cgroup/{at}cpu.stat")).ok());
    let found = found.unwrap_or_default();
    let throttled = found.lines().find_map(|line| line.strip_prefix("nr_throttled "));
    tell("throttled", throttled.unwrap_or("unknown"));
}

/// So many bytes of output, each in a write of its own; without end for 0.
fn drip(most: usize) {
    let mut written = 0;
    while most == 0 || written < most {
        fill(&mut io::stdout().lock(), 1);
        written += 1;
    }
}

/// So many connections to the gateway that begin a request and never end it; a few stay open.
fn knock(most: usize) {
    let (mut open, mut refused) = (vec![], 0_usize);
    for _ in 0..most {
        match UnixStream::connect(DOOR) {
            Ok(mut socket) => {
                let _ = socket.write_all(b"CONNECT half.example:80 HTTP/1.1\r\nHost: ");
                open.push(socket);
                if open.len() > 100 {
                    open.remove(0);
                }
            }
            Err(_) => refused += 1,
        }
    }
    tell("refused", refused);
}

/// Waits until it may compute for so many microseconds of each tenth of a second.
fn until_quota(wanted: &str) {
    let quota = || {
        let v1 = fs::read_to_string("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
        v1.or_else(|_| fs::read_to_string("/sys/fs/cgroup/cpu.max")).unwrap_or_default()
    };
    while quota().split_whitespace().next() != Some(wanted) {
        thread::sleep(Duration::from_millis(10));
    }
}

/// Asks for so many connections, one after the other, to a target in which `$N` is the number of each; what is let
/// through gets so many bytes and is read to its end.
fn connect(argument: &str) {
    let mut words = argument.split(' ');
    let (Some(times), Some(bytes), Some(target)) = (words.next(), words.next(), words.next()) else { return };
    let (times, bytes): (usize, usize) =
        (times.parse().unwrap_or_default(), bytes.parse().unwrap_or_default());
    for n in 1..=times {
        let target = target.replace("$N", &n.to_string());
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        let Ok((mut socket, status)) =
            UnixStream::connect(DOOR).and_then(|socket| answered(socket, head.as_bytes()))
        else {
            continue;
        };
        if status.contains(" 200 ") {
            // It is cut where a budget ends.
            let _ = socket.write_all(&vec![b'x'; bytes]);
            let _ = io::copy(&mut socket, &mut io::sink());
        }
    }
}

/// Says this, and reads the head of the answer; its first line.
fn answered(mut socket: UnixStream, said: &[u8]) -> io::Result<(UnixStream, String)> {
    socket.write_all(said)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let status = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    Ok((socket, status))
}

/// Prints a report with its header. `$ATTEMPT` in it is the attempt.
pub(crate) fn report(attempt: &str, text: &str) {
    let text = text.replace("$ATTEMPT", attempt);
    let sha256 = crate::digest::sha256(text.as_bytes());
    let bytes = text.len();
    say(&format!(
        "{{\"report\":1,\"attempt\":\"{attempt}\",\"bytes\":{bytes},\"sha256\":\"{sha256}\"}}\n{text}"
    ));
}
