//! Checks of `tachi-monitor check` for the host monitor.

use std::collections::BTreeMap;
use std::time::Duration;

use tachi_instance_ha::{RegisteredHost, Registration};
use tachi_pacemaker::{Cib, CrmMon, History, Kind, Node, Snapshot, Verdict, verdict};

use super::Setup;
use super::samples::{HostSampler, State};
use super::tools::{Cluster as _, Programs};
use crate::check::{Check, Finding};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::health::Health;
use crate::heartbeat::DetectionTime;
use crate::kind::Kind as MonitorKind;
use crate::settings::Settings;

const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for starting two programs and for the disk on a busy machine.
const OVERHEAD: Duration = Duration::from_secs(1);

/// Timeout of one poll of Consul or Kubernetes, each of which has its own for a call.
const SAMPLE_LIMIT: Duration = Duration::from_secs(8);

const SUBSYSTEM: &str = "host";
/// Limit of listed names of hosts that are not nodes.
const MAX_LISTED_NAMES: usize = 5;

/// The checks of the host monitor.
pub(crate) struct Checks;

#[async_trait::async_trait]
impl Check for Checks {
    async fn check(&self, settings: &Settings, registered: Option<&[RegisteredHost]>) -> Vec<Finding> {
        match settings.host.driver {
            "consul" => {
                let driver = super::consul::Driver::new(settings, &Clock::new());
                let mut findings = Vec::from_iter(super::consul::missing_matrix(settings));
                findings
                    .extend(sampled("Consul", driver, settings, super::consul::max_latency(settings)).await);
                findings
            }
            "kubernetes" => {
                let driver = super::kubernetes::Driver::new(settings, &Clock::new());
                sampled(
                    "Kubernetes",
                    driver,
                    settings,
                    super::kubernetes::max_latency(settings),
                )
                .await
            }
            _ => pacemaker(settings, registered).await,
        }
    }
}

/// The consequence if no host is ever confirmed off, and the fix.
const NOTHING_PROVEN: &str = "failed hosts are reported as UNKNOWN, from which an engine in mode external recovers nothing: give the \
                              engine the hosts' power controllers ([fencing] mode = engine)";

/// Returns a note that this driver proves nothing, because it reads no power.
fn proof_gap(who: &str, settings: &Settings) -> Option<Finding> {
    let text = format!("{who} proves nothing: {NOTHING_PROVEN}");
    (!settings.host.normal_without_proof).then(|| Finding::note(SUBSYSTEM, text))
}

/// Polls the hosts once, as the monitor does. The time is unknown if the source does not answer.
pub(super) async fn sampled<E: HostSampler>(
    who: &str,
    driver: Result<E, Failure>,
    settings: &Settings,
    max_latency: Finding,
) -> Vec<Finding> {
    let mut driver = match driver {
        Ok(driver) => driver,
        Err(failure) => return vec![Finding::wrong(SUBSYSTEM, failure.chain())],
    };
    let health = Health::default();
    let Ok(states) = tokio::time::timeout(SAMPLE_LIMIT, driver.sample(&health)).await else {
        let text = format!("{who} did not answer within {} s", SAMPLE_LIMIT.as_secs());
        return vec![Finding::wrong(SUBSYSTEM, text)];
    };
    // The drivers report to the health under their own names.
    if let Some(why) = health.problem(settings.host.driver) {
        return vec![Finding::wrong(
            SUBSYSTEM,
            format!("{who} cannot be relied on: {why}"),
        )];
    }
    let states = states.unwrap_or_default();
    let known = states.values().filter(|state| **state != State::Unknown).count();
    if known == 0 {
        let text = format!("{who} answers and shows no other host: the monitor watches and reports nothing");
        return vec![Finding::note(SUBSYSTEM, text)];
    }
    let good = format!(
        "{who} answers: {known} of {} other hosts can be judged",
        states.len()
    );
    let mut findings = vec![Finding::good(SUBSYSTEM, good)];
    findings.extend(proof_gap(who, settings));
    findings.push(max_latency);
    findings
}

