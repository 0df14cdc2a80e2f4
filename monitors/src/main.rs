//! The `tachi-monitor` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    tachi_monitor::main()
}
