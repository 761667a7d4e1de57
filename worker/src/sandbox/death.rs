//! How a container died, as far as that can be known: by itself, by the kernel, or with its engine.
//!
//! An engine that stops kills its containers, and one that starts kills those it finds; the exit codes look like
//! crashes. What an engine did is our trouble and not the job's, so every such code is doubted here and nowhere else.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::time::{sleep, timeout};

use super::SandboxError;
use super::ending::Stop;
use super::engine::{CALL, Engine, Status};
use super::output::Progress;

/// Looks for the kernel's memory verdict: the engine learns of it and of the exit by different ways.
const OOM_LOOKS: u32 = 4;
const OOM_PAUSE: Duration = Duration::from_millis(50);

/// Seconds after a container's end within which its engine has told of it. An engine keeps its last 256 events in
/// memory, and ends its tale at once where that time is over by its own clock.
const TELLING: i64 = 5;

/// 128 + SIGKILL: the kernel's memory or processor limit, or somebody's kill.
const KILLED: i64 = 137;
/// What containerd says of an end that it did not see, as when it is stopped together with its engine.
const UNSEEN: i64 = 255;
/// What an engine writes for a container that was gone when it came back, by version.
const FORGOTTEN: [i64; 2] = [0, UNSEEN];

/// How much of a container's end was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Witness {
    /// The engine was connected all the time.
    Throughout,
    /// The engine hung up in between.
    Interrupted,
    /// It was dead when it was first looked at.
    Afterwards,
}

/// What the engine remembers of a container's end. It forgets with its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// That it died, and that nobody had asked the engine to kill it.
    Died,
    /// That it died, and not that it was started: the end of a container that died while no engine was there is told
    /// by the next one as any other. What the container said in between was heard by nobody.
    Learnt,
    /// That it was killed over the engine.
    Killed,
    /// Nothing.
    Nothing,
    /// It does not want to tell.
    Untold,
}

/// What an exit with this code means, after this much was said.
pub(super) async fn explain(
    engine: &Engine,
    container: &str,
    code: i64,
    witness: Witness,
    said: &Progress,
) -> Stop {
    let by_itself = Stop::Exited { code, oom: false };
    let gone = |error: &SandboxError| Stop::Lost { reason: format!("the engine went away: {error}") };
    let found_wrong = witness == Witness::Afterwards && matches!(said, Progress::Broken(_));
    if *said == Progress::Whole || found_wrong {
        return by_itself;
    }
    if code == KILLED && witness != Witness::Interrupted {
        match killed_for_memory(engine, container).await {
            Ok(true) => return Stop::Exited { code, oom: true },
            Ok(false) => {}
            Err(error) => return gone(&error),
        }
    }
    if !is_doubtful(code, witness) {
        return by_itself;
    }
    let memory = match witness {
        Witness::Interrupted => Memory::Nothing,
        Witness::Throughout | Witness::Afterwards => match memory(engine, container).await {
            Ok(memory) => memory,
            Err(error) => return gone(&error),
        },
    };
    match doubt(code, witness, memory) {
        Some(reason) => Stop::Lost { reason },
        None => by_itself,
    }
}

/// Whether an engine may have caused the code.
fn is_doubtful(code: i64, witness: Witness) -> bool {
    match witness {
        Witness::Throughout => [KILLED, UNSEEN].contains(&code),
        Witness::Interrupted => true,
        Witness::Afterwards => code == KILLED || FORGOTTEN.contains(&code),
    }
}

/// Why the end of a container is not to be put down to it. An engine that stops in order waits until its containers
/// are dead and tells of their ends as of any other; where its socket is kept open for it, the next question is
/// answered by its successor. But that one remembers nothing.
fn doubt(code: i64, witness: Witness, memory: Memory) -> Option<String> {
    match (witness, memory) {
        (Witness::Interrupted, _) => Some("the engine went away under the job".to_owned()),
        (Witness::Throughout | Witness::Afterwards, Memory::Died)
        | (Witness::Throughout, Memory::Learnt | Memory::Untold) => None,
        (Witness::Throughout, Memory::Killed) => Some("somebody had the engine kill it".to_owned()),
        (Witness::Throughout, Memory::Nothing) => Some("the engine was restarted under the job".to_owned()),
        (Witness::Afterwards, Memory::Learnt | Memory::Killed | Memory::Nothing | Memory::Untold) => {
            Some(format!("it was stopped with exit code {code} while no worker watched"))
        }
    }
}

