//! What engines sign of Nova: whether it answers, and which hypervisors would not be recovered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tachi_domain::recovery::Life;
use tachi_engine::ports::OperatorDesk;
use tachi_engine::ports::operator::{HostView, SegmentView};
use tachi_engine::{Cloud, CloudView};
use tokio_util::sync::CancellationToken;

use super::roll::Fact;

/// What is older is not known.
const OLD: Duration = Duration::from_secs(45);

/// How many hosts of a kind are named.
const NAMED: usize = 5;

/// Compares what Nova shows with what is registered.
#[derive(Clone)]
pub(crate) struct CloudWatch {
    cloud: Cloud,
    desk: Arc<dyn OperatorDesk>,
    hypervisors: Arc<Mutex<String>>,
}

impl CloudWatch {
    pub(crate) fn new(cloud: Cloud, desk: Arc<dyn OperatorDesk>) -> Self {
        let unknown = "ok: not looked at yet".to_owned();
        Self {
            cloud,
            desk,
            hypervisors: Arc::new(Mutex::new(unknown)),
        }
    }

    /// Whether Nova answers.
    pub(crate) fn nova(&self) -> Fact {
        let cloud = self.cloud.clone();
        Arc::new(move || answers(&cloud.view()))
    }

    /// Which hypervisors would not be recovered.
    pub(crate) fn hypervisors(&self) -> Fact {
        let text = self.hypervisors.clone();
        Arc::new(move || text.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Compares after each look at Nova, until told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        loop {
            // Both branches only wait.
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.cloud.looked() => {}
            }
            let segments = match self.desk.region().await {
                Ok(segments) => segments,
                Err(error) => {
                    tracing::debug!(%error, "which hosts are registered is not known");
                    continue;
                }
            };
            *self.hypervisors.lock().unwrap_or_else(PoisonError::into_inner) =
                compare(&self.cloud.view(), &segments);
        }
    }
}

fn answers(view: &CloudView) -> String {
    let seconds = view.age.map(|age| age.as_secs());
    match (seconds, &view.trouble) {
        (None, None) => "ok: not asked yet".into(),
        (None, Some(why)) => format!("away, and has never answered this engine: {why}"),
        (Some(seconds), Some(why)) => format!("away for {seconds} s: {why}"),
        (Some(seconds), None) if view.age.is_some_and(|age| age > OLD) => {
            format!("unknown: it has not answered for {seconds} s")
        }
        (Some(seconds), None) => {
            let beats = view.heartbeat_age.map_or_else(String::new, |age| {
                format!(", heartbeats up to {} s old", age.as_secs())
            });
            let services = view.services.len();
            format!("ok: answered {seconds} s ago, {services} compute services{beats}")
        }
    }
}

