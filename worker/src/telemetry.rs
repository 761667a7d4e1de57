//! Log lines, and the record of where a scan's time goes: one place that sets them up.
//!
//! They go to stderr, as text or one JSON object a line with the dotted fields (`scan.id`, `duration_ms`) beside the
//! message. The level is that of safeurl's own lines; libraries stay one step quieter, because their chatter tells an
//! operator nothing.

mod recorder;

use std::io::{self, IsTerminal, Write};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

pub use self::recorder::{Part, Recorder, Share, Trace};
use crate::config::{Level, Log, LogFormat};
use crate::span::TARGET;

/// From here on lines are written. A process does this once.
///
/// # Errors
/// When it was done before.
pub fn init(log: &Log) -> Result<(), TryInitError> {
    init_on(log, io::stderr, None)
}

/// The same, where stderr is written by way of something else, or the parts of scans are recorded.
///
/// # Errors
/// As [`init`].
pub fn init_on<W>(log: &Log, to: W, recorder: Option<Recorder>) -> Result<(), TryInitError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = lines(log, colour, to);
    // Without a recorder there is no layer for one: a span that nobody takes is then known to be nobody's, once and for
    // all, and not asked about each time.
    match recorder {
        Some(recorder) => lines.with(recorder.layer()).try_init(),
        None => lines.try_init(),
    }
}

fn lines<W>(log: &Log, colour: bool, to: W) -> impl Subscriber + for<'s> LookupSpan<'s> + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_target(false);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(colour).with_writer(OneLine { to, colour }).boxed(),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(false);
            lines.with_writer(to).boxed()
        }
    };
    tracing_subscriber::registry().with(lines.with_filter(filter(log.level)))
}

/// Keeps an event of text on one line and off the terminal's controls: ids of jobs are other programs' texts, and a line
/// end in one would make a line that nobody logged.
struct OneLine<W> {
    to: W,
    /// Whether colours are written, which are control sequences of ours.
    colour: bool,
}

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for OneLine<W> {
    type Writer = OneLine<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        OneLine { to: self.to.make_writer(), colour: self.colour }
    }
}

impl<W: Write> Write for OneLine<W> {
    /// An event comes whole, with its own line end last.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        let mut written = String::with_capacity(text.len());
        for (at, char) in line.char_indices() {
            if !char.is_control() || (self.colour && is_colour(&line[at..])) {
                written.push(char);
            } else {
                written.extend(char.escape_default());
            }
        }
        written.push_str(end);
        self.to.write_all(written.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Whether a text begins with a sequence that sets colours and weights, and does nothing else.
fn is_colour(text: &str) -> bool {
    let Some(numbers) = text.strip_prefix("\u{1b}[") else { return false };
    numbers.trim_start_matches(|char: char| char.is_ascii_digit() || char == ';').starts_with('m')
}

fn filter(level: Level) -> Targets {
    let (ours, theirs) = match level {
        Level::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
        Level::Warn => (LevelFilter::WARN, LevelFilter::WARN),
        Level::Info => (LevelFilter::INFO, LevelFilter::WARN),
        Level::Debug => (LevelFilter::DEBUG, LevelFilter::INFO),
        Level::Trace => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    Targets::new().with_default(theirs).with_target("safeurl", ours).with_target(TARGET, LevelFilter::OFF)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::span::span;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no writer panics").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, log: impl FnOnce()) -> String {
        let memory = Memory::default();
        let to = memory.clone();
        let lines = lines(&Log { format, level: Level::Info }, false, move || to.clone());
        tracing::subscriber::with_default(lines, log);
        let bytes = memory.0.lock().expect("no writer panics").clone();
        String::from_utf8(bytes).expect("lines are UTF-8")
    }

    #[test]
    fn a_json_line_is_one_object_with_its_fields_beside_the_message() {
        let line = written(LogFormat::Json, || {
            tracing::info!(scan.id = "s1", duration_ms = 7, "completed");
            tracing::debug!("not at this level");
        });
        assert_eq!(line.lines().count(), 1, "{line}");
        let line: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
        for (field, value) in [
            ("message", serde_json::json!("completed")),
            ("level", serde_json::json!("INFO")),
            ("scan.id", serde_json::json!("s1")),
            ("duration_ms", serde_json::json!(7)),
        ] {
            assert_eq!(line[field], value, "{field} of {line}");
        }
    }

    #[test]
    fn a_text_line_stays_one_line_whatever_a_page_sent() {
        const TITLE: &str = "x\u{1b}[2J\r\ny";
        for log in [
            (|| tracing::info!(target: "safeurl", title = ?TITLE, "seen")) as fn(),
            || tracing::info!(scan.id = %TITLE, "seen"),
            || tracing::info!(target: "safeurl", "seen {TITLE}"),
        ] {
            let line = written(LogFormat::Text, log);
            assert_eq!(line.lines().count(), 1, "{line:?}");
            assert!(!line.contains(['\u{1b}', '\r']) && line.contains("seen"), "{line:?}");
        }
    }

    #[test]
    fn of_control_sequences_only_our_colours_are_written() {
        for (colour, expected) in [
            (true, "\u{1b}[1;32mINFO\u{1b}[0m \\u{1b}[2J \\u{9b}m\n"),
            (false, "\\u{1b}[1;32mINFO\\u{1b}[0m \\u{1b}[2J \\u{9b}m\n"),
        ] {
            let mut to = Vec::new();
            let written = "\u{1b}[1;32mINFO\u{1b}[0m \u{1b}[2J \u{9b}m\n".as_bytes();
            OneLine { to: &mut to, colour }.write_all(written).expect("memory takes everything");
            assert_eq!(String::from_utf8_lossy(&to), expected);
        }
    }

    #[test]
    fn the_parts_of_scans_are_in_no_line_and_cost_nothing_where_nobody_records_them() {
        let line = written(LogFormat::Text, || {
            let part = span!("claim").entered();
            assert!(part.is_disabled());
            tracing::info!(target: "safeurl", "claimed");
        });
        assert!(line.contains("claimed") && !line.contains("claim{") && !line.contains("claim:"), "{line}");
        assert!(!filter(Level::Trace).would_enable(TARGET, &tracing::Level::TRACE));
    }

    #[test]
    fn libraries_are_quieter_than_we_are() {
        for (level, ours, theirs) in [
            (Level::Error, tracing::Level::ERROR, tracing::Level::ERROR),
            (Level::Info, tracing::Level::INFO, tracing::Level::WARN),
            (Level::Trace, tracing::Level::TRACE, tracing::Level::DEBUG),
        ] {
            let filter = filter(level);
            for target in ["safeurl", "safeurl::gateway::process"] {
                assert!(filter.would_enable(target, &ours), "{target} at {level:?}");
            }
            assert!(filter.would_enable("hickory_proto", &theirs), "{level:?}");
            let quieter = theirs == ours || !filter.would_enable("hickory_proto", &ours);
            assert!(quieter, "{level:?}");
        }
    }
}
