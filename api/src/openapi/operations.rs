//! A line of words for every route.

use std::borrow::Cow;

use http::Method;
use serde_json::{Value, json};
use tachi_domain::entity::host::HostChange;
use tachi_domain::entity::notification::NewNotification;
use tachi_domain::entity::segment::{NewSegment, SegmentChange};
use tachi_domain::entity::{Host, Notification, Segment, Vmove};

use super::schemas;
use crate::routes::{RouteInfo, routes};
use crate::wire::host::HostBody;

/// What can be done to a path.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) id: Cow<'static, str>,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) about: &'static str,
    pub(super) list: Option<List>,
    pub(super) body: Option<Sent>,
    pub(super) success: Success,
    /// Statuses that not every route has, and when they are given.
    pub(super) refusals: &'static [(u16, &'static str)],
}

impl Operation {
    /// The policy rule of its route.
    pub(super) fn rule(&self) -> Option<&'static str> {
        let found = routes()
            .into_iter()
            .find(|route| route.method == self.method && route.path == self.path);
        found?.rule
    }
}

/// What a list takes beside paging.
#[derive(Clone, Copy)]
pub(super) struct List {
    pub(super) sort_keys: &'static [&'static str],
    pub(super) filters: &'static [Filter],
}

/// A filter of a list.
#[derive(Clone, Copy)]
pub(super) struct Filter {
    pub(super) name: &'static str,
    pub(super) kind: FilterKind,
    pub(super) about: &'static str,
}

#[derive(Clone, Copy)]
pub(super) enum FilterKind {
    /// Exactly this; what nothing has gives an empty list.
    Exact,
    Boolean,
    Time,
}

/// A request's body.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) schema: fn() -> Value,
    pub(super) examples: fn() -> Value,
}

