use super::Reader;
use crate::config::node::Value;

/// Beyond this not every whole number is a float.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// What a scalar is to who wants a number or a boolean; `None` when it is none without loss or guess.
impl Reader<'_, '_> {
    /// The value as a whole number, if it is one or is written like one.
    pub(super) fn integer(self) -> Option<i128> {
        match &self.node.value {
            Value::Int(number) => Some(i128::from(*number)),
            Value::Float(number) if number.fract() == 0.0 && number.abs() <= MAX_EXACT => {
                // The digits of a float of this size without fraction are those of an integer.
                number.to_string().parse().ok()
            }
            Value::Str(text) => {
                let digits = text.trim_ascii();
                let magnitude = digits.strip_prefix('-').unwrap_or(digits);
                // `010` is ten to some readers of YAML and eight to others.
                let ambiguous = magnitude.len() > 1 && magnitude.starts_with('0');
                let plain = magnitude.bytes().all(|b| b.is_ascii_digit());
                (plain && !ambiguous).then(|| digits.parse().ok()).flatten()
            }
            Value::Null | Value::Bool(_) | Value::Float(_) | Value::Seq(_) | Value::Map(_) => None,
        }
    }

    pub(super) fn float(self) -> Option<f64> {
        match &self.node.value {
            Value::Float(number) => Some(*number),
            Value::Int(number) => {
                number.to_string().parse().ok().filter(|float: &f64| float.abs() <= MAX_EXACT)
            }
            Value::Str(text) => {
                let text = text.trim_ascii();
                let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.'));
                let ambiguous = text
                    .trim_start_matches('-')
                    .strip_prefix('0')
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
                let float: f64 = text.parse().ok()?;
                (numeric && !ambiguous && float.is_finite()).then_some(float)
            }
            Value::Null | Value::Bool(_) | Value::Seq(_) | Value::Map(_) => None,
        }
    }

    pub(super) fn boolean(self) -> Option<bool> {
        match &self.node.value {
            Value::Bool(truth) => Some(*truth),
            Value::Str(text) => match text.trim_ascii().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Some(true),
                "false" | "no" | "off" => Some(false),
                _ => None,
            },
            Value::Null | Value::Int(_) | Value::Float(_) | Value::Seq(_) | Value::Map(_) => None,
        }
    }
}
