//! A connection: calls on one side, events on the other.

mod task;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use uuid::Uuid;

use crate::address::Address;
use crate::domain::{DOMAIN_MIN_BYTES, Domain, DomainFilter, DomainState};
use crate::error::{CallError, CloseReason, ErrorCode, OpenError, refused};
use crate::event::{Event, EventKind};
use crate::procedure as proc;
use crate::xdr::{DecodeError, Reader, Writer};

use task::{Request, Task};

/// Limit of concurrent calls. libvirtd stops reading from a client with more than five calls in flight, including the
/// answers to its pings.
const CALLS_IN_FLIGHT: usize = 4;
/// Time that libvirt waits for an agent to resynchronize after an unanswered command, regardless of the call's timeout.
pub const AGENT_SYNC_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest list of domains that libvirt sends.
const DOMAINS_MAX: u32 = 16_384;

/// Options of a connection.
#[derive(Debug, Clone)]
pub struct Options {
    /// Timeout of a call.
    pub call_timeout: Duration,
    /// Pings of this side; `None` sends none.
    pub keepalive: Option<Keepalive>,
    /// Limit of queued events.
    pub queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(10),
            keepalive: Some(Keepalive::default()),
            queue: 8192,
        }
    }
}

/// Keepalive: an unresponsive daemon is given up after (count + 1) intervals.
#[derive(Debug, Clone, Copy)]
pub struct Keepalive {
    /// Silence before a ping.
    pub interval: Duration,
    /// Limit of unanswered pings.
    pub count: u32,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            count: 3,
        }
    }
}

/// A handle for calls to a libvirt daemon. Clones share the connection, which ends with the last of them.
#[derive(Debug, Clone)]
pub struct Connection {
    requests: mpsc::Sender<Request>,
    in_flight: Arc<Semaphore>,
    closed: ConnectionEnd,
    limit: Duration,
    _task: Arc<AbortOnDrop>,
}

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The reason why the connection ended, once it has.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionEnd(Arc<OnceLock<Arc<CloseReason>>>);

impl ConnectionEnd {
    fn set(&self, reason: CloseReason) {
        let _ = self.0.set(Arc::new(reason));
    }

    fn get(&self) -> Arc<CloseReason> {
        self.0
            .get()
            .cloned()
            .unwrap_or_else(|| Arc::new(CloseReason::Dropped))
    }
}

/// The events of a connection, in the daemon's order.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::Receiver<Event>,
    closed: ConnectionEnd,
}

impl Events {
    /// Waits for the next event.
    ///
    /// # Errors
    ///
    /// The connection has ended and all earlier events have been taken.
    ///
    /// # Cancel safety
    ///
    /// No event is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Event, Arc<CloseReason>> {
        self.queue.recv().await.ok_or_else(|| self.closed.get())
    }

    /// Returns the next event if one is queued.
    pub fn waiting(&mut self) -> Option<Event> {
        self.queue.try_recv().ok()
    }
}

impl Connection {
    /// Connects to the first socket that answers, and opens the driver.
    ///
    /// # Errors
    ///
    /// No socket accepts a connection, or the daemon asks for authentication, refuses, or does not answer in time.
    pub async fn open(address: &Address, options: &Options) -> Result<(Self, Events), OpenError> {
        let (path, stream) = connect(address, options.call_timeout).await?;
        let (requests, commands) = mpsc::channel(CALLS_IN_FLIGHT);
        let (events, queue) = mpsc::channel(options.queue.max(1));
        let closed = ConnectionEnd::default();
        let task = Task::new(stream, commands, events, options, closed.clone());
        let task = tokio::spawn(task.run());
        let connection = Self {
            requests,
            in_flight: Arc::new(Semaphore::new(CALLS_IN_FLIGHT)),
            closed: closed.clone(),
            limit: options.call_timeout,
            _task: Arc::new(AbortOnDrop(task.abort_handle())),
        };
        connection.greet(address, &path, options).await?;
        Ok((connection, Events { queue, closed }))
    }

    async fn greet(&self, address: &Address, path: &Path, options: &Options) -> Result<(), OpenError> {
        let failed = |source| OpenError::Call {
            uri: address.name.clone(),
            path: path.to_owned(),
            source,
        };
        let types = self.auth_list().await.map_err(failed)?;
        if !types.is_empty() && !types.contains(&0) {
            return Err(OpenError::Authentication {
                path: path.to_owned(),
                types,
            });
        }
        let body = Writer::default()
            .optional_string(&address.name)
            .u32(u32::from(address.read_only));
        self.call("open", proc::REMOTE, proc::CONNECT_OPEN, body, self.limit)
            .await
            .map_err(failed)?;
        if options.keepalive.is_some() && self.supports_keepalive().await.map_err(failed)? {
            let _ = self.requests.send(Request::Keepalive).await;
        }
        Ok(())
    }

