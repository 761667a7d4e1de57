//! No file of any name, by the kernel's Landlock where it has it.
//!
//! The filter of system calls refuses to open anything already; this stands behind it should a way be found to name a
//! file by a call that serves. It guards no unix socket with a path on today's kernels, which is why the filter must.

use landlock::{ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope};

/// The rules asked for: those of Linux 6.12. An older kernel keeps those it knows.
const RULES: ABI = ABI::V6;

/// Takes every file from the calling thread, and the signals and abstract sockets of others. What is open stays open.
pub(super) fn shut() -> &'static str {
    match restrict() {
        Ok(RulesetStatus::FullyEnforced) => "kept in full",
        Ok(RulesetStatus::PartiallyEnforced) => "kept in part, by an older kernel",
        Ok(RulesetStatus::NotEnforced) => "not kept: the kernel has no Landlock",
        Err(_) => "not kept: the kernel or a filter around this process refuses Landlock",
    }
}

fn restrict() -> Result<RulesetStatus, RulesetError> {
    // Handled, and allowed nowhere: nothing has to be read once the process is configured.
    let rules = Ruleset::default().handle_access(AccessFs::from_all(RULES))?.scope(Scope::from_all(RULES))?;
    Ok(rules.create()?.restrict_self()?.ruleset)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{self, Read, Write};

    use super::*;

    #[test]
    fn a_thread_without_files_keeps_what_is_open_and_opens_nothing() {
        let folder = std::env::temp_dir().join(format!("safeurl-files-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&folder).expect("a new folder");
        let (open, other) = (folder.join("open"), folder.join("other"));
        let mut ledger = File::create(&open).expect("made");
        let there = folder.clone();
        // Only the thread that asks for it is restricted.
        let tried = std::thread::spawn(move || {
            let kept = shut();
            ledger.write_all(b"line").expect("what is open can be written");
            let acts: [io::Result<()>; 6] = [
                File::open("/etc/resolv.conf").map(drop),
                File::create(&other).map(drop),
                File::options().append(true).open(&open).map(drop),
                fs::rename(&open, &other),
                fs::remove_file(&open),
                fs::read_dir("/").map(drop),
            ];
            (kept, acts.map(|act| act.err().map(|error| error.kind())))
        });
        let (kept, refused) = tried.join().expect("no panic");
        let mut text = String::new();
        File::open(there.join("open")).and_then(|mut file| file.read_to_string(&mut text)).expect("read");
        assert_eq!(text, "line");
        fs::remove_dir_all(&there).expect("removed");
        if kept.starts_with("kept") {
            assert_eq!(refused, [Some(io::ErrorKind::PermissionDenied); 6], "{kept}");
        } else {
            assert!(kept.starts_with("not kept: the kernel"), "{kept}");
        }
    }
}
