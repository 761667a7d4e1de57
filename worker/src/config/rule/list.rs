//! A list of anything that has a rule.

use serde_json::Value;

use super::Rule;
use crate::config::raw::Raw;

/// Each item by the rule inside; the most items.
pub(in crate::config) struct List<R> {
    pub(in crate::config) of: R,
    pub(in crate::config) most: usize,
}

impl<R: Rule> Rule for List<R> {
    type Out = Vec<R::Out>;

    fn accepts(&self) -> String {
        format!("a list of up to {}, each {}", self.most, self.of.accepts())
    }

    fn read(&self, raw: &Raw) -> Result<Vec<R::Out>, String> {
        let items = raw.items().ok_or_else(|| format!("is {}, not a list", raw.kind()))?;
        if items.len() > self.most {
            return Err(format!("has {} items", items.len()));
        }
        let read = |(n, item): (usize, &Raw)| {
            self.of.read(item).map_err(|wrong| {
                let quoted = match item {
                    Raw::Loose(text) | Raw::Text(text) => self.of.quote(text),
                    Raw::Whole(_)
                    | Raw::Decimal(_)
                    | Raw::Truth(_)
                    | Raw::List(_)
                    | Raw::Table(_)
                    | Raw::Other(_) => None,
                };
                let item = quoted.unwrap_or_else(|| format!("item {}", n + 1));
                format!("{item} in it {wrong}")
            })
        };
        items.iter().enumerate().map(read).collect()
    }

    fn show(&self, value: &Vec<R::Out>) -> Value {
        value.iter().map(|item| self.of.show(item)).collect()
    }

    fn quote(&self, _: &str) -> Option<String> {
        // The error of an item names the item.
        None
    }
}
