//! HTTP clients with deadlines, and bodies with a limit.

use std::time::Duration;

use reqwest::Client;
use tachi_keystone::SetupError;

pub(crate) use tachi_keystone::read_body;

use crate::options::Options;

/// Largest body that is read, in bytes: a page of 1000 servers is about 5 MB.
pub(crate) const BODY_LIMIT: usize = 64 << 20;

/// Largest error body that is read, in bytes.
pub(crate) const ERROR_BODY_LIMIT: usize = 64 << 10;

/// Connect timeout for a call that must not be late (R4): with the 0.5 s before it, the first byte leaves before
/// another engine can have taken over.
const WRITE_CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Two clients: `reads`, and `writes` for calls that leave soon or not at all.
pub(crate) struct Clients {
    pub(crate) reads: Client,
    pub(crate) writes: Client,
}

impl Clients {
    pub(crate) fn new(options: &Options) -> Result<Self, SetupError> {
        let keystone = &options.keystone;
        let trust = keystone.tls.load(&keystone.auth_url)?;
        let build = |connect: Duration, idle: Duration| {
            trust
                .builder()
                .user_agent(keystone.user_agent)
                .connect_timeout(connect)
                .timeout(keystone.timeout)
                // Apache closes idle connections after 5 s; a request on a connection that is just being closed
                // fails without telling whether it was read.
                .pool_idle_timeout(idle)
                .build()
                .map_err(SetupError::Client)
        };
        Ok(Self {
            reads: build(keystone.connect_timeout, Duration::from_secs(4))?,
            writes: build(
                keystone.connect_timeout.min(WRITE_CONNECT_LIMIT),
                Duration::from_secs(2),
            )?,
        })
    }
}
