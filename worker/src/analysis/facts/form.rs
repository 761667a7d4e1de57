//! What the page asks a visitor for, and where it sends that.

use safeurl_protocol::{Features, Form};
use url::Url;

use super::{Fact, Facts};
use crate::analysis::case::{Case, site_of, site_of_text};
use crate::analysis::lists::lists_host;
use crate::domain::target::address_of;

/// A recovery phrase has 12 to 24 words; so many alike text fields are there for one.
const SEED_FIELDS: usize = 12;

pub(super) fn add(case: &Case<'_>, facts: &mut Facts) {
    let Some(features) = case.features() else { return };
    let plain = case.page.as_ref().is_some_and(|page| page.scheme() == "http");
    if case.asks_password() && plain {
        facts.see(Fact::FormPasswordPlain, case.page.as_ref().map_or("", Url::as_str));
    }
    for form in &features.forms {
        target(case, form, facts);
        fields(case, form, plain, facts);
    }
    seed_phrase(case, features, facts);
}

/// Where a form sends what was typed.
fn target(case: &Case<'_>, form: &Form, facts: &mut Facts) {
    let asks = form.has_password || asks_card(case, form) || shown_secret(case, form).is_some();
    let controls = form.inputs.iter().filter_map(|input| input.form_action.as_deref());
    for address in std::iter::once(form.action.as_str()).chain(controls) {
        target_of(case, form, address, asks, facts);
    }
}

/// One of the places a form posts to: its own, or that of a button.
fn target_of(case: &Case<'_>, form: &Form, address: &str, asks: bool, facts: &mut Facts) {
    let Ok(action) = Url::parse(address) else { return };
    if asks && action.scheme() == "mailto" {
        facts.see(Fact::FormToMail, address);
    }
    let Some(host) = action.host_str() else { return };
    if lists_host(&case.rules.lists().collector_hosts, host) && (asks || asks_text(form)) {
        facts.see(Fact::FormToCollector, address);
    }
    if !asks {
        return;
    }
    let script = action.path().rsplit('/').next().unwrap_or_default().to_lowercase();
    if case.rules.lists().kit_scripts.contains(&script) {
        facts.see(Fact::FormToKitScript, address);
    }
    // An operator of several sites posts from one to the other; a list of brands knows the large ones.
    let same_owner = case
        .page
        .as_ref()
        .and_then(Url::host_str)
        .is_some_and(|page| case.rules.brands().owners(page).any(|brand| brand.owns(host)));
    if site_of(&action) != case.site() && !same_owner {
        facts.see(Fact::FormPasswordOffSite, address);
        if address_of(&action).is_some() {
            facts.see(Fact::FormToAddress, address);
        }
    }
}

fn fields(case: &Case<'_>, form: &Form, plain: bool, facts: &mut Facts) {
    let lists = case.rules.lists();
    if asks_card(case, form) {
        facts.see(Fact::FormCard, &form.action);
        if plain {
            facts.see(Fact::FormCardPlain, &form.action);
        }
    }
    if let Some(name) = shown_secret(case, form) {
        facts.see(Fact::FormSecretShown, name);
    }
    for input in form.inputs.iter().filter(|input| is_typed(&input.kind)) {
        let name = letters(&input.name);
        if lists.identity_fields.contains(&name) {
            facts.see(Fact::FormIdentity, &input.name);
        }
    }
    let hidden = form.inputs.iter().filter(|input| input.kind == "hidden").count();
    facts.measure(Fact::FormHiddenFields, hidden as u64, &form.action);
}

fn seed_phrase(case: &Case<'_>, features: &Features, facts: &mut Facts) {
    for form in &features.forms {
        let asked = form.inputs.iter().filter(|input| is_typed(&input.kind)).find(|input| {
            let name = letters(&input.name);
            ["seedphrase", "recoveryphrase", "mnemonic", "secretphrase"]
                .iter()
                .any(|word| name.contains(word))
        });
        if let Some(input) = asked {
            facts.see(Fact::FormSeedPhrase, &input.name);
        }
        let text = case.text().to_lowercase();
        let named =
            ["seed phrase", "recovery phrase", "secret phrase"].iter().find(|phrase| text.contains(**phrase));
        let fields = form
            .inputs
            .iter()
            .filter(|input| matches!(input.kind.as_str(), "text" | "password" | "textarea"));
        let many = fields.clone().count() >= SEED_FIELDS;
        if let Some(phrase) = named
            && (many || fields.clone().any(|input| input.kind == "textarea"))
        {
            facts.see(Fact::FormSeedPhrase, phrase);
        }
    }
}

pub(super) fn asks_card(case: &Case<'_>, form: &Form) -> bool {
    let known = &case.rules.lists().card_fields;
    form.inputs.iter().any(|input| is_typed(&input.kind) && known.contains(&letters(&input.name)))
}

pub(super) fn asks_identity(case: &Case<'_>, form: &Form) -> bool {
    let known = &case.rules.lists().identity_fields;
    form.inputs.iter().any(|input| is_typed(&input.kind) && known.contains(&letters(&input.name)))
}

/// The name of a field that asks for a secret and shows what is typed. Beside a password field it is the one that takes
/// its place when somebody wants to see what he types.
pub(super) fn shown_secret<'a>(case: &Case<'_>, form: &'a Form) -> Option<&'a str> {
    let known = &case.rules.lists().secret_fields;
    let shown = |kind: &str| matches!(kind, "text" | "tel" | "number");
    let hides = form.has_password || case.asks_password();
    let field = form.inputs.iter().find(|input| shown(&input.kind) && known.contains(&letters(&input.name)));
    field.filter(|_| !hides).map(|input| input.name.as_str())
}

fn asks_text(form: &Form) -> bool {
    form.inputs.iter().any(|input| matches!(input.kind.as_str(), "email" | "tel" | "password"))
}

/// A visitor types into it.
fn is_typed(kind: &str) -> bool {
    !matches!(kind, "hidden" | "submit" | "button" | "image" | "reset" | "checkbox" | "radio" | "file")
}

/// A field's name without case and separators: `Card-Number`, `card_number` and `cardNumber` are one.
fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What a page claims to be by its own words, when that is another site.
pub(super) fn other_site_claimed(case: &Case<'_>) -> Option<String> {
    let features = case.features()?;
    let claims = [features.canonical.as_deref(), features.open_graph.get("url").map(String::as_str)];
    let own = case.site();
    claims
        .into_iter()
        .flatten()
        .find(|claim| site_of_text(claim).is_some_and(|site| Some(site) != own))
        .map(str::to_owned)
}
