//! Kinds of text: pages, feeds, pictures and data in markup, and the scripts that a desktop runs when they are opened.
//!
//! Scripts have no mark. They are named only where a first line that is code and words of the language come together;
//! what is in doubt is plain text.

/// Looked at for words; what a script is shows at its start.
const FRONT_BYTES: usize = 64 * 1024;

/// The tags the standard takes for a page's first (MIME Sniffing section 7.1), and a few more that pages without a frame
/// start with.
const TAGS: [&str; 27] = [
    "!doctype html",
    "html",
    "head",
    "script",
    "iframe",
    "h1",
    "div",
    "font",
    "table",
    "a",
    "style",
    "title",
    "b",
    "body",
    "br",
    "p",
    "!--",
    "meta",
    "form",
    "center",
    "link",
    "img",
    "span",
    "input",
    "noscript",
    "base",
    "hta:application",
];

/// First words of files that open something elsewhere, or change settings: [MS-SHLLINK] has no word of the first; the
/// names of the types are those of the shared MIME database.
const FIRST_WORDS: [(&str, &str); 6] = [
    ("[internetshortcut]", "application/x-mswinurl"),
    ("[desktop entry]", "application/x-desktop"),
    ("windows registry editor version", "text/x-ms-regedit"),
    ("regedit4", "text/x-ms-regedit"),
    ("@echo off", "application/x-bat"),
    ("@echo  off", "application/x-bat"),
];

/// A language: how its comments begin, how its first line does, and words of which two are there.
struct Language {
    kind: &'static str,
    comments: &'static [&'static str],
    starts: &'static [&'static str],
    words: &'static [&'static str],
}

const LANGUAGES: [Language; 3] = [
    Language {
        kind: "application/x-powershell",
        comments: &["#"],
        starts: &[
            "$",
            "param",
            "function ",
            "[",
            "iex",
            "invoke-",
            "set-",
            "start-",
            "add-type",
            "powershell",
            "&",
            "(",
            "try",
            "if",
            "new-",
        ],
        words: &[
            "invoke-expression",
            "invoke-webrequest",
            "invoke-restmethod",
            "new-object ",
            ".downloadstring(",
            ".downloadfile(",
            "[system.",
            "start-process",
            "-executionpolicy",
            "frombase64string(",
            "write-host",
            "set-itemproperty",
            "$erroractionpreference",
            "get-wmiobject",
            "add-type ",
            "-windowstyle hidden",
            "iex ",
        ],
    },
    Language {
        kind: "text/vbscript",
        comments: &["'", "rem "],
        starts: &[
            "dim ",
            "set ",
            "on error",
            "option explicit",
            "function ",
            "sub ",
            "private ",
            "public ",
            "const ",
            "execute",
            "createobject",
            "wscript.",
        ],
        words: &[
            "createobject(",
            "wscript.",
            "on error resume next",
            "end function",
            "end sub",
            "getobject(",
        ],
    },
    Language {
        kind: "text/javascript",
        comments: &["//", "/*"],
        starts: &["var ", "function", "try", "new ", "wscript.", "eval(", "(", "if", "this"],
        words: &["activexobject(", "wscript.", "scripting.filesystemobject", "shell.application"],
    },
];

/// The type of a text.
pub(super) fn kind(bytes: &[u8]) -> &'static str {
    let front = front(bytes);
    let start = front.trim_start_matches('\u{feff}').trim_ascii_start();
    if start.starts_with('<') {
        return markup(start).unwrap_or("text/plain");
    }
    if start.starts_with(['{', '[']) {
        let json = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if serde_json::from_slice::<serde::de::IgnoredAny>(json).is_ok() {
            return "application/json";
        }
    }
    script(start).unwrap_or("text/plain")
}

/// The front of a text in lower case. UTF-16 is read for its ASCII, which is all that is looked for.
fn front(bytes: &[u8]) -> String {
    let bytes = bytes.get(..FRONT_BYTES).unwrap_or(bytes);
    let wide = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let text = if wide {
        let narrow: Vec<u8> = bytes.iter().skip(2).copied().filter(|byte| *byte != 0).collect();
        String::from_utf8_lossy(&narrow).into_owned()
    } else {
        String::from_utf8_lossy(bytes).into_owned()
    };
    text.to_ascii_lowercase()
}

fn markup(start: &str) -> Option<&'static str> {
    let xml = start.starts_with("<?xml");
    let (root, rest) = root(start);
    match root {
        "svg" => return Some("image/svg+xml"),
        "rss" => return Some("application/rss+xml"),
        "feed" => return Some("application/atom+xml"),
        "rdf:rdf" if rest.contains("http://purl.org/rss/1.0/") => return Some("application/rss+xml"),
        "html" if xml => return Some("application/xhtml+xml"),
        _ => {}
    }
    if xml {
        return Some("text/xml");
    }
    let tag = start.strip_prefix('<')?;
    if !TAGS.iter().any(|name| is_tag(tag, name)) {
        return None;
    }
    // What a script host runs with the rights of a program when it is saved and opened.
    Some(if start.contains("<hta:application") { "application/hta" } else { "text/html" })
}