    async fn auth_list(&self) -> Result<Vec<i32>, CallError> {
        let what = "auth_list";
        let body = self
            .call(what, proc::REMOTE, proc::AUTH_LIST, Writer::default(), self.limit)
            .await?;
        read(what, &body, |reader| reader.list(20, 4, Reader::i32))
    }

    async fn supports_keepalive(&self) -> Result<bool, CallError> {
        let what = "supports_feature";
        let body = Writer::default().i32(proc::FEATURE_KEEPALIVE);
        let answer = self
            .call(
                what,
                proc::REMOTE,
                proc::CONNECT_SUPPORTS_FEATURE,
                body,
                self.limit,
            )
            .await?;
        read(what, &answer, |reader| Ok(reader.i32()? == 1))
    }

    /// Returns libvirt's version: major * 1,000,000 + minor * 1,000 + release.
    ///
    /// # Errors
    ///
    /// The daemon refuses the call, sends an invalid answer or none in time, or the connection has ended.
    pub async fn version(&self) -> Result<u64, CallError> {
        let what = "get_lib_version";
        let body = self
            .call(
                what,
                proc::REMOTE,
                proc::CONNECT_GET_LIB_VERSION,
                Writer::default(),
                self.limit,
            )
            .await?;
        read(what, &body, |reader| {
            Ok((u64::from(reader.u32()?) << 32) | u64::from(reader.u32()?))
        })
    }

    /// Subscribes to events of every domain.
    ///
    /// # Errors
    ///
    /// The same errors as [`Connection::version`].
    pub async fn register(&self, kind: EventKind) -> Result<(), CallError> {
        let body = Writer::default().i32(kind.number()).none();
        let what = "event_callback_register_any";
        self.call(
            what,
            proc::REMOTE,
            proc::EVENT_CALLBACK_REGISTER_ANY,
            body,
            self.limit,
        )
        .await
        .map(|_callback| ())
    }

    /// Returns the domains that match the filter.
    ///
    /// # Errors
    ///
    /// The same errors as [`Connection::version`].
    pub async fn domains(&self, listing: DomainFilter) -> Result<Vec<Domain>, CallError> {
        let what = "list_all_domains";
        let body = Writer::default().i32(1).u32(listing.flags());
        let answer = self
            .call(
                what,
                proc::REMOTE,
                proc::CONNECT_LIST_ALL_DOMAINS,
                body,
                self.limit,
            )
            .await?;
        read(what, &answer, |reader| {
            reader.list(DOMAINS_MAX, DOMAIN_MIN_BYTES, Domain::read)
        })
    }

    /// Returns the domain with a UUID; `None` if there is none.
    ///
    /// # Errors
    ///
    /// The same errors as [`Connection::version`].
    pub async fn lookup(&self, uuid: Uuid) -> Result<Option<Domain>, CallError> {
        let what = "domain_lookup_by_uuid";
        let body = Writer::default().fixed(uuid.as_bytes());
        let answer = self
            .call(what, proc::REMOTE, proc::DOMAIN_LOOKUP_BY_UUID, body, self.limit)
            .await;
        none_for(answer, &[ErrorCode::NO_DOMAIN])?
            .map(|body| read(what, &body, Domain::read))
            .transpose()
    }

    /// Returns a domain's state, and libvirt's number of the reason (see [`crate::shutoff`], [`crate::paused`]); `None`
    /// if the domain no longer exists.
    ///
    /// # Errors
    ///
    /// The same errors as [`Connection::version`].
    pub async fn state(&self, domain: &Domain) -> Result<Option<(DomainState, i32)>, CallError> {
        let what = "domain_get_state";
        let body = domain.write(Writer::default()).u32(0);
        let answer = self
            .call(what, proc::REMOTE, proc::DOMAIN_GET_STATE, body, self.limit)
            .await;
        none_for(answer, &[ErrorCode::NO_DOMAIN])?
            .map(|body| {
                read(what, &body, |reader| {
                    Ok((DomainState::from_number(reader.i32()?), reader.i32()?))
                })
            })
            .transpose()
    }

    /// Returns a domain's metadata of a namespace; `None` if there is none, or no domain.
    ///
    /// # Errors
    ///
    /// The same errors as [`Connection::version`].
    pub async fn metadata(&self, domain: &Domain, namespace: &str) -> Result<Option<String>, CallError> {
        const ELEMENT: i32 = 2;
        let what = "domain_get_metadata";
        let body = domain
            .write(Writer::default())
            .i32(ELEMENT)
            .optional_string(namespace)
            .u32(0);
        let answer = self
            .call(what, proc::REMOTE, proc::DOMAIN_GET_METADATA, body, self.limit)
            .await;
        none_for(answer, &[ErrorCode::NO_DOMAIN, ErrorCode::NO_DOMAIN_METADATA])?
            .map(|body| read(what, &body, text))
            .transpose()
    }

