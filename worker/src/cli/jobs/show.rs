//! `safeurl jobs show`: one job with everything that is known of it.

use super::{Show, id, open, unknown};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, plain};
use crate::cli::scan::{report, show_json};
use crate::store::AttemptView;

pub(super) async fn run(args: Show) -> anyhow::Result<Exit> {
    let store = open(&args.settings).await?;
    let id = id(&args.id)?;
    let Some(document) = store.document(&id).await? else { return unknown(&id) };
    let mut output = Output::stdout();
    if args.json {
        show_json(&mut output, &document, args.view)?;
        return Ok(Exit::Done);
    }
    output.text(&report(&document, args.look.look()))?;
    for attempt in store.attempts(&id).await? {
        output.line(&format!("attempt {}  {}", attempt.record.attempt, plain(&told(&attempt))))?;
    }
    for edge in &document.job.transitions {
        let line = format!("{}  {} -> {}  {}", edge.at, edge.from, edge.to, edge.reason);
        output.line(&plain(&line))?;
    }
    Ok(Exit::Done)
}

fn told(attempt: &AttemptView) -> String {
    let mut told = vec![attempt.reason.clone()];
    if let Some(failure) = &attempt.failure {
        told.push(format!("{}: {}", failure.class.as_str(), failure.message));
    }
    if let Some(code) = attempt.record.exit_code {
        told.push(format!("exit code {code}"));
    }
    if let Some(ran) = attempt.record.run_ms {
        told.push(format!("ran {ran} ms"));
    }
    let stderr = attempt.record.stderr_tail.trim();
    if !stderr.is_empty() {
        told.push(format!("stderr: {stderr}"));
    }
    told.join(", ")
}
