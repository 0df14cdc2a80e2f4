//! Operations on notifications and their vmoves.

use std::borrow::Cow;

use http::Method;
use tachi_domain::entity::notification::NewNotification;
use tachi_domain::entity::{Notification, Vmove};

use super::{Filter, FilterKind, Link, List, Operation, PLAIN, Sent, Success, exact};
use crate::openapi::schemas;

const NO_NOTIFICATION: (u16, &str) = (404, "There is no such notification.");
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
        ..PLAIN
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
            about: "Once it is accepted it is never lost. 400 if no segment has a host of this name: monitors give such a \
                    report up. A user whom policy rule `tachi:evidence:create` admits may send the header \
                    `X-Tachi-Fence-Evidence`: base64 of what is known of the host's fence.",
            body: Some(Sent {
                schema: schemas::body::<NewNotification>,
                examples: schemas::notification_examples,
            }),
            success: Success::One(202, "notification", "Notification", links),
            refusals: &[
                (
                    403,
                    "The policy does not allow it; or, by `[api] reporter_binding`, the reporter is bound to another host, to two \
                     hosts, or to none. The message says which, and what to do.",
                ),
                (
                    409,
                    "The host is in maintenance, or the same was reported within `duplicate_notification_detection_interval`.",
                ),
                (
                    429,
                    "Somebody who is no administrator has created more than `[api] notifications_per_segment` for one segment \
                     in a minute; `Retry-After` says how long to wait.",
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
            refusals: &[(404, "There is no such notification, or it has no such move.")],
            ..plain()
        },
    ]
}
