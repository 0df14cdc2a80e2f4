//! The publisher: a handle that never blocks, and the task behind it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, Event, ExchangeKind};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::dial::{Dialer, LiveConnection};
use super::fault::AmqpError;
use super::numbers;
use super::options::{AmqpOptions, QueueKind};
use super::outbox::{Lane, Outbox, OutboxMessage, QueueFirst, count};
use super::status::LinkStatus;
use super::topology::{Queue, Topology, ask, name};

/// Limit of unconfirmed messages.
const MAX_UNCONFIRMED: usize = 64;

/// Time after cancellation to send the rest of the buffer.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Limit of connections on which a message is tried.
const MAX_CONNECTIONS_PER_MESSAGE: u8 = 20;

/// Exchange of wake-ups to every host with an engine.
pub(crate) const WAKE_EXCHANGE: &str = "tachi.wake";

/// The sending end. Clones share it.
#[derive(Clone, Debug)]
pub struct Publisher {
    outbox: Arc<Outbox>,
    status: LinkStatus,
}

impl Publisher {
    /// Creates a publisher and its task; messages wait until the task runs.
    pub fn new(options: Arc<AmqpOptions>) -> (Self, PublisherTask) {
        let publisher = Self {
            outbox: Arc::default(),
            status: LinkStatus::new("publisher"),
        };
        let task = PublisherTask {
            publisher: publisher.clone(),
            options,
        };
        (publisher, task)
    }

    /// Queues a message, whatever the state of the broker. Returns true if no other message was dropped for it; the
    /// [`Lane`] decides which one is dropped. The message is sent at least once if the broker comes back in time, and
    /// lost if this process ends before.
    pub fn publish(&self, message: OutboxMessage) -> bool {
        self.outbox.put(message)
    }

    pub fn status(&self) -> LinkStatus {
        self.status.clone()
    }

    pub fn waiting(&self) -> usize {
        self.outbox.len()
    }
}

/// The task behind a [`Publisher`].
#[derive(Debug)]
pub struct PublisherTask {
    publisher: Publisher,
    options: Arc<AmqpOptions>,
}

/// The reason why a connection ended.
enum ConnectionEnd {
    Stopped,
    Lost(AmqpError),
}

impl PublisherTask {
    /// Publishes until cancelled, and then sends the rest of the buffer within a second.
    pub async fn run(self, stop: CancellationToken) {
        numbers::describe();
        let mut dialer = Dialer::new(self.options.clone(), "publisher");
        let mut backoff = Backoff::new(self.options.first_pause, self.options.longest_pause);
        loop {
            // Dropping the attempt closes the connection.
            let dialled = tokio::select! {
                () = stop.cancelled() => return,
                dialled = dialer.dial() => dialled,
            };
            match dialled {
                Ok(live) => {
                    self.publisher.status.up(&live.broker);
                    let (over, was_of_use) = self.session(&live, &stop).await;
                    if was_of_use {
                        backoff.reset();
                    }
                    live.close().await;
                    match over {
                        ConnectionEnd::Stopped => return,
                        ConnectionEnd::Lost(error) => self.publisher.status.down(&error),
                    }
                }
                Err(error) => self.publisher.status.down(&error),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(backoff.pause()) => {}
            }
        }
    }

    /// Publishes on one connection until it ends. The second value is true if a message was sent.
    async fn session(&self, live: &LiveConnection, stop: &CancellationToken) -> (ConnectionEnd, bool) {
        let mut session = Session {
            outbox: &self.publisher.outbox,
            options: &self.options,
            live,
            channel: None,
            declared: BTreeSet::new(),
            sent: VecDeque::new(),
            confirms: FuturesOrdered::new(),
            of_use: false,
        };
        let over = session.work(&self.publisher.status, stop).await;
        let of_use = session.of_use;
        session.put_back();
        (over, of_use)
    }
}

/// The declarations that are done on this connection.
type DeclaredNames = BTreeSet<(String, Option<QueueFirst>)>;

