//! Fence agents for Pacemaker, by their own names or as `tachi fence-agent NAME`.

use std::ffi::OsString;
use std::path::Path;

use clap::CommandFactory as _;
use tachi_cli::arguments::{Cli, FenceAgentArgs};
use tachi_cli::out;
use tachi_fence::agent::{self, Invocation};
use tachi_operator::Failure;

/// The environment variable with which Pacemaker's fencer marks the processes that it starts.
const SERVICE: (&str, &str) = ("PCMK_service", "pacemaker-fenced");

/// Returns the help: the usage and the list of agents.
fn help() -> String {
    let mut whole = Cli::command();
    whole.build();
    let own = whole.find_subcommand_mut("fence-agent");
    let help = own.map_or_else(String::new, |own| own.render_long_help().to_string());
    format!(
        "{}\n\nAgents: {}. Parameters of an agent: tachi fence-agent AGENT --action metadata",
        help.trim_end(),
        agent::AGENTS.join(", ")
    )
}

/// Returns the agent that this binary was started as, by the name of a link to it.
pub(crate) fn started_as(program: Option<&OsString>) -> Option<&'static str> {
    let name = Path::new(program?).file_name()?.to_str()?;
    agent::AGENTS.iter().copied().find(|agent| *agent == name)
}

/// Runs an agent; returns its exit code.
pub(crate) async fn run(args: FenceAgentArgs) -> Result<u8, Failure> {
    // An agent has an option of this name, so clap cannot handle it.
    if args.name == "--help" || args.name == "-h" {
        out::line(help());
        return Ok(crate::DONE);
    }
    let by_pacemaker = std::env::var(SERVICE.0).is_ok_and(|service| service == SERVICE.1);
    let invocation = Invocation {
        args: args.args,
        input: &mut std::io::stdin(),
        out: &mut std::io::stdout(),
        err: &mut std::io::stderr(),
        by_pacemaker,
    };
    let code = agent::run(&args.name, invocation).await;
    code.ok_or_else(|| {
        Failure::usage(format!(
            "no fence agent is named {:?}; available: {}",
            args.name,
            agent::AGENTS.join(", ")
        ))
    })
}
