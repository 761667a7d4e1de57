//! The log of a container: the copy of its output that outlives the worker that listened.
//!
//! Goes through the same parser as what is heard, under the same limits. Refuses to guess: a log that the engine
//! cannot read to its end is worth what is whole in it, and nothing else.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep, timeout};

use super::SandboxError;
use super::engine::{CALL, Engine, SILENCE, pauses};
use super::output::{Output, Progress};

const OPERATION: &str = "read a log";

/// Reads what a container has written. Should the engine go away meanwhile, begins again until it has been silent
/// for [`SILENCE`].
pub(super) async fn read(
    engine: &Engine,
    container: &str,
    attempt: &str,
    limit: u64,
) -> Result<Output, SandboxError> {
    let mut silent_since: Option<Instant> = None;
    let mut pauses = pauses();
    loop {
        match read_once(engine, container, Output::of_log(limit, attempt)).await {
            Err(error @ SandboxError::Unavailable { .. }) => {
                if silent_since.get_or_insert_with(Instant::now).elapsed() >= SILENCE {
                    return Err(error);
                }
            }
            answer => return answer,
        }
        sleep(pauses.next().unwrap_or(SILENCE)).await;
    }
}

async fn read_once(engine: &Engine, container: &str, mut said: Output) -> Result<Output, SandboxError> {
    let late = || engine.unavailable(OPERATION, format!("no answer within {CALL:?}"));
    let client = timeout(CALL, engine.client(OPERATION)).await.map_err(|_| late())??;
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).follow(false).build();
    let mut frames = Box::pin(client.logs(container, Some(options)));
    // What can become nothing any more is not read to its end, which may be far.
    while !matches!(said.progress(), Progress::Broken(_)) {
        match timeout(CALL, frames.next()).await.map_err(|_| late())? {
            None => break,
            Some(Err(error)) => return Err(engine.error(OPERATION, error)),
            Some(Ok(LogOutput::StdOut { message })) => said.stdout(&message),
            Some(Ok(LogOutput::StdErr { message })) => said.stderr(&message),
            // The engine's own words: it cannot read on, as after a record that was cut when it died.
            Some(Ok(LogOutput::Console { .. } | LogOutput::StdIn { .. }))
                if said.progress() == Progress::Whole =>
            {
                break;
            }
            Some(Ok(LogOutput::Console { message } | LogOutput::StdIn { message })) => {
                let message = String::from_utf8_lossy(&message).trim().escape_debug().to_string();
                return Err(SandboxError::Refused { operation: OPERATION, status: 200, message });
            }
        }
    }
    Ok(said)
}
