//! A word about everything that a lost failure domain holds.

use serde_json::Value;
use tachi_domain::RecoveryId;
use tachi_domain::recovery::Word;
use tachi_engine::ports::OperatorDesk;
use tachi_engine::ports::operator::{RecoveryFilter, RecoveryState, Said};

use crate::cmd::Failure;

/// Says `word` of every recovery that is held because `domain` was lost as a whole; which, and of which hosts.
///
/// # Errors
///
/// There is none, or the database failed.
pub(crate) async fn say(
    desk: &dyn OperatorDesk,
    domain: &str,
    word: Word,
    by: &str,
) -> Result<Vec<(RecoveryId, String)>, Failure> {
    let wrong = |error| Failure::new("reading the recoveries", error);
    let filter = RecoveryFilter {
        state: Some(RecoveryState::Held),
        ..RecoveryFilter::default()
    };
    let mut heard = Vec::new();
    let mut others = Vec::new();
    for row in desk.find_recoveries(&filter).await.map_err(wrong)? {
        let story = desk.story(row.id).await.map_err(wrong)?;
        let state = story.and_then(|story| story.state).unwrap_or_default();
        match domain_of(&state) {
            Some(found) if found == domain => {
                let said = desk
                    .say(row.id, word, by)
                    .await
                    .map_err(|error| Failure::new("writing the word", error))?;
                // One that has ended meanwhile needs no word.
                if said == Said::Heard {
                    heard.push((row.id, row.host));
                }
            }
            Some(other) if !others.contains(&other) => others.push(other),
            Some(_) | None => {}
        }
    }
    if heard.is_empty() {
        let hint = if others.is_empty() {
            String::new()
        } else {
            format!("; the domains that hold recoveries are: {}", others.join(", "))
        };
        return Err(Failure::told(format!(
            "no recovery is held because of a domain {domain}{hint}"
        )));
    }
    Ok(heard)
}

/// The failure domain in the state of a held recovery.
fn domain_of(state: &str) -> Option<String> {
    let state: Value = serde_json::from_str(state).ok()?;
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
            assert_eq!(domain_of(state).as_deref(), expected, "{state}");
        }
    }
}
