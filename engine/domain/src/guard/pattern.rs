//! Name patterns with `*` for any characters and `?` for one.

/// True if `name` matches `pattern`. The running time is bounded by the product of their lengths.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut matched) = (0, 0);
    // The position of the last star, and the end of the part of the name that it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while let Some(letter) = name.get(matched) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, matched));
                at += 1;
            }
            Some(expected) if *expected == '?' || expected == letter => {
                at += 1;
                matched += 1;
            }
            Some(_) | None => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                at = place + 1;
                matched = taken + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("compute-1", "compute-1", true),
            ("compute-1", "compute-10", false),
            ("compute-*", "compute-", true),
            ("*-1", "compute-1", true),
            ("*-1", "compute-1-2", false),
            ("c*e*-?", "compute-7", true),
            ("c*e*-?", "compute-17", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("?", "", false),
            ("rack*ü?", "rack-7-üx", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        assert!(
            !matches(&"*a".repeat(2_000), &"b".repeat(2_000)),
            "hostile patterns end too"
        );
    }
}
