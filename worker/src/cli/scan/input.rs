//! Which URLs are scanned: those of the arguments, of files, and of stdin, each once.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};

use crate::cli::output::plain;
use crate::cli::problem::Annotate as _;
use crate::cli::urls::Lines;
use crate::domain::target::{Target, TargetError};

const HINT: &str = "http and https URLs are scanned; `safeurl scan --help` shows examples";

/// What to scan, and what was left out.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) urls: Vec<String>,
    /// Lines that are no URL; each was told.
    pub(super) bad: usize,
    /// URLs that were there before.
    pub(super) doubles: usize,
    known: BTreeSet<String>,
}

impl Input {
    /// Reads everything before anything is scanned. A bad argument refuses all, for a person typed it; a bad line
    /// of a file is told, and the rest goes on.
    ///
    /// # Errors
    /// An argument that is no URL; a file that cannot be read; nothing to scan.
    pub(super) fn gather(arguments: &[String], files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut input = Self::default();
        let mut wrong = Vec::new();
        for url in arguments.iter().filter(|url| *url != "-") {
            wrong.extend(input.take(url).err());
        }
        if let Some((last, others)) = wrong.split_last() {
            for error in others {
                eprintln!("error: {}", plain(&error.to_string()));
            }
            return Err(last.clone()).usage().hint(HINT);
        }
        for path in files {
            let name = path.display().to_string();
            let file = File::open(path).with_context(|| format!("cannot read {name}")).usage()?;
            input.lines(BufReader::new(file), &name)?;
        }
        if arguments.iter().any(|url| url == "-") {
            input.lines(std::io::stdin().lock(), "stdin")?;
        }
        if input.urls.is_empty() {
            return Err(anyhow!("there is no URL to scan")).usage().hint(HINT);
        }
        Ok(input)
    }

    fn lines(&mut self, from: impl BufRead, name: &str) -> anyhow::Result<()> {
        for line in Lines::of(from) {
            let (number, line) = line.with_context(|| format!("cannot read {name}"))?;
            if let Err(wrong) = self.take(&line) {
                eprintln!("error: {}: line {number}: {}", plain(name), plain(&wrong.to_string()));
                self.bad += 1;
            }
        }
        Ok(())
    }

    /// Two texts that mean the same fetch are one URL: the password in front of a host is a finding of its own.
    fn take(&mut self, text: &str) -> Result<(), TargetError> {
        let target = Target::parse(text)?;
        let guessed = if target.fallback().is_some() { "?" } else { "" };
        let meant = format!("{guessed} {} {}", target.userinfo().unwrap_or_default(), target.url());
        if self.known.insert(meant) {
            self.urls.push(target.submitted().to_owned());
        } else {
            self.doubles += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_the_same_fetch_is_scanned_once() {
        let texts = [
            "http://a.test/",
            "http://A.test",
            "hxxp://a[.]test/#part",
            "a.test",
            "https://a.test/",
            "http://user:secret@a.test/",
        ];
        let input = Input::gather(&texts.map(str::to_owned), &[]).expect("they are URLs");
        assert_eq!(input.urls, ["http://a.test/", "a.test", "https://a.test/", "http://user:secret@a.test/"]);
        assert_eq!((input.doubles, input.bad), (2, 0));
    }

    #[test]
    fn a_bad_line_is_counted_and_the_rest_goes_on() {
        let mut input = Input::default();
        input.lines("http://a.test/\nftp://b.test/\nhttp://c.test/".as_bytes(), "list").expect("it is read");
        assert_eq!((input.urls.len(), input.bad), (2, 1));
    }
}
