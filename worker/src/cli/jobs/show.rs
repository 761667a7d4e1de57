//! `safeurl jobs show`: one job with everything that is known of it.

use anyhow::Context as _;

use super::{Show, open, the_one, timeline};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::scan::{report_of_job, show_json};
use crate::cli::terminal::defang::Defang;

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
    let attempts = store.attempts(&id).await?;
    let look = args.look.look();
    let defang = Defang::of(document.body.verdict.state, look.defang);
    let history = timeline::sections(&document.job, &attempts, defang);
    output.text(&report_of_job(&document, history, look))?;
    Ok(Exit::Done)
}
