//! Data source and action target of operator commands: the API, from anywhere, or what a controller opens. Both return the views that
//! the API answers with, so that commands show the same for both.

mod remote;
mod with_progress;

use std::path::PathBuf;

use async_trait::async_trait;
use serde::Serialize;
use tachi_clouds::ProcessEnvironment;
use tachi_domain::monitor::MonitorKind;
use tachi_domain::recovery::{OperatorCommand, ResolutionKind};
use tachi_domain::{RecoveryId, Timestamp};
use tachi_engine::ports::operator::RecoveryFilter;
use tachi_engine::ports::past::Span;
use tachi_operator::freezes::FreezeRequest;
use tachi_operator::plans::PlanRequest;
use tachi_operator::{
    ExplanationView, FailedView, Failure, FailurePreview, ForecastView, ForgottenView, FreezeView,
    FrozenView, GivebackView, JobView, LiftedView, ListedInstanceView, PastView, PlannedView,
    RecoveryHistoryView, RecoveryView, ReporterView, RetriedView, SituationView, VmoveView, WaitView,
};

use crate::arguments::{ConfigArgs, SourceArgs};
use crate::out;

pub use remote::Remote;
use with_progress::WithProgress;

/// An operator's action.
#[derive(Clone, Copy, Debug)]
pub enum ActionRequest<'a> {
    /// An action on a recovery, which had this wait when the operator decided on the action.
    OfRecovery(RecoveryId, OperatorCommand, Option<&'a WaitView>),
    /// A resolution of an instance, given by id or name, with a host.
    OfInstance(&'a str, ResolutionKind, Option<&'a str>),
}

/// An action that was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActionResult {
    /// The recovery of the action, or of its instance.
    pub recovery: RecoveryId,
    /// The recorded operator.
    pub by: String,
    /// True if no engine has to process the action.
    pub seen_to: bool,
    /// True if the same action was recorded before, and nothing was written.
    pub already: bool,
}

#[async_trait]
pub trait Source: Send + Sync {
    /// Returns the current time of the source.
    fn now(&self) -> Timestamp;

    /// Returns the situation of the region.
    async fn situation(&self) -> Result<SituationView, Failure>;

    /// Estimates the capacity of all segments or one, and the outcome of losing these hosts.
    async fn forecast(&self, segment: Option<&str>, lose: &[String]) -> Result<ForecastView, Failure>;

    /// Explains the protection of the hosts and instances of this name.
    async fn explanations(&self, name: &str) -> Result<Vec<ExplanationView>, Failure>;

    /// Returns what happened to a host in a time span; `None` if there is no record of a host of that name.
    async fn past(&self, host: &str, span: Span) -> Result<Option<PastView>, Failure>;

    /// Returns the recoveries that match the filter, newest first.
    async fn recoveries(&self, filter: &RecoveryFilter) -> Result<Vec<RecoveryView>, Failure>;

    /// Returns one recovery; `None` if it does not exist.
    async fn recovery(&self, id: RecoveryId) -> Result<Option<RecoveryHistoryView>, Failure>;

    /// Returns the instances on all hosts or one; with `down` only those that are down, or may be.
    async fn hosted_instances(
        &self,
        host: Option<&str>,
        down: bool,
    ) -> Result<Vec<ListedInstanceView>, Failure>;

    /// Returns the instances that are being recovered, or wait for an operator.
    async fn instances(&self, needs_person: bool) -> Result<Vec<VmoveView>, Failure>;

