//! `tachi doctor` through an API. Findings of the region are checked as on a controller. A controller's own files and its access to Nova
//! are not checkable from here, and never pass; instead it shows the result of the last doctor that an engine has run as a scheduled job.

use tachi_domain::Timestamp;
use tachi_domain::situation::Severity;
use tachi_operator::when::{ago, time};
use tachi_operator::{Failure, Job, JobView};

use super::checks::{self, Check, NOT_READ, Read, check};
use crate::source::Source;

/// Details of a check that only a controller can make.
const CONTROLLER_ONLY: &str = "not checkable from here: it needs a controller's files, database or access to Nova; run `tachi doctor` there";

/// Maximum age of a scheduled doctor run that still passes: it runs once a day, and may be late.
const OLD_SECONDS: i64 = 26 * 3_600;

const BY_THE_CLOCK: &str = "doctor-by-the-clock";

/// Returns all checks, as far as the API can answer them.
pub async fn all(api: &dyn Source) -> Result<Vec<Check>, Failure> {
    let read = Read {
        situation: Some(Ok((api.situation().await?, None))),
        ..Read::default()
    };
    let job = api.schedule().await?;
    let job = job.into_iter().find(|row| row.job == Job::Doctor.as_str());
    let mut all = vec![by_the_clock(job.as_ref(), api.now())];
    all.extend(checks::all(&read).into_iter().map(not_checkable));
    Ok(all)
}

/// Replaces a check that needs the configuration, which was not read here.
fn not_checkable(one: Check) -> Check {
    if one.name == checks::CONFIGURATION || one.details == NOT_READ {
        return check(one.name, Severity::Unknown, CONTROLLER_ONLY);
    }
    one
}

fn by_the_clock(job: Option<&JobView>, now: Timestamp) -> Check {
    let done = job.and_then(|job| Some((job.last_at?.0, job.grade?, &job.result)));
    let Some((at, grade, result)) = done else {
        let none = "no engine has run a scheduled `tachi doctor`: write `doctor = daily 03:00` into [schedule] of the engines";
        return check(BY_THE_CLOCK, Severity::Unknown, none);
    };
    let line = format!("{}, {}: {result}", ago(at, now), time(at));
    if now.micros_since(at) > OLD_SECONDS * 1_000_000 {
        return check(BY_THE_CLOCK, Severity::Unknown, format!("the last was {line}"));
    }
    check(BY_THE_CLOCK, grade, line)
}

#[cfg(test)]
mod tests {
    use tachi_operator::Time;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros((1_700_000_000 + seconds) * 1_000_000)
    }

    #[test]
    fn what_only_a_controller_can_check_is_never_good_from_elsewhere() {
        let all: Vec<Check> = checks::all(&Read::default())
            .into_iter()
            .map(not_checkable)
            .collect();
        assert!(all.len() >= 4, "{all:?}");
        assert!(
            all.iter()
                .all(|one| one.grade == Severity::Unknown && one.details == CONTROLLER_ONLY),
            "{all:?}"
        );
    }

    #[test]
    fn what_an_engine_has_found_by_the_clock_counts_for_a_day() {
        let job = |last: Option<i64>, grade| JobView {
            job: "doctor".into(),
            when: "daily 03:00".into(),
            last_at: last.map(|seconds| Time(at(seconds))),
            took_seconds: None,
            grade,
            result: "2 errors".into(),
            next_at: None,
        };
        let of = |job: Option<&JobView>, now| by_the_clock(job, at(now)).grade;
        assert_eq!(of(None, 0), Severity::Unknown);
        assert_eq!(of(Some(&job(None, None)), 0), Severity::Unknown);
        assert_eq!(of(Some(&job(Some(0), None)), 0), Severity::Unknown, "under way");
        let (good, bad) = (
            job(Some(0), Some(Severity::Ok)),
            job(Some(0), Some(Severity::Err)),
        );
        assert_eq!(of(Some(&good), 26 * 3_600), Severity::Ok);
        assert_eq!(of(Some(&bad), 60), Severity::Err);
        assert_eq!(of(Some(&good), 26 * 3_600 + 1), Severity::Unknown);
    }
}
