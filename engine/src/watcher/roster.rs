//! Keeps the list of Nova's instances up to date with few requests. Each round reads the recent changes, and one page of
//! a walk over all instances. The walk finds changes that Nova does not list, such as metadata. If all instances fit on
//! one page, only that page is read, because it also shows the changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use tachi_domain::forecast::{Needs, SharedNeeds};
use tachi_domain::nova::{
    PowerState, Rest, Server, ServerAction, StartBlocker, StopReason, VmState, at_rest,
};
use tachi_domain::policy::Policy;
use tachi_domain::situation::{Instance, Instances};
use tachi_domain::{ServerId, Timestamp};

use super::boots::{self, Boots};
use super::reasons::ReasonQueries;
use crate::ports::ServerPage;

/// Overlap of two reads of changes: Nova's clock may be behind ours, and Nova may write a change after its timestamp.
const OVERLAP_SECONDS: i64 = 120;

/// A page to request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageRequest {
    /// Changes since a time, after that server.
    Changes(Timestamp, Option<ServerId>),
    /// All instances, after that server.
    Walk(Option<ServerId>),
}

#[derive(Default)]
pub(super) struct Roster {
    /// Each instance's host, and the walk in which it was last seen.
    known: HashMap<ServerId, RosterEntry>,
    /// The instances by host, each list sorted by id. Shared with the code that judges them: there may be fifty
    /// thousand.
    on: BTreeMap<Arc<str>, Arc<Vec<Instance>>>,
    /// The needs of instances; those with equal needs share one copy.
    needs: SharedNeeds,
    /// True if all were listed once, and the changes since the start of that walk were read.
    complete: bool,
    /// The number of the current walk, its start, and the server after which it continues.
    walk: u64,
    walk_began: Option<Timestamp>,
    after: Option<ServerId>,
    /// True if the latest walk fitted on one page.
    fits_one_page: bool,
    /// Time before which all changes are known.
    changes_known: Option<Timestamp>,
    /// A partly read list of changes: its start time, the time of the first request, and the server after which the next
    /// page starts.
    reading: Option<(Timestamp, Timestamp, ServerId)>,
    /// The hosts whose cell was down in the last round.
    cells_down: BTreeSet<String>,
    /// The hosts whose cell was down at some time since the end of the latest walk: a list may lack their instances.
    unlisted: BTreeSet<String>,
    /// The time before which all changes were known when the first of these cells went down.
    known_before: Option<Timestamp>,
    /// Hosts that have changed since [`Roster::take_changed`].
    changed: BTreeSet<String>,
    /// Instances that are not running and for which the reason is to be queried.
    why: Ring,
    /// The instances whose failure no recovery has repaired, with its time.
    failed: BTreeMap<ServerId, Timestamp>,
    /// The last of them that Nova showed as running and whose actions were read.
    last_failed: Option<ServerId>,
    boots: Boots,
    /// Failed instances that Nova showed at rest, and running after the failure.
    pub(super) running_again: BTreeMap<ServerId, Timestamp>,
    /// Instances to query again: Nova's timestamps have whole seconds, so a change may have been missed.
    recheck: Ring,
    queries: ReasonQueries,
}

struct RosterEntry {
    host: Arc<str>,
    walk: u64,
    /// The time of its last change, as Nova showed it; `None` until this engine has listed it.
    updated: Option<Timestamp>,
}

/// Instances that are queried round-robin.
#[derive(Default)]
struct Ring {
    ids: BTreeSet<ServerId>,
    last: Option<ServerId>,
}

impl Ring {
    /// Returns the next one, and the first after the last.
    fn next(&mut self) -> Option<ServerId> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.ids.range((after, Bound::Unbounded)).next();
        self.last = next.or_else(|| self.ids.first()).copied();
        self.last
    }
}

impl Roster {
    /// Resumes from the instances that another engine has stored.
    pub(super) fn resume(stored: Instances, changes_known: Timestamp) -> Self {
        let mut roster = Self {
            complete: stored.complete,
            changes_known: stored.complete.then_some(changes_known),
            walk: 1,
            ..Self::default()
        };
        for (host, all) in stored.on {
            let host: Arc<str> = host.into();
            for mut instance in Arc::unwrap_or_clone(all) {
                instance.needs = instance.needs.map(|needs| roster.needs.share(needs));
                let place = RosterEntry {
                    host: Arc::clone(&host),
                    walk: 0,
                    updated: None,
                };
                roster.known.insert(instance.id, place);
                roster.put(&host, instance);
            }
        }
        roster
    }

