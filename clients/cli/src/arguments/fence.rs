//! `tachi fence`.

use clap::{Args, Subcommand};

use super::{ConfigArgs, ConfirmedArgs, ShapeArgs};

/// `tachi fence`.
#[derive(Debug, Subcommand)]
pub enum FenceCommand {
    /// Read and test power devices, without switching
    ///
    /// Everything that a power-off needs is tested, except the command. The exit code is 1 if anything would fail.
    Test(FenceTestArgs),
    /// Power a host off and confirm it
    ///
    /// Level by level, until two readings confirm it.
    Off(FenceSwitchArgs),
    /// Power a host on that is confirmed off
    ///
    /// Refused while a recovery of the host is open, or a power-off may still take effect.
    On(FenceSwitchArgs),
    /// Trust the machine that answers behind a host's devices
    ///
    /// For use after a board or a controller was replaced.
    #[command(alias = "confirm")]
    Trust(FenceTrustArgs),
    /// Read the devices of a host (now: test)
    #[command(hide = true)]
    Status(FenceHostArgs),
    /// Test the devices of hosts; an obstacle is a warning (now: test)
    #[command(hide = true)]
    Check(FenceTestArgs),
}

/// `tachi fence trust`.
#[derive(Debug, Args)]
pub struct FenceTrustArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The host, as Nova names it
    pub host: String,
    /// Only this device of the host, by its name in the devices' file
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    #[command(flatten)]
    pub confirmed: ConfirmedArgs,
}

/// A host.
#[derive(Debug, Args)]
pub struct FenceHostArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The host, as Nova names it
    pub host: String,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi fence test`.
#[derive(Debug, Args)]
pub struct FenceTestArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Every registered host
    #[arg(long, conflicts_with = "hosts")]
    pub all: bool,
    /// Hosts to test; without hosts and --all only the devices' file is checked
    pub hosts: Vec<String>,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi fence off` and `on`.
#[derive(Debug, Args)]
pub struct FenceSwitchArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The host, as Nova names it
    pub host: String,
    /// Do not check which machine the devices switch: for use while the database is down
    #[arg(long)]
    pub any_machine: bool,
    #[command(flatten)]
    pub confirmed: ConfirmedArgs,
}
