//! The request to the API about a node: upstream's body, and the evidence beside it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::SecondsFormat;
use serde::Serialize;
use tachi_instance_ha::{ClusterStatus, GeneratedTime, HostEvent, HostStatus, Notification};
use tachi_pacemaker::{Proof, ReportedState, Time};

/// Longest text that the API accepts.
const MAX_TEXT: usize = 255;

/// Evidence, version 1, in the form of docs/reference/evidence.md.
#[derive(Serialize)]
struct Evidence<'e> {
    version: u8,
    kind: &'static str,
    cluster: String,
    target: String,
    host: &'e str,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delegate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    completed_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_up_at: Option<String>,
    observed_at: String,
    reporter: String,
}

/// Data beside the proof itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances<'c> {
    /// The cluster's name.
    pub(crate) cluster: &'c str,
    /// The reporter.
    pub(crate) reporter: &'c str,
    /// The last time the node was up, by this machine's clock.
    pub(crate) last_up: Option<Time>,
}

/// Returns the report about `host`.
pub(crate) fn notification(
    host: &str,
    reported: ReportedState,
    at: Time,
    proof: Option<&Proof>,
    about: Circumstances<'_>,
) -> Notification {
    let generated = GeneratedTime::from_micros(at.timestamp_micros());
    let (event, cluster, status) = match reported {
        ReportedState::Started => (HostEvent::Started, ClusterStatus::Online, HostStatus::Normal),
        ReportedState::Fenced => (HostEvent::Stopped, ClusterStatus::Offline, HostStatus::Normal),
        ReportedState::Lost => (HostEvent::Stopped, ClusterStatus::Offline, HostStatus::Unknown),
    };
    let report = Notification::host(host, event, Some(cluster), status, generated);
    match proof.filter(|_| reported == ReportedState::Fenced) {
        Some(proof) => match header(host, at, proof, about) {
            Some(header) => report.with_evidence(header),
            None => report,
        },
        None => report,
    }
}

fn header(host: &str, at: Time, proof: &Proof, about: Circumstances<'_>) -> Option<String> {
    let stamp = |time: Time| time.to_rfc3339_opts(SecondsFormat::Micros, true);
    let origin = match (&proof.client, &proof.origin) {
        (Some(client), Some(origin)) => Some(format!("{client}@{origin}")),
        (client, origin) => client.clone().or_else(|| origin.clone()),
    };
    let evidence = Evidence {
        version: 1,
        kind: if proof.by_operator {
            "operator"
        } else {
            "pacemaker_fence"
        },
        cluster: text(about.cluster)?,
        // An operator confirms the machine by its host's name.
        target: text(if proof.by_operator { host } else { &proof.target })?,
        host,
        action: text(&proof.action)?,
        device: proof.device.as_deref().and_then(text),
        agent: proof.agent.as_deref().and_then(text),
        delegate: proof.delegate.as_deref().and_then(text),
        origin: origin.as_deref().and_then(text),
        completed_at: stamp(proof.completed),
        // On a remote this clock differs from the cluster's: the time is omitted where it contradicts the proof.
        last_up_at: about.last_up.filter(|up| *up <= proof.completed).map(stamp),
        observed_at: stamp(at),
        reporter: text(about.reporter)?,
    };
    serde_json::to_vec(&evidence)
        .ok()
        .map(|json| STANDARD.encode(json))
}

/// Returns the text if the API accepts it: 1 to 255 characters without control characters.
fn text(text: &str) -> Option<String> {
    let clean: String = text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
    Some(clean).filter(|clean| !clean.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tachi_pacemaker::parse_time;

    fn proof() -> Proof {
        Proof {
            target: "cmp1".to_owned(),
            action: "off".to_owned(),
            completed: parse_time("2026-11-20T06:18:10Z").unwrap(),
            delegate: Some("ctl2".to_owned()),
            origin: Some("ctl1".to_owned()),
            client: Some("pacemaker-controld.45".to_owned()),
            by_operator: false,
            node_fenced: Some(1),
            device: Some("st-ipmi".to_owned()),
            agent: Some("fence_ipmilan".to_owned()),
        }
    }

    fn about() -> Circumstances<'static> {
        Circumstances {
            cluster: "az1",
            reporter: "ctl1",
            last_up: Some(parse_time("2026-11-20T06:18:01Z").unwrap()),
        }
    }

    fn report(reported: ReportedState, proof: Option<&Proof>) -> Notification {
        notification(
            "cmp1.example.org",
            reported,
            parse_time("2026-11-20T06:18:14.815847Z").unwrap(),
            proof,
            about(),
        )
    }

    fn decoded(report: &Notification) -> serde_json::Value {
        serde_json::from_slice(&STANDARD.decode(report.evidence().unwrap()).unwrap()).unwrap()
    }

    /// Covers R18.
    #[test]
    fn bodies_are_upstreams_and_evidence_is_beside_them() {
        let head = r#"{"notification": {"type": "COMPUTE_HOST", "hostname": "cmp1.example.org", "generated_time": "2026-11-20T06:18:14.815847", "payload": "#;
        for (reported, payload) in [
            (
                ReportedState::Fenced,
                r#"{"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}"#,
            ),
            (
                ReportedState::Lost,
                r#"{"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "UNKNOWN"}"#,
            ),
            (
                ReportedState::Started,
                r#"{"event": "STARTED", "cluster_status": "ONLINE", "host_status": "NORMAL"}"#,
            ),
        ] {
            let report = report(reported, Some(&proof()));
            assert_eq!(report.body(), format!("{head}{payload}}}}}"), "{reported:?}");
            assert_eq!(
                report.evidence().is_some(),
                reported == ReportedState::Fenced,
                "{reported:?}"
            );
        }
        let decoded_evidence = decoded(&report(ReportedState::Fenced, Some(&proof())));
        let expected = serde_json::json!({
            "version": 1, "kind": "pacemaker_fence", "cluster": "az1", "target": "cmp1", "host": "cmp1.example.org",
            "action": "off", "device": "st-ipmi", "agent": "fence_ipmilan", "delegate": "ctl2",
            "origin": "pacemaker-controld.45@ctl1", "completed_at": "2026-11-20T06:18:10.000000Z",
            "last_up_at": "2026-11-20T06:18:01.000000Z", "observed_at": "2026-11-20T06:18:14.815847Z", "reporter": "ctl1",
        });
        assert_eq!(decoded_evidence, expected);
    }

    /// Covers R18.
    #[test]
    fn a_status_word_is_sent_as_text() {
        let decoded_evidence = decoded(&report(
            ReportedState::Fenced,
            Some(&Proof {
                by_operator: true,
                ..proof()
            }),
        ));
        assert_eq!(decoded_evidence["kind"], "operator");
        assert_eq!(decoded_evidence["target"], "cmp1.example.org");
    }

    /// Covers R18.
    #[test]
    fn hostile_names_fit_into_the_header() {
        let long = "\u{7}\u{1F980}\n".repeat(1000);
        let proof = Proof {
            delegate: Some(long.clone()),
            origin: Some("\n".to_owned()),
            client: None,
            ..proof()
        };
        let report = report(ReportedState::Fenced, Some(&proof));
        let decoded_evidence = decoded(&report);
        assert_eq!(
            decoded_evidence["delegate"].as_str().unwrap().chars().count(),
            255
        );
        assert!(decoded_evidence.get("origin").is_none());
        let header = report.evidence().unwrap();
        assert!(header.len() < 4096 && header.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}