async fn killed_for_memory(engine: &Engine, container: &str) -> Result<bool, SandboxError> {
    for _ in 0..OOM_LOOKS {
        match engine.status(container).await? {
            Some(Status { oom: true, .. }) => return Ok(true),
            Some(_) => sleep(OOM_PAUSE).await,
            None => break,
        }
    }
    Ok(false)
}

async fn memory(engine: &Engine, container: &str) -> Result<Memory, SandboxError> {
    const OPERATION: &str = "tell its events";
    let Some(finished) = engine.status(container).await?.and_then(|status| status.finished) else {
        return Ok(Memory::Nothing);
    };
    let until = (finished.millis() / 1000).saturating_add(TELLING).to_string();
    let filters = HashMap::from([("container", vec![container]), ("event", vec!["start", "kill", "die"])]);
    let options = EventsOptionsBuilder::default().since("0").until(&until).filters(&filters).build();
    let told = timeout(CALL, async {
        let client = engine.client(OPERATION).await?;
        let mut events = Box::pin(client.events(Some(options)));
        let mut actions = Vec::new();
        while let Some(event) = events.next().await {
            actions.extend(event.map_err(|error| engine.error(OPERATION, error))?.action);
        }
        Ok(remembered(&actions))
    });
    match told.await {
        Ok(Err(SandboxError::Refused { .. })) => Ok(Memory::Untold),
        Ok(told) => told,
        Err(_) => Err(engine.unavailable(OPERATION, format!("no answer within {CALL:?}"))),
    }
}

/// What the events of a container come to, the oldest first.
fn remembered(actions: &[String]) -> Memory {
    let began = actions.iter().any(|action| action == "start");
    match actions.iter().find(|action| *action == "kill" || *action == "die").map(String::as_str) {
        None => Memory::Nothing,
        Some("kill") => Memory::Killed,
        Some(_) if began => Memory::Died,
        Some(_) => Memory::Learnt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORIES: [Memory; 5] =
        [Memory::Died, Memory::Learnt, Memory::Killed, Memory::Nothing, Memory::Untold];

    #[test]
    fn a_container_that_was_watched_crashed_unless_somebody_or_its_engine_killed_it() {
        for code in [0, 1, 64, 101, 139] {
            assert!(!is_doubtful(code, Witness::Throughout), "{code}");
        }
        for code in [137, 255] {
            assert!(is_doubtful(code, Witness::Throughout), "{code}");
            for memory in MEMORIES {
                let doubted = doubt(code, Witness::Throughout, memory).is_some();
                assert_eq!(doubted, matches!(memory, Memory::Killed | Memory::Nothing), "{code} {memory:?}");
            }
        }
    }

    #[test]
    fn an_engine_that_tells_of_an_end_and_of_no_start_was_not_there_in_between() {
        let cases = [
            (vec![], Memory::Nothing),
            (vec!["start"], Memory::Nothing),
            (vec!["die"], Memory::Learnt),
            (vec!["start", "die"], Memory::Died),
            (vec!["start", "kill", "die"], Memory::Killed),
            (vec!["kill", "die"], Memory::Killed),
        ];
        for (actions, memory) in cases {
            let actions: Vec<_> = actions.into_iter().map(str::to_owned).collect();
            assert_eq!(remembered(&actions), memory, "{actions:?}");
        }
    }

    #[test]
    fn whatever_ends_while_the_engine_is_away_is_put_down_to_the_engine() {
        for code in [0, 1, 10, 64, 137, 139, 255] {
            assert!(is_doubtful(code, Witness::Interrupted), "{code}");
            for memory in MEMORIES {
                assert!(doubt(code, Witness::Interrupted, memory).is_some(), "{code} {memory:?}");
            }
        }
    }

    #[test]
    fn a_container_found_dead_is_to_blame_for_codes_that_no_engine_writes() {
        for code in [1, 10, 64, 101, 139] {
            assert!(!is_doubtful(code, Witness::Afterwards), "{code}");
        }
        for code in [0, 137, 255] {
            assert!(is_doubtful(code, Witness::Afterwards), "{code}");
            for memory in MEMORIES {
                let doubted = doubt(code, Witness::Afterwards, memory).is_some();
                assert_eq!(doubted, memory != Memory::Died, "{code} {memory:?}");
            }
        }
    }
}