/// Checks that the cluster's fencing can prove a host off.
fn proofs(mon: &CrmMon, cib: &Cib, setup: &Setup) -> Vec<Finding> {
    if mon.is_fencing_disabled(Some(cib)) {
        let text = format!(
            "this cluster does not fence (stonith-enabled is false): {NOTHING_PROVEN}, or configure fencing devices that switch power \
             in this cluster and enable it"
        );
        return vec![Finding::wrong(SUBSYSTEM, text)];
    }
    let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for node in mon.nodes.iter().filter(|node| setup.watches(node.kind)) {
        if let Some(why) = tachi_pacemaker::proof_gap(cib, &node.name, cib.fences_by, &setup.rules) {
            reasons.entry(why).or_default().push(&node.name);
        }
    }
    let lines = reasons.into_iter().map(|(why, nodes)| {
        let some = nodes
            .iter()
            .take(MAX_LISTED_NAMES)
            .copied()
            .collect::<Vec<_>>()
            .join(", ");
        let more = match nodes.len().saturating_sub(MAX_LISTED_NAMES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Finding::wrong(
            SUBSYSTEM,
            format!("a fencing of {some}{more} proves nothing ({why}): {NOTHING_PROVEN}"),
        )
    });
    lines.collect()
}

async fn pacemaker(settings: &Settings, registered: Option<&[RegisteredHost]>) -> Vec<Finding> {
    let programs = Programs {
        limit: CHECK_TIMEOUT,
        short: CHECK_TIMEOUT,
    };
    let (mon, cib) = tokio::join!(programs.mon(), programs.cib());
    let mut findings = Vec::from_iter(damaged_state(settings));
    let (mon, cib) = match (mon, cib) {
        (Ok(mon), Ok(cib)) => (mon, cib),
        (Err(error), _) | (_, Err(error)) => {
            findings.push(Finding::wrong(
                SUBSYSTEM,
                format!("Pacemaker cannot be queried: {}", chain(&error)),
            ));
            return findings;
        }
    };
    let (mon, cib) = match (CrmMon::parse(&mon), Cib::parse(&cib)) {
        (Ok(mon), Ok(cib)) => (mon, cib),
        (Err(error), _) | (_, Err(error)) => {
            findings.push(Finding::wrong(
                SUBSYSTEM,
                format!("Pacemaker's output cannot be parsed: {}", chain(&error)),
            ));
            return findings;
        }
    };
    let setup = super::setup(settings);
    let nodes: Vec<&str> = mon.nodes.iter().map(|node| node.name.as_str()).collect();
    let me = setup.names.node_of(&settings.hostname, &nodes).map(str::to_owned);
    match &me {
        Some(node) => findings.push(Finding::good(
            SUBSYSTEM,
            format!("this machine is the cluster's node {node}"),
        )),
        None => findings.push(Finding::wrong(
            SUBSYSTEM,
            format!(
                "the cluster has no node {}: set [DEFAULT] hostname or [host] node_map",
                settings.hostname
            ),
        )),
    }
    findings.extend(proofs(&mon, &cib, &setup));
    let own = mon.nodes.iter().find(|node| Some(&node.name) == me.as_ref());
    let alerts = own.is_some_and(|node| node.kind == Kind::Member);
    let expected = match settings.host.node_type {
        "cluster" => own.is_none_or(|node| node.kind == Kind::Member),
        "remote" => own.is_none_or(|node| node.kind == Kind::Remote),
        _ => true,
    };
    if !expected {
        let text = format!(
            "pacemaker_node_type = {} differs from Pacemaker's type, which applies",
            settings.host.node_type
        );
        findings.push(Finding::note(SUBSYSTEM, text));
    }
    if let Some(registered) = registered {
        findings.extend(names(&setup, &mon.nodes, me.as_deref(), registered));
    }
    let fences = !mon.is_fencing_disabled(Some(&cib));
    let judged = verdict(&History::default(), &Snapshot::new(mon, Some(cib)), &setup.rules);
    for (node, judgement) in &judged {
        let text = format!("{node} is {}: {}", judgement.verdict.as_str(), judgement.reason);
        findings.push(match judgement.verdict {
            Verdict::Up => Finding::good(SUBSYSTEM, text),
            Verdict::Blind => Finding::wrong(SUBSYSTEM, text),
            Verdict::Fenced | Verdict::Lost | Verdict::Planned | Verdict::Keep => {
                Finding::note(SUBSYSTEM, text)
            }
        });
    }
    if fences {
        findings.extend(detection_findings(settings, alerts));
    }
    findings
}

/// Returns a note if the monitor would start without its state.
fn damaged_state(settings: &Settings) -> Option<Finding> {
    let folder = settings.folder(MonitorKind::Host);
    let is_damaged = matches!(super::state::File::open(&folder).load(), Ok(None));
    let text = format!(
        "the state in {} is damaged: the monitor renames the file when it starts, and at first reports only hosts that were fenced",
        folder.display()
    );
    is_damaged.then(|| Finding::note(SUBSYSTEM, text))
}

/// Returns an error with its cause, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let below = error
        .source()
        .map(|below| format!(": {below}"))
        .unwrap_or_default();
    format!("{error}{below}")
}

