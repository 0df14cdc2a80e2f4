//! `tachi status`, `tachi show`, `tachi forecast` and `tachi host`.

use std::time::Duration;

use clap::{Args, Subcommand};
use tachi_operator::when::span;

use super::{ConfigArgs, ConfirmedArgs, ShapeArgs, SourceArgs};

/// `tachi status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// Only this segment, or this host with its fence devices and instances: name or id (the first characters are enough)
    #[arg(value_name = "SEGMENT|HOST", conflicts_with = "all_hosts")]
    pub name: Option<String>,
    /// Every host, not only those with findings
    #[arg(long)]
    pub all_hosts: bool,
    /// Exit with 0 if all is well, 1 with warnings, 2 with errors, 3 if it is unknown
    #[arg(long, conflicts_with = "watch")]
    pub check: bool,
    /// Refresh every two seconds until stopped
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi forecast`.
#[derive(Debug, Args)]
pub struct ForecastArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// Only this segment
    #[arg(value_name = "SEGMENT")]
    pub segment: Option<String>,
    /// Simulate the loss of these hosts of one segment together
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub lose: Vec<String>,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// Name of a host or an instance, or id of an instance or a recovery (the first characters are enough)
    pub name: String,
    /// Simulate a failure of the host: what confirms it off, which instances are evacuated in which order and where they fit, which stay,
    /// and how long earlier recoveries took
    #[arg(long, alias = "if-dies", conflicts_with = "at")]
    pub if_fails: bool,
    /// Show what happened to the host at this time: `03:05` (the last one), or `2026-11-22 03:05`
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Time span before and after it
    #[arg(long, value_name = "TIME", default_value = "10m", requires = "at", value_parser = tachi_operator::when::span)]
    pub within: std::time::Duration,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi upgrade`.
#[derive(Debug, Subcommand)]
pub enum UpgradeCommand {
    /// Check what this version needs and what Masakari has left; exits 0 if all is well, 1 with warnings, 2 with failures, 255
    /// if it could not check
    Check(UpgradeCheckArgs),
}

/// `tachi doctor --upgrade`.
#[derive(Debug, Args)]
pub struct UpgradeCheckArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi host`.
#[derive(Debug, Subcommand)]
pub enum HostCommand {
    /// List hosts, worst first
    List(HostListArgs),
    /// Report a host as down
    ///
    /// Makes the report that a monitor would make. It proves nothing: the engine fences the host first. The report is
    /// stored with its author and reason, and is in the audit log.
    #[command(alias = "fail")]
    ReportDown(HostReportDownArgs),
    /// Drain a running host for maintenance
    ///
    /// Disables the host in Nova and live-migrates the instances for which that is possible. Once no running instance is left, freezes the host for --for,
    /// so that the maintenance is not taken for a failure. If an instance stays, the host is not frozen, and the instance stays protected.
    /// Never powers off the host, and never evacuates instances.
    ///
    /// `--abort` ends the drain and aborts migrations in flight in Nova. `tachi host undrain HOST` returns the host to service.
    Drain(HostDrainArgs),
    /// Return a drained host to service and refill it
    ///
    /// Ends the drain's freeze, enables the host's service in Nova as `tachi host return --do` does, and moves back the instances that the
    /// drain has moved away. Runs on a controller.
    Undrain(HostUndrainArgs),
    /// Return a recovered host to service, step by step
    Return(HostReturnArgs),
    /// Move instances back to a returned host
    ///
    /// Only instances that are still where a recovery or a drain put them, and that nothing else has moved since.
    Giveback(HostGivebackArgs),
}

/// `tachi host list`.
#[derive(Debug, Args)]
pub struct HostListArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// Only those of this segment
    #[arg(long, value_name = "SEGMENT")]
    pub segment: Option<String>,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi host report-down`.
#[derive(Debug, Args)]
pub struct HostReportDownArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// The host's name or id
    pub host: String,
    #[command(flatten)]
    pub confirmed: ConfirmedArgs,
}

/// `tachi host undrain`.
#[derive(Debug, Args)]
pub struct HostUndrainArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// The host's name or id
    pub host: String,
    /// The work that was done, for the record: `new firmware`
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub planned: PlannedArgs,
}

/// Options of live migrations.
#[derive(Debug, Args)]
pub struct PlannedArgs {
    /// Limit of concurrent live migrations (1 to 16)
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub at_once: u32,
    /// Have Nova abort a live migration that takes longer. A drain also waits that long for recoveries that lock instances, and for
    /// instances that Nova is moving to the host: 10m, 1h (10s to 24h)
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = span)]
    pub limit: Duration,
    /// Also move instances that their owners have locked
    #[arg(long)]
    pub with_locked: bool,
    /// Start it, and exit without following it
    #[arg(long)]
    pub no_follow: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi host drain`.
#[derive(Debug, Args)]
pub struct HostDrainArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// The host's name or id
    pub host: String,
    /// Duration of the freeze once the host is empty: 45m, 3h (1m to 24h). Required, except with --abort
    #[arg(long = "for", value_name = "TIME", value_parser = span, required_unless_present = "abort")]
    pub lasts: Option<Duration>,
    /// The reason, shown to other operators: `firmware`
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Stop the drain of this host that is in progress
    #[arg(long, conflicts_with = "lasts")]
    pub abort: bool,
    #[command(flatten)]
    pub planned: PlannedArgs,
}

/// `tachi host giveback`.
#[derive(Debug, Args)]
pub struct HostGivebackArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// The host's name or id
    pub host: String,
    /// Only print which instances would be moved back, and which not and why
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub planned: PlannedArgs,
}

/// `tachi host return`.
#[derive(Debug, Args)]
pub struct HostReturnArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// The host's name or id
    pub host: String,
    /// Only check; exits 0 if the host is ready to return to service, else 1
    #[arg(long)]
    pub check: bool,
    /// Return the host to service if nothing blocks it: enable its service if a recovery or a drain has disabled it, and end its
    /// maintenance. The engine clears `forced_down`. Runs on a controller
    #[arg(long = "do", conflicts_with = "check", requires = "reason")]
    pub put_back: bool,
    /// The checks that were made, for the record: `no old guest runs, its queue was empty`
    #[arg(long, value_name = "TEXT", requires = "put_back")]
    pub reason: Option<String>,
    /// Do not ask for confirmation
    #[arg(long, requires = "put_back")]
    pub yes: bool,
    #[command(flatten)]
    pub shape: ShapeArgs,
}
