//! Drills: rehearsals of a host failure. A shadow drill queries every service that a recovery would query before it acts, and changes
//! nothing but its own row. A live drill powers off a host that holds only instances of the drill.

pub(crate) mod live;
mod shown;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tachi_cli::out::plain;
use tachi_domain::HostId;
use tachi_domain::situation::Severity;
use tachi_engine::Ports;
use tachi_engine::dry_run::{Answer, DryRun, dry_run_host};
use tachi_engine::ports::{EngineRegistry as _, OperatorJournal as _, Rooms as _};
use tachi_openstack::Nova;
use tachi_operator::schedule::{JobOutcome, MAX_DRILL};
use tachi_operator::{Failure, is_alive};
use tokio::time::{Instant, timeout};

use crate::schedule::manual;
use crate::settings::Settings;
use crate::wiring::failure_domains::FailureDomains;
use crate::wiring::{self, Base, Devices};

pub(crate) use shown::{lines, object};

/// Limit of the instances that are named in a line.
const NAMED: usize = 10;

/// Maximum length of a row's name.
const MAX_ROW_NAME: usize = 255;

/// An answer, and its severity: a recovery can do without some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GradedAnswer {
    pub(crate) answer: Answer,
    pub(crate) grade: Severity,
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
pub(crate) struct Shadow {
    pub(crate) host: String,
    /// The total time of the drill.
    pub(crate) took: Duration,
    pub(crate) answers: Vec<GradedAnswer>,
    pub(crate) dry_run: DryRun,
}

impl Shadow {
    /// Returns the worst grade.
    pub(crate) fn grade(&self) -> Severity {
        let answers = self.answers.iter().map(|answer| answer.grade);
        answers.max().unwrap_or(Severity::Unknown)
    }

