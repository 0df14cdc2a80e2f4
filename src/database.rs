//! The database as a source, on a controller.

mod maintenance;
mod planned;

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tachi_cli::arguments::ConfigArgs;
use tachi_cli::out;
use tachi_cli::process_owner;
use tachi_cli::source::{ActionRequest, ActionResult, Controller, Source, waits_for_engines};
use tachi_domain::monitor::MonitorKind;
use tachi_domain::recovery::ResolutionKind;
use tachi_domain::{ApprovedWait, RecoveryId, Reporter, Timestamp};
use tachi_engine::ports::operator::{MoveFilter, RecoveryFilter};
use tachi_engine::ports::past::Span;
use tachi_engine::ports::{AuditSink, Freezes as _, JournalError, OperatorJournal as _};
use tachi_operator::actions::{self, ActionError, ResolutionEffect};
use tachi_operator::audited::AuditedOperator;
use tachi_operator::failed_instance;
use tachi_operator::freezes::{self, FreezeOperator, FreezeRequest, FreezeTarget};
use tachi_operator::plans::PlanRequest;
use tachi_operator::report_host::{self, FailureReport};
use tachi_operator::schedule;
use tachi_operator::{
    ExplanationView, FailedView, Failure, FailurePreview, ForecastView, ForgottenView, FreezeView,
    FrozenView, GivebackView, JobView, LiftedView, ListedInstanceView, PastView, PlannedView,
    RecoveryHistoryView, RecoveryView, RegionSnapshot, ReporterView, RetriedView, ShownWait, SituationView,
    VmoveLine, VmoveView,
};
use tokio::sync::watch;

use crate::settings::Settings;
use crate::wiring::region_service::RegionDatabase;
use crate::wiring::{self, Base};

pub(crate) struct Database {
    pub(crate) settings: Settings,
    pub(crate) base: Base,
    tower: RegionDatabase,
}

impl Database {
    pub(crate) async fn open(args: &ConfigArgs) -> Result<Self, Failure> {
        let settings = Settings::load(args).map_err(|errors| Failure::config(&errors))?;
        let base = wiring::existing(&settings).await.map_err(|error| {
            if !settings.database.exists() {
                return error;
            }
            let what = format!("the database {} was used", settings.database);
            error.below(&what)
        })?;
        Ok(Self::of(settings, base))
    }

    pub(crate) fn of(settings: Settings, base: Base) -> Self {
        let (_, policy) = watch::channel(settings.policy.clone());
        Self {
            tower: RegionDatabase::new(&settings, &base, policy),
            settings,
            base,
        }
    }

    /// Returns the operator at the keyboard, for freezes.
    fn freeze_operator<'a>(&'a self, audit: &'a dyn AuditSink) -> Result<FreezeOperator<'a>, Failure> {
        Ok(FreezeOperator {
            freezes: self.base.store.freezes(),
            operator: AuditedOperator {
                audit,
                by: process_owner::who(None)?,
                request: None,
            },
        })
    }

    /// Reads the whole situation; several reads of a command within a second share one.
    async fn snapshot(&self) -> Result<Arc<RegionSnapshot>, Failure> {
        self.tower
            .local_snapshot()
            .await
            .map_err(|error| self.wrong(error))
    }

    fn wrong(&self, error: JournalError) -> Failure {
        Failure::new(format!("reading the database {}", self.settings.database), error)
    }
}

/// This machine, whose configuration names the database.
pub(crate) struct DatabaseController;

#[async_trait]
impl Controller for DatabaseController {
    async fn open(&self, config: &ConfigArgs) -> Result<(Box<dyn Source>, String), Failure> {
        let database = Database::open(config).await?;
        let what = format!("the database {}", database.settings.database);
        Ok((Box::new(database), what))
    }
}

