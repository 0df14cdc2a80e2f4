//! Operators' actions in the journal.

use tachi_domain::ServerId;
use tachi_domain::freeze::FreezeStatus;
use tachi_domain::recovery::action::APPROVAL_LIFETIME;
use tachi_domain::recovery::{
    InstanceResolution, OperatorAction, OperatorCommand, OperatorRequest, OperatorState, ResolutionKind,
};

use crate::journal::{Journal, RecIx};
use crate::nova::{HostIx, stamp};

impl Journal {
    /// Clears a host's maintenance for an operator. Returns true if it was set.
    pub(crate) fn off_maintenance(&mut self, host: HostIx) -> bool {
        if !self
            .recs
            .iter()
            .any(|row| row.host == host && row.is_open_for_host())
        {
            self.put.remove(&host);
        }
        self.maintenance.remove(&host)
    }

    /// Returns the state for a recovery that is closing, which no longer depends on its host.
    pub(crate) fn last_operator_state(&self, rec: RecIx) -> OperatorState {
        OperatorState {
            segment_enabled: true,
            operator_maintenance: false,
            frozen: FreezeStatus::NONE,
            actions: Vec::new(),
            ..self.operator_state(rec)
        }
    }

    pub(crate) fn operator_state(&self, rec: RecIx) -> OperatorState {
        OperatorState {
            segment_enabled: self.segment_enabled,
            operator_maintenance: self.maintenance.contains(&self.recs[rec].host),
            word: self.recs[rec].word.clone(),
            actions: self.unprocessed(rec),
            joined_normal: self.recs[rec].joined,
            off_claim: self.recs[rec].off_claim.clone(),
            move_words: self.read_resolutions(rec),
            frozen: self.freezes.of(&self.recs[rec], self.now),
            clock: (!crate::mutate::mutated("database-clock")).then(|| stamp(self.now)),
        }
    }

    pub(crate) fn submit(&mut self, rec: RecIx, command: OperatorCommand, now: u64) {
        self.actions += 1;
        let id = self.actions;
        let row = &mut self.recs[rec];
        row.commands.push(command);
        if matches!(command, OperatorCommand::Approve | OperatorCommand::HostIsOff) {
            row.approved = Some(now);
        }
        let number = row.word.as_ref().map_or(0, |request| request.number) + 1;
        let request = OperatorRequest {
            number,
            word: command,
            by: "operator".into(),
            at: stamp(now),
        };
        row.word = Some(request.clone());
        let action = OperatorAction {
            id,
            request,
            hold: row.wait.clone(),
            is_late: false,
        };
        row.actions.push((action, false));
    }

    fn unprocessed(&self, rec: RecIx) -> Vec<OperatorAction> {
        let rows = self.recs[rec].actions.iter().filter(|(_, processed)| !processed);
        let lasts = i64::try_from(APPROVAL_LIFETIME.as_micros()).unwrap();
        rows.map(|(action, _)| OperatorAction {
            is_late: stamp(self.now).micros_since(action.request.at) > lasts,
            ..action.clone()
        })
        .collect()
    }

    fn read_resolutions(&self, rec: RecIx) -> Vec<InstanceResolution> {
        let resolutions = self.recs[rec].move_words.iter().cloned();
        resolutions
            .map(|resolution| resolution.read_at(stamp(self.now)))
            .collect()
    }

    /// Records an operator's confirmation that `server` does not and will not run on `on`.
    pub(crate) fn submit_failure(&mut self, rec: RecIx, server: ServerId, on: Option<String>) {
        self.resolve_instance(rec, server, ResolutionKind::Failure, on);
    }

    pub(crate) fn resolve_instance(
        &mut self,
        rec: RecIx,
        server: ServerId,
        word: ResolutionKind,
        on: Option<String>,
    ) {
        let resolutions = &mut self.recs[rec].move_words;
        let number = resolutions.last().map_or(0, |resolution| resolution.number) + 1;
        resolutions.push(InstanceResolution {
            number,
            server,
            word,
            on,
            by: "operator".into(),
            at: Some(stamp(self.now)),
            is_late: false,
        });
    }
}
