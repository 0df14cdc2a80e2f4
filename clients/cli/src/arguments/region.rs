//! The options of a simulated region.

use std::path::PathBuf;

use clap::Args;

/// A simulated region.
#[derive(Clone, Debug, Args)]
pub struct SandboxArgs {
    /// Number of hypervisors
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=2000))]
    pub hosts: u16,
    /// Instances to boot on them beforehand. Default: 20 where the region is protected, else none
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub instances: Option<u32>,
    /// Seconds a rebuild takes
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", value_parser = seconds)]
    pub rebuild_seconds: f64,
    /// Limit of evacuations per second in the simulated Nova. Default: no limit
    #[arg(long, value_name = "N", value_parser = rate)]
    pub evacuations_per_second: Option<f64>,
    /// Makes a run repeatable
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub seed: u64,
    /// Listen on this address; any other than 127.0.0.1 exposes a region that only a password protects
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub listen: std::net::IpAddr,
    /// Listen on this port; 0 for any free port
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub port: u16,
    /// Write clouds.yaml here
    #[arg(long, default_value = "clouds.yaml", value_name = "FILE")]
    pub clouds: PathBuf,
    /// Keep the state (database, keys) here instead of in a temporary folder
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && (0.01..=100_000.0).contains(&rate) => Ok(rate),
        Ok(_) | Err(_) => Err("write a number between 0.01 and 100000".into()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        Ok(_) | Err(_) => Err("write a number of seconds between 0 and 86400".into()),
    }
}
