//! The API of a cloud as a source, with the login of a user of its Keystone.

mod controller;

use std::fmt;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tachi_clouds::{Cloud, ProcessEnvironment};
use tachi_domain::monitor::MonitorKind;
use tachi_domain::recovery::{DISMISSED_STATUS, OperatorCommand, RecoveryKind, ResolutionKind};
use tachi_domain::{RecoveryId, Timestamp};
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_engine::ports::operator::{RecoveryFilter, RecoveryState};
use tachi_engine::ports::past::Span;
use tachi_instance_ha::{CallFailure, Class, Client, Options, Service};
use tachi_operator::freezes::FreezeRequest;
use tachi_operator::plans::PlanRequest;
use tachi_operator::when::time;
use tachi_operator::{
    ExplanationView, FailedView, Failure, FailurePreview, ForecastView, ForgottenView, FreezeView,
    FrozenView, GivebackView, JobView, LiftedView, ListedInstanceView, PastView, PlannedView,
    RecoveryHistoryView, RecoveryView, ReporterView, RetriedView, SituationView, VmoveView, not_found,
};

use super::{ActionRequest, ActionResult, Source};
use crate::out::waiting;

/// The layers of a connection's error around its cause.
const ERROR_LAYERS: [&str; 4] = [
    "no answer: ",
    "error sending request: ",
    "client error (Connect): ",
    "tcp connect error: ",
];

/// Limit of pages, against a list that never ends.
const MAX_PAGES: usize = 1_000;

/// Number of requests of a freeze until engines have read it.
const ROUNDS: u32 = 2;

pub struct Remote {
    client: Client,
    cloud: String,
    /// The cloud's `auth_url`.
    keystone: String,
}

/// The kind of a request, for the text of a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Read,
    Request,
}

impl Remote {
    pub(super) fn open(name: &str) -> Result<Self, Failure> {
        let cloud = tachi_clouds::read(name, &ProcessEnvironment::current())
            .map_err(|error| Failure::usage(error.to_string()))?;
        let (config_source, keystone) = (cloud.config_source.clone(), cloud.keystone.auth_url.clone());
        let client =
            Client::new(options(cloud)).map_err(|error| Failure::new(config_source, error).of_usage())?;
        Ok(Self {
            client,
            cloud: name.to_owned(),
            keystone,
        })
    }

