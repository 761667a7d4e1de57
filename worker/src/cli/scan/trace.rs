//! The file that one scan's trace goes to, a picture or JSON by its name.
//!
//! It is opened before anything is scanned, and written once the scan is over and its container removed. Where there is
//! nothing to write, a file that was there stays as it was, and one that was made for it goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use crate::cli::output::plain;
use crate::cli::problem::{self, Annotate as _};
use crate::cli::waterfall;
use crate::domain::target::{Masked, Target};
use crate::telemetry::{Recorder, Trace};

/// A trace that is being recorded.
pub(super) struct Tracing {
    recorder: Recorder,
    path: PathBuf,
    file: File,
    /// It was not there before, and is not written yet.
    is_empty: bool,
    form: Form,
    /// The URL as it may be shown.
    url: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Svg,
    Json,
}

impl Tracing {
    /// Opens the file for the trace of the only URL.
    ///
    /// # Errors
    /// More than one URL; a name that says nothing of what to write; a file that cannot be written.
    pub(super) fn open(path: &Path, urls: &[String]) -> anyhow::Result<Self> {
        let [url] = urls else {
            let error = anyhow!("--trace is of one scan, and there are {} URLs", urls.len());
            return Err(error).usage().hint("name one URL");
        };
        let extension = path.extension().and_then(|extension| extension.to_str());
        let form = match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("svg") => Form::Svg,
            Some("json") => Form::Json,
            Some(_) | None => {
                let error = anyhow!("the name of {} says neither .svg nor .json", told(path));
                return Err(error)
                    .usage()
                    .hint("`--trace scan.svg` draws, `--trace scan.json` writes it down");
            }
        };
        let (file, is_empty) = open(path)
            .with_context(|| format!("cannot write the trace to {}", told(path)))
            .hint("name a file by --trace that you may write to")?;
        let url = Target::parse(url).map(|target| Masked(target.url()).to_string()).unwrap_or_default();
        Ok(Self { recorder: Recorder::default(), path: path.to_owned(), file, is_empty, form, url })
    }

    pub(super) fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// Writes the trace of the scan that has ended, if it has; `job` is its name. `true` when it is written.
    pub(super) fn finish(mut self, job: Option<&str>) -> bool {
        let written = match job.and_then(|job| self.recorder.take(job)) {
            Some(trace) => self.write(&trace),
            None => Err(anyhow!("the scan did not come to its end")),
        };
        let written = written.with_context(|| format!("cannot write the trace to {}", told(&self.path)));
        if let Err(error) = &written {
            problem::report(error);
        }
        written.is_ok()
    }

    fn write(&mut self, trace: &Trace) -> anyhow::Result<()> {
        let text = match self.form {
            Form::Svg => waterfall::draw(&self.url, trace),
            Form::Json => format!("{}\n", serde_json::to_string_pretty(trace)?),
        };
        // What is no file, such as a pipe, has no length.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.is_empty = false;
        self.file.write_all(text.as_bytes())?;
        Ok(self.file.flush()?)
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        if self.is_empty {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens for writing and leaves what is there; `true` for a file that was made.
fn open(path: &Path) -> io::Result<(File, bool)> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => Ok((file, true)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Ok((OpenOptions::new().write(true).open(path)?, false))
        }
        Err(error) => Err(error),
    }
}

fn told(path: &Path) -> String {
    plain(&path.display().to_string()).into_owned()
}
