//! `tachi fence trust`, and the known machines behind the devices.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tachi_cli::arguments::FenceTrustArgs;
use tachi_cli::consent::confirmed;
use tachi_cli::out::{
    self,
    answer::{self, ProgressReporter},
};
use tachi_domain::Timestamp;
use tachi_domain::entity::Host;
use tachi_domain::level::Target;
use tachi_domain::machine_id::MachineId;
use tachi_domain::situation::DeviceTest;
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::device_report::Report;
use tachi_engine::ports::machines::{Entry, MachineLine};
use tachi_engine::ports::{
    AuditEntry, AuditSink, Clock, DeviceOperation, Fact, FactStore as _, Fencer as _, Machines as _,
    OperatorJournal as _,
};
use tachi_engine::watcher::kind;
use tachi_engine::{MachineCheckedFencer, SystemClock};
use tachi_fence::Fencers;
use tachi_fence::self_test::{DirectQueries, HostLiveness, Services, by_command, examine, registered_hosts};
use tachi_operator::{Failure, when};

use super::devices;
use super::switch::registered;
use crate::logging;
use crate::settings::Settings;
use crate::wiring::{self, Base};

/// Time that a command waits for heartbeats in Nova.
const LISTENS: Duration = Duration::from_secs(30);

/// The database's records of the devices' machines.
pub(super) struct Book {
    base: Base,
    identified: MachineCheckedFencer,
}

impl Book {
    pub(super) async fn open(settings: &Settings, fencers: &Arc<Fencers>) -> Result<Self, Failure> {
        let base = wiring::existing(settings).await?;
        let devices = Arc::<Fencers>::clone(fencers);
        let identified = MachineCheckedFencer::new(
            devices,
            Arc::new(base.store.machines().clone()),
            base.clock.clone(),
        );
        Ok(Self { base, identified })
    }

    /// Finds the registered host.
    pub(super) async fn host(&self, requested: &str) -> Result<Host, Failure> {
        registered(&self.base, requested).await
    }

    /// Stores the results of the tests, as those of engines are stored: a finding about a device ends once it passes.
    pub(super) async fn keep(&self, reports: &[Report], settings: &Settings) -> Result<(), Failure> {
        let at = self.base.clock.wall();
        let pauses = settings.fencing.self_test;
        let mut by_host: BTreeMap<&str, Vec<DeviceTest>> = BTreeMap::new();
        for report in reports {
            // As engines store it: a device that may read and not switch has failed.
            let test = by_command(&report.clone().strict(), pauses, at);
            by_host.entry(&report.host).or_default().extend(test);
        }
        let tested = by_host.into_iter().filter(|(_, tests)| !tests.is_empty());
        let facts = tested.map(|(host, tests)| Fact {
            kind: kind::COMMAND_TESTS.to_owned(),
            subject: host.to_owned(),
            value: json!(tests).to_string(),
            as_of: at,
        });
        let facts: Vec<Fact> = facts.collect();
        let put = self.base.store.facts().put_facts(&facts).await;
        put.map_err(|error| Failure::new("storing the results of the tests", error))
    }

    /// Returns the devices, which compare the machine before each reading or command.
    pub(super) fn identified(self) -> MachineCheckedFencer {
        self.identified
    }

    /// Compares the machines that were read. If Nova is reachable, stores the new ones.
    pub(super) async fn examine(&self, reports: &mut [Report], settings: &Settings) -> Result<(), Failure> {
        let region = self.base.store.operator_journal().region().await;
        let region = region.map_err(|error| Failure::new("reading which hosts are under recovery", error))?;
        let (_, busy) = registered_hosts(region);
        match wiring::nova(settings, &self.base.clock).await {
            Ok(nova) => {
                let machines = self.base.store.machines();
                let listening = (LISTENS, &busy);
                examine(
                    reports,
                    &self.identified,
                    machines,
                    &DirectQueries(nova),
                    listening,
                )
                .await;
            }
            Err(error) => {
                out::note(format!("tachi: new machines are not stored: {}", error.chain()));
                let (nobody, machines) = (BTreeSet::new(), self.base.store.machines());
                examine(
                    reports,
                    &self.identified,
                    machines,
                    &Unreachable,
                    (Duration::ZERO, &nobody),
                )
                .await;
            }
        }
        Ok(())
    }

    /// Returns the known machines, by host and device.
    pub(super) async fn lines(&self) -> Result<Lines, Failure> {
        let lines = self.base.store.machines().machines().await;
        let lines =
            lines.map_err(|error| Failure::new("reading which machines the devices switch", error))?;
        let by_place = lines
            .into_iter()
            .map(|line| ((line.host.clone(), line.device.clone()), line));
        Ok(by_place.collect())
    }
}

/// A source of heartbeats that has none, for when Nova is not reachable.
struct Unreachable;

#[async_trait::async_trait]
impl HostLiveness for Unreachable {
    async fn poll_services(&self) -> Option<Services> {
        None
    }
}

