//! Scheduled jobs of engines: `[schedule]`. Each engine has the schedule of its own configuration. A row in the database records the start,
//! so that only one engine runs a job at each time.

mod job_runner;
mod list;
pub mod manual;
mod next_run;
mod scheduler;

pub use job_runner::{JobOutcome, JobRunner};
pub use list::listed;
pub use next_run::{MAX_DRILL, MAX_RUN, begins_at, is_under_way};
pub use scheduler::Scheduler;

use crate::{Job, JobSchedule};

/// `[schedule]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The schedule of each job. A job that is missing runs only by hand.
    pub jobs: Vec<(Job, JobSchedule)>,
    /// Age in days from which on finished objects are purged.
    pub purge_age_in_days: i64,
}

impl Schedule {
    /// Returns the schedule of a job; `None` for one that runs only by hand.
    pub fn when(&self, job: Job) -> Option<JobSchedule> {
        let found = self.jobs.iter().find(|(known, _)| *known == job);
        found.map(|(_, when)| *when)
    }
}
