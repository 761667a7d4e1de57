//! What is sent to a server and what it answers, in JSON. Names are the protocol's.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use libsql::Value;
use serde::{Deserialize, Serialize};

/// Servers write it without padding; the specification asks to read both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What goes to `/v3/pipeline`.
#[derive(Debug, Serialize)]
pub(super) struct PipelineRequest {
    /// Names the stream; none opens one.
    pub(super) baton: Option<String>,
    pub(super) requests: Vec<Request>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Request {
    /// Ends the stream; what its transaction has written is undone.
    Close,
    Batch {
        batch: Batch,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct Batch {
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Serialize)]
pub(super) struct Step {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) condition: Option<Condition>,
    pub(super) stmt: Stmt,
}

/// When a step is carried out. Steps count from 0.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Condition {
    Ok { step: usize },
    Not { cond: Box<Condition> },
    And { conds: Vec<Condition> },
    IsAutocommit,
}

impl Condition {
    /// A transaction is open. One that the server has undone would otherwise let what belongs to it be written by
    /// itself.
    pub(super) fn in_transaction() -> Self {
        Self::Not { cond: Box::new(Self::IsAutocommit) }
    }

    /// The same, and the step before went well.
    pub(super) fn after(step: usize) -> Self {
        Self::And { conds: vec![Self::Ok { step }, Self::in_transaction()] }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Stmt {
    pub(super) sql: String,
    pub(super) args: Vec<WireValue>,
    pub(super) want_rows: bool,
}

/// A value. Whole numbers are text, because JSON's are not 64 bits wide everywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum WireValue {
    Null,
    Integer { value: String },
    Float { value: f64 },
    Text { value: String },
    Blob { base64: String },
}

impl From<Value> for WireValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(number) => Self::Integer { value: number.to_string() },
            Value::Real(value) => Self::Float { value },
            Value::Text(value) => Self::Text { value },
            Value::Blob(bytes) => Self::Blob { base64: BASE64.encode(bytes) },
        }
    }
}

impl WireValue {
    /// `None` when it is not what its type says.
    pub(crate) fn read(self) -> Option<Value> {
        Some(match self {
            Self::Null => Value::Null,
            Self::Integer { value } => Value::Integer(value.parse().ok()?),
            Self::Float { value } => Value::Real(value),
            Self::Text { value } => Value::Text(value),
            Self::Blob { base64 } => Value::Blob(BASE64.decode(base64).ok()?),
        })
    }
}

/// What comes back from `/v3/pipeline`.
#[derive(Debug, Deserialize)]
pub(crate) struct PipelineResponse {
    /// Names the stream for the next call; none when it is closed.
    pub(crate) baton: Option<String>,
    /// Where the stream's next call goes, when not to where this one went.
    #[serde(default)]
    pub(crate) base_url: Option<String>,
    pub(crate) results: Vec<Outcome>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Outcome {
    Ok { response: Response },
    Error { error: Refusal },
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Response {
    Close,
    Batch { result: BatchResult },
}

/// One entry a step; a step that was not carried out has neither.
#[derive(Debug, Deserialize)]
pub(crate) struct BatchResult {
    pub(crate) step_results: Vec<Option<StepResult>>,
    pub(crate) step_errors: Vec<Option<Refusal>>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct StepResult {
    pub(crate) rows: Vec<Vec<WireValue>>,
    #[serde(default)]
    pub(crate) affected_row_count: u64,
}

/// Why something was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) code: Option<String>,
}

impl Refusal {
    /// What libSQL would say locally; the codes are SQLite's by name (<https://sqlite.org/rescode.html>).
    pub(crate) fn as_libsql(&self) -> libsql::Error {
        let code = match self.code.as_deref().unwrap_or_default() {
            "SQLITE_PERM" => 3,
            "SQLITE_ABORT" => 4,
            // Another stream writes for too long, or has waited too long for this one.
            "SQLITE_BUSY" | "TRANSACTION_BUSY" | "TRANSACTION_TIMEOUT" => 5,
            "SQLITE_LOCKED" => 6,
            "SQLITE_NOMEM" => 7,
            "SQLITE_READONLY" => 8,
            // Blocked: an account that has used up what it paid for, until it is let again.
            "SQLITE_IOERR" | "BLOCKED" => 10,
            "SQLITE_CORRUPT" => 11,
            "SQLITE_FULL" => 13,
            "SQLITE_CANTOPEN" => 14,
            "SQLITE_PROTOCOL" => 15,
            "SQLITE_TOOBIG" | "RESPONSE_TOO_LARGE" => 18,
            text if text.starts_with("SQLITE_CONSTRAINT") => 19,
            "SQLITE_NOTADB" => 26,
            _ => 1,
        };
        libsql::Error::SqliteFailure(code, self.message.clone())
    }

    /// The server has undone the transaction to let others write.
    pub(crate) fn is_timed_out(&self) -> bool {
        self.code.as_deref() == Some("TRANSACTION_TIMEOUT")
    }

    /// Said of a whole batch: none of its steps was begun.
    pub(crate) fn is_before_all(&self) -> bool {
        self.code.as_deref().is_some_and(|code| code.starts_with("SQL_") || code.starts_with("ARGS_"))
    }
}

/// How many rows a server says it has read for an answer.
#[cfg(test)]
pub(super) fn rows_read(body: &[u8]) -> u64 {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let results = answer["results"].as_array().into_iter().flatten();
    let steps =
        results.flat_map(|one| one["response"]["result"]["step_results"].as_array().into_iter().flatten());
    steps.filter_map(|step| step["rows_read"].as_u64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_went() {
        for value in [
            Value::Null,
            Value::Integer(i64::MIN),
            Value::Real(0.1),
            Value::Text("ä\0\"".to_owned()),
            Value::Blob(vec![0, 255, 1]),
        ] {
            let sent = serde_json::to_string(&WireValue::from(value.clone())).expect("JSON");
            let back: WireValue = serde_json::from_str(&sent).expect(&sent);
            assert_eq!(back.read(), Some(value), "{sent}");
        }
    }

    #[test]
    fn a_blob_is_read_with_padding_and_without_and_nonsense_is_told() {
        let blob = |base64: &str| WireValue::Blob { base64: base64.to_owned() }.read();
        assert_eq!(blob("AP8="), Some(Value::Blob(vec![0, 255])));
        assert_eq!(blob("AP8"), Some(Value::Blob(vec![0, 255])));
        assert_eq!(blob("*"), None);
        assert_eq!(WireValue::Integer { value: "1.5".to_owned() }.read(), None);
    }

    #[test]
    fn a_step_says_its_condition_as_the_protocol_does() {
        let stmt = Stmt { sql: "SELECT ?".to_owned(), args: vec![Value::Integer(7).into()], want_rows: true };
        let step = Step { condition: Some(Condition::after(2)), stmt };
        assert_eq!(
            serde_json::to_value(&step).expect("JSON"),
            serde_json::json!({
                "condition": {"type": "and", "conds": [
                    {"type": "ok", "step": 2}, {"type": "not", "cond": {"type": "is_autocommit"}}
                ]},
                "stmt": {"sql": "SELECT ?", "args": [{"type": "integer", "value": "7"}], "want_rows": true},
            })
        );
    }
}
