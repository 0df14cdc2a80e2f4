//! Operations for operators.

use std::borrow::Cow;

use http::Method;
use tachi_operator::STATES;

use super::{Filter, FilterKind, Link, Operation, PLAIN, Sent, Success, boolean, exact};
use crate::handlers::operator::REPORTS;
use crate::openapi::schemas;
use crate::types::action::NewWord;
use crate::types::failure::NewFailure;
use crate::types::freeze::NewFreeze;

const RECOVERIES: &[Filter] = &[
    Filter {
        name: "state",
        kind: FilterKind::Word(STATES),
        about: "Only those that are held, in this part of their life, or whose notification shows this; one that only closed \
                ones can be in brings those along",
    },
    exact("id", "Only those whose id begins so"),
    exact("host", "Only those of the host with this name or id"),
    exact("segment", "Only those of the segment with this name or id"),
    Filter {
        name: "since",
        kind: FilterKind::Time,
        about: "Only those opened at or after this time. A `+` must be escaped",
    },
    exact(
        "instance",
        "Only those that had the instance with this id; each with what became of it",
    ),
    boolean("all", "Closed ones too"),
    boolean("downtime", "With how long the instances of each were down"),
    Filter {
        name: "limit",
        kind: FilterKind::Number,
        about: "The most rows to answer with; above the operator's maximum it is that",
    },
    Filter {
        name: "marker",
        kind: FilterKind::Exact,
        about: "The `recovery` of the last row seen; 400 if there is no such recovery",
    },
];

const FORECAST: &[Filter] = &[
    exact("segment", "Only the segment with this name"),
    exact(
        "lose",
        "What becomes of these hosts of one segment if they are lost together, separated by commas",
    ),
];

const PAST: &[Filter] = &[
    Filter {
        name: "from",
        kind: FilterKind::Time,
        about: "The first moment; 20 minutes before `to` if it is missing. A `+` must be escaped",
    },
    Filter {
        name: "to",
        kind: FilterKind::Time,
        about: "The last moment; now if it is missing",
    },
];

const INSTANCES: &[Filter] = &[boolean("needs_person", "Only those that wait for an operator")];

pub(super) fn operator() -> Vec<Operation> {
    let plain = || Operation {
        tag: "operator",
        ..PLAIN
    };
    vec![
        Operation {
            path: "/operator/v1/situation",
            id: Cow::Borrowed("showSituation"),
            summary: "Tell whether every instance is protected now, and if not, why and what to do",
            about: "What `tachi status --format json` prints. `facts` says how old is what an engine has seen of the cloud: what \
                    is older than 45 s says nothing good any more, and without an engine nothing is known. May be a second old.",
            success: Success::One(200, "situation", "Situation", &[]),
            ..plain()
        },
        Operation {
            path: "/operator/v1/findings",
            id: Cow::Borrowed("showFindings"),
            summary: "List what there is to say, worst first",
            success: Success::Many("findings", "Finding"),
            ..plain()
        },
        Operation {
            path: "/operator/v1/forecast",
            id: Cow::Borrowed("showForecast"),
            summary: "Tell whether there is room for the instances of hosts that die",
            about: "What `tachi forecast --format json` prints. An estimate that says no rather than a wrong yes, from what \
                    an engine has seen of Nova and Placement; what is older than 60 s counts for nothing.",
            asked: FORECAST,
            success: Success::One(200, "forecast", "Forecast", &[]),
            refusals: &[
                (400, "The hosts are of several segments."),
                (404, "There is no such segment or host."),
            ],
            ..plain()
        },
        Operation {
            path: "/operator/v1/hosts",
            id: Cow::Borrowed("showHosts"),
            summary: "List every registered host and those of Nova, judged",
            success: Success::Many("hosts", "HostSeen"),
            ..plain()
        },
        Operation {
            path: "/operator/v1/hosts/{hostname}/explanation",
            id: Cow::Borrowed("explainHost"),
            summary: "Tell why a host's instances are protected, or not",
            about: "What `tachi show HOST --format json` prints.",
            success: Success::Many("explanations", "Explanation"),
            refusals: &[(404, "No host is called so.")],
            ..plain()
        },
        past(),
        Operation {
            path: "/operator/v1/instances",
            id: Cow::Borrowed("listRecoveredInstances"),
            summary: "List the instances that are being recovered, or wait for an operator",
            about: "What `tachi instance list --recovering --format json` prints.",
            asked: INSTANCES,
            success: Success::Many("instances", "RecoveryInstance"),
            ..plain()
        },
        Operation {
            path: "/operator/v1/instances/{instance}/explanation",
            id: Cow::Borrowed("explainInstance"),
            summary: "Tell why an instance is protected, or not, and what is under way with it",
            about: "What `tachi show INSTANCE --format json` prints: several if several are called so.",
            success: Success::Many("explanations", "Explanation"),
            refusals: &[(404, "No instance is called so, or none has been listed yet.")],
            ..plain()
        },
        Operation {
            path: "/operator/v1/recoveries",
            id: Cow::Borrowed("listRecoveries"),
            summary: "List recoveries, newest first",
            about: "What `tachi recovery list --format json` prints: without closed ones unless they are asked for.",
            asked: RECOVERIES,
            success: Success::Many("recoveries", "Recovery"),
            ..plain()
        },
        schedule(),
        events(),
        words(),
        freezes(),
        freeze(),
        thaw(),
        preview(),
        failure(),
        Operation {
            path: "/operator/v1/recoveries/{recovery}",
            id: Cow::Borrowed("showRecovery"),
            summary: "Tell everything there is to know of a recovery",
            about: "What `tachi recovery show --format json` prints: its steps, proofs and instances.",
            success: Success::One(200, "recovery", "RecoveryStory", &[]),
            refusals: &[(404, NO_RECOVERY)],
            ..plain()
        },
        report(),
    ]
}

