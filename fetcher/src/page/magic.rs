//! Formats by the bytes they begin with, as data.
//!
//! Types are those of the MIME Sniffing standard, else of the IANA registry, else of the shared MIME database that
//! desktops use. A crate for this was looked at (infer 0.22): it has a tenth of the formats that malware comes in (no
//! shortcut, disc image, help file, OneNote section or HTA), and takes any text that begins with `MZ` or `BM`.

/// Where a format has its mark, and the mark.
pub(super) struct Magic {
    at: usize,
    mark: &'static [u8],
    pub(super) kind: &'static str,
}

const fn front(mark: &'static [u8], kind: &'static str) -> Magic {
    Magic { at: 0, mark, kind }
}

const fn at(at: usize, mark: &'static [u8], kind: &'static str) -> Magic {
    Magic { at, mark, kind }
}

/// Where the first volume descriptor of a disc image is (ECMA-119, section 6.2.1).
const VOLUME_DESCRIPTOR: usize = 0x8001;

/// The first that fits counts.
pub(super) const MAGIC: &[Magic] = &[
    // Documents: MIME Sniffing section 7.1; RTF 1.9.1.
    front(b"%PDF-", "application/pdf"),
    front(b"%!PS-Adobe-", "application/postscript"),
    front(b"{\\rtf", "application/rtf"),
    // [MS-ONESTORE] 2.3.1; the help file and shortcut formats of [MS-SHLLINK] 2.1 and the HTML Help SDK.
    front(b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d", "application/onenote"),
    front(b"ITSF\x03\x00\x00\x00", "application/vnd.ms-htmlhelp"),
    front(b"\x4c\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut"),
    front(b"\x00\x01\x00\x00Standard Jet DB", "application/x-msaccess"),
    front(b"\x00\x01\x00\x00Standard ACE DB", "application/x-msaccess"),
    // Programs: PE format, System V ABI, Mach-O loader.h, Dalvik, WebAssembly 1.0.
    front(b"MZ", "application/x-msdownload"),
    front(b"\x7fELF", "application/x-elf"),
    front(b"\xfe\xed\xfa\xce", "application/x-mach-binary"),
    front(b"\xfe\xed\xfa\xcf", "application/x-mach-binary"),
    front(b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    front(b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    front(b"dex\n", "application/vnd.android.dex"),
    front(b"\x00asm", "application/wasm"),
    front(b"FWS", "application/vnd.adobe.flash.movie"),
    front(b"CWS", "application/vnd.adobe.flash.movie"),
    front(b"ZWS", "application/vnd.adobe.flash.movie"),
    front(b"#!", "text/x-shellscript"),
    // Packages: deb(5), the RPM and xar file formats, Chrome extensions.
    front(b"!<arch>\ndebian-binary", "application/vnd.debian.binary-package"),
    front(b"\xed\xab\xee\xdb", "application/x-rpm"),
    front(b"xar!", "application/x-xar"),
    front(b"Cr24", "application/x-chrome-extension"),
    // Archives: MIME Sniffing section 6.4, else each format's own documents.
    front(b"\x1f\x8b\x08", "application/gzip"),
    front(b"BZh", "application/x-bzip2"),
    front(b"\xfd7zXZ\x00", "application/x-xz"),
    front(b"\x28\xb5\x2f\xfd", "application/zstd"),
    front(b"Rar!\x1a\x07\x00", "application/vnd.rar"),
    front(b"Rar!\x1a\x07\x01\x00", "application/vnd.rar"),
    front(b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    front(b"MSCF\x00\x00\x00\x00", "application/vnd.ms-cab-compressed"),
    front(b"MSWIM\x00\x00\x00", "application/x-ms-wim"),
    front(b"\x1f\x9d", "application/x-compress"),
    at(7, b"**ACE**", "application/x-ace-compressed"),
    at(2, b"-lh", "application/x-lzh-compressed"),
    at(257, b"ustar", "application/x-tar"),
    // Disc images: ECMA-119, ECMA-167, the VHD specification, [MS-VHDX] 2.2.1.
    at(VOLUME_DESCRIPTOR, b"CD001", "application/x-iso9660-image"),
    at(VOLUME_DESCRIPTOR, b"BEA01", "application/x-iso9660-image"),
    front(b"conectix", "application/x-vhd"),
    front(b"vhdxfile", "application/x-vhdx"),
    // Pictures: MIME Sniffing section 6.1, TIFF 6.0, the Photoshop format.
    front(b"\x89PNG\r\n\x1a\n", "image/png"),
    front(b"\xff\xd8\xff", "image/jpeg"),
    front(b"GIF87a", "image/gif"),
    front(b"GIF89a", "image/gif"),
    front(b"\x00\x00\x01\x00", "image/x-icon"),
    front(b"\x00\x00\x02\x00", "image/x-icon"),
    front(b"BM", "image/bmp"),
    front(b"II*\x00", "image/tiff"),
    front(b"MM\x00*", "image/tiff"),
    front(b"8BPS", "image/vnd.adobe.photoshop"),
    // Sound and film: MIME Sniffing section 6.2.
    front(b"ID3", "audio/mpeg"),
    front(b"OggS\x00", "application/ogg"),
    front(b"MThd\x00\x00\x00\x06", "audio/midi"),
    front(b"fLaC", "audio/flac"),
    // Fonts: MIME Sniffing section 6.3.
    at(34, b"LP", "application/vnd.ms-fontobject"),
    front(b"\x00\x01\x00\x00", "font/ttf"),
    front(b"OTTO", "font/otf"),
    front(b"ttcf", "font/collection"),
    front(b"wOFF", "font/woff"),
    front(b"wOF2", "font/woff2"),
    // Data: the SQLite format, RFC 9636, the ESRI shapefile.
    front(b"SQLite format 3\x00", "application/vnd.sqlite3"),
    front(b"TZif", "application/tzif"),
    front(b"\x00\x00\x27\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "application/vnd.shp"),
];

/// A mark of so few letters that words begin with it too: what bears it and is text all through is text.
const LONG_ENOUGH: usize = 5;

impl Magic {
    pub(super) fn fits(&self, bytes: &[u8]) -> bool {
        bytes.get(self.at..).is_some_and(|rest| rest.starts_with(self.mark))
    }

    /// Text may begin like this by accident.
    pub(super) fn is_weak(&self) -> bool {
        let letters = self.mark.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
        self.mark != b"#!" && self.mark.len() < LONG_ENOUGH && (letters || self.at > 0)
    }
}
