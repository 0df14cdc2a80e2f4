//! Operator actions on recoveries: approve, abort, retry, and confirm a host off. Each starts or ends a recovery, so each
//! asks for the host's name and a reason.

use serde_json::{Value, json};
use tachi_domain::count;
use tachi_domain::recovery::{Life, OperatorCommand, RecoveryKind};
use tachi_domain::{RecoveryId, Wait};
use tachi_engine::ports::operator::{RecoveryFilter, RecoveryState};
use tachi_operator::when::time;
use tachi_operator::{
    Failure, RecoveryHistoryView, RetriedView, SituationView, WaitView, consequence, members, one_line,
};

use super::super::consent::confirm;
use super::{domain, named, note_if_no_engine_runs, unknown};
use crate::arguments::{
    ActionArgs, ApproveArgs, ConfirmOffArgs, ConfirmedArgs, ConsentArgs, ShapeArgs, WaitOrNull,
};
use crate::out::answer;
use crate::source::{self, ActionRequest, Controller, Source};

/// Output fields of a single action, and of each of several.
const ONE: [&str; 4] = ["word", "recovery", "by", "already"];
const EACH: [&str; 5] = ["word", "recovery", "host", "by", "already"];

/// An action on a recovery.
#[derive(Clone, Copy)]
pub(crate) struct Action {
    word: OperatorCommand,
    /// The name of the command.
    name: &'static str,
    consequence: &'static str,
}

pub(super) const APPROVE: Action = Action {
    word: OperatorCommand::Approve,
    name: "approve",
    consequence: consequence::APPROVE,
};
pub(crate) const ABORT: Action = Action {
    word: OperatorCommand::Reject,
    name: "abort",
    consequence: consequence::ABORT,
};
pub(super) const REJECT: Action = Action {
    name: "reject",
    ..ABORT
};
const CONFIRM_OFF: Action = Action {
    word: OperatorCommand::HostIsOff,
    name: "confirm-off",
    consequence: consequence::CONFIRM_OFF,
};

/// A recovery that the operator has named.
struct Meant {
    id: RecoveryId,
    history: RecoveryHistoryView,
}

impl Meant {
    fn host(&self) -> &str {
        &self.history.summary.host
    }

    /// Returns the consequence of an approval, after the wait that it is for.
    fn with_wait(&self, consequence: &str) -> String {
        self.history.summary.waits.as_ref().map_or_else(
            || consequence.to_owned(),
            |wait| format!("{}. If approved, {consequence}", wait.about()),
        )
    }

    /// Describes who has ended the recovery by the same action, and when; `None` if the action is still needed.
    fn already(&self, command: Action) -> Option<String> {
        let previous = self.history.word.as_ref()?;
        let is_finished = self.history.summary.life != Life::Open;
        (is_finished && previous.word == command.word.as_str()).then(|| {
            format!(
                "the recovery of {} was already {} at {} by {}",
                self.host(),
                past(previous.label()),
                time(previous.at.0),
                one_line(&previous.by)
            )
        })
    }
}

fn past(action: &str) -> &str {
    match action {
        "approve" => "approved",
        "abort" => "aborted",
        _ => "confirmed off",
    }
}

async fn matching_recoveries(source: &dyn Source, requested: &[String]) -> Result<Vec<Meant>, Failure> {
    let mut all: Vec<Meant> = Vec::new();
    for one in requested {
        let id = named(source, one).await?;
        if all.iter().all(|other| other.id != id) {
            let history = source.recovery(id).await?.ok_or_else(|| unknown(id))?;
            all.push(Meant { id, history });
        }
    }
    Ok(all)
}

/// Returns the text to be typed as confirmation: the host's name, or the number of recoveries.
fn token(all: &[Meant]) -> String {
    match all {
        [one] => one.host().to_owned(),
        several => count(several.len(), "recovery", "recoveries"),
    }
}

/// Returns the consequence, with the hosts if there are several.
fn with_hosts(all: &[Meant], text: &str) -> String {
    if all.len() == 1 {
        return text.to_owned();
    }
    let hosts: Vec<&str> = all.iter().map(Meant::host).collect();
    format!("of {}: {text}", hosts.join(", "))
}

