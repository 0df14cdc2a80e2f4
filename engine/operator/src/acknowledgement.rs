//! Acknowledgements of findings: an operator knows of one and lives with it for a while. It is shown all the same, and is no alarm.

use std::time::Duration;

use serde_json::json;
use tachi_domain::Timestamp;
use tachi_domain::situation::{Acknowledgement, FindingCode, name_in_command};
use tachi_engine::ports::audit::{AuditPhase, AuditResult};
use tachi_engine::ports::{AuditEntry, AuditSink, Fact, FactStore};
use tachi_engine::situation::acknowledged;
use tachi_engine::watcher::kind::ACKNOWLEDGED;

use crate::audited::{after, before};
use crate::failure::Failure;
use crate::situation::SituationView;
use crate::when::duration_text;

const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(90 * 24);

fn key(code: FindingCode, name: Option<&str>) -> String {
    name.map_or_else(|| code.to_string(), |name| format!("{code} {name}"))
}

/// Checks what an operator has typed.
///
/// # Errors
///
/// The finding cannot be acknowledged, the duration is out of bounds, or the reason is empty.
pub fn validate(code: FindingCode, lasts: Duration, reason: &str) -> Result<(), Failure> {
    if !code.may_be_acknowledged() {
        return Err(Failure::usage(format!(
            "{code} cannot be acknowledged: it stays an alarm until it is resolved"
        )));
    }
    if !(SHORTEST..=LONGEST).contains(&lasts) {
        return Err(Failure::usage(format!(
            "--for: {} is not between 1m and 90d",
            duration_text(lasts)
        )));
    }
    if reason.trim().is_empty() {
        return Err(Failure::usage("--reason: write why, for the record"));
    }
    Ok(())
}

/// Refuses to acknowledge a finding that does not exist: a wrong name would be noticed only when the right one raises an alarm.
///
/// # Errors
///
/// There is no such finding; the text names those of this code.
pub fn is_found(situation: &SituationView, code: FindingCode, name: Option<&str>) -> Result<(), Failure> {
    let of_code = situation.findings.iter().filter(|finding| finding.code == code);
    let mut subjects: Vec<&str> = of_code
        .clone()
        .flat_map(|one| one.subjects.iter().map(|subject| name_in_command(subject)))
        .collect();
    let found = name.map_or_else(|| of_code.count() > 0, |name| subjects.contains(&name));
    if found {
        return Ok(());
    }
    subjects.sort_unstable();
    // A host may be frozen twice.
    subjects.dedup();
    let others = if subjects.is_empty() {
        "`tachi status` lists the findings".to_owned()
    } else {
        format!("there is one about {}", subjects.join(", "))
    };
    Err(Failure::from_text(format!(
        "there is no finding {} now: nothing was written; {others}",
        key(code, name)
    )))
}

/// The stored acknowledgements.
pub struct Acknowledgements {
    kept: Vec<Fact>,
    /// Those that have not ended.
    valid: Vec<Acknowledgement>,
}

impl Acknowledgements {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn read(facts: &dyn FactStore, now: Timestamp) -> Result<Self, Failure> {
        let kept = facts.facts(Some(ACKNOWLEDGED)).await;
        let kept = kept.map_err(|error| Failure::new("reading the acknowledgements", error))?;
        let mut valid = acknowledged(&kept);
        valid.retain(|one| one.until > now);
        Ok(Self { kept, valid })
    }

    /// Returns those that have not ended, by their end.
    pub fn into_valid(mut self) -> Vec<Acknowledgement> {
        self.valid.sort_by_key(|one| one.until);
        self.valid
    }

    /// Returns the facts that a change removes: those that have ended, and `ended`.
    fn gone(&self, ended: Option<&str>) -> Vec<Fact> {
        let valid: Vec<String> = self
            .valid
            .iter()
            .map(|one| key(one.code, one.subject.as_deref()))
            .filter(|one| ended != Some(one.as_str()))
            .collect();
        let mut gone = self.kept.clone();
        gone.retain(|fact| !valid.contains(&fact.subject));
        gone
    }
}

/// An operator, and the ports for acknowledgements.
pub struct Acknowledger<'a> {
    pub facts: &'a dyn FactStore,
    /// The audit log, which is written before a change.
    pub audit: &'a dyn AuditSink,
    pub by: String,
    /// Shows what went wrong beside the change, a line each time.
    pub note: fn(&str),
}

impl Acknowledger<'_> {
    /// Ends an acknowledgement; returns it, and what was done, for people.
    ///
    /// # Errors
    ///
    /// There is none, the audit log cannot be written, or the database failed.
    pub async fn end(
        &self,
        known: Acknowledgements,
        code: FindingCode,
        subject: Option<&str>,
    ) -> Result<(Acknowledgement, String), Failure> {
        let what = key(code, subject);
        let gone = known.gone(Some(&what));
        let is_same = |known: &Acknowledgement| known.code == code && known.subject.as_deref() == subject;
        let Some(acknowledgement) = known.valid.into_iter().find(is_same) else {
            return Err(Failure::from_text(format!(
                "{what} is not acknowledged: nothing was written; `tachi ack --list` shows what is"
            )));
        };
        self.intend(&format!("ends the acknowledgement of {what}"))
            .await?;
        let text = format!("the acknowledgement of {what} has ended");
        self.write(&gone, None, &what, &text).await?;
        Ok((acknowledgement, text))
    }

    /// Writes an acknowledgement that begins now; returns it, and what was done, for people.
    ///
    /// # Errors
    ///
    /// The audit log cannot be written, or the database failed.
    pub async fn acknowledge(
        &self,
        known: &Acknowledgements,
        new: Acknowledgement,
        (now, lasts, reason): (Timestamp, Duration, &str),
    ) -> Result<(Acknowledgement, String), Failure> {
        let what = key(new.code, new.subject.as_deref());
        self.intend(&format!(
            "acknowledges {what} for {}: {reason}",
            duration_text(lasts)
        ))
        .await?;
        let fact = Fact {
            kind: ACKNOWLEDGED.to_owned(),
            subject: what.clone(),
            value: json!(new).to_string(),
            as_of: now,
        };
        let text = format!("{what} is acknowledged for {}", duration_text(lasts));
        self.write(&known.gone(None), Some(fact), &what, &text).await?;
        Ok((new, text))
    }

    async fn intend(&self, text: &str) -> Result<(), Failure> {
        let intent = self.entry(AuditPhase::Intent, text);
        before(self.audit, intent, "nothing was written").await
    }

    fn entry(&self, phase: AuditPhase, text: &str) -> AuditEntry {
        AuditEntry::change(phase, "", &self.by, text)
    }

    /// Removes facts and puts one, and writes the outcome.
    async fn write(&self, gone: &[Fact], put: Option<Fact>, what: &str, text: &str) -> Result<(), Failure> {
        // Removed first: a command that fails after it has stored the acknowledgement would report a failure for it.
        let mut written = self.facts.remove_facts(gone).await;
        if let (Ok(()), Some(fact)) = (&written, put) {
            written = self.facts.put_facts(&[fact]).await;
        }
        let mut outcome = self.entry(AuditPhase::Outcome, text);
        outcome.result = Some(AuditResult::Ok);
        if let Err(error) = &written {
            outcome.result = Some(AuditResult::Transient);
            outcome.text = format!("{what}: it is unknown if it was written: {error}");
        }
        after(self.audit, outcome, self.note).await;
        written.map_err(|error| {
            let what = "the acknowledgement may not be written, see `tachi ack --list`: writing it";
            Failure::new(what, error)
        })
    }
}
