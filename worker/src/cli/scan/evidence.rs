//! What a person keeps of a scan: a folder with the bytes that were fetched and everything that was seen of them.
//!
//! The only place where fetched bytes reach a disk. They get no name and no mode of their own: `body.bin`, readable by
//! the owner alone, never executable. Nothing that exists is written over.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use safeurl_protocol::{Exchange, Purpose, Report};
use serde::Serialize;

use crate::cli::output::plain;
use crate::cli::problem::{self, Annotate as _};
use crate::domain::document::Document;
use crate::domain::scan::ScanId;

/// The most bytes of a host in a folder's name: a file system takes 255 for all of it.
const MAX_HOST_BYTES: usize = 100;

/// Folders of earlier runs that are stepped over before somebody has to tidy up.
const MAX_NAMESAKES: u32 = 10_000;

/// Writes evidence below one folder. A scan whose evidence cannot be written is a scan all the same.
pub(in crate::cli) struct Keeper {
    dir: PathBuf,
    /// What containers said, until their scans have ended.
    reports: BTreeMap<ScanId, Arc<Report>>,
    /// The first thing that went wrong, and how many more did.
    lost: Option<(anyhow::Error, usize)>,
}

impl Keeper {
    /// Makes the folder where it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or nothing can be written there.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Self> {
        let probe = || {
            folder().recursive(true).create(dir)?;
            let inside = dir.join(format!(".safeurl-{}", std::process::id()));
            folder().create(&inside)?;
            fs::remove_dir(&inside)
        };
        probe()
            .with_context(|| format!("cannot keep evidence in {}", dir.display()))
            .hint("name a folder by --evidence that you may write to")?;
        Ok(Self { dir: dir.to_owned(), reports: BTreeMap::new(), lost: None })
    }

    /// Remembers what a container said until its scan has ended.
    pub(super) fn take(&mut self, id: &ScanId, report: &Arc<Report>) {
        self.reports.insert(id.clone(), Arc::clone(report));
    }

    /// Writes the evidence of a scan that has ended; `place` is that of its URL, from 0.
    pub(super) fn keep(&mut self, place: usize, id: &ScanId, document: &Document) {
        let report = self.reports.remove(id);
        if let Err(error) = write(&self.dir, place, report.as_deref(), document) {
            match &mut self.lost {
                Some((_, more)) => *more += 1,
                None => self.lost = Some((error, 0)),
            }
        }
    }

    /// Tells what could not be written. `true` when all of it was.
    pub(super) fn finish(self) -> bool {
        let Some((error, more)) = self.lost else { return true };
        let scans = if more == 0 { "one scan".to_owned() } else { format!("{} scans", more + 1) };
        let told = Err::<(), _>(error.context(format!("the evidence of {scans} is not complete")))
            .hint("the results are stored all the same: `safeurl jobs show ID` shows each");
        if let Err(told) = told {
            problem::report(&told);
        }
        false
    }
}

fn folder() -> DirBuilder {
    let mut folder = DirBuilder::new();
    folder.mode(0o700);
    folder
}

fn write(dir: &Path, place: usize, report: Option<&Report>, document: &Document) -> anyhow::Result<()> {
    let folder = fresh_folder(dir, place, document.body.task.domain.as_deref().unwrap_or_default())?;
    if let Some(report) = report {
        let body = match &report.body {
            Some(text) => Some(BASE64_STANDARD.decode(text).context("the body in the report is no base64")?),
            None => None,
        };
        if let Some(body) = &body {
            file(&folder, "body.bin", body)?;
        }
        file(&folder, "headers.txt", headers(report, body.as_ref().map(Vec::len)).as_bytes())?;
        file(&folder, "report.json", &json(&Report { body: None, ..report.clone() })?)?;
    }
    file(&folder, "document.json", &json(document)?)
}

fn json(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).context("cannot write evidence as JSON")?;
    text.push(b'\n');
    Ok(text)
}

/// `007-example.com`, or with a number behind it where that is there already.
fn fresh_folder(dir: &Path, place: usize, host: &str) -> anyhow::Result<PathBuf> {
    let name = format!("{:03}-{}", place.saturating_add(1), safe(host));
    for n in 1..=MAX_NAMESAKES {
        let path = dir.join(if n == 1 { name.clone() } else { format!("{name}-{n}") });
        match folder().create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot make {}", path.display())),
        }
    }
    Err(anyhow!("{} has {MAX_NAMESAKES} folders {name} already", dir.display()))
}

/// A host as part of a file name: small letters, digits, dots between them, hyphens for all else.
fn safe(host: &str) -> String {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.';
    let letters = host.chars().map(|c| c.to_ascii_lowercase());
    let name: String = letters.map(|c| if fine(c) { c } else { '-' }).take(MAX_HOST_BYTES).collect();
    let name = name.trim_matches(['.', '-']);
    if name.is_empty() { "unknown".to_owned() } else { name.to_owned() }
}

/// A new file that only its owner may read, and nobody may run.
fn file(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(name);
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    opened
        .and_then(|mut file| file.write_all(bytes))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Every exchange as a person reads HTTP, in the order they were made.
fn headers(report: &Report, kept: Option<usize>) -> String {
    let mut text = String::new();
    if let (Some(kept), Some(content)) = (kept, &report.content) {
        let whole = content.size;
        text.push_str(&if u64::try_from(kept) == Ok(whole) {
            format!("# body.bin: {kept} bytes\n\n")
        } else {
            format!(
                "# body.bin: the first {kept} of {whole} bytes; the rest does not fit sandbox.output_cap\n\n"
            )
        });
    }
    let mut hops = 0;
    for (purpose, made) in report.in_order() {
        match purpose {
            Purpose::Document => {
                hops += 1;
                exchange(&mut text, &format!("hop {hops}"), made);
            }
            Purpose::Robots => exchange(&mut text, "robots.txt", made),
            Purpose::Favicon => exchange(&mut text, "icon", made),
        }
    }
    text
}

fn exchange(text: &mut String, what: &str, exchange: &Exchange) {
    let mut line = |line: String| {
        text.push_str(&plain(&line));
        text.push('\n');
    };
    line(format!("# {what}"));
    line(format!("{} {}", exchange.method, exchange.url));
    if let Some(status) = exchange.status {
        let protocol = exchange.protocol.as_deref().unwrap_or("http").to_ascii_uppercase();
        let reason = exchange.status_text.as_deref().unwrap_or_default();
        line(format!("{protocol} {status} {reason}").trim_end().to_owned());
        for header in &exchange.headers {
            line(format!("{}: {}", header.name, header.value));
        }
    }
    if let Some(error) = &exchange.error {
        line(format!("# {}: {}", error.class.as_str(), error.message));
    }
    text.push('\n');
}

#[cfg(test)]
mod tests;
