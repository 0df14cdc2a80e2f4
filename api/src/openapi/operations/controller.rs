//! Operations on data that only a controller has.

use std::borrow::Cow;

use super::operator::NO_HOST;
use super::{Filter, FilterKind, Operation, PLAIN, Success, exact};
use crate::handlers::controller::BY;

const AUDIT: &[Filter] = &[
    exact("host", "Only lines about this host"),
    exact("recovery", "Only lines of recoveries whose id begins so"),
    Filter {
        name: "limit",
        kind: FilterKind::Number,
        about: "The most lines to answer with; above the operator's maximum it is that",
    },
    Filter {
        name: "marker",
        kind: FilterKind::Exact,
        about: "The `marker` of the page before; 400 if it is none",
    },
];

const FROM_NOVA: &[Filter] = &[
    Filter {
        name: "by",
        kind: FilterKind::Word(BY),
        about: "What makes a segment; `zone` if it is missing",
    },
    exact(
        "default_zone",
        "The zone of hosts that no aggregate puts into one; `nova` if it is missing",
    ),
];

const NOVA_AWAY: &str = "Nova, Keystone or the database does not answer.";

pub(super) fn controller() -> Vec<Operation> {
    let plain = || Operation {
        tag: "operator",
        ..PLAIN
    };
    vec![
        Operation {
            path: "/operator/v1/audit",
            id: Cow::Borrowed("showAudit"),
            summary: "Tell what is in the audit logs of the machine that answers, newest first",
            about: "What `tachi audit show` shows, a page at a time. Each controller has logs of its own: `machine` says whose these are, \
                    and behind a balancer the next page may be another's. Whether they are what was written, only `tachi audit \
                    verify` on that machine tells.",
            asked: AUDIT,
            success: Success::One(200, "audit", "AuditPage", &[]),
            ..plain()
        },
        Operation {
            path: "/operator/v1/hosts/{hostname}/return",
            id: Cow::Borrowed("showHostReturn"),
            summary: "Tell what speaks for and against putting a host to work again, and how that is done",
            about: "What `tachi host return --format json` prints. Nova is asked, as the API's own user; what it does not answer is \
                    an `ASK`, and then the host is not `ready`. Nothing is changed.",
            success: Success::One(200, "return", "HostReturn", &[]),
            refusals: &[
                (404, NO_HOST),
                (409, "Several hosts are called so; the message lists their ids."),
                (503, NOVA_AWAY),
            ],
            ..plain()
        },
        Operation {
            path: "/operator/v1/from-nova",
            id: Cow::Borrowed("showFromNova"),
            summary: "Tell which segments and hosts would be made of what Nova has",
            about: "What `tachi setup import` tells. Nova is asked, as the API's own user. Nothing is made.",
            asked: FROM_NOVA,
            success: Success::One(200, "from_nova", "FromNova", &[]),
            refusals: &[
                (
                    409,
                    "Nova has no compute service, or no configuration says which host is in which rack; the message says which.",
                ),
                (503, NOVA_AWAY),
            ],
            ..plain()
        },
    ]
}
