//! Operations for operators.

use std::borrow::Cow;

use http::Method;
use tachi_operator::STATES;

use super::{DEFAULT_OPERATION, Filter, FilterKind, Link, Operation, RequestBody, Success, boolean, exact};
use crate::handlers::operator::REPORT_FORMATS;
use crate::openapi::schemas;
use crate::types::action::NewAction;
use crate::types::failure::NewFailure;
use crate::types::freeze::NewFreeze;

const RECOVERIES: &[Filter] = &[
    Filter {
        name: "state",
        kind: FilterKind::OneOf(STATES),
        about: "Only recoveries that are on hold, in this part of their life, or whose notification has this status. \
            A state that only closed recoveries have includes the closed ones",
    },
    exact("id", "Only recoveries whose id starts with this text"),
    exact("host", "Only recoveries of the host with this name or id"),
    exact("segment", "Only recoveries of the segment with this name or id"),
    Filter {
        name: "since",
        kind: FilterKind::Time,
        about: "Only recoveries opened at or after this time. A `+` must be escaped",
    },
    exact(
        "instance",
        "Only recoveries of the instance with this id, each with the result for it",
    ),
    boolean("all", "Includes closed recoveries"),
    boolean("downtime", "Adds the downtime of the instances of each recovery"),
    Filter {
        name: "limit",
        kind: FilterKind::Number,
        about: "Maximum number of rows; limited to the operator's maximum",
    },
    Filter {
        name: "marker",
        kind: FilterKind::Exact,
        about: "The `recovery` of the last row of the previous page; 400 if there is no such recovery",
    },
];

const FORECAST: &[Filter] = &[
    exact("segment", "Only the segment with this name"),
    exact(
        "lose",
        "Hosts of one segment, separated by commas; the forecast covers their simultaneous failure",
    ),
];

const PAST: &[Filter] = &[
    Filter {
        name: "from",
        kind: FilterKind::Time,
        about: "The start of the time span; by default 20 minutes before `to`. A `+` must be escaped",
    },
    Filter {
        name: "to",
        kind: FilterKind::Time,
        about: "The end of the time span; now by default",
    },
];

const HOSTED: &[Filter] = &[
    exact("host", "Only instances on the host with this name"),
    boolean("down", "Only instances that are down, or may be"),
];

const INSTANCES: &[Filter] = &[boolean("needs_person", "Only instances that need an operator")];

pub(super) fn operator() -> Vec<Operation> {
    let plain = || Operation {
        tag: "operator",
        ..DEFAULT_OPERATION
    };
    vec![
        Operation {
            path: "/operator/v1/situation",
            id: Cow::Borrowed("showSituation"),
            summary: "Show whether every instance is protected, and what to do if not",
            about: "The output of `tachi status --format json`. `facts` has the age of the data that an engine has \
                read from the cloud. Data older than 45 s is stale and counts as no evidence of a good state; without \
                an engine there is no data. The answer may be one second old.",
            success: Success::One(200, "situation", "Situation", &[]),
            ..plain()
        },
        Operation {
            path: "/operator/v1/findings",
            id: Cow::Borrowed("showFindings"),
            summary: "List findings, most severe first",
            success: Success::Many("findings", "Finding"),
            ..plain()
        },
        Operation {
            path: "/operator/v1/forecast",
            id: Cow::Borrowed("showForecast"),
            summary: "Forecast the capacity for the instances of failed hosts",
            about: "The output of `tachi forecast --format json`. A conservative estimate from the data that an \
                engine has read from Nova and Placement. Data older than 60 s is not used.",
            query: FORECAST,
            success: Success::One(200, "forecast", "Forecast", &[]),
            refusals: &[
                (400, "The hosts are in several segments."),
                (404, "No segment or host has this name."),
            ],
            ..plain()
        },
        Operation {
            path: "/operator/v1/hosts",
            id: Cow::Borrowed("showHosts"),
            summary: "List all registered hosts and the hosts in Nova, with their assessment",
            success: Success::Many("hosts", "HostSeen"),
            ..plain()
        },
        Operation {
            path: "/operator/v1/hosts/{hostname}/explanation",
            id: Cow::Borrowed("explainHost"),
            summary: "Explain the protection state of a host",
            about: "The output of `tachi show HOST --format json`.",
            success: Success::Many("explanations", "Explanation"),
            refusals: &[(404, "No host has this name.")],
            ..plain()
        },
        past(),
        hosted_instances(),
        Operation {
            path: "/operator/v1/instances",
            id: Cow::Borrowed("listRecoveredInstances"),
            summary: "List the instances that are being recovered or need an operator",
            about: "The output of `tachi instance list --recovering --format json`.",
            query: INSTANCES,
            success: Success::Many("instances", "RecoveryInstance"),
            ..plain()
        },
        Operation {
            path: "/operator/v1/instances/{instance}/explanation",
            id: Cow::Borrowed("explainInstance"),
            summary: "Explain the protection state of an instance, and show its operations in progress",
            about: "The output of `tachi show INSTANCE --format json`. It contains each instance with this name.",
            success: Success::Many("explanations", "Explanation"),
            refusals: &[(404, NO_INSTANCE)],
            ..plain()
        },
        Operation {
            path: "/operator/v1/recoveries",
            id: Cow::Borrowed("listRecoveries"),
            summary: "List recoveries, newest first",
            about: "The output of `tachi recovery list --format json`. Closed recoveries are omitted unless `all` is true.",
            query: RECOVERIES,
            success: Success::Many("recoveries", "Recovery"),
            ..plain()
        },
        schedule(),
        events(),
        submit_action(),
        freezes(),
        freeze(),
        thaw(),
        preview(),
        failure(),
        Operation {
            path: "/operator/v1/recoveries/{recovery}",
            id: Cow::Borrowed("showRecovery"),
            summary: "Show one recovery with its timeline",
            about: "The output of `tachi recovery show --format json`, with steps, fencing proofs and instances.",
            success: Success::One(200, "recovery", "RecoveryStory", &[]),
            refusals: &[(404, NO_RECOVERY)],
            ..plain()
        },
        report(),
    ]
}

