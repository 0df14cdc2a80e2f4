//! Operations on data that only a controller has.

use std::borrow::Cow;

use super::operator::NO_HOST;
use super::{DEFAULT_OPERATION, Filter, FilterKind, Operation, Success, exact};
use crate::handlers::controller::GROUPING_METHODS;

const AUDIT: &[Filter] = &[
    exact("host", "Only entries about this host"),
    exact(
        "recovery",
        "Only entries of recoveries whose id starts with this text",
    ),
    Filter {
        name: "limit",
        kind: FilterKind::Number,
        about: "Maximum number of entries; limited to the operator's maximum",
    },
    Filter {
        name: "marker",
        kind: FilterKind::Exact,
        about: "The `marker` of the previous page; 400 if it is invalid",
    },
];

const FROM_NOVA: &[Filter] = &[
    Filter {
        name: "by",
        kind: FilterKind::OneOf(GROUPING_METHODS),
        about: "The grouping of hosts into segments; `zone` by default",
    },
    exact(
        "default_zone",
        "The zone of hosts that no aggregate assigns to one; `nova` by default",
    ),
];

const NOVA_UNAVAILABLE: &str = "Nova, Keystone or the database does not answer.";

pub(super) fn controller() -> Vec<Operation> {
    let plain = || Operation {
        tag: "operator",
        ..DEFAULT_OPERATION
    };
    vec![
        Operation {
            path: "/operator/v1/audit",
            id: Cow::Borrowed("showAudit"),
            summary: "List the audit log of the API server, newest entries first",
            about: "The output of `tachi audit show`, in pages. Each controller has its own log: `machine` is the one \
                that answered, and behind a load balancer the next page may come from another. Only `tachi audit \
                verify` on that machine detects changed entries.",
            query: AUDIT,
            success: Success::One(200, "audit", "AuditPage", &[]),
            ..plain()
        },
        Operation {
            path: "/operator/v1/hosts/{hostname}/return",
            id: Cow::Borrowed("showHostReturn"),
            summary: "Check whether a host can return to service, and show how",
            about: "The output of `tachi host return --format json`. The API queries Nova as its own user. A missing \
                answer is an `ASK`, and the host is then not `ready`. It changes nothing.",
            success: Success::One(200, "return", "HostReturn", &[]),
            refusals: &[
                (404, NO_HOST),
                (409, "Several hosts have this name; the message lists their ids."),
                (503, NOVA_UNAVAILABLE),
            ],
            ..plain()
        },
        Operation {
            path: "/operator/v1/from-nova",
            id: Cow::Borrowed("showFromNova"),
            summary: "Preview the segments and hosts that an import from Nova would create",
            about: "The preview of `tachi setup import`. The API queries Nova as its own user. It creates nothing.",
            query: FROM_NOVA,
            success: Success::One(200, "from_nova", "FromNova", &[]),
            refusals: &[
                (
                    409,
                    "Nova has no compute service, or no configuration assigns hosts to racks. The message has the reason.",
                ),
                (503, NOVA_UNAVAILABLE),
            ],
            ..plain()
        },
    ]
}
