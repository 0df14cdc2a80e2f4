//! Wiring of adapters to the ports of engine and API.

mod bus;
mod controller;
pub(crate) mod drill;
mod events;
pub(crate) mod fencing;
pub(crate) mod from_nova;
mod health;
mod identity;
pub(crate) mod listen;
mod process;
pub(crate) mod region_service;
pub(crate) mod situation;

use std::sync::Arc;
use std::time::Duration;

use tachi_api::RefusalCounter;
use tachi_api::settings::WebBoard;
use tachi_audit::AuditLog;
use tachi_bus::{Fanout, InProcess, SocketNotifier, SocketWake};
use tachi_cli::out::waiting;
use tachi_domain::policy::{BareNormal, FencingMode, Policy};
use tachi_engine::ports::{AuditSink, Clock, Events, Hooks, Notifier, Registry, Wakeups};
use tachi_engine::{Engine, EngineOptions, Ports, SystemClock};
use tachi_hooks::Runner;
use tachi_openstack::{Nova, Session};
use tachi_operator::Failure;
use tachi_operator::fence;
use tachi_operator::return_to_service::ReturnPorts;
use tachi_store::{MigrationReport, SchemaStatus, Store, StoreError, StoreOptions};
use tachi_witnesses::FailureDomains;
use tokio::sync::watch;

use crate::settings::{AuthStrategy, Settings, database_folder};

pub(crate) use bus::{Bus, upstream_engines_now};
pub(crate) use events::EventSetup;
pub(crate) use fencing::Devices;
pub(crate) use process::{Process, Runs};

/// Shared parts of API and engine processes.
pub(crate) struct Base {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Arc<Store>,
    /// Counter of reports that an API refuses.
    pub(crate) refusals: RefusalCounter,
}

/// Timeout for the last writes when a process ends, if the database hangs.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(2);

impl Base {
    /// Writes what is still in memory, and closes the database.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        match tokio::time::timeout(LAST_WRITE_TIMEOUT, self.refusals.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "failed to count the last refused reports");
            }
            Err(_) => {
                tracing::warn!(
                    error = "the database does not answer",
                    "failed to count the last refused reports"
                );
            }
        }
        self.store.close().await
    }
}

/// Opens the database, and brings its schema up to date.
pub(crate) async fn base(settings: &Settings) -> Result<Base, Failure> {
    Ok(migrated(settings, settings.database.options()).await?.0)
}

/// Installs the metrics recorder. It must run before any metric is registered, because earlier values are lost.
pub(crate) fn count(settings: &Settings) -> Result<(), Failure> {
    if settings.http.metrics.is_some() {
        tachi_api::Metrics::start(crate::VERSION)
            .map_err(|error| Failure::new("setting up metrics", error))?;
    }
    Ok(())
}

/// Opens the database, brings its schema up to date, and returns the report of the migration.
pub(crate) async fn migrated(
    settings: &Settings,
    options: &StoreOptions,
) -> Result<(Base, MigrationReport), Failure> {
    let folders = [
        Some(settings.state_path.clone()),
        database_folder(&settings.database),
    ];
    for folder in folders.into_iter().flatten() {
        std::fs::create_dir_all(&folder)
            .map_err(|error| Failure::new(format!("creating the folder {}", folder.display()), error))?;
    }
    let base = open(options).await?;
    let schema = base
        .store
        .migrate()
        .await
        .map_err(|error| Failure::new("opening the database", error))?;
    if schema.taken_over() {
        tracing::info!(origin = ?schema.origin, row_counts = ?schema.row_counts, "took over a Masakari database");
    }
    Ok((base, schema))
}

async fn open(database: &StoreOptions) -> Result<Base, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = Store::connect(database, clock.clone())
        .await
        .map_err(|error| Failure::new("opening the database", error))?;
    let log = Arc::new(store.refusals().clone());
    Ok(Base {
        refusals: RefusalCounter::new(log, clock.clone()),
        clock,
        store: Arc::new(store),
    })
}

