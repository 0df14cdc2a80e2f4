//! systemd over D-Bus: the state of a unit, its changes, and its start.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use zbus::export::futures_core::Stream;
use zbus::fdo::PropertiesProxy;
use zbus::proxy::CacheProperties;

use zbus::{Connection, OwnedObjectPath, fdo};

use super::probe::{Probe, State};
use crate::health::Health;

/// Timeout of systemd's answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Poll interval of a running job.
const JOB_POLL_INTERVAL: Duration = Duration::from_millis(200);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
}

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Unit",
    default_service = "org.freedesktop.systemd1"
)]
trait Unit {
    #[zbus(property)]
    fn active_state(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn sub_state(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn load_state(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn job(&self) -> zbus::Result<(u32, OwnedObjectPath)>;
}

type ManagerConnection =
    dyn Fn() -> Pin<Box<dyn Future<Output = zbus::Result<Connection>> + Send>> + Send + Sync;

/// The connection to systemd: one for all entries, reopened after a failure.
#[derive(Clone)]
pub(super) struct Systemd {
    connect: Arc<ManagerConnection>,
    connection: Arc<Mutex<Option<Connection>>>,
    health: Health,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct UnitState {
    active: String,
    sub: String,
    load: String,
    job: bool,
}

impl Systemd {
    /// Connects over the system bus.
    pub(super) fn system(health: Health) -> Self {
        Self::with_connector(|| Box::pin(Connection::system()), health)
    }

    fn with_connector(
        connect: impl Fn() -> Pin<Box<dyn Future<Output = zbus::Result<Connection>> + Send>>
        + Send
        + Sync
        + 'static,
        health: Health,
    ) -> Self {
        Self {
            connect: Arc::new(connect),
            connection: Arc::default(),
            health,
        }
    }

    pub(super) async fn connection(&self) -> Result<Connection, String> {
        let mut cached = self.connection.lock().await;
        if let Some(connection) = &*cached {
            return Ok(connection.clone());
        }
        let made = self.connect().await;
        match &made {
            Ok(connection) => {
                *cached = Some(connection.clone());
                self.health.good("systemd");
            }
            Err(why) => self.health.bad("systemd", why.clone()),
        }
        made
    }

    async fn connect(&self) -> Result<Connection, String> {
        let connection = answered("connecting to systemd", (self.connect)()).await?;
        let manager = manager(&connection).await?;
        answered("subscribing to systemd", manager.subscribe()).await?;
        Ok(connection)
    }

    /// Drops a broken connection, which is reopened at the next use.
    async fn disconnect(&self) {
        *self.connection.lock().await = None;
    }

    /// Checks that systemd can be reached.
    pub(super) async fn is_there(&self) -> Result<(), String> {
        self.connection().await.map(|_| ())
    }

    async fn unit(&self, name: &str) -> Result<(Connection, OwnedObjectPath), String> {
        let connection = self.connection().await?;
        let manager = manager(&connection).await?;
        let path = answered(&format!("loading unit {name}"), manager.load_unit(name)).await;
        if path.is_err() {
            self.disconnect().await;
        }
        Ok((connection, path?))
    }

    async fn unit_state(&self, connection: &Connection, path: &OwnedObjectPath) -> Result<UnitState, String> {
        let what = "reading a unit from systemd";
        let query = async {
            let unit = UnitProxy::builder(connection)
                .path(path)
                .cache_properties(CacheProperties::No)
                .build()
                .await?;
            Ok(UnitState {
                active: unit.active_state().await?,
                sub: unit.sub_state().await?,
                load: unit.load_state().await?,
                job: unit.job().await?.0 != 0,
            })
        };
        let unit_status = answered(what, query).await;
        if unit_status.is_err() {
            self.disconnect().await;
        }
        unit_status
    }

    /// Starts or restarts a unit, and waits until it runs.
    pub(super) async fn bring_up(&self, name: &str, restart: bool, within: Duration) -> Result<(), String> {
        let (connection, path) = self.unit(name).await?;
        let manager = manager(&connection).await?;
        let verb = if restart { "restarting" } else { "starting" };
        tracing::info!(unit = name, restart, "starting unit");
        let what = format!("{verb} unit {name}");
        let call = async {
            if restart {
                manager.restart_unit(name, "replace").await
            } else {
                manager.start_unit(name, "replace").await
            }
        };
        answered(&what, call).await?;
        let deadline = Instant::now() + within;
        loop {
            let unit_status = self.unit_state(&connection, &path).await?;
            match unit_status.state() {
                State::Up if !unit_status.job => return Ok(()),
                State::Down(why) if !unit_status.job => return Err(format!("{what}: {why}")),
                _ if Instant::now() >= deadline => {
                    return Err(format!("{what}: not finished after {} s", within.as_secs()));
                }
                State::Up | State::Changing | State::Down(_) | State::Unknown(_) => {
                    sleep(JOB_POLL_INTERVAL).await;
                }
            }
        }
    }
}

async fn manager(connection: &Connection) -> Result<ManagerProxy<'static>, String> {
    let made = ManagerProxy::builder(connection)
        .cache_properties(CacheProperties::No)
        .build();
    answered("reaching systemd", made).await
}

/// Waits for systemd's answer, or returns the reason for a missing one.
pub(super) async fn answered<T>(
    what: &str,
    call: impl Future<Output = zbus::Result<T>>,
) -> Result<T, String> {
    match timeout(ANSWER_TIMEOUT, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("{what}: {}", error_text(&error))),
        Err(_) => Err(format!("{what}: no answer within {} s", ANSWER_TIMEOUT.as_secs())),
    }
}

fn error_text(error: &zbus::Error) -> String {
    let name = if let zbus::Error::MethodError(name, ..) = error {
        name.as_str()
    } else {
        ""
    };
    let refused = name.ends_with(".InteractiveAuthorizationRequired")
        || name.ends_with(".AccessDenied")
        || matches!(error, zbus::Error::FDO(error) if matches!(**error, fdo::Error::AccessDenied(_)));
    let hint = if refused {
        " (is there a polkit rule for this user and unit? `tachi-monitor init polkit` prints it)"
    } else {
        ""
    };
    format!("{error}{hint}")
}

impl UnitState {
    fn state(&self) -> State {
        let down = || State::Down(format!("systemd reports {} ({})", self.active, self.sub));
        match (self.load.as_str(), self.active.as_str()) {
            ("masked", _) => State::Unknown("the unit is masked".to_owned()),
            ("not-found", _) => State::Unknown("systemd has no such unit".to_owned()),
            (_, "active" | "reloading" | "refreshing") => State::Up,
            (_, "activating" | "deactivating" | "maintenance") => State::Changing,
            // A job, perhaps of another program, will start it.
            _ if self.job => State::Changing,
            _ => down(),
        }
    }
}

/// A probe of a unit.
pub(super) struct UnitProbe {
    name: String,
    systemd: Systemd,
    open_unit: Option<OpenUnit>,
}

struct OpenUnit {
    connection: Connection,
    path: OwnedObjectPath,
    changes: Pin<Box<dyn Stream<Item = fdo::PropertiesChanged> + Send>>,
}

impl UnitProbe {
    pub(super) fn new(name: &str, systemd: Systemd) -> Self {
        Self {
            name: name.to_owned(),
            systemd,
            open_unit: None,
        }
    }

    async fn hold(&mut self) -> Result<(), String> {
        let (connection, path) = self.systemd.unit(&self.name).await?;
        let watched = async {
            let properties = PropertiesProxy::builder(&connection)
                .destination("org.freedesktop.systemd1")
                .path(path.clone())
                .build()
                .await?;
            properties.receive_properties_changed().await
        };
        let changes = answered("watching a unit", watched).await?;
        self.open_unit = Some(OpenUnit {
            connection,
            path,
            changes: Box::pin(changes),
        });
        Ok(())
    }
}

#[async_trait]
impl Probe for UnitProbe {
    async fn state(&mut self) -> State {
        if self.open_unit.is_none()
            && let Err(why) = self.hold().await
        {
            return State::Unknown(why);
        }
        let Some(open_unit) = &self.open_unit else {
            return State::Unknown("systemd is unreachable".to_owned());
        };
        match self
            .systemd
            .unit_state(&open_unit.connection, &open_unit.path)
            .await
        {
            Ok(unit_status) => unit_status.state(),
            Err(why) => {
                self.open_unit = None;
                State::Unknown(why)
            }
        }
    }

    async fn changed(&mut self) {
        let Some(open_unit) = &mut self.open_unit else {
            return std::future::pending().await;
        };
        let next = std::future::poll_fn(|context| open_unit.changes.as_mut().poll_next(context)).await;
        if next.is_none() {
            // The connection is broken; the next check opens a new one.
            self.open_unit = None;
            self.systemd.disconnect().await;
        }
    }
}

#[cfg(test)]
mod tests;
