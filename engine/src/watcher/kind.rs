//! The kinds of facts.

pub const COMPUTES: &str = "computes";
/// The progress of the list of instances.
pub const SERVERS: &str = "servers";
/// The instances of a host.
pub const INSTANCES: &str = "instances";
/// The latest tests of fence devices.
pub const TESTS: &str = "tests";
/// The latest tests of the fence devices of a host that an operator has run by command.
pub const COMMAND_TESTS: &str = "command-tests";
/// The acknowledgements of findings by operators.
pub const ACKNOWLEDGED: &str = "acknowledged";
/// The result of the last read of host capacity.
pub const ROOMS: &str = "rooms";
/// The capacity of a host, as stored in Placement.
pub const PROVIDER: &str = "provider";
pub const AGGREGATES: &str = "aggregates";
/// Nova's server groups with hard rules.
pub const GROUPS: &str = "groups";
/// The guards' answers to the loss of several hosts at once.
pub const JOINT_LOSSES: &str = "joint-losses";

/// The hosts whose recovery the guards would put on hold.
pub const HOLDS: &str = "holds";
/// The engine that polls.
pub const WATCHER: &str = "watcher";
