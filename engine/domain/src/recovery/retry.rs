//! A retry of a failed recovery. It makes no claim about the host, because the claims of earlier reports are outdated.

use std::collections::BTreeMap;

use crate::id::RecoveryId;
use crate::timestamp::Timestamp;

/// The field of the notification's payload that names the failed recovery.
const FAILED_RECOVERY_FIELD: &str = "retry_of";

/// The field with the heartbeat that the failed recovery's own change has left in Nova's record, and the last one before it.
const OWN_STAMP_FIELD: &str = "retry_own_stamp";

/// The field with the time when the first attempt was opened, in microseconds.
const FIRST_REPORTED_FIELD: &str = "retry_first_reported";

/// A heartbeat that our own change has made, and the last one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OwnStamp {
    /// The heartbeat as Nova shows it since the change.
    pub made: Timestamp,
    /// The last heartbeat that the host itself sent.
    pub before: Timestamp,
}

/// Returns the payload of another attempt at a host. `NORMAL` stays only with evidence, which later heartbeats can refute.
pub fn payload(
    failed: RecoveryId,
    own_stamp: Option<OwnStamp>,
    has_evidence: bool,
    mut payload: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    payload.insert(FAILED_RECOVERY_FIELD.to_owned(), failed.to_string());
    if !has_evidence {
        payload.insert("host_status".to_owned(), "UNKNOWN".to_owned());
    }
    if let Some(stamp) = own_stamp {
        let text = format!("{} {}", stamp.made.micros(), stamp.before.micros());
        payload.insert(OWN_STAMP_FIELD.to_owned(), text);
    }
    payload
}

/// Adds the time of the first report to the payload.
pub fn note_first_reported(payload: &mut BTreeMap<String, String>, at: Timestamp) {
    payload.insert(FIRST_REPORTED_FIELD.to_owned(), at.micros().to_string());
}

/// Returns the time of the first report, if this is another attempt; `None` if that time is in the future.
pub fn first_reported(payload: &BTreeMap<String, String>, now: Timestamp) -> Option<Timestamp> {
    let at = Timestamp::from_micros(payload.get(FIRST_REPORTED_FIELD)?.parse().ok()?);
    (at <= now).then_some(at)
}

/// True if the payload is of another attempt.
pub fn is_retry(payload: &BTreeMap<String, String>) -> bool {
    payload.contains_key(FAILED_RECOVERY_FIELD)
}

/// Returns the heartbeats that the failed attempt has left in Nova's record.
pub fn own_stamp(payload: &BTreeMap<String, String>) -> Option<OwnStamp> {
    let (made, before) = payload.get(OWN_STAMP_FIELD)?.split_once(' ')?;
    Some(OwnStamp {
        made: Timestamp::from_micros(made.parse().ok()?),
        before: Timestamp::from_micros(before.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn failed() -> RecoveryId {
        RecoveryId(Uuid::from_u128(9))
    }

    fn reported() -> BTreeMap<String, String> {
        [("event", "STOPPED"), ("host_status", "NORMAL")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    /// Covers R31.
    #[test]
    fn a_retry_claims_that_a_host_is_off_only_with_evidence() {
        for (has_evidence, said) in [(false, "UNKNOWN"), (true, "NORMAL")] {
            let again = payload(failed(), None, has_evidence, reported());
            assert_eq!(again["host_status"], said);
            assert_eq!(again["event"], "STOPPED");
            assert!(is_retry(&again) && !is_retry(&reported()));
            assert_eq!(own_stamp(&again), None);
        }
    }

    /// Covers R31.
    #[test]
    fn the_stamp_of_our_own_change_is_carried() {
        let stamp = OwnStamp {
            made: Timestamp::from_micros(9),
            before: Timestamp::from_micros(7),
        };
        let again = payload(failed(), Some(stamp), true, reported());
        assert_eq!(own_stamp(&again), Some(stamp));
        let broken = [(OWN_STAMP_FIELD.to_owned(), "1 x".to_owned())].into();
        assert_eq!(own_stamp(&broken), None);
    }
}
