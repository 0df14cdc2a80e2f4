//! Cycles in the references between rules.

use std::collections::{BTreeMap, BTreeSet};

/// Returns the names that lie on a cycle or lead into one. Walks every edge once.
pub(crate) fn circular<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    // Repeatedly removes rules without remaining references; the rules that remain are on a cycle or lead into one.
    let mut referred_by: BTreeMap<&str, Vec<&'a str>> = BTreeMap::new();
    let mut left: BTreeMap<&'a str, usize> = BTreeMap::new();
    let mut ready = Vec::new();
    for (&rule, references) in edges {
        let known = references.iter().filter(|name| edges.contains_key(*name));
        let mut count = 0;
        for &name in known {
            referred_by.entry(name).or_default().push(rule);
            count += 1;
        }
        left.insert(rule, count);
        if count == 0 {
            ready.push(rule);
        }
    }
    while let Some(done) = ready.pop() {
        left.remove(done);
        for &rule in referred_by.get(done).into_iter().flatten() {
            if let Some(count) = left.get_mut(rule) {
                *count -= 1;
                if *count == 0 {
                    ready.push(rule);
                }
            }
        }
    }
    left.into_keys().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Edges = &'static [(&'static str, &'static [&'static str])];

    #[test]
    fn cycles_are_found() {
        let cases: [(&str, Edges, &[&str]); 5] = [
            ("none", &[("a", &["b"]), ("b", &[])], &[]),
            ("itself", &[("a", &["a"]), ("b", &[])], &["a"]),
            ("two", &[("a", &["b"]), ("b", &["a"])], &["a", "b"]),
            ("into one", &[("a", &["b"]), ("b", &["b"])], &["a", "b"]),
            (
                "diamond",
                &[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &["x"])],
                &[],
            ),
        ];
        for (name, edges, expected) in cases {
            let edges = edges
                .iter()
                .map(|(rule, references)| (*rule, references.iter().copied().collect()))
                .collect();
            assert_eq!(circular(&edges), expected.iter().copied().collect(), "{name}");
        }
    }
}
