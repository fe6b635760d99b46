//! Values of filters, which may have wildcards.

/// A value as EC2 reads it: `*` stands for any number of characters, none included, and `\*`, `\?` and `\\` for the character
/// after the backslash. Upper and lower case differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// The texts that fit, and what stands before, between and behind the asterisks of the pattern: one piece is a text without
    /// any.
    Pieces(Vec<String>),
    /// Only EC2 can tell. Of `?` its documentation says in one place that it stands for one character and in another that it
    /// stands for one or none; of a backslash before any other character it says nothing.
    Foreign,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Self {
        let mut pieces = vec![String::new()];
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            let literal = match character {
                '*' => {
                    pieces.push(String::new());
                    continue;
                }
                '?' => return Self::Foreign,
                '\\' => match rest.next() {
                    Some(escaped @ ('*' | '?' | '\\')) => escaped,
                    _ => return Self::Foreign,
                },
                other => other,
            };
            if let Some(piece) = pieces.last_mut() {
                piece.push(literal);
            }
        }
        Self::Pieces(pieces)
    }

    /// Whether a text fits; `true` when only EC2 can tell.
    pub(crate) fn fits(&self, text: &str) -> bool {
        let Self::Pieces(pieces) = self else { return true };
        let Some((first, rest)) = pieces.split_first() else { return text.is_empty() };
        let Some((last, between)) = rest.split_last() else { return text == first };
        let Some(mut text) =
            text.strip_prefix(first.as_str()).and_then(|text| text.strip_suffix(last.as_str()))
        else {
            return false;
        };
        // Taking the leftmost place for each piece leaves the most for the next.
        for piece in between {
            let Some((_, after)) = text.split_once(piece.as_str()) else { return false };
            text = after;
        }
        true
    }

    /// Whether only EC2 can tell what fits.
    pub(crate) fn is_foreign(&self) -> bool {
        *self == Self::Foreign
    }
}

/// The pattern that fits this text and nothing else.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_fit_what_ec2_says_they_fit() {
        for (pattern, text, fits) in [
            ("web", "web", true),
            ("web", "Web", false),
            ("web", "web2", false),
            ("", "", true),
            ("", "x", false),
            ("*", "", true),
            ("*", "anything", true),
            ("web*", "web", true),
            ("web*", "web-1", true),
            ("web*", "my-web", false),
            ("*web", "my-web", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*a*ab*", "aab", true),
            ("é*ü", "é→ü", true),
            (r"\*", "*", true),
            (r"\*", "x", false),
            (r"\*amazon\?\\", r"*amazon?\", true),
            (r"what\?", "what?", true),
        ] {
            assert_eq!(Pattern::parse(pattern).fits(text), fits, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn what_only_ec2_can_judge_is_known_as_such() {
        for pattern in ["web?", r"we\b", r"web\"] {
            assert!(Pattern::parse(pattern).is_foreign(), "{pattern:?}");
            assert!(Pattern::parse(pattern).fits("whatever"));
        }
        assert!(!Pattern::parse(r"*\?\*\\").is_foreign());
    }

    /// The definition, character by character.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            [first, rest @ ..] => text.first() == Some(first) && naive(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn any_pattern_fits_what_its_definition_says(pattern in "[ab*]{0,8}", text in "[ab]{0,8}") {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = naive(&characters(&pattern), &characters(&text));
            prop_assert_eq!(Pattern::parse(&pattern).fits(&text), expected);
        }

        #[test]
        fn an_escaped_text_fits_itself_alone(text in ".{0,20}", other in ".{0,20}") {
            let pattern = Pattern::parse(&escape(&text));
            prop_assert!(pattern.fits(&text));
            prop_assert_eq!(pattern.fits(&other), text == other);
        }
    }
}
