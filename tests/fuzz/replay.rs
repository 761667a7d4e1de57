//! Runs a target over its seeds and over mutations of them, the same ones each time.
//!
//! `FUZZ_SEED=n` draws other mutations. An input that fails, or does not end, is written to a file that the
//! message names; copied into the target's folder of seeds, it is tried first from then on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::mutate::Mutator;

/// Of each target.
const MUTATIONS: usize = 5_000;

/// No input takes a second, on the slowest machine either.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tries the seeds of a target as they are, then mutations of them.
pub(super) fn replay(name: &'static str, target: fn(&[u8])) {
    let chosen = std::env::var("FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let seeds = seeds(name);
    println!("{name}: {} seeds and {MUTATIONS} mutations, drawn with FUZZ_SEED={chosen}", seeds.len());
    let current = Arc::new(Mutex::new(Vec::new()));
    let (done, dones) = mpsc::channel();
    let running = Arc::clone(&current);
    let runner = std::thread::spawn(move || {
        let mut mutator = Mutator::new(name, chosen, &seeds);
        let mutations = (0..MUTATIONS).map(|_| mutator.next_input());
        for input in seeds.iter().cloned().chain(mutations) {
            running.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&input);
            let held = catch_unwind(AssertUnwindSafe(|| target(&input))).is_ok();
            if done.send(held).is_err() || !held {
                return;
            }
        }
    });
    let failed = |how: &str| {
        let place = keep(name, &current.lock().unwrap_or_else(PoisonError::into_inner));
        panic!(
            "{name} {how}; the input is in {}; hint: copy it to tests/fuzz/seeds/{name}/ and run this test again",
            place.display()
        );
    };
    loop {
        match dones.recv_timeout(PATIENCE) {
            Ok(true) => {}
            Ok(false) => failed("does not hold for an input"),
            Err(RecvTimeoutError::Timeout) => failed("does not end"),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    runner.join().expect("what a target panics with is caught");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What is in the target's folder, by name.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = root().join("tests/fuzz/seeds").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("the folder can be listed").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no seed", folder.display());
    files.iter().map(|file| std::fs::read(file).expect("a seed can be read")).collect()
}

fn keep(name: &str, input: &[u8]) -> PathBuf {
    let folder = root().join("target/fuzz/findings");
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let place = folder.join(format!("{name}-{:016x}", super::mutate::hash(input)));
    std::fs::write(&place, input).expect("the input can be written");
    place
}
