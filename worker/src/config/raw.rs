//! A value as a layer wrote it, before anybody asked what it means.
//!
//! Files know types, variables and flags are text. Both kinds meet here, so that the rules see one form.

use toml::de::DeValue;

/// A value of any layer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Raw {
    /// Text of a variable or a flag: it may stand for any type.
    Loose(String),
    /// A string of a file.
    Text(String),
    /// An integer of a file, as it is written.
    Whole(String),
    /// A decimal number of a file, as it is written.
    Decimal(String),
    /// A truth value of a file.
    Truth(bool),
    /// A list.
    List(Vec<Raw>),
    /// A table.
    Table(Vec<(String, Raw)>),
    /// A type that no setting has; its name.
    Other(&'static str),
}

impl Raw {
    pub(super) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Self::Whole(number.as_str().to_owned()),
            DeValue::Integer(_) => Self::Other("a number that is not decimal"),
            DeValue::Float(number) => Self::Decimal(number.as_str().to_owned()),
            DeValue::Boolean(value) => Self::Truth(*value),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Array(items) => {
                Self::List(items.iter().map(|item| Self::from_toml(item.get_ref())).collect())
            }
            DeValue::Table(pairs) => Self::Table(
                pairs
                    .iter()
                    .map(|(name, value)| (name.get_ref().to_string(), Self::from_toml(value.get_ref())))
                    .collect(),
            ),
        }
    }

    /// The type as an error names it.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Loose(_) | Self::Text(_) => "text",
            Self::Whole(_) | Self::Decimal(_) => "a number",
            Self::Truth(_) => "a truth value",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }

    /// The items of a list. A variable separates them by comma; `\,` is a comma inside one.
    pub(super) fn items(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(items) => Some(items.clone()),
            Self::Loose(text) => Some(split(text).into_iter().map(Self::Loose).collect()),
            Self::Text(_)
            | Self::Whole(_)
            | Self::Decimal(_)
            | Self::Truth(_)
            | Self::Table(_)
            | Self::Other(_) => None,
        }
    }

    /// The pairs of a table. A variable writes `name=value,name=value`.
    pub(super) fn pairs(&self) -> Option<Vec<(String, Self)>> {
        match self {
            Self::Table(pairs) => Some(pairs.clone()),
            Self::Loose(text) => split(text)
                .into_iter()
                .map(|pair| {
                    let (name, value) = pair.split_once('=')?;
                    Some((name.trim().to_owned(), Self::Loose(value.trim().to_owned())))
                })
                .collect(),
            Self::Text(_)
            | Self::Whole(_)
            | Self::Decimal(_)
            | Self::Truth(_)
            | Self::List(_)
            | Self::Other(_) => None,
        }
    }
}

fn split(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, items.last_mut()) {
            ('\\', Some(item)) if rest.peek() == Some(&',') => {
                item.push(',');
                rest.next();
            }
            (',', _) => items.push(String::new()),
            (c, Some(item)) => item.push(c),
            (_, None) => {}
        }
    }
    items.into_iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_separate_items_unless_escaped() {
        for (text, items) in [
            ("", vec![]),
            (" ", vec![]),
            ("a", vec!["a"]),
            ("a, b,,c ", vec!["a", "b", "c"]),
            (r"Accept: a\, b,X: \y", vec!["Accept: a, b", r"X: \y"]),
        ] {
            assert_eq!(split(text), items, "{text}");
        }
    }

    #[test]
    fn a_table_in_a_variable_needs_an_equals_sign_in_each_pair() {
        let pairs = Raw::Loose("a=1.2.3.4, b = ::1".to_owned()).pairs();
        let expected =
            [("a", "1.2.3.4"), ("b", "::1")].map(|(n, v)| (n.to_owned(), Raw::Loose(v.to_owned())));
        assert_eq!(pairs, Some(expected.to_vec()));
        assert_eq!(Raw::Loose("a".to_owned()).pairs(), None);
    }
}
