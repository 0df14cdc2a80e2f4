//! The configuration: an unchanged `masakarimonitors.conf`, and a section `[monitor]` of our own.
//!
//! Every monitor reads all of it, so that a wrong value is found by the first one that starts.

mod api;
mod bridge;
mod common;
mod guests;
mod masakari;
mod watch;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tachi_config::{ConfigReport, Effective, Ini, KnownOptions, Reader};
use tachi_log::LogSettings;
use tachi_spool::Limits;

use crate::cli::ConfigArgs;
use crate::failure::Failure;
use crate::kind::Kind;

pub(crate) use common::state_path;

pub use bridge::BridgeSettings;
pub use watch::{
    ConsulSettings, GuestSettings, HostSettings, InstanceSettings, KubernetesSettings, ProcessSettings,
};

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of this host in reports: the name under which it is registered in a segment, which is Nova's.
    pub hostname: String,
    /// Folder of the monitors' state, with a subfolder for each.
    pub state_path: PathBuf,
    /// Connection to the API.
    pub api: tachi_instance_ha::Options,
    /// Delivery of reports.
    pub(crate) delivery: DeliverySettings,
    pub(crate) log: LogSettings,
    /// Addresses of the health endpoints, by monitor.
    listen: Vec<(Kind, Option<String>)>,
    /// The configured files of this host's nova-compute.
    pub(crate) nova: Vec<PathBuf>,
    /// A folder that the configuration requires.
    pub(crate) tempdir: Option<PathBuf>,
    /// `[host]`.
    pub host: HostSettings,
    /// Our own options of `[host]`, for Pacemaker.
    pub bridge: BridgeSettings,
    /// `[consul]`.
    pub consul: ConsulSettings,
    /// `[kubernetes]`.
    pub kubernetes: KubernetesSettings,
    /// `[libvirt]` and `[instance]`.
    pub instance: InstanceSettings,
    /// `[introspectiveinstancemonitor]`.
    pub guest: GuestSettings,
    /// `[process]`.
    pub process: ProcessSettings,
    /// The options that were read, with warnings.
    pub(crate) report: ConfigReport,
}

/// Delivery of reports.
#[derive(Debug, Clone)]
pub(crate) struct DeliverySettings {
    /// Limits of the spool.
    pub(crate) limits: Limits,
    /// Age at which a report is dropped.
    pub(crate) max_age: Duration,
    /// Time for which a rejected report is retried: the host may be registered meanwhile.
    pub(crate) rejected_max_age: Duration,
    /// The first pause after a failure; each further one is twice as long.
    pub(crate) retry_min: Duration,
    /// The longest pause.
    pub(crate) retry_max: Duration,
    /// Time to deliver reports after the signal to stop.
    pub(crate) drain: Duration,
}

impl Settings {
    /// Loads the files of the command line, or the default file.
    pub(crate) fn load(args: &ConfigArgs) -> Result<Self, Failure> {
        let named = args.order.sources(&args.config_file, &args.config_dir);
        let folders = args
            .program
            .map(|program| tachi_config::default_folders("masakarimonitors", program));
        let mut ini = Ini::load(&named, &search(), &folders.unwrap_or_default())
            .map_err(|errors| Failure::usage(errors.to_string()))?;
        args.log.apply(&mut ini);
        Self::read(&ini.with_environment(std::env::vars()))
    }

    /// Reads the options from `ini`.
    pub(crate) fn read(ini: &Ini) -> Result<Self, Failure> {
        let known = known()?;
        let mut r = Reader::new(ini, &known);
        let mut settings = Self::read_options(&mut r);
        settings.report = r.finish().map_err(|errors| Failure::usage(errors.to_string()))?;
        Ok(settings)
    }

    /// Returns every option.
    pub(crate) fn declared() -> Result<Vec<Effective>, Failure> {
        let (ini, known) = (Ini::default(), known()?);
        let mut r = Reader::new(&ini, &known);
        Self::read_options(&mut r);
        Ok(r.declared())
    }

    fn read_options(r: &mut Reader<'_>) -> Self {
        let common = common::read(r);
        Self {
            hostname: common.hostname,
            state_path: common.state_path,
            delivery: common.delivery,
            log: common.log,
            listen: common.listen,
            tempdir: common.tempdir,
            nova: common.nova,
            api: api::read(r),
            host: watch::host(r),
            bridge: bridge::bridge(r),
            consul: watch::consul(r),
            kubernetes: watch::kubernetes(r),
            instance: watch::instance(r),
            guest: watch::guest(r),
            process: watch::process(r),
            report: ConfigReport::default(),
        }
    }

    /// Returns files that contain a secret and are readable by every user of this machine, each with the command to fix
    /// it.
    pub(crate) fn exposed(&self) -> Vec<String> {
        let mut files: Vec<&str> = Vec::new();
        for option in self.report.effective.iter().filter(|option| option.secret) {
            if let tachi_config::Origin::File { file, .. } = &option.origin
                && !files.contains(&&**file)
                && std::fs::metadata(&**file).is_ok_and(|about| about.permissions().mode() & 0o007 != 0)
            {
                files.push(file);
            }
        }
        let names = files.into_iter().map(|file| {
            format!(
                "{file} contains a password and is readable by every user of this machine: chgrp masakarimonitors {file} && chmod 0640 \
                 {file}"
            )
        });
        names.collect()
    }

    /// Returns the folder of this monitor's state.
    pub fn folder(&self, kind: Kind) -> PathBuf {
        self.state_path.join(kind.name())
    }

    /// Returns the address of this monitor's health endpoint; `None` if it is disabled.
    pub(crate) fn listen(&self, kind: Kind) -> Option<&str> {
        let found = self.listen.iter().find(|(of, _)| *of == kind);
        found.and_then(|(_, address)| address.as_deref())
    }

    /// Checks the folder by upstream's rule: a configured folder must be writable.
    pub(crate) fn check_tempdir(&self) -> Result<(), Failure> {
        let Some(folder) = &self.tempdir else {
            return Ok(());
        };
        let wrong = |error| {
            Failure::new(
                format!("[DEFAULT] tempdir: writing into {}", folder.display()),
                error,
            )
        };
        std::fs::create_dir_all(folder).map_err(wrong)?;
        let probe = folder.join(format!(".tachi-monitor.{}", std::process::id()));
        std::fs::write(&probe, b"").map_err(wrong)?;
        std::fs::remove_file(&probe).map_err(wrong)
    }
}

fn known() -> Result<KnownOptions, Failure> {
    KnownOptions::table("options.txt", include_str!("settings/options.txt"))
        .map_err(|errors| Failure::from_text(format!("the table of options is wrong: {errors}")))
}

/// Returns the default paths of the configuration.
fn search() -> Vec<PathBuf> {
    const NAME: &str = "masakarimonitors.conf";
    let mut paths = vec![PathBuf::from("/etc/tachi/tachi-monitor.conf")];
    if let Some(home) = std::env::var_os("HOME").filter(|home| !home.is_empty()) {
        let home = Path::new(&home);
        paths.push(home.join(".masakarimonitors").join(NAME));
        paths.push(home.join(NAME));
    }
    paths.push(Path::new("/etc/masakarimonitors").join(NAME));
    paths.push(Path::new("/etc").join(NAME));
    paths
}

#[cfg(test)]
pub(crate) mod tests;
