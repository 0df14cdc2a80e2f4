//! Data of this process besides the database, for the API: the current state of Nova, and the audit logs of this machine.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tachi_api::{Controller, QueryError};
use tachi_audit::read::{LineQuery, newest};
use tachi_audit::verify::logs;
use tachi_engine::ports::Clock;
use tachi_openstack::Nova;
use tachi_operator::actions::ActionError;
use tachi_operator::return_to_service::view;
use tachi_operator::{AuditRequest, AuditView, FromNovaView, ReturnView};
use tachi_store::Store;
use tokio::sync::Mutex;

use super::from_nova::proposal;
use super::{Base, return_ports};
use crate::settings::{Fencing, Settings};

pub(crate) struct LocalController {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    nova: Arc<Nova>,
    fencing: Fencing,
    domains_file: Option<PathBuf>,
    places: Vec<PathBuf>,
    machine: String,
    /// Serialises concurrent requests: only one queries Nova at a time, and only one reads the files.
    asking: Mutex<()>,
    reading: Mutex<()>,
}

impl LocalController {
    pub(crate) fn new(settings: &Settings, base: &Base, nova: Arc<Nova>) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            nova,
            fencing: settings.fencing.clone(),
            domains_file: settings.surroundings.domains_file.clone(),
            places: settings.audit.places(&settings.state_path),
            machine: settings.host.clone(),
            asking: Mutex::default(),
            reading: Mutex::default(),
        }
    }
}

#[async_trait]
impl Controller for LocalController {
    async fn audit(&self, request: AuditRequest) -> Result<AuditView, QueryError> {
        let before = match request.marker {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| QueryError::Marker(text))?),
        };
        let query = LineQuery {
            host: request.host,
            recovery: request.recovery,
            before,
            limit: request.limit,
        };
        let places = self.places.clone();
        let _one = self.reading.lock().await;
        let read = tokio::task::spawn_blocking(move || {
            let paths: Vec<PathBuf> = places.iter().flat_map(|place| logs(place)).collect();
            let page = newest(&paths, &query);
            (paths, page)
        });
        let (paths, page) = read.await.map_err(|error| QueryError::Unavailable {
            service: "The audit log",
            what: "reading the audit log",
            source: Box::new(error),
        })?;
        let path = |path: &PathBuf| path.display().to_string();
        let unread = page.unread.iter();
        Ok(AuditView {
            machine: self.machine.clone(),
            logs: paths.iter().map(path).collect(),
            lines: page.lines,
            unread: unread
                .map(|(file, why)| format!("{}: {why}", path(file)))
                .collect(),
            marker: page.marker.map(|place| place.to_string()),
        })
    }

    async fn host_return(&self, host: &str) -> Result<ReturnView, QueryError> {
        let _one = self.asking.lock().await;
        let facts = return_ports(&self.store, &self.nova)
            .read(host, self.clock.wall())
            .await;
        facts.map(|facts| view(&facts)).map_err(|unsaid| match unsaid {
            ActionError::Unknown(text) => QueryError::Unknown(text),
            ActionError::Refused(text) | ActionError::Ambiguous(text) => QueryError::Refused(text),
            ActionError::Unaudited { not_done, source } => QueryError::Unavailable {
                service: "The audit log",
                what: not_done,
                source: Box::new(source),
            },
            ActionError::Failed(error) => QueryError::Unavailable {
                service: "The database",
                what: "reading the database",
                source: Box::new(error),
            },
        })
    }

    async fn proposal(&self, by: &str, default_zone: Option<&str>) -> Result<FromNovaView, QueryError> {
        let _one = self.asking.lock().await;
        let files = (&self.fencing, self.domains_file.as_deref());
        proposal(&self.store, &self.nova, files, (by, default_zone)).await
    }
}
