//! The parts of Nova that recoveries need.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use tachi_domain::fault::{Fault, FaultClass};
use tachi_domain::nova::{Migration, Server, Service, VmState};
use tachi_domain::reserved::{Aggregate, Resources};
use tachi_domain::{MigrationId, ServerId, ServiceId, Timestamp};

use super::inventory::Inventory;

/// A failed call. Decisions depend on `fault`; `source` is for the log.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct CallError {
    /// The part that a decision needs.
    pub fault: Fault,
    /// The underlying error.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A service's request to slow down: the `source` of a [`CallError`] for a 429, a 413, or a 503 with a retry time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the service requests a pause")]
pub struct Pushback {
    /// The requested delay, if any.
    pub retry_after: Option<std::time::Duration>,
}

impl CallError {
    /// Returns the service's request to slow down, if there is one.
    pub fn pushback(&self) -> Option<Pushback> {
        let mut below = self
            .source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static));
        while let Some(error) = below {
            if let Some(pushback) = error.downcast_ref::<Pushback>() {
                return Some(*pushback);
            }
            below = error.source();
        }
        None
    }

    /// Creates a permanent error without a call.
    pub fn refused(text: impl Into<String>) -> Self {
        let fault = Fault {
            class: FaultClass::Permanent,
            status: None,
            maybe_done: false,
            text: text.into(),
        };
        Self { fault, source: None }
    }
}

/// Changes to a service record; one PUT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceChange {
    /// `Some(Some(reason))` disables with that reason, `Some(None)` enables, `None` leaves status and reason alone.
    pub disable: Option<Option<String>>,
    /// Sets or clears `forced_down`.
    pub forced_down: Option<bool>,
}

/// The content of Nova's list of services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// Every `nova-compute` record by the name of its host; `None` for one in a cell that is down, and for a host that has
    /// several.
    pub computes: BTreeMap<String, Option<Service>>,
    /// The error of each host that has several records: which of them is the host's is not known.
    pub ambiguous: BTreeMap<String, Fault>,
    /// True if every `nova-conductor` is up; `false` if there is none.
    pub conductors_up: bool,
    /// True if a `nova-scheduler` is up.
    pub scheduler_up: bool,
}

/// A host's servers, and the migrations that touch it, read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The host's service record after the lists; `None` if Nova did not show it before them and after them.
    pub service: Option<Service>,
    /// The result of [`Compute::migrations_touching`].
    pub migrations: Vec<Migration>,
    /// The result of [`Compute::servers_on`]. Read last, so a move that ends in between is still seen unfinished.
    pub servers: Vec<Server>,
}

// Every call to Nova has a total deadline and reads every page.

/// Queries about Nova as a whole, independent of any failure.
#[async_trait]
pub trait CloudLists: Send + Sync {
    /// Prepares the session, such as its token, so that the next call is sent at once.
    ///
    /// # Errors
    ///
    /// Keystone failed; no request was sent to Nova.
    async fn make_ready(&self) -> Result<(), CallError>;

    /// Returns every service record.
    ///
    /// # Errors
    ///
    /// The same errors as [`Compute::service`], except that a cell that is down is no error.
    async fn services(&self) -> Result<Services, CallError>;

    /// Returns the evacuation records of all hosts, newest first, page by page until one is older than `since`. Records
    /// of a cell that is down are missing. The result is a hint only.
    ///
    /// # Errors
    ///
    /// The same errors as [`Compute::service`], except that a cell that is down is no error.
    async fn evacuations(&self, since: Option<Timestamp>) -> Result<Vec<Migration>, CallError>;
}

/// Queries that a recovery, a plan or a command makes about one host, its instances and its service record.
#[async_trait]
pub trait Compute: Send + Sync {
    /// Returns the `nova-compute` service record of `host`; `None` if Nova knows no such host.
    ///
    /// # Errors
    ///
    /// Nova or Keystone failed, or the host's cell is down (transient).
    async fn service(&self, host: &str) -> Result<Option<Service>, CallError>;

    /// Changes a service record and returns it as Nova shows it afterwards. Idempotent.
    ///
    /// # Errors
    ///
    /// 400 while Nova refuses (permanent), or as for [`Compute::service`].
    async fn update_service(&self, id: ServiceId, change: &ServiceChange) -> Result<Service, CallError>;

    /// Returns every server of every project whose service host is `host`, from all pages.
    ///
    /// # Errors
    ///
    /// The same errors as [`Compute::service`]. Never returns part of the list.
    async fn servers_on(&self, host: &str) -> Result<Vec<Server>, CallError>;

    /// Returns the host's migrations and servers, read between two reads of its service record. If the cell goes down,
    /// the record is missing too, so servers that are missing from the lists need no separate query. `shown` is true
    /// if the record was read just now, and need not be read before the lists.
    ///
    /// # Errors
    ///
    /// The same errors as [`Compute::service`]. Never returns part of a list.
    async fn contents(&self, host: &str, shown: bool) -> Result<Contents, CallError>;

    /// Returns only the ids of those servers, with far less work for Nova. Nova's database compares `host`, so the result
    /// may include a host whose name differs only in case.
    ///
    /// # Errors
    ///
    /// The same errors as [`Compute::service`]. Never returns part of the list.
    async fn server_ids_on(&self, host: &str) -> Result<BTreeSet<ServerId>, CallError>;

    /// Returns the number of servers that the cell of `host` has there, from a query to the cell itself; `None` if Nova
    /// knows no hypervisor of that host. Lists of servers omit a cell that does not answer; this call fails then.
    ///
    /// # Errors
    ///
    /// The same errors as [`Compute::service`].
    async fn count_in_cell(&self, host: &str) -> Result<Option<usize>, CallError>;

