//! `[schedule]`: scheduled jobs of engines. There are none by default.

use tachi_config::{Reader, Refusal};
use tachi_operator::schedule::Schedule;
use tachi_operator::{Job, JobSchedule};

const G: &str = "schedule";

/// Reads the schedule.
pub(super) fn schedule(r: &mut Reader<'_>) -> Schedule {
    let mut when = |job: Job| {
        let parse = |text: &str| {
            JobSchedule::parse(text)
                .map_err(|why| Refusal::new(why, "write daily 03:00, weekly sun 04:00 or every 6h"))
        };
        let when = r.parsed(G, job.as_str(), parse, ToString::to_string);
        let when = when.unit("time").help(help(job)).optional();
        when.map(|when| (job, when))
    };
    let jobs = Job::ALL.into_iter().filter_map(&mut when).collect();
    Schedule {
        jobs,
        purge_age_in_days: r
            .int(G, "purge_age_in_days")
            .default(30)
            .range(1..=36_500)
            .unit("days")
            .help("age after which ended and deleted rows are removed")
            .get(),
    }
}

/// Returns the help of the job's option.
const fn help(job: Job) -> &'static str {
    match job {
        Job::Doctor => {
            "when an engine makes all checks of `tachi doctor`: `daily 03:00`, `weekly sun 04:00`, `every 6h` \
             ([drills.md](../drills.md))"
        }
        Job::Purge => "when an engine removes old rows, as `tachi db purge` does",
        Job::Drill => {
            "when an engine makes a shadow [drill](../drills.md) of one host of each segment: it only reads"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn of(text: &str) -> Result<Schedule, String> {
        let text = format!("[DEFAULT]\nhost = x\n{text}");
        let read = Settings::parse("test", &text).map(|settings| settings.schedule);
        read.map_err(|errors| errors.to_string())
    }

    #[test]
    fn nothing_is_done_by_the_clock_unless_it_is_written_down() {
        let schedule = of("").unwrap();
        assert_eq!(schedule.jobs, []);
        assert_eq!(schedule.purge_age_in_days, 30);
        let schedule =
            of("[schedule]\ndoctor = daily 03:00\npurge = every 6h\npurge_age_in_days = 7\n").unwrap();
        let rendered: Vec<String> = schedule
            .jobs
            .iter()
            .map(|(job, when)| format!("{job} {when}"))
            .collect();
        assert_eq!(rendered, ["doctor daily 03:00", "purge every 6h"]);
        assert_eq!(schedule.purge_age_in_days, 7);
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_to_write() {
        let rendered = of("[schedule]\ndoctor = at night\n").unwrap_err();
        assert!(
            rendered.contains("doctor") && rendered.contains("daily 03:00"),
            "{rendered}"
        );
    }
}
