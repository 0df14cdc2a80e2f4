//! Sending of planned reports.

use tachi_instance_ha::Notification;
use tachi_pacemaker::{Change, Report, ReportedState, Snapshot, Time};
use tokio::time::Instant;

use super::{Bridge, BridgeRole, Sink, chain};
use crate::health::Health;
use crate::host::claims::{CLAIM_LIFETIME, ReportingBridge, TwoClockTime};
use crate::host::evidence::{Circumstances, notification};
use crate::host::ipmi::Power;

impl Bridge {
    pub(super) async fn send_planned(
        &mut self,
        changes: Vec<Change>,
        me: &str,
        snapshot: &Snapshot,
        sink: &dyn Sink,
        health: &Health,
    ) {
        self.claims
            .release_closed(|node| changes.iter().any(|change| change.node == node));
        self.role = BridgeRole::First;
        if changes.is_empty() {
            return;
        }
        let claims = self.claims.read(self.cluster.as_ref()).await;
        for change in changes {
            let now = TwoClockTime {
                wall: self.wall(),
                steady: Instant::now(),
            };
            match self.claims.decide(
                me,
                &snapshot.mon,
                claims.as_deref(),
                &change.node,
                &change.key,
                now,
            ) {
                ReportingBridge::Wait => self.role = BridgeRole::Undecided,
                ReportingBridge::Reported(bridge) => {
                    tracing::info!(node = %change.node, report = %change.key, %bridge, "report was sent by another bridge");
                    let at = self.wall();
                    self.memory.ledger.record_report(&change, at, true);
                }
                ReportingBridge::Superseded { bridge, key } => {
                    let known = self.memory.ledger.nodes.get(&change.node);
                    if known.is_none_or(|report| report.key != key) {
                        tracing::info!(node = %change.node, report = %change.key, %bridge, since = %key, "another bridge has sent a later \
                            report");
                        let at = self.wall();
                        self.memory.ledger.catch_up(&change.node, &key, at);
                    }
                }
                ReportingBridge::Mine => {
                    if self.contradicted(&change, snapshot, health).await {
                        continue;
                    }
                    let reason = snapshot_reason(
                        &change,
                        self.memory
                            .history
                            .nodes
                            .get(&change.node)
                            .and_then(|past| past.last_up),
                    );
                    tracing::warn!(node = %change.node, report = %change.key, %reason, "sending a report");
                    let at = self.wall();
                    self.memory.ledger.record_report(&change, at, false);
                    // The intent is stored first, so that the process after a crash repeats the identical report.
                    self.save(health, true).await;
                    self.claims.take(&change.node, &change.key, now.steady);
                    self.spool_pending(snapshot, me, sink, health).await;
                }
            }
        }
    }

    /// Returns true if the host's own power controller reads on after an off. A controller that does not answer
    /// contradicts nothing, and a host that was rebooted is on again.
    pub(super) async fn contradicted(&self, change: &Change, snapshot: &Snapshot, health: &Health) -> bool {
        let (Some(check), Report::Fenced(proof)) = (&self.power, &change.report) else {
            return false;
        };
        if proof.action != "off" {
            return false;
        }
        let Some(cib) = &snapshot.cib else { return false };
        match check.read_power(cib, &change.node).await {
            Some(Power::On) => {
                health.bad(
                    "power",
                    format!(
                        "{}: the cluster reports it fenced, but its power controller reads on: not reporting it",
                        change.node
                    ),
                );
                true
            }
            Some(Power::Off) | None => {
                health.good("power");
                false
            }
        }
    }

    /// Hands over reports that were decided and are not known to be stored: now, after a full disk, or after a restart.
    pub(super) async fn spool_pending(
        &mut self,
        snapshot: &Snapshot,
        me: &str,
        sink: &dyn Sink,
        health: &Health,
    ) {
        let open: Vec<_> = self
            .memory
            .ledger
            .nodes
            .iter()
            .filter(|(_, report)| !report.handed_over)
            .map(|(node, _)| node.clone())
            .collect();
        for node in open {
            let Some(pending) = self.memory.ledger.nodes.get(&node).cloned() else {
                continue;
            };
            let host = match self.setup.names.host(&node) {
                Ok(host) => host,
                Err(error) => {
                    tracing::error!(%error, "a node with a pending report is no longer a host");
                    self.memory.ledger.retain(|name| name != node);
                    continue;
                }
            };
            let cluster = self
                .setup
                .cluster
                .as_deref()
                .or(snapshot.cib.as_ref().and_then(|cib| cib.cluster.as_deref()));
            let about = Circumstances {
                cluster: cluster.unwrap_or("pacemaker"),
                reporter: me,
                last_up: self.memory.history.nodes.get(&node).and_then(|past| past.last_up),
            };
            let report = notification(&host, pending.reported, pending.at, pending.proof.as_ref(), about);
            let why = match pending.reported {
                ReportedState::Started => "the host is back",
                ReportedState::Fenced | ReportedState::Lost => "the host is lost, and this report is newer",
            };
            match sink.report(&report, why).await {
                Ok(()) => {
                    if let Some(report) = self.memory.ledger.nodes.get_mut(&node) {
                        report.handed_over = true;
                    }
                    self.save(health, true).await;
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), %node, "failed to store a report; retrying");
                }
            }
        }
    }

    /// Resumes, once after the start, the reports that the previous process had claimed.
    pub(super) async fn resume(&mut self, sink: &dyn Sink) {
        if std::mem::replace(&mut self.resumed, true) {
            return;
        }
        let wall = self.wall();
        for (node, last_report) in &self.memory.ledger.nodes {
            let Ok(host) = self.setup.names.host(node) else {
                continue;
            };
            let is_recent = (wall - last_report.at)
                .to_std()
                .is_ok_and(|age| age < CLAIM_LIFETIME);
            if is_recent || sink.waits(&Notification::host_subject(&host)).await {
                self.claims.take(node, &last_report.key, Instant::now());
            }
        }
    }

    /// Announces this bridge's progress to the others.
    pub(super) async fn follow(&mut self, sink: &dyn Sink) {
        for node in self.claims.open() {
            let Ok(host) = self.setup.names.host(&node) else {
                continue;
            };
            if !sink.waits(&Notification::host_subject(&host)).await {
                self.claims.accepted(&node);
            }
        }
        self.claims.announce(self.cluster.as_ref(), Instant::now()).await;
    }
}

fn snapshot_reason(change: &Change, last_up: Option<Time>) -> String {
    let up = last_up.map_or_else(String::new, |up| {
        format!(", last up at {}", up.format("%H:%M:%S%.3f"))
    });
    match &change.report {
        Report::Fenced(proof) => {
            format!(
                "{} at {}{up}",
                proof.action,
                proof.completed.format("%H:%M:%S%.3f")
            )
        }
        Report::Lost | Report::Started => format!("{:?}{up}", change.report.state()),
    }
}