    /// Describes the result in a line.
    pub(crate) fn sentence(&self) -> String {
        let bad = self.answers.iter().filter(|answer| answer.grade > Severity::Info);
        let bad: Vec<String> = bad
            .map(|one| format!("{}: {}", one.answer.what, text(&one.answer)))
            .collect();
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

fn text(answer: &Answer) -> &str {
    match &answer.outcome {
        Ok(text) | Err(text) => text,
    }
}

/// Finds the registered host of this name.
pub(crate) async fn registered(base: &Base, name: &str) -> Result<HostId, Failure> {
    let region = base.store.operator_journal().region().await;
    let region = region.map_err(|error| Failure::new("reading which hosts are registered", error))?;
    let mut hosts = region.iter().flat_map(|segment| &segment.hosts);
    let found = hosts.find(|host| host.host.name == name);
    found.map(|one| one.host.id).ok_or_else(|| unregistered(name))
}

/// Returns the failure for a host in no segment, which cannot be drilled.
pub(crate) fn unregistered(name: &str) -> Failure {
    Failure::from_text(format!(
        "{} is in no segment, so its instances would not be recovered: tachi setup import",
        plain(name)
    ))
}

/// Returns one host of each enabled segment, round-robin over the runs.
pub(crate) async fn turns(base: &Base, run: u64) -> Result<Vec<String>, Failure> {
    let region = base.store.operator_journal().region().await;
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

/// The services that a drill queries, opened once for all hosts.
pub(crate) struct DrillSources<'a> {
    settings: &'a Settings,
    base: &'a Base,
    devices: Devices,
    pub(crate) nova: Arc<Nova>,
    ports: Ports,
}

impl<'a> DrillSources<'a> {
    pub(crate) async fn open(settings: &'a Settings, base: &'a Base) -> Result<Self, Failure> {
        let devices = Devices::open(settings, &base.clock)?;
        let nova = wiring::nova(settings, &base.clock).await?;
        Ok(Self {
            ports: wiring::asking_ports(settings, base, &nova, &devices)?,
            settings,
            base,
            devices,
            nova,
        })
    }

    /// Runs a shadow drill of a host, unless `stop` ends first. Writes the row of the drill first, and its result into the same row.
    pub(crate) async fn shadow(
        &self,
        name: &str,
        by: &str,
        stop: impl Future<Output = ()>,
    ) -> Result<Shadow, Failure> {
        let id = registered(self.base, name).await?;
        let row: String = format!("drill {name}").chars().take(MAX_ROW_NAME).collect();
        let began = Instant::now();
        let run = manual::begin(self.base, &row, by).await?;
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
        manual::end(self.base, &row, run, &outcome).await?;
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
        let (settings, base) = (self.settings, self.base);
        let began = Instant::now();
        let surroundings = FailureDomains::new(settings.surroundings.clone());
        let dry_run = dry_run_host(&self.ports, Arc::new(surroundings), &settings.policy, host).await;
        let mut answers = vec![GradedAnswer::of(written, Severity::Err)];
        answers.push(engines(base).await);
        // Without any of these there is no recovery.
        answers.extend(
            dry_run
                .answers
                .iter()
                .map(|answer| GradedAnswer::of(answer.clone(), Severity::Err)),
        );
        answers.push(guards(&dry_run));
        let providers = Answer::of("placement", self.nova.providers(), |all| {
            Ok(format!("{} providers", all.len()))
        })
        .await;
        answers.push(GradedAnswer::of(providers.0, Severity::Warn));
        if let Some(messaging) = &settings.messaging {
            let broker = wiring::upstream_engines_now(messaging);
            let broker = Answer::of("broker", broker, |_| Ok("answers".to_owned())).await;
            answers.push(GradedAnswer::of(broker.0, Severity::Warn));
        }
        if settings.policy.fencing.queries_devices() {
            answers.extend(levels(&self.devices, host.1).await);
        }
        Shadow {
            host: host.1.to_owned(),
            took: began.elapsed(),
            answers,
            dry_run,
        }
    }
}

/// Checks that an engine runs that would recover the host.
async fn engines(base: &Base) -> GradedAnswer {
    let now = base.clock.wall();
    let answer = Answer::of("engines", base.store.engine_registry().engines(), |all| match all
        .iter()
        .filter(|line| is_alive(line, now))
        .count()
    {
        0 => Err("none is running".to_owned()),
        count => Ok(format!("{count} running")),
    });
    GradedAnswer::of(answer.await.0, Severity::Err)
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

/// Reads the host's power through its fence devices. One working level is enough.
async fn levels(devices: &Devices, name: &str) -> Vec<GradedAnswer> {
    let reports = devices
        .fencers()
        .check(&[name.to_owned()], &mut |_, _, _| {})
        .await;
    let works = reports.iter().any(|report| report.fault.is_none());
    let if_not = if works { Severity::Warn } else { Severity::Err };
    let answer = |report: tachi_fence::Report| Answer {
        what: match &report.target {
            Some(target) => format!("level {} {target}", report.level),
            None => "fence levels".to_owned(),
        },
        took: report.latency,
        outcome: match report.fault {
            Some(fault) => Err(fault),
            None => Ok(format!("reads {}", report.raw)),
        },
    };
    reports
        .into_iter()
        .map(|report| GradedAnswer::of(answer(report), if_not))
        .collect()
}

/// Runs shadow drills as a scheduled job: of one host of each segment.
pub(crate) async fn job(settings: &Settings, base: &Base, run: u64, by: &str) -> Result<JobOutcome, Failure> {
    let hosts = turns(base, run).await?;
    if hosts.is_empty() {
        return Ok(JobOutcome {
            grade: Severity::Err,
            details: "no enabled segment has a host: tachi setup import".to_owned(),
        });
    }
    let sources = DrillSources::open(settings, base).await?;
    let (mut most_severe, mut rendered) = (Severity::Ok, Vec::new());
    for host in hosts {
        let (grade, text) = match sources.shadow(&host, by, std::future::pending()).await {
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

    pub(super) fn drilled(answers: Vec<GradedAnswer>) -> Shadow {
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
