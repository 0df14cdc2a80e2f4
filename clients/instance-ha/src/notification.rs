//! The notifications that monitors send.

use chrono::{DateTime, Timelike as _, Utc};
use serde::Serialize;

use crate::python;

/// Request header with the evidence for a report. The body stays as upstream's.
pub const EVIDENCE_HEADER: &str = "X-Tachi-Fence-Evidence";

/// The time of an observation by the local clock, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GeneratedTime(i64);

impl GeneratedTime {
    /// Creates a time from microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Returns microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }
}

/// Formats like Python's `isoformat` without a zone: the fraction only if it is not zero.
impl std::fmt::Display for GeneratedTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time: DateTime<Utc> = DateTime::from_timestamp_micros(self.0).unwrap_or_default();
        if time.nanosecond() == 0 {
            write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%S"))
        } else {
            write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%S%.6f"))
        }
    }
}

/// The event of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HostEvent {
    /// The host runs again.
    Started,
    /// The host stopped.
    Stopped,
}

/// The cluster's state of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ClusterStatus {
    /// A member.
    Online,
    /// Not a member.
    Offline,
}

/// The confirmed state of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HostStatus {
    /// The stopped host is confirmed off.
    Normal,
    /// Unknown.
    Unknown,
}

#[derive(Serialize)]
struct Envelope<'a, P> {
    notification: NotificationBody<'a, P>,
}

#[derive(Serialize)]
struct NotificationBody<'a, P> {
    #[serde(rename = "type")]
    kind: &'static str,
    hostname: &'a str,
    generated_time: String,
    payload: P,
}

#[derive(Serialize)]
struct HostPayload {
    event: HostEvent,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_status: Option<ClusterStatus>,
    host_status: HostStatus,
}

#[derive(Serialize)]
struct VmPayload<'a> {
    event: &'a str,
    instance_uuid: &'a str,
    vir_domain_event: &'a str,
}

#[derive(Serialize)]
struct ProcessPayload<'a> {
    event: &'static str,
    process_name: &'a str,
}

/// A report: the request's body, the subject, and the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    subject: String,
    body: String,
    evidence: Option<String>,
    minor: bool,
}

impl Notification {
    /// Creates a report about a host. The driver for Kubernetes sends no `cluster_status`, the others do.
    pub fn host(
        hostname: &str,
        event: HostEvent,
        cluster_status: Option<ClusterStatus>,
        host_status: HostStatus,
        generated: GeneratedTime,
    ) -> Self {
        let payload = HostPayload {
            event,
            cluster_status,
            host_status,
        };
        Self::new(
            "COMPUTE_HOST",
            hostname,
            generated,
            payload,
            Self::host_subject(hostname),
        )
    }

    /// Creates a report about an instance on a host: `event` and `vir_domain_event` are libvirt's names as upstream
    /// writes them.
    pub fn vm(
        hostname: &str,
        event: &str,
        instance_uuid: &str,
        vir_domain_event: &str,
        generated: GeneratedTime,
    ) -> Self {
        let payload = VmPayload {
            event,
            instance_uuid,
            vir_domain_event,
        };
        Self::new(
            "VM",
            hostname,
            generated,
            payload,
            Self::vm_subject(instance_uuid),
        )
    }

    /// Creates a report of a process that stopped and could not be restarted. `process_name` has no folder.
    pub fn process(hostname: &str, process_name: &str, generated: GeneratedTime) -> Self {
        Self::about_process("STOPPED", hostname, process_name, generated)
    }

    /// Creates a report that a reported process runs again: its next stop is a new failure.
    pub fn process_started(hostname: &str, process_name: &str, generated: GeneratedTime) -> Self {
        Self::about_process("STARTED", hostname, process_name, generated)
    }

    fn about_process(
        event: &'static str,
        hostname: &str,
        process_name: &str,
        generated: GeneratedTime,
    ) -> Self {
        let payload = ProcessPayload { event, process_name };
        let subject = Self::process_subject(hostname, process_name);
        Self::new("PROCESS", hostname, generated, payload, subject)
    }

