use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use safeurl_egress::Policy;

use super::*;
use crate::gateway::checked;

const LIMIT: Duration = Duration::from_secs(10);

fn targets(texts: &[&str]) -> Vec<CheckedAddr> {
    let addresses: Vec<IpAddr> = texts.iter().map(|text| text.parse().expect("an address")).collect();
    checked::all(&Policy::default(), &addresses, 443).expect("allowed").0
}

fn texts(targets: &[CheckedAddr]) -> Vec<String> {
    targets.iter().map(|target| target.address().ip().to_string()).collect()
}

/// How one address behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Connects after so many milliseconds.
    Connects(u64),
    /// Fails after so many.
    Fails(u64, io::ErrorKind),
    /// Says nothing.
    Silent,
}

/// Addresses that behave as told, and what was seen of the race.
struct Course {
    ways: Vec<(CheckedAddr, Way)>,
    begun: Instant,
    /// Which address was tried when, in milliseconds.
    starts: Mutex<Vec<(CheckedAddr, u64)>>,
    /// Attempts that are neither over nor dropped.
    open: Arc<AtomicUsize>,
}

/// Counts an attempt for as long as it is there.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Course {
    fn new(targets: &[CheckedAddr], ways: &[Way]) -> Self {
        Self {
            ways: targets.iter().copied().zip(ways.iter().copied()).collect(),
            begun: Instant::now(),
            starts: Mutex::default(),
            open: Arc::default(),
        }
    }

    fn dial(&self, target: CheckedAddr) -> impl Future<Output = io::Result<CheckedAddr>> + Send + use<> {
        let way = self.ways.iter().find(|(of, _)| *of == target).expect("one of ours").1;
        self.starts.lock().expect("no panic").push((target, self.elapsed()));
        self.open.fetch_add(1, Ordering::SeqCst);
        let open = Open(Arc::clone(&self.open));
        async move {
            let _open = open;
            match way {
                Way::Connects(after) => {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    Ok(target)
                }
                Way::Fails(after, kind) => {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    Err(kind.into())
                }
                Way::Silent => std::future::pending().await,
            }
        }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).expect("short")
    }

    fn starts(&self) -> Vec<(CheckedAddr, u64)> {
        self.starts.lock().expect("no panic").clone()
    }

    async fn run(&self, limit: Duration) -> io::Result<CheckedAddr> {
        let targets: Vec<_> = self.ways.iter().map(|(target, _)| *target).collect();
        let mut told = Vec::new();
        let raced = race(&targets, limit, &mut told, |target| self.dial(target)).await;
        let dialled: Vec<_> = self.starts().into_iter().map(|(target, _)| target).collect();
        assert_eq!(told, dialled, "every address that was dialled is told, and no other");
        // What was dropped is gone once its task was looked at again.
        tokio::task::yield_now().await;
        raced.map(|(stream, target)| {
            assert_eq!(stream, target, "the connection is that of the address named");
            target
        })
    }
}

const REFUSED: io::ErrorKind = io::ErrorKind::ConnectionRefused;

#[test]
fn families_take_turns_and_addresses_without_a_route_come_last() {
    let mixed = targets(&["1.1.1.1", "1.1.1.2", "1.1.1.3", "2606:4700::1", "2606:4700::2"]);
    let all = ordered(&mixed, |_| true);
    assert_eq!(texts(&all), ["2606:4700::1", "1.1.1.1", "2606:4700::2", "1.1.1.2", "1.1.1.3"]);
    let v4_only = ordered(&mixed, |address| address.is_ipv4());
    assert_eq!(texts(&v4_only), ["1.1.1.1", "1.1.1.2", "1.1.1.3", "2606:4700::1", "2606:4700::2"]);
    assert_eq!(texts(&ordered(&mixed, |_| false)), texts(&all), "without any route the order is the same");
    assert_eq!(ordered(&[], |_| true), []);
}

