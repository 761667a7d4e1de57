//! MIME types and data URLs against the web platform's tests, and types of real files by their bytes.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops")]

#[path = "tally.rs"]
pub mod tally;

use data_url::DataUrl;
use safeurl_fetcher::{mime_type, type_of};
use serde_json::Value;
use tally::{Tally, bytes, corpora, text};

/// The entries of a file that are no comments.
fn cases(file: &str) -> Vec<Value> {
    let value: Value = serde_json::from_str(&text(file)).unwrap();
    let Value::Array(entries) = value else { panic!("{file} is no list") };
    entries.into_iter().filter(|entry| !entry.is_string()).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(ours: &T, expected: &T) -> Result<(), String> {
    if ours == expected { Ok(()) } else { Err(format!("{ours:?} instead of {expected:?}")) }
}

fn mime_types(row: &'static str, file: &str) {
    let mut tally = Tally::new(row, text(file).matches("\"input\"").count());
    for (number, case) in cases(file).iter().enumerate() {
        let input = case["input"].as_str().unwrap();
        let ours = mime_type(input);
        let written = same(&ours.as_ref().map(|(text, _)| text.as_str()), &case["output"].as_str());
        let read = match case.get("encoding") {
            Some(encoding) => same(&ours.as_ref().and_then(|(_, encoding)| *encoding), &encoding.as_str()),
            None => Ok(()),
        };
        tally.case(format!("{number} {}", input.escape_default()), written.and(read));
    }
    tally.finish();
}

#[test]
fn types_are_read_and_written_as_the_standard_says() {
    mime_types("mime-types", "mime_wpt/mime-types.json");
}

#[test]
fn types_with_every_character_are_read_and_written_as_the_standard_says() {
    mime_types("mime-types-generated", "mime_wpt/generated-mime-types.json");
}

/// A list of numbers as bytes.
fn listed(value: &Value) -> Option<Vec<u8>> {
    let numbers = value.as_array()?;
    Some(numbers.iter().map(|number| u8::try_from(number.as_u64().unwrap()).unwrap()).collect())
}

/// Type and body of a data URL.
fn opened(url: &str) -> Option<(String, Vec<u8>)> {
    // The web platform's tests give texts, which a browser parses as URLs first.
    let url = url::Url::parse(url).ok()?;
    let data = DataUrl::process(url.as_str()).ok()?;
    let (body, _) = data.decode_to_vec().ok()?;
    Some((data.mime_type().to_string(), body))
}

#[test]
fn data_urls_hold_the_type_and_the_bytes_that_the_standard_says() {
    let file = "mime_wpt/data-urls.json";
    let mut tally = Tally::new("data-urls", text(file).matches("[\"data:").count());
    for (number, case) in cases(file).iter().enumerate() {
        let input = case[0].as_str().unwrap();
        let expected = case[1].as_str().map(|kind| (kind.to_owned(), listed(&case[2]).unwrap()));
        tally.case(format!("{number} {}", input.escape_default()), same(&opened(input), &expected));
    }
    tally.finish();
}

#[test]
fn base64_is_read_as_forgivingly_as_browsers_read_it() {
    let file = "mime_wpt/base64.json";
    let mut tally =
        Tally::new("base64", text(file).lines().filter(|line| line.trim().starts_with("[\"")).count());
    for (number, case) in cases(file).iter().enumerate() {
        let input = case[0].as_str().unwrap();
        let ours = data_url::forgiving_base64::decode_to_vec(input.as_bytes()).ok();
        tally.case(format!("{number} {}", input.escape_default()), same(&ours, &listed(&case[1])));
    }
    tally.finish();
}

/// The type that a sample's name stands for.
fn by_name(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap() {
        "apk" => "application/vnd.android.package-archive",
        "doc" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "jar" => "application/java-archive",
        "msg" => "application/vnd.ms-outlook",
        "msi" => "application/x-msi",
        "ppt" => "application/vnd.ms-powerpoint",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "pub" => "application/vnd.ms-publisher",
        "shp" => "application/vnd.shp",
        "tar" => "application/x-tar",
        "tzfile" => "application/tzif",
        "txt" => "text/plain",
        "xls" => "application/vnd.ms-excel",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "zip" => "application/zip",
        other => panic!("a sample of an unknown kind: {other}"),
    }
}

#[test]
fn files_are_known_by_their_first_bytes() {
    let folder = corpora().join("mime_wpt/samples");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut tally = Tally::new("mime-samples", names.len());
    for name in names {
        let ours = type_of(&bytes(&format!("mime_wpt/samples/{name}")));
        let result = same(&ours, &Some(by_name(&name)));
        tally.case(name, result);
    }
    tally.finish();
}
