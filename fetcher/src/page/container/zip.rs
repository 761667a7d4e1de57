//! Zip archives: the names of their entries tell what they are. Nothing is unpacked.

/// Entries looked at, in each of the two lists of names. The entry that tells stands among the first in all the formats
/// below; archives of macros and of classes have some hundreds.
const MAX_ENTRIES: usize = 2000;

/// The end of the directory has 22 bytes and a comment of at most 65,535 (APPNOTE 4.3.16).
const END_SEARCH_BYTES: usize = 22 + 65_535;

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";

/// The type of a zip archive.
pub(super) fn kind(bytes: &[u8]) -> &'static str {
    let mut names = local_names(bytes);
    names.extend(central_names(bytes));
    let has = |name: &[u8]| names.iter().any(|found| found.eq_ignore_ascii_case(name));
    let below = |folder: &[u8]| names.iter().any(|found| found.starts_with(folder));
    if let Some(kind) = stored_type(bytes) {
        return kind;
    }
    if has(b"AndroidManifest.xml") || has(b"META-INF/com/android/build/gradle/app-metadata.properties") {
        return "application/vnd.android.package-archive";
    }
    if has(b"AppxManifest.xml") || has(b"AppxMetadata/AppxBundleManifest.xml") {
        return "application/vnd.ms-appx";
    }
    if has(b"xl/workbook.bin") {
        return "application/vnd.ms-excel.sheet.binary.macroEnabled.12";
    }
    for (folder, macros, kind, with_macros) in [
        (
            &b"word/"[..],
            &b"word/vbaProject.bin"[..],
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "application/vnd.ms-word.document.macroEnabled.12",
        ),
        (
            b"xl/",
            b"xl/vbaProject.bin",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "application/vnd.ms-excel.sheet.macroEnabled.12",
        ),
        (
            b"ppt/",
            b"ppt/vbaProject.bin",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            "application/vnd.ms-powerpoint.presentation.macroEnabled.12",
        ),
    ] {
        if below(folder) && (has(b"[Content_Types].xml") || has(b"_rels/.rels")) {
            return if has(macros) { with_macros } else { kind };
        }
    }
    if has(b"META-INF/MANIFEST.MF") { "application/java-archive" } else { "application/zip" }
}

/// OpenDocument and EPUB store their type as the first entry, not compressed (OpenDocument 1.3 part 2, 3.3).
fn stored_type(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.get(30..)?.strip_prefix(b"mimetype")?;
    const TYPES: [&str; 6] = [
        "application/vnd.oasis.opendocument.text",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.presentation",
        "application/vnd.oasis.opendocument.graphics",
        "application/vnd.oasis.opendocument.formula",
        "application/epub+zip",
    ];
    TYPES.into_iter().find(|kind| text.starts_with(kind.as_bytes()))
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let part = bytes.get(at..at.checked_add(length)?)?;
    Some(part.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

/// Names of the entries as they follow each other. A file cut short has only these.
fn local_names(bytes: &[u8]) -> Vec<&[u8]> {
    let mut names = Vec::new();
    let mut rest = bytes;
    while names.len() < MAX_ENTRIES && rest.starts_with(LOCAL) {
        let Some((name, next)) = local(rest) else { break };
        names.push(name);
        rest = next;
    }
    names
}

/// The name of an entry, and what comes after its data (APPNOTE 4.3.7).
fn local(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let flags = number(entry, 6, 2)?;
    let method = number(entry, 8, 2)?;
    let packed = number(entry, 18, 4)?;
    let name_length = number(entry, 26, 2)?;
    let name = entry.get(30..30 + name_length)?;
    let data = entry.get(30 + name_length + number(entry, 28, 2)?..).unwrap_or_default();
    let next = if flags & 8 == 0 {
        data.get(packed..)
    } else if method == 0 {
        // Stored, and its length comes after it: an archive inside could not be told from what follows.
        None
    } else {
        data.windows(LOCAL.len()).position(|four| four == LOCAL).and_then(|at| data.get(at..))
    };
    Some((name, next.unwrap_or_default()))
}

/// Names in the directory at the end, which is the list that programs go by.
fn central_names(bytes: &[u8]) -> Vec<&[u8]> {
    let mut names = Vec::new();
    let back = bytes.get(bytes.len().saturating_sub(END_SEARCH_BYTES)..).unwrap_or(bytes);
    let end = back.windows(END.len()).rposition(|four| four == END).and_then(|at| back.get(at..));
    let start = end.and_then(|end| number(end, 16, 4)).and_then(|at| bytes.get(at..));
    let mut rest = start.unwrap_or_default();
    while names.len() < MAX_ENTRIES && rest.starts_with(CENTRAL) {
        let length = |at| number(rest, at, 2);
        let (Some(name), Some(extra), Some(comment)) = (length(28), length(30), length(32)) else { break };
        let Some(text) = rest.get(46..46 + name) else { break };
        names.push(text);
        rest = rest.get(46 + name + extra + comment..).unwrap_or_default();
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of empty entries with these names, without a directory.
    fn archive(names: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for name in names {
            let mut header = [0; 30];
            header[..4].copy_from_slice(LOCAL);
            header[26] = u8::try_from(name.len()).expect("a short name");
            bytes.extend_from_slice(&header);
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes
    }

    #[test]
    fn what_an_archive_holds_tells_its_type() {
        for (names, expected) in [
            (&["a.txt"][..], "application/zip"),
            (&["META-INF/", "META-INF/MANIFEST.MF"], "application/java-archive"),
            (&["META-INF/MANIFEST.MF", "AndroidManifest.xml"], "application/vnd.android.package-archive"),
            (
                &["[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"],
                "application/vnd.ms-word.document.macroEnabled.12",
            ),
            (
                &["[Content_Types].xml", "xl/workbook.xml"],
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            ),
            (&["word/notes.txt"], "application/zip"),
            (&["mimetypeapplication/epub+zip"], "application/epub+zip"),
        ] {
            assert_eq!(kind(&archive(names)), expected, "{names:?}");
        }
    }

    #[test]
    fn an_entry_that_stands_only_in_the_directory_counts() {
        let mut bytes = archive(&["a"]);
        let start = u8::try_from(bytes.len()).expect("short");
        let name = b"META-INF/MANIFEST.MF";
        let mut header = [0; 46];
        header[..4].copy_from_slice(CENTRAL);
        header[28] = 20;
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(name);
        let mut end = [0; 22];
        end[..4].copy_from_slice(END);
        end[16] = start;
        bytes.extend_from_slice(&end);
        assert_eq!(kind(&bytes), "application/java-archive");
    }

    #[test]
    fn an_archive_inside_an_archive_tells_nothing() {
        let mut inner = archive(&["META-INF/MANIFEST.MF"]);
        let mut bytes = archive(&["a.jar"]);
        bytes[6] = 8;
        bytes.append(&mut inner);
        assert_eq!(kind(&bytes), "application/zip");
    }
}
