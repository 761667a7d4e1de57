//! Several addresses, one connection: Happy Eyeballs version 2 (RFC 8305) as far as a scanner needs it.
//!
//! Kept: IPv6 first and families taking turns (section 4, first family count 1), addresses without a route last
//! (RFC 6724 section 5 rule 1), attempts that start one after the other and run side by side (section 5), the next
//! one at once when one fails. Not kept, on purpose: no address is dialled before the whole answer was checked, so
//! the resolver waits for both families (half a second for the later one, not the 50 ms of section 3), and nothing is
//! remembered of earlier races. Who wins is the only one that sees a byte; the others are closed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::checked::CheckedAddr;

/// Between the starts of two attempts, as RFC 8305 section 8 recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// RFC 8305 section 8: "MUST NOT be less than 10 ms".
const MIN_ATTEMPT_DELAY: Duration = Duration::from_millis(10);

/// The order in which addresses are tried. Within a family it is that of the name server.
pub(super) fn ordered(targets: &[CheckedAddr], has_route: impl Fn(SocketAddr) -> bool) -> Vec<CheckedAddr> {
    let (reachable, rest): (Vec<_>, Vec<_>) =
        targets.iter().copied().partition(|target| has_route(target.address()));
    let mut ordered = taking_turns(&reachable);
    ordered.extend(taking_turns(&rest));
    ordered
}

fn taking_turns(targets: &[CheckedAddr]) -> Vec<CheckedAddr> {
    let (v6, v4): (Vec<_>, Vec<_>) = targets.iter().copied().partition(|target| target.address().is_ipv6());
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut turns = Vec::with_capacity(targets.len());
    loop {
        let (first, second) = (v6.next(), v4.next());
        if first.is_none() && second.is_none() {
            return turns;
        }
        turns.extend(first);
        turns.extend(second);
    }
}

/// Whether this host knows a way to an address. Connecting a UDP socket asks the routing table and sends nothing.
pub(super) fn has_route(address: SocketAddr) -> bool {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(address)).is_ok()
}

/// Tries the addresses in their order until one answers or the time is up. What is still under way then is dropped.
/// Each that is tried is added to `tried` before a packet goes there, and stays in it when the race is dropped. The error
/// of a race that nobody won is the one that says most.
pub(super) async fn race<S, F>(
    targets: &[CheckedAddr],
    limit: Duration,
    tried: &mut Vec<CheckedAddr>,
    dial: impl Fn(CheckedAddr) -> F,
) -> io::Result<(S, CheckedAddr)>
where
    S: Send + 'static,
    F: Future<Output = io::Result<S>> + Send + 'static,
{
    let count = u32::try_from(targets.len()).unwrap_or(u32::MAX).max(1);
    // Where the limit is short each address still gets its turn within it.
    let delay = (limit / count).clamp(MIN_ATTEMPT_DELAY, ATTEMPT_DELAY);
    let deadline = Instant::now() + limit;
    let mut next = Instant::now();
    let mut to_try = targets.iter().copied().peekable();
    let mut running = JoinSet::new();
    let mut lost = io::ErrorKind::AddrNotAvailable.into();
    while !running.is_empty() || to_try.peek().is_some() {
        tokio::select! {
            biased;
            Some(ended) = running.join_next(), if !running.is_empty() => {
                match ended {
                    Ok((target, Ok(stream))) => return Ok((stream, target)),
                    Ok((_, Err(error))) => hear(&mut lost, error),
                    // A dial that panicked says nothing about the address.
                    Err(_) => {}
                }
                next = Instant::now();
            }
            () = sleep_until(deadline) => {
                hear(&mut lost, io::ErrorKind::TimedOut.into());
                return Err(lost);
            }
            () = sleep_until(next), if to_try.peek().is_some() => {
                if let Some(target) = to_try.next() {
                    tried.push(target);
                    let dialling = dial(target);
                    running.spawn(async move { (target, dialling.await) });
                    next = Instant::now() + delay;
                }
            }
        }
    }
    Err(lost)
}

/// Of several errors the one that says most is kept; of equals the last.
fn hear(known: &mut io::Error, error: io::Error) {
    if telling(error.kind()) >= telling(known.kind()) {
        *known = error;
    }
}

/// Silence says more than a refusal by another address, and either more than that this host has no way there.
fn telling(kind: io::ErrorKind) -> u8 {
    match kind {
        io::ErrorKind::TimedOut => 2,
        io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkDown => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