    /// Reads the value under `key`; `None` if it is not found.
    async fn find<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        key: &str,
    ) -> Result<Option<T>, Failure> {
        match self.client.get_operator(path, query).await {
            Ok(body) => self.read(&body, key).map(Some),
            Err(failed) if failed.status == Some(404) => Ok(None),
            Err(failed) => Err(self.failed(&failed, Act::Read)),
        }
    }

    /// Reads the value under `key`, which every API that is new enough has.
    async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        key: &str,
    ) -> Result<T, Failure> {
        self.find(path, query, key).await?.ok_or_else(|| self.too_old())
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8], key: &str) -> Result<T, Failure> {
        let under = |mut value: Value| value.get_mut(key).map(Value::take).unwrap_or_default();
        let read = serde_json::from_slice(body)
            .map(under)
            .and_then(serde_json::from_value);
        read.map_err(|error| {
            let what = format!(
                "{self} gave an answer that this version of tachi cannot read: use the API's version, or run the command on a controller"
            );
            Failure::new(what, error)
        })
    }

    /// Reads the answer to an action.
    async fn parse_answer<T: DeserializeOwned>(
        &self,
        answer: Result<Vec<u8>, CallFailure>,
        key: &str,
    ) -> Result<T, Failure> {
        match answer {
            Ok(body) => self.read(&body, key),
            Err(failed) => {
                if is_unknown_path(&failed) {
                    // Version 0.9.0 has the path, and no reasons.
                    let list = match key {
                        "word" => "instances",
                        "lift" | "monitor" | "retry" => "reporters",
                        _ => "freezes",
                    };
                    self.get::<Value>(&[list], &[], list).await?;
                }
                Err(self.failed(&failed, Act::Request))
            }
        }
    }

    /// Reads the preview of an action on a host.
    async fn of_host<T: DeserializeOwned>(&self, host: &str, what: &str) -> Result<T, Failure> {
        match self.client.get_operator(&["hosts", host, what], &[]).await {
            Ok(body) => self.read(&body, what),
            Err(failed) if is_unknown_path(&failed) => Err(self.too_old()),
            Err(failed) if matches!(failed.status, Some(404 | 409)) => {
                Err(self.failed(&failed, Act::Request))
            }
            Err(failed) => Err(self.failed(&failed, Act::Read)),
        }
    }

    /// Reads the value under `key` of a query that names segments or hosts.
    async fn of_named<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        key: &str,
    ) -> Result<T, Failure> {
        match self.client.get_operator(&[path], query).await {
            Ok(body) => self.read(&body, key),
            Err(failed) if is_unknown_path(&failed) => Err(self.too_old()),
            Err(failed) if failed.status == Some(404) => Err(self.failed(&failed, Act::Request)),
            Err(failed) => Err(self.failed(&failed, Act::Read)),
        }
    }

    fn too_old(&self) -> Failure {
        Failure::from_text(format!(
            "{self} has no /operator/v1: it is older than this command, or not Tachi's. Upgrade it, or run the command on a controller \
             without --os-cloud and OS_CLOUD, where it uses the database"
        ))
    }

    fn failed(&self, failed: &CallFailure, act: Act) -> Failure {
        let CallFailure {
            text, detail, status, ..
        } = failed;
        // Both are quoted in the middle of a sentence.
        let (text, detail) = (text.trim_end_matches('.'), detail.trim_end_matches('.'));
        let cause = |text: &str| {
            let layers = ERROR_LAYERS.iter();
            layers.fold(text.to_owned(), |text, layer| text.replace(layer, ""))
        };
        Failure::from_text(match (status, act) {
            // No request was sent to the API.
            (None, _) if failed.class == Class::Unreachable && failed.service == Service::Keystone => {
                format!(
                    "Keystone at {} (auth_url of cloud {:?}) cannot be reached: {}. On a controller, without --os-cloud and \
                 OS_CLOUD, the command uses the database",
                    self.keystone,
                    self.cloud,
                    cause(detail)
                )
            }
            (Some(401), _) => format!(
                "{self}: authentication failed: {text}. Check this cloud in clouds.yaml; if that is right, the API's own user may lack \
                 the right to validate tokens ([keystone_authtoken])"
            ),
            (Some(403), Act::Read) => format!(
                "{self}: this user may not view this: {text}. Administrators may, and readers of \
                 the service project; `tachi policy check` on a controller shows who else"
            ),
            (Some(403), Act::Request) => format!(
                "{self}: this user may not do this, nothing was written: {text}. Administrators may; `tachi policy check` on a controller \
                 shows who else"
            ),
            // The request and the status say nothing that the reason does not.
            (Some(404 | 409 | 400), Act::Request) => detail.to_owned(),
            (Some(503), Act::Request) => format!(
                "{self} cannot store the request now: {text}. On a controller, without --os-cloud and OS_CLOUD, the command uses the database"
            ),
            (None, Act::Request) if failed.class == Class::Unreachable => format!(
                "{self} did not answer: {text}. The request may be stored: repeat it, which does no harm"
            ),
            (None, _) if failed.class == Class::Unreachable => format!(
                "{self} cannot be reached: {}. On a controller, without --os-cloud and OS_CLOUD, the command uses the database",
                cause(text)
            ),
            _ => format!("{self}: {text}"),
        })
    }

    async fn page(
        &self,
        filter: &RecoveryFilter,
        marker: Option<RecoveryId>,
    ) -> Result<Vec<RecoveryView>, Failure> {
        let query = [
            ("id", filter.id.clone()),
            ("host", filter.host.clone()),
            ("segment", filter.segment.clone()),
            ("state", filter.state.map(|state| state_name(state).to_owned())),
            ("since", filter.since.map(time)),
            ("all", filter.closed.then(|| "true".to_owned())),
            ("limit", filter.limit.map(|limit| limit.to_string())),
            ("marker", marker.map(|id| id.to_string())),
        ];
        let query = query.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let query: Vec<(&str, String)> = query.collect();
        self.get(&["recoveries"], &query, "recoveries").await
    }
}

fn options(cloud: Cloud) -> Options {
    Options {
        keystone: cloud.keystone,
        interface: cloud.interface,
        endpoint: cloud.endpoint,
        config_source: cloud.config_source,
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the API of cloud {:?}", self.cloud)
    }
}

/// True for a 404 that names no missing object: the API does not know the path.
fn is_unknown_path(failed: &CallFailure) -> bool {
    failed.status == Some(404) && failed.reason.is_none()
}

/// Returns the body with the reason, if one was given.
fn because(reason: Option<&str>) -> Value {
    reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}))
}

fn state_name(state: RecoveryState) -> &'static str {
    match state {
        RecoveryState::OnHold => "held",
        RecoveryState::Life(life) => life.as_str(),
        RecoveryState::Status(status) => status.as_str(),
        RecoveryState::Dismissed => DISMISSED_STATUS,
    }
}

#[async_trait]
impl Source for Remote {
    fn now(&self) -> Timestamp {
        // A laptop's clock may be wrong, so the server's time is used.
        let ahead = self.client.skew_seconds().unwrap_or_default();
        SystemClock.wall().minus_seconds(-ahead)
    }

    async fn situation(&self) -> Result<SituationView, Failure> {
        self.get(&["situation"], &[], "situation").await
    }

