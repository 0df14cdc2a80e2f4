//! Segments and hosts from Nova: what the configuration adds to them, for the command and for the API.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tachi_api::QueryError;
use tachi_domain::count;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock;
use tachi_fence::Fencers;
use tachi_openstack::Nova;
use tachi_operator::from_nova::{DEFAULT_ZONE, FromNovaError, KnownHosts, Racks, SegmentRule};
use tachi_operator::{Failure, FromNovaView};
use tachi_store::Store;

use crate::settings::Fencing;

/// Returns what would be created, for the API. Nothing is created.
pub(super) async fn proposal(
    store: &Store,
    nova: &Nova,
    (fencing, domains_file): (&Fencing, Option<&Path>),
    (by, default_zone): (&str, Option<&str>),
) -> Result<FromNovaView, QueryError> {
    let by: SegmentRule = by.parse().map_err(QueryError::Refused)?;
    let racks = match by {
        SegmentRule::Rack => Some(racks(domains_file).map_err(|why| QueryError::Refused(why.chain()))?),
        SegmentRule::Zone | SegmentRule::Aggregate => None,
    };
    let known = KnownHosts::read(store.operator_journal(), nova).await;
    let known = known.map_err(unavailable)?.by(racks);
    // The devices' file belongs to the engine: the API's user need not be able to read it.
    let without = without_level(fencing, known.hosts()).unwrap_or_else(|why| {
        Some(format!(
            "the hosts with a fence level are not known here: {}",
            why.chain()
        ))
    });
    Ok(known.plan(by, default_zone.unwrap_or(DEFAULT_ZONE)).view(without))
}

fn unavailable(error: FromNovaError) -> QueryError {
    match error {
        FromNovaError::NoHosts => QueryError::Refused(FromNovaError::NO_HOSTS.to_owned()),
        FromNovaError::Nova { what, source } => QueryError::Unavailable {
            service: "Nova",
            what,
            source: Box::new(source),
        },
        FromNovaError::Database(source) => QueryError::Unavailable {
            service: "The database",
            what: FromNovaError::READING_SEGMENTS,
            source: Box::new(source),
        },
    }
}

/// Reads the racks; fails if there are none: an operator who asks for segments by rack must not get others.
pub(crate) fn racks(domains_file: Option<&Path>) -> Result<Racks, Failure> {
    let Some(file) = domains_file else {
        return Err(Failure::usage(
            "--by rack: no file lists the racks: write lines such as `rack:r7 = compute-01 compute-02` into a \
             file, and name it in [fencing] storm_failure_domains_file",
        ));
    };
    let domains = tachi_witnesses::domains_file::read(file);
    let domains = domains.map_err(|why| Failure::usage(format!("--by rack: {}: {why}", file.display())))?;
    Racks::among(domains).ok_or_else(|| {
        Failure::usage(format!(
            "--by rack: no line of {} names a rack: write lines such as `rack:r7 = compute-01 compute-02`",
            file.display()
        ))
    })
}

/// Lists the hosts that no device can switch off; `None` if every host has a level.
pub(crate) fn without_level(fencing: &Fencing, hosts: &BTreeSet<String>) -> Result<Option<String>, Failure> {
    if !fencing.is_configured() {
        return Ok(Some(
            "no fence device is configured, so Tachi cannot confirm any host off".to_owned(),
        ));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let fencers = Fencers::new(fencing.topology()?, clock);
    let bare: Vec<&str> = hosts
        .iter()
        .map(String::as_str)
        .filter(|host| fencers.resolve(host).levels().is_empty())
        .collect();
    Ok((!bare.is_empty()).then(|| {
        format!(
            "fence levels: {} of {} have one; none: {}",
            hosts.len() - bare.len(),
            count(hosts.len(), "host", "hosts"),
            bare.join(", ")
        )
    }))
}
