//! `CNI_ARGS`.

use super::{CniError, code};

/// The pairs of `CNI_ARGS`, in order.
#[derive(Clone, Debug, Default)]
pub struct Args(Vec<(String, String)>);

impl Args {
    /// Reads `K=V;K2=V2`. A pair has exactly one `=`. A key that is not in `known` is refused, unless `IgnoreUnknown` is 1 or true.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, CniError> {
        let mut pairs = Vec::new();
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            match pair.split('=').collect::<Vec<_>>()[..] {
                [key, value] => pairs.push((key.to_owned(), value.to_owned())),
                _ => return Err(CniError::new(code::ENVIRONMENT, format!("CNI_ARGS: invalid pair \"{pair}\""))),
            }
        }
        let args = Self(pairs);
        let ignore = matches!(args.get("IgnoreUnknown"), Some("1" | "true" | "True" | "TRUE" | "t" | "T"));
        let unknown: Vec<&str> = args
            .0
            .iter()
            .map(|(key, _)| key.as_str())
            .filter(|key| *key != "IgnoreUnknown" && !known.contains(key))
            .collect();
        if ignore || unknown.is_empty() {
            return Ok(args);
        }
        Err(CniError::new(code::ENVIRONMENT, format!("CNI_ARGS: unknown args [{}]", unknown.join(" "))))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Args;

    #[test]
    fn pairs_are_read_and_unknown_keys_refused_unless_told_otherwise() {
        assert_eq!(Args::parse("IP=10.0.0.2;MAC=x", &["IP", "MAC"]).unwrap().get("IP"), Some("10.0.0.2"));
        assert_eq!(Args::parse("", &[]).unwrap().get("IP"), None);
        assert_eq!(Args::parse("A=1;B=2", &["A"]).unwrap_err().msg, "CNI_ARGS: unknown args [B]");
        assert!(Args::parse("A=1;IgnoreUnknown=true", &[]).is_ok());
        for text in ["A", "A=1=2"] {
            assert_eq!(Args::parse(text, &["A"]).unwrap_err().msg, format!("CNI_ARGS: invalid pair \"{text}\""));
        }
    }
}
