//! The result: every sample for a program, a table for a person.

use std::fmt::Write as _;

use serde::Serialize;

use super::Args;
use super::series::{Ratio, Series, ratio};
use super::stage::{Bench, Kept};

/// What `bench --json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    machine: Machine,
    measurements: Vec<Series>,
    ratios: Vec<Ratio>,
    not_measured: Vec<NotMeasured>,
    pub(super) kept: Vec<Kept>,
}

/// What was measured on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Machine {
    version: &'static str,
    /// Numbers of a debug build say nothing about the program.
    debug: bool,
    processors: usize,
    kernel: String,
    engine: String,
    runtime: String,
    image: String,
    runs: usize,
    scans: usize,
    /// Scans at once, as they are set.
    concurrency: u32,
}

#[derive(Debug, Serialize)]
struct NotMeasured {
    name: &'static str,
    why: String,
}

impl Report {
    pub(super) async fn of(bench: &Bench, args: &Args) -> anyhow::Result<Self> {
        let (engine, settings) = (bench.engine(), bench.settings());
        let runtime = settings.sandbox.runtime.clone().unwrap_or_else(|| engine.default_runtime.clone());
        let machine = Machine {
            version: env!("CARGO_PKG_VERSION"),
            debug: cfg!(debug_assertions),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: engine.kernel.clone(),
            engine: format!("docker {}", engine.version),
            runtime,
            image: bench.image().id.clone(),
            runs: args.runs,
            scans: args.scans,
            concurrency: settings.worker.concurrency,
        };
        Ok(Self {
            machine,
            measurements: Vec::new(),
            ratios: Vec::new(),
            not_measured: Vec::new(),
            kept: Vec::new(),
        })
    }

    pub(super) fn measured(&mut self, series: Series) {
        self.measurements.push(series);
    }

    pub(super) fn not_measured(&mut self, name: &'static str, why: impl Into<String>) {
        self.not_measured.push(NotMeasured { name, why: why.into() });
    }

    /// Adds how series stand to each other, where all of them were measured.
    pub(super) fn ratio(&mut self, name: &'static str, what: &str, of: &str, by: &[&str]) {
        self.ratios.extend(ratio(&self.measurements, name, what, of, by));
    }

    /// For a person.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let Machine { version, processors, kernel, engine, runtime, .. } = &self.machine;
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "safeurl {version}{}, {engine} with {runtime}, {processors} processors, Linux {kernel}\n",
            if self.machine.debug { " (debug build)" } else { "" }
        );
        let label = |series: &Series| format!("{} ({})", series.what, series.unit.as_str());
        let width = self.measurements.iter().map(|series| label(series).chars().count());
        let width =
            width.chain(self.ratios.iter().map(|ratio| ratio.what.chars().count())).max().unwrap_or(0);
        let _ = writeln!(text, "{:width$}  {:>9} {:>9} {:>9} {:>5}", "", "median", "p95", "p99", "runs");
        for series in &self.measurements {
            let marks = &series.marks;
            let _ = writeln!(
                text,
                "{:width$}  {:>9} {:>9} {:>9} {:>5}",
                label(series),
                shown(marks.median),
                shown(marks.p95),
                shown(marks.p99),
                marks.runs
            );
        }
        if !self.ratios.is_empty() {
            text.push('\n');
        }
        for ratio in &self.ratios {
            let _ = writeln!(text, "{:width$}  {:>9.2}", ratio.what, ratio.ratio);
        }
        for NotMeasured { name, why } in &self.not_measured {
            let _ = writeln!(text, "\nnot measured: {name}: {why}");
        }
        if !self.kept.is_empty() {
            text.push_str(
                "\nLeft to look at, with `docker inspect` and `docker logs`; `docker rm` takes them away:\n",
            );
        }
        for Kept { kind, container } in &self.kept {
            let _ = writeln!(text, "  {kind:12} {container}");
        }
        text
    }
}

/// Three digits that count, or all those before the point.
fn shown(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_count() {
        let all = [Some(1234.5), Some(99.96), Some(12.34), Some(0.456), None].map(shown);
        assert_eq!(all, ["1234", "100.0", "12.3", "0.46", "-"]);
    }
}
