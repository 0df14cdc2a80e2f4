//! Nova behind the engine's port.
//!
//! Microversions: each call uses the lowest one that provides all it wants, or the highest one of the cloud if that is
//! lower:
//!
//! | calls | wants | needs | with less |
//! |---|---|---|---|
//! | services | 2.69 | 2.53 | a host in a down cell seems not to exist |
//! | servers, lock | 2.73 | 2.53 | no `locked_reason`: locks are set and read without a reason |
//! | servers, with image properties | 2.98 | 2.53 | images without properties; requested only if a rule uses them |
//! | migrations | 2.59 | 2.59 | an error: lists without pages cannot be trusted |
//! | aggregates, hypervisors | 2.53 | 2.53 | |
//! | Placement | 1.9 | 1.9 | the free capacity of hosts is unknown |
//! | server groups | 2.64 | 2.53 | anti-affinity groups allow one member per host |
//! | canaries of a live drill | 2.74 | 2.74 | an error: a server cannot be requested on a given host |
//! | evacuate | 2.94 | 2.53 | from 2.95 on Nova leaves evacuated servers stopped |

mod action;
mod aggregate;
mod canary;
mod contents;
mod group;
mod hypervisor;
mod migration;
mod orders;
mod pages;
mod placement;
mod server;
mod service;
mod version;

pub use canary::CanaryCalls;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use osauth::ApiVersion;
use serde_json::Value;
use tachi_domain::forecast::{Group, Provider};
use tachi_domain::nova::{Migration, Server, ServerAction, Service, VmState};
use tachi_domain::reserved::{Aggregate, Resources};
use tachi_domain::{MigrationId, ServerId, ServiceId, Timestamp};
use tachi_engine::ports::{
    Aggregates, CallError, CloudLists, Compute, Contents, Inventory, ProviderLine, Rooms, ServerCalls,
    ServerPage, ServiceChange, Services,
};
use tracing::instrument;

use crate::answer::Answer;
use crate::fault::{Effect, ErrorScope};
use crate::keystone::plugin;
use crate::session::{Call, Session};
use version::{Feature, Versions};

/// A client of Nova that uses a [`Session`].
#[derive(Debug)]
pub struct Nova {
    session: Session,
    versions: Versions,
    servers: Feature,
}

/// Returns a read of Nova.
fn read<'a>(path: &'a [&'a str], query: &'a [(&'static str, String)], about: ErrorScope) -> Call<'a> {
    Call::read(plugin::Service::Compute, path, query, about)
}

/// Returns a write to an object of Nova. `started_at` is the time (boot clock) at which the caller started.
fn write<'a>(
    method: Method,
    path: &'a [&'a str],
    body: Option<Value>,
    effect: Effect,
    started_at: Duration,
) -> Call<'a> {
    Call {
        method,
        body,
        effect,
        started_at,
        ..read(path, &[], ErrorScope::Object)
    }
}

impl Nova {
    /// Creates a client of Nova in the session's cloud. Sends no request yet.
    pub fn new(session: Session) -> Self {
        Self {
            session,
            versions: Versions::default(),
            servers: Feature::SERVERS,
        }
    }

    /// Reads servers with the properties of their images if Nova shows them.
    #[must_use]
    pub fn with_image_properties(self) -> Self {
        Self {
            servers: Feature::SERVERS_AND_IMAGES,
            ..self
        }
    }

    /// True if Nova has a compute service on a host of exactly this name, whether up or down.
    ///
    /// # Errors
    ///
    /// The same as for [`Compute::service`], except that a host in a down cell exists.
    #[instrument(name = "nova::compute_host_exists", skip_all, fields(host = %host), err(level = "debug"))]
    pub async fn compute_host_exists(&self, host: &str) -> Result<bool, CallError> {
        service::exists(self, host).await
    }

    /// Asks Nova for its range of microversions, and Keystone for a token if there is none yet. Used for a check at
    /// start-up.
    ///
    /// # Errors
    ///
    /// The same as for [`Compute::service`]; fatal if Nova is too old.
    #[instrument(name = "nova::probe", skip_all, err(level = "debug"))]
    pub async fn probe(&self) -> Result<(), CallError> {
        self.version(Feature::MIGRATIONS).await.map(|_| ())
    }

    async fn version(&self, feature: Feature) -> Result<ApiVersion, CallError> {
        self.versions.microversion_for(&self.session, feature).await
    }

    /// Sends a call with the microversion for `feature`, which is negotiated after the call's start.
    async fn call(&self, feature: Feature, mut call: Call<'_>) -> Result<Answer, CallError> {
        call.version = Some(self.version(feature).await?);
        let outcome = self.session.call(&call).await;
        if let Err(error) = &outcome {
            // Nova was replaced by another release, so the negotiated version is no longer valid.
            if error.fault.status == Some(406) {
                self.versions.clear().await;
            }
        }
        outcome
    }
}

