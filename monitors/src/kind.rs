//! The kinds of monitors.

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// Watches the other hosts through a cluster
    Host,
    /// Watches processes of this host
    Process,
    /// Watches the instances of this host
    Instance,
    /// Queries the guest agents of the instances of this host
    Introspective,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Host, Self::Process, Self::Instance, Self::Introspective];

    /// Returns its name, on the command line and in paths.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Process => "process",
            Self::Instance => "instance",
            Self::Introspective => "introspective",
        }
    }

    /// Returns the name of Masakari's program.
    pub(crate) const fn upstream(self) -> &'static str {
        match self {
            Self::Host => "masakari-hostmonitor",
            Self::Process => "masakari-processmonitor",
            Self::Instance => "masakari-instancemonitor",
            Self::Introspective => "masakari-introspectiveinstancemonitor",
        }
    }

    /// Returns the default port of its health endpoint.
    pub const fn port(self) -> u16 {
        match self {
            Self::Host => 15871,
            Self::Process => 15872,
            Self::Instance => 15873,
            Self::Introspective => 15874,
        }
    }
}
