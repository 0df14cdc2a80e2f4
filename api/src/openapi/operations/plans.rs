//! Operations on drains and givebacks.

use std::borrow::Cow;

use http::Method;

use super::operator::{MONITORS, NO_HOST};
use super::{DEFAULT_OPERATION, Operation, RequestBody, Success};
use crate::openapi::schemas;
use crate::types::plan::{NewDrain, NewGiveback};

const DRAIN: &str = "/operator/v1/hosts/{hostname}/drain";
const GIVEBACK: &str = "/operator/v1/hosts/{hostname}/giveback";
const AMBIGUOUS_NAME: &str = "Several hosts have this name; the message lists their ids.";
const DENIED: &str = "The database or the audit log cannot be written. If API and engine have separate database \
    users, use the command on a controller.";
const BLOCKED: &str = "The host is being recovered, frozen, down, or has an open plan; or no engine has read Nova \
    recently. The message has the reason.";

const PREVIEW_REFUSALS: &[(u16, &str)] = &[(404, NO_HOST), (409, AMBIGUOUS_NAME)];
const START_REFUSALS: &[(u16, &str)] = &[(403, MONITORS), (404, NO_HOST), (409, BLOCKED), (503, DENIED)];

pub(super) fn plans() -> Vec<Operation> {
    let plain = || Operation {
        tag: "operator",
        ..DEFAULT_OPERATION
    };
    vec![
        Operation {
            path: DRAIN,
            id: Cow::Borrowed("showDrainOutlook"),
            summary: "Preview the drain of a host",
            about: "The preview that `tachi host drain` shows before its confirmation, from the data that an engine \
                has read from Nova. It changes nothing.",
            success: Success::One(200, "drain", "FailureOutlook", &[]),
            refusals: PREVIEW_REFUSALS,
            ..plain()
        },
        Operation {
            method: Method::POST,
            path: DRAIN,
            id: Cow::Borrowed("drainHost"),
            summary: "Drain a running host by live migrations, and freeze it for maintenance",
            about: "The same as `tachi host drain`: a recovery of kind `drain`, which an engine carries out. `GET \
                /operator/v1/recoveries/{recovery}` shows its progress, and the action `abort` ends it. The action is \
                in the audit log with the Keystone user before it is stored. The same request by the same user within \
                a minute is stored once (`already`).",
            body: Some(RequestBody {
                schema: schemas::body::<NewDrain>,
                examples: schemas::drain_examples,
            }),
            success: Success::One(202, "plan", "Plan", &[]),
            refusals: START_REFUSALS,
            ..plain()
        },
        Operation {
            path: GIVEBACK,
            id: Cow::Borrowed("showGivebackOutlook"),
            summary: "Preview the giveback to a host",
            about: "The output of `tachi host giveback --dry-run`, from the data that an engine has read from Nova: \
                the instances that recoveries and drains moved away from the host, with the reason for each that \
                stays. It changes nothing.",
            success: Success::One(200, "giveback", "GivebackOutlook", &[]),
            refusals: PREVIEW_REFUSALS,
            ..plain()
        },
        Operation {
            method: Method::POST,
            path: GIVEBACK,
            id: Cow::Borrowed("giveBackToHost"),
            summary: "Live-migrate instances back to the host that recoveries and drains moved them from",
            about: "The same as `tachi host giveback`: a recovery of kind `giveback` with the instances that `GET` on \
                this path lists as movable, 500 at most. An engine checks each instance again. As for a drain, the \
                action is in the audit log first, and stored once within a minute (`already`).",
            body: Some(RequestBody {
                schema: schemas::body::<NewGiveback>,
                examples: schemas::giveback_examples,
            }),
            success: Success::One(202, "plan", "Plan", &[]),
            refusals: START_REFUSALS,
            ..plain()
        },
    ]
}