    async fn forecast(&self, segment: Option<&str>, lose: &[String]) -> Result<ForecastView, Failure> {
        let mut query = Vec::new();
        query.extend(segment.map(|name| ("segment", name.to_owned())));
        if !lose.is_empty() {
            query.push(("lose", lose.join(",")));
        }
        self.of_named("forecast", &query, "forecast").await
    }

    async fn explanations(&self, name: &str) -> Result<Vec<ExplanationView>, Failure> {
        let mut all: Vec<ExplanationView> = Vec::new();
        for kind in ["hosts", "instances"] {
            let path = [kind, name, "explanation"];
            all.extend(
                self.find::<Vec<_>>(&path, &[], "explanations")
                    .await?
                    .unwrap_or_default(),
            );
        }
        Ok(all)
    }

    async fn past(&self, host: &str, span: Span) -> Result<Option<PastView>, Failure> {
        let query = [("from", time(span.from)), ("to", time(span.to))];
        match self.client.get_operator(&["hosts", host, "past"], &query).await {
            Ok(body) => self.read(&body, "past").map(Some),
            Err(failed) if failed.reason.as_deref() == Some(not_found::NO_RECORDS) => Ok(None),
            // A 404 for an unknown path shows nothing about the host's records.
            Err(failed) if failed.status == Some(404) => Err(self.too_old()),
            Err(failed) => Err(self.failed(&failed, Act::Read)),
        }
    }

    async fn recoveries(&self, filter: &RecoveryFilter) -> Result<Vec<RecoveryView>, Failure> {
        let mut filter = filter.clone();
        let limit = filter
            .limit
            .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let mut all: Vec<RecoveryView> = Vec::new();
        let mut marker = filter.before;
        for _ in 0..MAX_PAGES {
            let page = self.page(&filter, marker).await?;
            let Some(last) = page.last().map(|row| row.recovery) else {
                return Ok(all);
            };
            // A server that repeats a page would be read forever.
            if Some(last) == marker {
                break;
            }
            marker = Some(last);
            all.extend(page);
            if let Some(limit) = limit {
                if all.len() >= limit {
                    all.truncate(limit);
                    return Ok(all);
                }
                filter.limit = Some((limit - all.len()) as u64);
            }
        }
        Err(Failure::from_text(format!(
            "{self} returns recoveries without end"
        )))
    }

    async fn recovery(&self, id: RecoveryId) -> Result<Option<RecoveryHistoryView>, Failure> {
        let found = self
            .find(&["recoveries", &id.to_string()], &[], "recovery")
            .await?;
        if found.is_none() {
            // An API that does not know the path answers the same.
            let one = RecoveryFilter {
                limit: Some(1),
                ..RecoveryFilter::default()
            };
            self.page(&one, None).await?;
        }
        Ok(found)
    }

    async fn hosted_instances(
        &self,
        host: Option<&str>,
        down: bool,
    ) -> Result<Vec<ListedInstanceView>, Failure> {
        let host = host.map(|host| ("host", host.to_owned()));
        let query: Vec<_> = host
            .into_iter()
            .chain(down.then(|| ("down", "true".to_owned())))
            .collect();
        self.of_named("hosted-instances", &query, "instances").await
    }

    async fn instances(&self, needs_person: bool) -> Result<Vec<VmoveView>, Failure> {
        let query = [("needs_person", needs_person.to_string())];
        self.get(&["instances"], &query, "instances").await
    }

    async fn submit(
        &self,
        request: ActionRequest<'_>,
        reason: Option<&str>,
    ) -> Result<ActionResult, Failure> {
        let mut action = match request {
            ActionRequest::OfRecovery(id, action, waits) => {
                let name = match action {
                    OperatorCommand::Approve => "approve",
                    OperatorCommand::Reject => "abort",
                    OperatorCommand::HostIsOff => {
                        return Err(Failure::usage(
                            "a host is confirmed off only on a controller, without --os-cloud",
                        ));
                    }
                };
                let mut body = json!({"word": name, "recovery": id});
                if action == OperatorCommand::Approve {
                    body["waits"] = json!(waits);
                }
                body
            }
            ActionRequest::OfInstance(instance, action, on) => {
                let action = match action {
                    ResolutionKind::Success => "success",
                    ResolutionKind::Failure => "failure",
                    ResolutionKind::Retry => "retry",
                    ResolutionKind::Ignore => "ignore",
                };
                json!({"word": action, "instance": instance, "on": on})
            }
        };
        if let Some(action) = action.as_object_mut() {
            action.extend(reason.map(|reason| ("reason".to_owned(), json!(reason))));
            // Waits of null say that the operator was shown none.
            action.retain(|key, value| key == "waits" || !value.is_null());
        }
        let send = async |action: &Value| {
            let body = json!({ "word": action }).to_string();
            self.client.post_operator(&["words"], &body).await
        };
        let mut answer = send(&action).await;
        // An older API does not know `waits`, and takes the approval for what the recovery waits for when it arrives.
        if answer.as_ref().is_err_and(|failed| failed.status == Some(400))
            && action
                .as_object_mut()
                .is_some_and(|action| action.remove("waits").is_some())
        {
            answer = send(&action).await;
        }
        let answer: Value = self.parse_answer(answer, "word").await?;
        let field = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        let recovery = field("recovery").parse().map_err(|_| {
            Failure::from_text(format!(
                "{self} has stored the action, but its answer names no recovery"
            ))
        })?;
        Ok(ActionResult {
            recovery,
            by: field("by").to_owned(),
            seen_to: false,
            already: answer["already"] == true,
        })
    }
    async fn freezes(&self) -> Result<Vec<FreezeView>, Failure> {
        self.get(&["freezes"], &[], "freezes").await
    }

