//! System calls that nobody needs to render a page: refused by the filter, answered by the kernel without it.
#![cfg(target_arch = "x86_64")]

use std::collections::BTreeSet;

use bollard::models::ContainerCreateBody;
use safeurl::sandbox::{Network, seccomp};
use serde_json::Value;

use crate::cell::{Left, host, run, strict, unfiltered};

/// "Operation not permitted", the answer of the filter.
const EPERM: &str = "1";

/// Calls with numbers and arguments that do no harm, chosen so that the kernel itself answers them with something other
/// than EPERM: it looks at these before it asks for a right. `asm/unistd_64.h` has the numbers.
const DANGEROUS: &[(&str, &str)] = &[
    ("ptrace", "101 0"),
    ("mount", "165 0 1 0 0 0"),
    ("unshare", "272 1024"),
    ("setns", "308 -1 0"),
    ("bpf", "321 0 0 5000"),
    ("keyctl", "250 0 -2 1"),
    ("add_key", "248 1 1 0 0 0"),
    ("request_key", "249 1 1 0 0"),
    ("io_uring_setup", "425 1 0"),
    ("io_uring_enter", "426 -1 0 0 0 0"),
    ("io_uring_register", "427 -1 0 0 0"),
    ("userfaultfd", "323 1"),
    ("perf_event_open", "298 1 0 -1 -1 0"),
    ("process_vm_readv", "310 1 0 0 0 0 1"),
    ("process_vm_writev", "311 1 0 0 0 0 1"),
    ("pidfd_open", "434 1 0"),
    ("pidfd_getfd", "438 -1 0 0"),
    ("memfd_create", "319 1 0"),
    ("personality", "135 4294967295"),
    ("open_tree", "428 -100 1 0"),
    ("name_to_handle_at", "303 -1 1 1 1 0"),
    ("sendmsg", "46 -1 0 0"),
    ("recvmsg", "47 -1 0 0"),
    ("socketpair", "53 1 1 0 1"),
    ("kill", "62 1 0"),
    ("chroot", "161 1"),
    ("symlink", "88 1 1"),
    ("chmod", "90 1 0"),
    ("shmat", "30 -1 0 0"),
    ("setpriority", "141 0 0 19"),
    ("mmap_executable", "9 0 4096 5 34 -1 0"),
    ("ioctl_tiocsti", "16 0 21522 1"),
    ("prctl_set_dumpable", "157 4 1 0 0 0"),
];

/// Processes and threads, and how each is asked for: refused by the filter, with this answer; without it the first two
/// make a process, and the others are told that the arguments are wrong.
const BEGUN: &[(&str, &str, &str, &str)] = &[
    ("fork", "beget fork 57", EPERM, "ok"),
    ("clone_process", "beget clone_process 56 17 0 0 0 0", EPERM, "ok"),
    ("clone_user_namespace", "call clone_user_namespace 56 268566272 0 0 0 0", EPERM, "22"),
    // "Not implemented", on which the C library uses clone.
    ("clone3", "call clone3 435 0 0", "38", "22"),
];

/// A process that shares its parent's stack cannot be made by number and survived. Where nothing more fits into the
/// container, the kernel says that it should be tried again.
const VFORK: (&str, &str) = ("fork-bomb 100|call vfork 58|exit 0", "11");

/// Refused whatever the arguments, to root as well.
const REFUSED: &[(&str, &str)] = &[
    ("reboot", "169 0 0 0"),
    ("kexec_load", "246 0 0 0 0"),
    ("init_module", "175 0 0 0"),
    ("open_by_handle_at", "304 -1 0 0"),
];

/// uretprobe and uprobe: no filter is asked about them since Linux 6.14, and whoever calls them from anywhere but the
/// kernel's own trampoline is killed (SIGILL).
const PROBES: [u16; 2] = [335, 336];

