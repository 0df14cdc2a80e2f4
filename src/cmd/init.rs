//! `tachi init`.

mod from_nova;

use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::Value;
use tachi_api::BindingOptions;
use tachi_cli::arguments::{InitCommand, InitMonitorsArgs};
use tachi_cli::monitor_credentials::{COLUMNS, check_host, fragment, note_lost, row, write_new, write_rules};
use tachi_cli::out::answer::{self, ProgressReporter};
use tachi_engine::SystemClock;
use tachi_engine::ports::{CallError, Clock as _, OperatorJournal as _};
use tachi_keystone::{Credentials, Scope};
use tachi_openstack::{NamedResource, Options, Session};
use tachi_operator::Failure;
use uuid::Uuid;

use super::command_settings;
use crate::settings::Settings;
use crate::wiring;

pub(super) use from_nova::{missing, protect_all};

/// Description of our own user. Passwords of other users are never touched.
const OURS: &str = "Created by `tachi setup monitors`; no person logs in as this user";
/// The description that earlier releases wrote.
const EARLIER_OURS: &str = "Made by `tachi init monitors`; nobody logs in as this user";

/// Creates what a cloud needs.
pub(crate) async fn run(command: InitCommand) -> Result<u8, Failure> {
    match command {
        InitCommand::Monitors(args) => monitors(&args).await,
        InitCommand::Import(args) => Box::pin(from_nova::run(args)).await,
    }
}

fn failed(what: impl Into<String>) -> impl FnOnce(CallError) -> Failure {
    let what = what.into();
    move |error| Failure::new(what, error)
}

async fn hosts(args: &InitMonitorsArgs, settings: &Settings) -> Result<BTreeSet<String>, Failure> {
    let hosts: BTreeSet<String> = if args.host.is_empty() {
        let base = wiring::existing(settings).await?;
        let region = base.store.operator_journal().region().await;
        let region = region.map_err(|error| Failure::new("reading the hosts", error))?;
        let hosts = region.into_iter().flat_map(|segment| segment.hosts);
        hosts.map(|host| host.host.name).collect()
    } else {
        args.host.iter().cloned().collect()
    };
    if hosts.is_empty() {
        return Err(Failure::usage(
            "no host is registered yet: name them with --host, as Nova does",
        ));
    }
    hosts.iter().try_for_each(|host| check_host(host))?;
    Ok(hosts)
}

/// The objects that a cloud has already.
struct Cloud {
    admin: Session,
    options: Options,
    project: NamedResource,
    role: Option<NamedResource>,
    user: Option<NamedResource>,
    credentials: Vec<NamedResource>,
}

async fn read_cloud(args: &InitMonitorsArgs, settings: &Settings) -> Result<Cloud, Failure> {
    let Some(options) = settings.nova.clone() else {
        return Err(Failure::usage(
            "the configuration has no Keystone user: set [keystone_authtoken] auth_url, username, password, ...",
        ));
    };
    let session = Session::new(options.clone(), Arc::new(SystemClock)).await;
    let admin = session.map_err(|error| Failure::new("setting up the connection to Keystone", error))?;
    let domain = Some(args.domain.as_str());
    let project = admin.identity_named("projects", &args.project, domain).await;
    let project = project
        .map_err(failed(
            "looking for the project (the user of the configuration must be an administrator)",
        ))?
        .ok_or_else(|| {
            Failure::from_text(format!(
                "domain {1} has no project {0}: name another with --project and --domain",
                args.project, args.domain
            ))
        })?;
    let role = admin.identity_named("roles", &args.role, None).await;
    let role = role.map_err(failed("looking for the role"))?;
    let user = admin.identity_named("users", &args.user, domain).await;
    let user = user.map_err(failed("looking for the user"))?;
    let mut credentials = Vec::new();
    if let Some(user) = &user {
        let description = user.description.as_deref();
        if !description.is_some_and(|text| [OURS, EARLIER_OURS].contains(&text)) {
            return Err(Failure::from_text(format!(
                "user {} exists and was not created by this command, which would have to change its password. Name another with --user",
                args.user
            )));
        }
        let found = admin.application_credentials(&user.id).await;
        credentials = found.map_err(failed("listing the application credentials"))?;
    }
    Ok(Cloud {
        admin,
        options,
        project,
        role,
        user,
        credentials,
    })
}

fn name_for(host: &str) -> String {
    BindingOptions::PATTERN.replace("{host}", host)
}

async fn monitors(args: &InitMonitorsArgs) -> Result<u8, Failure> {
    let now = SystemClock.wall();
    answer::accepts(&args.shape, COLUMNS)?;
    let meanwhile = ProgressReporter::of(&args.shape, now);
    let mut rows = Vec::new();
    let ended = each(args, meanwhile, &mut rows).await;
    // The hosts before the one that failed have secrets already.
    if !args.shape.is_text() && (ended.is_ok() || !rows.is_empty()) {
        answer::print(&args.shape, now, COLUMNS, rows, Vec::new)?;
    }
    ended
}

