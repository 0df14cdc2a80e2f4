//! Nova, as far as recoveries need it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use tachi_domain::fault::{Fault, FaultClass};
use tachi_domain::nova::{Migration, Server, Service, VmState};
use tachi_domain::reserved::{Aggregate, Resources};
use tachi_domain::{MigrationId, ServerId, ServiceId, Timestamp};

/// A call that failed. `fault` is what decisions are made by; `source` is for the log.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct CallError {
    /// What a decision needs to know.
    pub fault: Fault,
    /// The error below, if there is one.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A service asks for patience: the `source` of a [`CallError`] that was answered 429, 413, or 503 with a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the service asks for patience")]
pub struct Pushback {
    /// How long, if it says so.
    pub retry_after: Option<std::time::Duration>,
}

impl CallError {
    /// Whether the service has asked for patience.
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

    /// A permanent error that no call was made for.
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

/// What to change of a service record; one PUT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceChange {
    /// `Some(Some(reason))` disables with that reason, `Some(None)` enables, `None` leaves status and reason alone.
    pub disable: Option<Option<String>>,
    /// Sets or clears `forced_down`.
    pub forced_down: Option<bool>,
}

/// What Nova's list of services shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// Every `nova-compute` record by the name of its host; `None` for one in a cell that is down.
    pub computes: BTreeMap<String, Option<Service>>,
    /// Every `nova-conductor` is up; `false` if there is none.
    pub conductors_up: bool,
    /// A `nova-scheduler` is up.
    pub scheduler_up: bool,
}

/// What Nova has on a host and what touches it, as one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The host's service record after the lists; `None` if Nova did not show it before them and after them.
    pub service: Option<Service>,
    /// As of [`Compute::migrations_touching`].
    pub migrations: Vec<Migration>,
    /// As of [`Compute::servers_on`]. Read last, so a move that ends in between is still seen unfinished (R11).
    pub servers: Vec<Server>,
}

// Every call to Nova has a total deadline of its own and follows every page.

/// What is asked of Nova as a whole, whatever fails.
#[async_trait]
pub trait CloudLists: Send + Sync {
    /// Makes sure that the next call needs nothing before its first byte, such as a new token (R4).
    ///
    /// # Errors
    ///
    /// Keystone failed; nothing was asked of Nova.
    async fn make_ready(&self) -> Result<(), CallError>;

    /// Every service record.
    ///
    /// # Errors
    ///
    /// As for [`Compute::service`], but for a cell that is down.
    async fn services(&self) -> Result<Services, CallError>;

    /// The evacuation records of all hosts, newest first, page by page until one is older than `since`; those of a cell
    /// that is down are missing. A hint only.
    ///
    /// # Errors
    ///
    /// As for [`Compute::service`], but for a cell that is down.
    async fn evacuations(&self, since: Option<Timestamp>) -> Result<Vec<Migration>, CallError>;
}

/// What a recovery, a plan or a command asks about one host and its instances, and the host's service record.
#[async_trait]
pub trait Compute: Send + Sync {
    /// The `nova-compute` service record of `host`; `None` if Nova knows no such host.
    ///
    /// # Errors
    ///
    /// Nova or Keystone failed, or the host's cell is down (transient).
    async fn service(&self, host: &str) -> Result<Option<Service>, CallError>;

    /// Changes a service record and returns it as Nova shows it then. Idempotent.
    ///
    /// # Errors
    ///
    /// 400 while Nova refuses (permanent), or as for [`Compute::service`].
    async fn update_service(&self, id: ServiceId, change: &ServiceChange) -> Result<Service, CallError>;

    /// Every server of every project whose service host is `host`, all pages.
    ///
    /// # Errors
    ///
    /// As for [`Compute::service`]. Never a part of the list.
    async fn servers_on(&self, host: &str) -> Result<Vec<Server>, CallError>;

    /// The host's migrations and servers, between two looks at its service record: a cell that goes away takes the record with it,
    /// so that what is not on the lists need not be asked for by itself. `shown`: the record was seen just now, and is not read
    /// before the lists.
    ///
    /// # Errors
    ///
    /// As for [`Compute::service`]. Never a part of a list.
    async fn contents(&self, host: &str, shown: bool) -> Result<Contents, CallError>;

    /// The ids of those servers, and nothing else of them, which is far less work for Nova. `host` is compared as Nova's database
    /// compares, so one whose name differs in case only may be counted in.
    ///
    /// # Errors
    ///
    /// As for [`Compute::service`]. Never a part of the list.
    async fn server_ids_on(&self, host: &str) -> Result<BTreeSet<ServerId>, CallError>;

    /// How many servers the cell of `host` has there, asked by itself; `None` if Nova knows no hypervisor of that host. Never of a
    /// part of them: lists of servers leave out a cell that does not answer, and this fails then.
    ///
    /// # Errors
    ///
    /// As for [`Compute::service`].
    async fn count_in_cell(&self, host: &str) -> Result<Option<usize>, CallError>;

