//! Operations on extensions, versions, monitors, the boot guard and the service itself.

use std::borrow::Cow;

use http::Method;

use super::{DEFAULT_OPERATION, Operation, RequestBody, Success};
use crate::openapi::schemas;
use crate::types::heartbeat::NewHeartbeat;

pub(super) fn others() -> Vec<Operation> {
    let versions = |path, id: &'static str| Operation {
        path,
        id: Cow::Borrowed(id),
        tag: "versions",
        summary: "Show version 1 of the API",
        success: Success::One(200, "version", "Version", &[]),
        ..DEFAULT_OPERATION
    };
    vec![
        Operation {
            path: "/v1/boot-guard/{hostname}",
            id: Cow::Borrowed("showBootGuard"),
            tag: "boot guard",
            summary: "Show whether nova-compute on a host may start",
            about: "`{hostname}` is the host's name in Nova. The answer is the same at every microversion. An unknown \
                host may start. Masakari does not have this call.",
            success: Success::One(200, "boot_guard", "BootGuard", &[]),
            ..DEFAULT_OPERATION
        },
        signature(),
        Operation {
            path: "/v1/extensions",
            id: Cow::Borrowed("listExtensions"),
            tag: "extensions",
            summary: "List the extensions of this API",
            success: Success::Many("extensions", "Extension"),
            ..DEFAULT_OPERATION
        },
        Operation {
            path: "/v1/extensions/{alias}",
            id: Cow::Borrowed("showExtension"),
            tag: "extensions",
            summary: "Show an extension",
            success: Success::One(200, "extension", "Extension", &[]),
            refusals: &[(404, "There is no such extension, or the caller may not see it.")],
            ..DEFAULT_OPERATION
        },
        versions("/v1", "showVersion"),
        versions("/v1/", "showVersionWithSlash"),
        Operation {
            refusals: &[(404, "The only version is `v1.0`.")],
            ..versions("/v1/versions/{id}", "showVersionById")
        },
        Operation {
            path: "/",
            id: Cow::Borrowed("listVersions"),
            tag: "versions",
            summary: "List versions of the API",
            success: Success::Open(200, "Versions"),
            ..DEFAULT_OPERATION
        },
        Operation {
            path: "/healthcheck",
            id: Cow::Borrowed("healthcheck"),
            tag: "service",
            summary: "Show whether the service accepts requests",
            about: "As text, HTML or JSON, by the preference in `Accept`.",
            success: Success::Open(200, "Health"),
            refusals: &[
                (404, "The caller's address is not allowed."),
                (
                    503,
                    "This server must not get requests: for example, its database cannot be reached, or the operator \
                     has disabled it.",
                ),
            ],
            ..DEFAULT_OPERATION
        },
        Operation {
            path: "/openapi.json",
            id: Cow::Borrowed("openapi"),
            tag: "service",
            summary: "This document",
            success: Success::Open(200, "Document"),
            ..DEFAULT_OPERATION
        },
    ]
}

fn signature() -> Operation {
    Operation {
        method: Method::PUT,
        path: "/v1/monitors/{hostname}/{kind}",
        id: Cow::Borrowed("signMonitor"),
        tag: "monitors",
        summary: "Record a monitor's heartbeat",
        about: "`{hostname}` is the name of the host that it runs on, `{kind}` is `host`, `process`, `instance` or \
            `introspective`. Monitors send a heartbeat every 10 s; a monitor without one for 45 s counts as silent. A \
            heartbeat is stored within 2 s. The answer's header `X-Tachi-Down-In-Nova` lists the hosts with lost \
            planes that Nova shows down; the monitor reports them as stopped. Masakari does not have this call.",
        body: Some(RequestBody {
            schema: schemas::body::<NewHeartbeat>,
            examples: schemas::signature_examples,
        }),
        success: Success::Nothing,
        refusals: &[
            (
                403,
                "The policy does not allow it, or the caller is bound to another host.",
            ),
            (
                404,
                "The host is in no segment, or the kind of monitor is unknown.",
            ),
        ],
        ..DEFAULT_OPERATION
    }
}
