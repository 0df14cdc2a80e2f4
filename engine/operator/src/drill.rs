//! Drills: rehearsals of a host failure. A shadow drill queries every service that a recovery would query before it acts, and changes
//! nothing but its own row. A live drill powers off a host that holds only instances of the drill.

pub mod live;
mod policy;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tachi_domain::HostId;
use tachi_domain::policy::Policy;
use tachi_domain::situation::Severity;
use tachi_engine::Ports;
use tachi_engine::dry_run::{Answer, DryRun, dry_run_host};
use tachi_engine::ports::{EngineRegistry, Freezes, Jobs, JournalError, OperatorJournal, Rooms, Witnesses};
use tokio::time::{Instant, timeout};

use crate::failure::Failure;
use crate::plain::plain;
use crate::schedule::{JobOutcome, MAX_DRILL, manual};
use crate::snapshot::{RegionSnapshot, is_alive};

/// Maximum length of a row's name.
const MAX_ROW_NAME: usize = 255;

/// An answer, and its severity: a recovery can do without some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GradedAnswer {
    pub answer: Answer,
    pub grade: Severity,
}

impl GradedAnswer {
    fn of(answer: Answer, if_not: Severity) -> Self {
        let grade = if answer.outcome.is_ok() {
            Severity::Ok
        } else {
            if_not
        };
        Self { answer, grade }
    }
}

/// The result of a shadow drill.
pub struct Shadow {
    pub host: String,
    /// The total time of the drill.
    pub took: Duration,
    pub answers: Vec<GradedAnswer>,
    pub dry_run: DryRun,
}

impl Shadow {
    /// Returns the worst grade.
    pub fn grade(&self) -> Severity {
        let answers = self.answers.iter().map(|answer| answer.grade);
        answers.max().unwrap_or(Severity::Unknown)
    }

    /// Describes the result in a line.
    pub fn sentence(&self) -> String {
        self.describe(|answer| format!("{}: {}", answer.what, text(answer)))
    }

    /// Describes the result in a line below the answers: it only names those that are not good.
    pub fn summary(&self) -> String {
        self.describe(|answer| answer.what.clone())
    }

    fn describe(&self, render: impl Fn(&Answer) -> String) -> String {
        let bad = self.answers.iter().filter(|answer| answer.grade > Severity::Info);
        let bad: Vec<String> = bad.map(|one| render(&one.answer)).collect();
        let took = self.took.as_secs_f64();
        let host = plain(&self.host);
        match self.grade() {
            Severity::Ok | Severity::Info => format!("{host} ready, checked in {took:.1} s"),
            Severity::Warn => format!("{host} ready except {}; checked in {took:.1} s", bad.join("; ")),
            Severity::Err | Severity::Unknown => {
                format!("{host} NOT READY: {}; checked in {took:.1} s", bad.join("; "))
            }
        }
    }
}

/// Returns the result of a query, good or bad.
pub fn text(answer: &Answer) -> &str {
    match &answer.outcome {
        Ok(text) | Err(text) => text,
    }
}

/// Finds the registered host of this name.
async fn registered(operator_journal: &dyn OperatorJournal, name: &str) -> Result<HostId, Failure> {
    let region = operator_journal.region().await;
    let region = region.map_err(|error| Failure::new("reading which hosts are registered", error))?;
    let mut hosts = region.iter().flat_map(|segment| &segment.hosts);
    let found = hosts.find(|host| host.host.name == name);
    found.map(|one| one.host.id).ok_or_else(|| unregistered(name))
}

/// Returns the failure for a host in no segment, which cannot be drilled.
pub fn unregistered(name: &str) -> Failure {
    Failure::from_text(format!(
        "{} is in no segment, so its instances would not be recovered: tachi setup import",
        plain(name)
    ))
}

/// Returns one host of each enabled segment, round-robin over the runs.
async fn turns(operator_journal: &dyn OperatorJournal, run: u64) -> Result<Vec<String>, Failure> {
    let region = operator_journal.region().await;
    let region = region.map_err(|error| Failure::new("reading which hosts are registered", error))?;
    let one = |hosts: Vec<String>| turn(hosts, run);
    let enabled = region.into_iter().filter(|segment| segment.segment.enabled);
    Ok(enabled
        .filter_map(|segment| one(segment.hosts.into_iter().map(|host| host.host.name).collect()))
        .collect())
}

fn turn(mut hosts: Vec<String>, run: u64) -> Option<String> {
    let place = run.checked_rem(u64::try_from(hosts.len()).ok()?)?;
    Some(hosts.swap_remove(usize::try_from(place).ok()?))
}

/// Queries of a drill to services of which the engine's ports know nothing.
#[async_trait]
pub trait DrillQueries: Send + Sync {
    /// Queries the message broker; `None` if none is configured.
    async fn broker(&self) -> Option<Answer>;