    fn get(&self, host: &str, id: ServerId) -> Option<&Instance> {
        let all = self.on.get(host)?;
        let place = all.binary_search_by_key(&id, |row| row.id).ok()?;
        all.get(place)
    }

    /// Stores an instance in place of its earlier entry on that host.
    fn put(&mut self, host: &Arc<str>, instance: Instance) {
        let all = self.on.entry(Arc::clone(host)).or_default();
        let all = Arc::make_mut(all);
        match all.binary_search_by_key(&instance.id, |row| row.id) {
            Ok(place) => {
                if let Some(row) = all.get_mut(place) {
                    *row = instance;
                }
            }
            Err(place) => all.insert(place, instance),
        }
    }

    fn take_away(&mut self, host: &str, id: ServerId) {
        if let Some(all) = self.on.get_mut(host) {
            Arc::make_mut(all).retain(|row| row.id != id);
            if all.is_empty() {
                self.on.remove(host);
            }
        }
        self.changed.insert(host.to_owned());
    }

    /// Takes the hosts whose cell is down in this round. Their instances stay as they were last seen. When a cell is back, the changes
    /// since it went down are read again, and nothing counts as current before.
    pub(super) fn note_cells(&mut self, down: BTreeSet<String>) {
        if self.cells_down.difference(&down).next().is_some()
            && let (Some(before), Some(known)) = (self.known_before, self.changes_known)
        {
            self.changes_known = Some(known.min(before));
            self.reading = None;
        }
        if down.is_empty() {
            self.known_before = None;
        } else {
            self.known_before = self.known_before.or(self.changes_known);
        }
        self.unlisted.extend(down.iter().cloned());
        self.cells_down = down;
    }

    /// Returns the first page to request in a round.
    pub(super) fn first(&self) -> PageRequest {
        match (self.reading, self.changes_known) {
            _ if self.fits_one_page => PageRequest::Walk(None),
            (Some((since, _, after)), _) => PageRequest::Changes(since, Some(after)),
            (None, Some(known)) => PageRequest::Changes(known.minus_seconds(OVERLAP_SECONDS), None),
            (None, None) => PageRequest::Walk(self.after),
        }
    }

    /// Returns the next page of changes, if not all are read.
    pub(super) fn more_changes(&self) -> Option<PageRequest> {
        let (since, _, after) = self.reading?;
        Some(PageRequest::Changes(since, Some(after)))
    }

    /// Returns the page to request after the answer to `first`: at most two pages per round. A finished walk restarts in
    /// the next round. The first listing reads the changes since its start first, because it is not current without
    /// them.
    pub(super) fn second(&self, first: PageRequest) -> Option<PageRequest> {
        if !self.complete && self.changes_known.is_some() {
            return Some(self.first());
        }
        let over = matches!(first, PageRequest::Walk(_)) && self.after.is_none();
        (!over).then_some(PageRequest::Walk(self.after))
    }

    /// Restarts a list whose marker was deleted.
    pub(super) fn restart_list(&mut self, ask: PageRequest) {
        match ask {
            PageRequest::Changes(..) => self.reading = None,
            PageRequest::Walk(_) => self.after = None,
        }
    }

    /// Processes a page that was requested at `requested_at`.
    pub(super) fn take(
        &mut self,
        ask: PageRequest,
        requested_at: Timestamp,
        page: ServerPage,
        policy: &Policy,
    ) {
        match ask {
            PageRequest::Changes(since, after) => {
                let next = page.next;
                let first = match (after, self.reading) {
                    (Some(_), Some((_, first, _))) => first,
                    (Some(_) | None, _) => requested_at,
                };
                self.note(page, requested_at, policy);
                self.reading = next.map(|next| (since, first, next));
                if self.reading.is_none() {
                    self.changes_known = Some(first);
                    self.complete = true;
                }
            }
            PageRequest::Walk(after) => {
                if after.is_none() {
                    self.walk += 1;
                    self.walk_began = Some(requested_at);
                }
                let next = page.next;
                self.note(page, requested_at, policy);
                self.fits_one_page = after.is_none() && next.is_none();
                self.after = next;
                if self.after.is_none() {
                    self.finish_walk(requested_at);
                }
                if self.fits_one_page {
                    self.reading = None;
                    self.changes_known = Some(requested_at);
                    self.complete = true;
                }
            }
        }
    }

