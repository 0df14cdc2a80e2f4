//! Options of the monitors.

use std::path::PathBuf;
use std::time::Duration;

use tachi_config::Reader;

use super::masakari::{NoTimeout, Number, UNLIMITED};

/// `[host]`.
#[derive(Debug, Clone)]
pub struct HostSettings {
    /// True if Consul and Kubernetes report a host that does not answer as NORMAL, which upstream treats as safe to
    /// evacuate.
    pub normal_without_proof: bool,
    /// `default`, `simple` (both are Pacemaker), `consul` or `kubernetes`.
    pub driver: &'static str,
    /// Poll interval of Consul and Kubernetes.
    pub interval: Duration,
    /// Number of equal answers that are required.
    pub samples: usize,
    /// True to declare a host off without reading its power controller.
    pub disable_ipmi_check: bool,
    /// True to watch only nodes that run `pacemaker-remoted`.
    pub restrict_to_remotes: bool,
    /// Timeout of reading a power controller.
    pub ipmi_timeout: Duration,
    /// Limit of retries.
    pub ipmi_retry_max: u32,
    /// The pause before a retry.
    pub ipmi_retry_interval: Duration,
    /// `autodetect`, `cluster` or `remote`.
    pub node_type: &'static str,
}

/// `[consul]`.
#[derive(Debug, Clone, Default)]
pub struct ConsulSettings {
    /// The agent in the management network, as `host[:port]`.
    pub manage: Option<String>,
    /// The agent in the tenants' network.
    pub tenant: Option<String>,
    /// The agent in the storage network.
    pub storage: Option<String>,
    /// The file with the matrix of networks and actions.
    pub matrix: Option<PathBuf>,
}

/// `[kubernetes]`.
#[derive(Debug, Clone, Default)]
pub struct KubernetesSettings {
    /// Label selector of the nodes that are watched.
    pub labels: String,
}

/// `[libvirt]` and `[instance]`.
#[derive(Debug, Clone)]
pub struct InstanceSettings {
    /// libvirt's connection URI.
    pub uri: String,
    /// The rules for reports.
    pub(crate) rules: crate::instance::Rules,
}

/// `[introspectiveinstancemonitor]`.
#[derive(Debug, Clone)]
pub struct GuestSettings {
    /// Interval of calling each guest.
    pub interval: Duration,
    /// Timeout of an answer.
    pub timeout: Duration,
    /// Number of consecutive missing answers that are tolerated.
    pub threshold: u32,
    /// Limit of guests that may fall silent at once; more are one event of the host.
    pub at_once: usize,
    /// A pattern for the path of the agent's socket.
    pub socket: String,
}

/// `[process]`.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// Poll interval of a process whose end cannot be awaited.
    pub interval: Duration,
    /// Limit of restarts.
    pub retries: u32,
    /// The first pause before a retry; each further one is twice as long.
    pub restart_interval: Duration,
    /// The longest pause.
    pub restart_interval_max: Duration,
    /// Timeout of a command.
    pub command_timeout: Duration,
    /// True if nothing is started or restarted.
    pub watch_only: bool,
    /// The file with the process list.
    pub list: PathBuf,
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn host(r: &mut Reader<'_>) -> HostSettings {
    const G: &str = "host";
    HostSettings {
        driver: r
            .choice(
                G,
                "monitoring_driver",
                &["default", "simple", "consul", "kubernetes"],
            )
            .default("default")
            .help("cluster that detects lost hosts; default and simple are Pacemaker").get(),
        interval: Number {
            section: G,
            option: "monitoring_interval",
            unit: "seconds",
            help: "poll interval of Consul or Kubernetes; Pacemaker has `poll_interval`",
        }
        .seconds(r, SECOND * 60, &(SECOND..=DAY)),
        samples: Number {
            section: G,
            option: "monitoring_samples",
            unit: "polls",
            help: "number of equal polls before a report without proof: a fencing by Pacemaker needs one, Consul and Kubernetes always \
                need all",
        }
        .count(r, 1, &(1..=1000)),
        normal_without_proof: r.bool(G, "report_normal_without_proof").default(false).help("Consul, Kubernetes: reports a host that does \
            not answer as NORMAL, which means off, instead of UNKNOWN").get(),
        disable_ipmi_check: r.bool(G, "disable_ipmi_check").default(false).help("reports a fenced host without a check of its own power \
            controller. Otherwise the monitor asks that (`ipmitool`) after an off, if the CIB holds a device `external/ipmi` or \
            `fence_ipmilan` for that node alone: if it reads *on*, nothing is reported; if it does not answer, the cluster's result counts").get(),
        restrict_to_remotes: r.bool(G, "restrict_to_remotes").default(false).help("only nodes that run pacemaker-remoted are hosts").get(),
        ipmi_timeout: Number {
            section: G,
            option: "ipmi_timeout",
            unit: "seconds",
            help: "timeout for one reading of a power controller; all together end after 15 s. 0 or less: 15 s",
        }
        .timeout(r, SECOND * 5, &(SECOND..=DAY), Some(NoTimeout {
            used: crate::host::MAX_IPMI_TOTAL,
            reason: "all readings of a power controller end after 15 s",
        })),
        ipmi_retry_max: Number { section: G, option: "ipmi_retry_max", unit: "times", help: "number of retries" }.count(r, 3, &(0..=UNLIMITED)),
        ipmi_retry_interval: Number {
            section: G,
            option: "ipmi_retry_interval",
            unit: "seconds",
            help: "pause between these retries",
        }
        .seconds(r, SECOND * 10, &(Duration::ZERO..=DAY)),
        node_type: r
            .choice(G, "pacemaker_node_type", &["autodetect", "cluster", "remote"])
            .default("autodetect")
            .help("kind of this machine in the cluster; Pacemaker's own data applies, and `check` shows a difference").get(),
    }
}