struct Session<'s> {
    outbox: &'s Outbox,
    options: &'s AmqpOptions,
    live: &'s LiveConnection,
    channel: Option<Channel>,
    declared: DeclaredNames,
    /// The messages in flight, in the order of `confirms`.
    sent: VecDeque<OutboxMessage>,
    confirms: FuturesOrdered<BoxFuture<'static, Result<Confirmation, AmqpError>>>,
    of_use: bool,
}

impl Session<'_> {
    async fn work(&mut self, status: &LinkStatus, stop: &CancellationToken) -> ConnectionEnd {
        let mut events = Box::pin(self.live.connection.events_listener());
        let mut drain: Option<Instant> = None;
        loop {
            let may_send = self.sent.len() < MAX_UNCONFIRMED && drain.is_none();
            // Waiting for an event, the outbox or a confirmation loses nothing when dropped. Sending happens outside.
            let message = tokio::select! {
                biased;
                event = events.next() => {
                    if let Some(over) = self.event(status, event) {
                        return over;
                    }
                    continue;
                }
                Some(confirmed) = self.confirms.next() => {
                    if let Err(error) = self.confirmed(confirmed) {
                        return ConnectionEnd::Lost(error);
                    }
                    if drain.is_some() && self.sent.is_empty() {
                        return ConnectionEnd::Stopped;
                    }
                    continue;
                }
                () = stop.cancelled(), if drain.is_none() => {
                    drain = Some(Instant::now() + DRAIN_TIMEOUT);
                    match self.drain(drain).await {
                        Ok(()) if self.sent.is_empty() => return ConnectionEnd::Stopped,
                        Ok(()) => continue,
                        Err(error) => return ConnectionEnd::Lost(error),
                    }
                }
                () = at(drain) => return ConnectionEnd::Stopped,
                message = self.outbox.next(), if may_send => message,
            };
            if let Err(error) = self.send(message).await {
                return ConnectionEnd::Lost(error);
            }
        }
    }

    /// Handles an event of the connection; `Some` if it ended.
    fn event(&self, status: &LinkStatus, event: Option<Event>) -> Option<ConnectionEnd> {
        let broker = &self.live.broker;
        match event {
            Some(Event::ConnectionBlocked(why)) => status.blocked(broker, &why),
            Some(Event::ConnectionUnblocked) => status.unblocked(broker),
            // The broker also reports a closed channel here; the caller on that channel has received the error.
            Some(Event::Error(source)) if source.is_amqp_soft_error() => {}
            Some(Event::Error(source)) => {
                return Some(ConnectionEnd::Lost(AmqpError::Connect {
                    broker: broker.clone(),
                    source,
                }));
            }
            None => {
                return Some(ConnectionEnd::Lost(AmqpError::Ended {
                    broker: broker.clone(),
                }));
            }
            // Connected, flow control, or a newer event: ignored.
            Some(_) => {}
        }
        None
    }

    /// Sends the rest of the buffer after cancellation.
    async fn drain(&mut self, until: Option<Instant>) -> Result<(), AmqpError> {
        while self.outbox.len() > 0
            && self.sent.len() < MAX_UNCONFIRMED
            && let Some(until) = until
            && let Ok(message) = timeout_at(until, self.outbox.next()).await
        {
            self.send(message).await?;
        }
        Ok(())
    }

    /// Sends a message. It counts as in flight from before the first byte, so that it is never lost with the
    /// connection.
    async fn send(&mut self, message: OutboxMessage) -> Result<(), AmqpError> {
        let limit = self.options.answer_limit;
        self.sent.push_back(message.clone());
        self.declare(&message).await?;
        let channel = self.channel().await?;
        // The broker returns a reply whose caller no longer waits. It is not needed then.
        let options = BasicPublishOptions {
            mandatory: message.lane == Lane::Reply,
            ..BasicPublishOptions::default()
        };
        let what = "publishing a message";
        let (exchange, key) = (
            name("the exchange", &message.exchange),
            name("the routing key", &message.key),
        );
        let (Ok(exchange), Ok(key)) = (exchange, key) else {
            // No broker accepts this name, so a retry would fail too.
            self.sent.pop_back();
            count(message.lane, "refused");
            return Ok(());
        };
        let publishing =
            channel.basic_publish(exchange, key, options, &message.body, message.properties.clone());
        let confirm = ask(what, limit, publishing).await?;
        self.confirms.push_back(Box::pin(async move {
            match timeout(limit, confirm).await {
                Ok(Ok(confirmation)) => Ok(confirmation),
                Ok(Err(source)) => Err(AmqpError::Refused {
                    what: what.to_owned(),
                    source,
                }),
                Err(_) => Err(AmqpError::NoAnswer {
                    what: what.to_owned(),
                    limit,
                }),
            }
        }));
        Ok(())
    }

    fn confirmed(&mut self, confirmed: Result<Confirmation, AmqpError>) -> Result<(), AmqpError> {
        let confirmation = confirmed?;
        let Some(message) = self.sent.pop_front() else {
            return Ok(());
        };
        let acked = confirmation.is_ack();
        let returned = confirmation.take_message().is_some();
        match (acked, returned) {
            // If the broker drops it, nothing consumes it.
            (true, true) => count(message.lane, "unroutable"),
            (true, false) => count(message.lane, "published"),
            (false, _) => {
                // The broker could not store it: worth another attempt, behind the others.
                count(message.lane, "nacked");
                self.outbox.put_back(vec![message]);
                return Ok(());
            }
        }
        self.of_use = true;
        Ok(())
    }

    async fn channel(&mut self) -> Result<Channel, AmqpError> {
        if let Some(channel) = &self.channel {
            return Ok(channel.clone());
        }
        let channel = self.topology().channel().await?;
        let confirming = channel.confirm_select(ConfirmSelectOptions::default());
        ask("asking for confirmations", self.options.answer_limit, confirming).await?;
        self.channel = Some(channel.clone());
        Ok(channel)
    }

    fn topology(&self) -> Topology<'_> {
        Topology {
            connection: &self.live.connection,
            limit: self.options.answer_limit,
        }
    }

    /// Declares the queue and exchange of a message, once per connection.
    async fn declare(&mut self, message: &OutboxMessage) -> Result<(), AmqpError> {
        if message.exchange.is_empty() {
            return Ok(());
        }
        let route = (message.exchange.clone(), message.queue_first.clone());
        if self.declared.contains(&route) {
            return Ok(());
        }
        let topology = self.topology();
        if message.exchange == WAKE_EXCHANGE {
            topology
                .exchange(WAKE_EXCHANGE, ExchangeKind::Fanout, true)
                .await?;
        } else {
            let durable = self.options.upstream.kind != QueueKind::Transient;
            topology
                .exchange(&message.exchange, ExchangeKind::Topic, durable)
                .await?;
        }
        if let Some(first) = &message.queue_first {
            let queue = Queue {
                bound_to: Some((&message.exchange, &first.name)),
                ..Queue::new(&first.name, self.options.upstream.kind)
            };
            topology.queue(&queue).await?;
        }
        self.declared.insert(route);
        Ok(())
    }

    /// Resends unconfirmed messages: delivery is at least once. Drops a message that no broker seems to accept, so that
    /// it does not block the others forever.
    fn put_back(&mut self) {
        let mut again = Vec::with_capacity(self.sent.len());
        for mut message in self.sent.drain(..) {
            message.tries = message.tries.saturating_add(1);
            if message.tries < MAX_CONNECTIONS_PER_MESSAGE {
                again.push(message);
            } else {
                count(message.lane, "refused");
                tracing::warn!(
                    exchange = message.exchange,
                    key = message.key,
                    connections = MAX_CONNECTIONS_PER_MESSAGE,
                    "dropped a message that no connection delivered"
                );
            }
        }
        self.outbox.put_back(again);
    }
}

/// Waits until a moment, or forever without one.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
