//! Access rules of application credentials: they limit a token to some requests.

use http::Method;

/// A kind of request that a token permits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessRule {
    /// The service type, such as `instance-ha`.
    pub service: String,
    pub method: String,
    /// The path pattern: `*` and `{name}` match one path segment, `**` matches any number of segments.
    pub path: String,
}

impl AccessRule {
    /// True if the rule permits this request to the service of type `service`.
    pub(super) fn covers(&self, service: &str, method: &Method, path: &str) -> bool {
        self.service == service && self.method == method.as_str() && matches(&self.path, path)
    }
}

#[derive(Clone, Copy)]
enum Piece {
    Char(char),
    /// One or more characters other than a slash.
    Segment,
    /// Any characters, including none.
    Rest,
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let (piece, length) = match (c, rest.find('}')) {
            ('*', _) if rest.starts_with("**") => (Some(Piece::Rest), 2),
            ('*', _) => (Some(Piece::Segment), 1),
            ('{', Some(end)) => (Some(Piece::Segment), end + 1),
            // An unpaired brace matches the empty text, as upstream.
            ('{' | '}', _) => (None, 1),
            _ => (Some(Piece::Char(c)), c.len_utf8()),
        };
        pieces.extend(piece);
        rest = rest.get(length..).unwrap_or_default();
    }
    pieces
}

/// True if the whole path matches. Users write the patterns, so the cost is bounded by the product of both lengths.
fn matches(pattern: &str, path: &str) -> bool {
    let pieces = pieces(pattern);
    // at[n]: the pieces before n match the path so far. begun[n]: piece n is a `Segment` that has matched a character.
    let mut at = vec![false; pieces.len() + 1];
    let mut started = vec![false; pieces.len()];
    set(&mut at, 0);
    skip_rests(&pieces, &mut at);
    for c in path.chars() {
        let mut next = vec![false; pieces.len() + 1];
        let mut next_begun = vec![false; pieces.len()];
        for (n, piece) in pieces.iter().enumerate() {
            let is_active = at.get(n) == Some(&true);
            match piece {
                Piece::Char(expected) if is_active && *expected == c => set(&mut next, n + 1),
                Piece::Segment if c != '/' && (is_active || started.get(n) == Some(&true)) => {
                    set(&mut next_begun, n);
                    set(&mut next, n + 1);
                }
                Piece::Rest if is_active => set(&mut next, n),
                Piece::Char(_) | Piece::Segment | Piece::Rest => {}
            }
        }
        skip_rests(&pieces, &mut next);
        at = next;
        started = next_begun;
    }
    at.last() == Some(&true)
}

fn set(flags: &mut [bool], n: usize) {
    if let Some(flag) = flags.get_mut(n) {
        *flag = true;
    }
}

/// Advances past each `**`, because it also matches nothing.
fn skip_rests(pieces: &[Piece], at: &mut [bool]) {
    for (n, piece) in pieces.iter().enumerate() {
        if matches!(piece, Piece::Rest) && at.get(n) == Some(&true) {
            set(at, n + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_access_rules() {
        let cases = [
            ("/v1/notifications", "/v1/notifications", true),
            ("/v1/notifications", "/v1/notifications/x", false),
            ("/v1/notifications", "/v1/notification", false),
            ("/v1/*/notifications", "/v1/0123/notifications", true),
            ("/v1/*/notifications", "/v1//notifications", false),
            ("/v1/*/notifications", "/v1/a/b/notifications", false),
            ("/v1/{project}/segments/{id}", "/v1/p/segments/s", true),
            ("/v1/{project}/segments/{id}", "/v1/p/segments/", false),
            ("/v1/**", "/v1/a/b/c", true),
            ("/v1/**", "/v1/", true),
            ("/v1/**", "/v1", false),
            ("**", "", true),
            ("/**/x", "/a/b/x", true),
            ("/**/x", "/x", false),
            ("/v1/s*", "/v1/segments", true),
            ("/v1/s*", "/v1/s", false),
            ("/v1/s.gments", "/v1/segments", false),
            ("/a{b", "/ab", true),
            ("***", "abc", true),
            ("", "", true),
            ("", "/", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_bounded_time() {
        let pattern = "**a".repeat(60);
        assert!(!matches(
            &pattern,
            &"a".repeat(8000).replace("aaaa", "aaab")[..50]
        ));
        assert!(!matches(&("*".repeat(127) + "x"), &"a".repeat(8000)));
        assert!(matches(&pattern, &"a".repeat(8000)));
    }

    #[test]
    fn service_and_method_count_too() {
        let rule = AccessRule {
            service: "instance-ha".to_owned(),
            method: "POST".to_owned(),
            path: "/v1/notifications".to_owned(),
        };
        let cases = [
            ("instance-ha", Method::POST, true),
            ("instance-ha", Method::GET, false),
            ("compute", Method::POST, false),
        ];
        for (service, method, expected) in cases {
            assert_eq!(
                rule.covers(service, &method, "/v1/notifications"),
                expected,
                "{service} {method}"
            );
        }
    }
}
