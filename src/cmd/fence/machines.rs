//! `tachi fence trust`, and the known machines behind the devices.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tachi_cli::arguments::FenceTrustArgs;
use tachi_cli::consent::confirmed;
use tachi_cli::fence;
use tachi_cli::out::{self, answer::ProgressReporter};
use tachi_domain::entity::Host;
use tachi_domain::situation::DeviceTest;
use tachi_engine::ports::device_report::Report;
use tachi_engine::ports::{Clock, Fact, FactStore as _, OperatorJournal as _};
use tachi_engine::watcher::kind;
use tachi_engine::{MachineCheckedFencer, SystemClock};
use tachi_fence::Fencers;
use tachi_fence::self_test::{DirectQueries, HostLiveness, Services, by_command, examine, registered_hosts};
use tachi_operator::Failure;
use tachi_operator::fence::trust::{KnownMachines, MachineTrust, known_machines};

use super::devices;
use super::switch::{levels, registered};
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
    pub(super) async fn lines(&self) -> Result<KnownMachines, Failure> {
        known_machines(self.base.store.machines()).await
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

/// Confirms, as an operator, that the answering machine is the host's.
pub(super) async fn confirm(mut args: FenceTrustArgs) -> Result<u8, Failure> {
    fence::accepts_confirmed(&args.confirmed.shape)?;
    let (settings, fencers) = devices(&args.config)?;
    // The engine logs warnings about the devices' configuration; a command does not print them before its question.
    logging::start_with_warnings();
    let by = tachi_cli::process_owner::who(args.confirmed.consent.reason.as_deref())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let audit = wiring::audit(&settings, &clock, &by)?;
    let book = Book::open(&settings, &fencers).await?;
    // A machine that is confirmed for another form of the name counts for no host.
    args.host = book.host(&args.host).await?.name;
    let levels = levels(&fencers, &args.host)?;
    let trust = MachineTrust {
        fencer: fencers.as_ref(),
        machines: book.base.store.machines(),
        audit: audit.as_ref(),
        by: &by,
        note: |text| out::note(text),
    };
    let changes = trust.changes(&args.host, args.device.as_deref(), &levels).await?;
    let meanwhile = ProgressReporter::of(&args.confirmed.shape, clock.wall());
    for change in &changes {
        meanwhile.report(&change.line);
    }
    if changes.is_empty() {
        meanwhile.report(format!(
            "{}: every device answers for the expected machine",
            args.host
        ));
    } else {
        confirmed(
            (&args.host, args.confirmed.consent.yes),
            "trust these devices for",
            "their power readings count for this host, and their commands switch it.",
        )?;
        for change in &changes {
            trust.confirm(&args.host, change).await?;
            meanwhile.report(format!("{} of {}: confirmed", change.target, args.host));
        }
        meanwhile.report("A recovery that waits for it continues within a minute; after `approve`, at once.");
    }
    let devices: Vec<String> = changes.iter().map(|change| change.target.to_string()).collect();
    fence::show_confirmed(&args.confirmed.shape, clock.wall(), (&args.host, &by), &devices)
}