    /// One server; `None` if it is gone.
    ///
    /// # Errors
    ///
    /// As for [`Compute::service`].
    async fn server(&self, id: ServerId) -> Result<Option<Server>, CallError>;

    /// Every migration record, of any kind, with `host` as source or destination (R11).
    ///
    /// # Errors
    ///
    /// As for [`Compute::service`].
    async fn migrations_touching(&self, host: &str) -> Result<Vec<Migration>, CallError>;

    /// The evacuation records with `host` as source, newest first, page by page until one is older than `since`
    /// (R13). `None` reads all.
    ///
    /// # Errors
    ///
    /// As for [`Compute::service`].
    async fn evacuations_from(
        &self,
        host: &str,
        since: Option<Timestamp>,
    ) -> Result<Vec<Migration>, CallError>;

    /// The live migrations of a server, all of them, and how much of the one under way is done.
    ///
    /// # Errors
    ///
    /// Anything that kept the answer from being complete.
    async fn live_migrations(&self, id: ServerId) -> Result<(Vec<Migration>, Option<u8>), CallError>;
}

/// What recoveries and plans have Nova do with one instance.
#[async_trait]
pub trait ServerCalls: Send + Sync {
    /// Asks Nova to rebuild the server elsewhere, on `target` if given. Asynchronous, and *not* idempotent.
    ///
    /// # Errors
    ///
    /// 4xx as Nova gives it; `maybe_done` after a time-out or 5xx.
    async fn evacuate(&self, id: ServerId, target: Option<&str>) -> Result<(), CallError>;

    /// `os-migrateLive`; `target` is the service host, `None` leaves it to the scheduler, which checks a named one too.
    ///
    /// # Errors
    ///
    /// Anything that kept it from being accepted, or from being known to be.
    async fn live_migrate(&self, id: ServerId, target: Option<&str>) -> Result<(), CallError>;

    /// Aborts a live migration.
    ///
    /// # Errors
    ///
    /// Anything that kept it from being accepted; Nova aborts none that is about to end.
    async fn abort_migration(&self, id: ServerId, migration: MigrationId) -> Result<(), CallError>;

    /// Locks a server with a reason. Idempotent.
    ///
    /// # Errors
    ///
    /// As for [`ServerCalls::evacuate`].
    async fn lock(&self, id: ServerId, reason: &str) -> Result<(), CallError>;

    /// Unlocks a server. Idempotent.
    ///
    /// # Errors
    ///
    /// As for [`ServerCalls::evacuate`].
    async fn unlock(&self, id: ServerId) -> Result<(), CallError>;

    /// Sets vm_state to `error` or `active` and clears task_state, whatever the server really does.
    ///
    /// # Errors
    ///
    /// As for [`ServerCalls::evacuate`]; permanent for any other state.
    async fn reset_state(&self, id: ServerId, to: &VmState) -> Result<(), CallError>;

    /// Starts a stopped server.
    ///
    /// # Errors
    ///
    /// As for [`ServerCalls::evacuate`].
    async fn start(&self, id: ServerId) -> Result<(), CallError>;

    /// Stops a server.
    ///
    /// # Errors
    ///
    /// As for [`ServerCalls::evacuate`].
    async fn stop(&self, id: ServerId) -> Result<(), CallError>;

    /// Pauses a running server.
    ///
    /// # Errors
    ///
    /// As for [`ServerCalls::evacuate`].
    async fn pause(&self, id: ServerId) -> Result<(), CallError>;

    /// Suspends a running server.
    ///
    /// # Errors
    ///
    /// As for [`ServerCalls::evacuate`].
    async fn suspend(&self, id: ServerId) -> Result<(), CallError>;
}

/// Host aggregates, and the room on a host that may take instances.
#[async_trait]
pub trait Aggregates: Send + Sync {
    /// Every host aggregate.
    ///
    /// # Errors
    ///
    /// As for [`Compute::service`].
    async fn aggregates(&self) -> Result<Vec<Aggregate>, CallError>;

    /// Puts a host into an aggregate.
    ///
    /// # Errors
    ///
    /// 409 if it is in it already, or if that would change its availability zone; 404 if there is no such host.
    async fn add_to_aggregate(&self, aggregate: u64, host: &str) -> Result<(), CallError>;

    /// Takes a host out of an aggregate.
    ///
    /// # Errors
    ///
    /// 404 if it is not in it, or there is no such aggregate.
    async fn remove_from_aggregate(&self, aggregate: u64, host: &str) -> Result<(), CallError>;

    /// What Placement says is left on the host; `None` if it knows no such host, or the host has several nodes.
    ///
    /// # Errors
    ///
    /// Placement, Nova or Keystone failed, or there is no Placement.
    async fn room_on(&self, host: &str) -> Result<Option<Resources>, CallError>;
}

/// All of it, as an engine needs it.
pub trait NovaCalls: CloudLists + Compute + ServerCalls + Aggregates {}

impl<T: CloudLists + Compute + ServerCalls + Aggregates> NovaCalls for T {}