/// Converts a view as an answer of the API does: times to the millisecond, and only the fields of the answer.
fn converted<T: Serialize + DeserializeOwned>(view: &T) -> Result<T, Failure> {
    // A conversion through text takes a third of the time of one through a tree of values.
    let passed = serde_json::to_vec(view).and_then(|text| serde_json::from_slice(&text));
    passed.map_err(|error| Failure::new("converting the database's data", error))
}

#[async_trait]
impl Source for Database {
    fn now(&self) -> Timestamp {
        self.base.clock.wall()
    }

    async fn situation(&self) -> Result<SituationView, Failure> {
        converted(&SituationView::from(self.snapshot().await?.as_ref()))
    }

    async fn forecast(&self, segment: Option<&str>, lose: &[String]) -> Result<ForecastView, Failure> {
        let snapshot = self.snapshot().await?;
        let lose: Vec<&str> = lose.iter().map(String::as_str).collect();
        converted(
            &ForecastView::of(&snapshot, segment, &lose).map_err(|why| Failure::usage(why.into_text()))?,
        )
    }

    async fn explanations(&self, name: &str) -> Result<Vec<ExplanationView>, Failure> {
        let snapshot = self.snapshot().await?;
        let found = snapshot.situation.explain(name);
        let views: Vec<_> = found
            .iter()
            .map(|one| ExplanationView::of(&snapshot, one))
            .collect();
        converted(&views)
    }

    async fn past(&self, host: &str, span: Span) -> Result<Option<PastView>, Failure> {
        let past = self.base.store.operator_journal().past(host, span).await;
        let past = past.map_err(|error| self.wrong(error))?;
        converted(&past.map(|past| PastView::of(&past, span)))
    }

    async fn recoveries(&self, filter: &RecoveryFilter) -> Result<Vec<RecoveryView>, Failure> {
        let rows = self.base.store.operator_journal().find_recoveries(filter).await;
        let rows = rows.map_err(|error| self.wrong(error))?;
        converted(&rows.iter().map(RecoveryView::from).collect())
    }

    async fn recovery(&self, id: RecoveryId) -> Result<Option<RecoveryHistoryView>, Failure> {
        let history = self.base.store.operator_journal().history(id).await;
        let history = history.map_err(|error| self.wrong(error))?;
        let mut history = history.as_ref().map(RecoveryHistoryView::from);
        if let Some(unlisted) = history.take_if(|one| one.ended_unlisted()) {
            history = Some(unlisted.with_still_down(self.snapshot().await?.as_ref()));
        }
        converted(&history)
    }

    async fn hosted_instances(
        &self,
        host: Option<&str>,
        down: bool,
    ) -> Result<Vec<ListedInstanceView>, Failure> {
        let snapshot = self.snapshot().await?;
        if let Some(host) = host
            && snapshot.situation.hosts.iter().all(|one| one.name != host)
        {
            return Err(Failure::from_text(format!(
                "No host has the name {host}: it is in no segment, and not among the hosts read from Nova"
            )));
        }
        let journal = self.base.store.operator_journal();
        let listed = ListedInstanceView::list(&snapshot, journal, host, down).await;
        converted(&listed.map_err(|error| self.wrong(error))?)
    }

    async fn instances(&self, needs_person: bool) -> Result<Vec<VmoveView>, Failure> {
        let filter = if needs_person {
            MoveFilter::NeedsPerson
        } else {
            MoveFilter::Unsettled
        };
        let lines = self.base.store.operator_journal().moves(filter).await;
        let mut lines = lines.map_err(|error| self.wrong(error))?;
        if needs_person && !lines.is_empty() {
            let snapshot = self.snapshot().await?;
            lines.retain(|line| snapshot.still_waits(line));
            let views = lines
                .into_iter()
                .map(|line| VmoveView::of(&snapshot, &VmoveLine::from(line)));
            return converted(&views.collect());
        }
        let views = lines
            .into_iter()
            .map(|line| VmoveView::from(&VmoveLine::from(line)));
        converted(&views.collect())
    }