    async fn schedule(&self) -> Result<Vec<JobView>, Failure> {
        self.get(&["schedule"], &[], "schedule").await
    }

    async fn freeze(&self, wish: &FreezeRequest) -> Result<FrozenView, Failure> {
        let mut body = json!({
            "scope": wish.scope,
            "name": wish.name,
            "lasts_seconds": wish.terms.lasts.as_secs(),
            "reason": wish.terms.reason,
            "unless_worse": wish.terms.unless_worse,
            "force": wish.force,
        });
        if let Some(body) = body.as_object_mut() {
            body.retain(|_, value| *value != "");
        }
        let body = json!({ "freeze": body }).to_string();
        let mut round = 1;
        let what = self.to_string();
        loop {
            let answer = waiting(&what, self.client.post_operator(&["freezes"], &body)).await;
            let frozen: FrozenView = self.parse_answer(answer, "freeze").await?;
            // An answer waits half as long for engines as a freeze on a controller does.
            if frozen.heard || round == ROUNDS {
                return Ok(frozen);
            }
            super::waits_for_engines(&frozen.unheard);
            round += 1;
        }
    }

    async fn thaw(&self, freeze: &FreezeView) -> Result<FreezeView, Failure> {
        let number = freeze.number.to_string();
        let answer = self.client.delete_operator(&["freezes", &number]).await;
        self.parse_answer(answer, "freeze").await
    }

    async fn preview(&self, host: &str) -> Result<FailurePreview, Failure> {
        self.of_host(host, "failure").await
    }

    async fn drain_outlook(&self, host: &str) -> Result<FailurePreview, Failure> {
        self.of_host(host, "drain").await
    }

    async fn giveback_outlook(&self, host: &str, _: bool) -> Result<GivebackView, Failure> {
        self.of_host(host, "giveback").await
    }

    async fn plan(&self, host: &str, wish: &PlanRequest) -> Result<PlannedView, Failure> {
        let mut body = json!({
            "at_once": wish.at_once,
            "limit_seconds": wish.limit.as_secs(),
            "with_locked": wish.with_locked,
        });
        if wish.kind == RecoveryKind::Drain {
            body["lasts_seconds"] = json!(wish.lasts.as_secs());
            body["reason"] = json!(wish.reason);
        }
        let kind = wish.kind.as_str();
        let body = json!({ kind: body }).to_string();
        let answer = self.client.post_operator(&["hosts", host, kind], &body).await;
        self.parse_answer(answer, "plan").await
    }

    async fn reporters(&self) -> Result<Vec<ReporterView>, Failure> {
        self.get(&["reporters"], &[], "reporters").await
    }

    async fn unmute(&self, reporter: &str, reason: Option<&str>) -> Result<LiftedView, Failure> {
        let body = json!({"lift": because(reason)}).to_string();
        let answer = self
            .client
            .post_operator(&["reporters", reporter, "lift"], &body)
            .await;
        self.parse_answer(answer, "lift").await
    }

    async fn delete_monitor(&self, host: &str, kind: MonitorKind) -> Result<ForgottenView, Failure> {
        let answer = self
            .client
            .delete_operator(&["monitors", host, kind.as_str()])
            .await;
        self.parse_answer(answer, "monitor").await
    }

    async fn retry(&self, id: RecoveryId, reason: Option<&str>) -> Result<RetriedView, Failure> {
        let body = json!({"retry": because(reason)}).to_string();
        let answer = self
            .client
            .post_operator(&["recoveries", &id.to_string(), "retry"], &body)
            .await;
        self.parse_answer(answer, "retry").await
    }

    async fn fail(&self, host: &str, reason: &str) -> Result<FailedView, Failure> {
        let body = json!({"failure": {"reason": reason}}).to_string();
        let answer = self
            .client
            .post_operator(&["hosts", host, "failure"], &body)
            .await;
        self.parse_answer(answer, "failure").await
    }
}
