//! A BMC or a chassis manager by Redfish.
//!
//! A service may have many systems; the host's system is configured, or is the only one. An accepted reset proves
//! nothing: only a `PowerState` read later does, and only the value `Off`.

mod client;
mod system;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tachi_domain::fault::FaultClass;
use tachi_domain::machine_id::MachineId;
use tachi_domain::power::PowerReading;
use tachi_engine::ports::{CallError, Clock};
use tokio::time::Instant;
use tracing::instrument;

use crate::device::{Device, Kind, Plug, SelfTestOutcome};
use crate::fault::fault;
use crate::text::SecretFilter;
use crate::web::{AuthorityError, is_loopback};
use client::{Client, Login};
use system::System;

pub use trust::{Fingerprint, FingerprintError, Trust, WebClients};

/// The reset types for a power-off.
const OFF_RESET_TYPES: [&str; 1] = ["ForceOff"];

/// Timeout for closing a session.
const SESSION_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The login method of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedfishLogin {
    /// User and password in each request.
    #[default]
    Basic,
    /// A session for each call, closed at its end: BMCs support few sessions.
    Session,
}

/// Options of a Redfish service.
#[derive(Clone, Debug)]
pub struct RedfishOptions {
    /// The device's name.
    pub name: String,
    /// `https://bmc[:port]`, without a path.
    pub url: String,
    /// The user.
    pub user: String,
    /// The password.
    pub password: SecretString,
    /// Trust in the service's certificate.
    pub trust: Trust,
    /// The login method.
    pub login: RedfishLogin,
    /// True to accept http to another machine, although password and commands can then be read and changed on the
    /// network.
    pub allow_http: bool,
    /// Timeout of one call with all its requests.
    pub call_timeout: Duration,
    /// The HTTP clients, to be shared among devices.
    pub clients: WebClients,
}

impl RedfishOptions {
    /// Creates options with the default trust, login method and timeout.
    pub fn new(
        name: impl Into<String>,
        url: impl Into<String>,
        user: impl Into<String>,
        password: SecretString,
    ) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            user: user.into(),
            password,
            trust: Trust::default(),
            login: RedfishLogin::default(),
            allow_http: false,
            call_timeout: Duration::from_secs(20),
            clients: WebClients::default(),
        }
    }
}

/// An error in the options of a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedfishError {
    /// The text is not an address.
    #[error("using {url:?} as the address of a Redfish service: {why}")]
    Url {
        /// The address; empty if it may contain a password.
        url: String,
        /// The reason.
        why: String,
    },
    /// User or password is empty, or the user contains a colon.
    #[error("user or password is empty, or the user contains a colon")]
    Login,
    /// The CA file cannot be used.
    #[error("using ca_file")]
    Authorities {
        /// The reason.
        #[from]
        #[source]
        source: AuthorityError,
    },
    /// TLS could not be set up.
    #[error("setting up TLS for a pinned certificate")]
    Tls {
        /// The error.
        #[source]
        source: rustls::Error,
    },
    /// The HTTP client could not be set up.
    #[error("setting up the HTTP client for Redfish")]
    Client {
        /// The error.
        #[source]
        source: reqwest::Error,
    },
}

/// A Redfish service.
pub struct Redfish {
    name: String,
    endpoint: String,
    client: Client,
    login: RedfishLogin,
    call_timeout: Duration,
    known: Mutex<HashMap<Plug, CachedSystem>>,
    clock: Arc<dyn Clock>,
}

/// The known system of a plug.
#[derive(Clone, Debug)]
struct CachedSystem {
    path: String,
    /// The hardware's UUID as of discovery.
    uuid: Option<String>,
}

