//! Example numbers of every region, as libphonenumber gives them: read in their national form at home, and in
//! international form, each must give the number in E.164 and its region.
//!
//! One case per example; both forms must be right. Numbers of no country (region 001) have no national form that could
//! be told from a number at home; their international form alone is read, and has no region. Where several regions share
//! a calling code (North America, Finland and Åland, …), freephone and personal numbers are given out in all of them, and
//! the international form cannot say which is meant: there any region of the code is right in which the number is one
//! as well. The national form must give the very region where it was read.

#![expect(clippy::expect_used, reason = "a test that cannot go on stops")]

#[path = "tally.rs"]
#[expect(unreachable_pub, reason = "each of the tests over collections uses it")]
mod tally;

use std::collections::{BTreeMap, BTreeSet};

use safeurl::analysis::Phones;
use safeurl_protocol::PhoneText;
use tally::Tally;

const FILE: &str = "contact/libphonenumber_examples.json";

fn text(example: &serde_json::Value, key: &str) -> String {
    example[key].as_str().expect("every field is a text").to_owned()
}

#[test]
fn example_numbers_of_every_region_are_read() {
    let file = tally::text(FILE);
    let examples: Vec<serde_json::Value> = serde_json::from_str(&file).expect("a list of examples");
    let mut sharing = BTreeMap::<String, BTreeSet<String>>::new();
    for example in &examples {
        sharing.entry(text(example, "country_code")).or_default().insert(text(example, "region"));
    }
    let phones = Phones::new().expect("the tables read");
    let read = |text: String, regions: &[&str]| {
        phones.read(&PhoneText { text, marked: false }, regions).map(|phone| (phone.e164, phone.region))
    };
    let mut row = Tally::new("phones", file.matches("\"e164\"").count());
    for example in &examples {
        let [region, national, e164, kind, code] =
            ["region", "national", "e164", "type", "country_code"].map(|key| text(example, key));
        let mut wrong = Vec::new();
        if region != "001" {
            let at_home = read(national.clone(), &[region.as_str()]);
            if at_home != Some((e164.clone(), Some(region.clone()))) {
                wrong.push(format!("{national} in {region} is {at_home:?}"));
            }
        }
        let abroad = read(e164.clone(), &[]);
        let right = abroad.as_ref().is_some_and(|(number, found)| {
            let found = found.as_deref().unwrap_or("001");
            let same_there = || read(national.clone(), &[found]) == abroad;
            *number == e164 && (found == region || (sharing[&code].contains(found) && same_there()))
        });
        if !right {
            wrong.push(format!("{e164} is {abroad:?}, expected {region}"));
        }
        let result = if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) };
        row.case(format!("{region} {kind} {e164}"), result);
    }
    row.finish();
}
