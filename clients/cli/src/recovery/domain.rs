//! Recoveries that are on hold because a failure domain was lost.

use serde_json::Value;
use tachi_domain::RecoveryId;
use tachi_domain::count;
use tachi_operator::Failure;

/// The recoveries that are on hold because a failure domain was lost as a whole.
#[derive(Debug)]
pub struct DomainHolds {
    /// The recoveries, with their hosts.
    pub recoveries: Vec<(RecoveryId, String)>,
    /// Number of hosts in the domain.
    hosts: u64,
}

impl DomainHolds {
    /// Returns a note for the operator if not every host of the domain was on hold: the action did not apply to the others.
    pub fn missing(&self, domain: &str) -> Option<String> {
        let holds = u64::try_from(self.recoveries.len()).unwrap_or(u64::MAX);
        (holds < self.hosts).then(|| {
            format!(
                "{holds} of the {} of {domain} {} on hold for it: the others were not reported, are done, or have not detected the loss of \
                 the domain yet; in a few seconds `tachi recovery list --state held` lists those that need the action again",
                count(self.hosts, "host", "hosts"),
                if holds == 1 { "was" } else { "were" }
            )
        })
    }
}

/// Selects those recoveries on hold that wait because `domain` was lost as a whole. `holds` has their hosts and states.
///
/// # Errors
///
/// No recovery is on hold because of `domain`.
pub fn holds_of(domain: &str, holds: Vec<(RecoveryId, String, Value)>) -> Result<DomainHolds, Failure> {
    let mut found = Vec::new();
    let mut others = Vec::new();
    let mut hosts = 0;
    for (id, host, state) in holds {
        match domain_of(&state) {
            Some(of) if of == domain => {
                let has = state.pointer("/hold/domain/hosts").and_then(Value::as_u64);
                hosts = has.unwrap_or(0).max(hosts);
                found.push((id, host));
            }
            Some(other) if !others.contains(&other) => others.push(other),
            Some(_) | None => {}
        }
    }
    if found.is_empty() {
        let hint = if others.is_empty() {
            String::new()
        } else {
            format!("; domains with recoveries on hold: {}", others.join(", "))
        };
        return Err(Failure::from_text(format!(
            "no recovery is on hold because of domain {domain}{hint}"
        )));
    }
    Ok(DomainHolds {
        recoveries: found,
        hosts,
    })
}

/// Returns the failure domain in the state of a recovery on hold.
fn domain_of(state: &Value) -> Option<String> {
    state.pointer("/hold/domain/name")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_reaches_a_part_of_the_domain_says_so() {
        let of = |name: &str, lost: &str| {
            let state = format!(
                r#"{{"hold":{{"kind":"storm","domain":{{"name":"{name}","hosts":3,"lost":{lost}}}}}}}"#
            );
            (
                RecoveryId(uuid::Uuid::nil()),
                "c".to_owned(),
                serde_json::from_str(&state).unwrap_or_default(),
            )
        };
        let three = vec![of("r", "3"), of("r", "3"), of("r", "3")];
        assert_eq!(holds_of("r", three).unwrap().missing("r"), None);
        let storm = serde_json::json!({"hold": {"kind": "storm", "domain": null}});
        let two = vec![
            of("r", "3"),
            of("r", "3"),
            (RecoveryId(uuid::Uuid::nil()), "d".into(), storm),
        ];
        let message = holds_of("r", two).unwrap().missing("r").unwrap();
        assert!(message.starts_with("2 of the 3 hosts of r"), "{message}");
    }

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
