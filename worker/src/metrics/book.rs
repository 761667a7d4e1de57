//! Every metric with its name and help, in the order in which a scrape shows them.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::labels::{Build, ByDirection, ByPart, ByRule, Direction, Settled, rules};
use super::{Counted, Part, counted};
use crate::domain::failure::FailureClass;
use crate::domain::state::State;

/// Bounds of the histograms in seconds: from what is usual on an idle machine to the limits that the settings have
/// by default. A job may wait for hours.
const QUEUE_WAIT: [f64; 13] = [0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0];
const CONTAINER_START: [f64; 9] = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];
const RUN: [f64; 11] = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0];
const ANALYSIS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0];

pub(super) type Seconds = Gauge<f64, AtomicU64>;

#[derive(Debug)]
pub(super) struct Book {
    registry: Registry,
    pub(super) started: Seconds,
    pub(super) ready: Family<ByPart, Gauge>,
    pub(super) slots: Gauge,
    pub(super) slots_used: Gauge,
    pub(super) waiting: Gauge,
    pub(super) pool_ready: Gauge,
    pub(super) pool_starting: Gauge,
    pub(super) pool_hits: Counter,
    pub(super) pool_misses: Counter,
    pub(super) claimed: Counter,
    pub(super) settled: Family<Settled, Counter>,
    pub(super) lease_losses: Counter,
    pub(super) take_overs: Counter,
    pub(super) adoptions: Counter,
    pub(super) engine_errors: Counter,
    pub(super) database_errors: Counter,
    pub(super) gateway_errors: Counter,
    pub(super) queue_errors: Counter,
    pub(super) connections: Counter,
    pub(super) denials: Family<ByRule, Counter>,
    pub(super) gateway_bytes: Family<ByDirection, Counter>,
    pub(super) queue_wait: Histogram,
    pub(super) container_start: Histogram,
    pub(super) run: Histogram,
    pub(super) analysis: Histogram,
}

/// Puts metrics under their names.
#[derive(Debug)]
pub(super) struct Shelf(pub(super) Registry);

impl Shelf {
    pub(super) fn empty() -> Self {
        Self(Registry::with_prefix("safeurl"))
    }

    pub(super) fn put<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    pub(super) fn put_in<M: Metric + Clone>(&mut self, name: &str, unit: Unit, help: &str, metric: M) -> M {
        self.0.register_with_unit(name, help, unit, metric.clone());
        metric
    }

    fn times(&mut self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        self.put_in(name, Unit::Seconds, help, Histogram::new(bounds.iter().copied()))
    }
}

impl Book {
    pub(super) fn new() -> Self {
        let mut shelf = Shelf::empty();
        let on = &mut shelf;
        let build = Info::new(Build { version: env!("CARGO_PKG_VERSION") });
        on.0.register("build", "The program", build);
        let book = Self {
            started: on.put_in(
                "start_time",
                Unit::Seconds,
                "When the process started, since the epoch",
                Seconds::default(),
            ),
            ready: on.put("ready", "1 for a part that answers, 0 for one that is waited for", Family::default()),
            slots: on.put("slots", "Attempts that this worker may have at a time", Gauge::default()),
            slots_used: on.put("slots_used", "Attempts that it has", Gauge::default()),
            waiting: on.put("attempts_waiting", "Attempts without a job yet", Gauge::default()),
            pool_ready: on.put("pool_ready", "Containers that wait for a job", Gauge::default()),
            pool_starting: on.put("pool_starting", "Containers that will wait for a job", Gauge::default()),
            pool_hits: on.put(
                "pool_hits",
                "Due jobs for which a container was there or under way",
                Counter::default(),
            ),
            pool_misses: on.put(
                "pool_misses",
                "Due jobs that got a container of their own although there is a pool",
                Counter::default(),
            ),
            claimed: on.put("jobs_claimed", "Jobs that this worker claimed", Counter::default()),
            settled: on.put(
                "jobs_settled",
                "Jobs that left this worker's hands, by the state they went to and the class of their failure",
                Family::default(),
            ),
            lease_losses: on.put(
                "lease_losses",
                "Jobs that this worker held and lost, or gave up without an edge",
                Counter::default(),
            ),
            take_overs: on.put("take_overs", "Jobs of dead workers that were taken over", Counter::default()),
            adoptions: on.put(
                "adoptions",
                "Jobs that were taken over and went on with the container they had",
                Counter::default(),
            ),
            engine_errors: on.put(
                "engine_errors",
                "Times that the engine did not do what it was asked",
                Counter::default(),
            ),
            database_errors: on.put(
                "database_errors",
                "Times that the database did not do what it was asked",
                Counter::default(),
            ),
            gateway_errors: on.put(
                "gateway_errors",
                "Times that the gateway did not do what it was asked, or died",
                Counter::default(),
            ),
            queue_errors: on.put(
                "queue_errors",
                "Times that the queue in Redis did not do what it was asked",
                Counter::default(),
            ),
            connections: on.put(
                "gateway_connections",
                "Connections that the gateway dialled",
                Counter::default(),
            ),
            denials: on.put(
                "gateway_denials",
                "Connections that the gateway refused, by the rule that decided",
                Family::default(),
            ),
            gateway_bytes: on.put_in(
                "gateway_passed",
                Unit::Bytes,
                "Bytes through the gateway: in is towards the container",
                Family::default(),
            ),
            queue_wait: on.times("queue_wait", "From due to claimed", &QUEUE_WAIT),
            container_start: on.times(
                "container_start",
                "From asking for a container to its being ready",
                &CONTAINER_START,
            ),
            run: on.times("run", "From handing a job over to the end of its container's part", &RUN),
            analysis: on.times("analysis", "From an accepted report to its verdict", &ANALYSIS),
            registry: Registry::default(),
        };
        let book = Self { registry: shelf.0, ..book };
        book.begin_at_zero();
        book
    }

    /// A counter that appears with its first event has no rate for that event, so all of them are there at once.
    fn begin_at_zero(&self) {
        let settled = |state, class| drop(self.settled.get_or_create(&Settled::of(state, class)));
        settled(State::Completed, None);
        settled(State::Queued, None);
        for class in FailureClass::ALL {
            settled(if class.is_timeout() { State::TimedOut } else { State::Failed }, Some(class));
            settled(State::Queued, Some(class));
        }
        for rule in rules() {
            drop(self.denials.get_or_create(&ByRule::of(rule)));
        }
        for direction in [Direction::In, Direction::Out] {
            drop(self.gateway_bytes.get_or_create(&ByDirection { direction }));
        }
        for part in Part::ALL {
            drop(self.ready.get_or_create(&ByPart { part }));
        }
    }

    pub(super) fn text(&self, counted: Option<&Counted>) -> String {
        let mut text = String::new();
        // Writing to a string does not fail, and a metric writes nothing but numbers and these names.
        let _ = encode_registry(&mut text, &self.registry);
        let _ = encode_registry(&mut text, &counted::shelf(counted).0);
        let _ = encode_eof(&mut text);
        text
    }
}