#[async_trait]
impl CloudLists for Nova {
    #[instrument(name = "nova::make_ready", skip_all, err(level = "debug"))]
    async fn make_ready(&self) -> Result<(), CallError> {
        self.session.make_ready().await?;
        self.version(Feature::EVACUATE).await.map(|_| ())
    }

    #[instrument(name = "nova::services", skip_all, err(level = "debug"))]
    async fn services(&self) -> Result<Services, CallError> {
        service::all(self).await
    }

    #[instrument(name = "nova::evacuations", skip_all, err(level = "debug"))]
    async fn evacuations(&self, since: Option<Timestamp>) -> Result<Vec<Migration>, CallError> {
        migration::evacuations(self, since).await
    }
}

#[async_trait]
impl Compute for Nova {
    #[instrument(name = "nova::service", skip_all, fields(host = %host), err(level = "debug"))]
    async fn service(&self, host: &str) -> Result<Option<Service>, CallError> {
        service::get(self, host).await
    }

    #[instrument(name = "nova::update_service", skip_all, fields(service = %id), err(level = "debug"))]
    async fn update_service(&self, id: ServiceId, change: &ServiceChange) -> Result<Service, CallError> {
        service::update(self, id, change).await
    }

    #[instrument(name = "nova::servers_on", skip_all, fields(host = %host), err(level = "debug"))]
    async fn servers_on(&self, host: &str) -> Result<Vec<Server>, CallError> {
        server::list(self, host).await
    }

    #[instrument(name = "nova::contents", skip_all, fields(host = %host), err(level = "debug"))]
    async fn contents(&self, host: &str, shown: bool) -> Result<Contents, CallError> {
        contents::read(self, host, shown).await
    }

    #[instrument(name = "nova::server_ids_on", skip_all, fields(host = %host), err(level = "debug"))]
    async fn server_ids_on(&self, host: &str) -> Result<BTreeSet<ServerId>, CallError> {
        server::ids(self, host).await
    }

    #[instrument(name = "nova::count_in_cell", skip_all, fields(host = %host), err(level = "debug"))]
    async fn count_in_cell(&self, host: &str) -> Result<Option<usize>, CallError> {
        hypervisor::count_servers(self, host).await
    }

    #[instrument(name = "nova::server", skip_all, fields(server = %id), err(level = "debug"))]
    async fn server(&self, id: ServerId) -> Result<Option<Server>, CallError> {
        server::get(self, id).await
    }

    #[instrument(name = "nova::migrations_touching", skip_all, fields(host = %host), err(level = "debug"))]
    async fn migrations_touching(&self, host: &str) -> Result<Vec<Migration>, CallError> {
        migration::touching(self, host).await
    }

    #[instrument(name = "nova::evacuations_from", skip_all, fields(host = %host), err(level = "debug"))]
    async fn evacuations_from(
        &self,
        host: &str,
        since: Option<Timestamp>,
    ) -> Result<Vec<Migration>, CallError> {
        migration::evacuations_from(self, host, since).await
    }

    #[instrument(name = "nova::migrations_of", skip_all, fields(server = %id), err(level = "debug"))]
    async fn migrations_of(&self, id: ServerId) -> Result<(Vec<Migration>, Option<u8>), CallError> {
        migration::of_server(self, id).await
    }
}

#[async_trait]
impl ServerCalls for Nova {
    #[instrument(name = "nova::evacuate", skip_all, fields(server = %id, target), err(level = "debug"))]
    async fn evacuate(&self, id: ServerId, target: Option<&str>) -> Result<(), CallError> {
        tracing::Span::current().record("target", target);
        action::evacuate(self, id, target).await
    }

    #[instrument(name = "nova::live_migrate", skip_all, fields(server = %id, target), err(level = "debug"))]
    async fn live_migrate(&self, id: ServerId, target: Option<&str>) -> Result<(), CallError> {
        tracing::Span::current().record("target", target);
        action::live_migrate(self, id, target).await
    }

    #[instrument(name = "nova::migrate", skip_all, fields(server = %id), err(level = "debug"))]
    async fn migrate(&self, id: ServerId) -> Result<(), CallError> {
        action::once(self, id, "migrate").await
    }

    #[instrument(name = "nova::confirm_migration", skip_all, fields(server = %id), err(level = "debug"))]
    async fn confirm_migration(&self, id: ServerId) -> Result<(), CallError> {
        action::once(self, id, "confirmResize").await
    }

