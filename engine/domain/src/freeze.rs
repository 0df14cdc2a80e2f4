//! Freezes: an operator suspends fencing and moves for a host, a segment, an instance or the whole region for a while.
//!
//! Reports are stored in the meantime, and wait. After the freeze, decisions use only new observations (ADR 0051).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::evidence::time_text;
use crate::id::ServerId;
use crate::string_enum::string_enum;
use crate::timestamp::Timestamp;

string_enum! {
    /// The scope of a freeze.
    FreezeScope {
        /// The whole region.
        Region = "region",
        /// The hosts of a segment and the instances on them.
        Segment = "segment",
        /// A host and the instances on it.
        Host = "host",
        /// One instance, on any host.
        Instance = "instance",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Freeze {
    /// The number of the freeze; later freezes have larger numbers.
    pub number: i64,
    pub scope: FreezeScope,
    /// The name of the frozen object, for people; empty for the region.
    pub name: String,
    /// The end of the freeze, by the database's clock.
    pub until: Timestamp,
    /// The operator who set it.
    pub by: String,
    pub reason: String,
    /// True if the freeze ends early when a second host of a segment dies.
    pub unless_worse: bool,
}

impl Freeze {
    /// Returns the frozen object, for people.
    pub fn what(&self) -> String {
        match self.scope {
            FreezeScope::Region => "everything".to_owned(),
            FreezeScope::Segment | FreezeScope::Host | FreezeScope::Instance => {
                format!("{} {}", self.scope, self.name)
            }
        }
    }

    /// Returns the command that ends the freeze.
    pub fn thaw(&self) -> String {
        command("thaw", self.scope, &self.name)
    }

    /// Returns the message of a recovery that waits for the end of the freeze.
    pub fn message(&self) -> String {
        format!(
            "frozen: {}. Nothing is started until then; afterwards it is checked again. `{}` ends the freeze, `approve` does not",
            self.sentence(),
            self.thaw()
        )
    }

    /// Returns a full description, for people. Without changing numbers, because each change is written to the database.
    pub fn sentence(&self) -> String {
        format!("{} is frozen {}", self.what(), self.terms())
    }

    /// Returns the end, the operator and the reason.
    pub fn terms(&self) -> String {
        format!(
            "until {} by {} ({})",
            time_text(self.until.whole_seconds()),
            self.by,
            self.reason
        )
    }
}

/// Returns a `tachi freeze` or `tachi thaw` command with its object, as typed in a shell.
pub fn command(verb: &str, scope: FreezeScope, name: &str) -> String {
    let command = format!("tachi {verb} {scope} {}", typed(name));
    command.trim_end().to_owned()
}

/// Quotes a name for a shell: owners may give instances any name, and segments may have spaces in theirs.
pub fn typed(name: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "._-@:".contains(c);
    if name.chars().all(plain) && !name.starts_with('-') {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("'{}'", name.replace('\'', r"'\''")))
    }
}

/// The freezes that concern one recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FreezeStatus {
    /// Freezes of its host, of the host's segment, and of the region.
    pub over: Vec<Freeze>,
    /// Freezes of instances, on any host.
    pub instances: BTreeMap<ServerId, Freeze>,
    /// Freezes of other hosts by name; only for recoveries whose instance may be there.
    pub hosts: BTreeMap<String, Freeze>,
    /// The number of the latest of these freezes that has ended since the report; 0 if none has. Reports and observations
    /// from before that end no longer count.
    pub thawed: i64,
}

impl FreezeStatus {
    /// No freeze, now or earlier.
    pub const NONE: Self = Self {
        over: Vec::new(),
        instances: BTreeMap::new(),
        hosts: BTreeMap::new(),
        thawed: 0,
    };

    /// Returns the freeze of the host that lasts longest.
    pub fn of_host(&self) -> Option<&Freeze> {
        self.over
            .iter()
            .max_by_key(|freeze| (freeze.until, freeze.number))
    }
}

/// The objects that must not be frozen when an intent is written. The transaction that writes the intent checks them,
/// because an intent without its action would count as carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnlessFrozen {
    /// True if the condition includes the recovery's own host; also used by recoveries of instances.
    pub own: bool,
    /// The host of this name, on which Nova has shown the instance.
    pub host: Option<String>,
    pub servers: BTreeSet<ServerId>,
}

impl UnlessFrozen {
    /// True if a freeze of any object could block the intent.
    pub fn is_conditional(&self) -> bool {
        self.own || self.host.is_some() || !self.servers.is_empty()
    }

    /// True if one of these objects is frozen.
    pub fn is_blocked_by(&self, frozen: &FreezeStatus) -> bool {
        let host = self.host.as_ref();
        self.own && !frozen.over.is_empty()
            || host.is_some_and(|host| frozen.hosts.contains_key(host))
            || self
                .servers
                .iter()
                .any(|server| frozen.instances.contains_key(server))
    }

    /// Adds the conditions of `other`.
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
    fn a_sentence_has_object_end_operator_reason_and_command() {
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
    fn of_several_freezes_the_longest_is_shown() {
        let frozen = FreezeStatus {
            over: vec![
                freeze(FreezeScope::Host, "a", 5),
                freeze(FreezeScope::Region, "", 9),
                freeze(FreezeScope::Segment, "s", 7),
            ],
            ..FreezeStatus::NONE
        };
        assert_eq!(frozen.of_host().map(|freeze| freeze.number), Some(9));
        assert_eq!(FreezeStatus::NONE.of_host(), None);
        assert_eq!(FreezeStatus::NONE, FreezeStatus::default());
    }
}
