//! Resolution of identifiers in paths. UUIDs are compared as texts, so another spelling of a UUID matches nothing. The integer id
//! of a row is accepted too: SDKs send it when a caller passes an object instead of an id.

use tachi_domain::entity::host::HostFilter;
use tachi_domain::entity::notification::NotificationFilter;
use tachi_domain::entity::segment::SegmentFilter;
use tachi_domain::entity::vmove::VmoveFilter;
use tachi_domain::{HostId, NotificationId, SegmentId, VmoveId};
use tachi_engine::ports::RegistryError;
use tachi_engine::ports::registry::{Page, SortKey};
use uuid::Uuid;

use crate::error::{ApiError, ErrorScope};
use crate::request_id::is_canonical;
use crate::state::ApiState;

/// Returns the id of the segment that `text` identifies; `None` if there is none.
pub(super) async fn segment(app: &ApiState, text: &str) -> Result<Option<SegmentId>, ApiError> {
    let Some(row) = row(text) else {
        return Ok(exact(text));
    };
    let filter = SegmentFilter {
        row: Some(row),
        ..SegmentFilter::default()
    };
    let found = app.registry.list_segments(&only(filter)).await;
    let found = found.map_err(|error| ErrorScope::Nothing.refused(error))?;
    Ok(found.first().map(|segment| segment.id))
}

/// Returns the id of the host in this segment that `text` identifies.
pub(super) async fn host(app: &ApiState, segment: SegmentId, text: &str) -> Result<Option<HostId>, ApiError> {
    let Some(row) = row(text) else {
        return Ok(exact(text));
    };
    let filter = HostFilter {
        row: Some(row),
        ..HostFilter::default()
    };
    match app.registry.list_hosts(segment, &only(filter)).await {
        Ok(found) => Ok(found.first().map(|host| host.id)),
        Err(RegistryError::SegmentNotFound { .. }) => Ok(None),
        Err(error) => Err(ErrorScope::Nothing.refused(error)),
    }
}

/// Returns the id of the notification that `text` identifies.
pub(super) async fn notification(app: &ApiState, text: &str) -> Result<Option<NotificationId>, ApiError> {
    let Some(row) = row(text) else {
        return Ok(exact(text));
    };
    let filter = NotificationFilter {
        row: Some(row),
        ..NotificationFilter::default()
    };
    let found = app.registry.list_notifications(&only(filter)).await;
    let found = found.map_err(|error| ErrorScope::Nothing.refused(error))?;
    Ok(found.first().map(|notification| notification.id))
}

/// Returns the id of the vmove of this notification that `text` identifies.
pub(super) async fn vmove(
    app: &ApiState,
    owner: NotificationId,
    text: &str,
) -> Result<Option<VmoveId>, ApiError> {
    let Some(row) = row(text) else {
        return Ok(exact(text));
    };
    let filter = VmoveFilter {
        row: Some(row),
        ..VmoveFilter::default()
    };
    let found = app.registry.list_vmoves(owner, &only(filter)).await;
    let found = found.map_err(|error| ErrorScope::Nothing.refused(error))?;
    Ok(found.first().map(|vmove| vmove.id))
}

fn exact<T: From<Uuid>>(text: &str) -> Option<T> {
    Uuid::parse_str(text)
        .ok()
        .filter(|_| is_canonical(text))
        .map(T::from)
}

/// Parses an integer id without leading zeros or a sign.
pub(super) fn row(text: &str) -> Option<i64> {
    let plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

fn only<F>(filter: F) -> Page<F> {
    Page {
        filter,
        sort: vec![SortKey {
            column: "id".to_owned(),
            descending: false,
        }],
        marker: None,
        limit: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_accepted_in_canonical_form() {
        let cases = [
            ("1", Some(1)),
            ("42", Some(42)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("0", None),
            ("01", None),
            ("+1", None),
            ("-1", None),
            ("1.0", None),
            ("1a", None),
            ("", None),
            ("\u{661}", None),
        ];
        for (text, expected) in cases {
            assert_eq!(row(text), expected, "{text:?}");
        }
    }
}