/// The known machines behind devices.
pub(super) type Lines = BTreeMap<(String, String), MachineLine>;

/// Returns the known machine of a report's device.
pub(super) fn line_of<'a>(report: &Report, lines: &'a Lines) -> Option<&'a MachineLine> {
    let device = report.target.as_ref()?.to_string();
    lines.get(&(report.host.clone(), device))
}

/// Returns the table's cell: the machine, since when it is known, and how.
pub(super) fn cell(report: &Report, lines: &Lines) -> String {
    let line = line_of(report, lines);
    match (
        line.and_then(|line| line.machine.as_ref().zip(Some(line))),
        &report.machine,
    ) {
        (Some((machine, line)), _) => {
            let how = line
                .said_by
                .as_ref()
                .map_or_else(|| "learned".to_owned(), |by| format!("by {by}"));
            format!("{machine} since {} ({how})", when::time(line.since))
        }
        (None, Some(machine)) => format!("{machine} (not learned yet)"),
        (None, None) if report.power.is_some() => "none".to_owned(),
        (None, None) => String::new(),
    }
}

/// Returns the same as JSON; null if no machine is known and none answers.
pub(super) fn as_json(report: &Report, lines: &Lines) -> Value {
    let line = line_of(report, lines).filter(|line| line.machine.is_some());
    if line.is_none() && report.machine.is_none() {
        return Value::Null;
    }
    json!({
        "answers": report.machine.as_ref().map(ToString::to_string),
        "expected": line.and_then(|line| line.machine.as_ref()).map(ToString::to_string),
        "since": line.map(|line| when::time(line.since)),
        "said_by": line.and_then(|line| line.said_by.as_ref()),
    })
}

/// A device whose machine is to be confirmed.
struct Change {
    level: u32,
    target: Target,
    was: Option<MachineId>,
    is: Option<MachineId>,
    line: String,
}

/// Confirms, as an operator, that the answering machine is the host's.
pub(super) async fn confirm(mut args: FenceTrustArgs) -> Result<u8, Failure> {
    answer::accepts(&args.shape, CONFIRMED)?;
    let (settings, fencers) = devices(&args.config)?;
    // The engine logs warnings about the devices' configuration; a command does not print them before its question.
    logging::start_with_warnings();
    let by = tachi_cli::process_owner::who(args.consent.reason.as_deref())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let audit = wiring::audit(&settings, &clock, &by)?;
    let book = Book::open(&settings, &fencers).await?;
    // A machine that is confirmed for another form of the name counts for no host.
    args.host = book.host(&args.host).await?.name;
    let changes = changes(&args, &fencers, &book).await?;
    let meanwhile = ProgressReporter::of(&args.shape, clock.wall());
    for change in &changes {
        meanwhile.report(&change.line);
    }
    if changes.is_empty() {
        meanwhile.report(format!(
            "{}: every device answers for the expected machine",
            args.host
        ));
        return print_result(&args, &by, &changes, clock.wall());
    }
    confirmed(
        (&args.host, args.consent.yes),
        "trust these devices for",
        "their power readings count for this host, and their commands switch it.",
    )?;
    for change in &changes {
        write(&args.host, change, &book, audit.as_ref(), &by).await?;
        meanwhile.report(format!("{} of {}: confirmed", change.target, args.host));
    }
    meanwhile.report("A recovery that waits for it continues within a minute; after `approve`, at once.");
    print_result(&args, &by, &changes, clock.wall())
}

/// Output fields for a host whose devices are confirmed.
const CONFIRMED: [&str; 3] = ["host", "confirmed", "by"];

fn print_result(args: &FenceTrustArgs, by: &str, changes: &[Change], now: Timestamp) -> Result<u8, Failure> {
    let devices: Vec<String> = changes.iter().map(|change| change.target.to_string()).collect();
    let object = || json!({"host": args.host, "confirmed": devices, "by": by});
    answer::object(&args.shape, now, object, |_| Vec::new())?;
    Ok(crate::DONE)
}

/// Finds the devices of the host whose machine differs from the known one, or that share it with others.
async fn changes(args: &FenceTrustArgs, fencers: &Fencers, book: &Book) -> Result<Vec<Change>, Failure> {
    let levels = super::switch::levels(fencers, &args.host)?;
    let lines = book.lines().await?;
    let (mut found, mut changes) = (false, Vec::new());
    for (level, device) in levels
        .iter()
        .flat_map(|level| level.devices.iter().map(move |device| (level.number, device)))
    {
        let target = &device.target;
        let name = target.to_string();
        if args
            .device
            .as_ref()
            .is_some_and(|requested| *requested != target.device && *requested != name)
        {
            continue;
        }
        found = true;
        let answered = {
            let _permit = fencers.permit(&args.host, target, DeviceOperation::Read).await;
            fencers.machine(&args.host, target).await
        };
        let is = answered.map_err(|error| {
            let what = format!("reading the machine of {name} (name another device with --device)");
            Failure::new(what, error)
        })?;
        let known = book
            .base
            .store
            .machines()
            .known(&args.host, &name, is.as_ref())
            .await;
        let entry = known.map_err(|error| Failure::new("reading which machine is expected", error))?;
        if agrees(&entry, is.as_ref()) {
            continue;
        }
        let since = lines
            .get(&(args.host.clone(), name.clone()))
            .filter(|line| line.machine.is_some());
        changes.push(Change {
            level,
            target: target.clone(),
            line: in_a_line(&name, &entry, is.as_ref(), since),
            was: entry.known.expected,
            is,
        });
    }
    if !found {
        let what = args.device.as_deref().unwrap_or_default();
        return Err(Failure::usage(format!("{} has no device {what}", args.host)));
    }
    Ok(changes)
}

