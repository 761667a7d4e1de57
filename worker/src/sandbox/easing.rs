//! A container that has had a job for a while gets less of the processor, so that ones that spin leave the machine to
//! fresh ones.
//!
//! Whether it computes or waits: an honest page that comes late is read with what is left. Nobody waits for the change,
//! and an engine or a runtime that cannot do it leaves the limit that the container was made with, of which the
//! operator hears once. It is never raised.

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
/// The least that is left, in processors: the least that may be set.
const LEAST: f64 = 0.05;

/// What is changed of which container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Easing<'a> {
    pub(super) engine: &'a Engine,
    pub(super) id: &'a str,
    /// Processors that containers are made with; `None`: this one keeps what it has.
    pub(super) cpus: Option<f64>,
}

impl Easing<'_> {
    /// Does the work, and changes the limit meanwhile when it takes long.
    pub(super) async fn around<T>(self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let Some(cpus) = self.cpus else { return work.await };
        let due = Instant::now() + PATIENCE;
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep_until(due) => {}
        }
        tokio::select! {
            biased;
            done = &mut work => return done,
            eased = self.ease(cpus) => if let Err(error) = eased {
                tell(self.engine, self.id, &error);
            }
        }
        work.await
    }

    async fn ease(self, cpus: f64) -> Result<(), SandboxError> {
        let Self { engine, id, .. } = self;
        let less = nano((cpus * LEFT).max(LEAST));
        // Another worker may have made it, with other settings, or have changed it already.
        let status = engine.status(id).await?;
        if status.is_none_or(|status| !status.running || (1..=less).contains(&status.nano_cpus)) {
            return Ok(());
        }
        let body = ContainerUpdateBody { nano_cpus: Some(less), ..Default::default() };
        let changed = engine
            .call("change a container's limit", WORK, |client| async move {
                client.update_container(id, body).await
            })
            .await;
        match changed {
            // One that has ended meanwhile needs no less.
            Err(SandboxError::Refused { .. })
                if engine.status(id).await?.is_none_or(|status| !status.running) =>
            {
                Ok(())
            }
            changed => changed,
        }
    }
}

/// What an engine refuses once it refuses every time, so each is told of a protection less one time. A silent one is
/// told of by whoever needs its answer.
fn tell(engine: &Engine, id: &str, error: &SandboxError) {
    if matches!(error, SandboxError::Refused { .. }) && engine.refused_a_change() {
        tracing::warn!(
            container.id = id,
            %error,
            "containers that run on keep their whole processor share, and may slow others down: the engine or its \
             runtime does not change limits (told once)"
        );
    } else {
        tracing::debug!(container.id = id, %error, "the processor limit stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_cannot_do_it_disturbs_nothing() {
        let engine = Engine::new(Some("/nowhere/docker.sock"));
        let easing = Easing { engine: &engine, id: "none", cpus: Some(0.5) };
        let begun = Instant::now();
        let long = easing.around(async {
            tokio::time::sleep(PATIENCE * 3).await;
            7
        });
        assert_eq!(long.await, 7);
        assert_eq!(begun.elapsed(), PATIENCE * 3);
        assert_eq!(easing.around(std::future::ready(8)).await, 8, "what is short never gets there");
        assert_eq!(begun.elapsed(), PATIENCE * 3);
    }
}