/// Opens the database for an operator command. It neither creates a database nor changes its schema: a new file would
/// belong to the operator's user, and running services do not know a newer schema than their own.
/// The command fails at once if the server does not answer, while a service that starts waits.
pub(crate) async fn existing(settings: &Settings) -> Result<Base, Failure> {
    if !settings.database.exists() {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        return Err(Failure::from_text(format!(
            "there is no database yet at {}: is this the configuration of the running service?{}",
            settings.database,
            if is_set("OS_CLOUD") {
                " OS_CLOUD is set, but this command uses no API: it works only on a controller"
            } else if is_set("OS_AUTH_URL") {
                " OS_AUTH_URL is set: commands with an API use that cloud with --os-cloud envvars"
            } else {
                " For a first try: `tachi serve --sandbox`, and here `--os-cloud tachi-sandbox`"
            }
        )));
    }
    let what = format!("the database {}", settings.database);
    let options = settings.database.once();
    let (base, schema_status) = waiting(&what, async {
        let base = Box::pin(open(&options)).await?;
        let schema_status = Box::pin(base.store.schema_status()).await;
        Ok::<_, Failure>((base, schema_status))
    })
    .await?;
    match schema_status.map_err(|error| Failure::new("opening the database", error))? {
        SchemaStatus::UpToDate => Ok(base),
        SchemaStatus::Older { pending } => Err(Failure::from_text(format!(
            "the database has an older version, without {}: run `tachi db sync`, then restart the services",
            pending.join(", ")
        ))),
        SchemaStatus::Newer { applied } => Err(Failure::from_text(format!(
            "the database has a newer version, with {}, which this program does not know: use the version of Tachi that has migrated it",
            applied.join(", ")
        ))),
        SchemaStatus::Empty => Err(Failure::from_text(format!(
            "the database at {} is empty: run `tachi db sync`",
            settings.database
        ))),
        SchemaStatus::Masakari => Err(Failure::from_text(
            "this is a database of Masakari's that Tachi has not taken over yet: run `tachi db sync`",
        )),
    }
}

/// Timeout for Keystone's catalogue at the start.
const CATALOGUE: Duration = Duration::from_secs(5);

