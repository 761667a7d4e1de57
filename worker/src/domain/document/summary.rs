//! The small view: enough to act on, always under 4 KB.

use serde::Serialize;

use super::Document;
use crate::domain::failure::Failure;
use crate::domain::state::State;
use crate::domain::verdict::{Category, Engine, Finding, RiskScore, Severity, VerdictState};

/// Longest text of one field, in characters; with the cap on findings it keeps the whole under 4 KB.
const TEXT: usize = 240;

/// Findings shown, strongest first.
const FINDINGS: usize = 8;

/// `--view summary`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    pub schema: u32,
    pub job: JobSummary,
    pub task: TaskSummary,
    pub page: Option<PageSummary>,
    pub verdict: VerdictSummary,
}

/// The row in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobSummary {
    pub id: String,
    pub state: State,
    pub failure: Option<Failure>,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskSummary {
    pub url: String,
}

/// Where it led.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PageSummary {
    pub url: String,
    pub status: Option<u16>,
    pub title: Option<String>,
    pub ip: Option<String>,
}

/// The verdict without evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictSummary {
    pub state: VerdictState,
    pub risk_score: RiskScore,
    pub confidence: f64,
    pub categories: Vec<Category>,
    pub brands: Vec<String>,
    pub reasoning: String,
    pub findings: Vec<FindingSummary>,
    pub engine: Engine,
}

/// One reason without its evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FindingSummary {
    pub rule_id: String,
    pub title: String,
    pub severity: Severity,
    pub weight: i32,
    pub category: Category,
}

impl Summary {
    /// The small view of a document.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        let Document { schema, job, body } = document;
        let verdict = &body.verdict;
        let failure = job
            .failure
            .as_ref()
            .map(|failure| Failure { message: short(&failure.message), ..failure.clone() });
        Self {
            schema: *schema,
            job: JobSummary { id: short(&job.id), state: job.state, failure },
            task: TaskSummary { url: short(&body.task.url) },
            page: body.page.as_ref().map(|page| PageSummary {
                url: short(&page.url),
                status: page.status,
                title: page.title.as_deref().map(short),
                ip: page.ip.clone(),
            }),
            verdict: VerdictSummary {
                state: verdict.state,
                risk_score: verdict.risk_score,
                confidence: verdict.confidence,
                categories: verdict.categories.clone(),
                brands: verdict.brands.iter().take(5).map(|brand| short(brand)).collect(),
                reasoning: short(&verdict.reasoning),
                findings: verdict.findings.iter().take(FINDINGS).map(FindingSummary::of).collect(),
                engine: verdict.engine.clone(),
            },
        }
    }
}

impl FindingSummary {
    fn of(finding: &Finding) -> Self {
        Self {
            rule_id: finding.rule_id.clone(),
            title: short(&finding.title),
            severity: finding.severity,
            weight: finding.weight,
            category: finding.category,
        }
    }
}

/// The text, cut to what takes at most [`TEXT`] bytes of JSON.
fn short(text: &str) -> String {
    let mut taken = String::new();
    let mut bytes = 0;
    for character in text.chars() {
        bytes += match character {
            '"' | '\\' => 2,
            c if c.is_control() => 6,
            c => c.len_utf8(),
        };
        if bytes > TEXT {
            taken.push('…');
            break;
        }
        taken.push(character);
    }
    taken
}
