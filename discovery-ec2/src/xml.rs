//! Whether an answer is whole.
//!
//! The SDK's decoder stops at the first thing that is no XML, the end of the text among them, and passes on what it has read
//! until then as if that were all. For a set of servers that is the worst there is: instances that run would be taken out. So
//! each answer is checked before it is believed.

use aws_sdk_ec2::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut,
        },
    },
    error::BoxError,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use thiserror::Error;
use xmlparser::{ElementEnd, Token, Tokenizer};

/// More bytes than this in one page are no answer: a thousand instances, each with as many and as long tags as EC2 lets it have, are half of
/// it. What is longer is not read to its end, so that memory is bounded.
pub(crate) const MAX_PAGE: usize = 64 << 20;

/// Refuses answers that are not whole, and those that are too long.
#[derive(Debug)]
pub(crate) struct Whole;

/// What is wrong with an answer.
#[derive(Debug, Error)]
pub(crate) enum NotWhole {
    /// It is no UTF-8.
    #[error("the answer is no UTF-8")]
    Text,
    /// It is no XML.
    #[error("the answer is no XML")]
    Xml(#[source] xmlparser::Error),
    /// Something is closed that was not opened, or the other way round.
    #[error("the answer's elements are not closed as they were opened, or it was cut off")]
    Nesting,
    /// It is not there to be looked at.
    #[error("the answer cannot be checked")]
    Unread,
}

impl Intercept for Whole {
    fn name(&self) -> &'static str {
        "Whole"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        let whole = std::mem::replace(body, SdkBody::empty());
        *body = SdkBody::from_body_1_x(Limited::new(whole, MAX_PAGE));
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.output_or_error().is_err() {
            return Ok(());
        }
        check(context.response().body().bytes().ok_or(NotWhole::Unread)?)?;
        Ok(())
    }
}

/// Well-formed, as far as that matters: every element is closed, in order, and there is one root.
fn check(answer: &[u8]) -> Result<(), NotWhole> {
    let text = std::str::from_utf8(answer).map_err(|_| NotWhole::Text)?;
    let mut open: Vec<(&str, &str)> = Vec::new();
    for token in Tokenizer::from(text) {
        match token.map_err(NotWhole::Xml)? {
            Token::ElementStart { prefix, local, .. } => open.push((prefix.as_str(), local.as_str())),
            Token::ElementEnd { end: ElementEnd::Empty, .. } => {
                open.pop();
            }
            Token::ElementEnd { end: ElementEnd::Close(prefix, local), .. } => {
                let opened = open.pop();
                (opened == Some((prefix.as_str(), local.as_str()))).then_some(()).ok_or(NotWhole::Nesting)?;
            }
            _ => {}
        }
    }
    if open.is_empty() { Ok(()) } else { Err(NotWhole::Nesting) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "<?xml version=\"1.0\"?>\n<r a=\"1\"><s/><t>x &amp; y</t><x:u><!-- v --></x:u></r>\n";

    #[test]
    fn a_whole_answer_is_believed() {
        check(WHOLE.as_bytes()).unwrap();
    }

    #[test]
    fn an_answer_that_was_cut_anywhere_is_not() {
        let end = WHOLE.trim_end().len();
        // What comes before the root is nothing to believe or not: the SDK finds no answer in it.
        for cut in WHOLE.find("<r").unwrap() + 2..end {
            assert!(check(&WHOLE.as_bytes()[..cut]).is_err(), "{}", &WHOLE[..cut]);
        }
    }

    #[test]
    fn nonsense_in_the_middle_is_found() {
        for nonsense in
            ["<r><s></t></r>", "<r><s>&<></s></r>", "<r></r></r>", "<r>\u{0}</r>", "<r><s</r>", "</r>"]
        {
            assert!(check(nonsense.as_bytes()).is_err(), "{nonsense:?}");
        }
        assert!(matches!(check(b"<r>\xff</r>"), Err(NotWhole::Text)));
    }
}
