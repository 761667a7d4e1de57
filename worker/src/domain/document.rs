//! The scan document: what `scan --json`, `jobs show --json` and `jobs export` return for one scan.
//!
//! `null` means "does not apply or not known"; no key is ever absent. The part that changes with the row
//! ([`JobView`]) is joined when a document is read and never stored. Keys that came later are read as empty from a
//! document that was stored before (`#[serde(default)]`).

mod compose;
mod features;
mod lists;
mod mask;
mod summary;

pub use compose::{Assessment, Evidence, SandboxFacts, compose, egress_of, without_report};
pub use mask::{text_without_secrets, without_secrets};
pub use summary::Summary;

pub use safeurl_protocol::ledger::{Decision, Ledger};
pub use safeurl_protocol::{Purpose, SCHEMA};

use std::collections::BTreeMap;

use safeurl_protocol::{
    Embedded, Favicon, FormInput, Frame, HopError, Link, PossibleRedirect, Redirect, RobotsDecision, Script,
};
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::scan::Method;
use super::state::State;
use super::timestamp::Timestamp;
use super::verdict::Verdict;

/// The whole answer about one scan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Document {
    /// Version of this shape.
    pub schema: u32,
    /// The row.
    pub job: JobView,
    /// What was seen and judged.
    #[serde(flatten)]
    pub body: Body,
}

/// The row's part of a document.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    pub id: String,
    pub kind: String,
    pub state: State,
    pub version: i64,
    pub attempt: u32,
    pub max_attempts: u32,
    pub priority: i64,
    pub user_id: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub failure: Option<Failure>,
    pub transitions: Vec<TransitionView>,
}

/// One recorded edge.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TransitionView {
    pub from: State,
    pub to: State,
    pub version: i64,
    pub at: Timestamp,
    pub worker: Option<String>,
    pub reason: String,
}

/// What is stored of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Body {
    pub task: Task,
    pub page: Option<Page>,
    pub requests: Vec<Request>,
    pub content: Option<Content>,
    pub features: Option<Features>,
    pub lists: Lists,
    pub egress: Vec<EgressEntry>,
    pub sandbox: Sandbox,
    pub verdict: Verdict,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    pub url: String,
    pub effective_url: Option<String>,
    pub domain: Option<String>,
    pub apex_domain: Option<String>,
    pub time: Timestamp,
    pub method: Method,
    pub tags: Vec<String>,
    pub options: TaskOptions,
}

/// The options in force; header values are masked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskOptions {
    pub user_agent: String,
    pub timeout_ms: u64,
    pub max_redirects: u32,
    pub headers: BTreeMap<String, String>,
    /// Whether robots.txt was asked before each hop, by the job's wish or the operator's.
    #[serde(default)]
    pub respect_robots: bool,
}

/// The last document after all redirects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    pub url: String,
    pub domain: Option<String>,
    pub apex_domain: Option<String>,
    pub ip: Option<String>,
    pub port: Option<u16>,
    pub status: Option<u16>,
    pub mime_type: Option<String>,
    pub charset: Option<String>,
    pub server: Option<String>,
    pub title: Option<String>,
    pub description: Option<String>,
    pub language: Option<String>,
    pub canonical: Option<String>,
    pub redirected: Option<Redirected>,
    pub tls_issuer: Option<String>,
    pub tls_valid_from: Option<Timestamp>,
    pub tls_valid_to: Option<Timestamp>,
    pub tls_valid_days: Option<i64>,
    pub tls_age_days: Option<i64>,
}

/// How far the redirects led away from the submitted URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Redirected {
    SameDomain,
    SubDomain,
    OffDomain,
    HttpsOnly,
}

/// One HTTP exchange: a hop, or one beside the hops (robots.txt, the icon).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// What it was made for; those beside the hops stand where they were made.
    #[serde(default)]
    pub purpose: Purpose,
    pub url: String,
    pub method: String,
    pub status: Option<u16>,
    pub status_text: Option<String>,
    pub protocol: Option<String>,
    pub ip: Option<String>,
    pub port: Option<u16>,
    pub headers: BTreeMap<String, String>,
    pub mime_type: Option<String>,
    pub size: Option<u64>,
    pub encoded_size: Option<u64>,
    pub sha256: Option<String>,
    pub redirect: Option<Redirect>,
    pub error: Option<HopError>,
    pub connection: Option<u64>,
    pub timings: Timings,
    pub tls: Option<Tls>,
    /// What robots.txt says about it; `null` where it was not asked, and of robots.txt itself.
    #[serde(default)]
    pub robots: Option<RobotsDecision>,
}

/// Times of one exchange; the first two come from the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    pub dns_ms: Option<u64>,
    pub connect_ms: Option<u64>,
    pub tls_ms: Option<u64>,
    pub first_byte_ms: Option<u64>,
    pub total_ms: u64,
}

/// Facts of a TLS connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    pub protocol: Option<String>,
    pub cipher: Option<String>,
    pub alpn: Option<String>,
    pub verified: bool,
    pub error: Option<String>,
    pub subject: Option<String>,
    pub issuer: Option<String>,
    pub san_list: Vec<String>,
    pub valid_from: Option<Timestamp>,
    pub valid_to: Option<Timestamp>,
    pub sha256: Option<String>,
    /// What the server sent, leaf first, at most ten.
    #[serde(default)]
    pub chain: Vec<Certificate>,
}

/// One certificate of a chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    pub subject: Option<String>,
    pub issuer: Option<String>,
    pub valid_from: Option<Timestamp>,
    pub valid_to: Option<Timestamp>,
    pub sha256: String,
}

