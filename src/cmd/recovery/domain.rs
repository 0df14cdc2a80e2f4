//! What a lost failure domain holds.

use serde_json::Value;
use tachi_domain::RecoveryId;

use crate::cmd::Failure;

/// Of recoveries that are held, with their hosts and states, those that are because `domain` was lost as a whole.
///
/// # Errors
///
/// There is none.
pub(crate) fn held_by(
    domain: &str,
    held: Vec<(RecoveryId, String, Value)>,
) -> Result<Vec<(RecoveryId, String)>, Failure> {
    let mut found = Vec::new();
    let mut others = Vec::new();
    for (id, host, state) in held {
        match domain_of(&state) {
            Some(of) if of == domain => found.push((id, host)),
            Some(other) if !others.contains(&other) => others.push(other),
            Some(_) | None => {}
        }
    }
    if found.is_empty() {
        let hint = if others.is_empty() {
            String::new()
        } else {
            format!("; the domains that hold recoveries are: {}", others.join(", "))
        };
        return Err(Failure::told(format!(
            "no recovery is held because of a domain {domain}{hint}"
        )));
    }
    Ok(found)
}

/// The failure domain in the state of a held recovery.
fn domain_of(state: &Value) -> Option<String> {
    state.pointer("/hold/domain/name")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_is_found_where_the_engine_writes_it() {
        for (state, expected) in [
            (
                r#"{"hold":{"kind":"storm","domain":{"name":"rack:r7","hosts":2}}}"#,
                Some("rack:r7"),
            ),
            (r#"{"hold":{"kind":"storm","domain":null}}"#, None),
            (r#"{"hold":null}"#, None),
            ("", None),
        ] {
            assert_eq!(
                domain_of(&serde_json::from_str(state).unwrap_or_default()).as_deref(),
                expected,
                "{state}"
            );
        }
    }
}
