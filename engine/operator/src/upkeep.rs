//! What people do about reporters, monitors and failed recoveries, on a controller or over the API: the audit log is told first, then it
//! is done, then the log is told what came of it.

use serde::{Deserialize, Serialize};
use tachi_domain::monitor::MonitorKind;
use tachi_domain::{NotificationId, RecoveryId, Timestamp};
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::operator::{RecoveryFilter, Retried, attempt};
use tachi_engine::ports::{AuditEntry, AuditSink, Doubted, JournalError, Monitors, OperatorDesk};
use utoipa::ToSchema;

use crate::named;
use crate::plain::plain;
use crate::schema;
use crate::when::Time;
use crate::words::Unsaid;

/// For so long the same that is said again is taken for something whose answer was lost.
const SAID_LATELY: u64 = 60;

/// Of the host's recoveries so many are looked at for what was said lately.
const LOOKED_AT: u64 = 5;

/// A reporter whose claims Nova contradicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DoubtedReporter)]
pub struct ReporterView {
    /// Its number in the list.
    pub number: i64,
    /// Who it is, for people.
    pub reporter: String,
    /// The host that it is bound to; null if to none.
    #[schema(required)]
    pub host: Option<String>,
    /// Whether what it says begins nothing. If not, too many are set aside already.
    pub set_aside: bool,
    /// Since when.
    pub since: Time,
    /// How many of its reports were kept since, and began nothing.
    pub kept: u64,
    /// For people.
    pub why: String,
}

impl From<&Doubted> for ReporterView {
    fn from(one: &Doubted) -> Self {
        Self {
            number: one.number,
            reporter: one.reporter.to_string(),
            host: one.reporter.host.as_deref().map(str::to_owned),
            set_aside: one.aside,
            since: Time(one.since),
            kept: one.unheard,
            why: one.why.clone(),
        }
    }
}

/// A reporter that is heard again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LiftedReporter)]
pub struct LiftedView {
    /// As it was set aside.
    pub lifted: ReporterView,
    /// Who has lifted it.
    pub by: String,
}

/// A monitor that is forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ForgottenMonitor)]
pub struct ForgottenView {
    /// The host that it ran on.
    pub host: String,
    /// Which of that host's.
    #[schema(schema_with = schema::monitor_kind)]
    pub kind: MonitorKind,
    /// Who has taken it out.
    pub by: String,
}

/// Another attempt at what a recovery has failed at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Retry)]
pub struct RetriedView {
    /// The recovery that has begun.
    #[schema(value_type = String, format = "uuid")]
    pub recovery: RecoveryId,
    /// What it was begun by.
    #[schema(value_type = String, format = "uuid")]
    pub notification: NotificationId,
    /// Who wants it.
    pub by: String,
    /// Whether the same person had just asked for the same: nothing was written.
    pub already: bool,
}

/// What was done, and why the audit log does not have what came of it.
#[derive(Debug)]
pub struct Done<T> {
    /// As it is told.
    pub view: T,
    /// For people.
    pub unaudited: Option<String>,
}

/// With what it is done.
pub struct Upkeep<'a> {
    /// What is known of recoveries and reporters.
    pub desk: &'a dyn OperatorDesk,
    /// Where monitors sign.
    pub monitors: &'a dyn Monitors,
    /// Where it is written down beforehand.
    pub audit: &'a dyn AuditSink,
    /// Who wants it.
    pub by: String,
    /// The id of the request, if it came by one.
    pub request: Option<String>,
}