    async fn submit(
        &self,
        request: ActionRequest<'_>,
        reason: Option<&str>,
    ) -> Result<ActionResult, Failure> {
        let by = process_owner::who(reason)?;
        let operator_journal = self.base.store.operator_journal();
        let (recovery, seen_to, already) = match request {
            ActionRequest::OfRecovery(id, action, waits) => {
                let history = operator_journal
                    .history(id)
                    .await
                    .map_err(|error| self.wrong(error))?;
                let already = history.is_some_and(|history| actions::is_repeated(&history, action));
                if !already {
                    let shown = ApprovedWait::Snapshot(waits.map(|wait| ShownWait::from(wait).into()));
                    actions::submit(operator_journal, id, action, &shown, &by).await?;
                }
                (id, false, already)
            }
            ActionRequest::OfInstance(instance, action, on) => {
                let found = match actions::instance(operator_journal, instance).await {
                    Err(ActionError::Unknown(why)) => {
                        let snapshot = self.snapshot().await?;
                        let found =
                            failed_instance::find(operator_journal, &snapshot, instance, (action, on))
                                .await?;
                        let one = found.ok_or(ActionError::Unknown(why))?;
                        one.runs(operator_journal, &by).await?;
                        return Ok(ActionResult {
                            recovery: one.recovery,
                            by,
                            seen_to: true,
                            already: false,
                        });
                    }
                    found => found?,
                };
                found.accepts(action, on)?;
                if let (ResolutionKind::Success, Some(host)) = (action, on) {
                    actions::is_shown_on(&*self.snapshot().await?, &found, host)?;
                }
                let effect =
                    actions::resolve_instance(operator_journal, &found, action, on.map(str::to_owned), &by)
                        .await?;
                (
                    found.line.recovery,
                    effect == ResolutionEffect::Acknowledged,
                    false,
                )
            }
        };
        if !seen_to && !already {
            wiring::socket_notifier(&self.settings)?.notify();
        }
        Ok(ActionResult {
            recovery,
            by,
            seen_to,
            already,
        })
    }

    async fn freezes(&self) -> Result<Vec<FreezeView>, Failure> {
        let listed = self.base.store.freezes().freezes().await;
        let listed = listed.map_err(|error| Failure::new("listing freezes", error))?;
        converted(&listed.iter().map(FreezeView::from).collect())
    }

    async fn schedule(&self) -> Result<Vec<JobView>, Failure> {
        let schedule = &self.settings.schedule;
        let every = self.settings.fencing.self_test.map(|pauses| pauses.watching);
        let store = &self.base.store;
        let listed = schedule::listed((store.jobs(), store.facts()), schedule, every, self.now()).await;
        converted(&listed.map_err(|error| self.wrong(error))?)
    }

    async fn freeze(&self, wish: &FreezeRequest) -> Result<FrozenView, Failure> {
        let snapshot = self.snapshot().await?;
        let what = FreezeTarget::find(wish.scope, &wish.name, &snapshot)?;
        let audit = wiring::audit(&self.settings, &self.base.clock, "tachi freeze")?;
        let freeze_operator = self.freeze_operator(audit.as_ref())?;
        let written = freeze_operator
            .freeze(&what, wish, &snapshot)
            .await
            .map_err(|unsaid| {
                Failure::unsaid(
                    "storing the freeze (it may be stored: see `tachi freeze list`)",
                    unsaid,
                )
            })?;
        wiring::socket_notifier(&self.settings)?.notify();
        let operator_journal = self.base.store.operator_journal();
        let waited = freezes::wait(
            operator_journal,
            &what,
            freezes::ENGINE_WAIT_TIMEOUT,
            waits_for_engines,
        )
        .await;
        let waited = waited.map_err(|error| {
            Failure::new(
                "the freeze is stored, but it is not known if engines have read it: see `tachi freeze list` and `tachi recovery list`: \
                 reading recoveries",
                error,
            )
        })?;
        converted(&freezes::render_frozen(&written, &what, &waited, &snapshot))
    }

