//! `tachi engine`.

use tokio::sync::watch;

use super::{Failure, service_settings};
use crate::cli::ConfigArgs;
use crate::wiring::{self, Process};

/// Runs the engine until told to stop.
pub(crate) async fn run(args: &ConfigArgs) -> Result<u8, Failure> {
    let settings = service_settings(args, "tachi-engine")?;
    let base = wiring::base(&settings).await?;
    let (rules, policy) = watch::channel(settings.policy.clone());
    let engine = wiring::engine(&settings, &base, wiring::socket_wake(&settings)?, policy).await?;
    let engine = engine.telling(wiring::events(&settings, None));
    let mut process = Process::default();
    process.metrics(&settings, wiring::Runs::Engine).await?;
    process.engine(engine, &settings, &base);
    process.run(|| super::reload_rules(args, &rules)).await?;
    base.store
        .close()
        .await
        .map_err(|error| Failure::new("closing the database", error))?;
    Ok(crate::DONE)
}