    /// Records an operator's action, with the reason if one was given.
    async fn submit(&self, request: ActionRequest<'_>, reason: Option<&str>)
    -> Result<ActionResult, Failure>;

    /// Returns the freezes, by end time.
    async fn freezes(&self) -> Result<Vec<FreezeView>, Failure>;

    /// Returns the scheduled jobs of engines, and their results.
    async fn schedule(&self) -> Result<Vec<JobView>, Failure>;

    /// Starts a freeze, and waits a while until engines have read it. The request has been validated.
    async fn freeze(&self, wish: &FreezeRequest) -> Result<FrozenView, Failure>;

    /// Ends a freeze; returns how much of it was left.
    async fn thaw(&self, freeze: &FreezeView) -> Result<FreezeView, Failure>;

    /// Previews the report of a host as down.
    async fn preview(&self, host: &str) -> Result<FailurePreview, Failure>;

    /// Previews the drain of a host.
    async fn drain_outlook(&self, host: &str) -> Result<FailurePreview, Failure>;

    /// Previews which instances would move back to a host; on a controller by Nova's current data.
    async fn giveback_outlook(&self, host: &str, with_locked: bool) -> Result<GivebackView, Failure>;

    /// Plans a drain or a giveback. The request has been validated.
    async fn plan(&self, host: &str, wish: &PlanRequest) -> Result<PlannedView, Failure>;

    /// Returns the reporters that are muted, or should be.
    async fn reporters(&self) -> Result<Vec<ReporterView>, Failure>;

    /// Unmutes a reporter, by its number or the host that it is bound to.
    async fn unmute(&self, reporter: &str, reason: Option<&str>) -> Result<LiftedView, Failure>;

    /// Deletes a monitor that was decommissioned.
    async fn delete_monitor(&self, host: &str, kind: MonitorKind) -> Result<ForgottenView, Failure>;

    /// Starts another attempt at a failed recovery.
    async fn retry(&self, id: RecoveryId, reason: Option<&str>) -> Result<RetriedView, Failure>;

    /// Reports a host as down.
    async fn fail(&self, host: &str, reason: &str) -> Result<FailedView, Failure>;
}

/// Prints a notice while engines have not read a freeze yet.
pub fn waits_for_engines(recoveries: &[String]) {
    out::note(format!(
        "tachi: the freeze is stored; waiting until the engines of these recoveries have applied it: {}",
        recoveries.join(", ")
    ));
}

/// Opens the API that the options select; `None` if they select the database.
pub fn cloud(args: &SourceArgs) -> Result<Option<Remote>, Failure> {
    args.cloud().map(|name| Remote::open(&name)).transpose()
}

/// A machine with a configuration, whose region can be read and changed with every API process dead.
#[async_trait]
pub trait Controller: Send + Sync {
    /// Opens the region of the configuration. The text names the source: `the database FILE`.
    async fn open(&self, config: &ConfigArgs) -> Result<(Box<dyn Source>, String), Failure>;
}

/// Opens the selected source, without a notice about waiting: for full-screen programs, and for short timeouts.
pub async fn open_quiet(args: &SourceArgs, controller: &dyn Controller) -> Result<Box<dyn Source>, Failure> {
    match args.cloud() {
        Some(name) => Ok(Box::new(Remote::open(&name)?)),
        None => Ok(controller.open(&args.config).await?.0),
    }
}

/// Opens the selected source, with a notice about waiting, and with one about the source if another may be meant.
pub async fn open(args: &SourceArgs, controller: &dyn Controller) -> Result<Box<dyn Source>, Failure> {
    let (inner, what): (Box<dyn Source>, String) = if let Some(name) = args.cloud() {
        (Box::new(Remote::open(&name)?), format!("the API of cloud {name}"))
    } else {
        let environment = ProcessEnvironment::current();
        if let Some(note) = database_note(args, &environment, &tachi_config::default_search()) {
            out::note(note);
        }
        controller.open(&args.config).await?
    };
    Ok(Box::new(WithProgress { inner, what }))
}

/// Returns a notice that the database is used, if a `clouds.yaml` suggests that the API of a cloud is meant: one in the current folder or
/// named by a variable, or any on a machine without a configuration. `None` if a configuration is named.
fn database_note(
    args: &SourceArgs,
    environment: &ProcessEnvironment,
    configurations: &[PathBuf],
) -> Option<String> {
    if !args.config.config_file.is_empty() || !args.config.config_dir.is_empty() {
        return None;
    }
    let clouds = environment.clouds_file()?;
    let configuration = configurations.iter().find(|file| file.exists());
    let database = match configuration {
        Some(file) if environment.is_clouds_file_local() => format!("the database of {}", file.display()),
        Some(_) => return None,
        None => "the default database of this machine".to_owned(),
    };
    Some(format!(
        "tachi: no cloud is named, so this command uses {database}; for a cloud in {} add --os-cloud NAME",
        clouds.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_beside_a_clouds_yaml_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (configuration, clouds) = (
            folder.path().join("tachi.conf"),
            folder.path().join("clouds.yaml"),
        );
        std::fs::write(&clouds, "clouds: {}\n").unwrap();
        let anywhere = ProcessEnvironment {
            folders: vec![folder.path().to_owned()],
            ..ProcessEnvironment::default()
        };
        let mut named = anywhere.clone();
        let path = clouds.display().to_string();
        named
            .variables
            .insert("OS_CLIENT_CONFIG_FILE".to_owned(), path.clone());
        let usual = [configuration.clone()];
        let default = SourceArgs::default();
        let note = |environment: &ProcessEnvironment| database_note(&default, environment, &usual);
        let expected = |database: String| {
            Some(format!(
                "tachi: no cloud is named, so this command uses {database}; for a cloud in {path} add --os-cloud NAME"
            ))
        };

        let without = expected("the default database of this machine".to_owned());
        assert_eq!(note(&anywhere), without);
        assert_eq!(note(&named), without);
        assert_eq!(note(&ProcessEnvironment::default()), None);

        // A controller usually has a clouds.yaml somewhere, and its database is meant.
        std::fs::write(&configuration, "").unwrap();
        assert_eq!(note(&anywhere), None);
        let beside = expected(format!("the database of {}", configuration.display()));
        assert_eq!(note(&named), beside);

        let mut with_file = SourceArgs::default();
        with_file.config.config_file.push(configuration);
        assert_eq!(database_note(&with_file, &named, &usual), None);
    }
}
