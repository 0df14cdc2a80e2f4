//! `tachi status`, `tachi show`, `tachi forecast` and `tachi host`.

use std::time::Duration;

use clap::{Args, Subcommand};
use tachi_operator::when::span;

use super::{ConfigArgs, ConsentArgs, ShapeArgs, SourceArgs};

/// `tachi status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Only this segment, or this host with its fence devices and instances: by its name, or its id, of which the beginning is enough
    #[arg(value_name = "SEGMENT|HOST", conflicts_with = "all_hosts")]
    pub(crate) name: Option<String>,
    /// Every host, not only those there is something to say of
    #[arg(long)]
    pub(crate) all_hosts: bool,
    /// Exit with 0 if all is well, 1 with warnings, 2 with errors, 3 if it is not known
    #[arg(long, conflicts_with = "watch")]
    pub(crate) check: bool,
    /// Look again every two seconds until stopped
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi forecast`.
#[derive(Debug, Args)]
pub(crate) struct ForecastArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Only this segment
    #[arg(value_name = "SEGMENT")]
    pub(crate) segment: Option<String>,
    /// What becomes of these hosts of one segment if they are lost together
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub(crate) lose: Vec<String>,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// A host or an instance by its name, or an instance or a recovery by its id, of which the beginning is enough
    pub(crate) name: String,
    /// Simulate a failure of the host: what confirms it off, what is evacuated in which order and where there is room, what stays, and
    /// how long it took before
    #[arg(long, alias = "if-dies", conflicts_with = "at")]
    pub(crate) if_fails: bool,
    /// What happened to this host then: `03:05`, the last time that the clock showed it, or a time such as `2026-11-22 03:05`
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// How much before and after it
    #[arg(long, value_name = "TIME", default_value = "10m", requires = "at", value_parser = tachi_operator::when::span)]
    pub(crate) within: std::time::Duration,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi upgrade`.
#[derive(Debug, Subcommand)]
pub(crate) enum UpgradeCommand {
    /// Check what this version needs and what Masakari has left; exits 0 if all is well, 1 with warnings, 2 with failures, 255
    /// if it could not check
    Check(UpgradeCheckArgs),
}

/// `tachi doctor --upgrade`.
#[derive(Debug, Args)]
pub(crate) struct UpgradeCheckArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi host`.
#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// List hosts, worst first
    List(HostListArgs),
    /// Report a host as down
    ///
    /// It is the report that a monitor would make, and proves nothing: the engine fences the host first. It is kept with who reported
    /// it and why, and is in the audit log.
    #[command(alias = "fail")]
    ReportDown(HostReportDownArgs),
    /// Drain a running host for maintenance
    ///
    /// Nova places nothing new on it, and each instance that can be live-migrated is. The host is frozen for --for once nothing that
    /// runs is left on it, counted from then: so nobody takes the work at it for a failure. If something stays, the host is not
    /// frozen, and what is left stays protected. Nothing is powered off, and nothing is evacuated.
    ///
    /// `--abort` ends it: what is in flight is aborted in Nova. `tachi host undrain HOST` puts the host back to work.
    Drain(HostDrainArgs),
    /// Put a drained host back to work and refill it
    ///
    /// Ends its freeze, enables its service in Nova as `tachi host return --do` does, and moves back what the drain has moved away.
    Undrain(HostUndrainArgs),
    /// Return a recovered host to service, step by step
    Return(HostReturnArgs),
    /// Move instances back to a returned host
    ///
    /// Only instances that are still exactly where recoveries and drains have put them, and nothing else has moved since.
    Giveback(HostGivebackArgs),
}

/// `tachi host list`.
#[derive(Debug, Args)]
pub(crate) struct HostListArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Only those of this segment
    #[arg(long, value_name = "SEGMENT")]
    pub(crate) segment: Option<String>,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi host report-down`.
#[derive(Debug, Args)]
pub(crate) struct HostReportDownArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The host's name or id
    pub(crate) host: String,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi host undrain`.
#[derive(Debug, Args)]
pub(crate) struct HostUndrainArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The host's name or id
    pub(crate) host: String,
    /// What was done at it, for the record: `new firmware`
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) planned: PlannedArgs,
}

/// How instances are live-migrated.
#[derive(Debug, Args)]
pub(crate) struct PlannedArgs {
    /// Limit of concurrent live migrations (1 to 16)
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) at_once: u32,
    /// Have Nova abort a live migration that is not over by then. What a recovery has locked, or Nova brings to a host that is being
    /// drained, is waited for as long: 10m, 1h (10s to 24h)
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = span)]
    pub(crate) limit: Duration,
    /// Move instances too that their owners have locked
    #[arg(long)]
    pub(crate) with_locked: bool,
    /// Begin it, and do not follow it
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi host drain`.
#[derive(Debug, Args)]
pub(crate) struct HostDrainArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The host's name or id
    pub(crate) host: String,
    /// How long the host is frozen once it is empty: 45m, 3h (1m to 24h)
    #[arg(long = "for", value_name = "TIME", value_parser = span, required_unless_present = "abort")]
    pub(crate) lasts: Option<Duration>,
    /// Why, for those who meet it: `firmware`
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// End the drain of this host that is under way
    #[arg(long, conflicts_with = "lasts")]
    pub(crate) abort: bool,
    #[command(flatten)]
    pub(crate) planned: PlannedArgs,
}

/// `tachi host giveback`.
#[derive(Debug, Args)]
pub(crate) struct HostGivebackArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The host's name or id
    pub(crate) host: String,
    /// Only print which instances would be moved back, and which not and why
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) planned: PlannedArgs,
}

/// `tachi host return`.
#[derive(Debug, Args)]
pub(crate) struct HostReturnArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The host's name or id
    pub(crate) host: String,
    /// Only check; exits 0 if the host is ready to return to service, else 1
    #[arg(long)]
    pub(crate) check: bool,
    /// Return the host to service if nothing blocks it: enable its service if a recovery has disabled it, and end its maintenance.
    /// The engine clears `forced_down`
    #[arg(long = "do", conflicts_with = "check", requires = "reason")]
    pub(crate) put_back: bool,
    /// What was looked at, for the record: `no old guest runs, its queue was empty`
    #[arg(long, value_name = "TEXT", requires = "put_back")]
    pub(crate) reason: Option<String>,
    /// Do not ask
    #[arg(long, requires = "put_back")]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}
