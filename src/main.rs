//! The `tachi` binary: the commands of a controller, and the wiring of adapters to the engine and the API.

mod cmd;
mod database;
mod logging;
mod settings;
mod wiring;

use std::ffi::OsString;
use std::process::ExitCode;

use tachi_cli::arguments::{self, Cli, Command, DropIn, FenceAgentArgs};
use tachi_cli::{DONE, FAILED, USAGE, VERSION, out};

fn main() -> ExitCode {
    // With two TLS stacks rustls would panic at run time; there is only one, and it is installed here.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        return out::fail(FAILED, "a TLS provider is already installed");
    }
    let given: Vec<OsString> = std::env::args_os().collect();
    let drop_in = DropIn::started(&given);
    let cli = match drop_in.map(|(program, arguments)| program.parse(arguments)) {
        Some(Ok(cli)) => cli,
        Some(Err(error)) => return ExitCode::from(DropIn::print_error(&error)),
        None => command_line(&given),
    };
    let usage = match drop_in {
        // Masakari's services exit with 1 on a wrong configuration.
        Some((DropIn::Api | DropIn::Engine, _)) => FAILED,
        _ => USAGE,
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = cmd::worker_threads(&cli) {
        runtime.worker_threads(threads);
    }
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return out::fail(FAILED, &format!("starting the runtime: {error}")),
    };
    match runtime.block_on(cmd::run(cli)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let code = if error.is_usage() { usage } else { FAILED };
            out::fail(code, &error.chain())
        }
    }
}

/// Parses the command line; started by the name of a fence agent, the binary acts as that agent.
fn command_line(given: &[OsString]) -> Cli {
    match cmd::fence_agent::started_as(given.first()) {
        None if given.len() <= 1 => Cli {
            command: Command::Overview,
        },
        None => arguments::parse(given).unwrap_or_else(|error| error.exit()),
        Some(agent) => Cli {
            command: Command::FenceAgent(FenceAgentArgs {
                name: agent.to_owned(),
                // An argument that is not UTF-8 cannot be an option of an agent, and is refused as an unknown one.
                args: given
                    .iter()
                    .skip(1)
                    .map(|arg| arg.to_string_lossy().into_owned())
                    .collect(),
            }),
        },
    }
}
