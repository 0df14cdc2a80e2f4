//! Operations on drains and givebacks.

use std::borrow::Cow;

use http::Method;

use super::operator::{MONITORS, NO_HOST};
use super::{Operation, PLAIN, Sent, Success};
use crate::openapi::schemas;
use crate::types::plan::{NewDrain, NewGiveback};

const DRAIN: &str = "/operator/v1/hosts/{hostname}/drain";
const GIVEBACK: &str = "/operator/v1/hosts/{hostname}/giveback";
const SEVERAL: &str = "Several hosts are called so; the message lists their ids.";
const DENIED: &str = "The database or the audit log is not to be written. Where API and engine have database users of their own, this is \
                      said on a controller.";
const AGAINST: &str = "The host is being recovered, is frozen, is down, or something is planned for it already; or no engine has \
                       looked at Nova lately. The message says which.";

const LOOKED: &[(u16, &str)] = &[(404, NO_HOST), (409, SEVERAL)];
const WRITTEN: &[(u16, &str)] = &[(403, MONITORS), (404, NO_HOST), (409, AGAINST), (503, DENIED)];

pub(super) fn plans() -> Vec<Operation> {
    let plain = || Operation {
        tag: "operator",
        ..PLAIN
    };
    vec![
        Operation {
            path: DRAIN,
            id: Cow::Borrowed("showDrainOutlook"),
            summary: "Tell what would come of draining a host",
            about: "What `tachi host drain` says before it asks, from what an engine has seen of Nova. Nothing is written.",
            success: Success::One(200, "drain", "FailureOutlook", &[]),
            refusals: LOOKED,
            ..plain()
        },
        Operation {
            method: Method::POST,
            path: DRAIN,
            id: Cow::Borrowed("drainHost"),
            summary: "Empty a living host by live migrations, and freeze it for work at it",
            about: "What `tachi host drain` does: a recovery of kind `drain`, which an engine carries out, and which \
                    `GET /operator/v1/recoveries/{recovery}` follows and the word `abort` ends. It is in the audit log under the \
                    name of Keystone's user before it is written. What the same person has asked for within the last minute \
                    is not written again (`already`).",
            body: Some(Sent {
                schema: schemas::body::<NewDrain>,
                examples: schemas::drain_examples,
            }),
            success: Success::One(202, "plan", "Plan", &[]),
            refusals: WRITTEN,
            ..plain()
        },
        Operation {
            path: GIVEBACK,
            id: Cow::Borrowed("showGivebackOutlook"),
            summary: "Tell what would be given back to a host",
            about: "What `tachi host giveback --dry-run` prints, from what an engine has seen of Nova: what recoveries and drains \
                    have moved away from the host and that is elsewhere, and why some of it stays. Nothing is written.",
            success: Success::One(200, "giveback", "GivebackOutlook", &[]),
            refusals: LOOKED,
            ..plain()
        },
        Operation {
            method: Method::POST,
            path: GIVEBACK,
            id: Cow::Borrowed("giveBackToHost"),
            summary: "Live-migrate back to a host what recoveries and drains have moved away from it",
            about: "What `tachi host giveback` does: a recovery of kind `giveback` of what `GET` of this path says can go \
                    back, 500 at a time. An engine looks at each instance again. As for a drain, it is in the audit log first, \
                    and not written again within a minute (`already`).",
            body: Some(Sent {
                schema: schemas::body::<NewGiveback>,
                examples: schemas::giveback_examples,
            }),
            success: Success::One(202, "plan", "Plan", &[]),
            refusals: WRITTEN,
            ..plain()
        },
    ]
}
