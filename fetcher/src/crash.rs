//! What a bug in here looks like from outside: one line on stderr and an exit code of its own.

/// None of the protocol's codes, so that the supervisor reads it as a crash.
const PANICKED: i32 = 101;

/// Ends the process at the first panic, in every build: as process 1 of a container an abort alone, which
/// is what a panic becomes in the staged build, does not end it cleanly.
pub(crate) fn exit_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("safeurl-fetcher: {panic}");
        std::process::exit(PANICKED)
    }));
}
