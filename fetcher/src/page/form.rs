//! Forms and which controls belong to them.
//!
//! A control names its form by `form=`, else it belongs to the one the parser associated it with (which may be
//! no ancestor: forms that start inside a table), else to the form around it. Controls of no form count for
//! password fields only.

use std::collections::HashMap;

use safeurl_protocol::{Form, FormInput};

use super::address::Addresses;
use super::dom::{DOCUMENT, Dom, Element, NodeId};

/// A page with more is a tool or an attack on the reader; the count goes on.
pub(super) const MAX_FORMS: usize = 50;

/// The largest honest form (a tax return) stays below.
const MAX_INPUTS: usize = 100;

/// Of a name or type.
const MAX_NAME_BYTES: usize = 256;

/// The forms of a page while its controls are found.
#[derive(Debug, Default)]
pub(super) struct Forms {
    list: Vec<Form>,
    total: u64,
    by_node: HashMap<NodeId, usize>,
    by_id: HashMap<String, usize>,
    pub(super) password_fields: u64,
    /// A form has more inputs than are listed.
    pub(super) inputs_capped: bool,
}

impl Forms {
    /// Finds all forms, so that a control may name one that comes later.
    pub(super) fn find(dom: &Dom, addresses: &Addresses<'_>) -> Self {
        let mut forms = Self::default();
        for node in dom.below(DOCUMENT) {
            let Some(element) = dom.element(node).filter(|element| element.html() == "form") else {
                continue;
            };
            forms.total = forms.total.saturating_add(1);
            if forms.list.len() >= MAX_FORMS {
                continue;
            }
            forms.by_node.insert(node, forms.list.len());
            if let Some(id) = element.attribute("id").filter(|id| !id.is_empty()) {
                forms.by_id.entry(id.to_owned()).or_insert(forms.list.len());
            }
            forms.list.push(Form {
                action: action(element, addresses),
                method: method(element),
                inputs: Vec::new(),
                has_password: false,
                embedded: false,
            });
        }
        forms
    }

    /// Adds a control; `around` is the nearest form it is inside of.
    pub(super) fn add(&mut self, element: &Element, around: Option<NodeId>, addresses: &Addresses<'_>) {
        let Some(kind) = control(element) else { return };
        let password = kind == "password";
        self.password_fields = self.password_fields.saturating_add(u64::from(password));
        let owner = match element.attribute("form") {
            Some(id) => self.by_id.get(id).copied(),
            None => element.form.or(around).and_then(|form| self.by_node.get(&form).copied()),
        };
        let Some(form) = owner.and_then(|index| self.list.get_mut(index)) else { return };
        form.has_password |= password;
        if form.inputs.len() < MAX_INPUTS {
            let name = element.attribute("name").or_else(|| element.attribute("id")).unwrap_or_default();
            form.inputs.push(FormInput {
                name: crate::report::cut(name.to_owned(), MAX_NAME_BYTES),
                form_action: form_action(element, &kind, addresses),
                kind,
            });
        } else {
            self.inputs_capped = true;
        }
    }

    /// Number of forms there are.
    pub(super) fn count(&self) -> u64 {
        self.total
    }

    /// Number of forms listed.
    pub(super) fn listed(&self) -> u64 {
        self.list.len() as u64
    }

    /// The forms listed and the number there are.
    pub(super) fn done(self) -> (Vec<Form>, u64) {
        (self.list, self.total)
    }
}

/// The kind of a control; `None`: not one.
fn control(element: &Element) -> Option<String> {
    match element.html() {
        "input" => {
            let kind = element.attribute("type").unwrap_or_default().trim().to_ascii_lowercase();
            let kind = if kind.is_empty() { "text".to_owned() } else { kind };
            Some(crate::report::cut(kind, MAX_NAME_BYTES))
        }
        name @ ("select" | "textarea" | "button") => Some(name.to_owned()),
        _ => None,
    }
}

/// A form that names nothing posts to the page itself, whatever `base` says.
fn action(element: &Element, addresses: &Addresses<'_>) -> String {
    match element.attribute("action").map(str::trim).filter(|action| !action.is_empty()) {
        Some(action) => addresses.absolute(action),
        None => addresses.absolute_page(),
    }
}

/// Only what submits a form may send it elsewhere.
fn form_action(element: &Element, kind: &str, addresses: &Addresses<'_>) -> Option<String> {
    let action = element.attribute("formaction").map(str::trim).filter(|action| !action.is_empty())?;
    matches!(kind, "submit" | "image" | "button").then(|| addresses.absolute(action))
}

fn method(element: &Element) -> String {
    let method = element.attribute("method").unwrap_or_default().to_ascii_uppercase();
    match method.as_str() {
        "POST" | "DIALOG" => method,
        _ => "GET".to_owned(),
    }
}