async fn each(
    args: &InitMonitorsArgs,
    meanwhile: ProgressReporter,
    rows: &mut Vec<Value>,
) -> Result<u8, Failure> {
    let settings = command_settings(&args.config)?;
    let hosts = hosts(args, &settings).await?;
    let cloud = read_cloud(args, &settings).await?;
    let mut lost = Vec::new();
    let mut new_credentials = Vec::new();
    for host in hosts {
        let name = name_for(&host);
        let known = cloud.credentials.iter().find(|known| known.name == name);
        let file = args.out.join(format!("{host}.conf"));
        match known {
            Some(_) if !args.renew && file.exists() => {
                meanwhile.report(format!("{host}: exists already"));
                rows.push(row(&host, &name, &file, "there"));
            }
            Some(_) if !args.renew => {
                meanwhile.report(format!(
                    "{host}: application credential {name} exists, but {} does not, and Keystone shows its secret only once",
                    file.display()
                ));
                rows.push(row(&host, &name, &file, "lost"));
                lost.push(host);
            }
            known => new_credentials.push((host, name, known.map(|known| known.id.clone()), file)),
        }
    }
    let would = if args.dry_run {
        "would be created"
    } else {
        "is created"
    };
    if cloud.role.is_none() {
        meanwhile.report(format!("role {}: {would}", args.role));
    }
    if cloud.user.is_none() {
        meanwhile.report(format!("user {}: {would}", args.user));
    }
    if args.dry_run {
        for (host, name, old, file) in &new_credentials {
            let outcome = if old.is_some() { "would be renewed" } else { would };
            rows.push(row(host, name, file, outcome));
            meanwhile.report(format!(
                "{host}: application credential {name} {outcome}, in {}",
                file.display()
            ));
        }
        return Ok(crate::DONE);
    }
    if !new_credentials.is_empty() {
        make(args, cloud, new_credentials, meanwhile, rows).await?;
    }
    write_rules(&args.out, meanwhile)?;
    if lost.is_empty() {
        return Ok(crate::DONE);
    }
    note_lost(&lost);
    Ok(crate::FAILED)
}

type RequestedSegments = (String, String, Option<String>, PathBuf);

async fn make(
    args: &InitMonitorsArgs,
    cloud: Cloud,
    new_credentials: Vec<RequestedSegments>,
    meanwhile: ProgressReporter,
    rows: &mut Vec<Value>,
) -> Result<(), Failure> {
    let Cloud {
        admin,
        mut options,
        project,
        role,
        user,
        ..
    } = cloud;
    let folder = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&args.out);
    folder.map_err(|error| Failure::new(format!("creating the folder {}", args.out.display()), error))?;
    let role = match role {
        Some(role) => role.id,
        None => admin
            .create_role(&args.role)
            .await
            .map_err(failed("creating the role"))?,
    };
    // The password is known to this process only, while it runs.
    let password = SecretString::from(format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()));
    let user = if let Some(user) = user {
        let set = admin.set_password(&user.id, &password).await;
        set.map_err(failed("setting a temporary password for the user"))?;
        user.id
    } else {
        let made = admin.create_user(&args.user, &args.domain, OURS, &password).await;
        made.map_err(failed("creating the user"))?
    };
    let granted = admin.grant(&project.id, &user, &role).await;
    granted.map_err(failed("granting the role to the user"))?;
    options.keystone.credentials = Credentials::Password {
        user: tachi_keystone::ResourceRef::Id(user.clone()),
        password,
        scope: Scope::Project(tachi_keystone::ResourceRef::Id(project.id.clone())),
    };
    let session = Session::new(options.clone(), Arc::new(SystemClock)).await;
    let monitor = session.map_err(|error| Failure::new("logging in as the new user", error))?;
    for (host, name, old, file) in new_credentials {
        let state = if old.is_some() { "renewed" } else { "made" };
        if let Some(old) = old {
            let gone = admin.delete_application_credential(&user, &old).await;
            gone.map_err(failed(format!("deleting the old application credential {name}")))?;
        }
        let made = monitor
            .create_application_credential(&user, &name, &args.role)
            .await;
        let made = made.map_err(failed(format!("creating the application credential {name}")))?;
        if let Err(error) = write_new(
            &file,
            &fragment(
                &name,
                (&options.keystone.auth_url, &options.keystone.region),
                &made.id,
                &made.secret,
            ),
        ) {
            // Without the file the secret is lost, and the credential is useless.
            _ = admin.delete_application_credential(&user, &made.id).await;
            return Err(error);
        }
        rows.push(row(&host, &name, &file, state));
        meanwhile.report(format!("{host}: {name}, in {}", file.display()));
    }
    Ok(())
}
