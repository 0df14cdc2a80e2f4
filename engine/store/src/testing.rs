//! Shared code of the tests: a clock that is moved by hand, a separate database for each test, and builders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use tachi_domain::entity::host::NewHost;
use tachi_domain::entity::notification::{NewNotification, NotificationType};
use tachi_domain::entity::segment::{NewSegment, RecoveryMethod};
use tachi_domain::entity::vmove::{VmoveState, VmoveStatus};
use tachi_domain::entity::{Host, Notification, Segment};
use tachi_domain::recovery::{Step, StepKind, Task};
use tachi_domain::{RecoveryId, ServerId, Timestamp, VmoveId};
use tachi_engine::ports::journal::{ClaimedRecovery, MoveWrite, StepWrite};
use tachi_engine::ports::registry::{Page, SortKey};
use tachi_engine::ports::{
    Clock, Hosts as _, Journal as _, OperatorJournal as _, Reports as _, Segments as _,
};
use tachi_testkit::ManualClock;
use uuid::Uuid;

mod test_database;
mod varied_recoveries;

use test_database::TestDatabase;

use crate::{Role, Store, StoreOptions, grants};

/// 2023-11-14 22:13:20.123456.
pub(crate) const START: i64 = 1_700_000_000_123_456;

/// A test with its own database: a `SQLite` file, or the one that `TACHI_TEST_DATABASE` selects.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
    place: TestDatabase,
}

impl Bench {
    /// Creates a migrated database.
    pub(crate) async fn new() -> Self {
        let place = TestDatabase::migrated().await;
        let bench = Self::at(place).await;
        bench.store.migrate().await.unwrap();
        bench
    }

    /// Creates a database without tables.
    pub(crate) async fn empty() -> Self {
        Self::at(TestDatabase::empty().await).await
    }

    /// Creates a migrated database in a `SQLite` file, regardless of the selected one: for features of `SQLite` only.
    pub(crate) async fn sqlite() -> Self {
        let bench = Self::at(TestDatabase::file()).await;
        bench.store.migrate().await.unwrap();
        bench
    }

    async fn at(place: TestDatabase) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(START)));
        let store = Store::connect(&place.options(), Arc::<ManualClock>::clone(&clock))
            .await
            .unwrap();
        Self { store, clock, place }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.place.path()
    }

    /// Returns the connection options.
    pub(crate) fn options(&self) -> StoreOptions {
        self.place.options()
    }

    /// Returns another handle, as a user with exactly the privileges of `role`; `None` for a file.
    pub(crate) async fn as_user(&self, role: Role) -> Option<Store> {
        Some(self.granted(role).await?.0)
    }

    /// Like [`Self::as_user`], with the statements that granted the privileges.
    pub(crate) async fn granted(&self, role: Role) -> Option<(Store, Vec<String>)> {
        let (user, options) = self.place.new_user().await?;
        let kind = options.server.as_ref()?.kind;
        let given = grants(kind, role, &user, "%", self.place.database());
        self.store.grant(&given).await.unwrap();
        let clock = Arc::<ManualClock>::clone(&self.clock);
        Some((Store::connect(&options, clock).await.unwrap(), given))
    }

    /// Returns another handle with its own connections to the same database, like another process.
    pub(crate) async fn another(&self) -> Store {
        Store::connect(&self.options(), Arc::<ManualClock>::clone(&self.clock))
            .await
            .unwrap()
    }

    pub(crate) fn clock_wall(&self) -> Timestamp {
        self.clock.wall()
    }

    pub(crate) async fn segment(&self, name: &str) -> Segment {
        self.store
            .registry()
            .create_segment(&new_segment(name))
            .await
            .unwrap()
    }

    pub(crate) async fn host(&self, segment: &Segment, name: &str) -> Host {
        self.store
            .registry()
            .create_host(segment.id, &new_host(name))
            .await
            .unwrap()
    }

    /// Accepts a notification that the host stopped, at the clock's time.
    pub(crate) async fn stopped(&self, host: &Host) -> Notification {
        let new = stopped(&host.name, self.clock.wall());
        self.accept(&new).await.unwrap()
    }

    pub(crate) async fn accept(
        &self,
        new: &NewNotification,
    ) -> Result<Notification, tachi_engine::ports::RegistryError> {
        self.store
            .registry()
            .accept_notification(new, 180, self.clock.wall())
            .await
    }

    pub(crate) async fn newest(&self) -> RecoveryId {
        self.store.operator_journal().recoveries(true).await.unwrap()[0].id
    }

    /// Claims the newest recovery, regardless of its epoch.
    pub(crate) async fn claim_newest(&self, owner: &str) -> ClaimedRecovery {
        let id = self.newest().await;
        let views = self.store.journal().unsettled().await.unwrap();
        let view = views.into_iter().find(|view| view.id == id).unwrap();
        self.store.journal().claim(&view, owner).await.unwrap().unwrap()
    }
}

pub(crate) fn new_segment(name: &str) -> NewSegment {
    NewSegment {
        name: name.to_owned(),
        service_type: "COMPUTE".to_owned(),
        enabled: true,
        description: None,
        recovery_method: RecoveryMethod::Auto,
    }
}

pub(crate) fn new_host(name: &str) -> NewHost {
    NewHost {
        name: name.to_owned(),
        kind: "COMPUTE".to_owned(),
        control_attributes: "SSH".to_owned(),
        reserved: false,
        on_maintenance: false,
    }
}

pub(crate) fn notification(
    kind: NotificationType,
    hostname: &str,
    at: Timestamp,
    payload: &[(&str, &str)],
) -> NewNotification {
    let pairs = payload
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    NewNotification {
        kind,
        hostname: hostname.to_owned(),
        generated_time: at,
        payload: pairs.collect::<BTreeMap<_, _>>(),
        evidence: None,
        reporter: None,
    }
}

pub(crate) fn stopped(hostname: &str, at: Timestamp) -> NewNotification {
    let payload = [("event", "STOPPED"), ("host_status", "NORMAL")];
    notification(NotificationType::ComputeHost, hostname, at, &payload)
}

pub(crate) fn pending_move(server: ServerId, rank: u32) -> MoveWrite {
    MoveWrite {
        server,
        vmove: VmoveState {
            id: VmoveId(Uuid::new_v4()),
            name: format!("vm{rank}"),
            source_host: "cmp1".to_owned(),
            dest_host: None,
            start_time: None,
            end_time: None,
            status: VmoveStatus::Pending,
            message: None,
        },
        rank,
        wait: None,
        written_off: Vec::new(),
        may_run: BTreeSet::new(),
        open: true,
        state: format!("{{\"rank\":{rank}}}"),
    }
}

pub(crate) fn step(task: Task, progress: f64, failed: bool, text: &str) -> StepWrite {
    StepWrite {
        step: Step {
            task,
            server: None,
            kind: StepKind::Note,
            progress,
            failed,
            text: text.to_owned(),
        },
        at: Timestamp::from_micros(START),
    }
}

/// Returns a page with all rows in the API's default order.
pub(crate) fn all<F: Default>() -> Page<F> {
    page(&[("created_at", true), ("id", true)], None, 1000)
}

pub(crate) fn page<F: Default>(sort: &[(&str, bool)], marker: Option<i64>, limit: u64) -> Page<F> {
    let sort = sort.iter().map(|(column, descending)| SortKey {
        column: (*column).to_owned(),
        descending: *descending,
    });
    Page {
        filter: F::default(),
        sort: sort.collect(),
        marker,
        limit,
    }
}
