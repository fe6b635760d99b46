//! Where the columns of a table are.

/// Where those columns are that matter, `N` of them, in a table that names its columns: their number and order are the
/// version's.
#[derive(Debug)]
pub(crate) struct Columns<const N: usize> {
    /// For each column its place among those that matter.
    places: Box<[Option<usize>]>,
}

impl<const N: usize> Columns<N> {
    /// Finds `wanted` among the names of all columns; `None` if one is not there.
    pub(crate) fn find<'a>(names: impl Iterator<Item = &'a str>, wanted: [&str; N]) -> Option<Self> {
        let mut missing = [true; N];
        let places = names.map(|name| {
            let place = wanted.iter().position(|wanted| *wanted == name)?;
            // Of two columns of one name, the first counts.
            std::mem::replace(&mut missing[place], false).then_some(place)
        });
        let places = places.collect();
        (!missing.contains(&true)).then_some(Self { places })
    }

    /// The place of a column among those that matter, if it is one of them.
    pub(crate) fn place(&self, column: usize) -> Option<usize> {
        *self.places.get(column)?
    }

    /// How many columns there are in all.
    pub(crate) fn count(&self) -> usize {
        self.places.len()
    }
}
