//! Places in a text that was made of another.

use std::ops::Range;

/// From a place in a text that was made of another to the place there. Without a cut both are the same.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// In the order of the text, none overlapping. All offsets are in characters.
    cuts: Vec<Cut>,
    /// Where each line begins in the text that was made, and where one more would.
    made: Vec<usize>,
    /// The same of the text that it was made of.
    source: Vec<usize>,
}

/// A part of the source that something else stands for.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    pub(super) source: Range<usize>,
    pub(super) made: Range<usize>,
    /// Whether it is not to be shown.
    pub(super) hidden: bool,
}

impl Places {
    /// The places of `made`, which is `source` but for the `cuts`.
    pub(super) fn new(source: &str, made: &str, cuts: Vec<Cut>) -> Self {
        Self { cuts, made: beginnings(made), source: beginnings(source) }
    }

    /// The line and the column in the source, from 1: of what is inside of a cut, where the cut begins. A place behind the end of a
    /// line is one at its end.
    pub(super) fn of(&self, line: u32, column: u32) -> (u32, u32) {
        if self.cuts.is_empty() {
            return (line, column);
        }
        let offset = self.back(offset(&self.made, line, column));
        let line = self.source.partition_point(|beginning| *beginning <= offset).max(1);
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        (number(line), number(offset - self.source[line - 1]).saturating_add(1))
    }

    fn back(&self, offset: usize) -> usize {
        let before = self.cuts.partition_point(|cut| cut.made.start <= offset);
        match self.cuts[..before].last() {
            Some(cut) if offset < cut.made.end => cut.source.start,
            Some(cut) => cut.source.end + (offset - cut.made.end),
            None => offset,
        }
    }

    /// Whether something hidden is among `length` characters from `start` of the text that was made.
    pub(super) fn hides(&self, start: u64, length: u64) -> bool {
        let from = usize::try_from(start).unwrap_or(usize::MAX);
        let to = from.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        let first = self.cuts.partition_point(|cut| cut.made.end <= from);
        let touched = self.cuts[first..].iter().take_while(|cut| cut.made.start < to);
        touched.into_iter().any(|cut| cut.hidden && !cut.made.is_empty())
    }
}

/// Where each line begins, and at the end where one more would.
fn beginnings(text: &str) -> Vec<usize> {
    let mut beginnings = vec![0];
    let mut length = 0;
    for (offset, c) in text.chars().enumerate() {
        length = offset + 1;
        if c == '\n' {
            beginnings.push(length);
        }
    }
    beginnings.push(length + 1);
    beginnings
}

fn offset(beginnings: &[usize], line: u32, column: u32) -> usize {
    let index = |number: u32| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
    let line = index(line).min(beginnings.len() - 2);
    beginnings[line].saturating_add(index(column)).min(beginnings[line + 1] - 1)
}
