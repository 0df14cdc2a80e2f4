//! The task that owns the socket.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::connection::{ConnectionEnd, Keepalive, Options};
use crate::error::CloseReason;
use crate::event::{self, Event};
use crate::frame::{Frame, Inbox, Kind};
use crate::procedure as proc;

/// Limit of unsent bytes, above which a daemon that does not read is given up.
const MAX_UNSENT_BYTES: usize = 1024 * 1024;
/// Size of one read.
const CHUNK: usize = 16 * 1024;

/// A request from a handle to the task.
#[derive(Debug)]
pub(super) enum Request {
    /// Send a call. The reply is true for a failure, with the body of the answer.
    Call {
        program: u32,
        procedure: i32,
        body: Vec<u8>,
        reply: oneshot::Sender<(bool, Vec<u8>)>,
    },
    /// Start to send pings, which the daemon supports.
    Keepalive,
}

#[derive(Debug)]
pub(super) struct Task {
    stream: UnixStream,
    requests: mpsc::Receiver<Request>,
    events: mpsc::Sender<Event>,
    queue: usize,
    closed: ConnectionEnd,
    inbox: Inbox,
    unsent: Vec<u8>,
    pending: HashMap<u32, oneshot::Sender<(bool, Vec<u8>)>>,
    serial: u32,
    keepalive: Option<Keepalive>,
    ping_state: Option<PingState>,
}

/// The keepalive state of this side.
#[derive(Debug)]
struct PingState {
    rule: Keepalive,
    last_heartbeat: Instant,
    unanswered: u32,
    due: Instant,
}

impl PingState {
    fn start(rule: Keepalive, now: Instant) -> Self {
        Self {
            rule,
            last_heartbeat: now,
            unanswered: 0,
            due: now + rule.interval,
        }
    }

    /// Resets the keepalive: any data shows that the daemon is alive.
    fn record_data(&mut self, now: Instant) {
        self.last_heartbeat = now;
        self.unanswered = 0;
        self.due = now + self.rule.interval;
    }

    /// Sends a ping when it is due, or gives up.
    fn next_ping(&mut self, now: Instant) -> Result<(), Duration> {
        if self.unanswered >= self.rule.count {
            return Err(now.duration_since(self.last_heartbeat));
        }
        self.unanswered += 1;
        self.due = now + self.rule.interval;
        Ok(())
    }
}

impl Task {
    pub(super) fn new(
        stream: UnixStream,
        requests: mpsc::Receiver<Request>,
        events: mpsc::Sender<Event>,
        options: &Options,
        closed: ConnectionEnd,
    ) -> Self {
        Self {
            stream,
            requests,
            events,
            queue: options.queue.max(1),
            closed,
            inbox: Inbox::default(),
            unsent: Vec::new(),
            pending: HashMap::new(),
            serial: 0,
            keepalive: options.keepalive,
            ping_state: None,
        }
    }

    /// Serves until the connection ends. The reason is set before the channels' ends are dropped, so that a handle with
    /// a closed channel finds the reason.
    pub(super) async fn run(mut self) {
        let reason = self.serve().await;
        tracing::debug!(%reason, "connection to libvirt ended");
        self.closed.set(reason);
    }

    async fn serve(&mut self) -> CloseReason {
        loop {
            let due = self.ping_state.as_ref().map(|ping_state| ping_state.due);
            // Every branch is cancel-safe: readiness is polled again, a request stays in its channel, and a timer fires
            // again.
            let turn = tokio::select! {
                ready = self.stream.readable() => ready.map_err(CloseReason::Io).and_then(|()| self.receive()),
                ready = self.stream.writable(), if !self.unsent.is_empty() => {
                    ready.map_err(CloseReason::Io).and_then(|()| self.flush())
                }
                request = self.requests.recv() => match request {
                    Some(request) => self.take(request),
                    None => Err(CloseReason::Dropped),
                },
                () = until(due), if due.is_some() => self.next_ping(),
            };
            if let Err(reason) = turn {
                return reason;
            }
        }
    }