    /// Finishes a walk: drops instances that it has not met and that have not changed meanwhile, except those that it may have missed.
    fn finish_walk(&mut self, now: Timestamp) {
        let (walk, unlisted) = (self.walk, &self.unlisted);
        let gone = self.known.iter();
        let gone = gone.filter(|(_, place)| place.walk < walk && !unlisted.contains(&*place.host));
        let gone: Vec<_> = gone.map(|(id, place)| (*id, Arc::clone(&place.host))).collect();
        for (id, host) in gone {
            self.known.remove(&id);
            self.take_away(&host, id);
        }
        self.unlisted.clone_from(&self.cells_down);
        self.needs.tidy();
        let known = &self.known;
        self.queries.retain(|id| known.contains_key(&id));
        if self.changes_known.is_none() {
            self.changes_known = Some(self.walk_began.unwrap_or(now));
        }
    }

    fn note(&mut self, page: ServerPage, now: Timestamp, policy: &Policy) {
        for id in page.unknown {
            if let Some(place) = self.known.get_mut(&id) {
                place.walk = self.walk;
            }
        }
        for server in page.servers {
            let there = !matches!(server.vm_state, VmState::Deleted | VmState::ShelvedOffloaded);
            let before = self.known.get(&server.id).map(|place| Arc::clone(&place.host));
            let Some(host) = server.host.as_deref().filter(|_| there) else {
                if let Some(before) = before {
                    self.known.remove(&server.id);
                    self.take_away(&before, server.id);
                }
                continue;
            };
            // All instances of a host share one copy of its name.
            let own = self.on.get_key_value(host).map(|(name, _)| Arc::clone(name));
            let host = own.unwrap_or_else(|| host.into());
            let left = policy.leaves(&server);
            let known = before.as_deref().and_then(|before| self.get(before, server.id));
            let was_at_rest = known.is_some_and(|known| known.rest.is_some());
            let updated = page.updated.get(&server.id).copied();
            let rest = rest(&server, known.and_then(|known| known.rest.as_ref()), updated, now);
            let ended_by_boot = self.boots.ended(&host, updated, now).filter(|_| rest.is_none());
            let ended_by_boot = boots::same(known.and_then(|known| known.ended_by_boot), ended_by_boot);
            if left.is_none() && at_rest(&server) == Some(StopReason::Unasked) {
                if rest.as_ref().is_some_and(Rest::needs_reading) {
                    self.why.ids.insert(server.id);
                } else if !self.queries.is_settled(server.id) {
                    self.recheck.ids.insert(server.id);
                }
            }
            if let Some(failed_at) = self.failed.get(&server.id)
                && was_at_rest
                && rest.is_none()
                && server.task_state.is_none()
                && page.updated.get(&server.id) > Some(failed_at)
            {
                self.running_again.insert(server.id, *failed_at);
            }
            let instance = Instance {
                id: server.id,
                left,
                rest,
                ended_by_boot,
                start_blocker: StartBlocker::of(&server),
                needs: Needs::of(&server).map(|needs| self.needs.share(Arc::new(needs))),
                moving: server.task_state.as_deref().is_some_and(is_move),
                marked: policy.marks(&server),
                local_disk: policy.local_disk.own(&server, policy.deadline),
                name: server.name.into(),
            };
            if let Some(before) = before.filter(|before| *before != host) {
                self.take_away(&before, server.id);
            }
            if self.get(&host, server.id) != Some(&instance) {
                self.put(&host, instance);
                self.changed.insert(host.to_string());
            }
            let place = RosterEntry {
                host,
                walk: self.walk,
                updated,
            };
            self.known.insert(server.id, place);
        }
    }

    /// Takes the instances whose failure no recovery has repaired. The reasons of those that are new or gone are queried again.
    pub(super) fn note_failed(&mut self, failed: BTreeMap<ServerId, Timestamp>) {
        let before = std::mem::replace(&mut self.failed, failed);
        let known = before.keys().chain(self.failed.keys()).copied();
        let changed: BTreeSet<ServerId> = known.filter(|id| before.get(id) != self.failed.get(id)).collect();
        for id in changed {
            self.query_again(id);
        }
    }