const NO_RECOVERY: &str = "No recovery has this id.";
const NO_INSTANCE: &str = "No instance has this id or name, or no engine has listed the instances yet.";

fn report() -> Operation {
    const FORMAT: &[Filter] = &[Filter {
        name: "format",
        kind: FilterKind::OneOf(REPORT_FORMATS),
        about: "Markdown, or a self-contained HTML page; `md` by default",
    }];
    Operation {
        path: "/operator/v1/recoveries/{recovery}/report",
        id: Cow::Borrowed("reportRecovery"),
        summary: "Export the report of a recovery",
        about: "The output of `tachi recovery report`. It contains only data of `GET \
            /operator/v1/recoveries/{recovery}`, so the same data gives the same text. Browsers download it \
            (`Content-Disposition`).",
        query: FORMAT,
        success: Success::Text(&["text/markdown", "text/html"]),
        refusals: &[(404, NO_RECOVERY)],
        tag: "operator",
        ..DEFAULT_OPERATION
    }
}

fn schedule() -> Operation {
    Operation {
        path: "/operator/v1/schedule",
        id: Cow::Borrowed("showSchedule"),
        summary: "List scheduled jobs with the last run, its result and the next run",
        about: "The output of `tachi jobs list --format json`. `when` and `next_at` come from `[schedule]` in the \
            configuration of the API server, in its time zone.",
        success: Success::Many("schedule", "ScheduledJob"),
        tag: "operator",
        ..DEFAULT_OPERATION
    }
}

fn hosted_instances() -> Operation {
    Operation {
        path: "/operator/v1/hosted-instances",
        id: Cow::Borrowed("showHostedInstances"),
        summary: "List the instances on hosts, with what would become of them",
        about: "The output of `tachi instance list --format json`. The list is empty if no engine has listed Nova's \
            instances yet: `instances` of the situation is null then.",
        query: HOSTED,
        success: Success::Many("instances", "ListedInstance"),
        refusals: &[(404, "No host has this name.")],
        tag: "operator",
        ..DEFAULT_OPERATION
    }
}

fn past() -> Operation {
    Operation {
        path: "/operator/v1/hosts/{hostname}/past",
        id: Cow::Borrowed("showPastOfHost"),
        summary: "Show the history of a host in a past time span",
        about: "The output of `tachi show HOST --at TIME --format json`: accepted and refused reports, recoveries and \
            freezes of that time span, as far as the database keeps them. `unknown` lists the data that it does not keep.",
        query: PAST,
        success: Success::One(200, "past", "Past", &[]),
        refusals: &[
            (400, "`to` is before `from`, or more than a day after it."),
            (404, "There is no stored data about a host with this name or id."),
        ],
        tag: "operator",
        ..DEFAULT_OPERATION
    }
}

fn events() -> Operation {
    Operation {
        path: "/operator/v1/events",
        id: Cow::Borrowed("listenToEvents"),
        summary: "Stream changes of the situation",
        about: "Server-sent events. The first event has the current state, so a client that reconnects to any replica \
            misses nothing; events have no ids, and `Last-Event-ID` is ignored. `situation` with `{\"grade\": ...}`: \
            the answer of `GET /operator/v1/situation` has changed. `unknown`: the database does not answer, so the \
            situation is unknown. At most one event per second; an idle stream sends a comment every 10 s. The stream \
            ends when the token expires, after 5 minutes, and when the API stops; the client then reconnects.",
        success: Success::Stream,
        refusals: &[(
            503,
            "The limit of streams is reached (100 per replica), or Keystone cannot be reached; try again later.",
        )],
        tag: "operator",
        ..DEFAULT_OPERATION
    }
}

fn freezes() -> Operation {
    Operation {
        path: "/operator/v1/freezes",
        id: Cow::Borrowed("listFreezes"),
        summary: "List the active freezes, by their end",
        about: "The output of `tachi freeze list --format json`.",
        success: Success::Many("freezes", "Freeze"),
        tag: "operator",
        ..DEFAULT_OPERATION
    }
}

