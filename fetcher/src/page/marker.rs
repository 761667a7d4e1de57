//! Traces that frameworks, builders and services leave in markup, where no address of a script gives them away.
//!
//! [`MARKERS`] is the whole list; its names are part of the wire, and the supervisor knows which tool they mean. A trace
//! that carries a version or an account has it behind an equals sign.

use std::collections::BTreeSet;

use super::dom::Element;

/// Different ones are few; accounts make one page's list longer.
pub(super) const MAX_MARKERS: usize = 100;
/// Of a version or an account.
const MAX_VALUE_BYTES: usize = 64;
/// A class attribute is searched so far: style sheets by utility have some 2,000 bytes.
const MAX_CLASS_BYTES: usize = 4 * 1024;

/// Where a trace stands.
enum Place {
    /// An attribute's name, or its beginning when it ends in `*`.
    Attribute(&'static str),
    /// The same, and its value is worth keeping.
    Valued(&'static str),
    /// An `id`.
    Id(&'static str),
    /// A class, or its beginning when it ends in `*`.
    Class(&'static str),
    /// An element's name, or its beginning when it ends in `*`.
    Element(&'static str),
    /// A text in an inline script.
    Script(&'static str),
    /// An account named in an inline script: its beginning.
    Account(&'static str),
}

use Place::{Account, Attribute, Class, Element as Named, Id, Script, Valued};

/// Every trace, with the name it is reported by.
const MARKERS: &[(Place, &str)] = &[
    // Angular and AngularJS.
    (Valued("ng-version"), "ng-version"),
    (Attribute("_nghost-*"), "ng-version"),
    (Attribute("_ngcontent-*"), "ng-version"),
    (Attribute("ng-app"), "ng-app"),
    (Attribute("ng-controller"), "ng-app"),
    // React and what is made with it.
    (Attribute("data-reactroot"), "data-reactroot"),
    (Attribute("data-reactid"), "data-reactid"),
    (Attribute("data-react-helmet"), "data-react-helmet"),
    (Attribute("data-rh"), "data-react-helmet"),
    (Id("__next"), "__next"),
    (Id("__NEXT_DATA__"), "__NEXT_DATA__"),
    (Script("self.__next_f"), "__NEXT_DATA__"),
    (Id("___gatsby"), "___gatsby"),
    (Script("window.__remixContext"), "__remixContext"),
    (Attribute("data-emotion"), "data-emotion"),
    (Attribute("data-styled"), "data-styled"),
    (Attribute("data-radix-*"), "data-radix"),
    (Attribute("data-headlessui-state"), "data-headlessui-state"),
    (Class("Mui*"), "mui"),
    (Class("chakra-*"), "chakra"),
    (Class("ant-*"), "ant-design"),
    // Vue and what is made with it.
    (Attribute("data-v-*"), "vue"),
    (Attribute("v-cloak"), "vue"),
    (Attribute("data-server-rendered"), "vue"),
    (Id("__nuxt"), "__NUXT__"),
    (Script("window.__NUXT__"), "__NUXT__"),
    (Id("__NUXT_DATA__"), "__NUXT__"),
    (Attribute("data-n-head"), "__NUXT__"),
    // Other frameworks.
    (Class("svelte-*"), "svelte"),
    (Script("__sveltekit"), "sveltekit"),
    (Attribute("data-sveltekit-*"), "sveltekit"),
    (Named("astro-island"), "astro-island"),
    (Attribute("data-astro-*"), "astro-island"),
    (Attribute("q:container"), "qwik"),
    (Script("_$HY"), "solid"),
    (Class("ember-*"), "ember"),
    (Attribute("x-data"), "x-data"),
    (Attribute("hx-*"), "htmx"),
    (Attribute("data-hx-*"), "htmx"),
    (Attribute("data-turbo*"), "data-turbo"),
    (Named("turbo-frame"), "data-turbo"),
    (Attribute("data-turbolinks*"), "data-turbolinks"),
    (Attribute("data-controller"), "stimulus"),
    (Attribute("wire:id"), "livewire"),
    (Attribute("data-phx-*"), "phoenix-liveview"),
    (Attribute("up-main"), "unpoly"),
    (Attribute("data-ko-*"), "knockout"),
    (Attribute("data-bs-*"), "bootstrap5"),
    (Attribute("data-aos"), "data-aos"),
    (Attribute("amp"), "amp"),
    (Attribute("⚡"), "amp"),
    (Class("ion-*"), "ionic"),
    (Named("ion-app"), "ionic"),
    (Named("flt-*"), "flutter"),
    (Script("_flutter."), "flutter"),
    (Script("webpackJsonp"), "webpack"),
    (Script("__webpack_require__"), "webpack"),
    (Script("webpackChunk"), "webpack"),
    // Content management and shops.
    (Class("wp-block-*"), "wp-block"),
    (Valued("data-elementor-type"), "data-elementor-type"),
    (Class("elementor-*"), "elementor"),
    (Class("et_pb_*"), "divi"),
    (Attribute("data-vc-*"), "wpbakery"),
    (Class("wpcf7*"), "wpcf7"),
    (Class("woocommerce*"), "woocommerce"),
    (Attribute("data-drupal-*"), "data-drupal-selector"),
    (Script("Drupal.settings"), "data-drupal-selector"),
    (Script("joomla-script-options"), "joomla"),
    (Class("joomla-script-options"), "joomla"),
    (Attribute("data-mage-init"), "magento"),
    (Script("Magento_"), "magento"),
    (Script("Shopify.theme"), "shopify"),
    (Id("shopify-section-*"), "shopify"),
    (Class("shopify-section"), "shopify"),
    (Script("var prestashop"), "prestashop"),
    (Script("BCData"), "bigcommerce"),
    (Script("wixBiSession"), "wix"),
    (Id("SITE_CONTAINER"), "wix"),
    (Attribute("data-wf-site"), "data-wf-site"),
    (Attribute("data-wf-page"), "data-wf-site"),
    (Script("Static.SQUARESPACE_CONTEXT"), "squarespace"),
    (Class("sqs-*"), "squarespace"),
    (Attribute("data-framer-*"), "framer"),
    (Class("weebly-*"), "weebly"),
    (Class("w-weebly*"), "weebly"),
    (Class("t-records"), "tilda"),
    (Script("window.__BUBBLE_*"), "bubble"),
    (Attribute("data-typo3-*"), "typo3"),
    (Script("__VIEWSTATE"), "asp.net-webforms"),
    (Id("__VIEWSTATE"), "asp.net-webforms"),
    // Guards against programs.
    (Class("g-recaptcha"), "recaptcha"),
    (Script("grecaptcha."), "recaptcha"),
    (Class("h-captcha"), "hcaptcha"),
    (Class("cf-turnstile"), "turnstile"),
    (Script("turnstile.render"), "turnstile"),
    (Script("__cf_chl_opt"), "cloudflare-challenge"),
    (Script("_cf_chl_opt"), "cloudflare-challenge"),
    (Script("ddjskey"), "datadome"),
    // Counters and chats.
    (Script("gtag("), "gtag"),
    (Account("GTM-"), "gtm"),
    (Account("UA-"), "ga"),
    (Account("G-"), "ga"),
    (Account("AW-"), "gads"),
    (Account("ca-pub-"), "adsense"),
    (Script("fbq("), "facebook-pixel"),
    (Script("ttq.load"), "tiktok-pixel"),
    (Script("_linkedin_partner_id"), "linkedin-insight"),
    (Script("_hjSettings"), "hotjar"),
    (Script("clarity(\"set\""), "clarity"),
    (Script("www.clarity.ms/tag"), "clarity"),
    (Script("_paq.push"), "matomo"),
    (Script("ym("), "yandex-metrika"),
    (Script("_hsq"), "hubspot"),
    (Script("Intercom("), "intercom"),
    (Script("Tawk_API"), "tawk"),
    (Script("$crisp"), "crisp"),
    (Script("NREUM"), "new-relic"),
    (Script("Sentry.init"), "sentry"),
];

/// The traces of one page.
#[derive(Debug, Default)]
pub(super) struct Markers {
    found: BTreeSet<String>,
    pub(super) capped: bool,
}

impl Markers {
    pub(super) fn element(&mut self, element: &Element) {
        for (place, name) in MARKERS {
            if let Named(wanted) = place
                && matches(element.html(), wanted)
            {
                self.keep((*name).to_owned());
            }
        }
        for attribute in &element.attributes {
            match &*attribute.name.local {
                "class" => self.class(&attribute.value),
                "id" => self.id(&attribute.value),
                name => self.attribute(name, &attribute.value),
            }
        }
    }

    fn attribute(&mut self, attribute: &str, value: &str) {
        // Most attributes have one of a dozen names that are no trace.
        if matches!(attribute, "href" | "src" | "alt" | "style" | "title" | "name" | "type" | "value" | "rel")
        {
            return;
        }
        for (place, name) in MARKERS {
            match place {
                Attribute(wanted) if matches(attribute, wanted) => self.keep((*name).to_owned()),
                Valued(wanted) if attribute == *wanted => self.keep(valued(name, value)),
                _ => {}
            }
        }
    }

    fn class(&mut self, value: &str) {
        for word in crate::report::prefix(value, MAX_CLASS_BYTES).split_ascii_whitespace() {
            for (place, name) in MARKERS {
                if let Class(wanted) = place
                    && matches(word, wanted)
                {
                    self.keep((*name).to_owned());
                }
            }
        }
    }

    fn id(&mut self, value: &str) {
        for (place, name) in MARKERS {
            if let Id(wanted) = place
                && matches(value, wanted)
            {
                self.keep((*name).to_owned());
            }
        }
    }

    /// An inline script's text.
    pub(super) fn script(&mut self, text: &str) {
        for (place, name) in MARKERS {
            match place {
                Script(mark) if text.contains(mark.trim_end_matches('*')) => self.keep((*name).to_owned()),
                Account(start) => self.accounts(text, start, name),
                _ => {}
            }
        }
    }

    /// Accounts are a quoted word of capitals and digits behind their beginning.
    fn accounts(&mut self, text: &str, start: &str, name: &str) {
        let quoted = |c: char| matches!(c, '"' | '\'' | '=');
        for (at, _) in text.match_indices(start) {
            let rest = &text[at + start.len()..];
            let length = rest
                .bytes()
                .take(20)
                .take_while(|b| b.is_ascii_digit() || b.is_ascii_uppercase() || *b == b'-')
                .count();
            let ends = rest[length..].starts_with(['"', '\'', '&']);
            if text[..at].ends_with(quoted) && ends && rest[..length].bytes().any(|b| b.is_ascii_digit()) {
                self.keep(valued(name, &text[at..at + start.len() + length]));
            }
        }
    }

    fn keep(&mut self, marker: String) {
        if self.found.len() < MAX_MARKERS {
            self.found.insert(marker);
        } else {
            self.capped |= !self.found.contains(&marker);
        }
    }

    /// In order of their names; a name without a value is left out where the same has one.
    pub(super) fn done(self) -> Vec<String> {
        let valued: BTreeSet<String> =
            self.found.iter().filter_map(|marker| Some(marker.split_once('=')?.0.to_owned())).collect();
        self.found.into_iter().filter(|marker| !valued.contains(marker)).collect()
    }
}

fn valued(name: &str, value: &str) -> String {
    let value = super::text::collapse([value], MAX_VALUE_BYTES);
    if value.is_empty() { name.to_owned() } else { format!("{name}={value}") }
}

/// Whether a name is the wanted one, or begins with it when that ends in `*`.
fn matches(name: &str, wanted: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_with_a_value_stands_once() {
        let mut markers = Markers::default();
        markers.attribute("_nghost-abc", "");
        markers.attribute("ng-version", "17.1.0");
        markers.attribute("data-v-7ba5bd90", "");
        markers.attribute("href", "ng-app");
        markers.class("x svelte-1abc card");
        markers.id("__next");
        assert_eq!(markers.done(), ["__next", "ng-version=17.1.0", "svelte", "vue"]);
    }

    #[test]
    fn scripts_name_globals_and_accounts() {
        let mut markers = Markers::default();
        markers.script(
            "gtag('config', 'G-ABC123XYZ1'); ga('create','UA-123-4'); x='SUG-1'; 'G-no'; window.__NUXT__={}",
        );
        assert_eq!(markers.done(), ["__NUXT__", "ga=G-ABC123XYZ1", "ga=UA-123-4", "gtag"]);
    }

    #[test]
    fn the_list_has_no_two_places_alike_and_many_accounts_are_capped() {
        let mut markers = Markers::default();
        (0..1000).for_each(|n| markers.script(&format!("'G-A{n:06}'")));
        assert!(markers.capped && markers.found.len() == MAX_MARKERS);
        assert!(MARKERS.len() >= 40);
    }
}
