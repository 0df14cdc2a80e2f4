//! The nearest known name, for "did you mean" hints.

/// Maximum length of compared names: the cost grows with the product of the lengths.
const MAX_NAME_LENGTH: usize = 64;

/// Returns the candidate that differs least from `name`, if the difference may be a typing error.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).clamp(1, 4);
    let scored = candidates.into_iter().filter(|candidate| *candidate != name);
    let scored = scored.filter_map(|candidate| Some((distance(name, candidate)?, candidate)));
    scored
        .filter(|(score, _)| *score <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns the number of insertions, deletions, replacements and swaps of neighbours that turn one name into the other.
fn distance(a: &str, b: &str) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (
        a.to_lowercase().chars().collect(),
        b.to_lowercase().chars().collect(),
    );
    if a.len() > MAX_NAME_LENGTH || b.len() > MAX_NAME_LENGTH {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&row, j) + usize::from(x != y))
                .min(at(&row, j + 1) + 1)
                .min(at(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names() {
        let known = [
            "transport_url",
            "debug",
            "connection",
            "max_retries",
            "retry_interval",
        ];
        for (name, typed, expected) in [
            ("missing letter", "transport_ur", Some("transport_url")),
            ("swapped letters", "conneciton", Some("connection")),
            ("case", "DEBUG", Some("debug")),
            ("plural", "max_retry", Some("max_retries")),
            ("far away", "colour", None),
            ("itself", "debug", None),
            ("empty", "", None),
        ] {
            assert_eq!(nearest(typed, known), expected, "{name}");
        }
        assert_eq!(nearest(&"x".repeat(100), known), None);
    }

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "abd", 1),
            ("ab", "ba", 1),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), Some(expected), "{a} {b}");
        }
    }
}
