//! Fence agents for Pacemaker: by their own names, or as `tachi fence-agent NAME`.

use std::ffi::OsString;
use std::path::Path;

use tachi_fence::agent::{self, Invocation};

use super::Failure;
use crate::cli::FenceAgentArgs;

/// How Pacemaker's fencer marks what it starts.
const SERVICE: (&str, &str) = ("PCMK_service", "pacemaker-fenced");

/// The agent this binary was started as, by the name of a link to it.
pub(crate) fn started_as(program: Option<&OsString>) -> Option<&'static str> {
    let name = Path::new(program?).file_name()?.to_str()?;
    agent::AGENTS.iter().copied().find(|agent| *agent == name)
}

/// Runs an agent; gives its exit code.
pub(crate) async fn run(args: FenceAgentArgs) -> Result<u8, Failure> {
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
            "there is no fence agent {:?}; there are: {}",
            args.name,
            agent::AGENTS.join(", ")
        ))
    })
}
