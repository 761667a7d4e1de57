//! Where the time of a scan goes, from submit to stored and removed: spans that others can record.
//!
//! Owns the target they have. No log layer takes it, and a span that nobody takes costs a look at one number. An attempt
//! is one tree of spans; its root has the field `job` once there is one. A span says by `by` who is waited for.

use tracing::Span;

/// The target of all spans of a scan's parts, and of nothing else.
pub const TARGET: &str = "safeurl::trace";

/// One part of a scan, by its name and, where somebody is waited for, by whom.
macro_rules! span {
    // Of another whole than the one under way.
    (of: $whole:expr, $name:literal $(, $field:ident = $value:expr)* $(,)?) => {
        tracing::trace_span!(target: $crate::span::TARGET, parent: $whole, $name $(, $field = $value)*)
    };
    ($name:literal $(, $field:ident = $value:expr)* $(,)?) => {
        tracing::trace_span!(target: $crate::span::TARGET, $name $(, $field = $value)*)
    };
}
pub(crate) use span;

/// Parts of which one ends where the next begins.
pub(crate) struct Row(Span);

impl Row {
    pub(crate) const fn beginning_with(first: Span) -> Self {
        Self(first)
    }

    pub(crate) fn next(&mut self, next: Span) {
        self.0 = next;
    }
}
