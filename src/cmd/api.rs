//! `tachi api`.

use std::net::SocketAddr;

use super::{Failure, service_settings};
use crate::cli::ConfigArgs;
use crate::wiring::{self, Process};

/// Runs the API until told to stop.
pub(crate) async fn run(args: &ConfigArgs) -> Result<u8, Failure> {
    let settings = service_settings(args)?;
    let base = wiring::base(&settings).await?;
    let router = wiring::api(&settings, &base, wiring::socket_poke(&settings)?).await?;
    let listener = wiring::bind(SocketAddr::new(settings.listen, settings.port)).await?;
    tracing::info!("API listens on {}:{}", settings.listen, settings.port);
    let process = Process::default();
    process.api(listener, router, &settings);
    process
        .run(|| tracing::info!("SIGHUP: the API reads its configuration when it starts"))
        .await?;
    base.store
        .close()
        .await
        .map_err(|error| Failure::new("closing the database", error))?;
    Ok(crate::DONE)
}