    /// Returns the situation of the region, as the commands show it.
    async fn situation(&self) -> Result<Arc<RegionSnapshot>, JournalError>;

    /// Reads the host's power through each of its fence levels; empty if the policy uses no devices.
    async fn levels(&self, host: &str) -> Vec<Answer>;
}

/// The ports of a drill, opened once for all hosts.
pub struct DrillPorts {
    pub engine: Ports,
    pub witnesses: Arc<dyn Witnesses>,
    pub policy: Policy,
    pub rooms: Arc<dyn Rooms>,
    pub operator_journal: Arc<dyn OperatorJournal>,
    pub engine_registry: Arc<dyn EngineRegistry>,
    pub freezes: Arc<dyn Freezes>,
    pub jobs: Arc<dyn Jobs>,
    pub queries: Arc<dyn DrillQueries>,
}

impl DrillPorts {
    /// Runs a shadow drill of a host, unless `stop` ends first. Writes the row of the drill first, and its result into the same row.
    ///
    /// # Errors
    ///
    /// The host is not registered, another drill of it is running, the drill was stopped, or the database failed.
    pub async fn shadow(
        &self,
        name: &str,
        by: &str,
        stop: impl Future<Output = ()>,
    ) -> Result<Shadow, Failure> {
        let id = registered(self.operator_journal.as_ref(), name).await?;
        let row: String = format!("drill {name}").chars().take(MAX_ROW_NAME).collect();
        let began = Instant::now();
        let run = manual::begin(self.jobs.as_ref(), self.engine.clock.wall(), &row, by).await?;
        // The database is written and read, as for each step of a recovery.
        let written = Answer {
            what: "database".to_owned(),
            took: began.elapsed(),
            outcome: Ok("read and written".to_owned()),
        };
        let work = timeout(MAX_DRILL, self.ask((id, name), written));
        let result = manual::unless_stopped(work, stop).await;
        let outcome = match &result {
            Ok(Ok(shadow)) => JobOutcome {
                grade: shadow.grade(),
                details: shadow.sentence(),
            },
            Ok(Err(_)) => JobOutcome {
                grade: Severity::Err,
                details: format!("stopped: not finished after {} min", MAX_DRILL.as_secs() / 60),
            },
            Err(stopped) => (*stopped).into(),
        };
        manual::end(self.jobs.as_ref(), &row, run, &outcome).await?;
        match result {
            Ok(Ok(shadow)) => Ok(shadow),
            Ok(Err(_)) | Err(_) => Err(Failure::from_text(format!(
                "the drill of {} has ended: {}",
                plain(name),
                outcome.details
            ))),
        }
    }

    async fn ask(&self, host: (HostId, &str), written: Answer) -> Shadow {
        let began = Instant::now();
        let dry_run = dry_run_host(&self.engine, self.witnesses.clone(), &self.policy, host).await;
        let mut answers = vec![GradedAnswer::of(written, Severity::Err)];
        answers.push(self.engines().await);
        // Without any of these there is no recovery.
        answers.extend(
            dry_run
                .answers
                .iter()
                .map(|answer| GradedAnswer::of(answer.clone(), Severity::Err)),
        );
        answers.push(guards(&dry_run));
        let began_reading = Instant::now();
        let situation = self.queries.situation().await;
        answers.push(policy::policy((situation, began_reading.elapsed()), host.1));
        let providers = Answer::of("placement", self.rooms.providers(), |all| {
            Ok(format!("{} providers", all.len()))
        })
        .await;
        answers.push(GradedAnswer::of(providers.0, Severity::Warn));
        let broker = self.queries.broker().await;
        answers.extend(broker.map(|broker| GradedAnswer::of(broker, Severity::Warn)));
        answers.extend(levels(self.queries.levels(host.1).await));
        Shadow {
            host: host.1.to_owned(),
            took: began.elapsed(),
            answers,
            dry_run,
        }
    }

    /// Checks that an engine runs that would recover the host.
    async fn engines(&self) -> GradedAnswer {
        let now = self.engine.clock.wall();
        let answer = Answer::of("engines", self.engine_registry.engines(), |all| {
            match all.iter().filter(|line| is_alive(line, now)).count() {
                0 => Err("none is running".to_owned()),
                count => Ok(format!("{count} running")),
            }
        });
        GradedAnswer::of(answer.await.0, Severity::Err)
    }
}

/// Returns the guards' ruling if the host were reported now.
fn guards(dry_run: &DryRun) -> GradedAnswer {
    let ruling = dry_run.ruling.as_ref().map(|ruling| {
        let stops = ruling.holds.iter().chain(&ruling.waits);
        let stops: Vec<&str> = stops.map(|(_, why)| why.as_str()).collect();
        if stops.is_empty() {
            Ok("no guard would put it on hold".to_owned())
        } else {
            Err(stops.join("; "))
        }
    });
    let answer = Answer {
        what: "guards".to_owned(),
        took: Duration::ZERO,
        outcome: ruling.unwrap_or_else(|| Err("cannot be checked without the region's data".to_owned())),
    };
    GradedAnswer::of(answer, Severity::Warn)
}