/// Takes the action on each named recovery or host.
pub(crate) async fn act(
    source: &dyn Source,
    requested: &[String],
    action: Action,
    consent: &ConsentArgs,
    shape: &ShapeArgs,
) -> Result<u8, Failure> {
    answer::accepts(shape, members_of(requested.len()))?;
    let all = matching_recoveries(source, requested).await?;
    each(source, &all, action, consent, shape, None).await
}

/// Returns the lines with what is known of these hosts. An approval must be possible although that cannot be read.
fn evidence<'a>(hosts: impl Iterator<Item = &'a str>, situation: &Result<SituationView, Failure>) -> String {
    match situation {
        Ok(situation) => hosts
            .filter_map(|host| Some(format!("\n{host}: {}", situation.evidence(host)?)))
            .collect(),
        Err(error) => format!("\nthe evidence cannot be read: {}", error.chain()),
    }
}

/// Describes the instances that an abort leaves on a host, with the command that lists them. `left` is their number, as Nova was last
/// read; `None` if it is not known.
fn left_behind(host: &str, left: Option<u64>) -> String {
    let left = left.map_or_else(
        || "the number of its instances is not known".to_owned(),
        |left| {
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            count(left, "instance is left on it", "instances are left on it")
        },
    );
    format!("{host}: {left}, and no further move starts: tachi instance list --host {host}")
}

/// Returns that description for a recovery of a host: no other recovery is about all instances of its host.
fn left_by_abort(one: &Meant, situation: &Result<SituationView, Failure>) -> Option<String> {
    if one.history.summary.kind != RecoveryKind::Host {
        return None;
    }
    let host = situation
        .as_ref()
        .ok()
        .and_then(|situation| situation.hosts.iter().find(|host| host.name == one.host()));
    let left = host.and_then(|host| Some(host.instances?.included() + host.instances?.not_meant));
    Some(left_behind(one.host(), left))
}

/// Puts the completed actions before an error.
fn after(error: Failure, done: &[String]) -> Failure {
    if done.is_empty() {
        error
    } else {
        error.below(&done.join("\n"))
    }
}

/// Returns the action as it stands before the token of [`token`]: a host, or a number of recoveries.
fn what(action: &str, all: &[Meant]) -> String {
    if all.len() == 1 {
        format!("{action} the recovery of")
    } else {
        action.to_owned()
    }
}

fn members_of(number: usize) -> Vec<&'static str> {
    if number == 1 { ONE.to_vec() } else { EACH.to_vec() }
}

async fn each(
    source: &dyn Source,
    all: &[Meant],
    action: Action,
    consent: &ConsentArgs,
    shape: &ShapeArgs,
    domain: Option<&str>,
) -> Result<u8, Failure> {
    let mut consent = consent.clone();
    // If no recovery is open, the action cannot affect the wrong host.
    consent.yes |= all.iter().all(|one| one.history.summary.life != Life::Open);
    let mut text = match all {
        [one] if action.word == OperatorCommand::Approve => one.with_wait(action.consequence),
        all => with_hosts(all, action.consequence),
    };
    if action.word == OperatorCommand::Approve && !consent.yes {
        text.push_str(&evidence(all.iter().map(Meant::host), &source.situation().await));
    }
    let before_abort = match action.word {
        OperatorCommand::Reject => Some(source.situation().await),
        OperatorCommand::Approve | OperatorCommand::HostIsOff => None,
    };
    let left = |one: &Meant| left_by_abort(one, before_abort.as_ref()?);
    for line in all.iter().filter_map(left) {
        text.push('\n');
        text.push_str(&line);
    }
    let reason = confirm(&token(all), &consent, &what(action.name, all), &text)?;
    let (mut objects, mut lines) = (Vec::new(), Vec::new());
    for one in all {
        let (id, host) = (one.id, one.host());
        let (by, already) = if let Some(already) = one.already(action) {
            lines.push(format!("{already}: nothing was written"));
            (
                one.history
                    .word
                    .as_ref()
                    .map_or_else(String::new, |word| word.by.clone()),
                true,
            )
        } else {
            match source
                .submit(
                    ActionRequest::OfRecovery(id, action.word, one.history.summary.waits.as_ref()),
                    Some(&reason),
                )
                .await
            {
                Ok(outcome) => {
                    let name = action.name;
                    lines.push(if outcome.already {
                        format!("{name} of {host} was requested before: nothing was written")
                    } else {
                        let by = one_line(&outcome.by);
                        format!(
                            "{name} of {host} requested by {by}. Follow: tachi recovery show {host} --follow"
                        )
                    });
                    lines.extend(left(one));
                    (outcome.by, outcome.already)
                }
                Err(error) => {
                    // A recovery that cannot be read now counts as open, so that the first error is reported.
                    let history = source.recovery(id).await.ok().flatten();
                    // A recovery of the domain that has finished meanwhile needs no action.
                    if domain.is_none() || history.is_none_or(|history| history.summary.life == Life::Open) {
                        return Err(after(error, &lines));
                    }
                    continue;
                }
            }
        };
        objects
            .push(json!({"word": action.name, "recovery": id, "host": host, "by": by, "already": already}));
    }
    let is_list = domain.is_some() || all.len() != 1;
    let object = || match objects.pop() {
        Some(Value::Object(mut one)) if !is_list => {
            one.remove("host");
            Value::Object(one)
        }
        last => Value::Array(objects.into_iter().chain(last).collect()),
    };
    answer::object(shape, source.now(), object, |_| lines)?;
    note_if_no_engine_runs(source).await;
    Ok(crate::DONE)
}

