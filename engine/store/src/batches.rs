//! Long lists in statements.
//!
//! A statement's text depends on the number of its values, and each connection caches the prepared form of recent
//! texts. For a text with lists of five hundred values, `SQLite` caches a quarter of a MiB.

/// Limit of values in one statement.
const MAX_BATCH: usize = 256;

/// Splits a list into batches with few different lengths.
pub(crate) fn batches<T: Clone>(all: &[T]) -> impl Iterator<Item = Vec<T>> {
    all.chunks(MAX_BATCH).map(padded)
}

/// Pads a list to a power of two by repeating its last item.
pub(crate) fn padded<T: Clone>(all: &[T]) -> Vec<T> {
    let mut padded = all.to_vec();
    if let Some(last) = all.last() {
        padded.resize(all.len().next_power_of_two(), last.clone());
    }
    padded
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_are_asked_about_in_few_lengths() {
        let mut lengths = BTreeSet::new();
        for count in 0..=3 * MAX_BATCH {
            let all: Vec<usize> = (0..count).collect();
            let mut requested = Vec::new();
            for batch in batches(&all) {
                lengths.insert(batch.len());
                requested.extend(batch);
            }
            requested.dedup();
            assert_eq!(requested, all);
        }
        assert_eq!(lengths.len(), 9, "{lengths:?}");
    }
}
