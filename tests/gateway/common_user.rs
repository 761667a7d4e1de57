//! What the gateway gives up when it is not root who starts it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use landlock::{ABI, Access as _, AccessFs, Ruleset, RulesetAttr as _, RulesetError, RulesetStatus, Scope};
use rustix::process::{Gid, Uid};
use safeurl::gateway::{Gateway, GatewayConfig};

use crate::lockdown::{Free, Open, REFUSED, SERVES, status, trespass};
use crate::log::Log;
use crate::world::{Echo, PLENTY, RunDir, bound_for, config, connect, names};

/// No user of the containers, nor the one that root starts a gateway as.
const SOMEBODY: u32 = 59_990;

/// Does something as a common user, while root does something else. A thread has a user of its own for the kernel, and
/// what it starts is that user's.
fn as_somebody(act: impl AsyncFnOnce() + Send, root: impl FnOnce()) {
    std::thread::scope(|scope| {
        let somebody = scope.spawn(move || {
            let (uid, gid) = (Uid::from_raw(SOMEBODY), Gid::from_raw(SOMEBODY));
            rustix::thread::set_thread_groups(&[]).expect("this is root");
            rustix::thread::set_thread_res_gid(gid, gid, gid).expect("this is root");
            rustix::thread::set_thread_res_uid(uid, uid, uid).expect("this is root");
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().expect("a runtime").block_on(act())
        });
        root();
        somebody.join().expect("no panic");
    });
}

/// What this kernel makes of the rules for files, asked in a thread that they are for.
fn landlock_here() -> &'static str {
    let asked = std::thread::spawn(|| {
        let rules = Ruleset::default().handle_access(AccessFs::from_all(ABI::V6))?;
        let rules = rules.scope(Scope::from_all(ABI::V6))?;
        Ok::<_, RulesetError>(rules.create()?.restrict_self()?.ruleset)
    });
    match asked.join().expect("no panic") {
        Ok(RulesetStatus::FullyEnforced) => "kept in full",
        Ok(RulesetStatus::PartiallyEnforced) => "kept in part",
        Ok(RulesetStatus::NotEnforced) | Err(_) => "not kept: the kernel",
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_gateway_that_a_common_user_starts_gives_up_the_same_and_its_own_user_does_not_look_inside() {
    let (folder, open) = (Open::new(), Open::new());
    // Wherever the tests are built, this one must be within everybody's reach.
    let program = folder.0.0.join("program");
    std::fs::copy(env!("CARGO_BIN_EXE_safeurl"), &program).expect("copied");
    let (pids, asked) = mpsc::channel();
    let (answers, answered) = mpsc::channel();
    let somebody = async move || {
        let log = Log::default();
        let into = log.clone();
        let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false);
        let _logged = tracing::subscriber::set_default(lines.with_writer(move || into.clone()).finish());
        let run_dir = RunDir::new();
        let gateway = Gateway::spawn(GatewayConfig { program, ..config(&run_dir) }).await.expect("a gateway");
        let echo = Echo::start().await;
        let door = bound_for(&gateway, SOMEBODY, PLENTY).await;
        let pid = gateway.pid().expect("a process");
        let beside = Free(Command::new("sleep").arg("600").spawn().expect("sleep runs"));
        for key in ["Uid", "Gid"] {
            assert_eq!(status(pid, key), [SOMEBODY; 4].map(|id| id.to_string()).join(" "), "{key}");
        }
        assert_eq!((status(pid, "Groups").as_str(), status(pid, "Threads").as_str()), ("", "1"));
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(status(pid, set), "0000000000000000", "{set}");
        }
        let given_up = |pid| [status(pid, "NoNewPrivs"), status(pid, "Seccomp")];
        assert_eq!(given_up(pid), ["1", "2"]);
        assert_ne!(given_up(beside.0.id()), ["1", "2"], "proves nothing where all are like that");
        // A process that may be dumped belongs to its user in there, who reads it like a tracer.
        let inside = |pid: u32, file: &str| format!("/proc/{pid}/{file}");
        let owner = |pid| std::fs::metadata(inside(pid, "environ")).expect("it runs").uid();
        assert_eq!(owner(pid), 0);
        // A process that has only just become another program may not be dumped yet.
        let until = Instant::now() + Duration::from_secs(60);
        while owner(beside.0.id()) != SOMEBODY {
            assert!(Instant::now() < until, "proves nothing: nobody's processes may be dumped");
            std::thread::yield_now();
        }
        for file in ["environ", "maps", "mem"] {
            let opened = |pid| std::fs::File::open(inside(pid, file)).map(drop).map_err(|error| error.kind());
            assert_eq!(opened(pid), Err(ErrorKind::PermissionDenied), "{file}");
            assert_eq!(opened(beside.0.id()), Ok(()), "{file}");
        }
        // Root makes it try: it can do no more than one that root started.
        pids.send(pid).expect("root waits");
        let tried: BTreeMap<String, String> = answered.recv().expect("root answers");
        for (act, answer) in &tried {
            assert_eq!(answer, if SERVES.contains(&act.as_str()) { "ok" } else { REFUSED }, "{act}");
        }
        assert!(tried.len() > 100);
        assert_eq!(connect(&door, &echo.address.to_string()).await.status, 200, "it serves");
        let said = log.text();
        let line = said.lines().find(|line| line.contains("locked down")).expect("it is told");
        assert!(line.contains(landlock_here()), "{line}");
        assert!(door.close().await.expect("closed").complete);
        door.discard().expect("removed");
        gateway.shutdown().await;
    };
    as_somebody(somebody, || {
        // Nobody asks where something failed before, which is told then.
        if let Ok(pid) = asked.recv() {
            answers.send(trespass(pid, &open)).expect("somebody waits");
        }
    });
    assert_eq!((names(&open.0.0), open.text()), (vec!["file".to_owned()], "text".to_owned()));
}
