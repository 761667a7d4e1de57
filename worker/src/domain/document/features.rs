//! What a page holds, as the document shows it: the report's facts, with what only the supervisor can say of them.

use std::collections::BTreeMap;

use safeurl_protocol::{Form as WireForm, Link, Report};
use url::Url;

use super::compose::Assessment;
use super::{Features, Form, LinkDomain, Links};
use crate::domain::target::apex_of;

/// Foreign domains shown with their number of links; the rest are seldom linked, and in `lists.linkDomains`.
const LINK_DOMAINS: usize = 50;

pub(super) fn features(report: &Report, page: Option<&Url>, assessment: &Assessment) -> Option<Features> {
    let features = report.features.as_ref()?;
    let own = page.and_then(site_of);
    Some(Features {
        meta: features.meta.clone(),
        open_graph: features.open_graph.clone(),
        forms: features.forms.iter().map(|form| self::form(form, own.as_deref())).collect(),
        links: links(&features.links.list, features.links.capped, own.as_deref()),
        scripts: features.scripts.clone(),
        iframes: features.iframes.clone(),
        meta_refresh: features.meta_refresh.clone(),
        emails: Some(features.emails.clone()),
        phones: assessment.phones.clone(),
        favicon: features.favicon.clone(),
        technologies: assessment.technologies.clone(),
        json_ld: features.json_ld.clone(),
        possible_redirects: features.possible_redirects.clone(),
        embedded: features.embedded.clone(),
        comments: features.comments.clone(),
        capped: features.capped.clone(),
    })
}

/// Own and foreign links by the site they lead to; what leads to no host is neither.
fn links(list: &[Link], capped: bool, own: Option<&str>) -> Links {
    let (mut internal, mut foreign) = (0, BTreeMap::<String, u64>::new());
    for site in list.iter().filter_map(|link| site_of_text(&link.href)) {
        if own == Some(site.as_str()) {
            internal += 1;
        } else {
            *foreign.entry(site).or_default() += 1;
        }
    }
    let external = foreign.values().sum();
    let mut domains: Vec<_> =
        foreign.into_iter().map(|(domain, links)| LinkDomain { domain, links }).collect();
    // Those with equal numbers stay in the order of their names.
    domains.sort_by_key(|domain| std::cmp::Reverse(domain.links));
    domains.truncate(LINK_DOMAINS);
    Links { internal, external, domains, list: list.to_vec(), capped }
}

fn form(form: &WireForm, own: Option<&str>) -> Form {
    let action = Url::parse(&form.action).ok();
    let elsewhere = |address: &str| site_of_text(address).is_some_and(|site| Some(site.as_str()) != own);
    let controls = form.inputs.iter().filter_map(|input| input.form_action.as_deref());
    Form {
        action: form.action.clone(),
        action_domain: action.as_ref().and_then(Url::host_str).map(str::to_owned),
        method: form.method.clone(),
        inputs: form.inputs.clone(),
        has_password: form.has_password,
        embedded: form.embedded,
        cross_domain: std::iter::once(form.action.as_str()).chain(controls).any(elsewhere),
    }
}

/// The registrable domain, or the host where there is none: what counts as one site.
fn site_of(url: &Url) -> Option<String> {
    apex_of(url).or_else(|| url.host_str().map(str::to_owned))
}

fn site_of_text(address: &str) -> Option<String> {
    Url::parse(address).ok().as_ref().and_then(site_of)
}