fn freeze() -> Operation {
    const RESULT_LINKS: &[Link] = &[(
        "thaw",
        "thaw",
        &[("freeze", "$response.body#/freeze/freeze/number")],
    )];
    Operation {
        method: Method::POST,
        path: "/operator/v1/freezes",
        id: Cow::Borrowed("freeze"),
        summary: "Suspend fencing and evacuation of a host, segment, instance or the region",
        about: "The same as `tachi freeze`. For the scopes `segment`, `host` and `instance`, `name` is the id or \
            name. More than a day requires `force`. The action is in the audit log with the Keystone user before it \
            is stored. The answer waits until all engines that could start work have applied the freeze, for 10 s at \
            most; `heard` is true if all have. A client that repeats the request continues to wait. The same request \
            by the same user within a minute is stored once (`already`).",
        body: Some(RequestBody {
            schema: schemas::body::<NewFreeze>,
            examples: schemas::freeze_examples,
        }),
        success: Success::One(201, "freeze", "Frozen", RESULT_LINKS),
        refusals: &[
            (403, MONITORS),
            (404, "No segment, host or instance has this id or name."),
            (
                409,
                "Several objects have this name, a longer freeze is active, or a running engine does not support \
                 freezes. The message has the reason.",
            ),
            (
                503,
                "The database or the audit log cannot be written. If API and engine have separate database users, use \
                 `tachi freeze` on a controller.",
            ),
        ],
        tag: "operator",
        ..DEFAULT_OPERATION
    }
}

fn thaw() -> Operation {
    Operation {
        method: Method::DELETE,
        path: "/operator/v1/freezes/{freeze}",
        id: Cow::Borrowed("thaw"),
        summary: "End a freeze early",
        about: "The same as `tachi thaw`. The answer has the freeze and its remaining time. A freeze that replaced \
            this one has another number and continues.",
        success: Success::One(200, "freeze", "Freeze", &[]),
        refusals: &[
            (403, MONITORS),
            (404, "No active freeze has this number."),
            (
                503,
                "The database or the audit log cannot be written. If API and engine have separate database users, use \
                 `tachi thaw` on a controller.",
            ),
        ],
        tag: "operator",
        ..DEFAULT_OPERATION
    }
}

const FAILURE: &str = "/operator/v1/hosts/{hostname}/failure";
pub(super) const NO_HOST: &str = "No host of this name or id is registered.";

fn preview() -> Operation {
    Operation {
        path: FAILURE,
        id: Cow::Borrowed("showFailureOutlook"),
        summary: "Preview the report that a host is dead",
        about: "The preview that `tachi host report-down` shows before its confirmation. It changes nothing.",
        success: Success::One(200, "failure", "FailureOutlook", &[]),
        refusals: &[
            (404, NO_HOST),
            (409, "Several hosts have this name; the message lists their ids."),
        ],
        tag: "operator",
        ..DEFAULT_OPERATION
    }
}

fn failure() -> Operation {
    Operation {
        method: Method::POST,
        path: FAILURE,
        id: Cow::Borrowed("reportHostFailure"),
        summary: "Report that a host is dead",
        about: "The same as `tachi host report-down`: a notification like a monitor's, with the Keystone user and the \
            reason. The report is no fencing proof: the engine fences the host first. The action is in the audit log \
            before it is stored. If the same user has sent the same report and its recovery is in progress, it is not \
            stored again (`already`).",
        body: Some(RequestBody {
            schema: schemas::body::<NewFailure>,
            examples: schemas::failure_examples,
        }),
        success: Success::One(202, "failure", "HostFailure", &[]),
        refusals: &[
            (403, MONITORS),
            (404, NO_HOST),
            (
                409,
                "The host is in maintenance, another operator has reported it, or several hosts have this name. The \
                 message has the reason.",
            ),
        ],
        tag: "operator",
        ..DEFAULT_OPERATION
    }
}

pub(super) const MONITORS: &str =
    "The policy does not allow it, or the caller is a monitor that is bound to a host.";

fn submit_action() -> Operation {
    Operation {
        method: Method::POST,
        path: "/operator/v1/words",
        id: Cow::Borrowed("sayWord"),
        summary: "Act on a recovery, or on one of its instances",
        about: "The same as `tachi recovery approve`, `tachi recovery abort` and `tachi instance resolve`. `approve` \
            and `abort` need a `recovery`, the others an `instance`, by its id or name; for `success` and `failure`, \
            `on` is the host. The action is in the audit log with the Keystone user before it is stored. An engine \
            applies it within 2 s, and the recovery shows the result. An action that repeats the last one on the \
            recovery is not stored again (`already`).",
        body: Some(RequestBody {
            schema: schemas::body::<NewAction>,
            examples: schemas::action_examples,
        }),
        success: Success::One(202, "word", "Word", &[]),
        refusals: &[
            (
                403,
                "The policy does not allow it (`failure` also needs `os_masakari_api:operator:vouch`), or the caller \
                 is a monitor that is bound to a host.",
            ),
            (404, "No recovery or instance has this id or name."),
            (
                409,
                "The state of the recovery or instance does not allow the action. The message has the reason.",
            ),
        ],
        tag: "operator",
        ..DEFAULT_OPERATION
    }
}