/// Grades the answers of fence levels. One working level is enough.
fn levels(answers: Vec<Answer>) -> impl Iterator<Item = GradedAnswer> {
    let works = answers.iter().any(|answer| answer.outcome.is_ok());
    let if_not = if works { Severity::Warn } else { Severity::Err };
    answers
        .into_iter()
        .map(move |answer| GradedAnswer::of(answer, if_not))
}

/// Runs shadow drills as a scheduled job: of one host of each segment. `open` opens the ports, if there is such a host.
///
/// # Errors
///
/// The ports cannot be opened, or the database failed.
pub async fn job(
    operator_journal: &dyn OperatorJournal,
    run: u64,
    by: &str,
    open: impl Future<Output = Result<DrillPorts, Failure>>,
) -> Result<JobOutcome, Failure> {
    let hosts = turns(operator_journal, run).await?;
    if hosts.is_empty() {
        return Ok(JobOutcome {
            grade: Severity::Err,
            details: "no enabled segment has a host: tachi setup import".to_owned(),
        });
    }
    let ports = open.await?;
    let (mut most_severe, mut rendered) = (Severity::Ok, Vec::new());
    for host in hosts {
        let (grade, text) = match ports.shadow(&host, by, std::future::pending()).await {
            Ok(shadow) => (shadow.grade(), shadow.sentence()),
            Err(error) => (Severity::Err, format!("{}: {}", plain(&host), error.chain())),
        };
        most_severe = most_severe.max(grade);
        rendered.push(text);
    }
    Ok(JobOutcome {
        grade: most_severe,
        details: rendered.join("; "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(what: &str, outcome: Result<&str, &str>) -> Answer {
        Answer {
            what: what.to_owned(),
            took: Duration::from_millis(7),
            outcome: outcome.map(str::to_owned).map_err(str::to_owned),
        }
    }

    fn drilled(answers: Vec<GradedAnswer>) -> Shadow {
        Shadow {
            host: "compute-001".into(),
            took: Duration::from_millis(900),
            answers,
            dry_run: DryRun::default(),
        }
    }

    #[test]
    fn with_each_run_the_next_host_has_its_turn() {
        let hosts = || vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let turns: Vec<_> = (1..=4).map(|run| turn(hosts(), run).unwrap()).collect();
        assert_eq!(turns, ["b", "c", "a", "b"]);
        assert_eq!(turn(Vec::new(), 1), None);
    }

    #[test]
    fn what_a_recovery_can_do_without_is_a_warning() {
        let good = GradedAnswer::of(answer("service", Ok("up")), Severity::Err);
        let warning = GradedAnswer::of(answer("placement", Err("403")), Severity::Warn);
        let dead = GradedAnswer::of(answer("keystone, nova", Err("no route")), Severity::Err);
        let rendered = |answers: Vec<GradedAnswer>| {
            let shadow = drilled(answers);
            (shadow.grade(), shadow.sentence())
        };
        assert_eq!(
            drilled(vec![good.clone(), warning.clone()]).summary(),
            "compute-001 ready except placement; checked in 0.9 s"
        );
        assert_eq!(
            rendered(vec![good.clone()]),
            (Severity::Ok, "compute-001 ready, checked in 0.9 s".into())
        );
        assert_eq!(
            rendered(vec![good.clone(), warning.clone()]),
            (
                Severity::Warn,
                "compute-001 ready except placement: 403; checked in 0.9 s".into()
            )
        );
        let (grade, text) = rendered(vec![good, warning, dead]);
        assert_eq!(grade, Severity::Err);
        assert_eq!(
            text,
            "compute-001 NOT READY: placement: 403; keystone, nova: no route; checked in 0.9 s"
        );
        assert_eq!(
            rendered(Vec::new()).0,
            Severity::Unknown,
            "nobody asked is not good"
        );
    }

    #[test]
    fn guards_that_cannot_be_asked_are_not_passed() {
        let mut dry_run = DryRun::default();
        assert_eq!(guards(&dry_run).grade, Severity::Warn);
        dry_run.ruling = Some(tachi_domain::guard::Ruling::default());
        assert_eq!(guards(&dry_run).grade, Severity::Ok);
        let mut ruling = tachi_domain::guard::Ruling::default();
        ruling
            .holds
            .push((tachi_domain::guard::Guard::Segment, "2 of 4 hosts are out".into()));
        dry_run.ruling = Some(ruling);
        assert_eq!(
            guards(&dry_run).answer.outcome,
            Err("2 of 4 hosts are out".into())
        );
    }
}
