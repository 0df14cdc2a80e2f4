//! Scheduled jobs of engines: `[schedule]`. Each engine has the schedule of its own configuration. A row in the database records the start,
//! so that only one engine runs a job at each time.

mod job_runner;
pub(crate) mod job_schedule;
mod list;
pub(crate) mod manual;
mod next_run;
mod scheduler;

use std::fmt;

pub(crate) use job_runner::{JobRunner, Outcome, Worker};
pub(crate) use job_schedule::JobSchedule;
pub(crate) use list::listed;
pub(crate) use next_run::{MAX_DRILL, MAX_RUN, begins_at, is_under_way};
pub(crate) use scheduler::Scheduler;

/// A job that can be scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// All checks of `tachi doctor`.
    Doctor,
    /// A purge, as `tachi db purge`.
    Purge,
    /// A shadow drill of one host of each segment.
    Drill,
}

impl Job {
    pub(crate) const ALL: [Self; 3] = [Self::Doctor, Self::Purge, Self::Drill];

    /// Returns the name in the configuration, the database and on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Doctor => "doctor",
            Self::Purge => "purge",
            Self::Drill => "drill",
        }
    }

    /// Returns the help of the job's option.
    pub(crate) const fn help(self) -> &'static str {
        match self {
            Self::Doctor => {
                "when an engine makes all checks of `tachi doctor`: `daily 03:00`, `weekly sun 04:00`, `every 6h` \
                 ([drills.md](../drills.md))"
            }
            Self::Purge => "when an engine removes old rows, as `tachi db purge` does",
            Self::Drill => {
                "when an engine makes a shadow [drill](../drills.md) of one host of each segment: it only reads"
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
    /// The schedule of each job. A job that is missing runs only by hand.
    pub(crate) jobs: Vec<(Job, JobSchedule)>,
    /// Age in days from which on finished objects are purged.
    pub(crate) purge_age_in_days: i64,
}

impl Schedule {
    /// Returns the schedule of a job; `None` for one that runs only by hand.
    pub(crate) fn when(&self, job: Job) -> Option<JobSchedule> {
        let found = self.jobs.iter().find(|(one, _)| *one == job);
        found.map(|(_, when)| *when)
    }
}
