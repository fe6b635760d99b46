//! The text of a file, in memory once.

use std::{fmt, sync::Arc};

/// The bytes of a file, in pieces that others may share: a text of 10 MB that is rendered, compared, written and kept for a
/// while is in memory once. Cheap to clone. Equal if the bytes are, wherever one piece ends and the next begins.
///
/// ```
/// use haproxy_runtime::Text;
/// use std::sync::Arc;
///
/// let pieces: Vec<Arc<str>> = vec!["global\n".into(), "\tdaemon\n".into()];
/// let text = Text::from(pieces);
/// assert_eq!((text.len(), text == Text::from("global\n\tdaemon\n")), (15, true));
/// ```
#[derive(Clone, Default)]
pub struct Text {
    /// None of them empty.
    pieces: Arc<[Arc<[u8]>]>,
    bytes: usize,
}

impl Text {
    pub(super) fn of(pieces: impl IntoIterator<Item = Arc<[u8]>>) -> Self {
        let pieces: Arc<[Arc<[u8]>]> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        Self { bytes: pieces.iter().map(|piece| piece.len()).sum(), pieces }
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Hands each line to `take`, with its line feed, until that returns false; the last may have none.
    pub(crate) fn lines(&self, mut take: impl FnMut(&[u8]) -> bool) {
        // Of a line that goes on in the next piece, what there is so far.
        let mut begun: Vec<u8> = Vec::new();
        for line in self.pieces().flat_map(|piece| piece.split_inclusive(|byte| *byte == b'\n')) {
            let goes_on = if line.ends_with(b"\n") && begun.is_empty() {
                take(line)
            } else {
                begun.extend_from_slice(line);
                !line.ends_with(b"\n") || take(&std::mem::take(&mut begun))
            };
            if !goes_on {
                return;
            }
        }
        if !begun.is_empty() {
            take(&begun);
        }
    }

    /// Whether these texts, one after the other, are its bytes.
    pub(crate) fn is(&self, texts: impl IntoIterator<Item = String>) -> bool {
        let (mut ours, mut left) = (self.pieces(), &[][..]);
        for text in texts {
            let mut text = text.as_bytes();
            while !text.is_empty() {
                if left.is_empty() {
                    left = ours.next().unwrap_or_default();
                }
                let both = left.len().min(text.len());
                if both == 0 || left[..both] != text[..both] {
                    return false;
                }
                (left, text) = (&left[both..], &text[both..]);
            }
        }
        left.is_empty() && ours.next().is_none()
    }

    /// The bytes, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(AsRef::as_ref)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        if self.bytes != other.bytes {
            return false;
        }
        let (mut ours, mut theirs) = (self.pieces(), other.pieces());
        let (mut left, mut right): (&[u8], &[u8]) = (&[], &[]);
        loop {
            if left.is_empty() {
                left = ours.next().unwrap_or_default();
            }
            if right.is_empty() {
                right = theirs.next().unwrap_or_default();
            }
            let both = left.len().min(right.len());
            // As long as each other: both end here.
            if both == 0 {
                return true;
            }
            let (a, b) = (&left[..both], &right[..both]);
            // Most pieces are shared: those need not be looked at.
            if !std::ptr::eq(a, b) && a != b {
                return false;
            }
            (left, right) = (&left[both..], &right[both..]);
        }
    }
}

impl Eq for Text {}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.bytes)
    }
}

impl From<Vec<Arc<str>>> for Text {
    fn from(pieces: Vec<Arc<str>>) -> Self {
        Self::of(pieces.into_iter().map(Arc::from))
    }
}

impl From<Vec<u8>> for Text {
    fn from(text: Vec<u8>) -> Self {
        Self::of([text.into()])
    }
}

impl From<Arc<[u8]>> for Text {
    fn from(text: Arc<[u8]>) -> Self {
        Self::of([text])
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        text.as_bytes().into()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<&[u8]> for Text {
    fn from(text: &[u8]) -> Self {
        Self::of([text.into()])
    }
}

impl<const N: usize> From<[u8; N]> for Text {
    fn from(text: [u8; N]) -> Self {
        text.as_slice().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: &[&str]) -> Text {
        pieces.iter().map(|piece| Arc::from(*piece)).collect::<Vec<_>>().into()
    }

    #[test]
    fn texts_are_equal_wherever_their_pieces_end() {
        let whole = Text::from("abcdef");
        for pieces in [&["abcdef"][..], &["", "abc", "", "def"], &["a", "bcde", "f", ""]] {
            assert_eq!(text(pieces), whole, "{pieces:?}");
            assert_eq!(text(pieces), text(&["ab", "cdef"]), "{pieces:?}");
        }
        for pieces in [&["abcdeg"][..], &["abc", "deg"], &["abcde"], &["abcdef", "g"], &[]] {
            assert_ne!(text(pieces), whole, "{pieces:?}");
        }
        assert_eq!(text(&[""]), Text::default());
        assert!(Text::default().is_empty() && !whole.is_empty());
    }
    #[test]
    fn a_text_is_what_others_are_one_after_the_other() {
        let is = |texts: &[&str]| text(&["abc", "def"]).is(texts.iter().map(ToString::to_string));
        assert!(is(&["abcdef"]) && is(&["", "ab", "cde", "f", ""]) && is(&["abc", "def"]));
        for other in [&["abcde"][..], &["abcdef", "g"], &["abc"], &["abc", "deg"], &["bcdef"], &[]] {
            assert!(!is(other), "{other:?}");
        }
        assert!(Text::default().is([]) && Text::default().is([String::new()]));
    }

    #[test]
    fn lines_are_whole_wherever_pieces_end() {
        let lines = |text: &Text| {
            let mut lines = Vec::new();
            text.lines(|line| {
                lines.push(String::from_utf8(line.to_vec()).unwrap());
                true
            });
            lines
        };
        for pieces in [&["a\n\nbc\nd"][..], &["a", "\n", "\nb", "c", "\nd"], &["a\n\n", "bc\n", "d"]] {
            assert_eq!(lines(&text(pieces)), ["a\n", "\n", "bc\n", "d"], "{pieces:?}");
        }
        assert_eq!(lines(&text(&["a\n", "b\n"])), ["a\n", "b\n"]);
        assert_eq!(lines(&Text::default()), [""; 0]);
        let mut count = 0;
        text(&["a\nb", "\nc\n"]).lines(|_| {
            count += 1;
            count < 2
        });
        assert_eq!(count, 2);
    }
}
