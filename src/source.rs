//! Where commands of operators learn what they tell, and to whom they say words: the database, on a controller, or the API, from
//! anywhere. Both give the views that the API answers with, so that both tell the same.

mod database;
mod patient;
mod remote;

use async_trait::async_trait;
use serde::Serialize;
use tachi_domain::monitor::MonitorKind;
use tachi_domain::recovery::{MoveVerdict, Word};
use tachi_domain::{RecoveryId, Timestamp};
use tachi_engine::ports::operator::RecoveryFilter;
use tachi_engine::ports::past::Span;
use tachi_operator::freezes::FreezeWish;
use tachi_operator::planning::PlanWish;
use tachi_operator::{
    ExplanationView, FailedView, ForecastView, ForgottenView, FreezeView, FrozenView, GivebackView, JobView,
    LiftedView, OutlookView, PastView, PlannedView, RecoveryView, ReporterView, RetriedView, SituationView,
    StoryView, VmoveView,
};

use crate::cli::SourceArgs;
use crate::cmd::Failure;
use crate::out;

pub(crate) use database::Database;
use patient::Patient;
pub(crate) use remote::Remote;

/// A word.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Saying<'a> {
    /// About a recovery.
    OfRecovery(RecoveryId, Word),
    /// About an instance, by its id or name, and a host.
    OfInstance(&'a str, MoveVerdict, Option<&'a str>),
}

/// A word that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Said {
    /// The recovery that it is about, or whose instance.
    pub(crate) recovery: RecoveryId,
    /// As whom it is kept.
    pub(crate) by: String,
    /// No engine has to hear of it.
    pub(crate) seen_to: bool,
    /// It was said before: nothing was written.
    pub(crate) already: bool,
}

#[async_trait]
pub(crate) trait Source: Send + Sync {
    /// The time there.
    fn now(&self) -> Timestamp;

    /// How the region is.
    async fn situation(&self) -> Result<SituationView, Failure>;

    /// Whether there is room, in all segments or one, and for what of these hosts.
    async fn forecast(&self, segment: Option<&str>, lose: &[String]) -> Result<ForecastView, Failure>;

    /// Why the hosts and instances of this name are protected or not.
    async fn explanations(&self, name: &str) -> Result<Vec<ExplanationView>, Failure>;

    /// What came of a host at a time that has passed; `None` if nothing is kept of a host of that name.
    async fn past(&self, host: &str, span: Span) -> Result<Option<PastView>, Failure>;

    /// The recoveries that the filter lets through, newest first.
    async fn recoveries(&self, filter: &RecoveryFilter) -> Result<Vec<RecoveryView>, Failure>;

    /// One recovery; `None` if there is none.
    async fn recovery(&self, id: RecoveryId) -> Result<Option<StoryView>, Failure>;

    /// The instances that are being recovered, or wait for an operator.
    async fn instances(&self, needs_person: bool) -> Result<Vec<VmoveView>, Failure>;

    /// Says a word, and why if that is told.
    async fn say(&self, saying: Saying<'_>, reason: Option<&str>) -> Result<Said, Failure>;

    /// What is frozen, the freeze that ends first first.
    async fn freezes(&self) -> Result<Vec<FreezeView>, Failure>;

    /// What engines do by the clock, and what came of it.
    async fn schedule(&self) -> Result<Vec<JobView>, Failure>;

    /// Freezes something, and waits a while for engines to hear of it. The wish has been admitted.
    async fn freeze(&self, wish: &FreezeWish) -> Result<FrozenView, Failure>;

    /// Ends a freeze; says how much of it was left.
    async fn thaw(&self, freeze: &FreezeView) -> Result<FreezeView, Failure>;

    /// What would come of reporting a host as dead.
    async fn outlook(&self, host: &str) -> Result<OutlookView, Failure>;

    /// What would come of draining a host.
    async fn drain_outlook(&self, host: &str) -> Result<OutlookView, Failure>;

    /// What would be given back to a host; on a controller as Nova shows it now.
    async fn giveback_outlook(&self, host: &str, with_locked: bool) -> Result<GivebackView, Failure>;

    /// Plans a drain or a giveback. The wish has been admitted.
    async fn plan(&self, host: &str, wish: &PlanWish) -> Result<PlannedView, Failure>;

    /// The reporters that are set aside, or should be.
    async fn reporters(&self) -> Result<Vec<ReporterView>, Failure>;

    /// Lets a reporter be heard again: by its number, or the host that it is bound to.
    async fn lift(&self, reporter: &str, reason: Option<&str>) -> Result<LiftedView, Failure>;

    /// Forgets a monitor that was taken away.
    async fn forget(&self, host: &str, kind: MonitorKind) -> Result<ForgottenView, Failure>;

    /// Begins another attempt at what a recovery has failed at.
    async fn retry(&self, id: RecoveryId, reason: Option<&str>) -> Result<RetriedView, Failure>;

    /// Reports a host as dead.
    async fn fail(&self, host: &str, reason: &str) -> Result<FailedView, Failure>;
}

/// What is said while engines have not heard of a freeze yet.
fn waits_for_engines(recoveries: &[String]) {
    out::note(format!(
        "tachi: it is written; waiting until the engines of these recoveries have heard of it: {}",
        recoveries.join(", ")
    ));
}

/// The API that is asked for; `None` if it is the database.
pub(crate) fn cloud(args: &SourceArgs) -> Result<Option<Remote>, Failure> {
    args.cloud().map(|name| Remote::open(&name)).transpose()
}

/// The one that is asked for, without a notice of what is waited for: where a screen is the program's, or nobody waits for long.
pub(crate) async fn open_quiet(args: &SourceArgs) -> Result<Box<dyn Source>, Failure> {
    match args.cloud() {
        Some(name) => Ok(Box::new(Remote::open(&name)?)),
        None => Ok(Box::new(Database::open(&args.config).await?)),
    }
}

/// The one that is asked for.
pub(crate) async fn open(args: &SourceArgs) -> Result<Box<dyn Source>, Failure> {
    if let Some(name) = args.cloud() {
        return Ok(Box::new(Patient {
            inner: Remote::open(&name)?,
            what: format!("the API of cloud {name}"),
        }));
    }
    let inner = Database::open(&args.config).await?;
    let what = format!("the database {}", inner.settings.database);
    Ok(Box::new(Patient { inner, what }))
}
