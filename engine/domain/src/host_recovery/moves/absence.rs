//! Hosts on which an instance may run although Nova says that it does not run there (R8, R10).
//!
//! A destination spawns the guest before the writes and notifications that can fail; Nova then records the evacuation as
//! `failed`, and destroys nothing. So the destination of a failed evacuation is kept, in the journal, until it is known that
//! nothing runs there. Until then the instance is asked for on that host only, where Nova refuses a second guest.

use std::collections::BTreeSet;

use super::super::{Move, MoveStep};
use crate::nova::Migration;
use crate::recovery::{Record, StepKind, Task};

/// How it is known that an instance does not run on a host. Whatever else can answer that, such as libvirt there, comes here.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Absence<'a> {
    /// The host has a proof of its own that it is off.
    ProvenOff,
    /// A person has looked.
    Person(&'a str),
}

impl Move {
    /// Notes where `records` may have left it, as far as they are younger than `floor`.
    pub(in super::super) fn note_failed_at(
        &mut self,
        records: &[&Migration],
        is_new: impl Fn(&Migration) -> bool,
        dead: &BTreeSet<String>,
    ) -> bool {
        let dests = records
            .iter()
            .filter(|record| record.status.may_have_spawned() && is_new(record))
            .filter_map(|record| record.dest.clone())
            .filter(|dest| !dead.contains(dest));
        let before = self.may_run.len();
        self.may_run.extend(dests);
        self.may_run.len() != before
    }

    /// The only host it may be asked for on, if it may run on one; `Err` if it may be asked for nowhere.
    pub(in super::super) fn bound_to(&self) -> Result<Option<&String>, ()> {
        let mut hosts = self.may_run.iter();
        match (hosts.next(), hosts.next()) {
            (only, None) => Ok(only),
            (_, Some(_)) => Err(()),
        }
    }

    /// It is known not to run on `host`.
    pub(in super::super) fn is_absent_from(&mut self, host: &str, how: Absence<'_>, record: &mut Record) {
        if !self.may_run.remove(host) {
            return;
        }
        record.moves.insert(self.server);
        let why = match how {
            Absence::ProvenOff => format!("{host} is proven off"),
            Absence::Person(by) => format!("said by {by}"),
        };
        let text = format!("{} does not run on {host}: {why}", self.name);
        record.server_step(Task::Evacuate, StepKind::Note, self.server, 0.5, text);
        if self.may_run.is_empty() {
            // What failed there says nothing of other hosts.
            self.failures = 0;
            self.failed_first = None;
        }
    }

    /// Nothing more can be done without knowing whether it runs there.
    pub(in super::super) fn hold_for_absence(&mut self, why: &str, record: &mut Record) {
        let hosts = self.where_it_may_run();
        let seen = format!(
            "Nova has recorded its evacuation as failed, but it may run on {hosts} all the same: look there (virsh domstate {})",
            self.server
        );
        self.held_until_looked(&seen, record);
        self.remark(why);
    }

    /// A person says that it runs on `host`, and Nova shows it elsewhere: somebody is wrong, and a start that goes on could make two.
    pub(in super::super) fn hold_for_word(
        &mut self,
        host: String,
        by: &str,
        shown: Option<&str>,
        record: &mut Record,
    ) {
        let shown = shown.unwrap_or("no host");
        let seen = format!(
            "{by} says that it runs on {host}, but Nova shows it on {shown}: look there (virsh domstate {})",
            self.server
        );
        self.may_run.insert(host);
        self.held_until_looked(&seen, record);
    }

    fn held_until_looked(&mut self, seen: &str, record: &mut Record) {
        let hosts = self.where_it_may_run();
        self.note = None;
        self.remark(&format!(
            "held: {seen}; then if it runs there, stop it or move it in Nova; if it does not, say tachi vmove recover {} --failure --on HOST",
            self.server
        ));
        self.over_at = None;
        self.step = MoveStep::Held;
        record.moves.insert(self.server);
        record.head = true;
        let text = format!("{} needs a person: it may run on {hosts}", self.name);
        record.server_step(Task::Evacuate, StepKind::Note, self.server, 0.5, text);
    }

    /// The hosts, for people.
    pub(in super::super) fn where_it_may_run(&self) -> String {
        let hosts: Vec<&str> = self.may_run.iter().map(String::as_str).collect();
        hosts.join(" or ")
    }

    /// It runs on `dest` now, by Nova's own word.
    pub(in super::super) fn runs_on(&mut self, dest: Option<&String>) {
        if let Some(dest) = dest {
            self.may_run.remove(dest);
        }
        if !self.may_run.is_empty() {
            let hosts = self.where_it_may_run();
            self.remark(&format!(
                "an earlier evacuation may have left it running on {hosts} too: look there"
            ));
        }
    }
}
