//! Operations on notifications and their vmoves.

use std::borrow::Cow;

use http::Method;
use tachi_domain::entity::notification::NewNotification;
use tachi_domain::entity::{Notification, Vmove};

use super::{DEFAULT_OPERATION, Filter, FilterKind, Link, List, Operation, RequestBody, Success, exact};
use crate::openapi::schemas;

const NO_NOTIFICATION: (u16, &str) = (404, "No notification has this id.");
const NEW_NOTIFICATION: &[(&str, &str)] =
    &[("notification", "$response.body#/notification/notification_uuid")];

const NOTIFICATIONS: List = List {
    sort_keys: Notification::SORT_KEYS,
    filters: &[
        exact("status", "Only those in this status"),
        exact("type", "Only those of this type"),
        exact("source_host_uuid", "Only those from the host with this UUID"),
        Filter {
            name: "generated-since",
            kind: FilterKind::Time,
            about: "Only those generated at or after this time. A `+` must be escaped",
        },
    ],
};

const VMOVES: List = List {
    sort_keys: Vmove::SORT_KEYS,
    filters: &[
        exact("status", "Only those in this status"),
        exact("type", "Only those of this type"),
    ],
};

pub(super) fn notifications() -> Vec<Operation> {
    let plain = || Operation {
        tag: "notifications",
        path: "/v1/notifications/{notification}",
        ..DEFAULT_OPERATION
    };
    let links: &[Link] = &[
        ("show", "showNotification", NEW_NOTIFICATION),
        ("vmoves", "listVmoves", NEW_NOTIFICATION),
    ];
    vec![
        Operation {
            path: "/v1/notifications",
            id: Cow::Borrowed("listNotifications"),
            summary: "List notifications",
            list: Some(NOTIFICATIONS),
            success: Success::Many("notifications", "Notification"),
            ..plain()
        },
        Operation {
            method: Method::POST,
            path: "/v1/notifications",
            id: Cow::Borrowed("createNotification"),
            summary: "Report a failure",
            about: "An accepted notification is never lost. 400 if no segment has a host with this name: monitors do \
                not retry such a report. Users that the policy rule `tachi:evidence:create` admits may send the \
                header `X-Tachi-Fence-Evidence` with fence evidence in base64.",
            body: Some(RequestBody {
                schema: schemas::body::<NewNotification>,
                examples: schemas::notification_examples,
            }),
            success: Success::One(202, "notification", "Notification", links),
            refusals: &[
                (
                    403,
                    "The policy does not allow it; or, by `[api] reporter_binding`, the reporter is bound to another \
                     host, to two hosts, or to none. The message has the reason and the remedy.",
                ),
                (
                    409,
                    "The host is in maintenance, or the same failure was reported within \
                     `duplicate_notification_detection_interval`.",
                ),
                (
                    429,
                    "A reporter without admin rights has created more than `[api] notifications_per_segment` \
                     notifications for one segment in a minute; `Retry-After` has the time to wait.",
                ),
            ],
            ..plain()
        },
        Operation {
            id: Cow::Borrowed("showNotification"),
            summary: "Show a notification",
            success: Success::One(200, "notification", "Notification", &[]),
            refusals: &[NO_NOTIFICATION],
            ..plain()
        },
        Operation {
            path: "/v1/notifications/{notification}/vmoves",
            tag: "vmoves",
            id: Cow::Borrowed("listVmoves"),
            summary: "List the moves of a notification's instances",
            about: "400 if the notification is not about a host.",
            list: Some(VMOVES),
            success: Success::Many("vmoves", "Vmove"),
            refusals: &[NO_NOTIFICATION],
            ..plain()
        },
        Operation {
            path: "/v1/notifications/{notification}/vmoves/{vmove}",
            tag: "vmoves",
            id: Cow::Borrowed("showVmove"),
            summary: "Show the move of an instance",
            about: "400 if the notification is not about a host.",
            success: Success::One(200, "vmove", "Vmove", &[]),
            refusals: &[(404, "No notification has this id, or it has no such move.")],
            ..plain()
        },
    ]
}
