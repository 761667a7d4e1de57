//! Listings as columns, each as wide as what is in it.

use super::text::{STRONG, Text};

/// Between two columns.
pub(in crate::cli) const GAP: usize = 2;

/// A column of a listing.
pub(in crate::cli) struct Column {
    name: &'static str,
    cells: Vec<Text>,
    right: bool,
}

impl Column {
    /// A cell for each row.
    pub(in crate::cli) fn of<T>(name: &'static str, rows: &[T], cell: impl FnMut(&T) -> Text) -> Self {
        Self { name, cells: rows.iter().map(cell).collect(), right: false }
    }

    /// The same with its cells at the right.
    pub(in crate::cli) fn right(self) -> Self {
        Self { right: true, ..self }
    }

    pub(in crate::cli) fn width(&self) -> usize {
        self.cells.iter().map(Text::width).max().unwrap_or(0).max(self.name.len())
    }

    fn place(&self, cell: Text) -> Text {
        let width = self.width();
        let missing = if self.right { width.saturating_sub(cell.width()) } else { 0 };
        Text::default().gap(missing).join(cell).padded(width)
    }
}

/// What the columns take with the gap behind each.
pub(in crate::cli) fn used(columns: &[Column]) -> usize {
    columns.iter().map(|column| column.width() + GAP).sum()
}

/// The names of the columns and below them the rows.
pub(in crate::cli) fn named(columns: &[Column]) -> Vec<Text> {
    let heading = columns.iter().enumerate();
    let heading = heading.fold(Text::default(), |line, (n, column)| {
        line.gap(if n == 0 { 0 } else { GAP }).join(column.place(Text::new(STRONG, column.name)))
    });
    std::iter::once(heading).chain(lines(columns)).collect()
}

/// The rows alone.
pub(in crate::cli) fn lines(columns: &[Column]) -> Vec<Text> {
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let line = |row: usize| {
        columns.iter().enumerate().fold(Text::default(), |line, (n, column)| {
            let cell = column.cells.get(row).cloned().unwrap_or_default();
            line.gap(if n == 0 { 0 } else { GAP }).join(column.place(cell))
        })
    };
    (0..rows).map(line).collect()
}