/// The answer when all goes well.
#[derive(Clone, Copy)]
pub(super) enum Success {
    /// For anybody: status, and what stands under it.
    Open(u16, &'static str),
    /// One object under its key; the schema of it, and what a client may go on with.
    One(u16, &'static str, &'static str, &'static [Link]),
    /// A list under its key; the schema of its items.
    Many(&'static str, &'static str),
    /// 204.
    Nothing,
    /// 405: the route is there to say so.
    Never,
}

/// What can be asked for once this has been answered: a name, the operation, and its parameters' sources.
pub(super) type Link = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const NEW_SEGMENT: &[(&str, &str)] = &[("segment", "$response.body#/segment/uuid")];
const NEW_HOST: &[(&str, &str)] = &[
    ("segment", "$request.path.segment"),
    ("host", "$response.body#/host/uuid"),
];
const NEW_NOTIFICATION: &[(&str, &str)] =
    &[("notification", "$response.body#/notification/notification_uuid")];

/// What the routes are about.
pub(super) const TAGS: &[(&str, &str)] = &[
    ("segments", "Groups of hosts that stand in for one another"),
    ("hosts", "Compute hosts of a segment"),
    ("notifications", "Reports of failures"),
    ("vmoves", "Instances of a failed host and where they went"),
    ("extensions", "What this API offers"),
    ("versions", "Versions of this API"),
    ("service", "The service itself"),
    (
        "refused",
        "Routes that exist to say 405, where clients of Masakari know it",
    ),
];

const NO_SEGMENT: (u16, &str) = (404, "There is no such segment.");
const NO_HOST: (u16, &str) = (404, "There is no such host in this segment.");
const NO_NOTIFICATION: (u16, &str) = (404, "There is no such notification.");
const NAME_TAKEN: &str =
    "The name is taken, or a notification about one of the segment's hosts is being worked on.";

const fn exact(name: &'static str, about: &'static str) -> Filter {
    Filter {
        name,
        kind: FilterKind::Exact,
        about,
    }
}

const fn boolean(name: &'static str, about: &'static str) -> Filter {
    Filter {
        name,
        kind: FilterKind::Boolean,
        about,
    }
}

const SEGMENTS: List = List {
    sort_keys: Segment::SORT_KEYS,
    filters: &[
        exact("recovery_method", "Only those with this recovery method"),
        exact("service_type", "Only those with this service type"),
        boolean("enabled", "Only those that are enabled, or are not"),
    ],
};

const HOSTS: List = List {
    sort_keys: Host::SORT_KEYS,
    filters: &[
        exact("name", "Only the one with this name"),
        exact("type", "Only those of this type"),
        exact("control_attributes", "Only those with these control attributes"),
        boolean("on_maintenance", "Only those on maintenance, or not"),
        boolean("reserved", "Only those kept in reserve, or not"),
    ],
};

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

/// Nothing special, to be filled in.
const PLAIN: Operation = Operation {
    method: Method::GET,
    path: "",
    id: Cow::Borrowed(""),
    tag: "",
    summary: "",
    about: "",
    list: None,
    body: None,
    success: Success::Nothing,
    refusals: &[],
};

/// Every route of the API, and those beside it.
pub(super) fn table() -> Vec<Operation> {
    let mut table = segments();
    table.extend(hosts());
    table.extend(notifications());
    table.extend(others());
    table.extend(never());
    table
}

fn segments() -> Vec<Operation> {
    let plain = || Operation {
        tag: "segments",
        path: "/v1/segments/{segment}",
        ..PLAIN
    };
    let links: &[Link] = &[
        ("show", "showSegment", NEW_SEGMENT),
        ("update", "updateSegment", NEW_SEGMENT),
        ("delete", "deleteSegment", NEW_SEGMENT),
        ("hosts", "listHosts", NEW_SEGMENT),
        ("addHost", "createHost", NEW_SEGMENT),
    ];
    vec![
        Operation {
            path: "/v1/segments",
            id: Cow::Borrowed("listSegments"),
            summary: "List segments",
            list: Some(SEGMENTS),
            success: Success::Many("segments", "Segment"),
            ..plain()
        },
        Operation {
            method: Method::POST,
            path: "/v1/segments",
            id: Cow::Borrowed("createSegment"),
            summary: "Create a segment",
            body: Some(Sent {
                schema: schemas::body::<NewSegment>,
                examples: || {
                    json!({"segment": {"summary": "Hosts that Nova's scheduler chooses among", "value": {"segment": {
                        "name": "rack-1", "recovery_method": "auto", "service_type": "COMPUTE",
                        "description": "First rack", "enabled": true,
                    }}}})
                },
            }),
            success: Success::One(201, "segment", "Segment", links),
            refusals: &[(409, "There is a segment with this name.")],
            ..plain()
        },
        Operation {
            id: Cow::Borrowed("showSegment"),
            summary: "Show a segment",
            success: Success::One(200, "segment", "Segment", &[]),
            refusals: &[NO_SEGMENT],
            ..plain()
        },
        Operation {
            method: Method::PUT,
            id: Cow::Borrowed("updateSegment"),
            summary: "Change a segment",
            about: "Fields that are not sent stay as they are.",
            body: Some(Sent {
                schema: schemas::body::<SegmentChange>,
                examples: || json!({"disable": {"value": {"segment": {"enabled": false}}}}),
            }),
            success: Success::One(200, "segment", "Segment", &[]),
            refusals: &[NO_SEGMENT, (409, NAME_TAKEN)],
            ..plain()
        },
        Operation {
            method: Method::DELETE,
            id: Cow::Borrowed("deleteSegment"),
            summary: "Delete a segment and its hosts",
            refusals: &[
                NO_SEGMENT,
                (409, "A notification about one of its hosts is being worked on."),
            ],
            ..plain()
        },
    ]
}

fn hosts() -> Vec<Operation> {
    let plain = || Operation {
        tag: "hosts",
        path: "/v1/segments/{segment}/hosts/{host}",
        ..PLAIN
    };
    let links: &[Link] = &[
        ("show", "showHost", NEW_HOST),
        ("update", "updateHost", NEW_HOST),
        ("delete", "deleteHost", NEW_HOST),
    ];
    vec![
        Operation {
            path: "/v1/segments/{segment}/hosts",
            id: Cow::Borrowed("listHosts"),
            summary: "List the hosts of a segment",
            list: Some(HOSTS),
            success: Success::Many("hosts", "Host"),
            refusals: &[NO_SEGMENT],
            ..plain()
        },
        Operation {
            method: Method::POST,
            path: "/v1/segments/{segment}/hosts",
            id: Cow::Borrowed("createHost"),
            summary: "Add a host to a segment",
            about: "The name must be that of a compute service Nova has; 400 if it is not. A host is in one segment only.",
            body: Some(Sent {
                schema: schemas::body::<HostBody>,
                examples: || {
                    json!({"host": {"value": {"host": {
                        "name": "compute-001", "type": "COMPUTE", "control_attributes": "SSH", "reserved": false,
                    }}}})
                },
            }),
            success: Success::One(201, "host", "Host", links),
            refusals: &[
                NO_SEGMENT,
                (409, "There is a host with this name, here or in another segment."),
            ],
            ..plain()
        },
        Operation {
            id: Cow::Borrowed("showHost"),
            summary: "Show a host",
            success: Success::One(200, "host", "Host", &[]),
            refusals: &[NO_HOST],
            ..plain()
        },
        Operation {
            method: Method::PUT,
            id: Cow::Borrowed("updateHost"),
            summary: "Change a host",
            about: "Fields that are not sent stay as they are. Whoever has repaired a host sets `on_maintenance` to false: \
                    nothing else does.",
            body: Some(Sent {
                schema: schemas::body::<HostChange>,
                examples: || json!({"back": {"value": {"host": {"on_maintenance": false}}}}),
            }),
            success: Success::One(200, "host", "Host", &[]),
            refusals: &[NO_HOST, (409, NAME_TAKEN)],
            ..plain()
        },
        Operation {
            method: Method::DELETE,
            id: Cow::Borrowed("deleteHost"),
            summary: "Take a host out of its segment",
            refusals: &[
                NO_HOST,
                (
                    409,
                    "A notification about one of the segment's hosts is being worked on.",
                ),
            ],
            ..plain()
        },
    ]
}

fn notifications() -> Vec<Operation> {
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
                    report up.",
            body: Some(Sent {
                schema: schemas::body::<NewNotification>,
                examples: schemas::notification_examples,
            }),
            success: Success::One(202, "notification", "Notification", links),
            refusals: &[(
                409,
                "The host is on maintenance, or the same was reported within `duplicate_notification_detection_interval`.",
            )],
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

fn others() -> Vec<Operation> {
    let versions = |path, id: &'static str| Operation {
        path,
        id: Cow::Borrowed(id),
        tag: "versions",
        summary: "Show version 1 of the API",
        success: Success::One(200, "version", "Version", &[]),
        ..PLAIN
    };
    vec![
        Operation {
            path: "/v1/extensions",
            id: Cow::Borrowed("listExtensions"),
            tag: "extensions",
            summary: "List what this API offers",
            success: Success::Many("extensions", "Extension"),
            ..PLAIN
        },
        Operation {
            path: "/v1/extensions/{alias}",
            id: Cow::Borrowed("showExtension"),
            tag: "extensions",
            summary: "Show one thing this API offers",
            success: Success::One(200, "extension", "Extension", &[]),
            refusals: &[(404, "There is none, or the caller may not see it.")],
            ..PLAIN
        },
        versions("/v1", "showVersion"),
        versions("/v1/", "showVersionWithSlash"),
        Operation {
            refusals: &[(404, "There is no such version; the only one is `v1.0`.")],
            ..versions("/v1/versions/{id}", "showVersionById")
        },
        Operation {
            path: "/",
            id: Cow::Borrowed("listVersions"),
            tag: "versions",
            summary: "List versions of the API",
            success: Success::Open(200, "Versions"),
            ..PLAIN
        },
        Operation {
            path: "/healthcheck",
            id: Cow::Borrowed("healthcheck"),
            tag: "service",
            summary: "Tell whether the service takes requests",
            about: "As text, HTML or JSON, whichever `Accept` names first.",
            success: Success::Open(200, "Health"),
            refusals: &[
                (404, "The caller may not ask."),
                (
                    503,
                    "This server is not to get requests: its database cannot be reached, say, or the operator says so.",
                ),
            ],
            ..PLAIN
        },
        Operation {
            path: "/openapi.json",
            id: Cow::Borrowed("openapi"),
            tag: "service",
            summary: "This document",
            success: Success::Open(200, "Document"),
            ..PLAIN
        },
    ]
}

/// The routes that are there to say no need no words of their own.
fn never() -> Vec<Operation> {
    let refused = routes().into_iter().filter(|route| route.refused);
    refused
        .map(|route| Operation {
            path: route.path,
            id: id_of(&route).into(),
            method: route.method,
            tag: "refused",
            summary: "Not to be done to anybody",
            success: Success::Never,
            ..PLAIN
        })
        .collect()
}

/// Such as `refusePutNotificationsNotification`.
fn id_of(route: &RouteInfo) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric());
    let words = [route.method.as_str()]
        .into_iter()
        .chain(words)
        .filter(|word| !matches!(*word, "" | "v1"));
    words.fold("refuse".to_owned(), |mut id, word| {
        let (first, rest) = word.split_at(1);
        id.push_str(&first.to_ascii_uppercase());
        id.push_str(&rest.to_ascii_lowercase());
        id
    })
}
