//! Long lists in statements. The text of a statement tells how many it is about, and of each text that was used lately every connection
//! keeps what the database made of it; of one with lists of five hundred `SQLite` keeps a quarter of a MiB.

/// So many are asked about in one statement.
const MOST: usize = 256;

/// All of them, so many at a time, in few lengths.
pub(crate) fn batches<T: Clone>(all: &[T]) -> impl Iterator<Item = Vec<T>> {
    all.chunks(MOST).map(padded)
}

/// The last is named again, up to a power of two.
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
        for count in 0..=3 * MOST {
            let all: Vec<usize> = (0..count).collect();
            let mut asked = Vec::new();
            for batch in batches(&all) {
                lengths.insert(batch.len());
                asked.extend(batch);
            }
            asked.dedup();
            assert_eq!(asked, all);
        }
        assert_eq!(lengths.len(), 9, "{lengths:?}");
    }
}