impl std::fmt::Debug for Redfish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redfish")
            .field("name", &self.name)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Redfish {
    /// Creates the device. Sends no request yet.
    ///
    /// # Errors
    ///
    /// An option is wrong.
    pub fn new(options: RedfishOptions, clock: Arc<dyn Clock>) -> Result<Self, RedfishError> {
        let base = base(&options.url, options.allow_http)?;
        if options.user.is_empty()
            || options.user.contains(':')
            || options.password.expose_secret().is_empty()
        {
            return Err(RedfishError::Login);
        }
        let client = Client {
            http: options.clients.get(&options.trust)?,
            secret_filter: SecretFilter::new(&options.user, &options.password),
            base,
            user: options.user,
            password: options.password,
        };
        let endpoint = format!("redfish:{}", client.authority());
        if options.trust == Trust::Insecure {
            tracing::warn!(device = %options.name, %endpoint, "certificate check is disabled for a Redfish service");
        }
        Ok(Self {
            name: options.name,
            endpoint,
            client,
            login: options.login,
            call_timeout: options.call_timeout,
            known: Mutex::default(),
            clock,
        })
    }

    /// Runs one call under one login and one timeout. `switches` is true if the call may have had an effect when its
    /// result is lost.
    async fn within<T>(
        &self,
        switches: bool,
        work: impl AsyncFnOnce(&Login) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let logged_in = async {
            if self.login == RedfishLogin::Basic {
                return work(&Login::Basic).await;
            }
            let session = self.client.open_session().await?;
            let outcome = tokio::time::timeout(self.call_timeout, work(&session.login)).await;
            // Closing the session matters more than the call's own timeout, because the BMC has few sessions.
            if tokio::time::timeout(SESSION_CLOSE_TIMEOUT, self.client.close_session(&session))
                .await
                .is_err()
            {
                tracing::debug!(device = %self.name, "closing a Redfish session timed out");
            }
            outcome.unwrap_or_else(|_| Err(self.too_long(switches)))
        };
        let limit = match self.login {
            RedfishLogin::Basic => self.call_timeout,
            RedfishLogin::Session => self.call_timeout * 2 + SESSION_CLOSE_TIMEOUT,
        };
        let outcome = tokio::time::timeout(limit, logged_in).await;
        outcome.unwrap_or_else(|_| Err(self.too_long(switches)))
    }

    fn too_long(&self, switches: bool) -> CallError {
        let text = format!("{} took longer than {:?}", self.endpoint, self.call_timeout);
        fault(FaultClass::Transient, None, switches, text)
    }

    /// Reads the plug's current system. A system that no longer exists is searched again; one whose identity has
    /// changed is refused.
    async fn system(&self, login: &Login, plug: &Plug) -> Result<System, CallError> {
        let known = self.known().get(plug).cloned();
        if let Some(known) = known {
            match System::read(&self.client, login, known.path.clone()).await {
                Ok(system) => return self.same(plug, &known, system),
                Err(error) if error.fault.status == Some(404) => self.discard(plug),
                Err(error) => return Err(error),
            }
        }
        let path = system::find(&self.client, login, plug).await?;
        let system = System::read(&self.client, login, path).await?;
        let known = CachedSystem {
            path: system.path.clone(),
            uuid: system.uuid(),
        };
        self.known().insert(plug.clone(), known);
        Ok(system)
    }

    fn same(&self, plug: &Plug, known: &CachedSystem, system: System) -> Result<System, CallError> {
        match (&known.uuid, system.uuid()) {
            (Some(before), Some(now)) if *before != now => {
                self.discard(plug);
                let text = format!(
                    "{}: {} was {before} and is now {now}, so the answer is not about host {}",
                    self.endpoint,
                    known.path,
                    plug.host()
                );
                Err(fault(
                    FaultClass::Transient,
                    Some(200),
                    false,
                    self.client.secret_filter.line(&text),
                ))
            }
            _ => Ok(system),
        }
    }

    fn discard(&self, plug: &Plug) {
        self.known().remove(plug);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Plug, CachedSystem>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self, system: &System) -> PowerReading {
        PowerReading {
            power: system.power(),
            raw: self.client.secret_filter.line(system.raw()),
            device: format!("{} {}", self.endpoint, system.path),
            at: self.clock.wall(),
            machine: system.machine(),
        }
    }

    async fn reset(&self, plug: &Plug, reset_types: &[&str]) -> Result<(), CallError> {
        // One time limit for the login and another for the call.
        let not_after = self.clock.boot() + self.call_timeout * 2;
        self.within(true, async |login| {
            let system = self.system(login, plug).await?;
            let target = system.target(&self.client)?;
            let reset = system.reset_type(&self.client, login, reset_types).await?;
            // A process that was stopped meanwhile must not send a command that another engine may have repeated.
            if self.clock.boot() > not_after {
                let text = format!("{reset} was not sent to {} in time", self.endpoint);
                return Err(fault(FaultClass::Transient, None, false, text));
            }
            self.client
                .post(login, &target, &json!({"ResetType": reset}))
                .await
        })
        .await
    }
}

