//! `tachi sandbox`, and the region that `serve --sandbox` and `demo` start.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tachi_cli::arguments::SandboxArgs;
use tachi_cli::out;
use tachi_operator::Failure;
use tachi_sandbox::{Boot, Fleet, RegionSettings, Sandbox, SandboxOptions};
use tempfile::TempDir;

/// Short timeouts: simulated machines react within a second, so one that does not, or a broken BMC, is found within seconds.
pub(crate) const SHORT_TIMEOUTS: &str =
    "power_off_limit = 8\npower_poll_interval = 1\nstorm_startup_grace = 0\nself_test_interval = 20\n";

/// A simulated region and the files for using it.
pub struct Region {
    pub(crate) sandbox: Sandbox,
    /// Folder of `tachi.conf`, MAAS's key, and the database.
    state_dir: PathBuf,
    /// The text of `tachi.conf`.
    pub conf: String,
    /// Address that the API will listen on.
    api: SocketAddr,
    /// Temporary folder, removed with the region; `None` if a folder was named.
    _folder: Option<TempDir>,
}

/// Renders the devices' file of a region: the machines' BMCs through MAAS, then the outlets that they are plugged into.
fn devices(machines: &str, outlets: &str, key: &Path, listen: IpAddr) -> String {
    // An operator who makes the simulated region reachable has been warned, and its key opens nothing else.
    let allowed = if listen.is_loopback() {
        ""
    } else {
        "allow_http = true\n"
    };
    let device = |name: &str, url: &str, timeout: u32| {
        format!(
            "[[device]]\nname = \"{name}\"\ntype = \"maas\"\nendpoint = \"{url}\"\ncredential = \"file:{}\"\n\
             timeout = {timeout}\npoll = 1\n{allowed}\n",
            key.display()
        )
    };
    let (bmc, pdu) = (device("bmc", machines, 8), device("pdu", outlets, 12));
    format!("{bmc}{pdu}[[hosts]]\nmatch = \"*\"\nlevels = [[\"bmc\"], [\"pdu\"]]\n")
}

/// Parameters of a region, besides the sandbox's own options.
pub(crate) struct RegionPlan<'a> {
    pub(crate) options: SandboxOptions,
    /// Address that the API will listen on.
    pub(crate) api: SocketAddr,
    /// Folder that is kept afterwards, if named.
    pub(crate) state_dir: Option<&'a Path>,
    /// Additional lines of `tachi.conf`.
    pub(crate) more_conf: &'a str,
}

impl Region {
    /// Starts the region that the options of a command describe, and boots its instances: `instances` unless the options name a number.
    ///
    /// # Errors
    ///
    /// A file of the region cannot be written, or no port is free.
    pub async fn of_command(args: &SandboxArgs, more_conf: &str, instances: u32) -> Result<Self, Failure> {
        warn_if_open(args);
        check_clouds(args)?;
        let region = Self::start(RegionPlan {
            options: options_of(args),
            api: free_port(args.listen)?,
            state_dir: args.state_dir.as_deref(),
            more_conf: &format!("{SHORT_TIMEOUTS}{more_conf}"),
        })
        .await?;
        boot(&region, args.instances.unwrap_or(instances))?;
        Ok(region)
    }

    /// Starts a region, registers the API's endpoint in its catalog, and writes `tachi.conf`.
    pub(crate) async fn start(plan: RegionPlan<'_>) -> Result<Self, Failure> {
        let wrong = |what: &str, error: std::io::Error| Failure::new(what.to_owned(), error);
        let folder = match plan.state_dir {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("tachi-")
                    .tempdir()
                    .map_err(|error| wrong("creating a folder for the state", error))?,
            ),
        };
        let state_dir = match (&folder, plan.state_dir) {
            (Some(folder), _) => folder.path().to_path_buf(),
            (None, Some(named)) => {
                std::fs::create_dir_all(named).map_err(|error| wrong("creating the state folder", error))?;
                std::path::absolute(named).map_err(|error| wrong("finding the state folder", error))?
            }
            (None, None) => return Err(Failure::from_text("no folder for the state")),
        };
        let listen = plan.options.listen;
        let sandbox = Sandbox::start(plan.options)
            .await
            .map_err(|error| Failure::new("starting the simulated region", error))?;
        sandbox.register_endpoint(
            "instance-ha",
            "masakari",
            &format!("http://{}/v1/$(tenant_id)s", plan.api),
        );
        let key = state_dir.join("maas.key");
        write_private(&key, &sandbox.maas_api_key())?;
        let file = state_dir.join("fencing.toml");
        let urls = sandbox.urls();
        write_private(&file, &devices(&urls.maas, &urls.outlets, &key, listen))?;
        let conf = conf(&sandbox, &state_dir, &file, plan.api, plan.more_conf);
        write_private(&state_dir.join("tachi.conf"), &conf)?;
        Ok(Self {
            sandbox,
            state_dir,
            conf,
            api: plan.api,
            _folder: folder,
        })
    }

    /// Returns the path of `tachi.conf`.
    pub fn conf_file(&self) -> PathBuf {
        self.state_dir.join("tachi.conf")
    }

    /// Prints commands that use a region with API and engine; without `hosts` there is no host to fail.
    pub fn print_commands(&self, args: &SandboxArgs, hosts: bool) {
        out::line(format!("status      tachi status {}", region_options(args)));
        if let Some(host) = self.sandbox.region().hosts().first().filter(|_| hosts) {
            out::line(format!(
                "fail a host tachi demo kill {}; also: cut, break-bmc, and heal to repair it",
                host.name
            ));
        }
    }

    /// Stops the region.
    ///
    /// # Errors
    ///
    /// A server of the region has failed.
    pub async fn stop(self) -> Result<(), Failure> {
        let stopped = self.sandbox.stop().await;
        stopped.map_err(|error| Failure::new("stopping the simulated region", error))
    }
}

