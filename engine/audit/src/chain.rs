//! The form of a line, and how one hangs on the one before it.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What the first line of a chain hangs on.
pub(crate) const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Between what is hashed and the hash: the last member of every line.
const SEAL: &str = ",\"hash\":\"";

/// Where a chain has got to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The number of the last line.
    pub(crate) seq: u64,
    /// Its hash.
    pub(crate) hash: String,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            seq: 0,
            hash: NOTHING.to_owned(),
        }
    }
}

/// What of a line its place in the chain is read from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Line {
    /// Counted from 1 over the whole chain, through all rotated files.
    pub seq: u64,
    /// The hash of the line before.
    pub prev_hash: String,
    /// The line's own hash.
    pub hash: String,
}

/// Seals `members`, a JSON object without its closing brace, as the line after `head`. Gives the line with its end, and the
/// head as it is then.
pub(crate) fn seal(
    head: &Head,
    at: &str,
    actor: &str,
    entry: &impl Serialize,
) -> serde_json::Result<(String, Head)> {
    #[derive(Serialize)]
    struct Body<'a, E> {
        seq: u64,
        ts: &'a str,
        actor: &'a str,
        #[serde(flatten)]
        entry: &'a E,
        prev_hash: &'a str,
    }
    let seq = head.seq.saturating_add(1);
    let mut line = serde_json::to_string(&Body {
        seq,
        ts: at,
        actor,
        entry,
        prev_hash: &head.hash,
    })?;
    line.pop();
    let hash = hash_of(&line);
    line.push_str(SEAL);
    line.push_str(&hash);
    line.push_str("\"}\n");
    Ok((line, Head { seq, hash }))
}

/// Reads a line back, without its end; an error says what is wrong with it by itself.
pub(crate) fn open(line: &[u8]) -> Result<Line, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not text".to_owned())?;
    let parsed: Line =
        serde_json::from_str(text).map_err(|error| format!("it is no line of an audit log: {error}"))?;
    let (sealed, _) = text
        .rsplit_once(SEAL)
        .ok_or_else(|| "it does not end with its hash".to_owned())?;
    if hash_of(sealed) != parsed.hash {
        return Err("its hash is not that of its text: it was changed".to_owned());
    }
    Ok(parsed)
}

fn hash_of(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_hangs_on_the_one_before_and_any_change_of_it_shows() {
        let (first, head) = seal(
            &Head::default(),
            "t",
            "engine",
            &json!({"text": "a \",\"hash\":\" b"}),
        )
        .unwrap();
        let (second, after) = seal(&head, "t", "engine", &json!({"text": "two"})).unwrap();
        let opened = open(second.trim_end().as_bytes()).unwrap();
        assert_eq!(
            (opened.seq, &opened.prev_hash, &opened.hash),
            (2, &head.hash, &after.hash)
        );
        assert!(
            open(first.trim_end().as_bytes()).is_ok(),
            "the seal within a text is none"
        );
        for at in 0..first.trim_end().len() {
            let mut changed = first.trim_end().as_bytes().to_vec();
            changed[at] ^= 1;
            assert!(open(&changed).is_err(), "byte {at}");
        }
    }
}
