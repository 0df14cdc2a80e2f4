//! The form of a line, and its link to the previous line.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::hex;
use crate::keys::Keys;

/// Predecessor hash of a chain's first line.
pub(crate) const GENESIS_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The separator before the hash, which is the last field of every line.
const SEAL: &str = ",\"hash\":\"";

/// The last line of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The number of the last line.
    pub(crate) seq: u64,
    pub(crate) hash: String,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            seq: 0,
            hash: GENESIS_HASH.to_owned(),
        }
    }
}

/// The fields of a line that link it into the chain.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Line {
    /// The number, counted from 1 over the whole chain, through all rotated files.
    pub seq: u64,
    /// The hash of the previous line.
    pub prev_hash: String,
    /// The line's own hash.
    pub hash: String,
    /// The id of the key that seals the line.
    #[serde(default)]
    pub key: Option<String>,
}

/// Seals `members`, a JSON object without its closing brace, as the line after `head`, with the newest of `keys`, if
/// any. Returns the line with its line end, and the new head.
pub(crate) fn seal(
    head: &Head,
    at: &str,
    actor: &str,
    entry: &impl Serialize,
    keys: Option<&Keys>,
) -> serde_json::Result<(String, Head)> {
    #[derive(Serialize)]
    struct Body<'a, E> {
        seq: u64,
        ts: &'a str,
        actor: &'a str,
        #[serde(flatten)]
        entry: &'a E,
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<&'a str>,
        prev_hash: &'a str,
    }
    let seq = head.seq.saturating_add(1);
    let key = keys.map(Keys::newest);
    let mut line = serde_json::to_string(&Body {
        seq,
        ts: at,
        actor,
        entry,
        key,
        prev_hash: &head.hash,
    })?;
    line.pop();
    let hash = hash_of(&line, keys, key).unwrap_or_default();
    line.push_str(SEAL);
    line.push_str(&hash);
    line.push_str("\"}\n");
    Ok((line, Head { seq, hash }))
}

/// The result of checking a line's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HashCheck {
    /// The plain hash of the text, which anyone can compute.
    Plain,
    /// The hash of the text with a key of this age, 0 for the newest.
    Keyed(usize),
    /// The line needs a key that is not available.
    No,
}

/// Parses a line without its line end. The error is a defect of the line.
pub(crate) fn open(line: &[u8], keys: Option<&Keys>) -> Result<(Line, HashCheck), String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8 text".to_owned())?;
    let parsed: Line =
        serde_json::from_str(text).map_err(|error| format!("it is not a line of an audit log: {error}"))?;
    let (sealed, _) = text
        .rsplit_once(SEAL)
        .ok_or_else(|| "it does not end with its hash".to_owned())?;
    let checked = match (parsed.key.as_deref(), keys) {
        (None, _) => HashCheck::Plain,
        (Some(_), None) => return Ok((parsed, HashCheck::No)),
        (Some(id), Some(keys)) => HashCheck::Keyed(
            keys.age_of(id)
                .ok_or_else(|| format!("it is sealed with key {id:?}, which is missing in the key file"))?,
        ),
    };
    if hash_of(sealed, keys, parsed.key.as_deref()).is_none_or(|hash| hash != parsed.hash) {
        return Err(
            "its hash does not match its text: it was changed, or written without the key".to_owned(),
        );
    }
    Ok((parsed, checked))
}

fn hash_of(text: &str, keys: Option<&Keys>, key: Option<&str>) -> Option<String> {
    match key {
        None => Some(hex::text(&Sha256::digest(text.as_bytes()))),
        Some(key) => keys?.seal(key, text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_contains_the_previous_hash_and_any_change_is_detected() {
        let (first, head) = seal(
            &Head::default(),
            "t",
            "engine",
            &json!({"text": "a \",\"hash\":\" b"}),
            None,
        )
        .unwrap();
        let (second, after) = seal(&head, "t", "engine", &json!({"text": "two"}), None).unwrap();
        let (opened, _) = open(second.trim_end().as_bytes(), None).unwrap();
        assert_eq!(
            (opened.seq, &opened.prev_hash, &opened.hash),
            (2, &head.hash, &after.hash)
        );
        assert!(
            open(first.trim_end().as_bytes(), None).is_ok(),
            "a seal inside a text is ignored"
        );
        for at in 0..first.trim_end().len() {
            let mut changed = first.trim_end().as_bytes().to_vec();
            changed[at] ^= 1;
            assert!(open(&changed, None).is_err(), "byte {at}");
        }
    }
}