/// The numbers of everything on the list.
const ON_THE_LIST: &[(&str, u16)] = &[
    ("read", 0),
    ("write", 1),
    ("open", 2),
    ("close", 3),
    ("stat", 4),
    ("fstat", 5),
    ("lstat", 6),
    ("poll", 7),
    ("lseek", 8),
    ("mmap", 9),
    ("mprotect", 10),
    ("munmap", 11),
    ("brk", 12),
    ("rt_sigaction", 13),
    ("rt_sigprocmask", 14),
    ("rt_sigreturn", 15),
    ("ioctl", 16),
    ("pread64", 17),
    ("readv", 19),
    ("writev", 20),
    ("access", 21),
    ("sched_yield", 24),
    ("mremap", 25),
    ("mincore", 27),
    ("madvise", 28),
    ("nanosleep", 35),
    ("getpid", 39),
    ("socket", 41),
    ("connect", 42),
    ("sendto", 44),
    ("recvfrom", 45),
    ("shutdown", 48),
    ("getsockname", 51),
    ("getpeername", 52),
    ("getsockopt", 55),
    ("clone", 56),
    ("execve", 59),
    ("exit", 60),
    ("uname", 63),
    ("fcntl", 72),
    ("readlink", 89),
    ("gettimeofday", 96),
    ("getrusage", 98),
    ("getuid", 102),
    ("getgid", 104),
    ("geteuid", 107),
    ("getegid", 108),
    ("getppid", 110),
    ("sigaltstack", 131),
    ("statfs", 137),
    ("fstatfs", 138),
    ("prctl", 157),
    ("arch_prctl", 158),
    ("gettid", 186),
    ("futex", 202),
    ("sched_getaffinity", 204),
    ("getdents64", 217),
    ("set_tid_address", 218),
    ("restart_syscall", 219),
    ("clock_gettime", 228),
    ("clock_getres", 229),
    ("clock_nanosleep", 230),
    ("exit_group", 231),
    ("epoll_wait", 232),
    ("epoll_ctl", 233),
    ("tgkill", 234),
    ("openat", 257),
    ("newfstatat", 262),
    ("readlinkat", 267),
    ("faccessat", 269),
    ("ppoll", 271),
    ("set_robust_list", 273),
    ("epoll_pwait", 281),
    ("eventfd2", 290),
    ("epoll_create1", 291),
    ("pipe2", 293),
    ("prlimit64", 302),
    ("getrandom", 318),
    ("statx", 332),
    ("rseq", 334),
    ("clone3", 435),
    ("close_range", 436),
    ("openat2", 437),
    ("faccessat2", 439),
    ("epoll_pwait2", 441),
];

fn steps(calls: impl Iterator<Item = (&'static str, &'static str)>) -> String {
    let calls: Vec<_> = calls.map(|(name, call)| format!("call {name} {call}")).collect();
    format!("{}|exit 0", calls.join("|"))
}

#[tokio::test]
async fn dangerous_system_calls_are_refused_by_the_filter_and_by_nothing_else() {
    let steps = steps(DANGEROUS.iter().copied());
    let (held, loose) = (run(&steps, strict).await, run(&steps, unfiltered).await);
    for (name, _) in DANGEROUS {
        assert_eq!(held.fact(name), EPERM, "{name}");
        assert_ne!(loose.fact(name), EPERM, "{name}: the control shows nothing");
    }
}

#[tokio::test]
async fn processes_are_begun_without_the_filter_alone() {
    let steps: Vec<_> = BEGUN.iter().map(|(_, step, ..)| *step).collect();
    let steps = format!("{}|exit 0", steps.join("|"));
    let (held, loose) = (run(&steps, strict).await, run(&steps, unfiltered).await);
    for (name, _, refused, answered) in BEGUN {
        assert_eq!((held.fact(name), loose.fact(name)), (*refused, *answered), "{name}");
    }
    let (steps, full) = VFORK;
    let (held, loose) = (run(steps, strict).await, run(steps, unfiltered).await);
    assert_eq!((held.fact("vfork"), loose.fact("vfork")), (EPERM, full));
}