/// `tachi recovery abort`.
pub(super) async fn abort(args: ActionArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    answer::accepts(&args.confirmed.shape, members_of(args.recoveries.len()))?;
    let source = source::open(&args.source, controller).await?;
    act(
        source.as_ref(),
        &args.recoveries,
        ABORT,
        &args.confirmed.consent,
        &args.confirmed.shape,
    )
    .await
}

/// `tachi recovery approve`, and the old `reject`.
pub(super) async fn approve(
    args: ApproveArgs,
    action: Action,
    controller: &dyn Controller,
) -> Result<u8, Failure> {
    let ApproveArgs {
        source,
        recoveries,
        domain,
        all_held,
        waits,
        confirmed: ConfirmedArgs { consent, shape },
    } = args;
    let is_list = all_held || domain.is_some();
    answer::accepts(&shape, members_of(if is_list { 2 } else { recoveries.len() }))?;
    let source = source::open(&source, controller).await?;
    if !is_list {
        let mut all = matching_recoveries(source.as_ref(), &recoveries).await?;
        if let Some(WaitOrNull(shown)) = waits {
            let ([one], OperatorCommand::Approve) = (&mut all[..], action.word) else {
                return Err(Failure::usage(
                    "--waits: only for the approval of a single recovery",
                ));
            };
            one.history.summary.waits = shown.map(|wait| WaitView::from(&Wait::from(wait)));
        }
        return each(source.as_ref(), &all, action, &consent, &shape, None).await;
    }
    let mut on_hold = on_hold(source.as_ref()).await?;
    let mut missing = None;
    if let Some(domain) = &domain {
        let states = on_hold
            .iter()
            .map(|one| (one.id, one.host().to_owned(), one.history.state.clone()));
        let of_domain = domain::holds_of(domain, states.collect())?;
        on_hold.retain(|one| of_domain.recoveries.iter().any(|(id, _)| *id == one.id));
        missing = of_domain.missing(domain);
    }
    if on_hold.is_empty() {
        return Err(Failure::from_text("no recovery is on hold"));
    }
    let name = domain.as_deref().unwrap_or("all that are on hold");
    let code = each(source.as_ref(), &on_hold, action, &consent, &shape, Some(name)).await?;
    if let Some(missing) = missing {
        crate::out::note(format!("tachi: {missing}"));
    }
    Ok(code)
}

/// Returns every recovery that is on hold.
async fn on_hold(source: &dyn Source) -> Result<Vec<Meant>, Failure> {
    let filter = RecoveryFilter {
        state: Some(RecoveryState::OnHold),
        ..RecoveryFilter::default()
    };
    let mut on_hold = Vec::new();
    for row in source.recoveries(&filter).await? {
        let id = row.recovery;
        if let Some(history) = source.recovery(id).await? {
            on_hold.push(Meant { id, history });
        }
    }
    Ok(on_hold)
}