impl Upkeep<'_> {
    /// Lets a reporter be heard again: by its number, or the host that it is bound to.
    ///
    /// # Errors
    ///
    /// Nobody of that name is set aside, the audit log takes nothing, or the database failed.
    pub async fn lift(&self, wanted: &str) -> Result<Done<LiftedView>, Unsaid> {
        let all = self.desk.doubted_reporters().await?;
        let found = reporter(&all, wanted)?.ok_or_else(|| {
            Unsaid::Unknown(format!(
                "no reporter {} is set aside: it was lifted, or never was; see tachi monitor list --muted",
                plain(wanted)
            ))
        })?;
        let mut entry = AuditEntry::new(AuditAction::Lift, AuditPhase::Intent, "");
        entry.reporter = Some(found.reporter.to_string());
        self.intend(entry.clone(), "lets it be heard again", "nothing was lifted")
            .await?;
        let lifted = self.desk.lift_reporter(found.number).await;
        let (result, text) = match &lifted {
            Ok(Some(one)) => (
                AuditResult::Ok,
                format!("is heard again; {} of its reports were kept", one.unheard),
            ),
            Ok(None) => (
                AuditResult::Permanent,
                "somebody else has lifted it meanwhile".into(),
            ),
            Err(error) => failed(error),
        };
        let unaudited = self.tell(entry, result, text).await;
        let lifted = lifted?.ok_or_else(|| {
            Unsaid::Refused("somebody else has lifted it meanwhile: nothing was written".into())
        })?;
        Ok(Done {
            view: LiftedView {
                lifted: ReporterView::from(&lifted),
                by: self.by.clone(),
            },
            unaudited,
        })
    }

    /// Forgets a monitor that was taken away.
    ///
    /// # Errors
    ///
    /// It has never signed, the audit log takes nothing, or the database failed.
    pub async fn forget(&self, host: &str, kind: MonitorKind) -> Result<Done<ForgottenView>, Unsaid> {
        let unknown = || {
            Unsaid::Unknown(format!(
                "no {kind} monitor of {} is known: it is forgotten already, or has never signed; see tachi monitor list",
                plain(host)
            ))
        };
        let known = self.monitors.monitors().await?;
        if !known
            .iter()
            .any(|one| one.said.host == host && one.said.kind == kind)
        {
            return Err(unknown());
        }
        let entry = AuditEntry::new(AuditAction::Word, AuditPhase::Intent, host);
        let wanted = format!("forgets the {kind} monitor");
        self.intend(entry.clone(), &wanted, "nothing was forgotten")
            .await?;
        let forgotten = self.monitors.forget_monitor(host, kind).await;
        let (result, text) = match &forgotten {
            Ok(true) => (AuditResult::Ok, format!("the {kind} monitor is forgotten")),
            Ok(false) => (
                AuditResult::Permanent,
                format!("no {kind} monitor is known any more"),
            ),
            Err(error) => failed(error),
        };
        let unaudited = self.tell(entry, result, text).await;
        if !forgotten? {
            return Err(unknown());
        }
        Ok(Done {
            view: ForgottenView {
                host: host.to_owned(),
                kind,
                by: self.by.clone(),
            },
            unaudited,
        })
    }

    /// Begins another attempt. What the same person has begun within the last minute is not begun again.
    ///
    /// # Errors
    ///
    /// What is known speaks against it, the audit log takes nothing, or the database failed.
    pub async fn retry(&self, id: RecoveryId, now: Timestamp) -> Result<Done<RetriedView>, Unsaid> {
        let unknown = || Unsaid::Unknown(format!("there is no recovery {id}"));
        let story = self.desk.story(id).await?.ok_or_else(unknown)?;
        let mut entry = AuditEntry::new(AuditAction::Word, AuditPhase::Intent, &story.summary.host);
        entry.recovery = Some(id.to_string());
        if let Some(view) = self.begun_by_us(id, &story.summary.host, now).await? {
            return Ok(Done {
                view,
                unaudited: None,
            });
        }
        self.intend(entry.clone(), "another attempt", "nothing was begun")
            .await?;
        let retried = self.desk.retry(id, &self.by).await;
        let refused = |why: String| Unsaid::Refused(format!("no new attempt: {why}"));
        let told = match retried {
            Ok(Retried::Begun {
                recovery,
                notification,
            }) => Ok((recovery, notification)),
            Ok(Retried::Unknown) => Err(unknown()),
            Ok(Retried::Purged) => Err(refused("its notification was purged; send it again".into())),
            Ok(Retried::NotFailed(status)) => Err(refused(format!(
                "recovery {id} has not failed, its notification is {status}"
            ))),
            Ok(Retried::Open(open)) => Err(refused(format!(
                "recovery {open} is about the same and still open"
            ))),
            Ok(Retried::Refused(why)) => Err(refused(why)),
            Err(error) => Err(Unsaid::Failed(error)),
        };
        let (result, text) = match &told {
            Ok((recovery, _)) => (AuditResult::Ok, format!("recovery {recovery}")),
            Err(Unsaid::Failed(error)) => failed(error),
            Err(why) => (AuditResult::Permanent, why.to_string()),
        };
        let unaudited = self.tell(entry, result, text).await;
        let (recovery, notification) = told?;
        Ok(Done {
            view: RetriedView {
                recovery,
                notification,
                by: self.by.clone(),
                already: false,
            },
            unaudited,
        })
    }

    /// The attempt at this recovery that this person has begun in these words a moment ago.
    async fn begun_by_us(
        &self,
        id: RecoveryId,
        host: &str,
        now: Timestamp,
    ) -> Result<Option<RetriedView>, JournalError> {
        let filter = RecoveryFilter {
            closed: true,
            host: Some(host.to_owned()),
            limit: Some(LOOKED_AT),
            ..RecoveryFilter::default()
        };
        let wanted = attempt(id, &self.by);
        for row in self.desk.find_recoveries(&filter).await? {
            let age = now.micros_since(row.opened_at).unsigned_abs() / 1_000_000;
            if age >= SAID_LATELY {
                continue;
            }
            let story = self.desk.story(row.id).await?;
            if story.is_some_and(|story| story.steps.iter().any(|step| step.text == wanted)) {
                return Ok(Some(RetriedView {
                    recovery: row.id,
                    notification: row.notification,
                    by: self.by.clone(),
                    already: true,
                }));
            }
        }
        Ok(None)
    }

    /// On the disk before anything is written.
    async fn intend(
        &self,
        mut entry: AuditEntry,
        wanted: &str,
        not_done: &'static str,
    ) -> Result<(), Unsaid> {
        entry.operator = Some(self.by.clone());
        entry.text = match &self.request {
            Some(request) => format!("{wanted} ({request})"),
            None => wanted.to_owned(),
        };
        let written = self.audit.write(entry).await;
        written.map_err(|source| Unsaid::Unaudited { not_done, source })
    }

    /// It is done, and must not look as if it were not: gives why the audit log does not have it.
    async fn tell(&self, mut entry: AuditEntry, result: AuditResult, text: String) -> Option<String> {
        entry.phase = AuditPhase::Outcome;
        entry.operator = Some(self.by.clone());
        entry.result = Some(result);
        entry.text = text;
        let written = self.audit.write(entry).await.err();
        written.map(|error| {
            format!(
                "what came of it is not in the audit log: {error}: {}",
                error.source
            )
        })
    }
}

