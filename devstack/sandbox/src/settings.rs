//! Settings of a region: sizes, speeds, seed.

use std::time::Duration;

/// Number and size of a region's hypervisors.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Number of hypervisors, named `compute-001` and on.
    pub hosts: usize,
    /// Hypervisors per rack; racks are named `rack-1` and on.
    pub hosts_per_rack: usize,
    /// vCPUs of one hypervisor.
    pub vcpus: u32,
    /// Memory of one hypervisor in MiB.
    pub ram_mb: u64,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            hosts: 4,
            hosts_per_rack: 4,
            vcpus: 128,
            ram_mb: 512 * 1024,
        }
    }
}

/// Speeds and rules of the region. Durations are region time (see `clock_scale`).
#[derive(Debug, Clone)]
pub struct RegionSettings {
    /// Seed of all random values of the model, such as selected hosts and ids.
    pub seed: u64,
    /// Region seconds per real second.
    pub clock_scale: f64,
    /// The hypervisors at the start.
    pub fleet: Fleet,
    /// Age of a heartbeat above which a compute service is `down`.
    pub service_down_time: Duration,
    /// Interval of heartbeats of a service.
    pub report_interval: Duration,
    /// Delay from the acceptance of an evacuation to the conductor's choice of a destination.
    pub conductor_delay: Duration,
    /// Maximum evacuations per second of the conductors; `None` is no limit.
    pub conductor_rate: Option<f64>,
    /// Duration of rebuilding an instance on its destination.
    pub rebuild_time: Duration,
    /// Maximum random addition to each rebuild.
    pub rebuild_spread: Duration,
    /// Maximum concurrent rebuilds of a destination; `None` is no limit.
    pub rebuild_concurrency: Option<usize>,
    /// Duration of a power action on an instance.
    pub action_time: Duration,
    /// Duration of building a new server.
    pub build_time: Duration,
    /// Duration of a live migration.
    pub live_migration_time: Duration,
    /// Delay from power on to nova-compute's start.
    pub boot_time: Duration,
    /// True if nova-compute starts the guests that Nova has recorded as running (`resume_guests_state_on_host_boot`).
    pub resume_guests: bool,
    /// Delay from nova-compute's start to its first comparison of power states.
    pub power_sync_interval: Duration,
    /// Delay of a machine after MAAS's command.
    pub maas_power_time: Duration,
    /// Nova's and Glance's largest page.
    pub max_limit: usize,
}

impl Default for RegionSettings {
    fn default() -> Self {
        Self {
            seed: 0,
            clock_scale: 1.0,
            fleet: Fleet::default(),
            service_down_time: Duration::from_secs(10),
            report_interval: Duration::from_secs(2),
            conductor_delay: Duration::from_millis(50),
            conductor_rate: None,
            rebuild_time: Duration::from_secs(2),
            rebuild_spread: Duration::ZERO,
            rebuild_concurrency: None,
            action_time: Duration::from_millis(200),
            build_time: Duration::from_millis(300),
            live_migration_time: Duration::from_secs(2),
            boot_time: Duration::from_millis(500),
            resume_guests: false,
            power_sync_interval: Duration::from_mins(10),
            maas_power_time: Duration::from_millis(300),
            max_limit: 1000,
        }
    }
}