    #[instrument(name = "nova::abort_migration", skip_all, fields(server = %id, %migration), err(level = "debug"))]
    async fn abort_migration(&self, id: ServerId, migration: MigrationId) -> Result<(), CallError> {
        action::abort_migration(self, id, migration).await
    }

    #[instrument(name = "nova::lock", skip_all, fields(server = %id), err(level = "debug"))]
    async fn lock(&self, id: ServerId, reason: &str) -> Result<(), CallError> {
        action::lock(self, id, reason).await
    }

    #[instrument(name = "nova::unlock", skip_all, fields(server = %id), err(level = "debug"))]
    async fn unlock(&self, id: ServerId) -> Result<(), CallError> {
        action::unlock(self, id).await
    }

    #[instrument(name = "nova::reset_state", skip_all, fields(server = %id, to = %to), err(level = "debug"))]
    async fn reset_state(&self, id: ServerId, to: &VmState) -> Result<(), CallError> {
        action::reset_state(self, id, to).await
    }

    #[instrument(name = "nova::start", skip_all, fields(server = %id), err(level = "debug"))]
    async fn start(&self, id: ServerId) -> Result<(), CallError> {
        action::once(self, id, "os-start").await
    }

    #[instrument(name = "nova::stop", skip_all, fields(server = %id), err(level = "debug"))]
    async fn stop(&self, id: ServerId) -> Result<(), CallError> {
        action::once(self, id, "os-stop").await
    }

    #[instrument(name = "nova::pause", skip_all, fields(server = %id), err(level = "debug"))]
    async fn pause(&self, id: ServerId) -> Result<(), CallError> {
        action::once(self, id, "pause").await
    }

    #[instrument(name = "nova::suspend", skip_all, fields(server = %id), err(level = "debug"))]
    async fn suspend(&self, id: ServerId) -> Result<(), CallError> {
        action::once(self, id, "suspend").await
    }
}

#[async_trait]
impl Aggregates for Nova {
    #[instrument(name = "nova::aggregates", skip_all, err(level = "debug"))]
    async fn aggregates(&self) -> Result<Vec<Aggregate>, CallError> {
        aggregate::list(self).await
    }

    #[instrument(name = "nova::add_to_aggregate", skip_all, fields(aggregate, host = %host), err(level = "debug"))]
    async fn add_to_aggregate(&self, aggregate: u64, host: &str) -> Result<(), CallError> {
        aggregate::act(self, aggregate, "add_host", host).await
    }

    #[instrument(name = "nova::remove_from_aggregate", skip_all, fields(aggregate, host = %host), err(level = "debug"))]
    async fn remove_from_aggregate(&self, aggregate: u64, host: &str) -> Result<(), CallError> {
        aggregate::act(self, aggregate, "remove_host", host).await
    }

    #[instrument(name = "placement::room_on", skip_all, fields(host = %host), err(level = "debug"))]
    async fn room_on(&self, host: &str) -> Result<Option<Resources>, CallError> {
        placement::room_on(self, host).await
    }
}

#[async_trait]
impl Inventory for Nova {
    #[instrument(name = "nova::servers", skip_all, err(level = "debug"))]
    async fn servers(
        &self,
        after: Option<ServerId>,
        changed_since: Option<Timestamp>,
    ) -> Result<ServerPage, CallError> {
        server::page(self, after, changed_since).await
    }

    #[instrument(name = "nova::orders", skip_all, fields(server = %server), err(level = "debug"))]
    async fn orders(&self, server: ServerId) -> Result<Option<Vec<ServerAction>>, CallError> {
        orders::of(self, server).await
    }
}

#[async_trait]
impl Rooms for Nova {
    #[instrument(name = "placement::providers", skip_all, err(level = "debug"))]
    async fn providers(&self) -> Result<Vec<ProviderLine>, CallError> {
        placement::providers(self).await
    }

    #[instrument(name = "nova::nodes", skip_all, err(level = "debug"))]
    async fn nodes(&self) -> Result<BTreeMap<String, String>, CallError> {
        hypervisor::nodes(self).await
    }

    #[instrument(name = "placement::provider", skip_all, fields(provider = %id), err(level = "debug"))]
    async fn provider(&self, id: &str) -> Result<Option<(u64, Provider)>, CallError> {
        placement::provider(self, id).await
    }

    #[instrument(name = "nova::all_aggregates", skip_all, err(level = "debug"))]
    async fn all_aggregates(&self) -> Result<Vec<Aggregate>, CallError> {
        aggregate::list(self).await
    }

    #[instrument(name = "nova::groups", skip_all, err(level = "debug"))]
    async fn groups(&self) -> Result<Vec<Group>, CallError> {
        group::list(self).await
    }
}

#[cfg(test)]
mod inventory_tests;
#[cfg(test)]
mod reserve_tests;
#[cfg(test)]
mod tests;
