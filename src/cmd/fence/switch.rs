//! `tachi fence off` and `on`: by hand, with the same devices, limits and proofs as the engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tachi_cli::arguments::{ConfigArgs, ConsentArgs, FenceSwitchArgs, ShapeArgs};
use tachi_cli::consent::confirm;
use tachi_cli::out;
use tachi_cli::out::answer::{self, ProgressReporter};
use tachi_domain::Timestamp;
use tachi_domain::count;
use tachi_domain::entity::Host;
use tachi_domain::level::{Level, Target};
use tachi_domain::nova::Service;
use tachi_domain::power::Power;
use tachi_domain::recovery::Life;
use tachi_engine::SystemClock;
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::operator::RecoveryHistory;
use tachi_engine::ports::{
    AuditEntry, AuditSink, CallError, Clock, Compute as _, DeviceOperation, Fencer, OperatorJournal as _,
};
use tachi_fence::Fencers;
use tachi_operator::{Failure, report_host};

use super::check::power_text;
use super::devices;
use super::machines::Book;
use crate::logging;
use crate::settings::Settings;
use crate::wiring;
use crate::wiring::Base;

/// Number of the host's last closed recoveries of each kind that are checked for commands that may still take effect.
const CHECKED_RECOVERIES: u64 = 5;

/// Time that a device may need for an accepted command if no other is known: MAAS retries for this long.
const MAX_DEVICE_TIME: Duration = Duration::from_secs(150);

/// Timeout for reading from Nova what runs on a host.
const NOVA_TIMEOUT: Duration = Duration::from_secs(10);

/// Output fields for a host that was switched.
const SWITCHED: [&str; 4] = ["host", "power", "by", "proof"];

/// Sends power commands, each after its line is in the audit log.
struct AuditedSwitch {
    fencers: Arc<Fencers>,
    /// The same devices, wrapped to compare the machine first, unless `--any-machine` is given.
    fencer: Arc<dyn Fencer>,
    audit: Arc<dyn AuditSink>,
    settings: Settings,
    host: String,
    who: String,
    reason: String,
}

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
    fn hand(self, verb: &str, reason: &str) -> Result<AuditedSwitch, Failure> {
        let who = tachi_cli::process_owner::who(Some(reason))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Ok(AuditedSwitch {
            audit: wiring::audit(&self.settings, &clock, &who)?,
            fencer: self.fencer,
            fencers: self.fencers,
            settings: self.settings,
            host: self.host,
            reason: format!("tachi fence {verb} by {who}"),
            who,
        })
    }
}

impl AuditedSwitch {
    fn entry(&self, action: AuditAction, phase: AuditPhase, level: u32, target: &Target) -> AuditEntry {
        let mut entry = AuditEntry::new(action, phase, &self.host);
        entry.operator = Some(self.who.clone());
        entry.level = Some(level);
        entry.device = Some(format!("{target} at {}", target.endpoint));
        entry.text.clone_from(&self.reason);
        entry
    }

    /// Sends a power command, after the audit log has its intent.
    async fn command(&self, on: bool, level: u32, target: &Target) -> Result<(), String> {
        let action = if on {
            AuditAction::PowerOn
        } else {
            AuditAction::PowerOff
        };
        let intent = self.entry(action, AuditPhase::Intent, level, target);
        let written = self.audit.write(intent).await;
        written.map_err(|error| format!("not sent: {error}: {}", error.source))?;
        let _permit = self
            .fencer
            .permit(&self.host, target, DeviceOperation::Switch)
            .await;
        let answer = if on {
            self.fencer.power_on(&self.host, target, &self.reason).await
        } else {
            self.fencer.power_off(&self.host, target, &self.reason).await
        };
        let mut outcome = self.entry(action, AuditPhase::Outcome, level, target);
        outcome.result = Some(match &answer {
            Ok(()) => AuditResult::Ok,
            Err(_) => AuditResult::Permanent,
        });
        if let Err(error) = &answer {
            outcome.text.clone_from(&error.fault.text);
        }
        // A lost outcome line is reported, but is no reason to fail.
        if let Err(error) = self.audit.write(outcome).await {
            out::note(format!("tachi: {error}: {}", error.source));
        }
        answer.map_err(|error| error.fault.text)
    }
}

/// Powers a host off and confirms it, level by level.
pub(super) async fn off(args: FenceSwitchArgs) -> Result<u8, Failure> {
    answer::accepts(&args.shape, SWITCHED)?;
    let ready = Ready::new(&args).await?;
    let levels = levels(&ready.fencers, &ready.host)?;
    let runs = if args.consent.yes {
        String::new()
    } else {
        what_runs(&ready.settings, &ready.host).await
    };
    let consequence = format!("everything that runs on it stops.\n{runs}");
    let reason = confirm(&ready.host, &args.consent, "power off", &consequence)?;
    let hand = ready.hand("off", &reason)?;
    let now = SystemClock.wall();
    let proof = each(&hand, &levels, ProgressReporter::of(&args.shape, now)).await?;
    answer::object(
        &args.shape,
        now,
        || json!({"host": hand.host, "power": "off", "by": hand.who, "proof": proof}),
        |_| vec![format!("{} is off: {proof}", hand.host)],
    )?;
    Ok(crate::DONE)
}