/// Without an answer it may have been written.
fn failed(error: &JournalError) -> (AuditResult, String) {
    let result = if error.denied {
        AuditResult::Permanent
    } else {
        AuditResult::Transient
    };
    (result, format!("{error}: {}", error.source))
}

/// Finds a reporter by its number, else by the host that it is bound to, which may have several (R35).
fn reporter<'a>(listed: &'a [Doubted], wanted: &str) -> Result<Option<&'a Doubted>, Unsaid> {
    if let Some(numbered) = listed.iter().find(|one| one.number.to_string() == wanted) {
        return Ok(Some(numbered));
    }
    let bound = listed
        .iter()
        .filter(|one| one.reporter.host.as_deref() == Some(wanted));
    let found: Vec<&Doubted> = bound.collect();
    if found.len() > 1 {
        let each = found
            .iter()
            .map(|one| format!("{} {}", one.number, plain(&one.reporter.to_string())));
        return Err(Unsaid::Ambiguous(named::could_be(wanted, "reporters", each)));
    }
    Ok(found.first().copied())
}

#[cfg(test)]
mod tests {
    use tachi_domain::Reporter;

    use super::*;

    #[test]
    fn a_reporter_is_found_by_its_number_or_its_host() {
        let one = |number, host: Option<&str>| Doubted {
            number,
            reporter: Reporter {
                host: host.map(Into::into),
                ..Reporter::default()
            },
            since: Timestamp::from_micros(0),
            why: "contradicted".into(),
            aside: true,
            unheard: 0,
        };
        let listed = [one(7, Some("cmp1")), one(8, None), one(9, Some("8"))];
        for (wanted, expected) in [
            ("7", Some(7)),
            ("cmp1", Some(7)),
            ("8", Some(8)),
            ("cmp2", None),
            ("", None),
        ] {
            assert_eq!(
                reporter(&listed, wanted).unwrap().map(|one| one.number),
                expected,
                "{wanted}"
            );
        }
        let several = [one(7, Some("cmp1")), one(8, Some("cmp1"))];
        let Err(Unsaid::Ambiguous(why)) = reporter(&several, "cmp1") else {
            panic!("one of two was picked");
        };
        assert!(why.contains("\n  7 ") && why.contains("\n  8 "), "{why}");
    }
}