/// Returns the longest time until a failed host is reported, fenced or not.
pub(super) fn report_latency(settings: &Settings) -> DetectionTime {
    let bridge_time = settings.bridge.poll + OVERHEAD + settings.bridge.turn;
    let lost = super::setup(settings).pace.lost_after;
    let (within, by, beside) = match lost {
        Some(lost) => (
            bridge_time + lost,
            format!(
                "report_lost_after {} s, unless it is fenced before",
                lost.as_secs()
            ),
            "",
        ),
        None => (
            bridge_time,
            "poll of Pacemaker".to_owned(),
            "until Pacemaker has fenced a node",
        ),
    };
    DetectionTime {
        within,
        by,
        undetected_by: "until Pacemaker detects the loss of a node".to_owned(),
        beside: beside.to_owned(),
    }
}

/// Returns the longest time until a fenced host is reported.
fn detection_findings(settings: &Settings, alerts: bool) -> [Finding; 2] {
    let trigger = if alerts {
        "by an alert or the next poll"
    } else {
        "by the next poll"
    };
    let max_latency = settings.bridge.poll + OVERHEAD;
    [
        Finding::reported_within(
            SUBSYSTEM,
            format!("a host that Pacemaker has fenced, {trigger}"),
            max_latency,
        ),
        Finding::reported_within(
            SUBSYSTEM,
            "the same if the first bridge in line is dead",
            max_latency + settings.bridge.turn,
        ),
    ]
}

