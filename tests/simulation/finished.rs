//! Checks `finished` against the state of the machines: each instance of the host runs again, or a policy with
//! a true reason excluded it. Of the engine's data only the reported reasons count.

use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::host_recovery::{End, Move, MoveStep};
use tachi_domain::nova::{Actor, PowerState, VmState};
use tachi_domain::recovery::RecoveryKind;

use crate::journal::RecIx;
use crate::mishap::Mishap;
use crate::nova::{ServerIx, server_id};
use crate::world::World;

impl World {
    /// Stores the instances on the host when its fencing proof becomes durable: these are to be recovered.
    pub(crate) fn note_victims(&mut self, rec: RecIx) {
        let host = self.journal.recs[rec].host;
        let on_host = (0..self.nova.servers.len()).filter(|server| {
            let row = &self.nova.servers[*server];
            row.exists && row.host == host
        });
        let servers: Vec<ServerIx> = on_host.collect();
        self.report_ledger.victims.entry(rec).or_default().extend(servers);
    }

    /// Checks a recovery that ended as `finished`.
    pub(crate) fn check_finished(&mut self, rec: RecIx) {
        let row = &self.journal.recs[rec];
        let gives_way = row
            .message
            .as_deref()
            .is_some_and(|text| text.contains("is being recovered, so this"));
        if row.kind.is_planned() && gives_way {
            self.mishap(Mishap::DrainGivesWay);
            return;
        }
        if row.kind != RecoveryKind::Host
            || row.status != NotificationStatus::Finished
            || row.event != "STOPPED"
        {
            return;
        }
        // Hooks may leave out the whole recovery; the message must report that.
        if self.was_skipped(rec) {
            return;
        }
        let host = row.host;
        let proven = self.journal.proofs.iter().any(|(of, _)| *of == rec);
        if !proven {
            return self.violate(format!(
                "recovery {rec} of host {host} is finished, and the host was never confirmed off"
            ));
        }
        // A later message covers the instances started on the returned host. By then others may have arrived,
        // and moved ones may have failed elsewhere.
        if !self.report_ledger.finished.insert(rec) {
            return;
        }
        let moves = self.moves_of(rec);
        let now_there = (0..self.nova.servers.len()).filter(|server| self.nova.servers[*server].host == host);
        let mut all = self.report_ledger.victims.get(&rec).cloned().unwrap_or_default();
        all.extend(now_there);
        for server in all {
            let instance = moves.iter().find(|instance| instance.server == server_id(server));
            if let Some(wrong) = self.is_wrong(rec, server, instance) {
                return self.violate(format!("recovery {rec} of host {host} is finished: {wrong}"));
            }
        }
    }

    /// True if an earlier recovery failed with the instance and reported it: it has been in ERROR since then
    /// and returns as such.
    fn was_left_to_operator(&self, rec: RecIx, server: ServerIx) -> bool {
        let failed = |instance: &Move| {
            instance.server == server_id(server) && instance.step == MoveStep::Done(End::Person)
        };
        (0..rec).any(|earlier| self.moves_of(earlier).iter().any(failed))
    }

    /// Returns the contradiction between `finished` and the state of one instance, if any.
    fn is_wrong(&self, rec: RecIx, server: ServerIx, instance: Option<&Move>) -> Option<String> {
        let host = self.journal.recs[rec].host;
        let row = &self.nova.servers[server];
        if !row.exists {
            return None;
        }
        let Some(instance) = instance else {
            // It left before the list, for example by an earlier recovery. Or it arrived after the last list,
            // while the hooks ran; then the message names it as on its way.
            let message = self.journal.recs[rec].message.as_deref().unwrap_or_default();
            let is_named =
                message.contains("watched for up to") && message.contains(&server_id(server).to_string());
            return (row.host == host && !is_named)
                .then(|| format!("vm-{server} is still there and was never listed"));
        };
        let note = instance.note.as_deref().unwrap_or_default();
        if row.host == host {
            let skipped = note.contains("skipped: hook") && !self.hook_plan.flows.host_auto.main.is_empty();
            let by_operator = note.contains("left as it is by");
            let unlaunched = note.contains("never launched") && !row.launched;
            let excluded = note.contains("exclude_instance_metadata") && row.excluded;
            let for_disk = note.contains("local_disk is leave") || note.contains("the host is running again");
            let named = instance.step == MoveStep::Done(End::Left)
                && (skipped || by_operator || unlaunched || excluded || for_disk);
            return (!named).then(|| {
                format!(
                    "vm-{server} is still there, {:?}, without a valid policy: {note:?}",
                    instance.step
                )
            });
        }
        // It has left. Its current host may have failed since, or may have been powered off while it was running.
        let current = &self.machines[row.host];
        let is_lost_again = self.ever_failed.contains(&row.host) || !current.powered || current.life > 0;
        let known = self.restarted.contains(&server)
            || self.slipped.contains(&server)
            || self.report_ledger.trusted_normals.contains(&server)
            || note.contains("moved, but")
            || note.contains("is not known")
            || self.was_left_to_operator(rec, server)
            // Nova found it shut down before the move, and the finding INSTANCE_DOWN names it.
            || row.actions.last() == Some(&("stop", Actor::Nova))
            || row.task_state.is_some();
        if is_lost_again || known || instance.step != MoveStep::Done(End::Moved) {
            return None;
        }
        let (was, power) = &self.was[server];
        let ran = match was {
            VmState::Active | VmState::Paused => true,
            VmState::Error => *power == PowerState::Running,
            _ => return None,
        };
        let runs = self.machines[row.host].runs(server);
        (ran && !runs).then(|| {
            format!(
                "vm-{server} is reported as moved and does not run on host {}",
                row.host
            )
        })
    }
}
