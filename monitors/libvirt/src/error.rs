//! Errors of libvirt calls.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::xdr::{DecodeError, Reader};

/// An error in opening a connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No socket accepts a connection.
    #[error("connecting to libvirt's socket {}", path.display())]
    Connect {
        /// The socket that was tried last.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The daemon requires authentication.
    #[error(
        "libvirt's socket {} requires authentication (types {types:?}); give the monitor's user access to a socket without",
        path.display()
    )]
    Authentication {
        /// The socket.
        path: PathBuf,
        /// The types in libvirt's numbering: 1 SASL, 2 polkit.
        types: Vec<i32>,
    },
    /// A call during the opening failed.
    #[error("opening {uri} at {}", path.display())]
    Call {
        /// The requested name.
        uri: String,
        /// The socket.
        path: PathBuf,
        /// The error.
        #[source]
        source: CallError,
    },
}

/// An error of a call.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The daemon refused the call.
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
    /// The answer is invalid.
    #[error("libvirt's answer to {what} cannot be read: {reason}")]
    Malformed {
        /// The call.
        what: &'static str,
        /// The problem.
        reason: &'static str,
    },
    /// The connection ended before the answer.
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
    pub(crate) fn malformed(what: &'static str, malformed: &DecodeError) -> Self {
        Self::Malformed {
            what,
            reason: malformed.0,
        }
    }

    /// Returns libvirt's error number, if libvirt refused the call.
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
    /// The domain does not exist (any more).
    pub const NO_DOMAIN: Self = Self(42);
    /// The operation is not possible in the domain's state.
    pub const OPERATION_INVALID: Self = Self(55);
    /// The domain has no metadata of the kind.
    pub const NO_DOMAIN_METADATA: Self = Self(80);
    pub const AGENT_UNRESPONSIVE: Self = Self(86);
    /// The guest agent has not answered this command in time, as newer daemons report it.
    pub const AGENT_COMMAND_TIMEOUT: Self = Self(112);
    /// The guest agent answered with an error.
    pub const AGENT_COMMAND_FAILED: Self = Self(113);
}

/// The reason why a connection ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The daemon closed the connection: it was stopped or restarted.
    #[error("libvirtd closed the connection")]
    Hangup,
    /// The socket failed.
    #[error("reading from or writing to libvirt's socket")]
    Io(#[source] std::io::Error),
    /// The daemon does not answer.
    #[error("libvirtd answered no ping for {} s", silent.as_secs_f32())]
    Silent {
        /// Length of the silence.
        silent: Duration,
    },
    /// Data that cannot be parsed; the content is lost.
    #[error("libvirtd sent data that cannot be read: {0}")]
    Malformed(&'static str),
    /// Events came faster than they were taken; events beyond the limit are lost.
    #[error("more than {limit} events are queued")]
    Overflow {
        /// The limit.
        limit: usize,
    },
    /// The daemon does not read.
    #[error("libvirtd does not read its socket")]
    Stuck,
    /// This side closed the connection.
    #[error("the connection was given up")]
    Dropped,
}

/// Returns the error in a failed reply.
pub(crate) fn refused(what: &'static str, body: &[u8]) -> CallError {
    let mut reader = Reader::new(body);
    let read = (|| {
        let code = reader.i32()?;
        let _domain = reader.i32()?;
        let message = reader.optional(Reader::string)?;
        Ok::<_, DecodeError>((code, message))
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
