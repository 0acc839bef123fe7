//! Resource quantities (appc §1.8) as integers, rounded up and never through floating point.

use serde_json::Value;

const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// The quantity times `scale`, rounded up; none when it is no quantity or out of range.
pub fn scaled(value: &Value, scale: i128) -> Option<i64> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    parse(&text, scale)
}

fn parse(text: &str, scale: i128) -> Option<i64> {
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() + fraction.len() > 24 {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let mut exponent = -i32::try_from(fraction.len()).ok()?;
    let mut value = digits.checked_mul(scale)?;
    if let Some((_, shift)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        value = value.checked_mul(1 << shift)?;
    } else if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        exponent += power;
    } else {
        let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
        exponent = exponent.checked_add(power)?;
    }
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let value = if exponent >= 0 {
        value.checked_mul(power)?
    } else {
        value.div_euclid(power) + i128::from(value % power != 0)
    };
    i64::try_from(if negative { -value } else { value }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_mean_what_the_specification_says() {
        for (text, value) in
            [("123Mi", 128_974_848), ("125952Ki", 128_974_848), ("1k", 1000), ("1e3", 1000), ("1E", 10_i64.pow(18))]
        {
            assert_eq!(parse(text, 1), Some(value), "{text}");
        }
        assert_eq!(parse("0.3", 1000), Some(300));
        assert_eq!(parse("300m", 1000), Some(300));
        assert_eq!(parse(".5", 1000), Some(500));
    }

    #[test]
    fn what_is_finer_than_the_unit_is_rounded_up() {
        assert_eq!(parse("1.1", 1), Some(2));
        assert_eq!(parse("1n", 1000), Some(1));
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in ["", "K", "1K", "1.2.3", "1ex", "e3", "99999999999999999999Ei", "1e99"] {
            assert_eq!(parse(text, 1), None, "{text}");
        }
    }
}
