//! What `tachi-monitor check` looks at for the host monitor.

use std::time::Duration;

use tachi_pacemaker::{Cib, CrmMon, History, Kind, Snapshot, Verdict, verdict};

use super::tools::{Cluster as _, Programs};
use crate::check::{Check, Finding};
use crate::settings::Settings;

/// A check answers soon, whatever hangs.
const LIMIT: Duration = Duration::from_secs(5);
/// What a process start, two programs and the disk take together on a busy machine.
const OVERHEAD: Duration = Duration::from_secs(1);

/// The checks.
pub(crate) struct Checks;

#[async_trait::async_trait]
impl Check for Checks {
    async fn check(&self, settings: &Settings) -> Vec<Finding> {
        match settings.host.driver {
            "consul" => vec![super::consul::worst(settings)],
            "kubernetes" => vec![super::kubernetes::worst(settings)],
            _ => pacemaker(settings).await,
        }
    }
}

async fn pacemaker(settings: &Settings) -> Vec<Finding> {
    const PART: &str = "host";
    let programs = Programs {
        limit: LIMIT,
        short: LIMIT,
    };
    let (mon, cib) = tokio::join!(programs.mon(), programs.cib());
    let mut findings = Vec::new();
    let chain = |error: &dyn std::error::Error| {
        let below = error
            .source()
            .map(|below| format!(": {below}"))
            .unwrap_or_default();
        format!("{error}{below}")
    };
    let (mon, cib) = match (mon, cib) {
        (Ok(mon), Ok(cib)) => (mon, cib),
        (Err(error), _) | (_, Err(error)) => {
            return vec![Finding::wrong(
                PART,
                format!("Pacemaker cannot be asked: {}", chain(&error)),
            )];
        }
    };
    let (mon, cib) = match (CrmMon::parse(&mon), Cib::parse(&cib)) {
        (Ok(mon), Ok(cib)) => (mon, cib),
        (Err(error), _) | (_, Err(error)) => {
            return vec![Finding::wrong(
                PART,
                format!("what Pacemaker says cannot be read: {}", chain(&error)),
            )];
        }
    };
    let setup = super::setup(settings);
    let nodes: Vec<&str> = mon.nodes.iter().map(|node| node.name.as_str()).collect();
    let me = setup.names.node_of(&settings.hostname, &nodes).map(str::to_owned);
    match &me {
        Some(node) => findings.push(Finding::good(
            PART,
            format!("this machine is the cluster's node {node}"),
        )),
        None => findings.push(Finding::wrong(
            PART,
            format!(
                "no node of the cluster is {}: set [DEFAULT] hostname or [host] node_map",
                settings.hostname
            ),
        )),
    }
    if !mon.stonith_enabled {
        findings.push(Finding::wrong(
            PART,
            "this cluster does not fence (stonith-enabled): no host is ever told as off",
        ));
    }
    let own = mon.nodes.iter().find(|node| Some(&node.name) == me.as_ref());
    let alerts = own.is_some_and(|node| node.kind == Kind::Member);
    let expected = match settings.host.node_type {
        "cluster" => own.is_none_or(|node| node.kind == Kind::Member),
        "remote" => own.is_none_or(|node| node.kind == Kind::Remote),
        _ => true,
    };
    if !expected {
        let text = format!(
            "pacemaker_node_type = {}, and Pacemaker says otherwise: what Pacemaker says counts",
            settings.host.node_type
        );
        findings.push(Finding::note(PART, text));
    }
    let fences = mon.stonith_enabled;
    let judged = verdict(&History::default(), &Snapshot::new(mon, Some(cib)), &setup.rules);
    for (node, judgement) in &judged {
        let text = format!("{node} is {}: {}", judgement.verdict.as_str(), judgement.reason);
        findings.push(match judgement.verdict {
            Verdict::Up => Finding::good(PART, text),
            Verdict::Blind => Finding::wrong(PART, text),
            Verdict::Fenced | Verdict::Lost | Verdict::Planned | Verdict::Keep => Finding::note(PART, text),
        });
    }
    if fences {
        let eyes = if alerts {
            "through an alert, or at the next look"
        } else {
            "at the next look"
        };
        let worst = settings.bridge.poll + OVERHEAD;
        findings.push(Finding::noticed(
            PART,
            format!("a host that Pacemaker has fenced, {eyes}"),
            worst,
        ));
        let taken_over = worst + settings.bridge.turn;
        findings.push(Finding::noticed(
            PART,
            "the same while the bridge that is first in line is dead",
            taken_over,
        ));
    }
    findings
}
