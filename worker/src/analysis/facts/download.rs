//! Files that are not pages: what they are, what they say they are, where they come from.

use safeurl_protocol::Content;
use url::Url;

use super::{Fact, Facts};
use crate::analysis::case::Case;
use crate::analysis::lists::Lists;
use crate::domain::target::address_of;

/// What a file is by its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Runs when opened.
    Program,
    /// Runs inside another program when opened.
    Script,
    /// Holds other files.
    Archive,
    /// Anything else that is not shown as a page.
    Other,
}

pub(super) fn add(case: &Case<'_>, facts: &mut Facts) {
    let (Some(content), Some(page)) = (case.content(), &case.page) else { return };
    if content.size == 0 || case.features().is_some() {
        return;
    }
    let lists = case.rules.lists();
    let sniffed = content.sniffed_mime_type.as_deref().unwrap_or_default();
    let name = file_name(content, page);
    let endings: Vec<_> = name.split('.').skip(1).collect();
    let ending = endings.last().copied().unwrap_or_default();
    let kind = kind_of(sniffed);
    let is = |list: &[String]| list.iter().any(|known| known == ending);
    // A `.js` that is not offered for saving is a part of some page.
    let script =
        kind == Kind::Script || (is(&lists.script_endings) && (content.attachment || ending != "js"));
    let seen = format!("{name} is {}", if sniffed.is_empty() { "of unknown type" } else { sniffed });

    if kind == Kind::Program {
        facts.see(Fact::DownloadProgram, &seen);
        if page.scheme() == "http" {
            facts.see(Fact::DownloadPlain, page);
        }
    } else if script {
        facts.see(Fact::DownloadScript, &seen);
    } else if kind == Kind::Archive || is(&lists.archive_endings) {
        facts.see(Fact::DownloadArchive, &seen);
    }
    if (kind == Kind::Program || script) && address_of(page).is_some() {
        facts.see(Fact::DownloadFromAddress, page);
    }
    disguise(content, lists, kind, &endings, &seen, facts);
    if !is_readable(sniffed, content) {
        facts.see(Fact::FileNotOpened, &seen);
    }
}

/// The name or the declared type says document where the bytes say program.
fn disguise(content: &Content, lists: &Lists, kind: Kind, endings: &[&str], seen: &str, facts: &mut Facts) {
    let document = |ending: &&str| lists.document_endings.iter().any(|known| known == ending);
    let runs = |ending: &&str| {
        lists.program_endings.iter().chain(&lists.script_endings).any(|known| known == ending)
    };
    let declared = content.declared_mime_type.as_deref().unwrap_or_default().to_lowercase();
    let declared_document = [
        "application/pdf",
        "image/",
        "audio/",
        "video/",
        "application/msword",
        "application/vnd.openxmlformats",
    ]
    .iter()
    .any(|known| declared.starts_with(known));
    if kind == Kind::Program && (endings.last().is_some_and(document) || declared_document) {
        facts.see(Fact::DownloadDisguised, seen);
    }
    if let [.., before, last] = endings
        && document(before)
        && runs(last)
    {
        facts.see(Fact::DownloadDoubleEnding, seen);
    }
}

/// The name in lower case: what the server says, else the end of the address.
fn file_name(content: &Content, page: &Url) -> String {
    let last = page.path().rsplit('/').next().unwrap_or_default();
    content.file_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(last).to_lowercase()
}

fn kind_of(sniffed: &str) -> Kind {
    let any = |parts: &[&str]| parts.iter().any(|part| sniffed.contains(part));
    if any(&[
        "msdownload",
        "dosexec",
        "portable-executable",
        "x-elf",
        "x-executable",
        "x-sharedlib",
        "mach-binary",
        "mach-o",
        "x-msi",
        "android.package-archive",
        "x-ms-shortcut",
    ]) {
        Kind::Program
    } else if any(&["shellscript", "ms-htmlhelp", "java-archive", "onenote"]) {
        Kind::Script
    } else if any(&[
        "zip",
        "x-rar",
        "vnd.rar",
        "7z",
        "x-tar",
        "x-bzip",
        "x-xz",
        "zstd",
        "cab",
        "iso9660",
        "x-apple-diskimage",
    ]) && !any(&["openxmlformats", "opendocument"])
    {
        Kind::Archive
    } else {
        Kind::Other
    }
}

/// Text, pictures, sound: there is nothing inside that would have to be opened to be judged.
fn is_readable(sniffed: &str, content: &Content) -> bool {
    let declared = content.declared_mime_type.as_deref().unwrap_or_default();
    let kind = if sniffed.is_empty() { declared } else { sniffed };
    ["text/", "image/", "audio/", "video/", "font/"].iter().any(|known| kind.starts_with(known))
        || kind.contains("json")
        || kind.contains("xml")
}
