//! The settings: what they are, where they come from, and which of several sources counts.
//!
//! In growing weight: `config/safeurl.toml` as embedded, a file, `.env`, the environment, flags. Names that are no
//! setting are refused with the one that was probably meant, and every value is checked before anything is opened.
//! Subsystems get plain values made from these; they never read a source, and nothing here reaches into them.

mod error;
mod key;
mod layers;
mod load;
mod origin;
mod raw;
mod rule;
mod secret;
mod settings;
mod size;
mod sources;

#[cfg(test)]
mod tests;

pub use error::{ConfigError, Problem};
pub use origin::{Origin, Origins, Shown};
pub use secret::{MASK, MaskedUrl, Secret};
pub use settings::{
    Analysis, Database, Fetch, Gateway, Level, Log, LogFormat, Nat64, NetworkMode, Queue, QueueKind, Retry,
    Sandbox, Settings, Worker,
};
pub use size::{ByteSize, ByteSizeError};
pub use sources::{FileText, Flag, Sources};
