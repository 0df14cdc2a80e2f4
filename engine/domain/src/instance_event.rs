//! Events of an instance, as monitors name them.

use std::collections::BTreeMap;

/// Returns a payload value in upper case, because monitors use both cases.
pub(crate) fn payload_value(payload: &BTreeMap<String, String>, key: &str) -> String {
    payload
        .get(key)
        .map(|payload_value| payload_value.to_ascii_uppercase())
        .unwrap_or_default()
}

/// True for the events of a failed instance. All others are ignored.
pub(crate) fn is_failure(event: &str, detail: &str) -> bool {
    matches!(
        (event, detail),
        ("LIFECYCLE" | "QEMU_GUEST_AGENT_ERROR", "STOPPED_FAILED") | ("IO_ERROR", "IO_ERROR_REPORT")
    )
}

/// True if a notification's payload reports that an instance has failed.
pub(crate) fn reports_failure(payload: &BTreeMap<String, String>) -> bool {
    is_failure(
        &payload_value(payload, "event"),
        &payload_value(payload, "vir_domain_event"),
    )
}
