//! `tachi fence off` and `on`: by hand, with the same devices, limits and proofs as the engine.

use std::sync::Arc;

use tachi_cli::arguments::{ConfigArgs, ConfirmedArgs, FenceSwitchArgs};
use tachi_cli::consent::confirm;
use tachi_cli::fence;
use tachi_cli::out;
use tachi_cli::out::answer::ProgressReporter;
use tachi_domain::entity::Host;
use tachi_domain::level::Level;
use tachi_engine::SystemClock;
use tachi_engine::ports::{Clock, Fencer};
use tachi_fence::Fencers;
use tachi_operator::fence::switch::{self as by_hand, AuditedSwitch};
use tachi_operator::{Failure, report_host};

use super::devices;
use super::machines::Book;
use crate::logging;
use crate::settings::Settings;
use crate::wiring;
use crate::wiring::Base;

/// The devices and the host, before the operator is asked.
struct Ready {
    fencers: Arc<Fencers>,
    fencer: Arc<dyn Fencer>,
    settings: Settings,
    /// The host's registered name; the typed one if the database is not read.
    host: String,
}

impl Ready {
    async fn new(args: &FenceSwitchArgs) -> Result<Self, Failure> {
        let (settings, fencers) = devices(&args.config)?;
        let mut host = args.host.clone();
        // The engine logs warnings about the devices' configuration; a command does not print them before its question.
        logging::start_with_warnings();
        let fencer: Arc<dyn Fencer> = if args.any_machine {
            Arc::<Fencers>::clone(&fencers)
        } else {
            let named = async {
                let book = Book::open(&settings, &fencers).await?;
                Ok::<_, Failure>((book.host(&args.host).await?, book))
            };
            let (found, book) = named.await.map_err(|error| {
                Failure::from_text(format!(
                    "the machine that the devices switch cannot be checked: {}; --any-machine skips the check",
                    error.chain()
                ))
            })?;
            host = found.name;
            Arc::new(book.identified())
        };
        Ok(Self {
            fencers,
            fencer,
            settings,
            host,
        })
    }

    /// Creates the sender of commands, once the operator has confirmed.
    fn hand(self, verb: &str, reason: &str, meanwhile: ProgressReporter) -> Result<AuditedSwitch, Failure> {
        let who = tachi_cli::process_owner::who(Some(reason))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Ok(AuditedSwitch {
            audit: wiring::audit(&self.settings, &clock, &who)?,
            fencer: self.fencer,
            policy: self.settings.policy,
            host: self.host,
            reason: format!("tachi fence {verb} by {who}"),
            who,
            progress: Box::new(move |text| meanwhile.report(text)),
            note: |text| out::note(text),
        })
    }
}

/// Powers a host off and confirms it, level by level.
pub(super) async fn off(args: FenceSwitchArgs) -> Result<u8, Failure> {
    fence::accepts_switched(&args.confirmed.shape)?;
    let ready = Ready::new(&args).await?;
    let levels = levels(&ready.fencers, &ready.host)?;
    let runs = if args.confirmed.consent.yes {
        String::new()
    } else {
        wiring::what_runs(&ready.settings, &ready.host).await
    };
    let consequence = format!("everything that runs on it stops.\n{runs}");
    let reason = confirm(&ready.host, &args.confirmed.consent, "power off", &consequence)?;
    let now = SystemClock.wall();
    let hand = ready.hand("off", &reason, ProgressReporter::of(&args.confirmed.shape, now))?;
    let proof = hand.off(&levels).await?;
    fence::show_off(&args.confirmed.shape, now, (&hand.host, &hand.who), &proof)
}

/// Powers a host off that a drill has checked; progress goes to standard error. Returns the proof.
pub(crate) async fn switched_off(config: &ConfigArgs, host: &str, reason: &str) -> Result<String, Failure> {
    let args = FenceSwitchArgs {
        config: config.clone(),
        host: host.to_owned(),
        any_machine: false,
        confirmed: ConfirmedArgs::default(),
    };
    let ready = Ready::new(&args).await?;
    let fencers = Arc::clone(&ready.fencers);
    let hand = ready.hand("off", reason, ProgressReporter::beside())?;
    hand.off(&levels(&fencers, &hand.host)?).await
}

/// Powers a host on, if nothing blocks it.
pub(super) async fn on(args: FenceSwitchArgs) -> Result<u8, Failure> {
    fence::accepts_switched(&args.confirmed.shape)?;
    let mut ready = Ready::new(&args).await?;
    // Also with --any-machine: its recoveries are found by its registered name alone.
    let base = wiring::existing(&ready.settings).await?;
    let found = registered(&base, &args.host).await?;
    ready.host.clone_from(&found.name);
    let host = &found.name;
    let levels = levels(&ready.fencers, host)?;
    if let Some(why) = forbidden(&ready.settings, &base, &found).await? {
        return Err(Failure::from_text(format!("{host} is not powered on: {why}")));
    }
    let reason = confirm(
        host,
        &args.confirmed.consent,
        "power on",
        "Nova may place instances on it.",
    )?;
    // The operator may have taken a while to answer.
    if let Some(why) = forbidden(&ready.settings, &base, &found).await? {
        return Err(Failure::from_text(format!("{host} is not powered on: {why}")));
    }
    let now = SystemClock.wall();
    let hand = ready.hand("on", &reason, ProgressReporter::of(&args.confirmed.shape, now))?;
    let proof = hand.on(&levels).await?;
    fence::show_on(&args.confirmed.shape, now, (&hand.host, &hand.who), &proof)
}

pub(super) fn levels(fencers: &Fencers, host: &str) -> Result<Vec<Level>, Failure> {
    let resolved = fencers.resolve(host);
    for (number, why) in &resolved.notes {
        out::note(format!("tachi: level {number} cannot be used: {why}"));
    }
    let levels = resolved.levels();
    if levels.is_empty() {
        return Err(Failure::from_text(format!(
            "no fence device can be used for host {host}"
        )));
    }
    Ok(levels)
}

/// Finds the registered host. Devices may accept a short name or another case, under which neither recoveries nor machines are found.
pub(super) async fn registered(base: &Base, requested: &str) -> Result<Host, Failure> {
    let found = report_host::named(base.store.operator_journal(), requested).await;
    found
        .map(|view| view.host)
        .map_err(|error| Failure::unsaid("reading the database", error))
}

/// Returns why a host must not be powered on now.
async fn forbidden(settings: &Settings, base: &Base, host: &Host) -> Result<Option<String>, Failure> {
    let operator_journal = base.store.operator_journal();
    by_hand::blocker(operator_journal, &settings.policy, host, base.clock.wall()).await
}
