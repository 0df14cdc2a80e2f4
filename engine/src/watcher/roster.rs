//! Nova's instances, kept up to date with few requests: one page of what has changed in each round, and one page of a walk over
//! all of them, which finds what changes without Nova saying so, such as metadata. Where all of them fit on one page, that page
//! says what has changed too, and nothing else is asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use tachi_domain::forecast::{Needs, SharedNeeds};
use tachi_domain::nova::{Rest, Server, VmState, Why, at_rest};
use tachi_domain::policy::Policy;
use tachi_domain::situation::{Instance, Instances};
use tachi_domain::{ServerId, Timestamp};

use crate::ports::ServerPage;

/// Nova's clock may be behind ours, and a change may be written a little after its time.
const OVERLAP_SECONDS: i64 = 120;

/// A page to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// What has changed since, after that server.
    Changes(Timestamp, Option<ServerId>),
    /// All of them, after that server.
    Walk(Option<ServerId>),
}

#[derive(Default)]
pub(super) struct Roster {
    /// Where each is, and the walk in which it was seen last.
    known: HashMap<ServerId, Place>,
    /// By host, each by its id. Shared with who judges them: there may be fifty thousand.
    on: BTreeMap<Arc<str>, Arc<Vec<Instance>>>,
    /// What instances need, once for all that need the same.
    needs: SharedNeeds,
    /// All were listed once.
    complete: bool,
    /// The number of the walk under way, when it began, and after whom it goes on.
    walk: u64,
    walk_began: Option<Timestamp>,
    after: Option<ServerId>,
    /// The latest page of a walk that has begun was the whole walk.
    one_page: bool,
    /// Changes before this are known.
    changes_known: Option<Timestamp>,
    /// Changes of which not all pages are read: since when, when the first was asked for, and after whom the next begins.
    reading: Option<(Timestamp, Timestamp, ServerId)>,
    /// Hosts of which something has changed since they were taken.
    changed: BTreeSet<String>,
    /// Instances that do not run, of which it is to be asked why.
    why: Ring,
    /// Those of which it was: Nova's stamps are in whole seconds, so that a change may be missed.
    again: Ring,
}

struct Place {
    host: Arc<str>,
    walk: u64,
}

/// Instances of which something is asked, one after the other.
#[derive(Default)]
struct Ring {
    ids: BTreeSet<ServerId>,
    last: Option<ServerId>,
}

impl Ring {
    /// The one after the last; the first after them all.
    fn next(&mut self) -> Option<ServerId> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.ids.range((after, Bound::Unbounded)).next();
        self.last = next.or_else(|| self.ids.first()).copied();
        self.last
    }
}

impl Roster {
    /// Goes on from what somebody has kept.
    pub(super) fn resume(kept: Instances, changes_known: Timestamp) -> Self {
        let mut roster = Self {
            complete: kept.complete,
            changes_known: kept.complete.then_some(changes_known),
            walk: 1,
            ..Self::default()
        };
        for (host, all) in kept.on {
            let host: Arc<str> = host.into();
            for mut instance in Arc::unwrap_or_clone(all) {
                instance.needs = instance.needs.map(|needs| roster.needs.share(needs));
                let place = Place {
                    host: Arc::clone(&host),
                    walk: 0,
                };
                roster.known.insert(instance.id, place);
                roster.put(&host, instance);
            }
        }
        roster
    }

    fn get(&self, host: &str, id: ServerId) -> Option<&Instance> {
        let all = self.on.get(host)?;
        let place = all.binary_search_by_key(&id, |one| one.id).ok()?;
        all.get(place)
    }

    /// In the place of what is known of it there, if anything is.
    fn put(&mut self, host: &Arc<str>, instance: Instance) {
        let all = self.on.entry(Arc::clone(host)).or_default();
        let all = Arc::make_mut(all);
        match all.binary_search_by_key(&instance.id, |one| one.id) {
            Ok(place) => {
                if let Some(one) = all.get_mut(place) {
                    *one = instance;
                }
            }
            Err(place) => all.insert(place, instance),
        }
    }