/// True if there is nothing to confirm: the expected machine answers, or none was expected and none answers.
fn agrees(entry: &Entry, is: Option<&MachineId>) -> bool {
    let same = entry.known.expected.is_some() == is.is_some();
    same && entry.known.judge(is).is_ok()
}

fn in_a_line(device: &str, entry: &Entry, is: Option<&MachineId>, since: Option<&MachineLine>) -> String {
    let was = match (&entry.known.expected, since) {
        (Some(was), Some(line)) => {
            let by = line
                .said_by
                .as_ref()
                .map_or_else(|| "learned".to_owned(), |by| format!("confirmed by {by}"));
            format!("{was} ({by} {})", when::time(line.since))
        }
        (Some(was), None) => was.to_string(),
        (None, _) => "not known".to_owned(),
    };
    let is = is.map_or_else(|| "none".to_owned(), ToString::to_string);
    let others = &entry.known.elsewhere;
    let shared = if others.is_empty() {
        String::new()
    } else {
        format!("; the same machine answers for {}", others.join(", "))
    };
    format!("{device}: the machine was {was}; now it is {is}{shared}")
}

/// Writes one confirmation, with its lines in the audit log.
async fn write(
    host: &str,
    change: &Change,
    book: &Book,
    audit: &dyn AuditSink,
    by: &str,
) -> Result<(), Failure> {
    let entry = |phase| {
        let mut entry = AuditEntry::new(AuditAction::ConfirmMachine, phase, host);
        entry.operator = Some(by.to_owned());
        entry.level = Some(change.level);
        entry.device = Some(format!("{} at {}", change.target, change.target.endpoint));
        entry.from = change.was.as_ref().map(ToString::to_string);
        entry.to = change.is.as_ref().map(ToString::to_string);
        entry
    };
    let intent = audit.write(entry(AuditPhase::Intent)).await;
    intent.map_err(|error| Failure::new("not confirmed: the audit log", error))?;
    let name = change.target.to_string();
    let machines = (change.was.as_ref(), change.is.as_ref());
    let written = book
        .base
        .store
        .machines()
        .confirm(host, &name, machines, by)
        .await;
    let mut outcome = entry(AuditPhase::Outcome);
    outcome.result = Some(match &written {
        Ok(true) => AuditResult::Ok,
        Ok(false) | Err(_) => AuditResult::Transient,
    });
    if let Err(error) = audit.write(outcome).await {
        out::note(format!("tachi: {error}: {}", error.source));
    }
    match written {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::from_text(format!(
            "{name}: its expected machine has changed in the meantime; run this again"
        ))),
        Err(error) => Err(Failure::new("writing the confirmation", error)),
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::Timestamp;
    use tachi_domain::machine_id::KnownMachine;

    use super::*;

    /// Covers T9.
    #[test]
    fn a_confirmation_shows_the_old_and_new_machine_and_other_hosts_that_have_it() {
        let id = |text: &str| text.parse::<MachineId>().unwrap();
        let entry = |expected: Option<&str>, elsewhere: &[&str]| Entry {
            known: KnownMachine {
                expected: expected.map(id),
                confirmed: false,
                elsewhere: elsewhere.iter().map(|&host| host.to_owned()).collect(),
            },
            noted: true,
        };
        let (a, b) = (id("guid=a"), id("guid=b"));
        let line = MachineLine {
            host: "c1".into(),
            device: "bmc".into(),
            machine: Some(a.clone()),
            since: Timestamp::from_micros(0),
            said_by: None,
            foreign: None,
        };
        let changed = entry(Some("guid=a"), &["c2"]);
        assert_eq!(
            in_a_line("bmc", &changed, Some(&b), Some(&line)),
            "bmc: the machine was guid=a (learned 1970-01-01T00:00:00.000Z); now it is guid=b; the same machine answers for c2"
        );
        for (entry, is, same) in [
            (entry(Some("guid=a"), &[]), Some(&a), true),
            (entry(Some("guid=a"), &["c2"]), Some(&a), false),
            (entry(Some("guid=a"), &[]), Some(&b), false),
            (entry(Some("guid=a"), &[]), None, false),
            (entry(None, &[]), Some(&a), false),
            (entry(None, &[]), None, true),
        ] {
            assert_eq!(agrees(&entry, is), same, "{entry:?} {is:?}");
        }
    }
}
