//! `safeurl demo-site`: a small web on loopback that shows each way a scan can end.
//!
//! It serves its pages (`tests/demo/`) under names that exist nowhere, prints one line of JSON that says which
//! addresses those names stand for and what each scan must come to, and serves until it is killed or its standard
//! input ends. It fetches nothing and sends nothing to any host.

pub(crate) mod pages;
mod rows;
pub(crate) mod server;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};

use anyhow::Context as _;
use serde::Serialize;

use super::exit::Exit;

pub use rows::{Expected, Row};
pub use server::DemoSite;

/// Serve the demo pages on loopback until standard input ends
#[derive(Debug, Clone, clap::Args)]
pub struct DemoSiteArgs {
    /// The address to listen on; ports are taken as they are free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub listen: Ipv4Addr,
}

/// What the first line says: how to reach the site, and what is expected of each scan.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Announcement<'a> {
    /// For `[gateway] hosts`.
    hosts: BTreeMap<String, IpAddr>,
    /// For `[gateway] allow_networks`.
    allow_net: [String; 1],
    rows: &'a [Row],
}

/// Serves until standard input ends or the process is killed.
///
/// # Errors
/// When no port can be taken or nobody reads the announcement.
pub async fn run(args: DemoSiteArgs) -> anyhow::Result<Exit> {
    let site = serve(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let announcement = Announcement {
        hosts: hosts(args.listen),
        allow_net: [format!("{}/32", args.listen)],
        rows: site.rows(),
    };
    let mut line = serde_json::to_string(&announcement).context("cannot write the announcement as JSON")?;
    line.push('\n');
    std::io::stdout().write_all(line.as_bytes()).context("nobody reads the announcement")?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .context("standard input cannot be read")?
        .context("standard input cannot be read")?;
    Ok(Exit::Done)
}

/// The names of the site, for `[gateway] hosts`.
#[must_use]
pub fn hosts(listen: Ipv4Addr) -> BTreeMap<String, IpAddr> {
    pages::HOSTS.iter().map(|host| ((*host).to_owned(), listen.into())).collect()
}

/// Starts the site; it lives as long as the value returned.
///
/// # Errors
/// When no port can be taken.
pub async fn serve(listen: Ipv4Addr) -> std::io::Result<DemoSite> {
    DemoSite::start(listen).await
}

#[cfg(test)]
mod tests;
