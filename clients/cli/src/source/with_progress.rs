//! A source that prints what it waits for while the inner source does not answer.

use async_trait::async_trait;
use tachi_domain::monitor::MonitorKind;
use tachi_domain::{RecoveryId, Timestamp};
use tachi_engine::ports::operator::RecoveryFilter;
use tachi_engine::ports::past::Span;
use tachi_operator::freezes::FreezeRequest;
use tachi_operator::plans::PlanRequest;
use tachi_operator::{
    ExplanationView, FailedView, Failure, FailurePreview, ForecastView, ForgottenView, FreezeView,
    FrozenView, GivebackView, JobView, LiftedView, ListedInstanceView, PastView, PlannedView,
    RecoveryHistoryView, RecoveryView, ReporterView, RetriedView, SituationView, VmoveView,
};

use super::{ActionRequest, ActionResult, Source};
use crate::out::waiting;

pub(super) struct WithProgress {
    pub(super) inner: Box<dyn Source>,
    /// Description of the inner source: `the database FILE`, `the API of cloud NAME`.
    pub(super) what: String,
}

#[async_trait]
impl Source for WithProgress {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    async fn situation(&self) -> Result<SituationView, Failure> {
        waiting(&self.what, self.inner.situation()).await
    }

    async fn forecast(&self, segment: Option<&str>, lose: &[String]) -> Result<ForecastView, Failure> {
        waiting(&self.what, self.inner.forecast(segment, lose)).await
    }

    async fn explanations(&self, name: &str) -> Result<Vec<ExplanationView>, Failure> {
        waiting(&self.what, self.inner.explanations(name)).await
    }

    async fn past(&self, host: &str, span: Span) -> Result<Option<PastView>, Failure> {
        waiting(&self.what, self.inner.past(host, span)).await
    }

    async fn recoveries(&self, filter: &RecoveryFilter) -> Result<Vec<RecoveryView>, Failure> {
        waiting(&self.what, self.inner.recoveries(filter)).await
    }

    async fn recovery(&self, id: RecoveryId) -> Result<Option<RecoveryHistoryView>, Failure> {
        waiting(&self.what, self.inner.recovery(id)).await
    }

    async fn hosted_instances(
        &self,
        host: Option<&str>,
        down: bool,
    ) -> Result<Vec<ListedInstanceView>, Failure> {
        waiting(&self.what, self.inner.hosted_instances(host, down)).await
    }

    async fn instances(&self, needs_person: bool) -> Result<Vec<VmoveView>, Failure> {
        waiting(&self.what, self.inner.instances(needs_person)).await
    }

    async fn submit(
        &self,
        request: ActionRequest<'_>,
        reason: Option<&str>,
    ) -> Result<ActionResult, Failure> {
        waiting(&self.what, self.inner.submit(request, reason)).await
    }

    async fn freezes(&self) -> Result<Vec<FreezeView>, Failure> {
        waiting(&self.what, self.inner.freezes()).await
    }

    async fn schedule(&self) -> Result<Vec<JobView>, Failure> {
        waiting(&self.what, self.inner.schedule()).await
    }

    async fn freeze(&self, wish: &FreezeRequest) -> Result<FrozenView, Failure> {
        // The inner source prints its own notice.
        self.inner.freeze(wish).await
    }

    async fn thaw(&self, freeze: &FreezeView) -> Result<FreezeView, Failure> {
        waiting(&self.what, self.inner.thaw(freeze)).await
    }

    async fn preview(&self, host: &str) -> Result<FailurePreview, Failure> {
        waiting(&self.what, self.inner.preview(host)).await
    }

    async fn drain_outlook(&self, host: &str) -> Result<FailurePreview, Failure> {
        waiting(&self.what, self.inner.drain_outlook(host)).await
    }

    async fn giveback_outlook(&self, host: &str, with_locked: bool) -> Result<GivebackView, Failure> {
        waiting(&self.what, self.inner.giveback_outlook(host, with_locked)).await
    }

    async fn plan(&self, host: &str, wish: &PlanRequest) -> Result<PlannedView, Failure> {
        waiting(&self.what, self.inner.plan(host, wish)).await
    }

    async fn reporters(&self) -> Result<Vec<ReporterView>, Failure> {
        waiting(&self.what, self.inner.reporters()).await
    }

    async fn unmute(&self, reporter: &str, reason: Option<&str>) -> Result<LiftedView, Failure> {
        waiting(&self.what, self.inner.unmute(reporter, reason)).await
    }

    async fn delete_monitor(&self, host: &str, kind: MonitorKind) -> Result<ForgottenView, Failure> {
        waiting(&self.what, self.inner.delete_monitor(host, kind)).await
    }

    async fn retry(&self, id: RecoveryId, reason: Option<&str>) -> Result<RetriedView, Failure> {
        waiting(&self.what, self.inner.retry(id, reason)).await
    }

    async fn fail(&self, host: &str, reason: &str) -> Result<FailedView, Failure> {
        waiting(&self.what, self.inner.fail(host, reason)).await
    }
}
