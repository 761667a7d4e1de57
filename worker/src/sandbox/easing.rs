//! A container that runs on gets less of the processor, so that ones that spin leave the machine to fresh ones.
//!
//! A page is read in a fraction of a second of processor time; who waits for a slow server needs none. What still
//! takes all it may have after [`PATIENCE`] is most likely hostile, and goes on with [`LEFT`] of it. Nobody waits for
//! that, and an engine or a runtime that cannot do it leaves the limit that the container was made with.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bollard::models::ContainerUpdateBody;
use tokio::time::{Instant, sleep_until};

use super::SandboxError;
use super::engine::{Engine, WORK};
use super::spec::nano;

/// How long a container that has a job keeps the processor time that it was made with.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// The part of it that is left then.
pub const LEFT: f64 = 0.25;
/// An engine refuses less (moby, `daemon/daemon_unix.go`).
const LEAST: f64 = 0.01;

/// What is changed of which container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Easing<'a> {
    pub(super) engine: &'a Engine,
    pub(super) id: &'a str,
    /// Processors that it was made with.
    pub(super) cpus: f64,
}

impl Easing<'_> {
    /// Does the work, and changes the limit beside it when it takes long.
    pub(super) async fn beside<T>(self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let due = Instant::now() + PATIENCE;
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep_until(due) => {}
        }
        tokio::select! {
            biased;
            done = &mut work => return done,
            eased = self.ease() => if let Err(error) = eased {
                // Also one that has just ended.
                tracing::debug!(container = self.id, %error, "the processor limit stays as it is");
            }
        }
        work.await
    }

    async fn ease(self) -> Result<(), SandboxError> {
        let Self { engine, id, cpus } = self;
        let body =
            ContainerUpdateBody { nano_cpus: Some(nano((cpus * LEFT).max(LEAST))), ..Default::default() };
        engine
            .call("change a container's limit", WORK, |client| async move {
                client.update_container(id, body).await
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_cannot_do_it_is_asked_once_and_disturbs_nothing() {
        let engine = Engine::new(Some("/nowhere/docker.sock"));
        let easing = Easing { engine: &engine, id: "none", cpus: 0.5 };
        let begun = Instant::now();
        let long = easing.beside(async {
            tokio::time::sleep(PATIENCE * 3).await;
            7
        });
        assert_eq!(long.await, 7);
        assert_eq!(begun.elapsed(), PATIENCE * 3);
        assert_eq!(easing.beside(std::future::ready(8)).await, 8, "what is short never gets there");
        assert_eq!(begun.elapsed(), PATIENCE * 3);
    }
}