    fn new(
        kind: &'static str,
        hostname: &str,
        generated: GeneratedTime,
        payload: impl Serialize,
        subject: String,
    ) -> Self {
        let envelope = Envelope {
            notification: NotificationBody {
                kind,
                hostname,
                generated_time: generated.to_string(),
                payload,
            },
        };
        Self {
            subject,
            body: python::dumps(&envelope),
            evidence: None,
            minor: false,
        }
    }

    /// Adds the evidence: the value of [`EVIDENCE_HEADER`].
    #[must_use]
    pub fn with_evidence(mut self, header: String) -> Self {
        self.evidence = Some(header);
        self
    }

    /// Marks a report that causes no recovery: a full spool may drop it.
    #[must_use]
    pub fn minor(mut self) -> Self {
        self.minor = true;
        self
    }

    /// Returns the subject of reports about a host.
    pub fn host_subject(hostname: &str) -> String {
        format!("COMPUTE_HOST/{hostname}")
    }

    /// Returns the subject of reports about an instance.
    pub fn vm_subject(instance_uuid: &str) -> String {
        format!("VM/{instance_uuid}")
    }

    /// Returns the subject of reports about a process.
    pub fn process_subject(hostname: &str, process_name: &str) -> String {
        format!("PROCESS/{hostname}/{process_name}")
    }

    /// Returns the subject. Reports with one subject are delivered in order, and a later one may replace earlier
    /// ones.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns the request's body.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Returns the value of [`EVIDENCE_HEADER`], if there is evidence.
    pub fn evidence(&self) -> Option<&str> {
        self.evidence.as_deref()
    }

    /// True if a full spool may drop it.
    pub fn is_minor(&self) -> bool {
        self.minor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: GeneratedTime = GeneratedTime::from_micros(1_795_155_494_815_847);

    #[test]
    fn times_are_written_as_python_writes_them() {
        let cases = [
            (1_795_155_494_815_847, "2026-11-20T06:18:14.815847"),
            (1_767_225_600_000_000, "2026-01-01T00:00:00"),
            (1_767_225_600_000_001, "2026-01-01T00:00:00.000001"),
            (1_767_225_600_500_000, "2026-01-01T00:00:00.500000"),
        ];
        for (micros, expected) in cases {
            assert_eq!(GeneratedTime::from_micros(micros).to_string(), expected);
        }
    }

    #[test]
    fn bodies_are_those_of_the_python_monitors() {
        let stopped = Notification::host(
            "cmp1",
            HostEvent::Stopped,
            Some(ClusterStatus::Offline),
            HostStatus::Normal,
            AT,
        );
        assert_eq!(
            stopped.body(),
            r#"{"notification": {"type": "COMPUTE_HOST", "hostname": "cmp1", "generated_time": "2026-11-20T06:18:14.815847", "payload": {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}}}"#
        );
        let kubernetes = Notification::host("cmp1", HostEvent::Stopped, None, HostStatus::Normal, AT);
        assert!(
            kubernetes
                .body()
                .ends_with(r#""payload": {"event": "STOPPED", "host_status": "NORMAL"}}}"#)
        );
        let vm = Notification::vm("cmp1", "LIFECYCLE", "u-1", "STOPPED_FAILED", AT);
        assert_eq!(
            vm.body(),
            r#"{"notification": {"type": "VM", "hostname": "cmp1", "generated_time": "2026-11-20T06:18:14.815847", "payload": {"event": "LIFECYCLE", "instance_uuid": "u-1", "vir_domain_event": "STOPPED_FAILED"}}}"#
        );
        let process = Notification::process("cmp1", "nova-compute", AT);
        assert!(process.body().ends_with(
            r#"{"type": "PROCESS", "hostname": "cmp1", "generated_time": "2026-11-20T06:18:14.815847", "payload": {"event": "STOPPED", "process_name": "nova-compute"}}}"#
                .trim_start_matches('{')
        ));
        assert_eq!(process.subject(), "PROCESS/cmp1/nova-compute");
    }
}
