//! The command lines of Masakari's monitors. Started under one of their names, this program acts as that monitor.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::Parser;
use clap::error::ErrorKind;
use tachi_config::OsloArgs;

use crate::cli::ConfigArgs;
use crate::kind::Kind;
use crate::out;

/// Returns the requested monitor and its arguments, by the name of a link to this binary or by the first argument.
pub(crate) fn started(given: &[OsString]) -> Option<(Kind, &[OsString])> {
    let named = |argument: &OsStr| {
        let name = Path::new(argument).file_name()?;
        Kind::ALL.into_iter().find(|kind| name == kind.upstream())
    };
    let (program, arguments) = given.split_first()?;
    if let Some(kind) = named(program) {
        return Some((kind, arguments));
    }
    let (first, arguments) = arguments.split_first()?;
    // A path as first argument would be a file, not a program name.
    let kind = named(first).filter(|kind| first == kind.upstream())?;
    Some((kind, arguments))
}

/// Parses the arguments; returns the exit code for help, version or an error.
pub(crate) fn parse(kind: Kind, arguments: &[OsString]) -> Result<ConfigArgs, u8> {
    let arguments = std::iter::once(OsString::from(kind.upstream())).chain(arguments.iter().cloned());
    let matched = Monitor::try_parse_from(arguments).map_err(|error| print_error(kind, &error))?;
    Ok(ConfigArgs {
        order: matched.oslo.order,
        config_file: matched.oslo.config_file,
        config_dir: matched.oslo.config_dir,
        log: matched.oslo.log,
        program: Some(kind.upstream()),
    })
}

fn print_error(kind: Kind, error: &clap::Error) -> u8 {
    if error.kind() == ErrorKind::DisplayVersion {
        out::line(crate::VERSION);
        return out::DONE;
    }
    // All four share one command line, so the output is adapted to the program that was started.
    let text = error.render().to_string().replace(PLACEHOLDER, kind.upstream());
    if error.use_stderr() {
        out::note(text.trim_end());
    } else {
        out::line(text.trim_end());
    }
    u8::try_from(error.exit_code()).unwrap_or(out::USAGE)
}

const PLACEHOLDER: &str = "masakari-monitor";

/// A monitor of the Instance-HA service of OpenStack (Tachi)
#[derive(Debug, Parser)]
#[command(name = PLACEHOLDER, version = crate::VERSION, max_term_width = 110, infer_long_args = true)]
struct Monitor {
    #[command(flatten)]
    oslo: OsloArgs,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn deploy01_a_monitor_is_known_by_its_name_or_by_the_first_word() {
        Monitor::command().debug_assert();
        for (line, kind) in [
            ("/usr/bin/masakari-hostmonitor --config-file a", Some(Kind::Host)),
            ("masakari-instancemonitor", Some(Kind::Instance)),
            ("masakari-processmonitor", Some(Kind::Process)),
            ("masakari-introspectiveinstancemonitor", Some(Kind::Introspective)),
            ("tachi-monitor masakari-hostmonitor", Some(Kind::Host)),
            ("tachi-monitor host", None),
            ("tachi-monitor /usr/bin/masakari-hostmonitor", None),
        ] {
            let given: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            assert_eq!(started(&given).map(|(kind, _)| kind), kind, "{line}");
        }
    }
}