/// Powers a host off that a drill has checked; progress goes to standard error. Returns the proof.
pub(crate) async fn switched_off(config: &ConfigArgs, host: &str, reason: &str) -> Result<String, Failure> {
    let args = FenceSwitchArgs {
        config: config.clone(),
        host: host.to_owned(),
        any_machine: false,
        consent: ConsentArgs::default(),
        shape: ShapeArgs::default(),
    };
    let hand = Ready::new(&args).await?.hand("off", reason)?;
    let levels = levels(&hand.fencers, &hand.host)?;
    each(&hand, &levels, ProgressReporter::beside()).await
}

/// Tries level by level, until one confirms the host off.
async fn each(
    hand: &AuditedSwitch,
    levels: &[Level],
    meanwhile: ProgressReporter,
) -> Result<String, Failure> {
    for level in levels {
        meanwhile.report(format!("{level}"));
        match switch_off(hand, level, meanwhile).await {
            Ok(proof) => return Ok(proof),
            Err(why) => meanwhile.report(format!("  failed: {why}")),
        }
    }
    Err(Failure::from_text(format!(
        "{} is not confirmed off: every level failed",
        hand.host
    )))
}

/// Powers a host on, if nothing blocks it.
pub(super) async fn on(args: FenceSwitchArgs) -> Result<u8, Failure> {
    answer::accepts(&args.shape, SWITCHED)?;
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
    let reason = confirm(host, &args.consent, "power on", "Nova may place instances on it.")?;
    // The operator may have taken a while to answer.
    if let Some(why) = forbidden(&ready.settings, &base, &found).await? {
        return Err(Failure::from_text(format!("{host} is not powered on: {why}")));
    }
    let hand = ready.hand("on", &reason)?;
    let Some(level) = levels.first() else {
        return Err(Failure::from_text("the host has no fence level"));
    };
    // Some controllers switch on by a power cycle: a running host would lose everything.
    for device in &level.devices {
        for _ in 0..2 {
            let power = read(hand.fencer.as_ref(), host, &device.target).await;
            let power = power.map_err(|error| Failure::new("reading the host's power", error))?;
            if power != Power::Off {
                return Err(Failure::from_text(format!(
                    "{host} is not powered on: {} reads {}, not off",
                    device.target,
                    power_text(power)
                )));
            }
            tokio::time::sleep(hand.settings.policy.power_confirm).await;
        }
    }
    let now = SystemClock.wall();
    let meanwhile = ProgressReporter::of(&args.shape, now);
    let mut accepted = Vec::new();
    for device in &level.devices {
        let target = &device.target;
        let sent = hand.command(true, level.number, target).await;
        sent.map_err(|why| Failure::from_text(format!("{host} is not powered on: {why}")))?;
        meanwhile.report(format!("{target} has accepted the power-on of {host}"));
        accepted.push(target.to_string());
    }
    let proof = format!("accepted by {}", accepted.join(", "));
    answer::object(
        &args.shape,
        now,
        || json!({"host": host, "power": "on", "by": hand.who, "proof": proof}),
        |_| Vec::new(),
    )?;
    Ok(crate::DONE)
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

/// Describes Nova's view of the host, for the operator who decides.
pub(crate) async fn what_runs(settings: &Settings, host: &str) -> String {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let query = async {
        let nova = wiring::nova(settings, &clock)
            .await
            .map_err(|error| error.chain())?;
        let why = |error: CallError| error.fault.text;
        let service = nova.service(host).await.map_err(why)?;
        let servers = nova.server_ids_on(host).await.map_err(why)?;
        Ok::<_, String>((service, servers.len()))
    };
    match tokio::time::timeout(NOVA_TIMEOUT, query).await {
        Ok(Ok((service, servers))) => warning(host, service.as_ref(), servers),
        Ok(Err(why)) => format!("Nova's view of {host} is unknown: {why}"),
        Err(_) => format!(
            "Nova's view of {host} is unknown: no answer within {} s",
            NOVA_TIMEOUT.as_secs()
        ),
    }
}

fn warning(host: &str, service: Option<&Service>, servers: usize) -> String {
    let Some(service) = service else {
        return format!(
            "Nova has no compute service on {host}; it shows {} there.",
            count(servers, "instance", "instances")
        );
    };
    let state = if service.up { "up" } else { "down" };
    let heartbeat = service.heartbeat_age_micros().map_or_else(
        || "has no heartbeat from it".to_owned(),
        |age| format!("received its heartbeat {} s ago", age / 1_000_000),
    );
    format!(
        "Nova {heartbeat}, shows it {state}, and has {} on it.",
        count(servers, "instance", "instances")
    )
}

async fn read(fencers: &dyn Fencer, host: &str, target: &Target) -> Result<Power, CallError> {
    let _permit = fencers.permit(host, target, DeviceOperation::Read).await;
    Ok(fencers.read_power(host, target).await?.power)
}

/// Sends power-off to every device of a level that is not off, and waits until each has read off twice in a row.
async fn switch_off(
    hand: &AuditedSwitch,
    level: &Level,
    meanwhile: ProgressReporter,
) -> Result<String, String> {
    let (fencers, host, policy) = (hand.fencer.as_ref(), &hand.host, &hand.settings.policy);
    let mut off = Vec::new();
    for device in &level.devices {
        let target = &device.target;
        let limit = device.limit.unwrap_or(policy.power_off_limit);
        let poll = device.poll.unwrap_or(policy.power_poll);
        let began = Instant::now();
        let (mut ordered, mut row, mut faults) = (false, 0, 0);
        while row < 2 {
            let wait = match read(fencers, host, target).await {
                Ok(Power::Off) => {
                    row += 1;
                    policy.power_confirm
                }
                Ok(Power::On | Power::Unknown) => {
                    row = 0;
                    if !ordered {
                        hand.command(false, level.number, target).await?;
                        meanwhile.report(format!("  {target} has accepted the power-off"));
                        ordered = true;
                    }
                    poll
                }
                Err(error) => {
                    (row, faults) = (0, faults + 1);
                    if faults >= device.attempts && !ordered {
                        return Err(error.fault.text);
                    }
                    poll
                }
            };
            if row < 2 {
                if began.elapsed() >= limit {
                    return Err(format!("{target} is not off after {} s", limit.as_secs()));
                }
                tokio::time::sleep(wait).await;
            }
        }
        off.push(format!("{target} read off twice in a row"));
    }
    Ok(off.join(", "))
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
    let wrong = |error| Failure::new("reading the host's recoveries", error);
    let now = base.clock.wall();
    let recoveries = base
        .store
        .operator_journal()
        .recoveries_of_host(host.id, &host.name, CHECKED_RECOVERIES)
        .await;
    for summary in recoveries.map_err(wrong)? {
        if summary.life == Life::Open {
            return Ok(Some(format!(
                "its recovery {} is open, and its instances may be on their way elsewhere",
                summary.id
            )));
        }
        let Some(history) = base
            .store
            .operator_journal()
            .history(summary.id)
            .await
            .map_err(wrong)?
        else {
            continue;
        };
        let wait =
            MAX_DEVICE_TIME.max(settings.policy.power_off_limit) + settings.policy.late_effect_window();
        if let Some(left) = still_pending(&history, now, wait) {
            return Ok(Some(format!(
                "a power-off of recovery {} may still take effect; try again in {} s",
                summary.id,
                left.as_secs().max(1)
            )));
        }
    }
    Ok(None)
}

/// Returns how long a command of this recovery may still take effect. Uses the time of its line in the history: a recovery's elapsed time
/// stops while no engine owns it.
fn still_pending(history: &RecoveryHistory, now: Timestamp, wait: Duration) -> Option<Duration> {
    let orders = history
        .steps
        .iter()
        .filter(|step| step.task == "FenceHostTask" && step.kind == "intent");
    let last = orders.map(|step| step.at).max()?;
    let age = u64::try_from(now.micros().saturating_sub(last.micros())).unwrap_or_default();
    wait.checked_sub(Duration::from_micros(age))
        .filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use tachi_domain::ServiceId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_question_before_a_power_off_shows_novas_heartbeat_and_what_runs_there() {
        let mut service = Service {
            id: ServiceId(Uuid::from_u128(1)),
            host: "c1".into(),
            enabled: true,
            disabled_reason: None,
            up: true,
            forced_down: false,
            last_heartbeat: Some(Timestamp::from_micros(5_000_000)),
            nova_now: Some(Timestamp::from_micros(8_000_000)),
        };
        assert_eq!(
            warning("c1", Some(&service), 8),
            "Nova received its heartbeat 3 s ago, shows it up, and has 8 instances on it."
        );
        (service.up, service.last_heartbeat) = (false, None);
        assert_eq!(
            warning("c1", Some(&service), 0),
            "Nova has no heartbeat from it, shows it down, and has 0 instances on it."
        );
        assert!(warning("c1", None, 0).starts_with("Nova has no compute service on c1"));
    }
}
