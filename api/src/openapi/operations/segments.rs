//! Operations on segments and their hosts.

use std::borrow::Cow;

use http::Method;
use serde_json::json;
use tachi_domain::entity::host::HostChange;
use tachi_domain::entity::segment::{NewSegment, SegmentChange};
use tachi_domain::entity::{Host, Segment};

use super::{Link, List, Operation, PLAIN, Sent, Success, boolean, exact};
use crate::openapi::schemas;
use crate::types::host::HostBody;

const NO_SEGMENT: (u16, &str) = (404, "There is no such segment.");
const NO_HOST: (u16, &str) = (404, "There is no such host in this segment.");
const NAME_TAKEN: &str =
    "The name is taken, or a notification about one of the segment's hosts is being worked on.";

const NEW_SEGMENT: &[(&str, &str)] = &[("segment", "$response.body#/segment/uuid")];
const NEW_HOST: &[(&str, &str)] = &[
    ("segment", "$request.path.segment"),
    ("host", "$response.body#/host/uuid"),
];

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
        boolean("on_maintenance", "Only those in maintenance, or not"),
        boolean("reserved", "Only those kept in reserve, or not"),
    ],
};

pub(super) fn segments() -> Vec<Operation> {
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

pub(super) fn hosts() -> Vec<Operation> {
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
            about: "Fields that are not sent stay as they are. After a repair, set `on_maintenance` to false: \
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
