//! `tachi completions`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::arguments::Cli;
use crate::out;

/// Prints the completion script of a shell.
pub fn run(shell: Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tachi", &mut script);
    out::line(String::from_utf8_lossy(&script).trim_end());
    crate::DONE
}
