//! `tachi fence`.

use clap::{Args, Subcommand};

use super::{ConfigArgs, ShapeArgs};

/// `tachi fence`.
#[derive(Debug, Subcommand)]
pub(crate) enum FenceCommand {
    /// Show a host's levels, and what each of their devices says now
    Status(FenceHostArgs),
    /// Test everything a power-off of a host needs, except the command; exit code 1 if anything would fail
    Test(FenceHostArgs),
    /// Ask every device of these hosts, or of every registered host with --all; exit code 1 if any would fail
    Check(FenceCheckArgs),
    /// Power a host off, level by level, until it is confirmed off by two readings
    Off(FenceSwitchArgs),
    /// Power a host on that is confirmed off, unless a recovery of it is open or a power-off may still take effect
    On(FenceSwitchArgs),
    /// Say that the machine which answers behind a host's devices is the host's, after a board or a controller was changed
    Confirm(FenceConfirmArgs),
}

/// `tachi fence confirm`.
#[derive(Debug, Args)]
pub(crate) struct FenceConfirmArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The host, as Nova names it
    pub(crate) host: String,
    /// This device of it alone, by its name in the devices' file
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Why; goes into the database and the audit log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// One host.
#[derive(Debug, Args)]
pub(crate) struct FenceHostArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The host, as Nova names it
    pub(crate) host: String,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi fence check`.
#[derive(Debug, Args)]
pub(crate) struct FenceCheckArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Every registered host
    #[arg(long, conflicts_with = "hosts")]
    pub(crate) all: bool,
    /// These hosts; without any and without --all only the devices' file is checked
    pub(crate) hosts: Vec<String>,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi fence off` and `on`.
#[derive(Debug, Args)]
pub(crate) struct FenceSwitchArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The host, as Nova names it
    pub(crate) host: String,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Do not compare which machine the devices switch: for when the database is away
    #[arg(long)]
    pub(crate) any_machine: bool,
    /// Why; goes into the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}
