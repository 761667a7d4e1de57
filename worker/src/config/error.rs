//! What can be wrong with the configuration.
//!
//! Every problem names where the value stands, which setting it is for, what is wrong and what is accepted. All are
//! collected, so that a file is mended in one go.

use std::fmt;
use std::path::PathBuf;

use super::origin::Origin;

/// The configuration cannot be used. Nothing was opened yet.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that was asked for cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// Values or names that are not accepted; at least one.
    #[error("{}", Listed(.0))]
    Invalid(Vec<Problem>),
}

/// One value or one name that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong, with the setting's name.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

struct Listed<'a>(&'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
