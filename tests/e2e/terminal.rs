//! A terminal for the program to run on, and everything it was sent.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A program on a terminal of its own.
pub(crate) struct OnTerminal {
    pub(crate) child: Child,
    shown: JoinHandle<String>,
}

impl OnTerminal {
    /// Starts it with stdout and stderr on a terminal of this many columns and 24 rows.
    pub(crate) fn start(mut command: Command, columns: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&ours).expect("ours");
        unlockpt(&ours).expect("ours");
        let name = ptsname(&ours, Vec::new()).expect("it has a name");
        let theirs = || open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("their side");
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let first: OwnedFd = theirs();
        tcsetwinsize(&first, size).expect("it takes a size");
        command.stdout(Stdio::from(first)).stderr(Stdio::from(theirs()));
        let child = command.spawn().expect("the program starts");
        // The command holds their side too, and reading ends only when nobody does.
        drop(command);
        let shown = std::thread::spawn(move || {
            let mut shown = Vec::new();
            let mut from = File::from(ours);
            let mut part = [0; 4096];
            // Their side closed is an error on ours.
            while let Ok(count @ 1..) = from.read(&mut part) {
                shown.extend_from_slice(&part[..count]);
            }
            String::from_utf8(shown).expect("text")
        });
        Self { child, shown }
    }

    /// Its exit code and everything it showed.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().expect("it ends").code();
        (code, self.shown.join().expect("no panic"))
    }
}
