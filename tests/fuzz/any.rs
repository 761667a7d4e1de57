//! libFuzzer's entry for every target: `FUZZ_TARGET` names the one to run.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<safeurl::fuzzing::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let all = || safeurl::fuzzing::TARGETS.iter().chain(safeurl_fetcher::fuzzing::TARGETS);
    match all().find(|(known, _)| *known == name) {
        Some((_, target)) => *target,
        None => {
            let names: Vec<_> = all().map(|(known, _)| *known).collect();
            panic!("FUZZ_TARGET={name:?} is no target; there are {}", names.join(", "));
        }
    }
});

fuzz_target!(|data: &[u8]| TARGET(data));
