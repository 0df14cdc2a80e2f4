//! `tachi status`, `tachi explain`, `tachi upgrade` and `tachi host`.

use std::time::Duration;

use clap::{Args, Subcommand};
use tachi_operator::when::span;

use super::{ConfigArgs, ShapeArgs, SourceArgs};

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

/// `tachi explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// A host or an instance by its name, or an instance or a recovery by its id, of which the beginning is enough
    pub(crate) name: String,
    /// What would come of it if the host died now: what proves it off, what is moved in which order and where there is room, what stays,
    /// and how long it took before
    #[arg(long, conflicts_with = "at")]
    pub(crate) if_dies: bool,
    /// What came of this host then: `03:05`, the last time that the clock showed it, or a time such as `2026-11-22 03:05`
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// So long before and after it
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

/// `tachi upgrade check`.
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
    /// Report a host as dead: its instances are recovered once it is proven off
    ///
    /// It is the report that a monitor would make, and proves nothing: the engine fences the host first. It is kept with who says it
    /// and why, and is in the audit log.
    Fail(HostFailArgs),
    /// Empty a living host by live migrations, for work at it
    ///
    /// Nova places nothing new on it, and each instance that can be live-migrated is. The host is frozen for --for once nothing that
    /// runs is left on it, counted from then: so nobody takes the work at it for a failure. If something stays, the host is not
    /// frozen, and what is left stays protected. Nothing is powered off, and nothing is evacuated.
    ///
    /// `tachi recovery abort` ends it: what is under way is aborted in Nova. `tachi host return HOST --do` enables the service again.
    Drain(HostDrainArgs),
    /// Live-migrate back to a host what recoveries and drains have moved away from it
    ///
    /// Only instances that are still exactly where they were put, and nothing else has moved since.
    Giveback(HostGivebackArgs),
    /// Tell step by step how to bring a recovered host back, and check what can be checked
    Return(HostReturnArgs),
}

/// `tachi host fail`.
#[derive(Debug, Args)]
pub(crate) struct HostFailArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The host's name or id
    pub(crate) host: String,
    /// What was seen, for the record: `smoke in rack 7`
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// How instances are live-migrated.
#[derive(Debug, Args)]
pub(crate) struct PlannedArgs {
    /// So many live migrations are under way at most (1 to 16)
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
    /// For so long the host is frozen once it is empty: 45m, 3h (1m to 24h)
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub(crate) lasts: Duration,
    /// Why, for those who meet it: `firmware`
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
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
    /// Only say which instances would be moved back, and which not and why
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
    /// Only check; exits 0 if nothing speaks against putting the host to work again, else 1
    #[arg(long)]
    pub(crate) check: bool,
    /// Put the host to work again if nothing speaks against it: enable its service if a recovery has disabled it, and take it off
    /// maintenance. Clearing `forced_down` stays the engine's
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
