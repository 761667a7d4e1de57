//! What the settings are read from, as a value.
//!
//! Owns the one place where files and the environment of the process are read for settings. Everything behind it
//! works on this value, so that tests need neither.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::key;

/// The file that is read when none is named.
const FILE: &str = "safeurl.toml";

/// The path of a socket has at most 107 bytes (`unix(7)`); below the run directory stand a random name and `gw.sock`.
pub(super) const MAX_RUN_DIR_BYTES: usize = 60;

/// A flag that was given, as the setting it sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// `section.key`.
    pub key: &'static str,
    /// With its dashes, for messages.
    pub flag: &'static str,
    /// Its value.
    pub text: String,
}

/// A configuration file's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileText {
    /// As it was named.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

/// Everything above the embedded defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// The configuration file.
    pub file: Option<FileText>,
    /// Variables of `.env`.
    pub dotenv: BTreeMap<String, String>,
    /// Variables of the environment.
    pub environment: BTreeMap<String, String>,
    /// Flags, in their order.
    pub flags: Vec<Flag>,
    /// The effective user's id, for the default of `sandbox.run_dir`.
    pub uid: u32,
}

impl Sources {
    /// Those of this process: the named file or else `./safeurl.toml` where there is one, `./.env`, the environment.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] when a file exists or was named, and cannot be read.
    pub fn of_process(file: Option<&Path>, flags: Vec<Flag>) -> Result<Self, ConfigError> {
        let file = match file {
            Some(path) => Some(path.to_owned()),
            None => Path::new(FILE).exists().then(|| Path::new("./").join(FILE)),
        };
        let file = match file {
            Some(path) => match std::fs::read_to_string(&path) {
                Ok(text) => Some(FileText { path, text }),
                Err(source) => return Err(ConfigError::Unreadable { path, source }),
            },
            None => None,
        };
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .collect();
        let uid = rustix::process::geteuid().as_raw();
        Ok(Self { file, dotenv: dotenv(Path::new(".env"))?, environment, flags, uid })
    }

    /// Where the gateway's sockets go when no setting says so.
    pub(super) fn default_run_dir(&self) -> PathBuf {
        if self.uid == 0 {
            return PathBuf::from("/run/safeurl");
        }
        let fits = |dir: &PathBuf| {
            dir.is_absolute()
                && dir.as_os_str().len() <= MAX_RUN_DIR_BYTES
                && !dir.to_string_lossy().chars().any(|c| c == ':' || c.is_control())
        };
        let runtime =
            self.environment.get("XDG_RUNTIME_DIR").map(|dir| Path::new(dir).join("safeurl")).filter(fits);
        runtime.unwrap_or_else(|| PathBuf::from(format!("/tmp/safeurl-{}", self.uid)))
    }
}

/// The file belongs to the whole installation: a line that we cannot read is an error if it is about us, and somebody
/// else's business otherwise.
fn dotenv(path: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&text);
    let mut pairs = BTreeMap::new();
    for pair in dotenvy::Iter::new(text) {
        match pair {
            Ok((name, value)) => {
                pairs.insert(name, value);
            }
            Err(dotenvy::Error::LineParse(rest, _)) => {
                let (line, name) = place(&String::from_utf8_lossy(text), &rest);
                if key::is_ours(&name) {
                    let message = format!("the value of {name} cannot be read; put it in single quotes");
                    return Err(ConfigError::Syntax { path: path.to_owned(), line, message });
                }
            }
            Err(dotenvy::Error::Io(source)) => return Err(unreadable(source)),
            Err(other) => return Err(unreadable(std::io::Error::other(other))),
        }
    }
    Ok(pairs)
}

/// The number and the name of the line with this text, which the parser gives without its name. The text itself may be
/// half of a password and is told to nobody.
fn place(text: &str, rest: &str) -> (usize, String) {
    let rest = rest.lines().next().unwrap_or_default().trim();
    let found = text.lines().enumerate().find(|(_, line)| line.trim_end().ends_with(rest));
    let (n, line) = found.unwrap_or_default();
    let line = line.trim_start();
    let name = line.strip_prefix("export ").unwrap_or(line).split('=').next().unwrap_or_default();
    (n + 1, name.trim().to_owned())
}
