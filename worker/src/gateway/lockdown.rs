//! What the gateway's process gives up before it serves anybody: it reads what hostile pages and servers send, so
//! whoever takes it over must find nothing there to go on with.
//!
//! In order: the user it was started as, where another was chosen; every capability; being looked into by processes
//! of its own user; files, as far as the kernel knows Landlock; and at last every system call that serving doors does
//! not need. Nothing of it can be taken back. Without the last one the process does not run.

mod calls;
mod files;

use std::io;

use rustix::process::DumpableBehavior;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::user::Ids;

/// Why the process may not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum LockdownError {
    /// Rights are given up by a thread for itself.
    #[error("it has {threads} threads, and only one could give its rights up")]
    Threads { threads: usize },
    /// The user cannot be taken.
    #[error("{0}")]
    User(String),
    /// The kernel refused to take rights away.
    #[error("cannot give up {what}: {source}")]
    Rights { what: &'static str, source: io::Error },
    /// Without the filter of system calls nothing is served.
    #[error(
        "cannot give up system calls ({reason}), and does not run with them: the kernel needs seccomp filters"
    )]
    Calls { reason: String },
}

/// Gives up all that is not needed from here on, for good. What is open stays open.
///
/// Returns what the kernel keeps of the rules for files, in words.
pub(super) fn lock_down(user: Option<Ids>) -> Result<&'static str, LockdownError> {
    let rights =
        |what| move |source: rustix::io::Errno| LockdownError::Rights { what, source: source.into() };
    alone()?;
    if let Some(user) = user {
        user.take().map_err(LockdownError::User)?;
    }
    drop_capabilities().map_err(rights("capabilities"))?;
    rustix::thread::set_no_new_privs(true).map_err(rights("new privileges"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(rights("being traced"))?;
    let files = files::shut();
    calls::refuse_others().map_err(|reason| LockdownError::Calls { reason })?;
    Ok(files)
}

/// The kernel counts the threads; where `/proc` is not there nobody can tell.
fn alone() -> Result<(), LockdownError> {
    match std::fs::read_dir("/proc/self/task").map(Iterator::count) {
        Ok(threads @ 2..) => Err(LockdownError::Threads { threads }),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn drop_capabilities() -> rustix::io::Result<()> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    // A service manager that gave none may have forbidden to ask for none.
    if rustix::thread::capabilities(None)? == none {
        Ok(())
    } else {
        rustix::thread::set_capabilities(None, none)
    }
}
