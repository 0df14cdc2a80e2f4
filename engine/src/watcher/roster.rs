//! Nova's instances, kept up to date with few requests: one page of what has changed in each round, and one page of a walk over
//! all of them, which finds what changes without Nova saying so, such as metadata. Where all of them fit on one page, that page
//! says what has changed too, and nothing else is asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tachi_domain::forecast::Needs;
use tachi_domain::nova::{Server, VmState};
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
    known: HashMap<ServerId, Entry>,
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
}

struct Entry {
    host: String,
    instance: Instance,
    /// The walk in which it was seen last.
    walk: u64,
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
            for instance in all {
                let entry = Entry {
                    host: host.clone(),
                    instance,
                    walk: 0,
                };
                roster.known.insert(entry.instance.id, entry);
            }
        }
        roster
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
                let first = match (after, self.reading) {
                    (Some(_), Some((_, first, _))) => first,
                    (Some(_) | None, _) => asked,
                };
                self.note(page.servers, policy);
                self.reading = page.next.map(|next| (since, first, next));
                if self.reading.is_none() {
                    self.changes_known = Some(first);
                }
            }
            Ask::Walk(after) => {
                if after.is_none() {
                    self.walk += 1;
                    self.walk_began = Some(asked);
                }
                self.note(page.servers, policy);
                self.one_page = after.is_none() && page.next.is_none();
                self.after = page.next;
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
        let changed = &mut self.changed;
        self.known.retain(|_, entry| {
            let there = entry.walk >= walk;
            if !there {
                changed.insert(entry.host.clone());
            }
            there
        });
        if !self.complete {
            self.complete = true;
            self.changes_known = Some(self.walk_began.unwrap_or(now));
        }
    }

    fn note(&mut self, servers: Vec<Server>, policy: &Policy) {
        for server in servers {
            let there = !matches!(server.vm_state, VmState::Deleted | VmState::ShelvedOffloaded);
            let left = policy.leaves(&server);
            let instance = Instance {
                id: server.id,
                name: server.name.clone(),
                left,
                needs: Needs::of(&server),
                moving: server.task_state.as_deref().is_some_and(is_move),
                marked: policy.marks(&server),
            };
            let before = self.known.get_mut(&server.id);
            let Some(host) = server.host.filter(|_| there) else {
                if let Some(gone) = self.known.remove(&server.id) {
                    self.changed.insert(gone.host);
                }
                continue;
            };
            match before {
                Some(before) if before.host == host && before.instance == instance => before.walk = self.walk,
                _ => {
                    let entry = Entry {
                        host: host.clone(),
                        instance,
                        walk: self.walk,
                    };
                    let before = self.known.insert(server.id, entry);
                    self.changed.extend(before.map(|before| before.host));
                    self.changed.insert(host);
                }
            }
        }
    }

    /// Up to when everything is known; `None` while not all were listed, or not all changes read.
    pub(super) fn known_up_to(&self) -> Option<Timestamp> {
        self.changes_known
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The hosts of which something has changed, with what is on them now; they are not told again.
    pub(super) fn take_changed(&mut self) -> BTreeMap<String, Vec<Instance>> {
        let changed = std::mem::take(&mut self.changed);
        let mut on: BTreeMap<String, Vec<Instance>> =
            changed.into_iter().map(|host| (host, Vec::new())).collect();
        if !on.is_empty() {
            for entry in self.known.values() {
                if let Some(all) = on.get_mut(&entry.host) {
                    all.push(entry.instance.clone());
                }
            }
        }
        for all in on.values_mut() {
            all.sort_by_key(|one| one.id);
        }
        on
    }

    /// What is kept of these hosts is to be told anew.
    pub(super) fn tell_again(&mut self, hosts: impl IntoIterator<Item = String>) {
        self.changed.extend(hosts);
    }

    /// All of them.
    pub(super) fn instances(&self) -> Instances {
        let mut on: BTreeMap<String, Vec<Instance>> = BTreeMap::new();
        for entry in self.known.values() {
            match on.get_mut(&entry.host) {
                Some(all) => all.push(entry.instance.clone()),
                None => {
                    on.insert(entry.host.clone(), vec![entry.instance.clone()]);
                }
            }
        }
        Instances {
            complete: self.complete,
            on,
        }
    }
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