    /// Returns one server; `None` if it is gone.
    ///
    /// # Errors
    ///
    /// The same errors as [`Compute::service`].
    async fn server(&self, id: ServerId) -> Result<Option<Server>, CallError>;

    /// Returns every migration record, of any kind, with `host` as source or destination.
    ///
    /// # Errors
    ///
    /// The same errors as [`Compute::service`].
    async fn migrations_touching(&self, host: &str) -> Result<Vec<Migration>, CallError>;

    /// Returns the evacuation records with `host` as source, newest first, page by page until one is older than `since`. `None` reads all.
    ///
    /// # Errors
    ///
    /// The same errors as [`Compute::service`].
    async fn evacuations_from(
        &self,
        host: &str,
        since: Option<Timestamp>,
    ) -> Result<Vec<Migration>, CallError>;

    /// Returns all migrations of a server, and the progress in percent of a live migration in progress.
    ///
    /// # Errors
    ///
    /// The answer is missing or incomplete.
    async fn migrations_of(&self, id: ServerId) -> Result<(Vec<Migration>, Option<u8>), CallError>;
}

/// Calls that recoveries and plans make about one instance.
#[async_trait]
pub trait ServerCalls: Send + Sync {
    /// Requests a rebuild of the server on `target`, or on a host of the scheduler's choice. Asynchronous, and *not* idempotent.
    ///
    /// # Errors
    ///
    /// 4xx as Nova returns it; `maybe_done` after a time-out or 5xx.
    async fn evacuate(&self, id: ServerId, target: Option<&str>) -> Result<(), CallError>;

    /// `os-migrateLive`; `target` is the service host, `None` leaves it to the scheduler, which checks a named one too.
    ///
    /// # Errors
    ///
    /// Nova did not accept the request, or its answer is unknown.
    async fn live_migrate(&self, id: ServerId, target: Option<&str>) -> Result<(), CallError>;

    /// Moves a stopped server to another host of the scheduler's choice: `migrate`. Asynchronous; Nova refuses a second one
    /// while the first is running or awaits its confirmation.
    ///
    /// # Errors
    ///
    /// The same errors as [`ServerCalls::evacuate`].
    async fn migrate(&self, id: ServerId) -> Result<(), CallError>;

    /// Confirms such a move: `confirmResize`.
    ///
    /// # Errors
    ///
    /// The same errors as [`ServerCalls::evacuate`].
    async fn confirm_migration(&self, id: ServerId) -> Result<(), CallError>;

    /// Aborts a live migration.
    ///
    /// # Errors
    ///
    /// Nova did not accept the request. It refuses to abort a migration that is about to end.
    async fn abort_migration(&self, id: ServerId, migration: MigrationId) -> Result<(), CallError>;

    /// Locks a server with a reason. Idempotent.
    ///
    /// # Errors
    ///
    /// The same errors as [`ServerCalls::evacuate`].
    async fn lock(&self, id: ServerId, reason: &str) -> Result<(), CallError>;

    /// Unlocks a server. Idempotent.
    ///
    /// # Errors
    ///
    /// The same errors as [`ServerCalls::evacuate`].
    async fn unlock(&self, id: ServerId) -> Result<(), CallError>;

    /// Sets vm_state to `error` or `active` and clears task_state, regardless of the server's real state.
    ///
    /// # Errors
    ///
    /// The same errors as [`ServerCalls::evacuate`]; permanent for any other state.
    async fn reset_state(&self, id: ServerId, to: &VmState) -> Result<(), CallError>;

    /// Starts a stopped server.
    ///
    /// # Errors
    ///
    /// The same errors as [`ServerCalls::evacuate`].
    async fn start(&self, id: ServerId) -> Result<(), CallError>;

    /// Stops a server.
    ///
    /// # Errors
    ///
    /// The same errors as [`ServerCalls::evacuate`].
    async fn stop(&self, id: ServerId) -> Result<(), CallError>;

    /// Pauses a running server.
    ///
    /// # Errors
    ///
    /// The same errors as [`ServerCalls::evacuate`].
    async fn pause(&self, id: ServerId) -> Result<(), CallError>;

    /// Suspends a running server.
    ///
    /// # Errors
    ///
    /// The same errors as [`ServerCalls::evacuate`].
    async fn suspend(&self, id: ServerId) -> Result<(), CallError>;
}

/// Host aggregates, and the free capacity of destinations.
#[async_trait]
pub trait Aggregates: Send + Sync {
    /// Returns every host aggregate.
    ///
    /// # Errors
    ///
    /// The same errors as [`Compute::service`].
    async fn aggregates(&self) -> Result<Vec<Aggregate>, CallError>;

    /// Adds a host to an aggregate.
    ///
    /// # Errors
    ///
    /// 409 if the host is a member already, or would change its availability zone; 404 if there is no such host.
    async fn add_to_aggregate(&self, aggregate: u64, host: &str) -> Result<(), CallError>;

    /// Removes a host from an aggregate.
    ///
    /// # Errors
    ///
    /// 404 if the host is not a member, or the aggregate does not exist.
    async fn remove_from_aggregate(&self, aggregate: u64, host: &str) -> Result<(), CallError>;

    /// Returns the free capacity of the host by Placement; `None` if Placement does not know the host, or the host has
    /// several nodes.
    ///
    /// # Errors
    ///
    /// Placement, Nova or Keystone failed, or there is no Placement.
    async fn room_on(&self, host: &str) -> Result<Option<Resources>, CallError>;
}

/// All Nova ports that an engine needs.
pub trait NovaCalls: CloudLists + Compute + ServerCalls + Aggregates + Inventory {}

impl<T: CloudLists + Compute + ServerCalls + Aggregates + Inventory> NovaCalls for T {}
