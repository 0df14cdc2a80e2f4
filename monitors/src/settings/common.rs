//! `[DEFAULT]` and `[monitor]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tachi_config::{Reader, Refusal};
use tachi_log::LogSettings;
use tachi_spool::Limits;

use super::DeliverySettings;
use crate::kind::Kind;

pub(super) struct Common {
    pub(super) hostname: String,
    pub(super) state_path: PathBuf,
    pub(super) delivery: DeliverySettings,
    pub(super) log: LogSettings,
    pub(super) listen: Vec<(Kind, Option<String>)>,
    pub(super) tempdir: Option<PathBuf>,
    pub(super) nova: Vec<PathBuf>,
}

const DAY: Duration = Duration::from_secs(86_400);

#[allow(clippy::too_many_lines, reason = "a few lines for each option")]
pub(super) fn read(r: &mut Reader<'_>) -> Common {
    const G: &str = "monitor";
    let hostname = r
        .string("DEFAULT", "hostname")
        .default(own_name())
        .varies("this machine's name")
        .check(|name| name_check(name))
        .help("name of this host in reports: its name in Nova")
        .get();
    let tempdir = r
        .string("DEFAULT", "tempdir")
        .unit("path")
        .help("accepted without effect, but a configured folder must be writable")
        .optional()
        .map(PathBuf::from);
    let log = LogSettings::read(r);
    let state_path = PathBuf::from(
        r.string(G, "state_path")
            .default(state_path())
            .varies("/var/lib/tachi-monitor; of a user who is not root ~/.local/state/tachi-monitor")
            .unit("path")
            .help("folder of the monitors' state, with a subfolder for each")
            .get(),
    );
    let nova = r
        .list(G, "nova_config_files")
        .default(Vec::<String>::new())
        .help("configuration files of this host's nova-compute; unless set those that it was started with")
        .get();
    let limits = Limits {
        records: r
            .int(G, "spool_max_records")
            .default(4096_usize)
            .range(16..=100_000)
            .unit("reports")
            .help("maximum number of undelivered reports")
            .get(),
        bytes: r
            .int(G, "spool_max_bytes")
            .default(2_097_152_usize)
            .range(65_536..=67_108_864)
            .unit("bytes")
            .help("maximum size of undelivered reports")
            .get(),
    };
    let second = Duration::from_secs(1);
    let delivery = DeliverySettings {
        limits,
        max_age: r
            .seconds(G, "max_age")
            .default(DAY)
            .range(second * 60..=DAY * 30)
            .help("age at which an undelivered report is dropped")
            .get(),
        rejected_max_age: r
            .seconds(G, "rejected_max_age")
            .default(second * 600)
            .range(Duration::ZERO..=DAY)
            .help("how long a report that the API rejects is retried: the host may be registered in the meantime")
            .get(),
        retry_min: r
            .seconds(G, "retry_min")
            .default(Duration::from_millis(500))
            .range(Duration::from_millis(10)..=second * 60)
            .help("first pause after a failure; each further one is twice as long")
            .get(),
        retry_max: r
            .seconds(G, "retry_max")
            .default(second * 15)
            .range(second / 10..=second * 600)
            .help("maximum pause")
            .get(),
        drain: r
            .seconds(G, "drain_timeout")
            .default(second * 5)
            .range(Duration::ZERO..=second * 80)
            .help("how long reports are delivered after SIGTERM; the rest stays on disk")
            .get(),
    };
    if delivery.retry_max < delivery.retry_min {
        let refusal = Refusal::new("is shorter than retry_min", "write a longer one");
        r.refuse(G, "retry_max", refusal);
    }
    let listen = Kind::ALL
        .map(|kind| {
            let option = format!("{}_listen", kind.name());
            let address = r
                .string(G, &option)
                .default(format!("127.0.0.1:{}", kind.port()))
                .check(|text| listen_check(text))
                .unit("address and port")
                .help(format!(
                    "address of the {} monitor's health and metrics; `off`: none",
                    kind.name()
                ))
                .optional();
            (kind, address.filter(|address| address != "off"))
        })
        .to_vec();
    Common {
        hostname,
        state_path,
        delivery,
        log,
        listen,
        tempdir,
        nova: nova.into_iter().map(PathBuf::from).collect(),
    }
}

/// Checks a host's name as the API does.
fn name_check(name: &str) -> Result<(), Refusal> {
    let good = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
    if good && (1..=255).contains(&name.len()) {
        return Ok(());
    }
    Err(Refusal::new(
        "is not a host name",
        "write its name in Nova: letters, digits, dots, dashes",
    ))
}

fn listen_check(text: &str) -> Result<(), Refusal> {
    if text.is_empty() || text == "off" || text.parse::<SocketAddr>().is_ok() {
        return Ok(());
    }
    Err(Refusal::new("is not an address", "write ADDRESS:PORT, or off"))
}

/// Returns the machine's own name.
fn own_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Returns the folder from the service manager, or a default for trials.
pub(crate) fn state_path() -> String {
    let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(state) = of("XDG_STATE_HOME") {
        return format!("{state}/tachi-monitor");
    }
    if rustix::process::geteuid().is_root() {
        return "/var/lib/tachi-monitor".to_owned();
    }
    of("HOME").map_or_else(
        || "/var/lib/tachi-monitor".to_owned(),
        |home| format!("{home}/.local/state/tachi-monitor"),
    )
}
