//! How the region is, for commands and for the API: from the database and the configuration.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tachi_api::Lookout;
use tachi_domain::policy::Policy;
use tachi_engine::ports::{Clock, Facts as _, JournalError};
use tachi_engine::situation::{Tables, Watched};
use tachi_operator::{Fencing, Seen};
use tachi_store::{FactTable, Store};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::Base;
use super::situation::configured;
use crate::settings::{self, Settings};

/// For so long the same is told again: however many ask, the database is asked once.
const KEPT: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Watchtower {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    fencing: settings::Fencing,
    database: String,
    policy: watch::Receiver<Policy>,
    kept: Mutex<Option<(Instant, Arc<Seen>)>>,
}

impl Watchtower {
    /// One that goes by the rules in force.
    pub(crate) fn new(settings: &Settings, base: &Base, policy: watch::Receiver<Policy>) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            fencing: settings.fencing.clone(),
            database: settings.database.to_string(),
            policy,
            kept: Mutex::default(),
        }
    }

    async fn read(&self) -> Result<Seen, JournalError> {
        let policy = self.policy.borrow().clone();
        let tables = Tables::read(self.store.as_ref()).await?;
        let kept = FactTable::of(&self.store).facts(None).await?;
        let (mode, stopped) = (policy.fencing, policy.fencing_stopped);
        let configured = configured(&self.fencing, mode, stopped, &tables.hosts());
        let fencing = fencing_of(&self.fencing, &policy);
        let watched = Watched::from_kept(&kept);
        let database = self.database.clone();
        Ok(Seen::judged(
            self.clock.wall(),
            fencing,
            database,
            tables,
            watched,
            configured,
        ))
    }
}

#[async_trait]
impl Lookout for Watchtower {
    async fn look(&self) -> Result<Arc<Seen>, JournalError> {
        // Those who come while it is read wait for it, and are told the same.
        let mut kept = self.kept.lock().await;
        if let Some((at, seen)) = kept.as_ref()
            && at.elapsed() < KEPT
        {
            return Ok(Arc::clone(seen));
        }
        let seen = Arc::new(self.read().await?);
        *kept = Some((Instant::now(), Arc::clone(&seen)));
        Ok(seen)
    }
}

/// Everything at this moment, for a command.
pub(crate) async fn look(settings: &Settings, base: &Base) -> Result<Arc<Seen>, JournalError> {
    let (_, policy) = watch::channel(settings.policy.clone());
    Watchtower::new(settings, base, policy).look().await
}

/// How hosts are proven off by these rules.
pub(crate) fn fencing_of(fencing: &settings::Fencing, policy: &Policy) -> Fencing {
    Fencing {
        mode: policy.fencing,
        device: fencing.place(),
        bare_normal: policy.bare_normal,
    }
}
