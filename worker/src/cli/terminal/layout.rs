//! Sections of a report: stacked on a narrow terminal, short ones side by side on a wide one.

use super::WIDE;
use super::text::{FAINT, NONE, STRONG, Text};

/// In front of each row.
const INDENT: usize = 2;

/// Between the columns of a row, and between sections that stand side by side.
const GAP: usize = 2;
const GUTTER: usize = 4;

/// The part of a row's width that its label may take.
const LABEL_SHARE: usize = 3;

/// Something with a heading.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct Section {
    title: &'static str,
    rows: Vec<Row>,
    short: bool,
}

/// A label, what it stands for, and what may stand behind that.
#[derive(Debug, Clone, Default)]
struct Row {
    label: Text,
    body: Text,
    tail: Text,
}

impl Section {
    /// With room of its own.
    pub(in crate::cli) fn full(title: &'static str) -> Self {
        Self { title, ..Self::default() }
    }

    /// One that may stand beside another.
    pub(in crate::cli) fn short(title: &'static str) -> Self {
        Self { title, short: true, ..Self::default() }
    }

    /// A row whose label is a word.
    pub(in crate::cli) fn pair(&mut self, label: &str, body: impl Into<Text>) {
        self.row(Text::new(FAINT, label), body.into(), Text::default());
    }

    /// The same, where there is something to say.
    pub(in crate::cli) fn pair_if(&mut self, label: &str, body: Option<impl Into<Text>>) {
        if let Some(body) = body.map(Into::into).filter(|body| !body.is_empty()) {
            self.pair(label, body);
        }
    }

    /// A row below the last one, without a label.
    pub(in crate::cli) fn more(&mut self, body: impl Into<Text>) {
        self.row(Text::default(), body.into(), Text::default());
    }

    pub(in crate::cli) fn row(&mut self, label: Text, body: Text, tail: Text) {
        self.rows.push(Row { label, body, tail });
    }

    /// One row for each of the first `most`, then how many were left out.
    pub(in crate::cli) fn list<T>(
        &mut self,
        all: impl IntoIterator<Item = T>,
        most: usize,
        mut add: impl FnMut(&mut Self, T),
    ) {
        let mut left = 0_usize;
        for (n, item) in all.into_iter().enumerate() {
            if n < most {
                add(self, item);
            } else {
                left += 1;
            }
        }
        self.left_out(left);
    }

    /// Says how many there are besides.
    pub(in crate::cli) fn left_out(&mut self, left: usize) {
        if left > 0 {
            self.more(Text::new(FAINT, &format!("and {left} more (--json has all)")));
        }
    }

    fn lines(&self, columns: usize) -> Vec<Text> {
        let mut lines = vec![Text::new(STRONG, self.title)];
        let label = self.rows.iter().map(|row| row.label.width()).max().unwrap_or(0);
        let label = label.min(columns / LABEL_SHARE);
        let from = if label == 0 { INDENT } else { INDENT + label + GAP };
        let room = columns.saturating_sub(from);
        for row in &self.rows {
            let mut labels = row.label.wrap(label.max(1)).into_iter();
            for body in row.bodies(room) {
                let label = labels.next().unwrap_or_default();
                let lead = Text::default().gap(INDENT).join(label).padded(from);
                lines.push(lead.join(body));
            }
        }
        lines
    }
}

impl Row {
    /// What stands behind goes on the same line if it fits there, else below.
    fn bodies(&self, room: usize) -> Vec<Text> {
        let mut bodies = self.body.wrap(room);
        if self.tail.is_empty() {
            return bodies;
        }
        match bodies.last_mut() {
            Some(last) if last.width() + GAP + self.tail.width() <= room => {
                *last = std::mem::take(last).gap(GAP).join(self.tail.clone());
            }
            Some(_) | None => bodies.extend(self.tail.wrap(room)),
        }
        bodies
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::new(NONE, &text)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(NONE, text)
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Self::new(NONE, text)
    }
}

/// All sections that say something, an empty line in front of each.
pub(in crate::cli) fn arrange(sections: Vec<Section>, columns: usize) -> Vec<Text> {
    let mut lines = Vec::new();
    let mut beside = Vec::new();
    for section in sections.into_iter().filter(|section| !section.rows.is_empty()) {
        if section.short && columns >= WIDE {
            beside.push(section);
            continue;
        }
        lines.extend(side_by_side(std::mem::take(&mut beside), columns));
        lines.push(Text::default());
        lines.extend(section.lines(columns));
    }
    lines.extend(side_by_side(beside, columns));
    lines
}

/// Two columns, each section where less stands so far.
fn side_by_side(sections: Vec<Section>, columns: usize) -> Vec<Text> {
    let half = (columns - GUTTER.min(columns)) / 2;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for section in sections {
        let shorter: &mut Vec<Text> = if right.len() < left.len() { &mut right } else { &mut left };
        shorter.push(Text::default());
        shorter.extend(section.lines(half));
    }
    if right.is_empty() {
        return left;
    }
    let rows = left.len().max(right.len());
    let mut left = left.into_iter();
    let mut right = right.into_iter();
    let pair = |_| {
        let (left, right) = (left.next().unwrap_or_default(), right.next().unwrap_or_default());
        if right.is_empty() { left } else { left.padded(half + GUTTER).join(right) }
    };
    (0..rows).map(pair).collect()
}
