//! Bodies of heartbeats of monitors.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tachi_domain::monitor::{
    Boot, Guests, HeartbeatUse, LostPlanes, MAX_FAILED_PROCESSES, MAX_LOCAL_DISKS, MAX_LOST_PLANES,
    MAX_NOTICE_SECONDS, MAX_PARTS, MAX_SHUT_DOWN, MAX_WATCHED_HOSTS, MonitorHeartbeat, MonitorKind, Notice,
    Resume,
};
use tachi_domain::{ServerId, Timestamp};

use super::fields::{Body, Fields, Objection, wrong_type};
use super::payload::Pairs;
use super::rules::{Boolean, HOSTNAME, RESUME, Rule, Text, Whole};
use crate::microversion::Microversion;

const VERSION: Text = Text { least: 1, most: 64 };
const TEXT_LIMITS: Text = Text { least: 0, most: 255 };
const BOOT_ID: Text = Text { least: 1, most: 64 };

/// Limits of the time since a host's boot, in milliseconds; a thousand years at most.
const UPTIME_LIMITS: Whole = Whole {
    least: 0,
    most: 31_536_000_000_000,
};

/// A heartbeat of a monitor, without the host and the kind, which are in the path.
#[derive(Debug)]
pub(crate) struct NewHeartbeat {
    version: String,
    troubles: BTreeMap<String, String>,
    watches: BTreeSet<String>,
    watching: bool,
    guests: Option<Guests>,
    notice: Option<Notice>,
    planes: Option<BTreeMap<String, BTreeMap<String, u64>>>,
    processes_down: BTreeMap<String, u64>,
    boot: Option<Boot>,
    local_disks: Option<BTreeSet<ServerId>>,
    shut_down: BTreeSet<ServerId>,
}

impl Body for NewHeartbeat {
    const KEY: &'static str = "monitor";

    fn fields(fields: &mut impl Fields, _: Microversion) -> Option<Self> {
        let version = fields.required("version", VERSION);
        let troubles = fields.optional("troubles", SubsystemProblems);
        let watches = fields.optional("watches", Hosts);
        let watching = fields.optional("watching", Boolean);
        let resume: Option<Resume> = fields.optional("guests_resume", RESUME);
        let guests_by = fields.optional("guests_by", TEXT_LIMITS);
        let seconds = fields.optional(
            "notice_seconds",
            Whole {
                least: 0,
                most: u64::from(MAX_NOTICE_SECONDS),
            },
        );
        let notice_by = fields.optional("notice_by", TEXT_LIMITS);
        let beside = fields.optional("notice_beside", TEXT_LIMITS);
        let planes = fields.optional("planes", Planes);
        let processes_down = fields.optional("processes_down", PROCESSES);
        let boot_id: Option<String> = fields.optional("boot_id", BOOT_ID);
        let uptime = fields.optional("uptime_ms", UPTIME_LIMITS);
        let local_disks = fields.optional("local_disks", LOCAL_DISKS);
        let shut_down = fields.optional("shut_down", SHUT_DOWN);
        Some(Self {
            version: version?,
            troubles: troubles.unwrap_or_default(),
            watches: watches.unwrap_or_default(),
            watching: watching.unwrap_or(false),
            guests: resume.map(|resume| Guests {
                resume,
                by: guests_by.unwrap_or_default(),
            }),
            notice: seconds.map(|seconds| Notice {
                seconds: u32::try_from(seconds).unwrap_or(MAX_NOTICE_SECONDS),
                by: notice_by.unwrap_or_default(),
                beside: beside.unwrap_or_default(),
            }),
            planes,
            processes_down: processes_down.unwrap_or_default(),
            boot: boot_id.zip(uptime).map(|(id, uptime)| Boot {
                id,
                up: Duration::from_millis(uptime),
            }),
            local_disks,
            shut_down: shut_down.unwrap_or_default(),
        })
    }
}

impl NewHeartbeat {
    /// Returns the heartbeat of a monitor, received at `now`. It can contradict a claim that the host is off only if the caller is
    /// `bound` to it.
    pub(crate) fn of(self, host: String, kind: MonitorKind, bound: bool, now: Timestamp) -> MonitorHeartbeat {
        // These texts are shown in terminals and logs.
        let line = |text: &str| text.replace(char::is_control, " ");
        let dated = |ages: &BTreeMap<String, u64>| -> BTreeMap<String, Timestamp> {
            let since = |seconds: u64| {
                let micros = i64::try_from(seconds.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
                Timestamp::from_micros(now.micros().saturating_sub(micros))
            };
            ages.iter()
                .map(|(name, seconds)| (line(name), since(*seconds)))
                .collect()
        };
        let planes = self.planes.as_ref().map(|hosts| -> LostPlanes {
            hosts
                .iter()
                .map(|(host, planes)| (host.clone(), dated(planes)))
                .collect()
        });
        let processes_down = dated(&self.processes_down);
        MonitorHeartbeat {
            host,
            kind,
            version: line(&self.version),
            troubles: self
                .troubles
                .iter()
                .map(|(part, why)| (line(part), line(why)))
                .collect(),
            watches: self.watches,
            watching: self.watching,
            guests: self.guests.map(|one| Guests {
                by: line(&one.by),
                ..one
            }),
            notice: self.notice.map(|one| Notice {
                by: line(&one.by),
                beside: line(&one.beside),
                ..one
            }),
            planes,
            processes_down,
            heartbeat_use: match (bound, &self.boot) {
                (false, _) => HeartbeatUse::Unbound,
                (true, None) => HeartbeatUse::NoBootId,
                (true, Some(_)) => HeartbeatUse::Counts,
            },
            boot: self.boot.filter(|_| bound),
            local_disks: self.local_disks.filter(|_| bound),
            shut_down: if bound { self.shut_down } else { BTreeSet::new() },
        }
    }
}

/// The parts of a monitor that do not work, each with the reason.
#[derive(Clone, Copy, Debug)]
struct SubsystemProblems;

impl Rule for SubsystemProblems {
    type Out = BTreeMap<String, String>;

