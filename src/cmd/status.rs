//! `tachi status`.

use tachi_domain::policy::FencingMode;
use tachi_domain::recovery::Life;
use tachi_engine::ports::OperatorDesk as _;

use super::{Failure, command_settings};
use crate::cli::ConfigArgs;
use crate::{out, wiring};

/// Says how hosts are proven off, and what is going on.
pub(crate) async fn run(args: &ConfigArgs) -> Result<u8, Failure> {
    let settings = command_settings(args)?;
    let fencing = match (settings.policy.fencing, &settings.maas) {
        (FencingMode::Engine, Some(maas)) => {
            format!("engine: the power of hosts is read and cut through {}", maas.url)
        }
        (FencingMode::Engine, None) => {
            "engine, but no power controller is configured: nothing can be proven off".into()
        }
        (FencingMode::External, _) => {
            "external: a notification's host_status NORMAL is taken for somebody else's proof".into()
        }
    };
    out::line(format!("fencing    {fencing}"));
    out::line(format!("database   {}", settings.database));
    let base = wiring::existing(&settings).await?;
    let rows = base
        .store
        .recoveries(false)
        .await
        .map_err(|error| Failure::new("reading the recoveries", error))?;
    let open = rows.iter().filter(|row| row.life == Life::Open).count();
    let watched = rows.len() - open;
    out::line(format!(
        "recoveries {open} open, {watched} hosts watched for their return"
    ));
    for row in rows.iter().filter(|row| row.life == Life::Open) {
        let message = row.message.as_deref().unwrap_or("under way");
        out::line(format!("  {} {}: {message}", row.id, row.host));
    }
    Ok(crate::DONE)
}
