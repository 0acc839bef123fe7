//! The protocol's error object.

use serde_json::{Value, json};
use std::fmt;

/// Codes of the specification (section 3) and of the reference library.
pub mod code {
    /// The configuration's version is not spoken.
    pub const VERSION: u32 = 1;
    /// A field is not supported; the message names key and value.
    pub const UNSUPPORTED: u32 = 2;
    /// Wrong environment variables; the message names them.
    pub const ENVIRONMENT: u32 = 4;
    /// Something could not be read or written.
    pub const IO: u32 = 5;
    /// Something is not what it should be encoded as.
    pub const DECODING: u32 = 6;
    /// The network configuration is wrong.
    pub const CONFIGURATION: u32 = 7;
    /// The network namespace is wrong.
    pub const NAMESPACE: u32 = 8;
    /// Later it may work.
    pub const LATER: u32 = 11;
    /// STATUS: an ADD would not be served.
    pub const UNAVAILABLE: u32 = 50;
    /// Anything else that failed inside.
    pub const INTERNAL: u32 = 999;
}

/// Why a plugin failed. `Display` gives `msg`, or `msg; details`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CniError {
    /// One of [`code`], or one of another plugin's own.
    pub code: u32,
    /// One sentence.
    pub msg: String,
    /// More, or nothing.
    pub details: String,
}

impl CniError {
    /// An error without details.
    pub fn new(code: u32, msg: impl Into<String>) -> Self {
        Self { code, msg: msg.into(), details: String::new() }
    }

    /// A wrong configuration.
    pub fn configuration(msg: impl Into<String>) -> Self {
        Self::new(code::CONFIGURATION, msg)
    }

    /// Something that failed inside.
    pub fn internal(msg: impl Into<String>) -> Self {
        Self::new(code::INTERNAL, msg)
    }

    /// The same error, said of a larger object: `outer: this`.
    #[must_use]
    pub fn of(self, outer: impl fmt::Display) -> Self {
        Self { msg: format!("{outer}: {}", self.msg), ..self }
    }

    /// The error object as it stands on stdout.
    pub fn to_json(&self, version: &str) -> Value {
        let mut object = json!({"cniVersion": version, "code": self.code, "msg": self.msg});
        if !self.details.is_empty() {
            object["details"] = Value::from(self.details.as_str());
        }
        object
    }

    /// The error that another plugin printed; none if this is no error object.
    pub fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let code = value.get("code")?.as_u64()?;
        Some(Self { code: u32::try_from(code).ok()?, msg: text("msg"), details: text("details") })
    }
}

impl fmt::Display for CniError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.msg)?;
        if self.details.is_empty() { Ok(()) } else { write!(formatter, "; {}", self.details) }
    }
}

impl std::error::Error for CniError {}

impl From<sandbox::Failure> for CniError {
    fn from(failure: sandbox::Failure) -> Self {
        let code = if failure.errno().is_some() { code::IO } else { code::INTERNAL };
        Self::new(code, failure.to_string())
    }
}