/// What is wrong with the hypervisors, in one line.
fn compare(view: &CloudView, segments: &[SegmentView]) -> String {
    if view.age.is_none_or(|age| age > OLD) {
        return "unknown: Nova does not answer".into();
    }
    let registered: Vec<&HostView> = segments.iter().flat_map(|view| &view.hosts).collect();
    let service = |name: &str| view.services.iter().find(|(host, _)| host == name);
    let (mut down, mut disabled, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for host in registered.iter().filter(|host| is_expected_up(host)) {
        let name = host.host.name.as_str();
        match service(name) {
            None => missing.push(name),
            Some((_, Some(service))) if !service.up => down.push(name),
            Some((_, Some(service))) if !service.enabled && !host.host.reserved => disabled.push(name),
            // A cell that is down says nothing of its hosts.
            Some((_, Some(_) | None)) => {}
        }
    }
    let names = view.services.iter().map(|(host, _)| host.as_str());
    let strangers: Vec<&str> = names
        .filter(|name| !registered.iter().any(|host| host.host.name == *name))
        .collect();
    let told: Vec<String> = [
        (strangers, "in no segment, so not recovered"),
        (down, "down at Nova, and nobody has reported it"),
        (missing, "registered, and unknown to Nova"),
        (disabled, "disabled at Nova, so it takes no instances"),
    ]
    .into_iter()
    .filter(|(hosts, _)| !hosts.is_empty())
    .map(|(hosts, what)| format!("{}: {what}", named(&hosts)))
    .collect();
    if told.is_empty() {
        format!("ok: {} in segments, as Nova shows them", registered.len())
    } else {
        told.join("; ")
    }
}

/// Whether it should be at work: not recovered, on maintenance or under recovery.
fn is_expected_up(host: &HostView) -> bool {
    host.why.is_none() && !matches!(host.recovery, Some((_, Life::Open | Life::Watching)))
}

fn named(hosts: &[&str]) -> String {
    let more = hosts.len().saturating_sub(NAMED);
    let first: Vec<&str> = hosts.iter().take(NAMED).copied().collect();
    let first = first.join(", ");
    if more > 0 {
        format!("{first} and {more} more")
    } else {
        first
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::ServiceId;
    use tachi_domain::entity::host::MaintenanceReason;
    use tachi_domain::entity::segment::RecoveryMethod;
    use tachi_domain::entity::{Host, Segment, Stamps};
    use tachi_domain::nova::Service;
    use tachi_domain::{HostId, SegmentId, Timestamp};
    use uuid::Uuid;

    use super::*;

    fn service(host: &str, up: bool, enabled: bool) -> (String, Option<Service>) {
        let service = Service {
            id: ServiceId(Uuid::from_u128(1)),
            host: host.to_owned(),
            enabled,
            disabled_reason: None,
            up,
            forced_down: false,
            last_heartbeat: None,
            nova_now: None,
        };
        (host.to_owned(), Some(service))
    }

    fn region(hosts: &[&str]) -> Vec<SegmentView> {
        let stamps = Stamps {
            created_at: Timestamp::from_micros(0),
            updated_at: None,
        };
        let segment = Segment {
            row: 1,
            id: SegmentId(Uuid::from_u128(1)),
            name: "s".into(),
            service_type: "COMPUTE".into(),
            enabled: true,
            description: None,
            recovery_method: RecoveryMethod::Auto,
            stamps,
        };
        let host = |name: &&str| HostView {
            host: Host {
                row: 1,
                id: HostId(Uuid::from_u128(1)),
                name: (*name).to_owned(),
                segment: segment.clone(),
                kind: "COMPUTE".into(),
                control_attributes: "SSH".into(),
                reserved: name.starts_with("reserved"),
                on_maintenance: name.starts_with("out"),
                stamps,
            },
            why: name.starts_with("out").then_some(MaintenanceReason::Operator),
            recovery: None,
        };
        vec![SegmentView {
            hosts: hosts.iter().map(host).collect(),
            segment: segment.clone(),
        }]
    }

    #[test]
    fn hypervisors_that_would_not_be_recovered_are_named() {
        let view = |services| CloudView {
            age: Some(Duration::from_secs(3)),
            trouble: None,
            services,
            heartbeat_age: None,
        };
        let both = || vec![service("a", true, true), service("b", true, true)];
        let cases: [(&str, Vec<_>, &[&str], &str); 8] = [
            (
                "all is well",
                both(),
                &["a", "b"],
                "ok: 2 in segments, as Nova shows them",
            ),
            (
                "one is registered nowhere",
                both(),
                &["a"],
                "b: in no segment, so not recovered",
            ),
            (
                "one is down",
                vec![service("a", true, true), service("b", false, true)],
                &["a", "b"],
                "b: down at Nova, and nobody has reported it",
            ),
            (
                "one is disabled",
                vec![service("a", true, true), service("b", true, false)],
                &["a", "b"],
                "b: disabled at Nova, so it takes no instances",
            ),
            (
                "a reserved host is disabled by design",
                vec![service("reserved", true, false)],
                &["reserved"],
                "ok: 1 in segments, as Nova shows them",
            ),
            (
                "nobody expects a host on maintenance",
                vec![service("out", false, false)],
                &["out"],
                "ok: 1 in segments, as Nova shows them",
            ),
            (
                "a cell that is down says nothing",
                vec![("a".to_owned(), None)],
                &["a"],
                "ok: 1 in segments, as Nova shows them",
            ),
            (
                "a name that Nova does not know",
                vec![service("a", true, true)],
                &["a", "b"],
                "b: registered, and unknown to Nova",
            ),
        ];
        for (name, services, hosts, expected) in cases {
            assert_eq!(compare(&view(services), &region(hosts)), expected, "{name}");
        }
        let many: Vec<_> = (1..=7).map(|n| service(&format!("c{n}"), true, true)).collect();
        let told = compare(&view(many), &region(&[]));
        assert_eq!(
            told,
            "c1, c2, c3, c4, c5 and 2 more: in no segment, so not recovered"
        );
        let old = CloudView {
            age: Some(Duration::from_secs(46)),
            ..view(both())
        };
        assert_eq!(compare(&old, &region(&["a"])), "unknown: Nova does not answer");
    }

    #[test]
    fn a_nova_that_is_away_is_told_with_since_when_and_why() {
        let view = |age: Option<u64>, trouble: Option<&str>| CloudView {
            age: age.map(Duration::from_secs),
            trouble: trouble.map(str::to_owned),
            services: Vec::new(),
            heartbeat_age: None,
        };
        for (view, expected) in [
            (view(None, None), "ok: not asked yet"),
            (view(Some(3), None), "ok: answered 3 s ago, 0 compute services"),
            (view(Some(50), Some("refused")), "away for 50 s: refused"),
            (view(Some(50), None), "unknown: it has not answered for 50 s"),
            (
                view(None, Some("refused")),
                "away, and has never answered this engine: refused",
            ),
        ] {
            assert_eq!(answers(&view), expected);
        }
    }
}