    async fn thaw(&self, freeze: &FreezeView) -> Result<FreezeView, Failure> {
        let audit = wiring::audit(&self.settings, &self.base.clock, "tachi thaw")?;
        let freeze_operator = self.freeze_operator(audit.as_ref())?;
        let (thawed, unaudited) = freeze_operator.thaw(freeze).await.map_err(|unsaid| {
            Failure::unsaid(
                "ending the freeze (it may have ended: see `tachi freeze list`)",
                unsaid,
            )
        })?;
        if let Some(why) = unaudited {
            out::note(format!("tachi: {why}"));
        }
        wiring::socket_notifier(&self.settings)?.notify();
        converted(&thawed)
    }

    async fn drain_outlook(&self, host: &str) -> Result<FailurePreview, Failure> {
        planned::drain_outlook(self, host).await
    }

    async fn giveback_outlook(&self, host: &str, with_locked: bool) -> Result<GivebackView, Failure> {
        planned::giveback_outlook(self, host, with_locked).await
    }

    async fn plan(&self, host: &str, wish: &PlanRequest) -> Result<PlannedView, Failure> {
        planned::plan(self, host, wish).await
    }

    async fn preview(&self, host: &str) -> Result<FailurePreview, Failure> {
        let wrong = |unsaid| Failure::unsaid("reading the database", unsaid);
        let view = report_host::named(self.base.store.operator_journal(), host)
            .await
            .map_err(wrong)?;
        let nova = wiring::what_runs(&self.settings, &view.host.name).await;
        let mode = self.settings.policy.fencing;
        let preview = report_host::preview(self.base.store.freezes(), &view, mode, nova).await;
        preview.map_err(wrong)
    }

    async fn reporters(&self) -> Result<Vec<ReporterView>, Failure> {
        let listed = self.base.store.operator_journal().muted_reporters().await;
        let listed = listed.map_err(|error| self.wrong(error))?;
        converted(&listed.iter().map(ReporterView::from).collect::<Vec<_>>())
    }

    async fn unmute(&self, reporter: &str, reason: Option<&str>) -> Result<LiftedView, Failure> {
        maintenance::unmute(self, reporter, reason).await
    }

    async fn delete_monitor(&self, host: &str, kind: MonitorKind) -> Result<ForgottenView, Failure> {
        maintenance::delete_monitor(self, host, kind).await
    }

    async fn retry(&self, id: RecoveryId, reason: Option<&str>) -> Result<RetriedView, Failure> {
        maintenance::retry(self, id, reason).await
    }

    async fn fail(&self, host: &str, reason: &str) -> Result<FailedView, Failure> {
        let Self { settings, base, .. } = self;
        let by = process_owner::who(Some(reason))?;
        let view = report_host::named(base.store.operator_journal(), host).await?;
        let now = base.clock.wall();
        let mut new = report_host::notification(&view.host.name, now);
        let reporter = Reporter {
            user_id: process_owner::who(None)?,
            user_name: Some(by.clone()),
            ..Reporter::default()
        };
        settings
            .binding
            .judge(reporter, || true, &mut new)
            .map_err(|why| Failure::from_text(format!("nothing was reported: {why}")))?;
        let audit = wiring::audit(settings, &base.clock, "tachi host report-down")?;
        let failing = FailureReport {
            operator_journal: base.store.operator_journal(),
            reports: base.store.registry(),
            operator: AuditedOperator {
                audit: audit.as_ref(),
                by,
                request: None,
            },
            window: settings.duplicate_window_seconds,
        };
        let report = failing.report(&view, new, now).await.map_err(|unsaid| {
            Failure::unsaid(
                "reporting the host (the report may be stored: see `tachi recovery list`)",
                unsaid,
            )
        })?;
        if let Some(why) = report.unaudited {
            out::note(format!("tachi: {why}"));
        }
        wiring::socket_notifier(settings)?.notify();
        Ok(report.view)
    }
}
