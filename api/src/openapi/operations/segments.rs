//! Operations on segments and their hosts.

use std::borrow::Cow;

use http::Method;
use serde_json::json;
use tachi_domain::entity::host::{HostAttributes, NewHost};
use tachi_domain::entity::segment::{NewSegment, SegmentChange};
use tachi_domain::entity::{Host, Segment};

use super::{DEFAULT_OPERATION, Link, List, Operation, RequestBody, Success, boolean, exact};
use crate::openapi::schemas;

const NO_SEGMENT: (u16, &str) = (404, "No segment has this id.");
const NO_HOST: (u16, &str) = (404, "No host of this segment has this id.");
const NAME_IN_USE: &str =
    "The name is in use, or a notification about a host of the segment is being processed.";

const NEW_SEGMENT: &[(&str, &str)] = &[("segment", "$response.body#/segment/uuid")];
const NEW_HOST: &[(&str, &str)] = &[
    ("segment", "$request.path.segment"),
    ("host", "$response.body#/host/uuid"),
];

const SEGMENTS: List = List {
    sort_keys: Segment::SORT_KEYS,
    filters: &[
        exact("recovery_method", "Only segments with this recovery method"),
        exact("service_type", "Only segments with this service type"),
        boolean("enabled", "Only enabled, or only disabled segments"),
    ],
};

const HOSTS: List = List {
    sort_keys: Host::SORT_KEYS,
    filters: &[
        exact("name", "Only the host with this name"),
        exact("type", "Only those of this type"),
        exact("control_attributes", "Only hosts with these control attributes"),
        boolean(
            "on_maintenance",
            "Only hosts that are in maintenance, or that are not",
        ),
        boolean("reserved", "Only hosts that are reserved, or that are not"),
    ],
};

pub(super) fn segments() -> Vec<Operation> {
    let plain = || Operation {
        tag: "segments",
        path: "/v1/segments/{segment}",
        ..DEFAULT_OPERATION
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
            body: Some(RequestBody {
                schema: schemas::body::<NewSegment>,
                examples: || {
                    json!({"segment": {"summary": "The scheduler of Nova chooses the target host", "value": {"segment": {
                        "name": "rack-1", "recovery_method": "auto", "service_type": "COMPUTE",
                        "description": "First rack", "enabled": true,
                    }}}})
                },
            }),
            success: Success::One(201, "segment", "Segment", links),
            refusals: &[(409, "A segment with this name exists.")],
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
            body: Some(RequestBody {
                schema: schemas::body::<SegmentChange>,
                examples: || json!({"disable": {"value": {"segment": {"enabled": false}}}}),
            }),
            success: Success::One(200, "segment", "Segment", &[]),
            refusals: &[NO_SEGMENT, (409, NAME_IN_USE)],
            ..plain()
        },
        Operation {
            method: Method::DELETE,
            id: Cow::Borrowed("deleteSegment"),
            summary: "Delete a segment and its hosts",
            refusals: &[
                NO_SEGMENT,
                (
                    409,
                    "A notification about a host of the segment is being processed.",
                ),
            ],
            ..plain()
        },
    ]
}

pub(super) fn hosts() -> Vec<Operation> {
    let plain = || Operation {
        tag: "hosts",
        path: "/v1/segments/{segment}/hosts/{host}",
        ..DEFAULT_OPERATION
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
            about: "The name must be that of a compute service in Nova; 400 if it is not. A host is in one segment only.",
            body: Some(RequestBody {
                schema: schemas::body::<NewHost>,
                examples: || {
                    json!({"host": {"value": {"host": {
                        "name": "compute-001", "type": "COMPUTE", "control_attributes": "SSH", "reserved": false,
                    }}}})
                },
            }),
            success: Success::One(201, "host", "Host", links),
            refusals: &[
                NO_SEGMENT,
                (409, "A host with this name exists, in this or another segment."),
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
            about: "Fields that are not sent stay as they are. After a repair, set `on_maintenance` to false; Tachi \
                never does that.",
            body: Some(RequestBody {
                schema: schemas::body::<HostAttributes>,
                examples: || json!({"back": {"value": {"host": {"on_maintenance": false}}}}),
            }),
            success: Success::One(200, "host", "Host", &[]),
            refusals: &[NO_HOST, (409, NAME_IN_USE)],
            ..plain()
        },
        Operation {
            method: Method::DELETE,
            id: Cow::Borrowed("deleteHost"),
            summary: "Remove a host from its segment",
            refusals: &[
                NO_HOST,
                (
                    409,
                    "A notification about a host of the segment is being processed.",
                ),
            ],
            ..plain()
        },
    ]
}