#[async_trait]
impl Device for Redfish {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        Kind::Redfish
    }

    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    #[instrument(name = "redfish::read_power", skip_all, fields(device = %self.name, %plug), err(level = "debug"))]
    async fn read_power(&self, plug: &Plug) -> Result<PowerReading, CallError> {
        let system = self
            .within(false, async |login| self.system(login, plug).await)
            .await?;
        Ok(self.reading(&system))
    }

    #[instrument(name = "redfish::machine", skip_all, fields(device = %self.name, %plug), err(level = "debug"))]
    async fn machine(&self, plug: &Plug) -> Result<Option<MachineId>, CallError> {
        let system = self
            .within(false, async |login| self.system(login, plug).await)
            .await?;
        Ok(system.machine())
    }

    /// Also checks whether the system accepts the command that a power-off sends.
    #[instrument(name = "redfish::check", skip_all, fields(device = %self.name, %plug), err(level = "debug"))]
    async fn check(&self, plug: &Plug) -> Result<SelfTestOutcome, CallError> {
        let started_at = Instant::now();
        let (system, obstacle) = self
            .within(false, async |login| {
                let system = self.system(login, plug).await?;
                let order = async {
                    system.target(&self.client)?;
                    system.reset_type(&self.client, login, &OFF_RESET_TYPES).await
                };
                let refused = order
                    .await
                    .err()
                    .filter(|error| error.fault.class == FaultClass::Permanent);
                Ok((system, refused))
            })
            .await?;
        Ok(SelfTestOutcome {
            reading: self.reading(&system),
            latency: started_at.elapsed(),
            warnings: Vec::new(),
            obstacle: obstacle.map(|error| format!("power-off would fail: {}", error.fault.text)),
        })
    }

    #[instrument(name = "redfish::power_off", skip_all, fields(device = %self.name, %plug), err(level = "debug"))]
    async fn power_off(&self, plug: &Plug, _reason: &str) -> Result<(), CallError> {
        self.reset(plug, &OFF_RESET_TYPES).await
    }

    #[instrument(name = "redfish::power_on", skip_all, fields(device = %self.name, %plug), err(level = "debug"))]
    async fn power_on(&self, plug: &Plug, _reason: &str) -> Result<(), CallError> {
        self.reset(plug, &["On", "ForceOn"]).await
    }
}

/// Parses the service's address: scheme, host and port.
fn base(text: &str, allow_http: bool) -> Result<Url, RedfishError> {
    let wrong = |url: &str, why: &str| RedfishError::Url {
        url: url.to_owned(),
        why: why.to_owned(),
    };
    let trimmed = text.trim();
    let mut url = Url::parse(trimmed).map_err(|error| wrong("", &error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("", "the address must not contain credentials"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("", "the address must not have a query or a fragment"));
    }
    if !url.has_host() {
        return Err(wrong(trimmed, "it has no host"));
    }
    match url.scheme() {
        "https" => {}
        "http" if allow_http || is_loopback(&url) => {}
        "http" => {
            return Err(wrong(
                trimmed,
                "http would expose the password on the network; use https, or set allow_http",
            ));
        }
        _ => return Err(wrong(trimmed, "not an http or https address")),
    }
    if !matches!(url.path().trim_end_matches('/'), "" | "/redfish" | "/redfish/v1") {
        return Err(wrong(
            trimmed,
            "give only the address of the service; systems are configured with the hosts",
        ));
    }
    url.set_path("/");
    Ok(url)
}
