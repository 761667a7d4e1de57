//! What somebody does who took a process over: makes it take system calls that it never took by itself.
//!
//! Uses std alone and is compiled by the tests of the gateway. `trespasser attach <pid> <folder>` stops the process, has
//! it try each act, says on a line each what the kernel answered, and lets the process go on as if nothing had been.
//! The acts that name files do so in the folder. Every act is harmless where it succeeds.
//!
//! Started as `gateway` it is the gateway's program under a kernel without filters of system calls: it has them
//! refused, and becomes the program that stands beside it as `real`.

use std::ffi::{c_long, c_ulong, c_void};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

unsafe extern "C" {
    fn ptrace(request: c_long, pid: c_long, address: *mut c_void, data: *mut c_void) -> c_long;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn prctl(option: i32, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> i32;
}

/// `user_regs_struct` of x86_64, in its order.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Registers {
    r15: u64,
    r14: u64,
    r13: u64,
    r12: u64,
    rbp: u64,
    rbx: u64,
    r11: u64,
    r10: u64,
    r9: u64,
    r8: u64,
    rax: u64,
    rcx: u64,
    rdx: u64,
    rsi: u64,
    rdi: u64,
    orig_rax: u64,
    rip: u64,
    cs: u64,
    eflags: u64,
    rsp: u64,
    ss: u64,
    fs_base: u64,
    gs_base: u64,
    ds: u64,
    es: u64,
    fs: u64,
    gs: u64,
}

const SINGLE_STEP: c_long = 9;
const GET_REGISTERS: c_long = 12;
const SET_REGISTERS: c_long = 13;
const ATTACH: c_long = 16;
const DETACH: c_long = 17;

/// `syscall`, as the machine reads it.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// How far below the stack's end the texts are put: nobody uses that until the process goes on.
const BELOW: u64 = 16 * 1024;

/// The signal that says that a step is done.
const STEPPED: i32 = 5;

const NONE: u64 = u64::MAX;
const HERE: u64 = -100_i64 as u64;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "attach", pid, folder] => attach(pid.parse().expect("a process id"), folder),
        [_, "gateway"] => without_filters(),
        _ => panic!("attach <pid> <folder>, or gateway"),
    }
}

/// A process that was stopped inside a system call.
struct Taken {
    pid: i32,
    before: Registers,
}

impl Taken {
    fn new(pid: i32) -> Self {
        trace(ATTACH, pid, &mut ());
        wait(pid);
        let mut before = Registers::default();
        trace(GET_REGISTERS, pid, &mut before);
        let taken = Self { pid, before };
        let mut code = [0; 2];
        taken.memory().read_exact_at(&mut code, before.rip - 2).expect("its code");
        assert_eq!(code, SYSCALL, "it waits for the kernel");
        taken
    }

    fn memory(&self) -> std::fs::File {
        std::fs::File::options().read(true).write(true).open(format!("/proc/{}/mem", self.pid)).expect("ours")
    }

    /// Puts a text into the process and says where.
    fn put(&self, slot: u64, text: &str) -> u64 {
        let at = (self.before.rsp - BELOW) / 4096 * 4096 + slot * 256;
        self.memory().write_all_at(&[text.as_bytes(), &[0]].concat(), at).expect("its stack");
        at
    }

    fn call(&self, number: u64, arguments: &[u64]) -> Result<u64, Error> {
        let argument = |n: usize| arguments.get(n).copied().unwrap_or_default();
        let mut registers = Registers {
            rax: number,
            orig_rax: NONE,
            rip: self.before.rip - 2,
            rdi: argument(0),
            rsi: argument(1),
            rdx: argument(2),
            r10: argument(3),
            r8: argument(4),
            r9: argument(5),
            ..self.before
        };
        trace(SET_REGISTERS, self.pid, &mut registers);
        // A signal that comes in between, such as the death of a child, stops it before its step.
        loop {
            trace(SINGLE_STEP, self.pid, &mut ());
            if wait(self.pid) == STEPPED {
                break;
            }
        }
        trace(GET_REGISTERS, self.pid, &mut registers);
        let answer = registers.rax as i64;
        if (-4095..0).contains(&answer) { Err(Error::from_raw_os_error(-answer as i32)) } else { Ok(registers.rax) }
    }

