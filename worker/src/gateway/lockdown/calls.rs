//! The system calls that serving doors takes, and a filter that refuses all others with EPERM.
//!
//! A list of what is allowed, so that a call that a later kernel adds is refused unseen. What the table does not name
//! cannot be done: no file is opened, made, renamed or removed; no program is executed and no process or thread
//! started; nobody is traced, read, signalled; no socket but of the internet is made, none listens; nothing of
//! `ptrace`, `process_vm_*`, `pidfd_*`, `io_uring`, `bpf`, `mount`, `unshare`, keys or modules. Memory never becomes
//! executable.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Allowed with any arguments, by who needs them.
const FREE: &[c_long] = &[
    // Connections, doors, the control socket, ledgers.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_shutdown,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    // The lock of a ledger, and standard error that is let go of.
    libc::SYS_flock,
    libc::SYS_dup3,
    // The event loop: its selector is there already.
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_ppoll,
    // Clocks, where the kernel does not answer without a call.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    // Numbers and ports of DNS queries, seeds of hash maps.
    libc::SYS_getrandom,
    // Memory and locks of the allocator and the library of C.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    // Signals that come: hanging up is shrugged off, a fault ends the process.
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    // Names of itself, which say nothing of others.
    libc::SYS_getpid,
    libc::SYS_gettid,
    // The end.
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Older spellings of the same, which newer architectures do without.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[libc::SYS_epoll_wait, libc::SYS_poll, libc::SYS_dup2];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// The low bits of a socket's type; the others are flags.
const TYPE: u64 = 0xf;

/// A call that is allowed when all of these hold of its arguments: which one, the bits that are looked at, their value.
type Case = (c_long, &'static [(u8, u64, u64)]);

const WHOLE: u64 = u32::MAX as u64;

/// `asm-generic/ioctls.h`; the type of `libc`'s constant is another one with each library of C.
const FIONBIO: u64 = 0x5421;

/// Allowed in these cases. None of the constants is negative.
const CASES: &[Case] = &[
    // Ways out are TCP, names are asked for over UDP as well. Nothing of the unix family, which would reach the
    // sockets of the engine, of service managers and of other doors.
    (libc::SYS_socket, &[(0, WHOLE, libc::AF_INET as u64), (1, TYPE, libc::SOCK_STREAM as u64)]),
    (libc::SYS_socket, &[(0, WHOLE, libc::AF_INET as u64), (1, TYPE, libc::SOCK_DGRAM as u64)]),
    (libc::SYS_socket, &[(0, WHOLE, libc::AF_INET6 as u64), (1, TYPE, libc::SOCK_STREAM as u64)]),
    (libc::SYS_socket, &[(0, WHOLE, libc::AF_INET6 as u64), (1, TYPE, libc::SOCK_DGRAM as u64)]),
    // Not to block, and to be closed on execution, is all that is asked of descriptors. Flags of a file could take
    // its ledger's "append only" away.
    (libc::SYS_ioctl, &[(1, WHOLE, FIONBIO)]),
    (libc::SYS_fcntl, &[(1, WHOLE, libc::F_GETFD as u64)]),
    (libc::SYS_fcntl, &[(1, WHOLE, libc::F_SETFD as u64)]),
    (libc::SYS_fcntl, &[(1, WHOLE, libc::F_GETFL as u64)]),
    (libc::SYS_fcntl, &[(1, WHOLE, libc::F_DUPFD_CLOEXEC as u64)]),
    // Memory that is never executed.
    (libc::SYS_mmap, &[(2, libc::PROT_EXEC as u64, 0)]),
    (libc::SYS_mprotect, &[(2, libc::PROT_EXEC as u64, 0)]),
];

/// Puts the filter on every thread of the process.
pub(super) fn refuse_others() -> Result<(), String> {
    let program = program().map_err(|error| error.to_string())?;
    seccompiler::apply_filter_all_threads(&program).map_err(|error| error.to_string())
}

fn program() -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> =
        FREE.iter().chain(OLDER).map(|call| (*call, Vec::new())).collect();
    for (call, conditions) in CASES {
        let conditions = conditions.iter().map(|(argument, bits, value)| {
            let compared = SeccompCmpOp::MaskedEq(*bits);
            SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, compared, *value)
        });
        let rule = SeccompRule::new(conditions.collect::<Result<_, _>>()?)?;
        rules.entry(*call).or_default().push(rule);
    }
    let here = TargetArch::try_from(std::env::consts::ARCH)?;
    // An error and not a signal: a library that tries a call for a quicker way goes on without it.
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, refused, SeccompAction::Allow, here)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_allowed_freely_or_in_cases_and_never_both() {
        // Cases of a call that is free would say nothing.
        assert!(CASES.iter().all(|(call, _)| !FREE.contains(call) && !OLDER.contains(call)));
    }
}