    fn take_away(&mut self, host: &str, id: ServerId) {
        if let Some(all) = self.on.get_mut(host) {
            Arc::make_mut(all).retain(|one| one.id != id);
            if all.is_empty() {
                self.on.remove(host);
            }
        }
        self.changed.insert(host.to_owned());
    }

    /// What to ask for first in a round.
    pub(super) fn first(&self) -> Ask {
        match (self.reading, self.changes_known) {
            _ if self.one_page => Ask::Walk(None),
            (Some((since, _, after)), _) => Ask::Changes(since, Some(after)),
            (None, Some(known)) => Ask::Changes(known.minus_seconds(OVERLAP_SECONDS), None),
            (None, None) => Ask::Walk(self.after),
        }
    }

    /// What to ask for after the answer to `first`: two pages a round at most. A walk that is over begins anew in the next round.
    pub(super) fn second(&self, first: Ask) -> Option<Ask> {
        let over = matches!(first, Ask::Walk(_)) && self.after.is_none();
        (!over).then_some(Ask::Walk(self.after))
    }

    /// A marker is gone: what was asked for is begun anew.
    pub(super) fn lost(&mut self, ask: Ask) {
        match ask {
            Ask::Changes(..) => self.reading = None,
            Ask::Walk(_) => self.after = None,
        }
    }

    /// A page has come that was asked for at `asked`.
    pub(super) fn take(&mut self, ask: Ask, asked: Timestamp, page: ServerPage, policy: &Policy) {
        match ask {
            Ask::Changes(since, after) => {
                let next = page.next;
                let first = match (after, self.reading) {
                    (Some(_), Some((_, first, _))) => first,
                    (Some(_) | None, _) => asked,
                };
                self.note(page, asked, policy);
                self.reading = next.map(|next| (since, first, next));
                if self.reading.is_none() {
                    self.changes_known = Some(first);
                }
            }
            Ask::Walk(after) => {
                if after.is_none() {
                    self.walk += 1;
                    self.walk_began = Some(asked);
                }
                let next = page.next;
                self.note(page, asked, policy);
                self.one_page = after.is_none() && next.is_none();
                self.after = next;
                if self.after.is_none() {
                    self.walked(asked);
                }
                if self.one_page {
                    self.reading = None;
                    self.changes_known = Some(asked);
                }
            }
        }
    }

    /// The walk is over: what it has not met, and what has not changed meanwhile, is gone.
    fn walked(&mut self, now: Timestamp) {
        let walk = self.walk;
        let gone = self.known.iter().filter(|(_, place)| place.walk < walk);
        let gone: Vec<_> = gone.map(|(id, place)| (*id, Arc::clone(&place.host))).collect();
        for (id, host) in gone {
            self.known.remove(&id);
            self.take_away(&host, id);
        }
        self.needs.tidy();
        if !self.complete {
            self.complete = true;
            self.changes_known = Some(self.walk_began.unwrap_or(now));
        }
    }

