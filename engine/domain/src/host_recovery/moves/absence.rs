//! Hosts on which an instance may run although Nova shows that it does not run there.
//!
//! A destination spawns the guest before the writes and notifications that can fail; Nova then records the evacuation as
//! `failed`, and destroys nothing. The destination of a failed evacuation is therefore kept in the journal until it is known
//! that nothing runs there. Until then the instance is requested on that host only, where Nova refuses a second guest.

use std::collections::BTreeSet;

use super::super::{Move, MoveStep};
use crate::nova::Migration;
use crate::recovery::{Record, StepKind, Task};

impl Move {
    /// Records the hosts on which the new ones among `records` may have left it. Returns true if there are further ones.
    pub(in super::super) fn note_failed_at(
        &mut self,
        records: &[&Migration],
        is_new: impl Fn(&Migration) -> bool,
        dead: &BTreeSet<String>,
    ) -> bool {
        let dests = records
            .iter()
            .filter(|record| record.status.may_have_spawned() && is_new(record))
            .filter_map(|record| record.dest.as_ref());
        let before = self.may_run.len();
        for dest in dests {
            self.note_may_run_on(dest, dead);
        }
        self.may_run.len() != before
    }

    /// Records that it may run on `host`, unless that is one of the dead hosts, and for as long as it is one.
    pub(in super::super) fn note_may_run_on(&mut self, host: &str, dead: &BTreeSet<String>) {
        self.may_run.insert(host.to_owned());
        if dead.contains(host) {
            self.counted_off.insert(host.to_owned());
        }
    }

    /// Returns the hosts on which it may run now, without those that are confirmed off.
    pub(in super::super) fn possible_hosts(&self) -> impl Iterator<Item = &String> {
        self.may_run.difference(&self.counted_off)
    }

    /// True if there is no host on which it may run now.
    pub(in super::super) fn has_no_possible_host(&self) -> bool {
        self.possible_hosts().next().is_none()
    }

    /// Counts the `dead` hosts, which have proofs of their own, as hosts on which it does not run. A proof can be revoked: then it may
    /// run there again, until it has been confirmed elsewhere. Once monitors show by its boot id that a host has started again
    /// since, and its guests do not start at boot, that host belongs to the dead hosts too.
    pub(in super::super) fn exclude_dead_hosts(&mut self, dead: &BTreeSet<String>, record: &mut Record) {
        let off: BTreeSet<String> = self.may_run.intersection(dead).cloned().collect();
        if off == self.counted_off {
            return;
        }
        let before = std::mem::replace(&mut self.counted_off, off);
        record.moves.insert(self.server);
        let proven = self
            .counted_off
            .difference(&before)
            .map(|host| format!("{} does not run on {host}: {host} is confirmed off", self.name));
        let taken_back = before.difference(&self.counted_off).map(|host| {
            format!(
                "{} may run on {host}: it is not confirmed off any more",
                self.name
            )
        });
        for text in proven.chain(taken_back) {
            record.server_step(Task::Evacuate, StepKind::Note, self.server, 0.5, text);
        }
        note_released(self);
    }

    /// Returns the only host on which it may be requested, if it may run on one; `Err` if it may not be requested on any.
    pub(in super::super) fn bound_to(&self) -> Result<Option<&String>, ()> {
        let mut hosts = self.possible_hosts();
        match (hosts.next(), hosts.next()) {
            (only, None) => Ok(only),
            (_, Some(_)) => Err(()),
        }
    }

    /// Records that an operator has checked that it does not run on `host`.
    pub(in super::super) fn is_absent_from(&mut self, host: &str, by: &str, record: &mut Record) {
        self.counted_off.remove(host);
        if !self.may_run.remove(host) {
            return;
        }
        record.moves.insert(self.server);
        let text = format!("{} does not run on {host}, as {by} reported", self.name);
        record.server_step(Task::Evacuate, StepKind::Note, self.server, 0.5, text);
        note_released(self);
    }

    /// Puts it on hold: nothing more can be done without knowing whether it runs there.
    pub(in super::super) fn hold_for_absence(&mut self, why: &str, record: &mut Record) {
        let hosts = self.possible_hosts_text();
        let finding = format!(
            "Nova has recorded its evacuation as failed, but the instance may still run on {hosts}: check there (virsh domstate {})",
            self.server
        );
        self.hold_until_checked(&finding, record);
        self.remark(why);
    }

    /// Puts it on hold because an operator reports it on `host` while Nova shows it elsewhere. One of them is wrong, and a start that
    /// continues could make two.
    pub(in super::super) fn hold_for_report(
        &mut self,
        host: String,
        by: &str,
        shown: Option<&str>,
        record: &mut Record,
    ) {
        let shown = shown.unwrap_or("no host");
        let finding = format!(
            "{by} reported that it runs on {host}, but Nova shows it on {shown}: check there (virsh domstate {})",
            self.server
        );
        self.counted_off.remove(&host);
        self.may_run.insert(host);
        self.hold_until_checked(&finding, record);
    }

    fn hold_until_checked(&mut self, finding: &str, record: &mut Record) {
        let hosts = self.possible_hosts_text();
        self.clear_note();
        self.remark(&format!(
            "on hold: {finding}; then if it runs there, stop it or move it in Nova; if it does not, run tachi instance resolve {} --not-running-on HOST",
            self.server
        ));
        self.done_at = None;
        self.step = MoveStep::OnHold;
        record.moves.insert(self.server);
        record.head = true;
        let text = format!("{} needs an operator: it may run on {hosts}", self.name);
        record.server_step(Task::Evacuate, StepKind::Note, self.server, 0.5, text);
    }

    /// Lists the hosts on which it may run, for messages.
    pub(in super::super) fn possible_hosts_text(&self) -> String {
        let hosts: Vec<&str> = self.possible_hosts().map(String::as_str).collect();
        hosts.join(" or ")
    }

    /// Records that it runs on `dest` now, as Nova shows.
    pub(in super::super) fn runs_on(&mut self, dest: Option<&String>) {
        if let Some(dest) = dest {
            self.may_run.remove(dest);
        }
        let off = std::mem::take(&mut self.counted_off);
        self.may_run.retain(|host| !off.contains(host));
        if !self.may_run.is_empty() {
            let hosts = self.possible_hosts_text();
            self.remark(&format!(
                "an earlier evacuation may have left it running on {hosts} too: check there"
            ));
        }
    }
}

/// Records that an operator reports an instance on `host`, before Nova has shown that. Until then nothing is requested for it.
pub(in super::super) fn note_report(one: &mut Move, host: &str, by: &str, record: &mut Record) {
    one.counted_off.remove(host);
    one.may_run.insert(host.to_owned());
    record.moves.insert(one.server);
    if matches!(one.step, MoveStep::Waiting { .. }) {
        let observed = format!(
            "{by} reported that it runs on {host}, and Nova has not shown it there: check there (virsh domstate {})",
            one.server
        );
        one.hold_until_checked(&observed, record);
    }
}

fn note_released(instance: &mut Move) {
    if instance.has_no_possible_host() {
        // A failure there shows nothing about other hosts.
        instance.failures = 0;
        instance.failed_first = None;
    }
}
