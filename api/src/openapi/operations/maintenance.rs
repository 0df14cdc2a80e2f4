//! Operations on muted reporters, removed monitors, and new attempts of failed recoveries.

use std::borrow::Cow;

use http::Method;

use super::operator::MONITORS;
use super::{DEFAULT_OPERATION, Operation, RequestBody, Success};
use crate::openapi::schemas;
use crate::types::maintenance::{NewRetry, NewUnmute};

const DENIED: &str = "The database or the audit log cannot be written. If API and engine have separate database \
    users, use the command on a controller.";

const WRITE_FAILED: &str = "The database or the audit log cannot be written.";

pub(super) fn operations() -> Vec<Operation> {
    let plain = || Operation {
        tag: "operator",
        ..DEFAULT_OPERATION
    };
    vec![
        Operation {
            path: "/operator/v1/reporters",
            id: Cow::Borrowed("listReporters"),
            summary: "List the reporters that are muted because Nova contradicts what they report",
            about: "The output of `tachi monitor list --muted --format json`.",
            success: Success::Many("reporters", "DoubtedReporter"),
            ..plain()
        },
        Operation {
            method: Method::POST,
            path: "/operator/v1/reporters/{reporter}/lift",
            id: Cow::Borrowed("liftReporter"),
            summary: "Unmute a reporter",
            about: "The same as `tachi monitor unmute`. The action is in the audit log with the Keystone user before \
                it is stored.",
            body: Some(RequestBody {
                schema: schemas::body::<NewUnmute>,
                examples: schemas::lift_examples,
            }),
            success: Success::One(200, "lift", "LiftedReporter", &[]),
            refusals: &[
                (403, MONITORS),
                (404, "No muted reporter has this number or host."),
                (409, "Another operator has unmuted it meanwhile."),
                (503, DENIED),
            ],
            ..plain()
        },
        Operation {
            method: Method::DELETE,
            path: "/operator/v1/monitors/{hostname}/{kind}",
            id: Cow::Borrowed("forgetMonitor"),
            summary: "Remove a decommissioned monitor",
            about: "The same as `tachi monitor forget`. A monitor that still runs is listed again within 10 s.",
            success: Success::One(200, "monitor", "ForgottenMonitor", &[]),
            refusals: &[
                (403, MONITORS),
                (
                    404,
                    "No such monitor is listed: it was removed already, or has never sent a heartbeat.",
                ),
                (503, WRITE_FAILED),
            ],
            ..plain()
        },
        Operation {
            method: Method::POST,
            path: "/operator/v1/recoveries/{recovery}/retry",
            id: Cow::Borrowed("retryRecovery"),
            summary: "Start another attempt of a failed recovery",
            about: "The same as `tachi recovery retry`: a new recovery, which checks everything again. The operator \
                is in the audit log and in the event log of the failed recovery before the new one starts. The same \
                request by the same user within a minute starts one recovery (`already`).",
            body: Some(RequestBody {
                schema: schemas::body::<NewRetry>,
                examples: schemas::retry_examples,
            }),
            success: Success::One(202, "retry", "Retry", &[]),
            refusals: &[
                (403, MONITORS),
                (404, "No recovery has this id."),
                (
                    409,
                    "The recovery has not failed, or another recovery of the same subject is open. The message has \
                     the reason.",
                ),
                (503, DENIED),
            ],
            ..plain()
        },
    ]
}
