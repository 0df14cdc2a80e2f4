//! The handle to the region's state, shared by tests, the demo and the HTTP services.

mod boot;
mod driver;
mod faults;
mod operator;
mod snapshot;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use uuid::Uuid;

pub use boot::Boot;
pub use faults::Faults;
pub use operator::Operator;
pub use snapshot::{HostSnapshot, MigrationSnapshot, ServerSnapshot};

use crate::SandboxError;
use crate::clock::Clock;
use crate::ledger::{LedgerReport, Run};
use crate::model::evacuate::EvacuateRequest;
use crate::model::{Caller, HostIx, ServerIx, State};
use crate::settings::RegionSettings;
use crate::web::faults::ApiFaults;
use crate::web::requests::RequestLog;

/// Poll interval of a wait without changes.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A handle to the simulated region; clones share the region.
///
/// Every call first executes all due events, so that its result is exact even on a busy machine.
#[derive(Debug, Clone)]
pub struct Region {
    inner: Arc<SharedRegion>,
}

#[derive(Debug)]
struct SharedRegion {
    state: Mutex<State>,
    clock: Clock,
    wakeup: Notify,
    changes: watch::Sender<u64>,
    api_faults: ApiFaults,
    requests: RequestLog,
}

impl Region {
    /// Creates a region that starts now. It needs only tokio's clock; [`crate::Sandbox`] adds the APIs.
    pub fn new(settings: RegionSettings) -> Self {
        let clock = Clock::start(settings.clock_scale);
        let state = State::new(settings);
        let inner = SharedRegion {
            state: Mutex::new(state),
            clock,
            wakeup: Notify::new(),
            changes: watch::Sender::new(0),
            api_faults: ApiFaults::default(),
            requests: RequestLog::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The model does not panic between two halves of a change; a panic elsewhere must not hide the ledger.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the current state.
    pub(crate) fn read<R>(&self, query: impl FnOnce(&State) -> R) -> R {
        let mut state = self.lock();
        let happened = self.catch_up(&mut state);
        let result = query(&state);
        drop(state);
        if happened {
            self.announce();
        }
        result
    }

    /// Changes the current state.
    pub(crate) fn change<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        self.catch_up(&mut state);
        let before = state.world.agenda.next_at();
        let outcome = act(&mut state);
        let is_sooner = state.world.agenda.next_at() != before;
        drop(state);
        if is_sooner {
            self.inner.wakeup.notify_one();
        }
        self.announce();
        outcome
    }

    fn catch_up(&self, state: &mut State) -> bool {
        let now = self.inner.clock.now();
        let due = state.world.agenda.next_at().is_some_and(|at| at <= now);
        state.advance(now);
        due
    }

    fn announce(&self) {
        self.inner
            .changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Returns the faults of the HTTP services.
    pub fn api_faults(&self) -> &ApiFaults {
        &self.inner.api_faults
    }

    /// Returns the log of API requests.
    pub fn requests(&self) -> &RequestLog {
        &self.inner.requests
    }

    /// Waits until `holds` is true; returns false if `limit` (real time) passes first. It checks after each event,
    /// and at intervals besides, because a heartbeat becomes stale without an event.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any point.
    pub async fn wait_until(&self, limit: Duration, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let mut changes = self.inner.changes.subscribe();
        let watching = async {
            loop {
                changes.borrow_and_update();
                if holds(self) {
                    return;
                }
                // In both cases the loop checks again; the sender lives as long as this region.
                let _ = tokio::time::timeout(POLL_INTERVAL, changes.changed()).await;
            }
        };
        tokio::time::timeout(limit, watching).await.is_ok()
    }

    /// Changes speeds and rules of the running region. Seed, scale and fleet have an effect at the start only.
    pub fn tune(&self, change: impl FnOnce(&mut RegionSettings)) {
        self.change(|state| change(&mut state.world.settings));
    }

    /// Returns the ledger's report: double runs, and the number of running instances.
    pub fn ledger(&self) -> LedgerReport {
        self.read(|state| state.world.hosts.ledger.report())
    }

    /// Returns the number of instances that ran on two hosts at any time.
    pub fn double_runs(&self) -> usize {
        self.read(|state| state.world.hosts.ledger.double_runs())
    }

    /// Returns those of `servers` (which should run) that run nowhere.
    pub fn lost(&self, servers: &[Uuid]) -> Vec<Uuid> {
        self.read(|state| state.world.hosts.ledger.lost(servers))
    }

    /// Returns every execution of one instance, oldest first.
    pub fn runs(&self, server: Uuid) -> Vec<Run> {
        self.read(|state| state.world.hosts.ledger.history(server).to_vec())
    }

    /// Requests an evacuation from Nova, as an administrator.
    ///
    /// # Errors
    ///
    /// Nova refuses, or there is no such server.
    pub fn evacuate(&self, server: Uuid, host: Option<&str>) -> Result<(), SandboxError> {
        self.change(|state| {
            let caller = Caller {
                user_id: state.tenants.user_of("admin").unwrap_or_default().to_owned(),
                project_id: state.tenants.project_id("admin").unwrap_or_default().to_owned(),
                admin: true,
            };
            let request = EvacuateRequest {
                host: host.map(str::to_owned),
                ..EvacuateRequest::default()
            };
            Ok(state.evacuate(&caller, server, &request)?)
        })
    }

    fn host_ix(state: &State, name: &str) -> Result<HostIx, SandboxError> {
        state
            .world
            .hosts
            .find(name)
            .ok_or_else(|| SandboxError::NoSuchHost {
                name: name.to_owned(),
            })
    }

    fn index_of(state: &State, id: Uuid) -> Result<ServerIx, SandboxError> {
        state
            .world
            .servers
            .index(id)
            .ok_or(SandboxError::NoSuchServer { id })
    }

    fn on_host<R>(&self, name: &str, act: impl FnOnce(&mut State, HostIx) -> R) -> Result<R, SandboxError> {
        self.change(|state| {
            let ix = Self::host_ix(state, name)?;
            Ok(act(state, ix))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_drives_a_region_without_any_task() {
        let region = Region::new(RegionSettings::default());
        let servers = region.boot(&Boot::on("compute-001", 3)).unwrap();
        region.faults().power_loss("compute-001").unwrap();
        assert!(
            region.evacuate(servers[0], None).is_err(),
            "nova has not noticed yet"
        );
        assert!(
            region
                .wait_until(Duration::from_mins(1), |region| !region
                    .host("compute-001")
                    .unwrap()
                    .up)
                .await
        );
        for server in &servers {
            region.evacuate(*server, None).unwrap();
        }
        assert_eq!(region.lost(&servers).len(), 3);
        assert!(
            region
                .wait_until(Duration::from_mins(1), |region| region.lost(&servers).is_empty())
                .await
        );
        assert!(
            !region
                .wait_until(Duration::from_secs(1), |region| region.double_runs() > 0)
                .await
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_driver_wakes_for_what_is_due() {
        let region = Region::new(RegionSettings::default());
        let stop = tokio_util::sync::CancellationToken::new();
        let driver = tokio::spawn(region.clone().drive(stop.clone()));
        let id = region.boot(&Boot::on("compute-001", 1)).unwrap()[0];
        region
            .faults()
            .half_move(id, "compute-002", crate::MigrationKind::LiveMigration, true)
            .unwrap();
        region.faults().power_loss("compute-001").unwrap();
        let mut changes = region.inner.changes.subscribe();
        changes.borrow_and_update();
        region.faults().power_on("compute-001").unwrap();
        // The power-on is one change; the driver causes the start of nova-compute half a second later.
        for _ in 0..2 {
            changes.changed().await.unwrap();
            changes.borrow_and_update();
        }
        assert!(region.host("compute-001").unwrap().agent);
        stop.cancel();
        driver.await.unwrap();
    }

    #[test]
    fn names_that_are_not_there_are_errors() {
        let region = Region::new(RegionSettings::default());
        assert_eq!(
            region.faults().power_loss("x").unwrap_err().to_string(),
            "the sandbox has no host \"x\""
        );
        assert!(region.faults().rack_loss("x").is_err());
        assert!(region.server(Uuid::nil()).is_err());
        assert!(
            region
                .boot(&Boot {
                    flavor: "x".into(),
                    ..Boot::default()
                })
                .is_err()
        );
        assert!(
            region
                .boot(&Boot {
                    project: "x".into(),
                    ..Boot::default()
                })
                .is_err()
        );
        let huge = Boot {
            flavor: "m1.large".into(),
            ..Boot::spread(1_000)
        };
        assert!(matches!(region.boot(&huge), Err(SandboxError::NoRoom)));
    }
}