    fn read(&self, value: &Value) -> Result<Self::Out, Objection> {
        let troubles = Pairs.read(value)?;
        if troubles.len() > MAX_PARTS {
            return Err(Objection::Reason(format!(
                "it has {} parts; the limit is {MAX_PARTS}",
                troubles.len()
            )));
        }
        Ok(troubles)
    }

    fn schema(&self) -> Value {
        let mut schema = Pairs.schema();
        schema["maxProperties"] = json!(MAX_PARTS);
        schema["description"] = json!("The reason why a part does not work, by part.");
        schema
    }
}

/// Names with the seconds since when, a limited number of them.
#[derive(Clone, Copy, Debug)]
struct Ages {
    most: usize,
    description: &'static str,
}

const AGE_LIMITS: Whole = Whole {
    least: 0,
    most: 31_536_000_000,
};
const NAME: Text = Text { least: 1, most: 255 };
const PLANE_LIMITS: Ages = Ages {
    most: MAX_LOST_PLANES,
    description: "Lost networks, such as storage and tenant, each with the seconds since when.",
};
const PROCESSES: Ages = Ages {
    most: MAX_FAILED_PROCESSES,
    description: "The processes that could not be restarted, each with the seconds since when.",
};

fn object(value: &Value, most: usize) -> Result<&serde_json::Map<String, Value>, Objection> {
    let Value::Object(object) = value else {
        return Err(Objection::Reason(wrong_type(value, "object")));
    };
    if object.len() > most {
        return Err(Objection::Reason(format!(
            "it has {} fields; the limit is {most}",
            object.len()
        )));
    }
    Ok(object)
}

impl Rule for Ages {
    type Out = BTreeMap<String, u64>;

    fn read(&self, value: &Value) -> Result<Self::Out, Objection> {
        let each = object(value, self.most)?.iter();
        each.map(|(name, age)| Ok((NAME.read(&json!(name))?, AGE_LIMITS.read(age)?)))
            .collect()
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "maxProperties": self.most,
            "propertyNames": NAME.schema(),
            "additionalProperties": AGE_LIMITS.schema(),
            "description": self.description,
        })
    }
}

/// The lost planes, by host.
#[derive(Clone, Copy, Debug)]
struct Planes;

impl Rule for Planes {
    type Out = BTreeMap<String, BTreeMap<String, u64>>;

    fn read(&self, value: &Value) -> Result<Self::Out, Objection> {
        let each = object(value, MAX_WATCHED_HOSTS)?.iter();
        each.map(|(host, planes)| Ok((HOSTNAME.read(&json!(host))?, PLANE_LIMITS.read(planes)?)))
            .collect()
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "maxProperties": MAX_WATCHED_HOSTS,
            "propertyNames": HOSTNAME.schema(),
            "additionalProperties": PLANE_LIMITS.schema(),
            "description": "The networks that running hosts have lost, by host; absent if the monitor does not check them.",
        })
    }
}

/// A list of instances, a limited number of them.
#[derive(Clone, Copy, Debug)]
struct Instances {
    most: usize,
    description: &'static str,
}

const LOCAL_DISKS: Instances = Instances {
    most: MAX_LOCAL_DISKS,
    description: "The instances whose disk is on this host alone; absent if the monitor does not read that.",
};
const SHUT_DOWN: Instances = Instances {
    most: MAX_SHUT_DOWN,
    description: "The instances on this host that have shut themselves down, and were not started since.",
};

const INSTANCE: Text = Text { least: 36, most: 36 };

const UUID_PATTERN: &str = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$";

impl Rule for Instances {
    type Out = BTreeSet<ServerId>;

    fn read(&self, value: &Value) -> Result<Self::Out, Objection> {
        let Value::Array(ids) = value else {
            return Err(Objection::Reason(wrong_type(value, "array")));
        };
        if ids.len() > self.most {
            return Err(Objection::Reason(format!(
                "it has {} instances; the limit is {}",
                ids.len(),
                self.most
            )));
        }
        let id = |value: &Value| -> Result<ServerId, Objection> {
            let text = INSTANCE.read(value)?;
            let id = uuid::Uuid::try_parse(&text);
            let id = id.map_err(|_| Objection::Reason(format!("{text:?} is not a UUID")))?;
            Ok(ServerId(id))
        };
        ids.iter().map(id).collect()
    }

    fn schema(&self) -> Value {
        json!({
            "type": "array",
            "maxItems": self.most,
            "items": {"type": "string", "minLength": 36, "maxLength": 36, "pattern": UUID_PATTERN},
            "description": self.description,
        })
    }
}

/// A list of host names.
#[derive(Clone, Copy, Debug)]
struct Hosts;

impl Rule for Hosts {
    type Out = BTreeSet<String>;

    fn read(&self, value: &Value) -> Result<Self::Out, Objection> {
        let Value::Array(names) = value else {
            return Err(Objection::Reason(wrong_type(value, "array")));
        };
        if names.len() > MAX_WATCHED_HOSTS {
            return Err(Objection::Reason(format!(
                "it has {} hosts; the limit is {MAX_WATCHED_HOSTS}",
                names.len()
            )));
        }
        names.iter().map(|name| HOSTNAME.read(name)).collect()
    }

    fn schema(&self) -> Value {
        json!({
            "type": "array",
            "maxItems": MAX_WATCHED_HOSTS,
            "items": HOSTNAME.schema(),
            "description": "The hosts that the monitor watches, or watched when it last could.",
        })
    }
}