pub(super) fn consul(r: &mut Reader<'_>) -> ConsulSettings {
    const G: &str = "consul";
    ConsulSettings {
        manage: r
            .string(G, "agent_manage")
            .help("Consul agent of the management network, as host:port")
            .optional(),
        tenant: r
            .string(G, "agent_tenant")
            .help("Consul agent of the tenants' network, as host:port")
            .optional(),
        storage: r
            .string(G, "agent_storage")
            .help("Consul agent of the storage network, as host:port")
            .optional(),
        matrix: r
            .string(G, "matrix_config_file")
            .unit("path")
            .help("file with the matrix of networks and actions")
            .optional()
            .map(PathBuf::from),
    }
}

pub(super) fn kubernetes(r: &mut Reader<'_>) -> KubernetesSettings {
    KubernetesSettings {
        labels: r
            .string("kubernetes", "monitoring_node_labels")
            .help("label selector of the nodes that are hosts")
            .optional()
            .unwrap_or_default(),
    }
}

pub(super) fn instance(r: &mut Reader<'_>) -> InstanceSettings {
    InstanceSettings {
        uri: r
            .string("libvirt", "connection_uri")
            .default("qemu:///system".to_owned())
            .help("connection URI of libvirt. `qemu:///system` tries /run/libvirt/virtqemud-sock-ro, then /run/libvirt/libvirt-sock-ro; \
                `qemu+unix:///system?socket=/path` names the socket. Other machines are refused")
            .get(),
        rules: super::guests::rules(r),
    }
}

pub(super) fn guest(r: &mut Reader<'_>) -> GuestSettings {
    const G: &str = "introspectiveinstancemonitor";
    const SOCKET: &str = r"/var/lib/libvirt/qemu/org\.qemu\.guest_agent\..*\.instance-.*\.sock";
    GuestSettings {
        interval: Number {
            section: G,
            option: "guest_monitoring_interval",
            unit: "seconds",
            help: "interval between the starts of two rounds",
        }
        .seconds(r, SECOND * 10, &(SECOND..=DAY)),
        timeout: Number {
            section: G,
            option: "guest_monitoring_timeout",
            unit: "seconds",
            help: "timeout for an agent's answer in libvirt; 0 or less: libvirt's own, 5 s",
        }
        .timeout(
            r,
            SECOND * 2,
            &(SECOND..=SECOND * 600),
            Some(NoTimeout {
                used: tachi_libvirt::AGENT_SYNC_TIMEOUT,
                reason: "it is libvirt's own timeout",
            }),
        ),
        threshold: Number {
            section: G,
            option: "guest_monitoring_failure_threshold",
            unit: "questions",
            help: "as in Masakari: a guest is reported at missing answer number threshold + 2 in a row",
        }
        .count(r, 3, &(0..=UNLIMITED)),
        at_once: r
            .int(G, "guest_monitoring_at_once")
            .default(3_usize)
            .range(1..=10_000)
            .unit("guests")
            .help("maximum number of guests that fall silent within 30 rounds; more are one event of the host")
            .get(),
        socket: r
            .string(G, "qemu_guest_agent_sock_path")
            .default(SOCKET.to_owned())
            .help("pattern of the path of an agent's socket, from its start. Look-around and back-references are not supported")
            .get(),
    }
}

pub(super) fn process(r: &mut Reader<'_>) -> ProcessSettings {
    const G: &str = "process";
    ProcessSettings {
        interval: Number {
            section: G,
            option: "check_interval",
            unit: "seconds",
            help: "poll interval without events, and timeout for a started process to appear",
        }
        .seconds(r, SECOND * 5, &(SECOND..=DAY)),
        retries: Number {
            section: G,
            option: "restart_retries",
            unit: "times",
            help: "number of restarts after the first",
        }
        .count(r, 3, &(0..=1000)),
        restart_interval: Number {
            section: G,
            option: "restart_interval",
            unit: "seconds",
            help: "first pause between restarts; each further one is twice as long",
        }
        .seconds(r, SECOND * 5, &(Duration::ZERO..=DAY)),
        restart_interval_max: r
            .seconds(G, "restart_interval_max")
            .default(SECOND * 60)
            .range(Duration::ZERO..=DAY)
            .help("maximum pause")
            .get(),
        command_timeout: r
            .seconds(G, "command_timeout")
            .default(SECOND * 60)
            .range(SECOND..=DAY)
            .help("timeout of a command")
            .get(),
        watch_only: r
            .bool(G, "watch_only")
            .default(false)
            .help("starts and restarts nothing: a process that has ended is reported")
            .get(),
        list: PathBuf::from(
            r.string(G, "process_list_path")
                .default("/etc/masakarimonitors/process_list.yaml".to_owned())
                .unit("path")
                .help("the list of processes")
                .get(),
        ),
    }
}
