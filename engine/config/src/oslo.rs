//! The command line of services that use oslo.config, for our programs under Masakari's names.

use std::path::PathBuf;

use crate::files::ConfigSource;
use crate::ini::Ini;

/// The order in which a command line names files (`--config-file`) and folders (`--config-dir`). Flattened before the
/// fields of these options, which take them out of clap's matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigOrder(Vec<ConfigSource>);

impl ConfigOrder {
    /// Returns the sources in the order of the command line. Where none was read, as in a program's own arguments, the
    /// files come first.
    pub fn sources(&self, files: &[PathBuf], folders: &[PathBuf]) -> Vec<ConfigSource> {
        if !self.0.is_empty() {
            return self.0.clone();
        }
        let files = files.iter().cloned().map(ConfigSource::File);
        files
            .chain(folders.iter().cloned().map(ConfigSource::Folder))
            .collect()
    }
}

impl clap::FromArgMatches for ConfigOrder {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let of = |id: &'static str, source: fn(PathBuf) -> ConfigSource| {
            let values = matches.get_many::<PathBuf>(id).into_iter().flatten().cloned();
            let places = matches.indices_of(id).into_iter().flatten();
            places.zip(values.map(source))
        };
        let mut all: Vec<_> = of("config_file", ConfigSource::File)
            .chain(of("config_dir", ConfigSource::Folder))
            .collect();
        all.sort_by_key(|(place, _)| *place);
        Ok(Self(all.into_iter().map(|(_, source)| source).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for ConfigOrder {
    fn augment_args(command: clap::Command) -> clap::Command {
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command
    }
}

/// Options of every OpenStack service.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct OsloArgs {
    /// The order of the next two.
    #[command(flatten)]
    pub order: ConfigOrder,
    /// Read this file; may be repeated, later ones win
    #[arg(long, value_name = "PATH")]
    pub config_file: Vec<PathBuf>,
    /// Read every *.conf in this folder; may be repeated, and the last of files and folders wins
    #[arg(long, value_name = "DIR")]
    pub config_dir: Vec<PathBuf>,
    /// Options of the log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// The options of oslo.log.
#[derive(Clone, Debug, Default, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own there")]
pub struct LogArgs {
    /// Log all messages of Tachi
    #[arg(short, long, overrides_with = "nodebug")]
    debug: bool,
    /// The inverse of --debug
    #[arg(long, overrides_with = "debug")]
    nodebug: bool,
    /// Log into this file instead of standard error
    #[arg(long, alias = "logfile", value_name = "PATH")]
    log_file: Option<String>,
    /// Log into a file in this folder
    #[arg(long, alias = "logdir", value_name = "LOG_DIR")]
    log_dir: Option<String>,
    /// Log one JSON object per line
    #[arg(long, overrides_with = "nouse_json")]
    use_json: bool,
    /// The inverse of --use-json
    #[arg(long, overrides_with = "use_json")]
    nouse_json: bool,
    /// Accepted; set `RUST_LOG` to filter the log
    #[arg(long, aliases = ["log-config", "log_config"], value_name = "PATH")]
    log_config_append: Option<String>,
    /// Accepted; `log_form` decides the format of times
    #[arg(long, value_name = "DATE_FORMAT")]
    log_date_format: Option<String>,
    /// Log to systemd's journal
    #[arg(long, overrides_with = "nouse_journal")]
    use_journal: bool,
    /// The inverse of --use-journal
    #[arg(long, overrides_with = "use_journal")]
    nouse_journal: bool,
    /// Log to syslog
    #[arg(long, overrides_with = "nouse_syslog")]
    use_syslog: bool,
    /// The inverse of --use-syslog
    #[arg(long, overrides_with = "use_syslog")]
    nouse_syslog: bool,
    /// Facility of lines sent to syslog
    #[arg(long, value_name = "FACILITY")]
    syslog_log_facility: Option<String>,
}

impl LogArgs {
    /// Applies the options of the command line, which take precedence over the files.
    pub fn apply(&self, ini: &mut Ini) {
        for (option, value, flag) in self.given() {
            ini.set("DEFAULT", option, &value, flag);
        }
    }

    /// Returns option, value and flag of each given option that has an effect here.
    fn given(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut given = Vec::new();
        for (option, on, off, flag) in [
            ("debug", self.debug, self.nodebug, "--debug"),
            ("use_json", self.use_json, self.nouse_json, "--use-json"),
            (
                "use_journal",
                self.use_journal,
                self.nouse_journal,
                "--use-journal",
            ),
            ("use_syslog", self.use_syslog, self.nouse_syslog, "--use-syslog"),
        ] {
            if on || off {
                given.push((option, on.to_string(), flag));
            }
        }
        for (option, value, flag) in [
            ("log_file", &self.log_file, "--log-file"),
            ("log_dir", &self.log_dir, "--log-dir"),
            (
                "syslog_log_facility",
                &self.syslog_log_facility,
                "--syslog-log-facility",
            ),
        ] {
            if let Some(value) = value {
                given.push((option, value.clone(), flag));
            }
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    #[command(infer_long_args = true)]
    struct Service {
        #[command(flatten)]
        oslo: OsloArgs,
    }

    fn given(arguments: &[&str]) -> Vec<String> {
        let arguments = std::iter::once("masakari-engine").chain(arguments.iter().copied());
        let service = Service::try_parse_from(arguments).unwrap();
        let given = service.oslo.log.given();
        given
            .into_iter()
            .map(|(option, value, _)| format!("{option}={value}"))
            .collect()
    }

    #[test]
    fn deploy01_the_flags_of_oslo_are_options_of_the_file() {
        assert_eq!(given(&[]), [""; 0]);
        assert_eq!(given(&["-d"]), ["debug=true"]);
        assert_eq!(given(&["--debug", "--nodebug"]), ["debug=false"]);
        assert_eq!(given(&["--nodebug", "--debug"]), ["debug=true"]);
        assert_eq!(
            given(&["--log-file=/var/log/masakari/masakari-engine.log", "--use-syslog"]),
            [
                "use_syslog=true",
                "log_file=/var/log/masakari/masakari-engine.log"
            ]
        );
        assert_eq!(
            given(&["--logdir", "/var/log", "--use-js"]).len(),
            2,
            "argparse takes a prefix too"
        );
    }

    #[test]
    fn files_and_folders_keep_the_order_of_the_command_line() {
        let file = |path: &str| ConfigSource::File(path.into());
        let folder = |path: &str| ConfigSource::Folder(path.into());
        for (arguments, expected) in [
            ("", vec![]),
            ("--config-file a", vec![file("a")]),
            ("--config-dir d --config-file=a", vec![folder("d"), file("a")]),
            (
                "--config-file a --debug --config-dir=d --config-file b",
                vec![file("a"), folder("d"), file("b")],
            ),
        ] {
            let all = std::iter::once("masakari-engine").chain(arguments.split_whitespace());
            let oslo = Service::try_parse_from(all).unwrap().oslo;
            let sources = oslo.order.sources(&oslo.config_file, &oslo.config_dir);
            assert_eq!(sources, expected, "{arguments}");
        }
        let own = ConfigOrder::default().sources(&["a".into()], &["d".into()]);
        assert_eq!(own, [file("a"), folder("d")]);
    }

    #[test]
    fn deploy01_a_flag_beats_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("masakari.conf");
        std::fs::write(&path, "[DEFAULT]\ndebug = true\n").unwrap();
        let path = path.to_str().unwrap();
        let arguments = ["masakari-api", "--config-file", path, "--nodebug"];
        let oslo = Service::try_parse_from(arguments).unwrap().oslo;
        let mut ini = Ini::load(&oslo.order.sources(&oslo.config_file, &oslo.config_dir), &[], &[]).unwrap();
        oslo.log.apply(&mut ini);
        let known = crate::KnownOptions::masakari();
        let mut reader = crate::Reader::new(&ini, &known);
        assert!(!reader.bool("DEFAULT", "debug").default(true).get());
    }
}
