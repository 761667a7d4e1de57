//! JSON-LD as search engines read it: which types it names, and ways to reach people.
//!
//! Read as a flat row of strings and marks instead of a tree: `"@type"` means the same at any depth, nesting costs
//! nothing, and what is broken in the middle is still read before and after.

/// More than any page describes itself with; the rest is not looked at.
const MAX_BYTES: usize = 1024 * 1024;
/// Of one value.
const MAX_VALUE_BYTES: usize = 256;

/// A key that is taken, with one of its values.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Type(String),
    Telephone(String),
    Email(String),
}

/// Gives what a block says.
pub(super) fn read(json: &str, said: &mut impl FnMut(Said)) {
    let json = crate::report::prefix(json, MAX_BYTES);
    let mut rest = json;
    // The key whose value is awaited, and whether its value is a list.
    let mut key: Option<fn(String) -> Said> = None;
    let mut list = false;
    let mut previous: Option<String> = None;
    while let Some(mark) = rest.find(['"', ':', '[', ']', ',', '{', '}']) {
        let byte = rest.as_bytes()[mark];
        rest = &rest[mark + 1..];
        match byte {
            b'"' => {
                let (value, after) = string(rest);
                rest = after;
                if let Some(make) = key.take() {
                    said(make(value));
                    key = list.then_some(make);
                } else {
                    previous = Some(value);
                }
            }
            b':' => {
                key = previous.take().and_then(|key| kind(&key));
                list = false;
            }
            b'[' if key.is_some() => list = true,
            b',' if list => {}
            _ => (key, list) = (None, false),
        }
    }
}

fn kind(key: &str) -> Option<fn(String) -> Said> {
    // With or without the vocabulary's prefix.
    match key.rsplit(['/', ':']).next()? {
        "@type" => Some(Said::Type),
        "telephone" | "faxNumber" => Some(Said::Telephone),
        "email" => Some(Said::Email),
        _ => None,
    }
}

/// A string without its quotes, cut, and what comes after it.
fn string(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        let c = match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next() {
                Some((_, 'u')) => {
                    let code = text.get(at + 2..at + 6).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                    if code.is_some() {
                        characters.nth(3);
                    }
                    code.and_then(char::from_u32).unwrap_or('\u{fffd}')
                }
                Some((_, 'n' | 'r' | 't' | 'b' | 'f')) => ' ',
                Some((_, c)) => c,
                None => break,
            },
            c => c,
        };
        if value.len() + c.len_utf8() <= MAX_VALUE_BYTES {
            value.push(c);
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(json: &str) -> Vec<String> {
        let mut list = Vec::new();
        read(json, &mut |said| {
            if let Said::Type(name) = said {
                list.push(name);
            }
        });
        list
    }

    #[test]
    fn types_are_named_at_any_depth_and_in_lists() {
        let json = r#"{"@context":"https://schema.org","@graph":[{"@type":["Person","Author"],"name":"x"},
            {"@type":"Product","offers":{"@type":"Offer"}}],"name":"@type"}"#;
        assert_eq!(types(json), ["Person", "Author", "Product", "Offer"]);
        assert_eq!(types(&format!("{}\"@type\":\"Deep\"", "[{\"a\":".repeat(100_000))), ["Deep"]);
    }

    #[test]
    fn broken_json_gives_what_can_be_read() {
        assert_eq!(
            types("<!-- {\"@type\": \"A\",,} // x\n{\"@type\" : \"B\nC\", \"x\": \"\\"),
            ["A", "B\nC"]
        );
        assert_eq!(types(r#"{"@type":"A\u0062\u00e9\ud800\"c"}"#), ["Abé\u{fffd}\"c"]);
        assert_eq!(types("{\"@type\""), [""; 0]);
        assert_eq!(types(r#"{"@type":{"a":"b"},"x":["@type","y"]}"#), [""; 0]);
    }

    #[test]
    fn ways_to_reach_people_are_given() {
        let mut list = Vec::new();
        read(r#"{"telephone":["+1 2","3"],"schema:email":"mailto:a@b.org"}"#, &mut |said| list.push(said));
        let phone = |text: &str| Said::Telephone(text.to_owned());
        assert_eq!(list, [phone("+1 2"), phone("3"), Said::Email("mailto:a@b.org".to_owned())]);
    }
}