#[tokio::test]
async fn kernels_and_handles_of_files_are_not_touched() {
    let held = run(&steps(REFUSED.iter().copied()), strict).await;
    for (name, _) in REFUSED {
        assert_eq!(held.fact(name), EPERM, "{name}");
    }
    // The kernel itself refuses a handle to whoever lacks the right to read everything; with that right it looks at
    // what it is given, unless the filter is there.
    let handle = steps(REFUSED.iter().copied().filter(|(name, _)| *name == "open_by_handle_at"));
    let (held, loose) = (run(&handle, reading_all).await, run(&handle, reading_all_unfiltered).await);
    assert_eq!(held.fact("open_by_handle_at"), EPERM);
    assert_ne!(loose.fact("open_by_handle_at"), EPERM);
}

fn reading_all(spec: &mut ContainerCreateBody) {
    spec.user = Some("0:0".to_owned());
    host(spec).cap_add = Some(vec!["DAC_READ_SEARCH".to_owned()]);
}

fn reading_all_unfiltered(spec: &mut ContainerCreateBody) {
    reading_all(spec);
    unfiltered(spec);
}

#[tokio::test]
async fn every_system_call_that_is_not_on_the_list_is_refused() {
    let profile: Value = serde_json::from_str(&seccomp::profile(Network::None)).expect("JSON");
    let lists = profile["syscalls"].as_array().expect("a list").iter();
    let listed: BTreeSet<_> =
        lists.flat_map(|entry| entry["names"].as_array().expect("names")).filter_map(Value::as_str).collect();
    assert_eq!(
        listed,
        ON_THE_LIST.iter().map(|(name, _)| *name).collect(),
        "the numbers are those of the list"
    );
    let except = ON_THE_LIST.iter().map(|(_, number)| number).chain(&PROBES);
    let except: Vec<_> = except.map(u16::to_string).collect();
    let held = run(&format!("sweep {}|exit 0", except.join(" ")), strict).await;
    assert_eq!(held.code, Some(0), "{held:?}");
    assert_eq!(told(&held), Vec::<&str>::new());
    assert!(held.number("refused") > 300, "{held:?}");
}

/// The calls that were answered with anything else. What is newer than the list's newest may be "not implemented": so
/// says runc, for programs that would take EPERM for the end, and so says an older kernel.
fn told(left: &Left) -> Vec<&str> {
    let newest = ON_THE_LIST.iter().map(|(_, number)| *number).max().unwrap_or_default();
    let newer = |line: &str| {
        let number = line.strip_prefix("call ").and_then(|rest| rest.strip_suffix("=38"));
        number.and_then(|number| number.parse().ok()).is_some_and(|number: u16| number > newest)
    };
    left.err.lines().filter(|line| line.starts_with("call ") && !newer(line)).collect()
}

#[tokio::test]
async fn a_call_of_the_32_bit_kind_ends_the_process() {
    // The bit of x32; such a table of calls has numbers of its own, which no list of ours means.
    let held = run("call x32 1073741863|exit 0", strict).await;
    // 128 and SIGSYS.
    assert_eq!(held.code, Some(159), "{held:?}");
    let loose = run("call x32 1073741863|exit 0", unfiltered).await;
    assert_eq!(loose.code, Some(0), "{loose:?}");
}

#[tokio::test]
async fn sockets_of_every_family_but_unix_are_refused_by_the_filter() {
    let (held, loose) = (run("families|exit 0", strict).await, run("families|exit 0", unfiltered).await);
    let mut unlike = 0;
    for family in 0..=45 {
        let name = format!("family {family}");
        if family == 1 {
            assert!(held.fact(&name).ends_with("ok"), "{}", held.fact(&name));
        } else {
            assert_eq!(held.fact(&name), EPERM, "{name}");
            unlike += u32::from(loose.fact(&name) != EPERM);
        }
    }
    assert!(unlike > 40, "the kernel answers nearly all of them in another way: {loose:?}");
    for family in [2, 10, 16] {
        assert!(loose.fact(&format!("family {family}")).ends_with("ok"), "{loose:?}");
    }
    // AF_VSOCK, the way to whoever runs the machine: made and never connected, or "not supported" by this kernel.
    let vsock = loose.fact("family 40");
    assert!(vsock.ends_with("ok") || vsock == "97", "{vsock}");
}
