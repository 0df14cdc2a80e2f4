//! Program and procedure numbers.

/// The main program.
pub(crate) const REMOTE: u32 = 0x2000_8086;
/// Program number of calls that only the QEMU driver supports.
pub(crate) const QEMU: u32 = 0x2000_8087;
/// Program number of pings, in both directions.
pub(crate) const KEEPALIVE: u32 = 0x6b65_6570;
/// Version of all three programs.
pub(crate) const VERSION: u32 = 1;

pub(crate) const CONNECT_OPEN: i32 = 1;
pub(crate) const CONNECT_CLOSE: i32 = 2;
pub(crate) const DOMAIN_GET_XML_DESC: i32 = 14;
pub(crate) const DOMAIN_LOOKUP_BY_UUID: i32 = 24;
pub(crate) const CONNECT_SUPPORTS_FEATURE: i32 = 60;
pub(crate) const AUTH_LIST: i32 = 66;
pub(crate) const CONNECT_GET_LIB_VERSION: i32 = 157;
pub(crate) const DOMAIN_GET_STATE: i32 = 212;
pub(crate) const DOMAIN_GET_METADATA: i32 = 265;
pub(crate) const CONNECT_LIST_ALL_DOMAINS: i32 = 273;
pub(crate) const EVENT_CALLBACK_REGISTER_ANY: i32 = 316;

pub(crate) const EVENT_LIFECYCLE: i32 = 318;
pub(crate) const EVENT_REBOOT: i32 = 319;
pub(crate) const EVENT_RTC_CHANGE: i32 = 320;
pub(crate) const EVENT_WATCHDOG: i32 = 321;
pub(crate) const EVENT_IO_ERROR: i32 = 322;
pub(crate) const EVENT_GRAPHICS: i32 = 323;
pub(crate) const EVENT_IO_ERROR_REASON: i32 = 324;
pub(crate) const EVENT_CONTROL_ERROR: i32 = 325;
pub(crate) const EVENT_DISK_CHANGE: i32 = 327;
pub(crate) const EVENT_AGENT_LIFECYCLE: i32 = 348;

/// A procedure of the QEMU program.
pub(crate) const QEMU_AGENT_COMMAND: i32 = 3;

/// A procedure of the keepalive program.
pub(crate) const PING: i32 = 1;
/// A procedure of the keepalive program.
pub(crate) const PONG: i32 = 2;

/// The feature number of the keepalive program.
pub(crate) const FEATURE_KEEPALIVE: i32 = 10;
