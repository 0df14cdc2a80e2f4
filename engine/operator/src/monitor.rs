//! State of a monitor, and facts that only its host knows.

use serde::{Deserialize, Serialize};
use tachi_domain::monitor::{Guests, HeartbeatUse, MonitorKind, Notice, Resume};
use tachi_domain::situation::{MonitorSituation, Severity};
use utoipa::ToSchema;

use crate::schema;
use crate::when::Time;

/// A monitor that has sent at least one heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Monitor)]
pub struct MonitorView {
    /// The host that the monitor runs on.
    pub host: String,
    /// The kind of monitor; a host may run one of each kind.
    #[schema(schema_with = schema::monitor_kind)]
    pub kind: MonitorKind,
    /// `ok`: healthy. `warn`: has trouble. `err`: no heartbeat for 45 seconds.
    #[schema(schema_with = schema::grade)]
    pub grade: Severity,
    /// The time of the monitor's last heartbeat.
    pub signed_at: Time,
    /// The version of the program.
    pub version: String,
    /// The parts that do not work, for people; empty if no trouble is known.
    pub trouble: String,
    /// The number of hosts that the monitor watches.
    pub watches: u64,
    /// The start behaviour of its host's guests; null if the monitor does not report it.
    #[schema(required)]
    pub guests: Option<GuestsView>,
    /// The maximum time until the monitor reports a host failure; null if it does not report one.
    #[schema(required)]
    pub notice: Option<NoticeView>,
    /// Use of the monitor's heartbeats against a claim that its host is off. `counts`: they can contradict it. `unbound`: they cannot,
    /// since the monitor's credentials are bound to no host. `no-boot-id`: they cannot, since the monitor sends no boot id. `unknown`: an
    /// older API stored the heartbeat.
    #[schema(schema_with = schema::heartbeat_use, required)]
    #[serde(default)]
    pub heartbeat_use: HeartbeatUse,
}

/// The start behaviour of a host's guests when the host boots (`resume_guests_state_on_host_boot` of nova-compute).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = MonitorGuests)]
pub struct GuestsView {
    /// `yes` if the guests start by themselves, `no` if they do not, `unknown` if that could not be read.
    #[schema(schema_with = schema::resume)]
    pub resume: Resume,
    /// The source of that setting, or the reason why it is unknown.
    pub by: String,
}

impl From<&Guests> for GuestsView {
    fn from(guests: &Guests) -> Self {
        Self {
            resume: guests.resume,
            by: guests.by.clone(),
        }
    }
}

/// The maximum time from a host's power loss until a monitor has reported it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = MonitorNotice)]
pub struct NoticeView {
    /// The known part of that time in seconds.
    pub seconds: u32,
    /// The components of the known part, for people.
    pub by: String,
    /// Additional components of unknown length, for people; empty if there are none.
    pub beside: String,
}

impl From<&Notice> for NoticeView {
    fn from(notice: &Notice) -> Self {
        Self {
            seconds: notice.seconds,
            by: notice.by.clone(),
            beside: notice.beside.clone(),
        }
    }
}

impl From<&MonitorSituation> for MonitorView {
    fn from(monitor: &MonitorSituation) -> Self {
        Self {
            host: monitor.host.clone(),
            kind: monitor.kind,
            grade: monitor.grade,
            signed_at: Time(monitor.signed_at),
            version: monitor.version.clone(),
            trouble: monitor.trouble.clone(),
            watches: monitor.watches,
            guests: monitor.guests.as_ref().map(GuestsView::from),
            notice: monitor.notice.as_ref().map(NoticeView::from),
            heartbeat_use: monitor.heartbeat_use,
        }
    }
}
