//! Draws a trace as a waterfall: a bar for each part of a scan, below each other in the order in which they began.
//!
//! Pure: from values to SVG. The picture brings its own light ground, so that it can be read on any page, and uses no
//! font, script or style from elsewhere.

use std::fmt::Write as _;

use crate::telemetry::{Part, Trace};

/// Measures of the picture, in its own units.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 210.0;
const RIGHT: f64 = 880.0;
const TOP: f64 = 84.0;
const ROW: f64 = 20.0;
const BAR: f64 = 12.0;
/// How far a part stands in below its whole.
const INDENT: f64 = 12.0;
/// A bar is never thinner, or nobody would see it.
const THINNEST: f64 = 1.5;

/// Characters of a URL that fit beside what else stands in its line.
const URL_CHARS: usize = 110;
/// About as many lines as a scale has.
const LINES: f64 = 8.0;

/// Who is waited for, and the colour of it: at least 3 to 1 against the ground (WCAG 2.2, 1.4.11).
const COLOURS: [(&str, &str); 7] = [
    ("engine", "#2563eb"),
    ("container", "#15803d"),
    ("database", "#9333ea"),
    ("gateway", "#c2410c"),
    ("analysis", "#be185d"),
    ("queue", "#64748b"),
    ("between", "#8b8680"),
];
/// A whole whose parts say who is waited for.
const WHOLE: &str = "#7c8ba1";

/// The picture of a trace. `url` is shown as it is, so it has to be masked.
#[must_use]
pub(super) fn draw(url: &str, trace: &Trace) -> String {
    // What was over before the submit is no part of the time since; a container may have waited for long.
    let parts: Vec<&Part> = trace.parts.iter().filter(|part| part.end_us > 0).collect();
    let end = parts.iter().map(|part| part.end_us).max().unwrap_or(1).max(1);
    let x = |us: i64| LEFT + (RIGHT - LEFT) * us.max(0) as f64 / end as f64;
    let bottom = TOP + ROW * parts.len() as f64;
    let height = bottom + 56.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" font-family=\"ui-sans-serif, system-ui, sans-serif\" font-size=\"12\" fill=\"#1f2937\">\n\
         <title>Where the time of a scan goes</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"6\" fill=\"#ffffff\" stroke=\"#d1d5db\"/>\n"
    );
    text(&mut svg, (16.0, 26.0), "font-size=\"14\" font-weight=\"600\"", &shortened(url));
    legend(&mut svg, trace);
    let step = step(end);
    for mark in (0..).map(|n| n * step).take_while(|mark| *mark <= end) {
        let at = x(mark);
        line(&mut svg, at, (TOP - 6.0, bottom + 4.0), "#e5e7eb", "");
        text(&mut svg, (at, TOP - 12.0), "fill=\"#4b5563\" text-anchor=\"middle\"", &scale(mark, step));
    }
    for (n, part) in (0_u32..).zip(&parts) {
        row(&mut svg, TOP + ROW * f64::from(n), part, x(part.start_us), x(part.end_us));
    }
    if let Some(stored) = trace.stored_us {
        line(&mut svg, x(stored), (TOP - 6.0, bottom + 10.0), "#111827", " stroke-dasharray=\"3 3\"");
        let style = "font-weight=\"600\" text-anchor=\"middle\"";
        text(&mut svg, (x(stored), bottom + 24.0), style, &format!("stored: {}", millis(stored)));
    }
    if let Some(note) = before(trace) {
        text(&mut svg, (16.0, bottom + 42.0), "fill=\"#4b5563\"", &note);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Whom the time until the result was stored was waited for.
fn legend(svg: &mut String, trace: &Trace) {
    let mut at = 16.0;
    for share in &trace.shares {
        let label = format!("{} {}", share.by, millis(share.us));
        let _ = writeln!(
            svg,
            "<rect x=\"{at:.1}\" y=\"38\" width=\"10\" height=\"10\" rx=\"2\" fill=\"{}\"/>",
            colour(Some(&share.by))
        );
        text(svg, (at + 15.0, 47.0), "", &label);
        // About the width of the text, in a font that nobody knows.
        at += 30.0 + 6.3 * label.chars().count() as f64;
    }
}

fn row(svg: &mut String, top: f64, part: &Part, from: f64, to: f64) {
    let base = top + ROW - 6.0;
    text(svg, (16.0 + INDENT * part.depth as f64, base), "", &part.name);
    let width = (to - from).max(THINNEST);
    let (y, height) = if part.by.is_some() { (base - 10.0, BAR) } else { (base - 6.0, BAR / 3.0) };
    let _ = writeln!(
        svg,
        "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"1\" fill=\"{}\"/>",
        colour(part.by.as_deref())
    );
    // What began before the submit counts from there on.
    let (mark, shown) =
        if part.start_us < 0 { ("◂ ", part.end_us) } else { ("", part.end_us - part.start_us) };
    text(svg, (from + width + 5.0, base), "fill=\"#4b5563\"", &format!("{mark}{}", millis(shown)));
}

/// What was done for the job before it was there.
fn before(trace: &Trace) -> Option<String> {
    let over = trace.parts.iter().filter(|part| part.end_us <= 0 && part.depth == 1);
    let first = trace.parts.iter().map(|part| part.start_us).min().filter(|first| *first < 0)?;
    let names: Vec<&str> = over.map(|part| &*part.name).collect();
    (!names.is_empty()).then(|| format!("before, from {} on: {}", millis(first), names.join(", ")))
}

fn colour(by: Option<&str>) -> &'static str {
    by.map_or(WHOLE, |by| {
        COLOURS.iter().find(|(name, _)| *name == by).map_or("#374151", |(_, colour)| colour)
    })
}