#[test]
fn loopback_has_a_route() {
    assert!(has_route((Ipv4Addr::LOCALHOST, 80).into()));
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_address_that_swallows_everything_costs_one_delay() {
    let targets = targets(&["2606:4700::1", "1.1.1.1"]);
    let course = Course::new(&targets, &[Way::Silent, Way::Connects(20)]);
    assert_eq!(course.run(LIMIT).await.expect("IPv4 answers"), targets[1]);
    assert_eq!(course.starts(), [(targets[0], 0), (targets[1], 250)]);
    assert_eq!(course.elapsed(), 270);
    assert_eq!(course.open.load(Ordering::SeqCst), 0, "the loser is dropped");
}

#[tokio::test(start_paused = true)]
async fn the_next_address_is_tried_at_once_when_one_refuses() {
    let targets = targets(&["2606:4700::1", "1.1.1.1", "1.1.1.2"]);
    let course = Course::new(&targets, &[Way::Fails(3, REFUSED), Way::Fails(4, REFUSED), Way::Connects(5)]);
    assert_eq!(course.run(LIMIT).await.expect("the third answers"), targets[2]);
    assert_eq!(course.starts(), [(targets[0], 0), (targets[1], 3), (targets[2], 7)]);
}

#[tokio::test(start_paused = true)]
async fn who_answers_first_wins_although_another_was_tried_before() {
    let targets = targets(&["2606:4700::1", "1.1.1.1"]);
    let slow = Course::new(&targets, &[Way::Connects(400), Way::Connects(20)]);
    assert_eq!(slow.run(LIMIT).await.expect("both answer"), targets[1]);
    let quick = Course::new(&targets, &[Way::Connects(240), Way::Connects(20)]);
    assert_eq!(quick.run(LIMIT).await.expect("both answer"), targets[0]);
    assert_eq!(quick.starts().len(), 1, "whoever answers within the delay has no rival");
}

#[tokio::test(start_paused = true)]
async fn without_a_winner_the_most_telling_error_remains_and_all_were_tried() {
    use io::ErrorKind::{NetworkUnreachable, TimedOut};
    let targets = targets(&["2606:4700::1", "1.1.1.1"]);
    for (ways, kind) in [
        ([Way::Fails(1, NetworkUnreachable), Way::Fails(1, REFUSED)], REFUSED),
        ([Way::Fails(1, REFUSED), Way::Fails(1, NetworkUnreachable)], REFUSED),
        ([Way::Silent, Way::Fails(1, REFUSED)], TimedOut),
        ([Way::Fails(1, TimedOut), Way::Fails(1, REFUSED)], TimedOut),
        ([Way::Fails(1, NetworkUnreachable), Way::Fails(1, NetworkUnreachable)], NetworkUnreachable),
    ] {
        let course = Course::new(&targets, &ways);
        let lost = course.run(LIMIT).await.expect_err("nobody answers");
        assert_eq!((lost.kind(), course.starts().len()), (kind, 2), "{ways:?}");
        assert_eq!(course.open.load(Ordering::SeqCst), 0);
    }
    let mut tried = Vec::new();
    let dial = |target| async move { Ok(target) };
    let nobody = race(&[], LIMIT, &mut tried, dial).await.expect_err("there is nobody");
    assert_eq!((tried, nobody.kind()), (Vec::new(), io::ErrorKind::AddrNotAvailable));
}

#[tokio::test(start_paused = true)]
async fn a_race_that_is_broken_off_has_told_whom_it_dialled() {
    let targets = targets(&["2606:4700::1", "1.1.1.1", "1.1.1.2"]);
    let course = Course::new(&targets, &[Way::Silent, Way::Silent, Way::Silent]);
    let mut tried = Vec::new();
    let race = race(&targets, LIMIT, &mut tried, |target| course.dial(target));
    tokio::time::timeout(Duration::from_millis(300), race).await.expect_err("nobody answers");
    assert_eq!(tried, targets[..2]);
}

#[tokio::test(start_paused = true)]
async fn within_a_short_limit_every_address_still_gets_its_turn() {
    let targets = targets(&["2606:4700::1", "1.1.1.1", "2606:4700::2", "1.1.1.2"]);
    let course = Course::new(&targets, &[Way::Silent, Way::Silent, Way::Silent, Way::Connects(5)]);
    assert_eq!(course.run(Duration::from_millis(100)).await.expect("the last answers"), targets[3]);
    assert_eq!(course.starts().iter().map(|(_, at)| *at).collect::<Vec<_>>(), [0, 25, 50, 75]);
}

fn way() -> impl Strategy<Value = Way> {
    let kinds = prop_oneof![Just(REFUSED), Just(io::ErrorKind::NetworkUnreachable)];
    prop_oneof![
        (1..3000_u64).prop_map(Way::Connects),
        (1..3000_u64, kinds).prop_map(|(after, kind)| Way::Fails(after, kind)),
        Just(Way::Silent),
    ]
}

/// When an attempt that began at `start` is over, by what came of it.
fn end(way: Way, start: u64) -> Option<(u64, bool)> {
    match way {
        Way::Connects(after) => Some((start + after, true)),
        Way::Fails(after, _) => Some((start + after, false)),
        Way::Silent => None,
    }
}

proptest! {
    #[test]
    fn whatever_addresses_do_the_race_keeps_its_rules(
        ways in prop::collection::vec(way(), 1..12),
        limit in 100..12_000_u64,
    ) {
        let addresses: Vec<String> = (1..=ways.len()).map(|n| format!("1.1.1.{n}")).collect();
        let targets = targets(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let course = Course::new(&targets, &ways);
            let raced = course.run(Duration::from_millis(limit)).await;
            let over = course.elapsed();
            let starts: Vec<u64> = course.starts().iter().map(|(_, at)| *at).collect();
            prop_assert!(course.starts().iter().zip(&targets).all(|((tried, _), target)| tried == target));
            prop_assert_eq!(starts[0], 0);
            let ends: Vec<_> = ways.iter().zip(&starts).map(|(way, start)| end(*way, *start)).collect();
            // Timers go by whole milliseconds.
            let delay = limit.div_ceil(ways.len() as u64).clamp(10, 250);
            for pair in starts.windows(2) {
                let failed = ends.contains(&Some((pair[1], false)));
                prop_assert!(failed || pair[1] == pair[0] + delay, "{starts:?}");
                prop_assert!(pair[1] <= pair[0] + delay, "{starts:?}");
            }
            let first = ends.iter().flatten().filter(|(_, connected)| *connected).map(|(at, _)| *at).min();
            match raced {
                Ok(won) => {
                    let won = targets.iter().position(|target| *target == won).expect("one of ours");
                    prop_assert_eq!(ends[won], Some((over, true)));
                    prop_assert_eq!(first, Some(over), "nobody was there before");
                }
                Err(_) => {
                    prop_assert!(first.is_none_or(|first| first >= limit), "{first:?} was not waited for");
                    let all_failed = ends.len() == ways.len() && ends.iter().all(Option::is_some);
                    prop_assert!(over == limit || all_failed && first.is_none(), "given up at {over}");
                }
            }
            prop_assert!(over <= limit);
            prop_assert_eq!(course.open.load(Ordering::SeqCst), 0, "what lost is dropped");
            Ok(())
        })?;
    }
}
