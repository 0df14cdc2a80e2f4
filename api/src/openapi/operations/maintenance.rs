//! Operations on quarantined reporters, removed monitors, and new attempts of failed recoveries.

use std::borrow::Cow;

use http::Method;

use super::operator::MONITORS;
use super::{Operation, PLAIN, Sent, Success};
use crate::openapi::schemas;
use crate::types::maintenance::{NewLift, NewRetry};

const DENIED: &str = "The database or the audit log is not to be written. Where API and engine have database users of their own, this is \
                      said on a controller.";

const UNWRITTEN: &str = "The database or the audit log is not to be written.";

pub(super) fn upkeep() -> Vec<Operation> {
    let plain = || Operation {
        tag: "operator",
        ..PLAIN
    };
    vec![
        Operation {
            path: "/operator/v1/reporters",
            id: Cow::Borrowed("listReporters"),
            summary: "List the reporters that are muted because Nova contradicts what they report",
            about: "What `tachi monitor list --muted --format json` prints.",
            success: Success::Many("reporters", "DoubtedReporter"),
            ..plain()
        },
        Operation {
            method: Method::POST,
            path: "/operator/v1/reporters/{reporter}/lift",
            id: Cow::Borrowed("liftReporter"),
            summary: "Let a reporter be heard again",
            about: "What `tachi monitor unmute` does. It is in the audit log under the name of Keystone's user before it is written.",
            body: Some(Sent {
                schema: schemas::body::<NewLift>,
                examples: schemas::lift_examples,
            }),
            success: Success::One(200, "lift", "LiftedReporter", &[]),
            refusals: &[
                (403, MONITORS),
                (404, "No such reporter is muted: it was unmuted, or never muted."),
                (409, "Somebody else has lifted it meanwhile."),
                (503, DENIED),
            ],
            ..plain()
        },
        Operation {
            method: Method::DELETE,
            path: "/operator/v1/monitors/{hostname}/{kind}",
            id: Cow::Borrowed("forgetMonitor"),
            summary: "Forget a monitor that was taken away",
            about: "What `tachi monitor forget` does. One that still runs is known again within ten seconds.",
            success: Success::One(200, "monitor", "ForgottenMonitor", &[]),
            refusals: &[
                (403, MONITORS),
                (
                    404,
                    "No such monitor is known: it is forgotten already, or has never signed.",
                ),
                (503, UNWRITTEN),
            ],
            ..plain()
        },
        Operation {
            method: Method::POST,
            path: "/operator/v1/recoveries/{recovery}/retry",
            id: Cow::Borrowed("retryRecovery"),
            summary: "Begin another attempt at what a recovery has failed at",
            about: "What `tachi recovery retry` does: a recovery of its own, which looks at everything afresh. Who wants it is in the \
                    audit log and in the story of the failed one before anything is begun. What the same person has begun within \
                    the last minute is not begun again (`already`).",
            body: Some(Sent {
                schema: schemas::body::<NewRetry>,
                examples: schemas::retry_examples,
            }),
            success: Success::One(202, "retry", "Retry", &[]),
            refusals: &[
                (403, MONITORS),
                (404, "There is no such recovery."),
                (
                    409,
                    "It has not failed, or one about the same is open; the message says which.",
                ),
                (503, DENIED),
            ],
            ..plain()
        },
    ]
}