/// Renders an ordinary configuration for a region.
fn conf(sandbox: &Sandbox, state_dir: &Path, devices: &Path, api: SocketAddr, more: &str) -> String {
    let login = sandbox.credentials_of("masakari", "service");
    format!(
        "[DEFAULT]\nstate_path = {state}\nmasakari_api_listen = {ip}\nmasakari_api_listen_port = {port}\n\
         os_privileged_user_auth_url = {url}\nos_privileged_user_name = {user}\nos_privileged_user_password = {password}\n\
         os_privileged_user_tenant = {project}\nos_user_domain_name = {domain}\nos_project_domain_name = {domain}\n\
         os_region_name = {region}\n\n\
         [keystone_authtoken]\nauth_url = {url}\nauth_type = password\nusername = {user}\npassword = {password}\n\
         project_name = {project}\nuser_domain_name = {domain}\nproject_domain_name = {domain}\nregion_name = {region}\n\
         www_authenticate_uri = {url}\n\n\
         [board]\nenabled = true\nactions = true\n\n\
         [fencing]\nmode = engine\ndevices_file = {devices}\n\
         audit_log = {state}/fencing-audit.jsonl\n{more}",
        state = state_dir.display(),
        ip = api.ip(),
        port = api.port(),
        url = login.auth_url,
        user = login.username,
        password = login.password,
        project = login.project_name,
        domain = login.domain_name,
        region = login.region_name,
        devices = devices.display(),
    )
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    let wrong = |error| Failure::new(format!("writing {}", path.display()), error);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).map_err(wrong)?;
    file.write_all(text.as_bytes()).map_err(wrong)
}

/// Converts the command line's options to the sandbox's.
fn options_of(args: &SandboxArgs) -> SandboxOptions {
    SandboxOptions {
        region: RegionSettings {
            seed: args.seed,
            fleet: Fleet {
                hosts: usize::from(args.hosts),
                ..Fleet::default()
            },
            rebuild_time: Duration::from_secs_f64(args.rebuild_seconds),
            conductor_rate: args.evacuations_per_second,
            ..RegionSettings::default()
        },
        listen: args.listen,
        port: args.port,
        ..SandboxOptions::default()
    }
}

/// Boots the requested instances, every other one with `HA_Enabled`.
fn boot(region: &Region, instances: u32) -> Result<(), Failure> {
    let wrong = |error| Failure::new("booting instances", error);
    let half = usize::try_from(instances / 2).unwrap_or_default();
    let rest = usize::try_from(instances).unwrap_or_default() - half;
    if half > 0 {
        let marked = Boot::spread(half).metadata("HA_Enabled", "True").name("ha");
        region.sandbox.region().boot(&marked).map_err(wrong)?;
    }
    if rest > 0 {
        region
            .sandbox
            .region()
            .boot(&Boot::spread(rest).name("vm"))
            .map_err(wrong)?;
    }
    Ok(())
}

/// Ports below those that the kernel gives to outgoing connections, one of which could take a port before it is listened on.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Returns a port that is free at this moment.
pub(crate) fn free_port(ip: std::net::IpAddr) -> Result<SocketAddr, Failure> {
    let first = uuid::Uuid::new_v4().as_u128() % u128::from(PORTS.end - PORTS.start);
    let first = PORTS.start + u16::try_from(first).unwrap_or_default();
    let candidates = (first..PORTS.end).chain(PORTS.start..first);
    let is_free = |port: &u16| std::net::TcpListener::bind(SocketAddr::new(ip, *port)).is_ok();
    candidates
        .into_iter()
        .find(is_free)
        .map(|port| SocketAddr::new(ip, port))
        .ok_or_else(|| Failure::from_text("no port from 20000 to 31999 is free"))
}