    fn take(&mut self, request: Request) -> Result<(), CloseReason> {
        match request {
            Request::Call {
                program,
                procedure,
                body,
                reply,
            } => {
                // Drops the entries of callers that gave up.
                self.pending.retain(|_, waiting| !waiting.is_closed());
                self.serial = self.serial.wrapping_add(1);
                self.pending.insert(self.serial, reply);
                self.send(&Frame {
                    program,
                    procedure,
                    kind: Kind::Call,
                    serial: self.serial,
                    failed: false,
                    body,
                })
            }
            Request::Keepalive => {
                self.ping_state = self.keepalive.map(|rule| PingState::start(rule, Instant::now()));
                Ok(())
            }
        }
    }

    fn send(&mut self, frame: &Frame) -> Result<(), CloseReason> {
        frame.write(&mut self.unsent);
        if self.unsent.len() > MAX_UNSENT_BYTES {
            return Err(CloseReason::Stuck);
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), CloseReason> {
        while !self.unsent.is_empty() {
            match self.stream.try_write(&self.unsent) {
                Ok(0) => return Err(CloseReason::Hangup),
                Ok(written) => {
                    self.unsent.drain(..written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(lost(error)),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<(), CloseReason> {
        let mut chunk = [0_u8; CHUNK];
        match self.stream.try_read(&mut chunk) {
            Ok(0) => return Err(CloseReason::Hangup),
            Ok(length) => self.inbox.push(chunk.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(lost(error)),
        }
        if let Some(ping_state) = &mut self.ping_state {
            ping_state.record_data(Instant::now());
        }
        while let Some(frame) = self
            .inbox
            .take()
            .map_err(|malformed| CloseReason::Malformed(malformed.0))?
        {
            self.handle(frame)?;
        }
        Ok(())
    }

    fn handle(&mut self, frame: Frame) -> Result<(), CloseReason> {
        match (frame.program, frame.kind) {
            (proc::KEEPALIVE, Kind::Message) if frame.procedure == proc::PING => {
                self.send(&heartbeat(proc::PONG))
            }
            (_, Kind::Reply) => {
                // An answer without a waiting caller came too late.
                if let Some(waiting) = self.pending.remove(&frame.serial) {
                    let _ = waiting.send((frame.failed, frame.body));
                }
                Ok(())
            }
            (proc::REMOTE, Kind::Message) => self.deliver(&frame),
            (_, Kind::Message) => Ok(()),
            (_, Kind::Call) => Err(CloseReason::Malformed("the daemon calls its client")),
        }
    }

    fn deliver(&mut self, frame: &Frame) -> Result<(), CloseReason> {
        let event = event::read(frame.procedure, &frame.body, SystemTime::now())
            .map_err(|malformed| CloseReason::Malformed(malformed.0))?;
        let Some(event) = event else { return Ok(()) };
        match self.events.try_send(event) {
            // The consumer dropped the queue.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(CloseReason::Overflow { limit: self.queue }),
        }
    }

    fn next_ping(&mut self) -> Result<(), CloseReason> {
        let Some(ping_state) = &mut self.ping_state else {
            return Ok(());
        };
        ping_state
            .next_ping(Instant::now())
            .map_err(|silent| CloseReason::Silent { silent })?;
        self.send(&heartbeat(proc::PING))
    }
}

async fn until(due: Option<Instant>) {
    if let Some(due) = due {
        sleep_until(due).await;
    }
}

fn heartbeat(procedure: i32) -> Frame {
    Frame {
        program: proc::KEEPALIVE,
        procedure,
        kind: Kind::Message,
        serial: 0,
        failed: false,
        body: Vec::new(),
    }
}

/// Returns the reason for a lost connection. A daemon that is killed resets the connection instead of closing it.
fn lost(error: std::io::Error) -> CloseReason {
    if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) {
        CloseReason::Hangup
    } else {
        CloseReason::Io(error)
    }
}
