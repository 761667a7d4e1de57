//! A terminal for the program to run on, and everything it was sent.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A program on a terminal of its own.
pub(crate) struct OnTerminal {
    pub(crate) child: Child,
    shown: Arc<Shown>,
    reader: JoinHandle<()>,
}

/// What it was sent so far, and the call to those who wait for more.
#[derive(Default)]
struct Shown {
    bytes: Mutex<Vec<u8>>,
    more: Condvar,
}

impl OnTerminal {
    /// Starts it with stdout and stderr on a terminal of this many columns and 24 rows.
    pub(crate) fn start(mut command: Command, columns: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&ours).expect("ours");
        unlockpt(&ours).expect("ours");
        let name = ptsname(&ours, Vec::new()).expect("it has a name");
        // A gateway that outlives the command must not have inherited it.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = || open(&name, flags, Mode::empty()).expect("their side");
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let first: OwnedFd = theirs();
        tcsetwinsize(&first, size).expect("it takes a size");
        command.stdout(Stdio::from(first)).stderr(Stdio::from(theirs()));
        let child = command.spawn().expect("the program starts");
        // The command holds their side too, and reading ends only when nobody does.
        drop(command);
        let shown = Arc::new(Shown::default());
        let to = Arc::clone(&shown);
        let reader = std::thread::spawn(move || {
            let mut from = File::from(ours);
            let mut part = [0; 4096];
            // Their side closed is an error on ours.
            while let Ok(count @ 1..) = from.read(&mut part) {
                to.bytes.lock().expect("no panic").extend_from_slice(&part[..count]);
                to.more.notify_all();
            }
        });
        Self { child, shown, reader }
    }

    /// Waits until it has shown something that fits, however long a busy machine takes.
    pub(crate) fn until(&self, fits: impl Fn(&str) -> bool) {
        let unlike = |bytes: &mut Vec<u8>| !fits(&String::from_utf8_lossy(bytes));
        let bytes = self.shown.bytes.lock().expect("no panic");
        let longest = Duration::from_secs(60);
        let (bytes, waited) = self.shown.more.wait_timeout_while(bytes, longest, unlike).expect("no panic");
        assert!(!waited.timed_out(), "{:?}", String::from_utf8_lossy(&bytes));
    }

    /// ^C, as the terminal passes it on.
    pub(crate) fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    }

    /// Its exit code and everything it showed.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().expect("it ends").code();
        self.reader.join().expect("no panic");
        let bytes = std::mem::take(&mut *self.shown.bytes.lock().expect("no panic"));
        (code, String::from_utf8(bytes).expect("text"))
    }
}
