//! How a monitor is, and what only its host knows.

use serde::{Deserialize, Serialize};
use tachi_domain::monitor::{Guests, HeartbeatUse, MonitorKind, Notice, Resume};
use tachi_domain::situation::{Grade, MonitorSituation};
use utoipa::ToSchema;

use crate::schema;
use crate::when::Time;

/// A monitor that has signed that it is at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Monitor)]
pub struct MonitorView {
    /// The host that it runs on.
    pub host: String,
    /// Which of that host's.
    #[schema(schema_with = schema::monitor_kind)]
    pub kind: MonitorKind,
    /// `ok`; `warn` with trouble; `err` when it has not signed for 45 seconds.
    #[schema(schema_with = schema::grade)]
    pub grade: Grade,
    /// When it signed last.
    pub signed_at: Time,
    /// Its version.
    pub version: String,
    /// What does not work, in words; empty if nothing is known to be wrong.
    pub trouble: String,
    /// How many hosts it watches.
    pub watches: u64,
    /// What it has found of the guests of its host; null if it says nothing of them.
    #[schema(required)]
    pub guests: Option<GuestsView>,
    /// How soon it would report a host; null if it does not say.
    #[schema(required)]
    pub notice: Option<NoticeView>,
    /// Whether its heartbeats can contradict a claim that its host is off: `counts`, `unbound`, `no-boot-id`, or `unknown` if an older
    /// API has written it.
    #[schema(schema_with = schema::heartbeat_use, required)]
    #[serde(default)]
    pub heartbeat_use: HeartbeatUse,
}

/// Whether the guests of a host start by themselves when it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = MonitorGuests)]
pub struct GuestsView {
    /// `yes`, `no`, or `unknown`.
    #[schema(schema_with = schema::resume)]
    pub resume: Resume,
    /// Where that is said, or why it is not known.
    pub by: String,
}

impl From<&Guests> for GuestsView {
    fn from(one: &Guests) -> Self {
        Self {
            resume: one.resume,
            by: one.by.clone(),
        }
    }
}

/// How long it takes at most from the power loss of a host until a monitor has reported it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = MonitorNotice)]
pub struct NoticeView {
    /// As far as that is known.
    pub seconds: u32,
    /// What these are.
    pub by: String,
    /// What comes on top, and is not known; empty if nothing does.
    pub beside: String,
}

impl From<&Notice> for NoticeView {
    fn from(one: &Notice) -> Self {
        Self {
            seconds: one.seconds,
            by: one.by.clone(),
            beside: one.beside.clone(),
        }
    }
}

impl From<&MonitorSituation> for MonitorView {
    fn from(one: &MonitorSituation) -> Self {
        Self {
            host: one.host.clone(),
            kind: one.kind,
            grade: one.grade,
            signed_at: Time(one.signed_at),
            version: one.version.clone(),
            trouble: one.trouble.clone(),
            watches: one.watches,
            guests: one.guests.as_ref().map(GuestsView::from),
            notice: one.notice.as_ref().map(NoticeView::from),
            heartbeat_use: one.heartbeat_use,
        }
    }
}
