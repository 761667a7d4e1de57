//! Whether the page speaks for somebody else.

use std::collections::BTreeMap;

use url::Url;

use super::form::{asks_card, asks_identity, other_site_claimed, shown_secret};
use super::{Fact, Facts};
use crate::analysis::brands::Place;
use crate::analysis::case::{Case, site_of_text};

/// So many references to one brand's own site are not a mention but a copy.
const REFERENCES: usize = 3;

pub(super) fn add(case: &Case<'_>, facts: &mut Facts) {
    let Some(page) = &case.page else { return };
    let host = page.host_str().unwrap_or_default();
    let verified = page.scheme() == "https"
        && case.report.requests.iter().filter_map(|exchange| exchange.tls.as_ref()).all(|tls| tls.verified);
    for brand in case.rules.brands().owners(host) {
        facts.brand(&brand.name);
        if verified {
            facts.see(Fact::BrandOwnSite, host);
        }
    }
    let Some(features) = case.features() else { return };
    if !asks_for_secrets(case) {
        return;
    }
    if let Some(claim) = other_site_claimed(case) {
        facts.see(Fact::PageSaysOtherSite, claim);
    }
    let name = features.open_graph.get("site_name").map_or("", String::as_str);
    let application = features.meta.get("application-name").map_or("", String::as_str);
    let claims = [case.title(), name, application].map(|claim| (claim, claim.to_lowercase()));
    let place = Place::of(host);
    for brand in case.rules.brands().iter().filter(|brand| !brand.owns(host) && !brand.is_namesake(&place)) {
        if let Some((claim, _)) = claims.iter().find(|(_, lower)| brand.is_named_in(lower)) {
            facts.brand(&brand.name);
            facts.see(Fact::BrandLoginElsewhere, format!("{} on {host}: {claim}", brand.name));
        }
    }
    borrowed(case, host, facts);
}

/// A page that loads most of its looks from a brand's site, or links to hardly anything else, is a copy of it.
fn borrowed(case: &Case<'_>, host: &str, facts: &mut Facts) {
    let Some(features) = case.features() else { return };
    let references = features
        .resources
        .iter()
        .chain(features.links.list.iter().map(|link| &link.href))
        .filter_map(|address| Url::parse(address).ok())
        .filter_map(|url| url.host_str().map(str::to_owned));
    let place = Place::of(host);
    let mut all = 0_usize;
    let mut by_brand = BTreeMap::<&str, usize>::new();
    for reference in references {
        all += 1;
        for brand in case.rules.brands().owners(&reference).filter(|brand| !brand.runs(&place)) {
            *by_brand.entry(brand.name.as_str()).or_default() += 1;
        }
    }
    for (brand, count) in by_brand {
        if count >= REFERENCES && count * 2 > all {
            facts.brand(brand);
            facts.see(Fact::BrandAssetsElsewhere, format!("{count} of {all} references lead to {brand}"));
        }
    }
}

/// Password, payment card, official number: what a copy of a brand's page is made for.
pub(super) fn asks_for_secrets(case: &Case<'_>) -> bool {
    case.asks_password()
        || case.features().is_some_and(|features| {
            features.forms.iter().any(|form| {
                if asks_card(case, form) || asks_identity(case, form) || shown_secret(case, form).is_some() {
                    return true;
                }
                let mail = form.inputs.iter().any(|input| input.kind == "email");
                // The first page of a two-step login asks for the name alone, and sends it elsewhere.
                mail && site_of_text(&form.action).is_some_and(|site| Some(site) != case.site())
            })
        })
}