/// `tachi recovery confirm-off`. Refuses a mismatch of recovery and host: confirming the wrong host off destroys disks.
pub(super) async fn confirm_off(args: ConfirmOffArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let ConfirmOffArgs {
        config,
        recovery,
        off,
        confirmed: ConfirmedArgs { mut consent, shape },
    } = args;
    answer::accepts(&shape, ONE)?;
    let (database, _) = controller.open(&config).await?;
    let all = matching_recoveries(database.as_ref(), std::slice::from_ref(&recovery)).await?;
    for one in &all {
        let id = one.id;
        if one.history.summary.kind != RecoveryKind::Host {
            return Err(Failure::from_text(format!(
                "recovery {id} is not a recovery of a failed host: there is nothing to confirm"
            )));
        }
        match &off {
            Some(off) if off != one.host() => {
                return Err(Failure::from_text(format!(
                    "recovery {id} is of host {}, not of {off}: nothing was written",
                    one.host()
                )));
            }
            // The operator has typed the name as an option.
            Some(_) => consent.yes = true,
            None => {}
        }
    }
    each(database.as_ref(), &all, CONFIRM_OFF, &consent, &shape, None).await
}

/// `tachi recovery retry`.
pub(super) async fn retry(args: ActionArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    answer::accepts(&args.confirmed.shape, members::<RetriedView>())?;
    let source = source::open(&args.source, controller).await?;
    let all = matching_recoveries(source.as_ref(), &args.recoveries).await?;
    let text = with_hosts(
        &all,
        "another attempt starts: it may cut the power of the host, and start its instances elsewhere.",
    );
    let reason = confirm(&token(&all), &args.confirmed.consent, &what("retry", &all), &text)?;
    let (mut objects, mut lines) = (Vec::new(), Vec::new());
    for one in &all {
        let retried = source.retry(one.id, Some(&reason)).await;
        let retried = retried.map_err(|error| after(error, &lines))?;
        if retried.already {
            lines.push(format!(
                "{} requested the same within the last minute: nothing was written",
                retried.by
            ));
        }
        lines.push(format!("recovery      {}", retried.recovery));
        lines.push(format!("notification  {}", retried.notification));
        lines.push(format!(
            "follow it     tachi recovery show {} --follow",
            one.host()
        ));
        objects.push(json!(retried));
    }
    let is_list = objects.len() != 1;
    let object = || match objects.pop() {
        Some(one) if !is_list => one,
        last => Value::Array(objects.into_iter().chain(last).collect()),
    };
    answer::object(&args.confirmed.shape, source.now(), object, |_| lines)?;
    note_if_no_engine_runs(source.as_ref()).await;
    Ok(crate::DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_that_cannot_be_read_is_a_line_of_the_prompt_and_no_error() {
        let failed = Failure::from_text("the database is locked").below("reading the monitors");
        assert_eq!(
            evidence(["a", "b"].into_iter(), &Err(failed)),
            "\nthe evidence cannot be read: reading the monitors: the database is locked"
        );
    }

    #[test]
    fn an_abort_names_the_number_of_instances_that_it_leaves_and_lists_them() {
        for (left, expected) in [
            (Some(0), "a: 0 instances are left on it, and "),
            (Some(1), "a: 1 instance is left on it, and "),
            (Some(12), "a: 12 instances are left on it, and "),
            (None, "a: the number of its instances is not known, and "),
        ] {
            let text = left_behind("a", left);
            assert!(text.starts_with(expected), "{text}");
            assert!(text.ends_with(": tachi instance list --host a"), "{text}");
        }
    }

    #[test]
    fn an_error_in_the_middle_of_several_says_what_was_done_before() {
        let error = || Failure::from_text("recovery 2 has ended: nothing was written");
        let done = ["approve of a requested by root".to_owned()];
        let message = after(error(), &done).chain();
        assert_eq!(
            message,
            "approve of a requested by root: recovery 2 has ended: nothing was written"
        );
        assert_eq!(after(error(), &[]).chain(), error().chain());
    }
}