    /// Returns a domain's definition; `None` if the domain no longer exists.
    ///
    /// # Errors
    ///
    /// The same errors as [`Connection::version`].
    pub async fn xml(&self, domain: &Domain) -> Result<Option<String>, CallError> {
        let what = "domain_get_xml_desc";
        let body = domain.write(Writer::default()).u32(0);
        let answer = self
            .call(what, proc::REMOTE, proc::DOMAIN_GET_XML_DESC, body, self.limit)
            .await;
        none_for(answer, &[ErrorCode::NO_DOMAIN])?
            .map(|body| read(what, &body, text))
            .transpose()
    }

    /// Sends a command to the guest's agent and returns its answer. Not possible on a read-only connection.
    ///
    /// # Errors
    ///
    /// The same errors as [`Connection::version`]. libvirt itself gives up after `limit` (whole seconds, at least one),
    /// or after five seconds if an earlier command was not answered. This side gives up two seconds after both.
    pub async fn agent_command(
        &self,
        domain: &Domain,
        command: &str,
        limit: Duration,
    ) -> Result<String, CallError> {
        let what = "domain_agent_command";
        let seconds = i32::try_from(limit.as_secs().max(1)).unwrap_or(i32::MAX);
        let body = domain
            .write(Writer::default())
            .string(command)
            .i32(seconds)
            .u32(0);
        let total_timeout = limit.max(Duration::from_secs(1)) + AGENT_SYNC_TIMEOUT + Duration::from_secs(2);
        let answer = self
            .call(what, proc::QEMU, proc::QEMU_AGENT_COMMAND, body, total_timeout)
            .await?;
        read(what, &answer, |reader| {
            Ok(reader.optional(Reader::string)?.unwrap_or_default())
        })
    }

    /// Closes the connection in an orderly way. Dropping it closes it too.
    pub async fn close(self) {
        let body = Writer::default();
        // The connection closes either way.
        let _ = self
            .call(
                "close",
                proc::REMOTE,
                proc::CONNECT_CLOSE,
                body,
                Duration::from_secs(1),
            )
            .await;
    }

    async fn call(
        &self,
        what: &'static str,
        program: u32,
        procedure: i32,
        body: Writer,
        limit: Duration,
    ) -> Result<Vec<u8>, CallError> {
        let ended = || CallError::Closed {
            what,
            source: self.closed.get(),
        };
        let _permit = self.in_flight.acquire().await.map_err(|_| ended())?;
        let (reply, answer) = oneshot::channel();
        let request = Request::Call {
            program,
            procedure,
            body: body.into_bytes(),
            reply,
        };
        self.requests.send(request).await.map_err(|_| ended())?;
        match timeout(limit, answer).await {
            Ok(Ok((false, body))) => Ok(body),
            Ok(Ok((true, body))) => Err(refused(what, &body)),
            Ok(Err(_)) => Err(ended()),
            Err(_) => Err(CallError::Timeout { what, limit }),
        }
    }
}

async fn connect(address: &Address, limit: Duration) -> Result<(PathBuf, UnixStream), OpenError> {
    let mut last = OpenError::Connect {
        path: PathBuf::new(),
        source: std::io::Error::from(std::io::ErrorKind::NotFound),
    };
    for path in &address.sockets {
        // A daemon whose backlog is full would block a connect forever.
        let source = match timeout(limit, UnixStream::connect(path)).await {
            Ok(Ok(stream)) => return Ok((path.clone(), stream)),
            Ok(Err(source)) => source,
            Err(_) => std::io::Error::from(std::io::ErrorKind::TimedOut),
        };
        last = OpenError::Connect {
            path: path.clone(),
            source,
        };
    }
    Err(last)
}

fn read<T>(
    what: &'static str,
    body: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<T, CallError> {
    read(&mut Reader::new(body)).map_err(|malformed| CallError::malformed(what, &malformed))
}

fn text(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    reader.string()
}

/// Returns the answer; `None` if the daemon refused for one of `reasons`.
fn none_for(answer: Result<Vec<u8>, CallError>, reasons: &[ErrorCode]) -> Result<Option<Vec<u8>>, CallError> {
    match answer {
        Ok(body) => Ok(Some(body)),
        Err(error) if error.code().is_some_and(|code| reasons.contains(&code)) => Ok(None),
        Err(error) => Err(error),
    }
}
