//! What engines do by the clock: `[schedule]`. Each has the schedule of its own configuration; a row of the database says what was begun,
//! so that each time one of them runs a job.

pub(crate) mod by_hand;
mod due;
mod keeper;
mod list;
pub(crate) mod when;
mod work;

use std::fmt;

pub(crate) use due::{LONGEST, LONGEST_DRILL, begins_at, is_under_way};
pub(crate) use keeper::Keeper;
pub(crate) use list::listed;
pub(crate) use when::When;
pub(crate) use work::{Outcome, Work, Worker};

/// What can be done by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// Everything that `tachi doctor` checks.
    Doctor,
    /// What `tachi db purge` removes.
    Purge,
    /// A shadow drill of one host of each segment.
    Drill,
}

impl Job {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Doctor, Self::Purge, Self::Drill];

    /// As it is called in the configuration, the database and on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Doctor => "doctor",
            Self::Purge => "purge",
            Self::Drill => "drill",
        }
    }

    /// What its option says.
    pub(crate) const fn help(self) -> &'static str {
        match self {
            Self::Doctor => {
                "when engines check everything that `tachi doctor` checks: `daily 03:00`, `weekly sun 04:00`, `every 6h` ([drills.md](../drills.md))"
            }
            Self::Purge => "when engines remove what `tachi db purge` removes",
            Self::Drill => {
                "when engines [drill](../drills.md) one host of each segment in the shadow: nothing is switched"
            }
        }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `[schedule]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// When each job is due. What is not there is done by hand alone.
    pub(crate) jobs: Vec<(Job, When)>,
    /// What ended so many days ago is purged.
    pub(crate) purge_age_in_days: i64,
}

impl Schedule {
    /// When a job is due; `None` for one that is done by hand alone.
    pub(crate) fn when(&self, job: Job) -> Option<When> {
        let found = self.jobs.iter().find(|(one, _)| *one == job);
        found.map(|(_, when)| *when)
    }
}
