//! Operations on extensions, versions, monitors, the boot guard and the service itself.

use std::borrow::Cow;

use http::Method;

use super::{Operation, PLAIN, Sent, Success};
use crate::openapi::schemas;
use crate::types::heartbeat::NewSignature;

pub(super) fn others() -> Vec<Operation> {
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
            path: "/v1/boot-guard/{hostname}",
            id: Cow::Borrowed("showBootGuard"),
            tag: "boot guard",
            summary: "Tell whether nova-compute of a host may start",
            about: "`{hostname}` is the host's name in Nova. The answer is the same at every microversion. A host nobody has \
                    recorded is not held. Masakari does not have this call.",
            success: Success::One(200, "boot_guard", "BootGuard", &[]),
            ..PLAIN
        },
        signature(),
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

fn signature() -> Operation {
    Operation {
        method: Method::PUT,
        path: "/v1/monitors/{hostname}/{kind}",
        id: Cow::Borrowed("signMonitor"),
        tag: "monitors",
        summary: "Record a monitor's heartbeat",
        about: "`{hostname}` is the name of the host that it runs on, `{kind}` is `host`, `process`, `instance` or \
                `introspective`. Monitors do this every ten seconds; one that has not for 45 seconds is shown to operators as silent. It is \
                written within two seconds. A host with lost planes that Nova shows down is named in the answer's \
                header `X-Tachi-Down-In-Nova`: its monitor reports it as stopped. Masakari does not have this call.",
        body: Some(Sent {
            schema: schemas::body::<NewSignature>,
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
                "The host is in no segment, or there is no such kind of monitor.",
            ),
        ],
        ..PLAIN
    }
}
