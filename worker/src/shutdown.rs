//! How the program ends: running, draining, aborting, and never back.
//!
//! The first SIGINT, SIGTERM or SIGHUP asks to drain: nothing new is begun, what runs may finish. The second asks to abort:
//! what runs is stopped and given back. This module owns the signals and the one value everybody waits on; what
//! draining and aborting mean is the business of those who wait.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How far the end has come. Later is stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nobody asked.
    Running,
    /// Nothing new; what runs may finish.
    Draining,
    /// Everything stops.
    Aborting,
}

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: ^C.
    Interrupt,
    /// SIGTERM: a service manager.
    Terminate,
    /// SIGHUP: the terminal was closed.
    Hangup,
}

impl Signal {
    /// What a process ended by it is expected to exit with: 128 and its number.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
            Self::Hangup => 129,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    phase: Phase,
    signal: Option<Signal>,
}

/// What everybody waits on; clones see the same.
#[derive(Debug, Clone)]
pub struct Shutdown {
    state: watch::Receiver<State>,
}

impl Shutdown {
    /// How far it is now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.state.borrow().phase
    }

    /// The signal that brought it as far as it is.
    #[must_use]
    pub fn signal(&self) -> Option<Signal> {
        self.state.borrow().signal
    }

    /// Comes back once draining or aborting. Safe to drop and call again.
    pub async fn draining(&self) {
        self.at_least(Phase::Draining).await;
    }

    /// Comes back once aborting. Safe to drop and call again.
    pub async fn aborting(&self) {
        self.at_least(Phase::Aborting).await;
    }

    async fn at_least(&self, phase: Phase) {
        let reached = self.state.clone().wait_for(|state| state.phase >= phase).await.is_ok();
        if !reached {
            // Whoever could ask is gone, so nobody will.
            std::future::pending::<()>().await;
        }
    }
}

/// The right to ask. Dropping it means that nobody asks any more.
#[derive(Debug)]
pub struct Trigger {
    state: watch::Sender<State>,
}

impl Trigger {
    /// One who asks and one who waits.
    #[must_use]
    pub fn pair() -> (Self, Shutdown) {
        let (sender, receiver) = watch::channel(State { phase: Phase::Running, signal: None });
        (Self { state: sender }, Shutdown { state: receiver })
    }

    /// One step further, by this signal.
    pub fn step(&self, by: Signal) {
        self.state.send_if_modified(|state| {
            let next = match state.phase {
                Phase::Running => Phase::Draining,
                Phase::Draining => Phase::Aborting,
                Phase::Aborting => return false,
            };
            *state = State { phase: next, signal: Some(by) };
            true
        });
    }

    /// Straight to the end without a signal: the grace of a drain is over, or something failed for good.
    pub fn abort(&self) {
        self.state.send_if_modified(|state| {
            let changed = state.phase < Phase::Aborting;
            state.phase = Phase::Aborting;
            changed
        });
    }
}

/// Turns the process's signals into steps while it lives.
#[derive(Debug)]
#[must_use = "signals are heard while this lives"]
pub struct Signals {
    task: JoinHandle<()>,
}

impl Signals {
    /// Listens from now on. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn listen() -> io::Result<(Self, Shutdown)> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let (trigger, shutdown) = Trigger::pair();
        let task = tokio::spawn(async move {
            loop {
                let by = tokio::select! {
                    Some(()) = interrupt.recv() => Signal::Interrupt,
                    Some(()) = terminate.recv() => Signal::Terminate,
                    Some(()) = hangup.recv() => Signal::Hangup,
                    else => return,
                };
                trigger.step(by);
            }
        });
        Ok((Self { task }, shutdown))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_shutdown_only_gets_stronger() {
        let (trigger, shutdown) = Trigger::pair();
        assert_eq!((shutdown.phase(), shutdown.signal()), (Phase::Running, None));
        trigger.step(Signal::Terminate);
        assert_eq!((shutdown.phase(), shutdown.signal()), (Phase::Draining, Some(Signal::Terminate)));
        trigger.step(Signal::Interrupt);
        assert_eq!((shutdown.phase(), shutdown.signal()), (Phase::Aborting, Some(Signal::Interrupt)));
        trigger.step(Signal::Terminate);
        trigger.abort();
        assert_eq!((shutdown.phase(), shutdown.signal()), (Phase::Aborting, Some(Signal::Interrupt)));
    }

    #[test]
    fn waiting_ends_when_its_phase_is_reached_and_not_before() {
        let (trigger, shutdown) = Trigger::pair();
        assert_eq!(shutdown.draining().now_or_never(), None);
        trigger.step(Signal::Interrupt);
        assert_eq!(shutdown.draining().now_or_never(), Some(()));
        assert_eq!(shutdown.aborting().now_or_never(), None);
        trigger.abort();
        assert_eq!(shutdown.draining().now_or_never(), Some(()));
        assert_eq!(shutdown.clone().aborting().now_or_never(), Some(()));
    }

    #[test]
    fn nobody_left_to_ask_means_that_nobody_asked() {
        let (trigger, shutdown) = Trigger::pair();
        drop(trigger);
        assert_eq!(shutdown.draining().now_or_never(), None);
        assert_eq!(shutdown.phase(), Phase::Running);
    }

    #[tokio::test]
    async fn signals_of_the_process_are_steps() {
        let (_signals, shutdown) = Signals::listen().expect("handlers can be installed");
        let me = rustix::process::getpid();
        rustix::process::kill_process(me, rustix::process::Signal::TERM).expect("a signal to oneself");
        shutdown.draining().await;
        assert_eq!(shutdown.signal(), Some(Signal::Terminate));
        rustix::process::kill_process(me, rustix::process::Signal::INT).expect("a signal to oneself");
        shutdown.aborting().await;
        assert_eq!(shutdown.signal(), Some(Signal::Interrupt));
    }

    #[tokio::test]
    async fn a_closed_terminal_is_a_step_and_no_sudden_death() {
        let (_signals, shutdown) = Signals::listen().expect("handlers can be installed");
        let me = rustix::process::getpid();
        rustix::process::kill_process(me, rustix::process::Signal::HUP).expect("a signal to oneself");
        shutdown.draining().await;
        assert_eq!(shutdown.signal().map(Signal::exit_code), Some(129));
    }
}