    fn note(&mut self, page: ServerPage, now: Timestamp, policy: &Policy) {
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
            // One name for all that are there.
            let own = self.on.get_key_value(host).map(|(name, _)| Arc::clone(name));
            let host = own.unwrap_or_else(|| host.into());
            let left = policy.leaves(&server);
            let known = before.as_deref().and_then(|before| self.get(before, server.id));
            let rest = rest(
                &server,
                known.and_then(|known| known.rest.as_ref()),
                page.updated.get(&server.id).copied(),
                now,
            );
            if left.is_none() && at_rest(&server) == Some(Why::Unasked) {
                let is_new = rest.as_ref().is_some_and(Rest::is_to_be_asked);
                let ring = if is_new { &mut self.why } else { &mut self.again };
                ring.ids.insert(server.id);
            }
            let instance = Instance {
                id: server.id,
                left,
                rest,
                needs: Needs::of(&server).map(|needs| self.needs.share(Arc::new(needs))),
                moving: server.task_state.as_deref().is_some_and(is_move),
                marked: policy.marks(&server),
                name: server.name.into(),
            };
            if let Some(before) = before.filter(|before| *before != host) {
                self.take_away(&before, server.id);
            }
            if self.get(&host, server.id) != Some(&instance) {
                self.put(&host, instance);
                self.changed.insert(host.to_string());
            }
            let place = Place {
                host,
                walk: self.walk,
            };
            self.known.insert(server.id, place);
        }
    }

    /// Of whom to ask next why it does not run. Nova is not asked while it is at work on it, and not for ever.
    pub(super) fn next_why(&mut self, now: Timestamp) -> Option<ServerId> {
        for _ in 0..self.why.ids.len() {
            let id = self.why.next()?;
            let Some(rest) = self.rest_of(id).filter(|rest| rest.is_to_be_asked()) else {
                self.why.ids.remove(&id);
                continue;
            };
            if !rest.busy || now.micros_since(rest.since) > BUSY_MICROS {
                return Some(id);
            }
        }
        None
    }

    /// Of whom to ask once more.
    pub(super) fn next_again(&mut self) -> Option<ServerId> {
        while let Some(id) = self.again.next() {
            if self.rest_of(id).is_some_and(|rest| !rest.is_to_be_asked()) {
                return Some(id);
            }
            self.again.ids.remove(&id);
        }
        None
    }

    fn rest_of(&self, id: ServerId) -> Option<&Rest> {
        let place = self.known.get(&id)?;
        self.get(&place.host, id)?.rest.as_ref()
    }

    /// Why one does not run.
    pub(super) fn judged(&mut self, id: ServerId, why: Why, now: Timestamp) {
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
        rest.why = why;
        rest.judged = rest.seen.or(Some(now));
        if *before != instance {
            self.put(&host, instance);
            self.changed.insert(host.to_string());
        }
        self.why.ids.remove(&id);
        self.again.ids.insert(id);
    }

    /// Up to when everything is known; `None` while not all were listed, or not all changes read.
    pub(super) fn known_up_to(&self) -> Option<Timestamp> {
        self.changes_known
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The hosts of which something has changed, with what is on them now; they are not told again.
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

    /// What is kept of these hosts is to be told anew.
    pub(super) fn tell_again(&mut self, hosts: impl IntoIterator<Item = String>) {
        self.changed.extend(hosts);
    }

    /// All of them.
    pub(super) fn instances(&self) -> Instances {
        let on = self.on.iter();
        Instances {
            complete: self.complete,
            on: on
                .map(|(host, all)| (host.to_string(), Arc::clone(all)))
                .collect(),
        }
    }
}

/// For so long Nova is at work on an instance before it is asked what for.
const BUSY_MICROS: i64 = 300_000_000;

/// That a server does not run. What was found out holds while Nova notes no change of it; that it is meant to rest does not hold longer.
fn rest(server: &Server, before: Option<&Rest>, seen: Option<Timestamp>, now: Timestamp) -> Option<Rest> {
    let by_state = at_rest(server)?;
    let unchanged = seen.is_some() && before.is_some_and(|before| before.seen == seen);
    let mut rest = Rest {
        why: by_state,
        since: before
            .filter(|before| unchanged || before.why != Why::Meant)
            .map_or(now, |before| before.since),
        busy: server.task_state.is_some(),
        stopped: server.vm_state == VmState::Stopped,
        seen,
        judged: None,
    };
    if by_state == Why::Meant {
        rest.judged = seen.or(Some(now));
        return Some(rest);
    }
    let Some(before) = before else {
        return Some(rest);
    };
    match before.why {
        Why::Due | Why::Unclear => rest.why = before.why,
        Why::Meant if unchanged => rest.why = before.why,
        Why::Meant | Why::Unasked => {}
    }
    rest.judged = before.judged.filter(|_| unchanged);
    Some(rest)
}

/// What Nova calls the work on an instance that is on its way to another host.
fn is_move(task: &str) -> bool {
    task == "migrating" || task.starts_with("resize_")
}

#[cfg(test)]
impl Roster {
    pub(super) const fn next_marker(&self) -> Option<ServerId> {
        self.after
    }
}