/// Refuses to start if the catalogue has Nova in several regions and none is configured: hosts of another region may have the same
/// names. While Keystone does not answer, each call is refused instead.
///
/// # Errors
///
/// The region is ambiguous.
pub(crate) async fn one_region(settings: &Settings) -> Result<(), Failure> {
    let Some(options) = settings.nova.clone() else {
        return Ok(());
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let session = session(options, &clock).await?;
    match session.ambiguity(CATALOGUE).await {
        Some(why) => Err(Failure::usage(format!("not started: {why}"))),
        None => Ok(()),
    }
}

async fn session(options: tachi_openstack::Options, clock: &Arc<dyn Clock>) -> Result<Session, Failure> {
    let session = Session::new(options, clock.clone()).await;
    session.map_err(|error| Failure::new("setting up the session with Keystone", error))
}

pub(crate) async fn nova(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Arc<Nova>, Failure> {
    let Some(options) = settings.nova.clone() else {
        return Err(Failure::usage(
            "no cloud is configured: write the os_privileged_user_* options, or [keystone_authtoken], into the configuration file, or try \
             `tachi demo`",
        ));
    };
    let nova = Nova::new(session(options, clock).await?);
    Ok(Arc::new(if settings.policy.leave.image_properties.is_empty() {
        nova
    } else {
        nova.with_image_properties()
    }))
}

/// Timeout for reading from Nova what runs on a host.
const NOVA_TIMEOUT: Duration = Duration::from_secs(10);

/// Describes Nova's view of the host, for the operator who decides.
pub(crate) async fn what_runs(settings: &Settings, host: &str) -> String {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let query = async {
        let nova = nova(settings, &clock).await.map_err(|error| error.chain())?;
        let shown = fence::switch::what_runs(nova.as_ref(), host).await;
        shown.map_err(|error| error.fault.text)
    };
    match tokio::time::timeout(NOVA_TIMEOUT, query).await {
        Ok(Ok(shown)) => shown,
        Ok(Err(why)) => format!("Nova's view of {host} is unknown: {why}"),
        Err(_) => format!(
            "Nova's view of {host} is unknown: no answer within {} s",
            NOVA_TIMEOUT.as_secs()
        ),
    }
}

/// Creates the engine, ready to run, and its access to Nova.
pub(crate) async fn engine(
    settings: &Settings,
    base: &Base,
    wake: Arc<dyn Wakeups>,
    policy: watch::Receiver<Policy>,
    devices: &Devices,
) -> Result<(Engine, Arc<Nova>), Failure> {
    if devices.fencers().is_empty() {
        tracing::warn!(
            mode = settings.policy.fencing.as_str(),
            "no fence device is configured; recoveries rely on reports alone"
        );
    }
    if let (FencingMode::External, BareNormal::Wait(time)) =
        (settings.policy.fencing, settings.policy.bare_normal)
    {
        tracing::warn!(
            seconds = time.as_secs(),
            "fencing mode external trusts a NORMAL report without evidence after this time without a heartbeat, as Masakari \
             does; a host that keeps running without its nova-compute is evacuated too: configure fence devices, or set \
             [fencing] normal_without_evidence = refuse"
        );
    }
    base.store
        .adopt(settings.notification_expiry)
        .await
        .map_err(|error| Failure::new("adopting Masakari's open notifications", error))?;
    let name = own_name(settings);
    let nova = nova(settings, &base.clock).await?;
    let ports = Ports {
        compute: nova.clone(),
        fencer: devices.identified(base),
        audit: audit(settings, &base.clock, &name)?,
        hooks: hooks(settings)?,
        journal: Arc::new(base.store.journal().clone()),
        wake,
        clock: base.clock.clone(),
    };
    let options = EngineOptions {
        name,
        policy,
        sweep_interval: settings.sweep_interval,
        pace: settings.pace,
    };
    let surroundings = FailureDomains::new(settings.surroundings.clone());
    let engine = Engine::new(ports, options).with_witnesses(Arc::new(surroundings));
    Ok((engine, nova))
}

/// Opens the audit log; `actor` is the writer.
pub(crate) fn audit(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    actor: &str,
) -> Result<Arc<dyn AuditSink>, Failure> {
    let options = tachi_audit::Options {
        path: settings.audit.log.clone(),
        actor: actor.to_owned(),
        required: settings.audit.required,
        key_file: settings.audit.key_file.clone(),
        second: settings.audit.second.clone(),
    };
    let log = AuditLog::start(options, Arc::clone(clock))
        .map_err(|error| Failure::new("starting the audit log", error))?;
    Ok(Arc::new(log))
}

/// Creates the operator's hooks, and logs warnings about them before they are needed.
fn hooks(settings: &Settings) -> Result<Arc<dyn Hooks>, Failure> {
    for note in &settings.hooks.notes {
        tracing::warn!(warning = %note, "configuration warning");
    }
    for hook in settings.policy.flows.hooks() {
        if let Some(precheck) = tachi_hooks::precheck(hook) {
            tracing::warn!(hook = %hook.name(), warning = %precheck, "hook configuration warning");
        }
    }
    let runner = Runner::new(settings.hooks.ca_file.clone())
        .map_err(|error| Failure::new("setting up the hooks", error))?;
    Ok(Arc::new(runner))
}

/// Authentication of the API, and the audit log of changes by people.
pub(crate) struct AuthSetup {
    pub(crate) auth: tachi_api::Auth,
    pub(crate) login: Option<Arc<dyn tachi_api::Login>>,
    pub(crate) audit: Arc<dyn AuditSink>,
}

/// Creates the API's router, ready to be served. `policy` has the access rules, `rules` the rules of recoveries.
pub(crate) async fn api(
    settings: &Settings,
    base: &Base,
    notify: Arc<dyn Notifier>,
    policy: tachi_api::Policy,
    rules: watch::Receiver<Policy>,
    events: Arc<dyn Events>,
) -> Result<axum::Router, Failure> {
    let mut login: Option<Arc<dyn tachi_api::Login>> = None;
    let auth = match &settings.auth {
        AuthStrategy::Noauth2 => tachi_api::Auth::Noauth2,
        AuthStrategy::Keystone { session: None, .. } => {
            return Err(Failure::usage(
                "[keystone_authtoken] is not configured, so no caller can be authenticated; write it, or for development only \
                 auth_strategy = noauth2",
            ));
        }
        AuthStrategy::Keystone {
            session: Some(options),
            www_authenticate_uri,
            cache,
            retries,
            ..
        } => {
            let session = session(options.as_ref().clone(), &base.clock).await?;
            let validator = Arc::new(identity::Validator::new(
                session,
                &options.keystone.credentials,
                *retries,
            ));
            login = Some(validator.clone());
            tachi_api::Auth::Keystone {
                validator,
                www_authenticate_uri: www_authenticate_uri.clone(),
                cache: tachi_api::CacheOptions {
                    valid_for: *cache,
                    ..tachi_api::CacheOptions::default()
                },
            }
        }
    };
    let name = format!("{}:{}:api", settings.host, std::process::id());
    let audit = audit(settings, &base.clock, &name)?;
    let auth_setup = AuthSetup { auth, login, audit };
    router(settings, base, notify, policy, rules, events, auth_setup).await
}

/// Creates the same router with another authentication.
pub(crate) async fn router(
    settings: &Settings,
    base: &Base,
    notify: Arc<dyn Notifier>,
    policy: tachi_api::Policy,
    rules: watch::Receiver<Policy>,
    events: Arc<dyn Events>,
    AuthSetup { auth, login, audit }: AuthSetup,
) -> Result<axum::Router, Failure> {
    let registry: Arc<dyn Registry> = Arc::new(base.store.registry().clone());
    let nova = nova(settings, &base.clock).await?;
    let ports = tachi_api::Ports {
        registry,
        notify,
        clock: base.clock.clone(),
        compute_hosts: Arc::new(identity::Hosts::new(nova.clone())),
        region: Arc::new(region_service::RegionDatabase::new(settings, base, rules)),
        operator_journal: Arc::new(base.store.operator_journal().clone()),
        freezes: Arc::new(base.store.freezes().clone()),
        plans: Arc::new(base.store.plans().clone()),
        audit: audit.clone(),
        monitors: Arc::new(base.store.monitors().clone()),
        controller: Arc::new(controller::LocalController::new(settings, base, nova)),
        refusals: base.refusals.clone(),
    };
    let mut options = tachi_api::Options::new(auth);
    options.policy = policy;
    options.events = Arc::new(tachi_api::AuditedEvents { events, audit });
    if let AuthStrategy::Keystone { tokens, .. } = &settings.auth {
        options.tokens = tokens.clone();
    }
    options.max_limit = settings.max_limit;
    options.max_body_bytes = settings.max_body_bytes;
    options.link_prefix.clone_from(&settings.link_prefix);
    options.proxy_headers = settings.proxy_headers;
    options.duplicate_window_seconds = settings.duplicate_window_seconds;
    options.binding = settings.binding.clone();
    options.notifications_per_segment = settings.notifications_per_segment;
    settings.http.apply(&mut options);
    let board = settings.http.board;
    options.board = (board != WebBoard::Off).then_some(tachi_api::Board {
        login,
        actions: board == WebBoard::Acts,
    });
    if let Some(metrics_settings) = &settings.http.metrics {
        let metrics = tachi_api::Metrics::start(crate::VERSION)
            .map_err(|error| Failure::new("setting up metrics", error))?;
        options.metrics = Some(metrics_settings.access(metrics));
    }
    tachi_api::router(options, ports).map_err(|error| Failure::new("building the API", error))
}

/// Creates the sender with which an API in another process wakes engines.
pub(crate) fn socket_notifier(settings: &Settings) -> Result<Arc<dyn Notifier>, Failure> {
    let notify = SocketNotifier::new(&settings.state_path.join("wake"))
        .map_err(|error| Failure::new("preparing wake-ups", error))?;
    Ok(Arc::new(notify))
}

/// Creates the receiver with which an engine is woken by an API in another process.
pub(crate) fn socket_wake(settings: &Settings) -> Result<Arc<dyn Wakeups>, Failure> {
    let wake = SocketWake::bind(&settings.state_path.join("wake"))
        .map_err(|error| Failure::new("preparing wake-ups", error))?;
    Ok(Arc::new(wake))
}

/// The sending and the receiving end of wake-ups.
pub(crate) type Ends = (Arc<dyn Notifier>, Arc<dyn Wakeups>);

/// Creates both ends in one process, which can also be used by other processes.
pub(crate) fn both_ends(settings: &Settings) -> Result<Ends, Failure> {
    let folder = settings.state_path.join("wake");
    let local = InProcess::default();
    let wrong = |error| Failure::new("preparing wake-ups", error);
    let notify = Fanout(local.clone(), SocketNotifier::new(&folder).map_err(wrong)?);
    let wake = Fanout(local, SocketWake::bind(&folder).map_err(wrong)?);
    Ok((Arc::new(notify), Arc::new(wake)))
}

/// Returns the ports for facts about a host that is to return to service.
pub(crate) fn return_ports<'a>(store: &'a Store, nova: &'a Nova) -> ReturnPorts<'a> {
    ReturnPorts {
        operator_journal: store.operator_journal(),
        engine_registry: store.engine_registry(),
        freezes: store.freezes(),
        nova,
    }
}

/// Returns a name that no other process has.
pub(crate) fn own_name(settings: &Settings) -> String {
    format!("{}:{}:{}", settings.host, std::process::id(), short_id())
}

fn short_id() -> String {
    uuid::Uuid::new_v4()
        .simple()
        .to_string()
        .chars()
        .take(8)
        .collect()
}
