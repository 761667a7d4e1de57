//! Whether the ending of a file's name fits what the bytes are.

use super::sniff::{UNKNOWN, is_textual};

/// A kind of file: its types, and the endings it goes by. Endings are those of the IANA registry and the shared MIME
/// database, with those that Windows gives the same program.
struct Family {
    kinds: &'static [&'static str],
    endings: &'static [&'static str],
}

const fn family(kinds: &'static [&'static str], endings: &'static [&'static str]) -> Family {
    Family { kinds, endings }
}

const FAMILIES: &[Family] = &[
    family(
        &["application/x-msdownload"],
        &[
            "exe", "dll", "scr", "com", "cpl", "sys", "ocx", "drv", "efi", "mui", "xll", "pif", "ax",
            "msstyles",
        ],
    ),
    family(&["application/x-elf"], &["elf", "so", "o", "ko", "bin", "run", "appimage", "out", "axf"]),
    family(&["application/x-mach-binary"], &["dylib", "macho", "o", "bundle"]),
    family(&["application/pdf"], &["pdf", "ai"]),
    family(&["application/postscript"], &["ps", "eps", "ai"]),
    family(&["application/rtf"], &["rtf", "doc"]),
    family(&["application/onenote"], &["one", "onetoc2"]),
    family(&["application/vnd.ms-htmlhelp"], &["chm"]),
    family(&["application/x-ms-shortcut"], &["lnk"]),
    family(&["application/x-mswinurl"], &["url"]),
    family(&["application/x-msaccess"], &["mdb", "accdb", "accde", "mde"]),
    family(&["application/msword", OLE], &["doc", "dot"]),
    family(&["application/vnd.ms-excel", OLE], &["xls", "xlt", "xla", "xlm"]),
    family(&["application/vnd.ms-powerpoint", OLE], &["ppt", "pps", "pot"]),
    family(&["application/vnd.ms-outlook", OLE], &["msg", "oft"]),
    family(&["application/vnd.ms-publisher", OLE], &["pub"]),
    family(&["application/vnd.visio", OLE], &["vsd", "vst"]),
    family(&["application/x-msi", OLE], &["msi", "msp", "mst", "msm"]),
    family(
        &["application/vnd.openxmlformats-officedocument.wordprocessingml.document", ZIP],
        &["docx", "dotx"],
    ),
    family(&["application/vnd.ms-word.document.macroEnabled.12", ZIP], &["docm", "dotm"]),
    family(&["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ZIP], &["xlsx", "xltx"]),
    family(&["application/vnd.ms-excel.sheet.macroEnabled.12", ZIP], &["xlsm", "xltm", "xlam"]),
    family(&["application/vnd.ms-excel.sheet.binary.macroEnabled.12", ZIP], &["xlsb"]),
    family(
        &["application/vnd.openxmlformats-officedocument.presentationml.presentation", ZIP],
        &["pptx", "potx", "ppsx"],
    ),
    family(
        &["application/vnd.ms-powerpoint.presentation.macroEnabled.12", ZIP],
        &["pptm", "potm", "ppsm", "ppam"],
    ),
    family(&["application/vnd.oasis.opendocument.text", ZIP], &["odt", "ott"]),
    family(&["application/vnd.oasis.opendocument.spreadsheet", ZIP], &["ods", "ots"]),
    family(&["application/vnd.oasis.opendocument.presentation", ZIP], &["odp", "otp"]),
    family(&["application/vnd.oasis.opendocument.graphics", ZIP], &["odg"]),
    family(&["application/epub+zip", ZIP], &["epub"]),
    family(&["application/java-archive", ZIP], &["jar", "war", "ear", "xpi"]),
    family(
        &["application/vnd.android.package-archive", "application/java-archive", ZIP],
        &["apk", "aab", "xapk"],
    ),
    family(&["application/vnd.ms-appx", ZIP], &["appx", "msix", "appxbundle", "msixbundle"]),
    family(&["application/x-chrome-extension"], &["crx"]),
    family(&["application/java-vm"], &["class"]),
    family(&[ZIP], &["zip"]),
    family(&["application/gzip"], &["gz", "tgz", "gzip", "svgz", "emz", "taz", "crate", "apk"]),
    family(&["application/x-bzip2"], &["bz2", "tbz", "tbz2"]),
    family(&["application/x-xz"], &["xz", "txz"]),
    family(&["application/zstd"], &["zst", "tzst"]),
    family(&["application/vnd.rar"], &["rar", "cbr", "r00"]),
    family(&["application/x-7z-compressed"], &["7z", "cb7"]),
    family(&["application/vnd.ms-cab-compressed"], &["cab", "msu", "wsp"]),
    family(&["application/x-tar"], &["tar", "ova", "gem"]),
    family(&["application/x-iso9660-image"], &["iso", "img", "udf"]),
    family(&["application/x-vhd"], &["vhd"]),
    family(&["application/x-vhdx"], &["vhdx", "avhdx"]),
    family(&["application/x-apple-diskimage"], &["dmg"]),
    family(&["application/x-xar"], &["pkg", "xar", "safariextz"]),
    family(&["application/vnd.debian.binary-package"], &["deb", "udeb", "ipk"]),
    family(&["application/x-rpm"], &["rpm"]),
    family(&["image/png"], &["png", "apng"]),
    family(&["image/jpeg"], &["jpg", "jpeg", "jpe", "jfif", "pjpeg"]),
    family(&["image/gif"], &["gif"]),
    family(&["image/webp"], &["webp"]),
    family(&["image/bmp"], &["bmp", "dib"]),
    family(&["image/tiff"], &["tif", "tiff"]),
    family(&["image/x-icon", "image/png"], &["ico", "cur"]),
    family(&["image/avif"], &["avif"]),
    family(&["image/heic"], &["heic", "heif"]),
    family(&["video/mp4", "audio/mp4", "video/quicktime"], &["mp4", "m4v", "m4a", "mov", "qt", "m4b", "3gp"]),
    family(&["video/webm", "video/x-matroska"], &["webm", "mkv", "mka", "weba"]),
    family(&["video/avi"], &["avi"]),
    family(&["audio/mpeg"], &["mp3"]),
    family(&["audio/wave"], &["wav"]),
    family(&["audio/flac"], &["flac"]),
    family(&["application/ogg"], &["ogg", "oga", "ogv", "opus", "ogx"]),
    family(&["font/ttf", "font/otf"], &["ttf", "otf"]),
    family(&["font/woff"], &["woff"]),
    family(&["font/woff2"], &["woff2"]),
    family(&["application/wasm"], &["wasm"]),
    family(&["application/vnd.adobe.flash.movie"], &["swf"]),
    // Text: what a script host or a browser opens, and what an editor does.
    family(
        &["text/html", "application/xhtml+xml", "text/plain"],
        &["html", "htm", "xhtml", "xht", "shtml", "php", "asp", "aspx", "jsp"],
    ),
    family(&["application/hta", "text/html"], &["hta"]),
    family(&["image/svg+xml"], &["svg"]),
    family(
        &["text/xml", "application/rss+xml", "application/atom+xml", "text/plain"],
        &["xml", "rss", "atom", "xsl", "rdf"],
    ),
    family(&["application/json", "text/plain"], &["json", "map", "webmanifest"]),
    family(&["application/x-powershell", "text/plain"], &["ps1", "psm1", "psd1"]),
    family(&["text/vbscript", "text/plain"], &["vbs", "vbe"]),
    family(&["application/x-bat", "text/plain"], &["bat", "cmd"]),
    family(&["text/x-shellscript", "text/plain"], &["sh", "bash", "py", "pl", "rb", "command"]),
    family(&["text/javascript", "text/plain", "application/json"], &["js", "mjs", "jse"]),
    family(&["text/x-ms-regedit"], &["reg"]),
    family(&["application/x-desktop"], &["desktop"]),
    family(
        &["text/plain", "application/json", "text/xml"],
        &["txt", "csv", "log", "md", "ini", "conf", "css", "tsv", "yaml", "yml"],
    ),
];

const OLE: &str = "application/x-ole-storage";
const ZIP: &str = "application/zip";

/// Whether the ending of `name` fits a type found in the bytes; `None` when either says nothing.
pub(super) fn matches(name: &str, sniffed: Option<&str>) -> Option<bool> {
    let kind = sniffed.filter(|kind| *kind != UNKNOWN)?;
    let ending = ending(name)?;
    let mut families = FAMILIES.iter().filter(|family| family.endings.contains(&ending.as_str())).peekable();
    families.peek()?;
    let known =
        is_textual(kind) || is_zip(kind) || FAMILIES.iter().any(|family| family.kinds.contains(&kind));
    // Whatever is in it, an archive may be called one.
    let archive = ending == "zip" && is_zip(kind);
    known.then(|| archive || families.any(|family| family.kinds.contains(&kind)))
}

fn is_zip(kind: &str) -> bool {
    kind == ZIP || FAMILIES.iter().any(|family| family.kinds.contains(&ZIP) && family.kinds.contains(&kind))
}

/// The ending in lower case, as Windows takes it: spaces and dots at the end do not count, and neither do characters that
/// only turn the direction of what is shown.
fn ending(name: &str) -> Option<String> {
    let shown: String = name.chars().filter(|c| !is_invisible(*c)).collect();
    let (_, ending) = shown.trim_end_matches([' ', '.', '\u{a0}', '\u{3000}']).rsplit_once('.')?;
    let ending = ending.trim().to_lowercase();
    (!ending.is_empty() && ending.chars().all(|c| c.is_ascii_alphanumeric())).then_some(ending)
}

/// Marks of direction and characters without width.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_what_the_bytes_are_or_does_not_or_says_nothing() {
        for (name, kind, expected) in [
            ("setup.exe", Some("application/x-msdownload"), Some(true)),
            ("invoice.pdf", Some("application/x-msdownload"), Some(false)),
            ("invoice.pdf.exe", Some("application/x-msdownload"), Some(true)),
            ("invoice\u{202e}fdp.exe", Some("application/x-msdownload"), Some(true)),
            ("invoice.PDF . ", Some("application/pdf"), Some(true)),
            ("invoice.pdf", Some("text/html"), Some(false)),
            ("photo.jpeg", Some("image/jpeg"), Some(true)),
            ("photo.png", Some("image/jpeg"), Some(false)),
            ("letter.doc", Some("application/rtf"), Some(true)),
            ("letter.doc", Some("application/x-ole-storage"), Some(true)),
            ("letter.docx", Some("application/zip"), Some(true)),
            ("letter.docx", Some("application/vnd.ms-word.document.macroEnabled.12"), Some(false)),
            ("things.zip", Some("application/java-archive"), Some(true)),
            ("things.zip", Some("application/vnd.rar"), Some(false)),
            ("notes.txt", Some("text/plain"), Some(true)),
            ("notes.txt", Some("application/x-powershell"), Some(false)),
            ("app.js", Some("text/plain"), Some(true)),
            ("cover.zip", Some("application/epub+zip"), Some(true)),
            ("data.bin2", Some("application/pdf"), None),
            ("invoice", Some("application/pdf"), None),
            ("invoice.pdf", Some(UNKNOWN), None),
            ("invoice.pdf", None, None),
            ("", Some("application/pdf"), None),
            (".", Some("application/pdf"), None),
        ] {
            assert_eq!(matches(name, kind), expected, "{name} {kind:?}");
        }
    }

    #[test]
    fn every_type_that_is_found_has_an_ending_or_says_nothing() {
        let endings: Vec<_> = FAMILIES.iter().flat_map(|family| family.endings).collect();
        assert!(
            endings.iter().all(|ending| ending.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
        );
    }
}
