//! `[fencing]`: the fence devices.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tachi_config::{Reader, Refusal};
use tachi_domain::policy::FencingMode;
use tachi_fence::self_test::Pauses;
use tachi_fence::{MaasOptions, Source, Topology};
use tachi_operator::Failure;

/// Default paths of the devices' file.
const PLACES: [&str; 2] = ["/etc/tachi/fencing.toml", "/etc/masakari/fencing.toml"];

/// Maximum size of the devices' file, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The fence devices, and the limits of their use.
#[derive(Clone, Debug)]
pub(crate) struct Fencing {
    /// The devices' file, if it is named or in a default path.
    pub(crate) file: Option<PathBuf>,
    /// The one MAAS of `maas_url`.
    pub(crate) maas: Option<MaasOptions>,
    /// Limit of concurrent power commands.
    pub(crate) max_power_commands: usize,
    /// Intervals of the self-tests of a device; `None` for no tests.
    pub(crate) self_test: Option<Pauses>,
}

/// Default interval of the engine that watches. A hanging device is found within a minute: this interval, ten seconds without an answer, and
/// the time to store the result.
const WATCHING: Duration = Duration::from_secs(40);

/// Default interval of each other engine.
const BESIDE: Duration = Duration::from_secs(300);

/// Reads the options of `[fencing]` about devices.
pub(super) fn fencing(r: &mut Reader<'_>) -> Fencing {
    const G: &str = "fencing";
    let named = r
        .string(G, "devices_file")
        .unit("path")
        .help(
            "file of the fence devices, an absolute path; unless set \
        /etc/tachi/fencing.toml or /etc/masakari/fencing.toml if it exists",
        )
        .optional()
        .map(PathBuf::from);
    if let Some(path) = named.as_deref().filter(|path| !path.is_absolute()) {
        let why = format!("{} is not an absolute path", path.display());
        r.refuse(G, "devices_file", Refusal::new(why, "write the whole path"));
    }
    let there = || PLACES.iter().map(PathBuf::from).find(|path| path.is_file());
    let max_power_commands: u32 = r
        .int(G, "max_parallel_fences")
        .default(4)
        .range(1..=64)
        .unit("commands")
        .help("maximum number of concurrent power commands of an engine")
        .get();
    // An explicit interval applies to all engines.
    let beside = (!r.is_set(G, "self_test_interval")).then_some(BESIDE);
    let every = r
        .seconds(G, "self_test_interval")
        .default(WATCHING)
        .range(Duration::ZERO..=Duration::from_secs(86_400))
        .help("interval of the tests of a device by the engine that watches; every other engine uses 300 s unless set. 0: no tests").get();
    Fencing {
        file: named.or_else(there),
        maas: maas(r),
        max_power_commands: usize::try_from(max_power_commands).unwrap_or(4),
        self_test: (every > Duration::ZERO).then_some(Pauses {
            watching: every,
            beside: beside.unwrap_or(every),
        }),
    }
}

impl Fencing {
    /// True if any device is configured, which makes `engine` the default mode.
    pub(crate) fn is_configured(&self) -> bool {
        self.file.is_some() || self.maas.is_some()
    }

    /// Describes the source of the devices; `None` if there are none.
    pub(crate) fn place(&self) -> Option<String> {
        let file = self
            .file
            .as_ref()
            .map(|path| format!("the devices of {}", path.display()));
        file.or_else(|| self.maas.as_ref().map(|maas| maas.url.clone()))
    }

    /// Reads the devices.
    ///
    /// # Errors
    ///
    /// The file cannot be read or trusted, or has problems: the error lists all of them.
    pub(crate) fn topology(&self) -> Result<Topology, Failure> {
        let Some(path) = &self.file else {
            let maas = self.maas.clone();
            return Ok(maas.map_or_else(Topology::default, Topology::of_maas));
        };
        if self.maas.is_some() {
            tracing::warn!(
                file = %path.display(),
                "ignoring [fencing] maas_url; add it as a device to the file of fence devices"
            );
        }
        let text = read(path)?;
        Topology::parse(&path.display().to_string(), &text).map_err(|problems| {
            let all: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
            Failure::usage(format!("{} cannot be used:\n{}", path.display(), all.join("\n")))
        })
    }

    /// Describes the fencing mode, for an engine's heartbeat.
    pub(crate) fn fact(&self, mode: FencingMode) -> String {
        match (mode, self.place()) {
            (FencingMode::Engine, Some(place)) => format!("ok: engine, through {place}"),
            (FencingMode::Engine, None) => "not working: mode engine without a fence device".into(),
            (FencingMode::DryRun, _) => "dry-run: no power-off and no recovery".into(),
            (FencingMode::External, _) => "ok: external".into(),
        }
    }
}

/// Reads the file. A user who can write it can send a power-off to any address.
fn read(path: &Path) -> Result<String, Failure> {
    let wrong = |error| Failure::new(format!("reading the devices' file {}", path.display()), error);
    let file = std::fs::File::open(path).map_err(wrong)?;
    let metadata = file.metadata().map_err(wrong)?;
    let ours = rustix::process::geteuid().as_raw();
    if metadata.mode() & 0o022 != 0 || (metadata.uid() != 0 && metadata.uid() != ours) {
        return Err(Failure::usage(format!(
            "{} could be changed by others: it must belong to root or to this process's user, and be writable by its owner only",
            path.display()
        )));
    }
    let mut text = String::new();
    file.take(MAX_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(wrong)?;
    Ok(text)
}

/// Reads the MAAS, if one is named.
fn maas(r: &mut Reader<'_>) -> Option<MaasOptions> {
    let url = r
        .string("fencing", "maas_url")
        .unit("URL")
        .help("the MAAS that switches all hosts, if there is no devices file")
        .optional();
    let key = r
        .parsed(
            "fencing",
            "maas_api_key",
            |text: &str| {
                let source: Source = text.parse().map_err(|error: tachi_fence::CredentialError| {
                    Refusal::new(
                        error.to_string(),
                        "write file:/path or cred:name, and not the key itself",
                    )
                })?;
                source.load().map_err(|error| {
                    Refusal::new(
                        error.to_string(),
                        "put the key there, readable only by this process's user",
                    )
                })
            },
            |_| "***".into(),
        )
        .secret()
        // The value names only the place of the key.
        .harmless_if(|_| true)
        .help("place of MAAS's key: file:/path, or cred:name of systemd")
        .optional();
    let ca_file = r
        .string("fencing", "maas_ca_file")
        .unit("path")
        .help("CA certificates for MAAS")
        .optional()
        .map(PathBuf::from);
    let allow_http = r
        .bool("fencing", "maas_allow_http")
        .default(false)
        .help("allows MAAS without TLS")
        .get();
    let url = url?;
    let Some(key) = key else {
        r.refuse(
            "fencing",
            "maas_api_key",
            Refusal::new("is missing, and maas_url is set", "write file:/path or cred:name"),
        );
        return None;
    };
    Some(MaasOptions {
        ca_file,
        allow_http,
        ..MaasOptions::new(url, key)
    })
}
