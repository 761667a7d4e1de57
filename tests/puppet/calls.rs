//! System calls by number, as code that was taken over makes them.
//!
//! The C library's entry points are declared here; nothing that is passed to them is a valid address.

use std::ffi::{c_int, c_long};
use std::io;

unsafe extern "C" {
    safe fn syscall(n: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long) -> c_long;
    /// Its handler is a number here: 1 is SIG_IGN.
    pub(crate) safe fn signal(number: c_int, handler: usize) -> usize;
    pub(crate) safe fn close(descriptor: c_int) -> c_int;
    safe fn _exit(code: c_int) -> !;
}

fn raw(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> c_long {
    syscall(number, a, b, c, d, e, f)
}

fn made(number: c_long, arguments: [c_long; 6]) -> String {
    told(raw(number, arguments))
}

fn told(result: c_long) -> String {
    if result >= 0 {
        return "ok".to_owned();
    }
    io::Error::last_os_error().raw_os_error().unwrap_or_default().to_string()
}

/// `<name> <number> [arguments]`: says `name=ok` or `name=<error number>`.
pub(crate) fn call(argument: &str) {
    let (name, number, arguments) = read(argument);
    eprintln!("{name}={}", made(number, arguments));
}

/// The same of a call that makes a process, which ends at once.
pub(crate) fn beget(argument: &str) {
    let (name, number, arguments) = read(argument);
    let result = raw(number, arguments);
    if result == 0 {
        _exit(0);
    }
    eprintln!("{name}={}", told(result));
}

fn read(argument: &str) -> (&str, c_long, [c_long; 6]) {
    let mut words = argument.split(' ');
    let name = words.next().unwrap_or_default();
    let mut numbers = words.map(|word| word.parse::<c_long>().unwrap_or_default());
    let number = numbers.next().unwrap_or_default();
    let mut arguments = [0; 6];
    for (place, value) in arguments.iter_mut().zip(numbers) {
        *place = value;
    }
    (name, number, arguments)
}

/// A socket of every family and of the kinds stream, datagram, raw and packet.
pub(crate) fn families() {
    let number = if cfg!(target_arch = "x86_64") { 41 } else { 198 };
    for family in 0..=45 {
        let mut answers: Vec<_> = [1, 2, 3, 5].map(|kind| made(number, [family, kind, 0, 0, 0, 0])).into();
        answers.sort();
        answers.dedup();
        eprintln!("family {family}={}", answers.join(","));
    }
}

/// Every call up to 1023 but those named; says which of them was answered with what, other than EPERM.
pub(crate) fn sweep(except: &str) {
    let except: Vec<c_long> = except.split(' ').filter_map(|word| word.parse().ok()).collect();
    let mut refused = 0;
    for number in (0..1024).filter(|number| !except.contains(number)) {
        match made(number, [-1; 6]).as_str() {
            "1" => refused += 1,
            other => eprintln!("call {number}={other}"),
        }
    }
    eprintln!("refused={refused}");
}
