//! The options of the demo.

use clap::{Args, Subcommand, ValueEnum};

/// `tachi demo`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DemoArgs {
    #[command(subcommand)]
    pub command: Option<DemoCommand>,
    #[command(flatten)]
    pub scene: SceneArgs,
    /// Show it in a browser too: print the address and how to log in, wait for Enter before anything breaks, and run until
    /// stopped
    #[arg(long, conflicts_with = "json")]
    pub board: bool,
    /// Print one JSON object instead
    #[arg(long)]
    pub json: bool,
}

/// The region of the demo, and its faults.
#[derive(Clone, Copy, Debug, Args)]
pub struct SceneArgs {
    /// Number of hypervisors
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub hosts: u16,
    /// Number of instances, spread over the hypervisors
    #[arg(long, default_value_t = 40, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=20_000))]
    pub instances: u32,
    /// The segment's recovery method
    #[arg(long, value_enum, default_value_t = Method::Auto)]
    pub method: Method,
    /// Makes a run repeatable: the same hosts fail and the same instances go to the same places
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub seed: u64,
    /// Inject another fault
    #[arg(long, value_enum)]
    pub fault: Option<DemoFault>,
}

/// A fault in the simulated region of `tachi serve --sandbox`.
#[derive(Debug, Subcommand)]
pub enum DemoCommand {
    /// Cut the power of a simulated host
    Kill(DemoHostArgs),
    /// Cut a simulated host off the network
    ///
    /// The instances run on, and the power controller still works.
    Cut(DemoHostArgs),
    /// Make the power controller of a simulated host fail
    BreakBmc(DemoHostArgs),
    /// Repair a simulated host
    ///
    /// Restores its power controller, network and power. If the host is off, requests that wait in its queue are deleted before it is switched on, as step 4 of `tachi host return` shows
    /// for a real host.
    Heal(DemoHostArgs),
}

/// A host of the simulated region.
#[derive(Debug, Args)]
pub struct DemoHostArgs {
    /// The host's name
    #[arg(value_name = "HOST")]
    pub host: String,
}

/// A segment's recovery method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Method {
    /// Nova's scheduler chooses
    Auto,
    /// A reserved host takes the instances
    ReservedHost,
    /// auto, then a reserved host
    AutoPriority,
    /// A reserved host, then auto
    RhPriority,
}

impl Method {
    /// Returns the API's name of the method.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::ReservedHost => "reserved_host",
            Self::AutoPriority => "auto_priority",
            Self::RhPriority => "rh_priority",
        }
    }
}

/// An additional fault in the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DemoFault {
    /// The power controller accepts "power off" and does nothing; the host is only cut off from the network
    LyingBmc,
    /// The power controller does not answer
    DeadBmc,
    /// A whole rack is lost at once
    RackLoss,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    const PAGE: &str = include_str!("../../../../docs/reference/sandbox.md");

    /// The page is the only place outside the program that lists what the sandbox can do.
    #[test]
    fn the_sandboxs_page_has_every_fault_that_the_demo_can_inject() {
        let cli = crate::arguments::Cli::command();
        let demo = cli.find_subcommand("demo").unwrap();
        let faults: Vec<&str> = demo.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(faults, ["kill", "cut", "break-bmc", "heal"]);
        for fault in faults {
            assert!(
                PAGE.contains(&format!("| `tachi demo {fault} HOST` | ")),
                "{fault}"
            );
        }
        assert!(
            !PAGE.contains("curl --json"),
            "curl of Ubuntu 22.04 has no --json"
        );
    }
}
