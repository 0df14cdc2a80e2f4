//! `tachi doctor`: everything that can be checked, in one table. The checks cover what `upgrade check`, `config`, `policy` and `status`
//! know already. The data is read once, and each check is a function of it.

mod fixes;

use std::time::Instant;

use tachi_api::PolicyFiles;
use tachi_cli::arguments::{ConfigArgs, DoctorArgs};
use tachi_cli::doctor::checks::{self, Read};
use tachi_cli::doctor::detection_latency::Rules;
use tachi_cli::doctor::{remote, show, summary};
use tachi_cli::out::waiting;
use tachi_cli::source::{self, Controller, Source as _};
use tachi_domain::policy::FencingMode;
use tachi_operator::schedule::JobOutcome;
use tachi_operator::{Failure, SituationView};

use super::upgrade;
use crate::database::Database;
use crate::settings::Settings;

/// Runs the checks, or the fixes.
pub(crate) async fn run(args: DoctorArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    if args.fix {
        return Box::pin(fixes::run(&args)).await;
    }
    let began = Instant::now();
    let all = if args.source.cloud().is_some() {
        remote::all(source::open(&args.source, controller).await?.as_ref()).await?
    } else {
        let work = Box::pin(read(&args.source.config));
        checks::all(&waiting("the database, Keystone, Nova and fence devices", work).await)
    };
    show(&args, &all, began.elapsed())
}

/// Runs the checks as a scheduled job; returns the findings in a line.
pub(crate) async fn job(config: &ConfigArgs) -> JobOutcome {
    let all = checks::all(&Box::pin(read(config)).await);
    let (grade, details) = summary(&all);
    JobOutcome { grade, details }
}

/// Reads the data of all checks. Data that cannot be read is a finding itself.
async fn read(config: &ConfigArgs) -> Read {
    let settings = match Settings::load(config) {
        Ok(settings) => settings,
        Err(errors) => {
            return Read {
                config: Err(Failure::config(&errors).chain()),
                ..Read::default()
            };
        }
    };
    let warning_lines = settings.report.warnings.iter();
    let mut doubts: Vec<String> = warning_lines
        .filter(|one| !one.is_notice())
        .map(ToString::to_string)
        .collect();
    doubts.extend(settings.exposed().iter().map(ToString::to_string));
    // Both use the database: if it does not answer, they wait at the same time.
    let (upgrade, situation) = tokio::join!(
        Box::pin(upgrade::checks(&settings)),
        Box::pin(situation(config, &settings))
    );
    Read {
        config: Ok(doubts),
        devices: Some(devices(&settings)),
        policy: Some(
            PolicyFiles::read(&settings.oslo_policy)
                .map(|loaded| loaded.warnings.iter().map(ToString::to_string).collect())
                .map_err(|error| error.chain()),
        ),
        upgrade: Some(upgrade.map_err(|error| error.chain())),
        situation: Some(situation.map_err(|error| error.chain())),
    }
}

fn devices(settings: &Settings) -> Result<Vec<String>, String> {
    if !settings.fencing.is_configured() {
        return Ok(Vec::new());
    }
    let topology = settings.fencing.topology().map_err(|error| error.chain())?;
    Ok(topology.warnings())
}

async fn situation(
    config: &ConfigArgs,
    settings: &Settings,
) -> Result<(SituationView, Option<Rules>), Failure> {
    let situation = Database::open(config).await?.situation().await?;
    let rules = rules(settings, &situation);
    Ok((situation, Some(rules)))
}

/// Reads the rules from the configuration.
fn rules(settings: &Settings, situation: &SituationView) -> Rules {
    let policy = settings.policy.clone();
    let topology = match policy.fencing {
        FencingMode::Engine if settings.fencing.is_configured() => settings.fencing.topology().ok(),
        FencingMode::Engine | FencingMode::DryRun | FencingMode::External => None,
    };
    let hosts = situation.segments.iter().flat_map(|segment| &segment.hosts);
    let levels = hosts.filter_map(|host| {
        let levels = topology.as_ref()?.resolve(&host.name).levels();
        Some((host.name.clone(), levels))
    });
    Rules {
        sweep: settings.sweep_interval,
        warning: settings.worst_case_warning,
        levels: levels.collect(),
        policy,
    }
}
