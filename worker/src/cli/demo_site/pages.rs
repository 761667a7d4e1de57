//! What the demo site answers: one table from host and path to a reply.

/// Hosts of the site. `.test` is reserved (RFC 6761): outside of the demonstration they are nobody.
pub(super) const COURIER: &str = "harbour-courier.test";
pub(super) const LIBRARY: &str = "harbour-library.test";
pub(super) const BRAND_COPY: &str = "paypal-account-check.test";
pub(super) const COLLECTOR: &str = "form-drop.test";
pub(super) const CHAIN_START: &str = "old-harbour.test";
pub(super) const CHAIN_MIDDLE: &str = "harbour-news.test";
pub(super) const FILES: &str = "billing-files.test";
pub(super) const COMMAND: &str = "human-check.test";
pub(super) const PRIZE: &str = "prize-draw.test";
pub(super) const ENDLESS: &str = "endless-list.test";
pub(super) const SILENT: &str = "silent.test";
pub(super) const CLOSED: &str = "closed.test";

/// All of them.
pub(crate) const HOSTS: [&str; 12] = [
    COURIER,
    LIBRARY,
    BRAND_COPY,
    COLLECTOR,
    CHAIN_START,
    CHAIN_MIDDLE,
    FILES,
    COMMAND,
    PRIZE,
    ENDLESS,
    SILENT,
    CLOSED,
];

/// Where clouds tell a machine its secrets.
pub(crate) const METADATA: &str = "http://169.254.169.254/latest/meta-data/";

/// What goes back for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A page or file, whole.
    Whole { mime_type: &'static str, body: Vec<u8> },
    /// A redirect.
    Redirect { status: u16, to: String },
    /// A page that goes on for ever.
    Endless,
    /// Nothing of that name.
    Missing,
}

/// The reply for a host (without port) and a path; `port` is where the site itself listens.
pub(super) fn reply(host: &str, path: &str, port: u16) -> Reply {
    match (host, path) {
        (COURIER, "/tide-tables") => html(include_str!("../../../../tests/demo/article.html")),
        (LIBRARY, "/sign-in") => html(include_str!("../../../../tests/demo/login-own.html")),
        (BRAND_COPY, "/") => {
            let collector = format!("http://{COLLECTOR}:{port}/collect");
            html(&include_str!("../../../../tests/demo/login-brand.html").replace("@COLLECTOR@", &collector))
        }
        (COMMAND, "/") => html(include_str!("../../../../tests/demo/run-command.html")),
        (CHAIN_START, "/1") => redirect(302, format!("http://{CHAIN_START}:{port}/2")),
        (CHAIN_START, "/2") => redirect(301, format!("http://{CHAIN_MIDDLE}:{port}/3")),
        (CHAIN_MIDDLE, "/3") => redirect(307, format!("http://{CHAIN_MIDDLE}:{port}/4")),
        (CHAIN_MIDDLE, "/4") => redirect(303, format!("http://{COURIER}:{port}/5")),
        (COURIER, "/5") => redirect(308, format!("http://{COURIER}:{port}/tide-tables")),
        (FILES, "/invoice.pdf") => Reply::Whole { mime_type: "application/pdf", body: program() },
        (PRIZE, "/win") => redirect(302, METADATA.to_owned()),
        (ENDLESS, "/") => Reply::Endless,
        _ => Reply::Missing,
    }
}

/// How the endless page begins, and what follows again and again.
pub(super) const ENDLESS_START: &str = include_str!("../../../../tests/demo/endless.html");
pub(super) const ENDLESS_MORE: &str =
    "<li>and one more line of a list that nobody will ever have read</li>\n";

fn html(text: &str) -> Reply {
    Reply::Whole { mime_type: "text/html; charset=utf-8", body: text.as_bytes().to_vec() }
}

const fn redirect(status: u16, to: String) -> Reply {
    Reply::Redirect { status, to }
}

/// Looks like a Windows program (PE) to anything that sniffs, and does nothing anywhere: there is no section and no
/// code behind the headers.
fn program() -> Vec<u8> {
    const PE_OFFSET: usize = 0x80;
    let mut bytes = vec![0; 4096];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x80;
    bytes[PE_OFFSET..PE_OFFSET + 4].copy_from_slice(b"PE\0\0");
    // Machine: x86-64. Zero sections.
    bytes[PE_OFFSET + 4..PE_OFFSET + 6].copy_from_slice(&0x8664_u16.to_le_bytes());
    bytes
}
