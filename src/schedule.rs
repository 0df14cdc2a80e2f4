//! The scheduled jobs of this engine: their work, and runs by hand.

mod job_runner;

pub(crate) use job_runner::Worker;