/// The body of the last response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    pub sha256: String,
    pub md5: Option<String>,
    pub size: u64,
    pub declared_mime_type: Option<String>,
    pub sniffed_mime_type: Option<String>,
    pub truncated: bool,
    /// Of a download: by Content-Disposition, else the last part of the URL.
    #[serde(default)]
    pub file_name: Option<String>,
    /// Whether the name's ending fits what the bytes are; `null` when either says nothing.
    #[serde(default)]
    pub name_matches_type: Option<bool>,
    /// The server asks for it to be saved.
    #[serde(default)]
    pub attachment: bool,
    pub text: Option<Text>,
}

/// Statistics of the visible text. The text itself is looked at and not stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Text {
    pub words: u64,
    /// What it is written in, by the text itself (ISO 639-1, else 639-3); `null` where it is short or undecided.
    /// `page.language` is what the page says of itself.
    pub language: Option<String>,
}

/// What an HTML page holds. Every list is cut at a length of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    pub meta: BTreeMap<String, String>,
    pub open_graph: BTreeMap<String, String>,
    pub links: Links,
    pub forms: Vec<Form>,
    pub scripts: Vec<Script>,
    pub iframes: Vec<Frame>,
    pub meta_refresh: Option<String>,
    /// Also those written so that programs overlook them; `null` in documents stored before they were looked for, as
    /// phones and technologies.
    pub emails: Option<Vec<String>>,
    /// The page's texts that are numbers by the numbering plans.
    pub phones: Option<Vec<Phone>>,
    /// `null` where none was fetched.
    pub favicon: Option<Favicon>,
    pub technologies: Option<Vec<Technology>>,
    /// Types of what JSON-LD describes, without doubles.
    #[serde(default)]
    pub json_ld: Vec<String>,
    /// Where inline scripts would lead, as far as that is written out in them: none is run.
    #[serde(default)]
    pub possible_redirects: Vec<PossibleRedirect>,
    /// Documents that the page carries in itself: `srcdoc`, `data:` and `blob:` addresses.
    #[serde(default)]
    pub embedded: Vec<Embedded>,
    /// Comments that say who made or copied the page, or hold markup.
    #[serde(default)]
    pub comments: Vec<String>,
    /// Names of the lists that hold less than there was.
    #[serde(default)]
    pub capped: Vec<String>,
}

/// A telephone number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phone {
    /// As E.164 has it, such as `+41446681800`.
    pub e164: String,
    /// ISO 3166-1 alpha-2 code of its region; `null` for numbers of no region (`+800`).
    pub region: Option<String>,
    /// As the page writes it.
    pub text: String,
}

/// Something the site is made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Technology {
    pub name: String,
    pub version: Option<String>,
    pub categories: Vec<String>,
}

/// Links by where they lead, counted over `list`: where that is `capped`, the page has more of each kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Links {
    /// To the page's own registrable domain.
    pub internal: u64,
    /// To any other; what leads to no host (`mailto:`, `javascript:`) is in neither number.
    pub external: u64,
    /// Registrable domains of the external ones, with their number, most linked first, capped.
    #[serde(default)]
    pub domains: Vec<LinkDomain>,
    pub list: Vec<Link>,
    pub capped: bool,
}

/// A foreign domain that the page links to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkDomain {
    pub domain: String,
    pub links: u64,
}

/// One form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Form {
    pub action: String,
    pub action_domain: Option<String>,
    pub method: String,
    pub inputs: Vec<FormInput>,
    pub has_password: bool,
    /// The form, or one of its controls, posts to another registrable domain.
    pub cross_domain: bool,
    /// In a document that the page carries in itself, or written by a script.
    #[serde(default)]
    pub embedded: bool,
}

/// Everything seen, for searching; sorted, without doubles, capped. `domains` and `ips` were asked, `linkDomains` are only
/// named: by links, forms and scripts that would move on; `hashes` are SHA-256 of bodies, inline scripts, embedded
/// documents and the icon.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lists {
    pub ips: Vec<String>,
    pub domains: Vec<String>,
    pub apex_domains: Vec<String>,
    pub urls: Vec<String>,
    pub link_domains: Vec<String>,
    pub hashes: Vec<String>,
    pub certificates: Vec<String>,
}

/// One line of the gateway's ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EgressEntry {
    pub seq: u64,
    pub host: String,
    pub port: u16,
    pub addresses: Vec<String>,
    /// Those of them that were dialled, in that order; `dialed` is the one that answered, or else the last.
    #[serde(default)]
    pub tried: Vec<String>,
    pub dialed: Option<String>,
    pub decision: Decision,
    pub rule: String,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub opened_at: Timestamp,
    pub dns_ms: Option<u64>,
    pub connect_ms: Option<u64>,
    pub duration_ms: Option<u64>,
    pub error: Option<String>,
}

/// Where and how it ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sandbox {
    pub engine: Option<String>,
    pub runtime: Option<String>,
    pub image: Option<String>,
    pub image_digest: Option<String>,
    pub network: Option<String>,
    pub limits: Limits,
    pub outcome: Option<OutcomeName>,
    pub exit_code: Option<i64>,
    pub warm: bool,
    pub queue_ms: Option<u64>,
    pub start_ms: Option<u64>,
    pub run_ms: Option<u64>,
    pub peak_memory_bytes: Option<u64>,
    pub cpu_ms: Option<u64>,
    pub attestation: Option<String>,
    pub adopted: bool,
}

/// Limits in force.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    pub memory_bytes: u64,
    pub cpus: f64,
    pub pids: u64,
    pub timeout_ms: u64,
    pub output_bytes: u64,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OutcomeName {
    Exited,
    TimedOut,
    OutOfMemory,
    OutputTooLarge,
    Lost,
}

#[cfg(test)]
pub(crate) mod generated;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