    /// Takes the latest boot of each host whose monitors send it, and judges the instances again that Nova shows running there. The
    /// reasons of those that Nova has stopped are queried again if the boot is new.
    pub(super) fn note_boots(&mut self, boots: BTreeMap<String, Timestamp>, now: Timestamp) {
        let on = self.boots.unknown(&boots).filter_map(|host| self.on.get(host));
        let there: Vec<ServerId> = on.flat_map(|all| all.iter().map(|one| one.id)).collect();
        for id in there {
            self.query_again(id);
        }
        for host in self.boots.take(boots, now) {
            let Some((name, all)) = self.on.get_key_value(host.as_str()) else {
                continue;
            };
            let (name, all) = (Arc::clone(name), Arc::clone(all));
            for one in all.iter() {
                let updated = self.known.get(&one.id).and_then(|place| place.updated);
                let ended = match updated {
                    Some(_) => self.boots.ended(&name, updated, now),
                    // The engine before has judged it.
                    None => one.ended_by_boot.filter(|_| self.boots.is_recent(&name, now)),
                };
                let ended = boots::same(one.ended_by_boot, ended.filter(|_| one.rest.is_none()));
                if ended != one.ended_by_boot {
                    let instance = Instance {
                        ended_by_boot: ended,
                        ..one.clone()
                    };
                    self.put(&name, instance);
                    self.changed.insert(host.clone());
                }
            }
        }
    }

    /// Returns the instances whose recovery has failed and that Nova no longer has, with the time of the failure.
    pub(super) fn deleted(&self, now: Timestamp) -> BTreeMap<ServerId, Timestamp> {
        if !self.complete || !self.unlisted.is_empty() || !self.cells_down.is_empty() {
            return BTreeMap::new();
        }
        let is_gone = |(id, at): &(&ServerId, &Timestamp)| {
            !self.known.contains_key(id) && now.micros_since(**at) > DELETED_AFTER_MICROS
        };
        let gone = self.failed.iter().filter(is_gone);
        gone.map(|(id, at)| (*id, *at)).collect()
    }

    /// Returns the next instance whose recovery has failed and that Nova shows as running.
    pub(super) fn next_failed(&mut self) -> Option<(ServerId, Timestamp)> {
        let after = self.last_failed.map_or(Bound::Unbounded, Bound::Excluded);
        let is_shown_running = |(id, _): &(&ServerId, &Timestamp)| {
            let place = self.known.get(id);
            let row = place.and_then(|place| self.get(&place.host, **id));
            row.is_some_and(|row| row.rest.is_none())
        };
        let later = self.failed.range((after, Bound::Unbounded));
        let next = later.chain(&self.failed).find(is_shown_running);
        self.last_failed = next.map(|(id, _)| *id);
        next.map(|(id, at)| (*id, *at))
    }

    /// Queries the stop reason of an instance again, unless a user has stopped it.
    fn query_again(&mut self, id: ServerId) {
        let Some(host) = self.known.get(&id).map(|place| Arc::clone(&place.host)) else {
            return;
        };
        let Some(mut instance) = self.get(&host, id).cloned() else {
            return;
        };
        if let Some(rest) = instance
            .rest
            .as_mut()
            .filter(|rest| rest.why != StopReason::Meant)
        {
            rest.judged = None;
            self.put(&host, instance);
            self.why.ids.insert(id);
        }
    }

    /// Returns the reason why an instance does not run, by the actions that Nova shows.
    pub(super) fn judge(&self, id: ServerId, actions: &[ServerAction]) -> StopReason {
        if let Some(failed_at) = self.failed.get(&id) {
            return StopReason::judge_after_failure(actions, *failed_at);
        }
        let place = self.known.get(&id);
        match place.and_then(|place| self.boots.latest.get(&*place.host).copied()) {
            Some(booted_at) => StopReason::judge_after_boot(actions, booted_at),
            None => StopReason::judge(actions),
        }
    }

    /// Returns the next instance whose stop reason to query. Skips instances on which Nova is still working, for a
    /// limited time.
    pub(super) fn next_unexplained(&mut self, now: Timestamp) -> Option<ServerId> {
        for _ in 0..self.why.ids.len() {
            let id = self.why.next()?;
            let Some(rest) = self.rest_of(id).filter(|rest| rest.needs_reading()) else {
                self.why.ids.remove(&id);
                continue;
            };
            if !rest.busy || now.micros_since(rest.since) > BUSY_MICROS {
                return Some(id);
            }
        }
        None
    }

