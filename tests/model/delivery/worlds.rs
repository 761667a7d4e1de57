//! The worlds that are checked.

use crate::subject::Config;

/// Where a counterexample is looked for.
pub(crate) const SMALLEST: Config = Config {
    name: "Redis, 2 supervisors, 1 job, no fault",
    seats: &[0, 0],
    jobs: 1,
    entries: 1,
    slots: 1,
    pool: 0,
    attempts: 2,
    losses: 8,
    faults: 0,
    rare: true,
    depth_first: false,
};

/// For every run of the tests.
pub(crate) const SMALL: &[Config] =
    &[SMALLEST, Config { name: "Redis, 2 supervisors, 1 job, 1 fault", faults: 1, ..SMALLEST }];

/// For `make model`.
pub(crate) const LARGE: &[Config] = &[
    SMALLEST,
    Config { name: "Redis, 2 supervisors, 1 job, 1 fault", faults: 1, ..SMALLEST },
    Config { name: "Redis, 2 supervisors, 1 job, 2 faults", faults: 2, ..SMALLEST },
    Config { name: "Redis, 2 engines, 1 job, 2 faults", seats: &[0, 1], faults: 2, ..SMALLEST },
    Config { name: "Redis, 2 supervisors, 1 job added twice, 1 fault", entries: 2, faults: 1, ..SMALLEST },
    Config {
        name: "Redis, 1 supervisor with 2 slots, 1 job, 2 faults",
        seats: &[0],
        slots: 2,
        faults: 2,
        ..SMALLEST
    },
    Config { name: "Redis, 2 supervisors, 2 jobs, 1 fault", jobs: 2, faults: 1, rare: false, ..SMALLEST },
    Config { name: "Redis, 2 supervisors, 1 job, 3 faults", faults: 3, rare: false, ..SMALLEST },
];