    fn let_go(mut self) {
        trace(SET_REGISTERS, self.pid, &mut self.before);
        trace(DETACH, self.pid, &mut ());
    }
}

fn trace<T>(request: c_long, pid: i32, data: &mut T) {
    let data = if size_of::<T>() == 0 { std::ptr::null_mut() } else { std::ptr::from_mut(data).cast() };
    // SAFETY: the kernel reads or writes one `Registers`, or nothing.
    let answer = unsafe { ptrace(request, c_long::from(pid), std::ptr::null_mut(), data) };
    assert_eq!(answer, 0, "request {request}: {}", Error::last_os_error());
}

/// The signal that it was stopped by.
fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the status is written to our own variable.
    assert_eq!(unsafe { waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status & 0xff, 0x7f, "it was stopped and did not end: {status:#x}");
    status >> 8 & 0xff
}

fn attach(pid: i32, folder: &str) {
    let taken = Taken::new(pid);
    let own = u64::from(pid.unsigned_abs());
    let file = taken.put(0, &format!("{folder}/file"));
    let other = taken.put(1, &format!("{folder}/other"));
    let missing = taken.put(2, "/nonexistent");
    let root = taken.put(3, "/");
    let zeros = taken.put(4, "");
    let page = zeros / 4096 * 4096;
    let mut acts: Vec<(String, u64, Vec<u64>)> = Vec::new();
    let mut act = |name: &str, number: u64, arguments: &[u64]| {
        acts.push((name.to_owned(), number, arguments.to_vec()));
    };
    act("getpid", 39, &[]);
    for family in 0..46 {
        act(&format!("socket family {family}"), 41, &[family, 2, 0]);
    }
    act("socket tcp", 41, &[2, 1, 0]);
    act("socket raw", 41, &[2, 3, 1]);
    act("socketpair unix", 53, &[1, 1, 0, zeros]);
    act("listen", 50, &[NONE, 1]);
    // Files.
    act("open to read", 2, &[file, 0]);
    act("open to write", 2, &[file, 1]);
    act("open to truncate", 2, &[file, 0o1002]);
    act("creat", 85, &[other, 0o600]);
    act("openat to read", 257, &[HERE, file, 0]);
    act("openat to create", 257, &[HERE, other, 0o102, 0o600]);
    act("openat2", 437, &[HERE, file, zeros, 24]);
    act("memfd_create", 319, &[zeros, 0]);
    act("truncate", 76, &[file, 0]);
    act("ftruncate", 77, &[NONE, 0]);
    act("chmod", 90, &[file, 0o666]);
    act("fchmodat", 268, &[HERE, file, 0o666]);
    act("chown", 92, &[file, NONE, NONE]);
    act("link", 86, &[missing, other]);
    act("linkat", 265, &[HERE, missing, HERE, other, 0]);
    act("symlink", 88, &[missing, file]);
    act("mkdir", 83, &[file, 0o700]);
    act("mknod", 133, &[file, 0o010_600, 0]);
    act("rename", 82, &[other, other]);
    act("renameat2", 316, &[HERE, missing, HERE, other, 0]);
    act("unlink", 87, &[other]);
    act("unlinkat", 263, &[HERE, missing, 0]);
    act("readlink", 89, &[root, zeros, 1]);
    act("getdents64", 217, &[NONE, zeros, 0]);
    act("inotify_init1", 294, &[0]);
    act("chdir", 80, &[root]);
    act("chroot", 161, &[missing]);
    // A ledger that only grows, a terminal that is only written to.
    act("fcntl setfl", 72, &[1, 4, 0]);
    act("ioctl tiocsti", 16, &[1, 0x5412, zeros]);
    // Programs and processes.
    act("execve", 59, &[missing, 0, 0]);
    act("execveat", 322, &[NONE, zeros, 0, 0, 0x1000]);
    act("fork", 57, &[]);
    act("clone", 56, &[0x800]);
    act("clone3", 435, &[zeros, 0]);
    act("ptrace", 101, &[2, 0]);
    act("process_vm_readv", 310, &[own, 0, 0, 0, 0, 0]);
    act("process_vm_writev", 311, &[own, 0, 0, 0, 0, 0]);
    act("pidfd_open", 434, &[own, 0]);
    act("pidfd_getfd", 438, &[NONE, 0, 0]);
    act("pidfd_send_signal", 424, &[NONE, 0, 0, 0]);
    act("kill", 62, &[own, 0]);
    act("tkill", 200, &[own, 0]);
    act("tgkill", 234, &[own, own, 0]);
    act("rt_sigqueueinfo", 129, &[own, 0, 0]);
    act("prlimit64", 302, &[own, 7, 0, 0]);
    // The kernel's larger doors.
    act("io_uring_setup", 425, &[0, 0]);
    act("bpf", 321, &[NONE, 0, 0]);
    act("userfaultfd", 323, &[0xffff]);
    act("perf_event_open", 298, &[0, 0, NONE, NONE, 0]);
    act("keyctl", 250, &[NONE]);
    act("add_key", 248, &[0, 0, 0, 0, 0]);
    act("mount", 165, &[0, 0, 0, 0, 0]);
    act("umount2", 166, &[0, 0]);
    act("pivot_root", 155, &[0, 0]);
    act("unshare", 272, &[0]);
    act("setns", 308, &[NONE, 0]);
    act("init_module", 175, &[0, 0, 0]);
    act("shmget", 29, &[0, 0, 0]);
    // Rights that were given up.
    act("setresuid", 117, &[NONE, NONE, NONE]);
    act("setresgid", 119, &[NONE, NONE, NONE]);
    act("setgroups", 116, &[0, 0]);
    act("capset", 126, &[0, 0]);
    act("prctl dumpable", 157, &[4, 1]);
    act("seccomp", 317, &[99, 0, 0]);
    act("personality", 135, &[0xffff_ffff]);
    act("mmap to execute", 9, &[0, 4096, 5, 0x22, NONE, 0]);
    act("mprotect to execute", 10, &[page, 4096, 7]);
    // The numbers of another interface of the same kernel.
    act("x32 getpid", 0x4000_0000 | 39, &[]);
    for (name, number, arguments) in acts {
        match taken.call(number, &arguments) {
            Ok(_) => println!("{name}=ok"),
            Err(error) => println!("{name}={}", error.raw_os_error().unwrap_or_default()),
        }
    }
    taken.let_go();
}

/// One instruction of a filter.
#[repr(C)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

fn without_filters() {
    const SECCOMP: u32 = 317;
    const REFUSE: u32 = 0x0005_0001;
    const ALLOW: u32 = 0x7fff_0000;
    let instruction = |code, if_true, if_false, value| Instruction { code, if_true, if_false, value };
    let instructions = [
        instruction(0x20, 0, 0, 0),
        instruction(0x15, 0, 1, SECCOMP),
        instruction(0x06, 0, 0, REFUSE),
        instruction(0x06, 0, 0, ALLOW),
    ];
    let program = Program { length: 4, instructions: instructions.as_ptr() };
    // SAFETY: the kernel copies the program, which lives until then.
    let set = unsafe { prctl(22, 2, std::ptr::from_ref(&program) as c_ulong, 0, 0) };
    assert_eq!(set, 0, "{}", Error::last_os_error());
    let real = std::env::current_exe().expect("a path").with_file_name("real");
    let error = Command::new(real).arg0("safeurl").arg("gateway").exec();
    assert_eq!(error.kind(), ErrorKind::Other, "it does not come back");
}
