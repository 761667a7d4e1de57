//! How dangerous a link is, with the reasons.

use serde::{Deserialize, Serialize};

/// The answer in one word. `unknown` is an answer: thin evidence must not read as clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VerdictState {
    /// There was no result to judge.
    NotEvaluated,
    /// Too little was seen to judge.
    Unknown,
    /// Nothing speaks against it.
    Benign,
    /// Something does.
    Suspicious,
    /// Much does.
    Malicious,
}

impl VerdictState {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotEvaluated => "notEvaluated",
            Self::Unknown => "unknown",
            Self::Benign => "benign",
            Self::Suspicious => "suspicious",
            Self::Malicious => "malicious",
        }
    }
}

/// 0 (nothing speaks against it) to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct RiskScore(u8);

impl RiskScore {
    /// The score nearest to a number.
    #[must_use]
    pub fn clamped(value: u32) -> Self {
        Self(u8::try_from(value.min(100)).unwrap_or(100))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl<'de> Deserialize<'de> for RiskScore {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::clamped(u32::deserialize(deserializer)?))
    }
}

/// What kind of danger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    Malware,
    Phishing,
    Scam,
    Suspicious,
    AdultContent,
    Violence,
    IllegalContent,
    Misinformation,
    Spam,
    Other,
}

/// How much a finding says by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Seen on many good pages too.
    Low,
    /// Rare on good pages.
    Medium,
    /// Hardly ever on good pages.
    High,
    /// Enough by itself.
    Critical,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Stable id of the rule, such as `form-password-cross-domain`.
    pub rule_id: String,
    /// What it means, for a person.
    pub title: String,
    /// How much it says.
    pub severity: Severity,
    /// Points added to the score; negative for what speaks for the page.
    pub weight: i32,
    /// What kind of danger it points to.
    pub category: Category,
    /// What exactly was seen.
    pub evidence: Vec<String>,
}

/// The judgement of one scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The answer.
    pub state: VerdictState,
    /// 0 to 100.
    pub risk_score: RiskScore,
    /// 0 (guess) to 1 (certain).
    pub confidence: f64,
    /// Kinds of danger, strongest first.
    pub categories: Vec<Category>,
    /// Brands that the page speaks of or imitates.
    pub brands: Vec<String>,
    /// Sentences for a person.
    pub reasoning: String,
    /// Every reason, strongest first.
    pub findings: Vec<Finding>,
    /// What judged.
    pub engine: Engine,
}

/// The analysis that made a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Engine {
    /// `safeurl-rules`.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// SHA-256 of the rules file.
    pub rules_digest: String,
}

impl Verdict {
    /// The verdict of a scan that ended without a report.
    #[must_use]
    pub fn not_evaluated(engine: Engine, reasoning: impl Into<String>) -> Self {
        Self {
            state: VerdictState::NotEvaluated,
            risk_score: RiskScore::default(),
            confidence: 0.0,
            categories: Vec::new(),
            brands: Vec::new(),
            reasoning: reasoning.into(),
            findings: Vec::new(),
            engine,
        }
    }
}