fn line(svg: &mut String, x: f64, (from, to): (f64, f64), colour: &str, more: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{x:.1}\" y1=\"{from:.1}\" x2=\"{x:.1}\" y2=\"{to:.1}\" stroke=\"{colour}\"{more}/>"
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), style: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{}</text>", escaped(text));
}

/// As text of XML, in which control characters are forbidden however they are written.
fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            '\'' => written.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => written.push(char::REPLACEMENT_CHARACTER),
            _ if char.is_control() => written.push(char::REPLACEMENT_CHARACTER),
            _ => written.push(char),
        }
    }
    written
}

fn shortened(url: &str) -> String {
    if url.chars().count() <= URL_CHARS {
        return url.to_owned();
    }
    url.chars().take(URL_CHARS - 1).chain(['…']).collect()
}

/// Microseconds as milliseconds with three digits that count.
fn millis(us: i64) -> String {
    let ms = us as f64 / 1000.0;
    match us.abs() {
        0..10_000 => format!("{ms:.2} ms"),
        10_000..100_000 => format!("{ms:.1} ms"),
        _ => format!("{ms:.0} ms"),
    }
}

/// From one line of the scale to the next: 1, 2 or 5 times a power of ten, in microseconds.
fn step(end: i64) -> i64 {
    let least = (end as f64 / LINES).max(1.0);
    let mut power = 1_i64;
    loop {
        for step in [power, power * 2, power * 5] {
            if step as f64 >= least {
                return step;
            }
        }
        power *= 10;
    }
}

