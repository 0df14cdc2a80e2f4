//! Evacuations of a host that its nova-compute has still to close, and the number of starts that takes.

use std::collections::BTreeMap;

use tachi_domain::nova::{Migration, MigrationStatus};
use tachi_domain::{MigrationId, ServerId};

use super::facts::ReturnFacts;

/// States of evacuations that Nova has not completed yet.
const UNDER_WAY: &[MigrationStatus] = &[MigrationStatus::Accepted, MigrationStatus::PreMigrating];

/// States of evacuations that only a start of the source's nova-compute closes. Nova refuses to clear `forced_down` while there is one.
const NOT_CLOSED: &[MigrationStatus] = &[MigrationStatus::Done];

/// States of evacuations that a start closes, one of each instance.
const CLOSED_AT_A_START: &[MigrationStatus] = &[
    MigrationStatus::Accepted,
    MigrationStatus::PreMigrating,
    MigrationStatus::Done,
];

/// The evacuations of a host that block its return.
pub(super) struct BlockingEvacuations<'a> {
    /// Evacuations that Nova may still be working on.
    pub(super) under_way: Vec<&'a Migration>,
    /// Requested evacuations that were never picked up: another one has moved the instance since. Nova's rebuild uses the oldest record.
    pub(super) left_over: Vec<&'a Migration>,
    /// Completed evacuations; the source has not started since.
    pub(super) not_closed: Vec<&'a Migration>,
    /// Number of starts that nova-compute needs: each closes one evacuation of each instance, the newest.
    pub(super) starts: usize,
}

impl<'a> BlockingEvacuations<'a> {
    pub(super) fn of(facts: &'a ReturnFacts) -> Self {
        let not_closed = facts.evacuations(NOT_CLOSED);
        let moved = facts.evacuations(&[MigrationStatus::Done, MigrationStatus::Completed]);
        let is_left_over = |record: &&Migration| {
            record.dest.is_none()
                && moved.iter().any(|other| other.server == record.server)
                && facts.is_elsewhere(record.server)
        };
        let (left_over, under_way) = facts.evacuations(UNDER_WAY).into_iter().partition(is_left_over);
        Self {
            under_way,
            left_over,
            starts: starts(&not_closed, &facts.evacuations(CLOSED_AT_A_START)),
            not_closed,
        }
    }
}

fn starts(not_closed: &[&Migration], open: &[&Migration]) -> usize {
    let mut oldest: BTreeMap<ServerId, MigrationId> = BTreeMap::new();
    for record in not_closed {
        let first = oldest.entry(record.server).or_insert(record.id);
        *first = record.id.min(*first);
    }
    let of = |(server, first): (&ServerId, &MigrationId)| {
        open.iter()
            .filter(|record| record.server == *server && record.id >= *first)
            .count()
    };
    oldest.iter().map(of).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::checks::tests::{back, evacuation, server};
    use super::*;

    fn record(id: u64, status: &str, dest: Option<&str>) -> Migration {
        Migration {
            id: MigrationId(id),
            dest: dest.map(Into::into),
            ..evacuation(status)
        }
    }

    #[test]
    fn a_host_whose_instances_were_asked_for_twice_starts_twice() {
        let (done, lost) = (
            |id| record(id, "done", Some("cmp2")),
            |id| record(id, "accepted", None),
        );
        let cases = [
            (vec![], 0),
            (vec![record(1, "completed", Some("cmp2"))], 0),
            (vec![done(1)], 1),
            (vec![done(1), done(2)], 2),
            // The newest is closed first, and does not stop Nova from clearing forced_down.
            (vec![done(1), lost(2)], 2),
            (vec![done(1), lost(2), lost(3)], 3),
            (vec![lost(1), done(2)], 1),
            (vec![lost(1)], 0),
        ];
        for (records, expected) in cases {
            let mut facts = back();
            facts.migrations = Ok(records.clone());
            assert_eq!(BlockingEvacuations::of(&facts).starts, expected, "{records:?}");
        }
    }

    #[test]
    fn what_was_asked_for_in_vain_keeps_no_host_off_once_the_instance_has_moved() {
        let (done, lost) = (record(1, "done", Some("cmp2")), record(2, "accepted", None));
        let mut facts = back();
        facts.migrations = Ok(vec![lost.clone(), done.clone()]);
        assert_eq!(BlockingEvacuations::of(&facts).left_over, [&lost]);
        assert!(BlockingEvacuations::of(&facts).under_way.is_empty());
        // While Nova shows the instance on the host, or does not answer, the evacuation may still run.
        facts.servers = Ok(vec![server(None)]);
        assert_eq!(BlockingEvacuations::of(&facts).under_way, [&lost]);
        facts.servers = Err("503".into());
        assert_eq!(BlockingEvacuations::of(&facts).under_way, [&lost]);
        // It may also run if it has a destination, or if nothing has moved the instance.
        let mut facts = back();
        for records in [
            vec![record(2, "accepted", Some("cmp3")), done.clone()],
            vec![record(2, "pre-migrating", Some("cmp3")), done],
            vec![lost],
        ] {
            facts.migrations = Ok(records);
            assert_eq!(
                BlockingEvacuations::of(&facts).under_way.len(),
                1,
                "{:?}",
                facts.migrations
            );
        }
    }
}