const NO_RECOVERY: &str = "There is no such recovery.";

fn report() -> Operation {
    const FORMAT: &[Filter] = &[Filter {
        name: "format",
        kind: FilterKind::Word(REPORTS),
        about: "Markdown, or a page that needs nothing else; `md` if it is missing",
    }];
    Operation {
        path: "/operator/v1/recoveries/{recovery}/report",
        id: Cow::Borrowed("reportRecovery"),
        summary: "Report a recovery to those who were not there",
        about: "What `tachi recovery report` writes, made of what `GET /operator/v1/recoveries/{recovery}` tells and of nothing \
                else: the same text each time. It is a file to keep (`Content-Disposition`).",
        asked: FORMAT,
        success: Success::Text(&["text/markdown", "text/html"]),
        refusals: &[(404, NO_RECOVERY)],
        tag: "operator",
        ..PLAIN
    }
}

fn schedule() -> Operation {
    Operation {
        path: "/operator/v1/schedule",
        id: Cow::Borrowed("showSchedule"),
        summary: "List scheduled jobs with the last run, its result and the next run",
        about: "What `tachi jobs list --format json` prints. `when` and `next_at` are of the `[schedule]` in the \
                configuration of the API that answers, and of its time zone.",
        success: Success::Many("schedule", "ScheduledJob"),
        tag: "operator",
        ..PLAIN
    }
}

fn past() -> Operation {
    Operation {
        path: "/operator/v1/hosts/{hostname}/past",
        id: Cow::Borrowed("showPastOfHost"),
        summary: "Tell what was reported of a host at a time that has passed, and what came of it",
        about: "What `tachi show HOST --at TIME --format json` prints: reports that were accepted and reports that were refused, \
                recoveries and freezes of that time, from what the database keeps. `unknown` says what it does not keep.",
        asked: PAST,
        success: Success::One(200, "past", "Past", &[]),
        refusals: &[
            (400, "`to` is before `from`, or more than a day after it."),
            (404, "Nothing is kept of a host of that name or id."),
        ],
        tag: "operator",
        ..PLAIN
    }
}

fn events() -> Operation {
    Operation {
        path: "/operator/v1/events",
        id: Cow::Borrowed("listenToEvents"),
        summary: "Say, as long as somebody listens, that the situation has changed",
        about: "Server-sent events. The first one is sent at once, so a client that reconnects, to any replica, has missed \
                nothing: there are no ids, and `Last-Event-ID` is not looked at. `situation` with `{\"grade\": ...}`: what \
                `GET /operator/v1/situation` answers says something else than before; ask for it. `unknown`: the database \
                does not answer, and how it is is not known. At most one in a second; a comment every ten seconds if there \
                is nothing to tell. It ends with the token, after five minutes, and when the API stops: connect again.",
        success: Success::Stream,
        refusals: &[(
            503,
            "As many listen as may (100 at each replica), or Keystone is not to be reached; try again later.",
        )],
        tag: "operator",
        ..PLAIN
    }
}

fn freezes() -> Operation {
    Operation {
        path: "/operator/v1/freezes",
        id: Cow::Borrowed("listFreezes"),
        summary: "List what is frozen, the one that ends first first",
        about: "What `tachi freeze list --format json` prints.",
        success: Success::Many("freezes", "Freeze"),
        tag: "operator",
        ..PLAIN
    }
}

