//! Files that are not pages: what they are, what they say they are, where they come from.

use safeurl_protocol::Content;
use url::Url;

use super::{Fact, Facts};
use crate::analysis::case::Case;
use crate::analysis::lists::Lists;
use crate::domain::target::address_of;

/// As many spaces in a row push an ending out of a window; no name has them by accident.
const HIDING_SPACES: usize = 5;

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
    let sniffed = content.sniffed_mime_type.as_deref().unwrap_or_default();
    let kind = kind_of(sniffed);
    // A program with a page inside is a program too.
    let page_alone = case.features().is_some() && !matches!(kind, Kind::Program | Kind::Archive);
    if content.size == 0 || page_alone {
        return;
    }
    let lists = case.rules.lists();
    let raw = file_name(content, page);
    let name = as_taken(&raw);
    let endings: Vec<_> = name.split('.').skip(1).map(str::trim).collect();
    let ending = endings.last().copied().unwrap_or_default();
    let is = |list: &[String]| list.iter().any(|known| known == ending);
    // A `.js` that is not offered for saving is a part of some page.
    let script =
        kind == Kind::Script || (is(&lists.script_endings) && (content.attachment || ending != "js"));
    let seen = format!("{raw} is {}", if sniffed.is_empty() { "of unknown type" } else { sniffed });

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
    if sniffed.contains("iso9660") || sniffed.contains("x-vhd") {
        facts.see(Fact::DownloadDiscImage, &seen);
    }
    if sniffed.contains("macroEnabled") {
        facts.see(Fact::DownloadMacros, &seen);
    }
    if hides_its_ending(&raw) {
        facts.see(Fact::DownloadHiddenEnding, &seen);
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
    // A script may be shown as text, and a name that ends in txt says no more.
    let mismatch = content.name_matches_type == Some(false);
    let script = kind == Kind::Script && mismatch && !matches!(endings.last(), Some(&("txt" | "csv")));
    let runs_as = kind == Kind::Program || script;
    if runs_as && endings.last().is_some_and(document) || kind == Kind::Program && declared_document {
        facts.see(Fact::DownloadDisguised, seen);
    } else if mismatch && !is_readable(content.sniffed_mime_type.as_deref().unwrap_or_default(), content) {
        facts.see(Fact::DownloadNameMismatch, seen);
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

/// The name as Windows takes it: without marks that only change what is shown, and without spaces and dots at the end.
fn as_taken(name: &str) -> String {
    let shown: String = name.chars().filter(|c| !turns_direction(*c)).collect();
    shown.trim_end_matches([' ', '.', '\u{a0}', '\u{3000}']).to_owned()
}

/// Embeddings, overrides and isolates; plain marks are common in names of right-to-left scripts.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What a person sees is not how the name ends.
fn hides_its_ending(name: &str) -> bool {
    let mut run = 0;
    let spaces = name.trim().chars().any(|c| {
        run = if c.is_whitespace() { run + 1 } else { 0 };
        run >= HIDING_SPACES
    });
    spaces || name.chars().any(turns_direction)
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
        "debian.binary-package",
        "x-rpm",
        "x-xar",
        "ms-appx",
        "android.dex",
    ]) {
        Kind::Program
    } else if any(&[
        "shellscript",
        "ms-htmlhelp",
        "java-archive",
        "java-vm",
        "onenote",
        "application/hta",
        "x-powershell",
        "vbscript",
        "x-bat",
        "text/javascript",
        "x-mswinurl",
        "x-ms-regedit",
        "x-desktop",
        "chrome-extension",
    ]) {
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
        "x-vhd",
        "x-ms-wim",
        "x-ace",
        "x-lzh",
        "x-compress",
    ]) && !any(&["openxmlformats", "opendocument", "epub"])
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