/// Checks that the nodes are registered under the names of their reports, and lists registered hosts that are not
/// nodes. Always checks this machine's own name.
fn names(setup: &Setup, nodes: &[Node], me: Option<&str>, registered: &[RegisteredHost]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut reported = Vec::new();
    let mut known = 0;
    for node in nodes {
        if !setup.watches(node.kind) {
            continue;
        }
        let host = match setup.names.host(&node.name) {
            Ok(host) => host,
            Err(error) => {
                findings.push(Finding::wrong(SUBSYSTEM, error.to_string()));
                continue;
            }
        };
        let (node, kind) = (&node.name, node.kind);
        match Registration::of(&host, registered) {
            Registration::In(_) => known += 1,
            _ if Some(node.as_str()) == me => {}
            Registration::Not {
                similar: Some(similar),
                ..
            } => findings.push(Finding::wrong(
                SUBSYSTEM,
                format!(
                    "node {node} would be reported as {host}, which is not registered, and {similar} is: \
                     add {node}:{similar} to [host] node_map, here and wherever this monitor runs"
                ),
            )),
            Registration::Not { similar: None, .. } if kind == Kind::Member => findings.push(Finding::note(
                SUBSYSTEM,
                format!("node {node} is not a registered host: fine if no instances run there, else register {host}"),
            )),
            Registration::Not { similar: None, .. } => findings.push(Finding::wrong(
                SUBSYSTEM,
                format!("node {node} is not a registered host, so the API would reject reports of its failure: register {host}"),
            )),
        }
        reported.push(host);
    }
    findings.push(Finding::good(
        SUBSYSTEM,
        format!("{known} nodes of the cluster are registered hosts"),
    ));
    let mut others = registered
        .iter()
        .map(|host| host.name.as_str())
        .filter(|name| !reported.iter().any(|host| host == name));
    let some: Vec<&str> = others.by_ref().take(MAX_LISTED_NAMES).collect();
    if !some.is_empty() {
        let more = match others.count() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        findings.push(Finding::note(
            SUBSYSTEM,
            format!("registered hosts that are not nodes of this cluster, which therefore cannot detect their failure: {}{more}", some.join(", ")),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::FindingLevel;
    use crate::settings::tests::settings;

    /// Covers MW13.
    #[test]
    fn nodes_whose_failure_report_would_be_rejected_are_named() {
        let node = |name: &str, kind| Node {
            name: name.to_owned(),
            kind,
            online: true,
            unclean: false,
            pending: false,
            maintenance: false,
            shutdown: false,
        };
        let nodes = [
            node("ctl1", Kind::Member),
            node("cmp1", Kind::Remote),
            node("cmp2", Kind::Remote),
            node("cmp3", Kind::Remote),
            node("cmp4", Kind::Remote),
            node("vm1", Kind::Guest),
        ];
        let registered: Vec<RegisteredHost> = ["cmp1", "cmp2.maas", "four", "a", "b", "c", "d", "e"]
            .map(|name| RegisteredHost {
                name: name.to_owned(),
                segment: "one".to_owned(),
                on_maintenance: false,
            })
            .into();
        let findings_of = |config: &str, me| {
            let setup = crate::host::setup(&settings(config));
            let findings = names(&setup, &nodes, me, &registered).into_iter();
            findings
                .map(|finding| (finding.level, finding.text))
                .collect::<Vec<_>>()
        };
        let map = "[host]\nnode_map = cmp4:four\n";
        assert_eq!(findings_of(map, None), [
            (FindingLevel::Note, "node ctl1 is not a registered host: fine if no instances run there, else register ctl1".to_owned()),
            (FindingLevel::Wrong, "node cmp2 would be reported as cmp2, which is not registered, and cmp2.maas is: add \
                           cmp2:cmp2.maas to [host] node_map, here and wherever this monitor runs".to_owned()),
            (FindingLevel::Wrong, "node cmp3 is not a registered host, so the API would reject reports of its failure: register \
                cmp3".to_owned()),
            (FindingLevel::Good, "2 nodes of the cluster are registered hosts".to_owned()),
            (FindingLevel::Note, "registered hosts that are not nodes of this cluster, which therefore cannot detect their failure: \
                cmp2.maas, a, b, c, d and 1 more".to_owned()),
        ]);
        // The check `registration` covers this machine's own name, and members do not matter to a bridge that watches
        // remotes.
        let findings_of = findings_of(&format!("{map}restrict_to_remotes = true\n"), Some("cmp3"));
        assert!(
            !findings_of
                .iter()
                .any(|(_, text)| text.starts_with("node ctl1") || text.starts_with("node cmp3")),
            "{findings_of:?}"
        );
    }

    #[test]
    fn a_host_that_nobody_fences_is_reported_when_it_is_lost_for_long() {
        let of = |text: &str| report_latency(&settings(text));
        let lost = of("[host]\npoll_interval = 2\ntakeover_delay = 4\nreport_lost_after = 30\n");
        assert_eq!(lost.within, std::time::Duration::from_secs(2 + 1 + 4 + 30));
        let never = of("[host]\nreport_lost_after = 0\n");
        assert_eq!(never.within, std::time::Duration::from_secs(1 + 1 + 5));
        assert!(never.beside.ends_with("has fenced a node"), "{never:?}");
    }

    /// The charms' default has no fencing, and does not warn that nothing is recovered then.
    /// Covers F14.
    #[test]
    fn a_cluster_that_never_confirms_a_host_off_is_reported_with_the_fix() {
        let mon = |stonith: bool| {
            CrmMon::parse(&format!(
                r#"<crm_mon><summary><cluster_options stonith-enabled="{stonith}"/></summary><nodes>
                <node name="cmp1" type="remote" online="true"/><node name="cmp2" type="remote" online="true"/></nodes></crm_mon>"#
            ))
            .unwrap()
        };
        let cib = |agent: &str| {
            Cib::parse(&format!(
                r#"<cib have-quorum="1"><configuration><resources><primitive id="st" class="stonith" type="{agent}"/></resources>
                </configuration><status/></cib>"#
            ))
            .unwrap()
        };
        let setup = crate::host::setup(&settings(""));
        let findings_of = |stonith, agent: &str| {
            let findings = proofs(&mon(stonith), &cib(agent), &setup).into_iter();
            findings.map(|finding| finding.text).collect::<Vec<_>>()
        };
        assert_eq!(findings_of(true, "external/maas"), Vec::<String>::new());
        for (texts, about) in [
            (findings_of(false, "external/maas"), "stonith-enabled"),
            (findings_of(true, "fence_scsi"), "cmp1, cmp2"),
            (findings_of(true, "fence_ours"), "power_fence_agents"),
        ] {
            let [text] = texts.as_slice() else {
                panic!("{texts:?}")
            };
            for part in [
                about,
                "UNKNOWN",
                "mode external recovers nothing",
                "[fencing] mode = engine",
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert!(!text.contains('\n'), "{text}");
        }
        let consul = |more: &str| {
            let settings = settings(&format!("[host]\nmonitoring_driver = consul\n{more}"));
            proof_gap("Consul", &settings).map(|finding| finding.text)
        };
        assert!(consul("").is_some_and(|text| text.contains("mode external recovers nothing")));
        assert_eq!(consul("report_normal_without_proof = true\n"), None);
    }
}