/// The name of the first element, past what may stand in front of it, and the text from there
/// (MIME Sniffing section 7.3).
fn root(start: &str) -> (&str, &str) {
    let mut rest = start;
    while let Some(tag) = rest.trim_ascii_start().strip_prefix('<') {
        let end = match tag.as_bytes().first() {
            Some(b'!') if tag.starts_with("!--") => "-->",
            Some(b'!') => ">",
            Some(b'?') => "?>",
            _ => {
                let end = tag.find(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/'));
                return (tag.get(..end.unwrap_or(tag.len())).unwrap_or_default(), tag);
            }
        };
        let Some((_, after)) = tag.split_once(end) else { break };
        rest = after;
    }
    ("", "")
}

fn is_tag(text: &str, name: &str) -> bool {
    let Some(rest) = text.strip_prefix(name) else { return false };
    name == "!--"
        || rest.is_empty()
        || rest.starts_with(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/'))
}

fn script(start: &str) -> Option<&'static str> {
    if let Some((_, kind)) = FIRST_WORDS.iter().find(|(word, _)| start.starts_with(word)) {
        return Some(kind);
    }
    let found = LANGUAGES.iter().find(|language| {
        let mut lines = start.lines().map(str::trim).filter(|line| !line.is_empty());
        let code = lines.find(|line| !language.comments.iter().any(|comment| line.starts_with(comment)));
        code.is_some_and(|line| language.starts.iter().any(|word| line.starts_with(word)))
            && language.words.iter().filter(|word| start.contains(*word)).count() > 1
    });
    found.map(|language| language.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_known_by_their_first_tag() {
        for page in [
            "<!DOCTYPE html>",
            "\n\t <HTML lang=en>",
            "\u{feff}<script>",
            "<a href=x>",
            "<!--x-->",
            "<p>x",
            "<form/>",
            "<!-- x --><html>",
        ] {
            assert_eq!(kind(page.as_bytes()), "text/html", "{page:?}");
        }
        for other in ["<abbr>", "<!doctype htmlx>", "<", "a < b", "<pre>", "<svgx>", "<!--"] {
            let expected = if other == "<!--" { "text/html" } else { "text/plain" };
            assert_eq!(kind(other.as_bytes()), expected, "{other:?}");
        }
        assert_eq!(kind(b"<html><head><HTA:APPLICATION id=x>"), "application/hta");
    }

    #[test]
    fn markup_is_known_by_its_first_element() {
        for (text, expected) in [
            ("<?xml version='1.0'?><svg>", "image/svg+xml"),
            ("<!-- made with love --><!DOCTYPE svg PUBLIC 'x'>\n<svg xmlns='x'>", "image/svg+xml"),
            ("<?xml version='1.0'?><rss version='2.0'>", "application/rss+xml"),
            ("<feed xmlns='http://www.w3.org/2005/Atom'>", "application/atom+xml"),
            ("<rdf:RDF xmlns='http://purl.org/rss/1.0/'>", "application/rss+xml"),
            ("<?xml version='1.0'?><!DOCTYPE html><html xmlns='x'>", "application/xhtml+xml"),
            ("<?xml version='1.0'?><data/>", "text/xml"),
            ("<?xml version='1.0'", "text/xml"),
            (" {\"a\": [1]}", "application/json"),
            ("{not json", "text/plain"),
        ] {
            assert_eq!(kind(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_script_is_named_only_where_its_first_line_is_code() {
        let wide: Vec<u8> = "\u{feff}Windows Registry Editor Version 5.00\r\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(kind(&wide), "text/x-ms-regedit");
        for (text, expected) in [
            ("[InternetShortcut]\r\nURL=file://x", "application/x-mswinurl"),
            ("@ECHO OFF\r\ndel x", "application/x-bat"),
            ("# load\n$c = New-Object Net.WebClient\nIEX $c.DownloadString('x')", "application/x-powershell"),
            ("' x\nDim s\nSet s = CreateObject(\"WScript.Shell\")", "text/vbscript"),
            ("var s = new ActiveXObject(\"WScript.Shell\");", "text/javascript"),
            ("# How to\nUse Invoke-WebRequest, then Start-Process to run it.", "text/plain"),
            ("Set CreateObject( aside; WScript. is old.", "text/vbscript"),
            ("var a = 1; // WScript.", "text/plain"),
            ("[section]\nkey=value", "text/plain"),
        ] {
            assert_eq!(kind(text.as_bytes()), expected, "{text:?}");
        }
    }
}