fn scale(us: i64, step: i64) -> String {
    let ms = us as f64 / 1000.0;
    if step >= 1000 || us == 0 { format!("{ms:.0} ms") } else { format!("{ms:.1} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Share;

    fn part(name: &str, by: Option<&str>, depth: usize, (start_us, end_us): (i64, i64)) -> Part {
        Part { name: name.to_owned(), by: by.map(str::to_owned), depth, start_us, end_us }
    }

    fn sample() -> Trace {
        Trace {
            stored_us: Some(9000),
            shares: vec![
                Share { by: "container".to_owned(), us: 7000 },
                Share { by: "database".to_owned(), us: 2000 },
            ],
            parts: vec![
                part("attempt", None, 0, (-90_000, 10_000)),
                part("oblige", Some("database"), 1, (-90_000, -89_000)),
                part("wait", Some("queue"), 1, (-80_000, 1200)),
                part("submit", Some("database"), 0, (0, 1000)),
                part("run", None, 1, (1200, 8200)),
                part("report", Some("container"), 2, (1200, 8200)),
                part("settle", Some("database"), 1, (8200, 9000)),
                part("remove", Some("engine"), 1, (9000, 10_000)),
            ],
        }
    }

    /// The names in a picture, and where the bar of each begins and how long it is.
    fn bars(svg: &str) -> Vec<(String, f64, f64)> {
        let lines: Vec<&str> = svg.lines().collect();
        let number = |line: &str, key: &str| {
            let (_, rest) = line.split_once(&format!(" {key}=\"")).expect("it is there");
            rest.split('"').next().and_then(|number| number.parse::<f64>().ok()).expect("a number")
        };
        let rows = lines.windows(3).filter(|rows| {
            rows[0].starts_with("<text") && rows[1].starts_with("<rect") && rows[2].contains(" ms</text>")
        });
        rows.filter(|rows| number(rows[1], "y") > TOP - ROW)
            .map(|rows| {
                let name = rows[0].split(['>', '<']).nth(2).unwrap_or_default().to_owned();
                (name, number(rows[1], "x"), number(rows[1], "width"))
            })
            .collect()
    }

    #[test]
    fn each_part_since_the_submit_has_a_bar_where_its_time_is() {
        let svg = draw("http://example.test/", &sample());
        let bars = bars(&svg);
        let names: Vec<_> = bars.iter().map(|(name, ..)| &**name).collect();
        assert_eq!(names, ["attempt", "wait", "submit", "run", "report", "settle", "remove"]);
        let at = |us: f64| LEFT + (RIGHT - LEFT) * us / 10_000.0;
        let near = |found: f64, expected: f64| (found - expected).abs() < 0.1;
        for ((name, from, width), (began, lasted)) in bars.iter().zip([
            (0.0, 10_000.0),
            (0.0, 1200.0),
            (0.0, 1000.0),
            (1200.0, 7000.0),
            (1200.0, 7000.0),
            (8200.0, 800.0),
            (9000.0, 1000.0),
        ]) {
            assert!(near(*from, at(began)) && near(*width, at(lasted) - LEFT), "{name}: {from} {width}");
        }
        for told in ["stored: 9.00 ms", "container 7.00 ms", "before, from -90.0 ms on: oblige", "◂ 1.20 ms"]
        {
            assert!(svg.contains(told), "{told} is missing");
        }
    }

    #[test]
    fn what_others_wrote_is_text_and_nothing_else() {
        let url = "http://x.test/<script>\"'&\u{1}\u{ffff}";
        let mut trace = sample();
        trace.parts.push(part("<b>&", Some("\"/><script>"), 1, (1, 2)));
        trace.shares.push(Share { by: "<i>".to_owned(), us: 1 });
        let svg = draw(url, &trace);
        assert!(svg.contains("http://x.test/&lt;script&gt;&quot;&#39;&amp;\u{fffd}\u{fffd}"));
        assert!(svg.contains("&lt;b&gt;&amp;") && svg.contains("&lt;i&gt;"));
        for hostile in ["<script", "<b>", "<i>", "\u{1}"] {
            assert!(!svg.contains(hostile), "{hostile:?}");
        }
        let long = format!("http://x.test/{}", "a".repeat(500));
        assert!(draw(&long, &trace).contains("a…</text>"), "a long URL is cut");
    }

    #[test]
    fn a_trace_without_parts_and_one_of_a_day_are_drawn() {
        let none = Trace { stored_us: None, shares: Vec::new(), parts: Vec::new() };
        assert!(draw("", &none).ends_with("</svg>\n"));
        let day = Trace { parts: vec![part("run", None, 0, (0, 86_400_000_000))], ..none };
        assert_eq!(bars(&draw("", &day)).len(), 1);
    }

    #[test]
    fn the_scale_has_few_lines_at_round_numbers() {
        for (end, expected) in [(1, 1), (8, 1), (9, 2), (100_000, 20_000), (90_000, 20_000), (40_000, 5000)] {
            assert_eq!(step(end), expected, "{end}");
        }
        assert_eq!((&*millis(1234), &*millis(12_340), &*millis(123_400)), ("1.23 ms", "12.3 ms", "123 ms"));
    }
}
