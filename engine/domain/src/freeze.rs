//! Freezes: somebody has said that nothing of a host, of a segment, of all, or of one instance is to be fenced or moved for a while.
//!
//! What is reported meanwhile is kept, and waits. Whoever goes on after it goes by what is seen then (ADR 0051).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::evidence::time_text;
use crate::id::ServerId;
use crate::timestamp::Timestamp;
use crate::words::words;

words! {
    /// How much is frozen.
    FreezeScope {
        /// Everything.
        Region = "region",
        /// The hosts of a segment and what runs on them.
        Segment = "segment",
        /// A host and what runs on it.
        Host = "host",
        /// One instance, wherever it is.
        Instance = "instance",
    }
}

/// A freeze.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Freeze {
    /// Later ones have larger numbers.
    pub number: i64,
    /// How much.
    pub scope: FreezeScope,
    /// What, for people; empty for everything.
    pub name: String,
    /// Until when, by the database's clock.
    pub until: Timestamp,
    /// Who said it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// It ends early if a second host of a segment dies.
    pub unless_worse: bool,
}

impl Freeze {
    /// What is frozen, for people.
    pub fn what(&self) -> String {
        match self.scope {
            FreezeScope::Region => "everything".to_owned(),
            FreezeScope::Segment | FreezeScope::Host | FreezeScope::Instance => {
                format!("{} {}", self.scope, self.name)
            }
        }
    }

    /// The word that ends it, as it is typed.
    pub fn thaw(&self) -> String {
        command("thaw", self.scope, &self.name)
    }

    /// What a recovery shows that waits for its end.
    pub fn message(&self) -> String {
        format!(
            "frozen: {}. Nothing of it is begun; then it is looked at anew. `{}` ends it, `approve` does not",
            self.sentence(),
            self.thaw()
        )
    }

    /// All there is to say, for people. No running numbers: it is written down when it changes.
    pub fn sentence(&self) -> String {
        format!("{} is frozen {}", self.what(), self.terms())
    }

    /// Until when, by whom and why.
    pub fn terms(&self) -> String {
        format!(
            "until {} by {} ({})",
            time_text(self.until.whole_seconds()),
            self.by,
            self.reason
        )
    }
}

/// `tachi freeze` or `tachi thaw` with what it is about, as it is typed.
pub fn command(verb: &str, scope: FreezeScope, name: &str) -> String {
    let words = format!("tachi {verb} {scope} {}", typed(name));
    words.trim_end().to_owned()
}

/// A name as it is typed in a shell: owners of instances call them what they like.
fn typed(name: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "._-@:".contains(c);
    if name.chars().all(plain) && !name.starts_with('-') {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("'{}'", name.replace('\'', r"'\''")))
    }
}

/// What of all that is frozen concerns one recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frozen {
    /// Its host, the segment of that, and everything.
    pub over: Vec<Freeze>,
    /// Instances, wherever they are.
    pub instances: BTreeMap<ServerId, Freeze>,
    /// Other hosts by their names; told only to what may find its instance there.
    pub hosts: BTreeMap<String, Freeze>,
    /// The number of the latest freeze of it that has ended since it was reported; 0 if none has. What was reported and seen before
    /// says nothing any more.
    pub thawed: i64,
}

impl Frozen {
    /// Nothing is, and nothing was.
    pub const NOTHING: Self = Self {
        over: Vec::new(),
        instances: BTreeMap::new(),
        hosts: BTreeMap::new(),
        thawed: 0,
    };

    /// What holds its host for longest.
    pub fn of_host(&self) -> Option<&Freeze> {
        self.over.iter().max_by_key(|one| (one.until, one.number))
    }
}

/// What must not be frozen for an intent to be written. It is looked at in the transaction that writes it: an intent that nothing was
/// done for would be taken for one that was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnlessFrozen {
    /// The recovery's own host; of the recovery of an instance, that too.
    pub own: bool,
    /// The host of this name, on which Nova has shown the instance.
    pub host: Option<String>,
    /// These instances.
    pub servers: BTreeSet<ServerId>,
}

impl UnlessFrozen {
    /// Whether a freeze of anything would forbid it.
    pub fn asks(&self) -> bool {
        self.own || self.host.is_some() || !self.servers.is_empty()
    }

    /// Whether something of it is.
    pub fn forbidden_by(&self, frozen: &Frozen) -> bool {
        let host = self.host.as_ref();
        self.own && !frozen.over.is_empty()
            || host.is_some_and(|host| frozen.hosts.contains_key(host))
            || self
                .servers
                .iter()
                .any(|server| frozen.instances.contains_key(server))
    }

    /// Both.
    pub(crate) fn with(&mut self, other: Self) {
        self.own |= other.own;
        self.host = other.host.or(self.host.take());
        self.servers.extend(other.servers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freeze(scope: FreezeScope, name: &str, until: i64) -> Freeze {
        Freeze {
            number: until,
            scope,
            name: name.into(),
            until: Timestamp::from_micros(until * 60_000_000),
            by: "alice".into(),
            reason: "firmware".into(),
            unless_worse: false,
        }
    }

    #[test]
    fn a_freeze_says_what_until_when_who_why_and_how_it_ends() {
        let one = freeze(FreezeScope::Host, "compute-004", 61);
        assert_eq!(
            one.sentence(),
            "host compute-004 is frozen until 1970-01-01T01:01:00Z by alice (firmware)"
        );
        assert_eq!(one.thaw(), "tachi thaw host compute-004");
        let hostile = freeze(FreezeScope::Instance, "it's; rm -rf /", 61);
        assert_eq!(hostile.thaw(), r"tachi thaw instance 'it'\''s; rm -rf /'");
        let all = freeze(FreezeScope::Region, "", 61);
        assert_eq!(all.what(), "everything");
        assert_eq!(all.thaw(), "tachi thaw region");
    }

    #[test]
    fn of_several_freezes_the_one_that_lasts_longest_is_told() {
        let frozen = Frozen {
            over: vec![
                freeze(FreezeScope::Host, "a", 5),
                freeze(FreezeScope::Region, "", 9),
                freeze(FreezeScope::Segment, "s", 7),
            ],
            ..Frozen::NOTHING
        };
        assert_eq!(frozen.of_host().map(|one| one.number), Some(9));
        assert_eq!(Frozen::NOTHING.of_host(), None);
        assert_eq!(Frozen::NOTHING, Frozen::default());
    }
}