    /// Returns the next instance for which to repeat the query.
    pub(super) fn next_recheck(&mut self) -> Option<ServerId> {
        while let Some(id) = self.recheck.next() {
            if self.rest_of(id).is_some_and(|rest| !rest.needs_reading()) {
                return Some(id);
            }
            self.recheck.ids.remove(&id);
        }
        None
    }

    fn rest_of(&self, id: ServerId) -> Option<&Rest> {
        let place = self.known.get(&id)?;
        self.get(&place.host, id)?.rest.as_ref()
    }

    /// Records the reason why an instance is not running, as queried at `now`. `is_read`: Nova has shown its actions.
    pub(super) fn judged(&mut self, id: ServerId, why: StopReason, is_read: bool, now: Timestamp) {
        let Some(place) = self.known.get(&id) else {
            return;
        };
        let host = Arc::clone(&place.host);
        let Some(before) = self.get(&host, id) else {
            return;
        };
        let mut instance = before.clone();
        let Some(rest) = &mut instance.rest else {
            return;
        };
        let is_same = is_read && !rest.needs_reading() && rest.why == why;
        rest.why = why;
        rest.judged = rest.observed.or(Some(now));
        if *before != instance {
            self.put(&host, instance);
            self.changed.insert(host.to_string());
        }
        self.why.ids.remove(&id);
        self.queries.note(id, is_same, now);
        if self.queries.is_settled(id) {
            self.recheck.ids.remove(&id);
        } else {
            self.recheck.ids.insert(id);
        }
    }

    /// Returns the time up to which everything is known; `None` until all are listed and all changes read.
    pub(super) fn known_up_to(&self) -> Option<Timestamp> {
        self.changes_known
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Returns the start of the first listing while it is not complete.
    pub(super) fn listing_since(&self) -> Option<Timestamp> {
        self.walk_began.filter(|_| !self.complete)
    }

    /// Returns the hosts that have changed, with their current instances, and clears the list.
    pub(super) fn take_changed(&mut self) -> BTreeMap<String, Arc<Vec<Instance>>> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        let on = |host: &str| self.on.get(host).cloned().unwrap_or_default();
        changed
            .map(|host| {
                let all = on(&host);
                (host, all)
            })
            .collect()
    }

    /// Marks hosts whose stored data is to be published again.
    pub(super) fn mark_changed(&mut self, hosts: impl IntoIterator<Item = String>) {
        self.changed.extend(hosts);
    }

    pub(super) fn instances(&self) -> Instances {
        let on = self.on.iter();
        Instances {
            complete: self.complete,
            listing_since: self.listing_since(),
            on: on
                .map(|(host, all)| (host.to_string(), Arc::clone(all)))
                .collect(),
        }
    }
}

/// Time after the failure of a recovery from which a missing instance counts as deleted: a list of Nova may lag.
const DELETED_AFTER_MICROS: i64 = 3_600_000_000;

/// Time that Nova may work on an instance before its stop reason is queried.
const BUSY_MICROS: i64 = 300_000_000;

/// Returns the rest state of a server that is not running. A known reason, such as an intended stop, is valid until Nova
/// records a change of the server.
fn rest(
    server: &Server,
    before: Option<&Rest>,
    stopped_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<Rest> {
    let by_state = at_rest(server)?;
    let unchanged = stopped_at.is_some() && before.is_some_and(|before| before.observed == stopped_at);
    let mut rest = Rest {
        why: by_state,
        since: before
            .filter(|before| unchanged || before.why != StopReason::Meant)
            .map_or(now, |before| before.since),
        busy: server.task_state.is_some(),
        stopped: server.vm_state == VmState::Stopped,
        may_run: server.vm_state == VmState::Error && server.power_state == PowerState::Running,
        observed: stopped_at,
        judged: None,
    };
    if by_state == StopReason::Meant {
        rest.judged = stopped_at.or(Some(now));
        return Some(rest);
    }
    let Some(before) = before else {
        return Some(rest);
    };
    match before.why {
        StopReason::Due | StopReason::Unclear => rest.why = before.why,
        StopReason::Meant if unchanged => rest.why = before.why,
        StopReason::Meant | StopReason::Unasked => {}
    }
    rest.judged = before.judged.filter(|_| unchanged);
    Some(rest)
}

/// True if the task state is Nova's name for moving an instance to another host.
fn is_move(task: &str) -> bool {
    task == "migrating" || task.starts_with("resize_")
}

#[cfg(test)]
impl Roster {
    pub(super) const fn next_marker(&self) -> Option<ServerId> {
        self.after
    }
}