/// First line of our clouds.yaml, by which it is recognised, so that no other file is overwritten.
const OURS: &str = "# written by tachi for its simulated region";

/// Refuses to overwrite a clouds.yaml that is not ours, and one that cannot be written, before anything is started.
fn check_clouds(args: &SandboxArgs) -> Result<(), Failure> {
    let file = args.clouds.display();
    match std::fs::read_to_string(&args.clouds) {
        // A running region may be using it, so it is not changed here.
        Ok(text) if text.starts_with(OURS) => {
            let writable = std::fs::OpenOptions::new().append(true).open(&args.clouds);
            return writable.map(|_| ()).map_err(|error| {
                Failure::usage(format!("{file}: {error}: name another file with --clouds"))
            });
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Ok(_) => {
            return Err(Failure::usage(format!(
                "{file} exists and was not written by Tachi: name another file with --clouds"
            )));
        }
        Err(error) => return Err(Failure::new(format!("reading {file}"), error)),
    }
    // With its first line alone it is ours, so a start that fails leaves nothing that the next one refuses.
    write_private(&args.clouds, &format!("{OURS}\n")).map_err(|error| {
        Failure::usage(format!(
            "{}: name a file in another folder with --clouds",
            error.chain()
        ))
    })
}

/// Writes clouds.yaml and prints the addresses of the region.
pub fn print_addresses(region: &Region, args: &SandboxArgs) -> Result<(), Failure> {
    write_private(&args.clouds, &format!("{OURS}\n{}", region.sandbox.clouds_yaml()))?;
    let login = region.sandbox.credentials_of("admin", "admin");
    let (urls, api) = (region.sandbox.urls(), region.api);
    out::line(format!("keystone    {}", urls.identity));
    out::line(format!("nova        {}", urls.compute));
    out::line(format!("maas        {}", urls.maas));
    out::line(format!(
        "admin       {}  (header X-Sandbox-Key: the password in clouds.yaml)",
        urls.admin
    ));
    out::line(format!("instance-ha http://{api}/v1"));
    out::line(format!(
        "board       http://{api}/board/  (user {}, password {}, project {}, domain {})",
        login.username, login.password, login.project_name, login.domain_name
    ));
    out::line(format!("config      {}", region.conf_file().display()));
    out::line(format!("clouds.yaml {}", args.clouds.display()));
    Ok(())
}

/// Returns the options with which a command uses this region.
fn region_options(args: &SandboxArgs) -> String {
    let cloud = "--os-cloud tachi-sandbox";
    if args.clouds == Path::new("clouds.yaml") {
        return cloud.to_owned();
    }
    format!(
        "{cloud}    # with OS_CLIENT_CONFIG_FILE={}",
        args.clouds.display()
    )
}

/// Warns if the region can be reached from other machines.
fn warn_if_open(args: &SandboxArgs) {
    if !args.listen.is_loopback() {
        tracing::warn!(
            listen = %args.listen,
            "simulated region is reachable from other machines; anyone who reaches it can try its password"
        );
    }
}

/// Runs a region until `until_stopped` ends.
pub async fn run(
    args: SandboxArgs,
    until_stopped: impl Future<Output = Result<(), Failure>>,
) -> Result<u8, Failure> {
    let region = Region::of_command(&args, "", 0).await?;
    print_addresses(&region, &args)?;
    out::line("ready; `tachi serve --config-file` with the config above protects it. Stop with Ctrl-C");
    until_stopped.await?;
    region.stop().await?;
    Ok(tachi_cli::DONE)
}

#[cfg(test)]
mod tests {
    use tachi_fence::Topology;

    use super::*;

    #[test]
    fn the_devices_of_a_region_can_be_used_wherever_it_listens() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("maas.key");
        write_private(&key, "a:b:c").unwrap();
        for listen in ["127.0.0.1", "10.88.0.1"] {
            let url = |path: &str| format!("http://{listen}:4711/{path}");
            let text = devices(&url("MAAS"), &url("PDU/MAAS"), &key, listen.parse().unwrap());
            assert!(Topology::parse("fencing.toml", &text).is_ok(), "{text}");
            assert_eq!(
                text.contains("allow_http"),
                listen != "127.0.0.1",
                "only where it is needed"
            );
        }
    }
}