fn freeze() -> Operation {
    const MADE: &[Link] = &[(
        "thaw",
        "thaw",
        &[("freeze", "$response.body#/freeze/freeze/number")],
    )];
    Operation {
        method: Method::POST,
        path: "/operator/v1/freezes",
        id: Cow::Borrowed("freeze"),
        summary: "Suspend fencing and evacuation of a host, segment, instance or the region",
        about: "What `tachi freeze` does. `scope` is how much: a `segment`, `host` or `instance` is named in `name`, by its id or \
                name; for more than a day `force` is needed. It is in the audit log under the name of Keystone's user before it \
                is written. The answer comes when every engine that could still begin something has heard of it, after \
                ten seconds at the latest; `heard` says which, and who says the same again waits on. What the same person \
                has said within the last minute is not written again (`already`).",
        body: Some(Sent {
            schema: schemas::body::<NewFreeze>,
            examples: schemas::freeze_examples,
        }),
        success: Success::One(201, "freeze", "Frozen", MADE),
        refusals: &[
            (403, MONITORS),
            (404, "There is no such segment, host or instance."),
            (
                409,
                "Several are called so, a longer freeze is in force, or an engine runs that would not keep it; the message says \
                 which.",
            ),
            (
                503,
                "The database or the audit log is not to be written. Where API and engine have database users of their own, \
                   freezes are said on a controller.",
            ),
        ],
        tag: "operator",
        ..PLAIN
    }
}

fn thaw() -> Operation {
    Operation {
        method: Method::DELETE,
        path: "/operator/v1/freezes/{freeze}",
        id: Cow::Borrowed("thaw"),
        summary: "End a freeze early",
        about: "What `tachi thaw` does. Answered with the freeze and how long it would have lasted yet. One that has taken its \
                place has another number and continues.",
        success: Success::One(200, "freeze", "Freeze", &[]),
        refusals: &[
            (403, MONITORS),
            (
                404,
                "No freeze in force has this number: it has ended, or never was.",
            ),
            (
                503,
                "The database or the audit log is not to be written. Where API and engine have database users of their own, \
                   freezes are ended on a controller.",
            ),
        ],
        tag: "operator",
        ..PLAIN
    }
}

const FAILURE: &str = "/operator/v1/hosts/{hostname}/failure";
pub(super) const NO_HOST: &str = "No host of this name or id is registered.";

fn preview() -> Operation {
    Operation {
        path: FAILURE,
        id: Cow::Borrowed("showFailureOutlook"),
        summary: "Tell what would come of reporting a host as dead",
        about: "What `tachi host report-down` says before it asks. Nothing is written.",
        success: Success::One(200, "failure", "FailureOutlook", &[]),
        refusals: &[
            (404, NO_HOST),
            (409, "Several hosts are called so; the message lists their ids."),
        ],
        tag: "operator",
        ..PLAIN
    }
}

fn failure() -> Operation {
    Operation {
        method: Method::POST,
        path: FAILURE,
        id: Cow::Borrowed("reportHostFailure"),
        summary: "Say that a host is dead",
        about: "What `tachi host report-down` does: a notification as a monitor's, under the name of Keystone's user and with the \
                reason. It proves nothing: the engine fences the host first. It is in the audit log before it is written. \
                What the same person has said before in the same words, and is being worked on, is not written again \
                (`already`).",
        body: Some(Sent {
            schema: schemas::body::<NewFailure>,
            examples: schemas::failure_examples,
        }),
        success: Success::One(202, "failure", "HostFailure", &[]),
        refusals: &[
            (403, MONITORS),
            (404, NO_HOST),
            (
                409,
                "The host is in maintenance, somebody else has reported it, or several are called so; the message says which.",
            ),
        ],
        tag: "operator",
        ..PLAIN
    }
}

pub(super) const MONITORS: &str =
    "The policy does not allow it, or the caller is a monitor that is bound to a host.";

fn words() -> Operation {
    Operation {
        method: Method::POST,
        path: "/operator/v1/words",
        id: Cow::Borrowed("sayWord"),
        summary: "Act on a recovery, or on one of its instances",
        about: "What `tachi recovery approve`, `abort` and `tachi instance resolve` do. `approve` and `abort` are about a \
                `recovery`, the others about an `instance`, by its id or name; `success` and `failure` name the host in `on`. \
                The word is in the audit log under the name of Keystone's user before it is written; an engine hears it \
                within a second or two, and the recovery tells what came of it. A word about a recovery that was the last \
                already is not written again (`already`).",
        body: Some(Sent {
            schema: schemas::body::<NewWord>,
            examples: schemas::word_examples,
        }),
        success: Success::One(202, "word", "Word", &[]),
        refusals: &[
            (
                403,
                "The policy does not allow it: for `failure` it asks for `os_masakari_api:operator:vouch` too. Or the caller \
                 is a monitor that is bound to a host.",
            ),
            (404, "There is no such recovery or instance."),
            (
                409,
                "What is known of it stands against the word; the message says what.",
            ),
        ],
        tag: "operator",
        ..PLAIN
    }
}
