//! HTTP clients with timeouts, and bodies with a size limit.

use std::time::Duration;

use reqwest::Client;
use tachi_keystone::SetupError;

pub(crate) use tachi_keystone::read_body;

use crate::options::Options;

/// Maximum size of a body, in bytes: a page of 1000 servers is about 5 MB.
pub(crate) const BODY_LIMIT: usize = 64 << 20;

/// Maximum size of an error body, in bytes.
pub(crate) const ERROR_BODY_LIMIT: usize = 64 << 10;

/// Connect timeout for a call that must not be late: with the 0.5 s before it, the first byte is sent before
/// another engine can have taken over.
const WRITE_CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Two HTTP clients: `reads`, and `writes` for calls that are sent soon or not at all.
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
                // Apache closes idle connections after 5 s. A request on a connection that is being closed fails, and
                // it is unknown whether the server read it.
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
