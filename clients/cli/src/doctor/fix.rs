//! The checks that `tachi doctor --fix` can mend.

/// A fix for a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Puts hosts of Nova into segments.
    Segments,
    /// Closes files with secrets to others.
    Files,
}

impl Fix {
    /// Returns the fix for the check of this name, if there is one.
    pub fn of(check: &str) -> Option<Self> {
        match check {
            "no-hosts" | "host-not-in-segment" => Some(Self::Segments),
            "configuration" => Some(Self::Files),
            _ => None,
        }
    }
}

/// True if there is a fix for the check.
pub fn is_fixable(check: &str) -> bool {
    Fix::of(check).is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::finding_checks;
    use super::*;

    #[test]
    fn what_is_mended_are_checks_that_there_are() {
        let mut names: BTreeSet<String> = finding_checks::codes().map(finding_checks::name_of).collect();
        names.insert("configuration".to_owned());
        let fixed: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| Fix::of(name).is_some())
            .collect();
        assert_eq!(fixed, ["configuration", "host-not-in-segment", "no-hosts"]);
    }
}
