//! The registry's errors as API errors, with Masakari's messages.

use tachi_engine::ports::RegistryError;

use super::ApiError;

/// The change requested for a segment or host.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verb {
    Update,
    Delete,
}

/// The subject of a call to the registry. Error messages use the names that the caller used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ErrorScope<'a> {
    /// A list, or an object that does not exist yet.
    Nothing,
    /// This segment: read, or the parent of a list.
    Segment(&'a str),
    /// A change of this segment.
    ChangedSegment(&'a str, Verb),
    /// A change of this host of this segment.
    ChangedHost {
        segment: &'a str,
        host: &'a str,
        verb: Verb,
    },
    /// A new notification from this host, of this type.
    Notification { hostname: &'a str, kind: &'static str },
}

impl ErrorScope<'_> {
    /// Returns the API error for `error`.
    pub(crate) fn refused(self, error: RegistryError) -> ApiError {
        match error {
            RegistryError::MarkerNotFound { marker } => marker_not_found(&marker.to_string()),
            RegistryError::SegmentNotFound { segment } => match self {
                Self::Segment(id) | Self::ChangedSegment(id, _) => no_segment(id),
                Self::ChangedHost { segment, host, .. } => no_host_in(host, segment),
                Self::Nothing | Self::Notification { .. } => no_segment(&segment.to_string()),
            },
            RegistryError::HostNotFound { host, segment } => match self {
                Self::ChangedHost { segment, host, .. } => no_host_in(host, segment),
                Self::Nothing | Self::Segment(_) | Self::ChangedSegment(..) | Self::Notification { .. } => {
                    no_host_in(&host.to_string(), &segment.to_string())
                }
            },
            RegistryError::SegmentExists { name } => {
                conflict(format!("Failover segment with name {name} already exists."))
            }
            RegistryError::HostExists { name } => conflict(format!("Host with name {name} already exists.")),
            RegistryError::InUse => self.in_use(),
            RegistryError::UnknownHostName { name } => {
                // 400, not 404: monitors give up on a report after 400 and retry it after 404.
                ApiError::bad_request(format!("Host with name {name} could not be found."))
            }
            RegistryError::OnMaintenance { name } => conflict(match self {
                Self::Notification { hostname, kind } => format!(
                    "Notification received from host {hostname} of type '{kind}' is ignored as the host is \
                     already under maintenance."
                ),
                Self::Nothing | Self::Segment(_) | Self::ChangedSegment(..) | Self::ChangedHost { .. } => {
                    format!("Host {name} is under maintenance.")
                }
            }),
            RegistryError::Duplicate => conflict(match self {
                Self::Notification { hostname, kind } => {
                    format!("Notification received from host {hostname} of type {kind} is duplicate.")
                }
                Self::Nothing | Self::Segment(_) | Self::ChangedSegment(..) | Self::ChangedHost { .. } => {
                    "The request is a duplicate.".to_owned()
                }
            }),
            error @ RegistryError::Unavailable { .. } => ApiError::Unavailable {
                service: "The database",
                source: Box::new(error),
            },
            error @ RegistryError::Database { .. } | error => ApiError::Internal {
                source: Box::new(error),
            },
        }
    }

    fn in_use(self) -> ApiError {
        let tail = "as it is in-use to process notifications.";
        conflict(match self {
            Self::ChangedSegment(id, Verb::Update) => {
                format!("Failover segment {id} can't be updated {tail}")
            }
            Self::ChangedSegment(id, Verb::Delete) => {
                format!("Failover segment ({id}) can't be deleted {tail}")
            }
            Self::ChangedHost {
                host,
                verb: Verb::Update,
                ..
            } => format!("Host {host} can't be updated {tail}"),
            Self::ChangedHost {
                host,
                verb: Verb::Delete,
                ..
            } => format!("Host {host} can't be deleted {tail}"),
            Self::Nothing | Self::Segment(_) | Self::Notification { .. } => {
                format!("The failover segment can't be changed {tail}")
            }
        })
    }
}

/// 400 for a marker that matches no row or is not a number.
pub(crate) fn marker_not_found(marker: &str) -> ApiError {
    ApiError::bad_request(format!("Marker {marker} could not be found."))
}

/// 404 for a segment.
pub(crate) fn no_segment(id: &str) -> ApiError {
    ApiError::not_found(format!("No failover segment with id {id}."))
}

/// 404 for a host that is not in the segment.
pub(crate) fn no_host_in(host: &str, segment: &str) -> ApiError {
    ApiError::not_found(format!(
        "Host '{host}' under failover_segment '{segment}' could not be found."
    ))
}

fn conflict(message: String) -> ApiError {
    ApiError::Conflict { message }
}
