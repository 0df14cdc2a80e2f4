//! Errors of libvirt calls.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::xdr::{Malformed, Reader};

/// A connection cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// None of the sockets can be connected to.
    #[error("connecting to libvirt's socket {}", path.display())]
    Connect {
        /// The socket that was tried last.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The daemon wants a user to prove who he is.
    #[error(
        "libvirt's socket {} asks for authentication (types {types:?}); give the monitor's user access to a socket without",
        path.display()
    )]
    Authentication {
        /// The socket.
        path: PathBuf,
        /// Types as libvirt numbers them: 1 SASL, 2 polkit.
        types: Vec<i32>,
    },
    /// A call of the opening did not succeed.
    #[error("opening {uri} at {}", path.display())]
    Call {
        /// The name that was asked for.
        uri: String,
        /// The socket.
        path: PathBuf,
        /// The error.
        #[source]
        source: CallError,
    },
}

/// A call did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The daemon refused it.
    #[error("libvirt refused {what} (error {}): {message}", code.0)]
    Refused {
        /// The call.
        what: &'static str,
        /// libvirt's number of the error.
        code: ErrorCode,
        /// libvirt's message.
        message: String,
    },
    /// No answer came in time.
    #[error("libvirt did not answer {what} within {} s", limit.as_secs_f32())]
    Timeout {
        /// The call.
        what: &'static str,
        /// The timeout.
        limit: Duration,
    },
    /// The answer makes no sense.
    #[error("libvirt's answer to {what} cannot be read: {reason}")]
    Malformed {
        /// The call.
        what: &'static str,
        /// The problem.
        reason: &'static str,
    },
    /// The connection ended before.
    #[error("the connection to libvirt ended before {what} was answered")]
    Closed {
        /// The call.
        what: &'static str,
        /// The reason.
        #[source]
        source: Arc<CloseReason>,
    },
}

impl CallError {
    pub(crate) fn malformed(what: &'static str, malformed: &Malformed) -> Self {
        Self::Malformed {
            what,
            reason: malformed.0,
        }
    }

    /// libvirt's number, if it was libvirt that refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Timeout { .. } | Self::Malformed { .. } | Self::Closed { .. } => None,
        }
    }
}

/// libvirt's number of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(pub i32);

impl ErrorCode {
    /// The domain is not there (any more).
    pub const NO_DOMAIN: Self = Self(42);
    /// The operation is not possible in the domain's state.
    pub const OPERATION_INVALID: Self = Self(55);
    /// The domain has no metadata of the kind.
    pub const NO_DOMAIN_METADATA: Self = Self(80);
    /// The guest agent does not answer.
    pub const AGENT_UNRESPONSIVE: Self = Self(86);
    /// The guest agent has not answered this command in time; newer daemons have this number for it.
    pub const AGENT_COMMAND_TIMEOUT: Self = Self(112);
    /// The guest agent answered that it cannot.
    pub const AGENT_COMMAND_FAILED: Self = Self(113);
}

/// The reason why a connection ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The daemon closed it: it was stopped or restarted.
    #[error("libvirtd closed the connection")]
    Hangup,
    /// The socket failed.
    #[error("reading from or writing to libvirt's socket")]
    Io(#[source] std::io::Error),
    /// The daemon answers nothing.
    #[error("libvirtd answered no ping for {} s", silent.as_secs_f32())]
    Silent {
        /// Length of the silence.
        silent: Duration,
    },
    /// Data that cannot be parsed; its content is lost.
    #[error("libvirtd sent what cannot be read: {0}")]
    Malformed(&'static str),
    /// Events came faster than they were taken; those that did not fit are lost.
    #[error("more than {limit} events waited to be taken")]
    Overflow {
        /// The limit.
        limit: usize,
    },
    /// The daemon reads nothing.
    #[error("libvirtd does not read what is sent to it")]
    Stuck,
    /// This side let go of it.
    #[error("the connection was given up")]
    Dropped,
}

/// The error a failed reply carries.
pub(crate) fn refused(what: &'static str, body: &[u8]) -> CallError {
    let mut reader = Reader::new(body);
    let read = (|| {
        let code = reader.i32()?;
        let _domain = reader.i32()?;
        let message = reader.optional(Reader::string)?;
        Ok::<_, Malformed>((code, message))
    })();
    match read {
        Ok((code, message)) => CallError::Refused {
            what,
            code: ErrorCode(code),
            message: message.unwrap_or_else(|| "no reason given".to_owned()),
        },
        Err(malformed) => CallError::malformed(what, &malformed),
    }
}
