//! Which jobs a command is about: the flags that listing, exporting, cancelling and trying again share.

use std::time::Duration;

use crate::domain::failure::FailureClass;
use crate::domain::state::State;
use crate::domain::target::Target;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::VerdictState;
use crate::store::Search;

/// The filters. A job must fit all of them; of one that is given again it must fit any.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Which jobs")]
pub struct FilterArgs {
    /// Only jobs in this state; may be given again
    #[arg(long = "state", value_enum, ignore_case = true, value_name = "STATE")]
    pub states: Vec<State>,

    /// Only jobs with this verdict; may be given again
    #[arg(long = "verdict", value_enum, ignore_case = true, value_name = "VERDICT")]
    pub verdicts: Vec<VerdictState>,

    /// Only jobs with this class of failure; may be given again
    #[arg(long = "class", value_enum, ignore_case = true, value_name = "CLASS")]
    pub classes: Vec<FailureClass>,

    /// Only jobs of this host and the hosts below it
    #[arg(long, value_name = "HOST", value_parser = domain)]
    pub domain: Option<String>,

    /// Only jobs of this user
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,

    /// Only jobs with this label
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,

    /// Only jobs created then or later: RFC 3339, a date, or how long ago, such as 2h or 7d
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub since: Option<Moment>,

    /// Only jobs created before: RFC 3339, a date, or how long ago
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub until: Option<Moment>,
}

impl FilterArgs {
    /// As the store wants it.
    pub(super) fn search(&self, now: Timestamp) -> Search {
        Search {
            states: self.states.clone(),
            verdicts: self.verdicts.clone(),
            classes: self.classes.clone(),
            domain: self.domain.clone(),
            user: self.user.clone(),
            tag: self.tag.clone(),
            since: self.since.map(|since| since.at(now)),
            until: self.until.map(|until| until.at(now)),
        }
    }

    /// Whether all jobs fit.
    pub(super) fn is_empty(&self) -> bool {
        self.search(Timestamp::default()) == Search::default()
    }
}

/// A moment as people name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Itself.
    At(Timestamp),
    /// So long before now.
    Ago(Duration),
}

impl Moment {
    /// Reads one.
    ///
    /// # Errors
    /// Says what is taken.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(at) = Timestamp::parse(text) {
            return Ok(Self::At(at));
        }
        match humantime::parse_duration(text) {
            Ok(ago) => Ok(Self::Ago(ago)),
            Err(_) => {
                Err("neither a moment such as 2026-11-21T10:00:00Z, nor a date such as 2026-11-21, nor how \
                           long ago, such as 90s, 2h or 7d"
                    .to_owned())
            }
        }
    }

    /// The moment, by the database's clock.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => {
                let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(now.millis().saturating_sub(ago))
            }
        }
    }
}

/// A host as jobs are stored with it: `Example.COM`, `*.example.com` and `exämple.com` are taken too.
fn domain(text: &str) -> Result<String, String> {
    let bare = text.trim().trim_start_matches("*.").trim_end_matches('.');
    let target = Target::parse(bare).map_err(|error| error.to_string())?;
    Ok(target.host().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_a_day_or_how_long_ago() {
        let now = Timestamp::from_millis(1_795_255_200_000);
        for (text, expected) in [
            ("2026-11-21T09:00:00Z", "2026-11-21T09:00:00.000Z"),
            ("2026-11-20", "2026-11-20T00:00:00.000Z"),
            ("2h", "2026-11-21T08:00:00.000Z"),
            ("7d", "2026-11-14T10:00:00.000Z"),
            ("1h 30m", "2026-11-21T08:30:00.000Z"),
        ] {
            let moment = Moment::parse(text).expect("it is one");
            assert_eq!(moment.at(now).to_string(), expected, "{text}");
        }
        for wrong in ["", "yesterday", "2026-13-01", "7"] {
            assert!(Moment::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Moment::Ago(Duration::MAX).at(now), Timestamp::from_millis(now.millis() - i64::MAX));
    }

    #[test]
    fn a_host_is_taken_however_people_write_it() {
        for text in ["example.com", "Example.COM.", "*.example.com", "https://example.com/a", "example[.]com"]
        {
            assert_eq!(domain(text).as_deref(), Ok("example.com"), "{text}");
        }
        assert_eq!(domain("exämple.com").as_deref(), Ok("xn--exmple-cua.com"));
        assert!(domain("").is_err() && domain("a b").is_err());
    }
}
