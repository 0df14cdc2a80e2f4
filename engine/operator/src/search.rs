//! Search by name or id, and the answers if it finds several matches or none.

use tachi_domain::situation::MIN_ID_PREFIX_LENGTH;

/// The kind of match by which something was found, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MatchQuality {
    Name,
    Id,
    /// The beginning of an id, or no match.
    Beginning,
}

/// Returns the best matches for `query` and their kind: exact names, else a complete id, else ids that start with `query` if it is long
/// enough. `called` returns the id and the name of an item.
pub fn best_matches<T>(
    query: &str,
    all: impl IntoIterator<Item = T>,
    called: impl Fn(&T) -> (String, String),
) -> (MatchQuality, Vec<T>) {
    let query = query.trim();
    let lower = query.to_ascii_lowercase();
    let (mut best, mut found) = (MatchQuality::Beginning, Vec::new());
    for candidate in all {
        let (id, name) = called(&candidate);
        let how = if name == query {
            MatchQuality::Name
        } else if id == lower && !id.is_empty() {
            MatchQuality::Id
        } else if query.len() >= MIN_ID_PREFIX_LENGTH && id.starts_with(&lower) {
            MatchQuality::Beginning
        } else {
            continue;
        };
        if how < best {
            (best, found) = (how, Vec::new());
        }
        if how == best {
            found.push(candidate);
        }
    }
    (best, found)
}

/// Returns the message for several matches, with one line each; `what` is a plural such as hosts or recoveries.
pub fn several_matches(query: &str, what: &str, each: impl IntoIterator<Item = String>) -> String {
    let each: Vec<String> = each.into_iter().map(|line| format!("\n  {line}")).collect();
    format!(
        "{query:?} matches several {what}; name one by its id:{}",
        each.concat()
    )
}

/// Returns the message for no match, with a hint; `what` is a singular such as host or segment.
pub fn no_match(query: &str, what: &str, where_to_look: &str) -> String {
    format!("no {what} has the name {query:?}, or an id that starts with it: {where_to_look}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_comes_before_the_id_and_that_before_the_beginning_of_one() {
        let all = [
            ("beef0001", "beef"),
            ("beef0002", "b"),
            ("beef", "c"),
            ("0001", "twin"),
            ("0002", "twin"),
            ("", "in no segment"),
        ];
        let find = |query: &str, of: &[(&str, &str)]| {
            let called = |one: &(&str, &str)| (one.0.to_owned(), one.1.to_owned());
            let (how, found) = best_matches(query, of.iter().copied(), called);
            let ids: Vec<String> = found.iter().map(|(id, _)| (*id).to_owned()).collect();
            (how, ids.join(" "))
        };
        for (query, of, how, ids) in [
            ("beef", &all[..], MatchQuality::Name, "beef0001"),
            (" beef ", &all[..], MatchQuality::Name, "beef0001"),
            ("beef", &all[1..], MatchQuality::Id, "beef"),
            ("BEEF", &all[1..], MatchQuality::Id, "beef"),
            ("beef", &all[1..2], MatchQuality::Beginning, "beef0002"),
            ("beef0", &all[..], MatchQuality::Beginning, "beef0001 beef0002"),
            ("twin", &all[..], MatchQuality::Name, "0001 0002"),
            ("bee", &all[..], MatchQuality::Beginning, ""),
            ("B", &all[..], MatchQuality::Beginning, ""),
            ("", &all[..], MatchQuality::Beginning, ""),
        ] {
            assert_eq!(find(query, of), (how, ids.to_owned()), "{query:?}");
            // The order of the items does not matter.
            let mut turned = of.to_vec();
            turned.reverse();
            let (again, _) = find(query, &turned);
            assert_eq!(again, how, "{query:?}");
        }
    }
}
