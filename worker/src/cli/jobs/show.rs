//! `safeurl jobs show`: one job with everything that is known of it.

use anyhow::Context as _;

use super::timeline::{attempts, timeline};
use super::{Show, open, the_one};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::scan::{report, show_json};

pub(super) async fn run(args: Show) -> anyhow::Result<Exit> {
    let store = open(&args.settings).await?;
    let id = the_one(&store, &args.id).await?;
    let document = store.document(&id).await?;
    let document = document.with_context(|| format!("the job {id} is gone"))?;
    let mut output = Output::stdout();
    if args.json {
        show_json(&mut output, &document, args.view)?;
        return Ok(Exit::Done);
    }
    output.text(&report(&document, args.look.look()))?;
    let ended = store.attempts(&id).await?;
    if !ended.is_empty() {
        output.text(&attempts(&ended))?;
    }
    output.text(&timeline(&document.job))?;
    Ok(Exit::Done)
}
