//! The consumer of wake-ups, and of the casts and calls of an upstream API.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SelectAll, StreamExt as _, select_all};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Consumer, Event, ExchangeKind};
use metrics::counter;
use tachi_engine::ports::{Notifier as _, Progress};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::answer::{self, ProgressAnswer};
use super::backoff::Backoff;
use super::dial::{Dialer, LiveConnection};
use super::fault::AmqpError;
use super::numbers::{self, CONSUMED};
use super::options::{AmqpOptions, QueueKind};
use super::outbox::{Lane, OutboxMessage};
use super::publisher::{Publisher, WAKE_EXCHANGE};
use super::request::{Call, Request, read};
use super::status::LinkStatus;
use super::topology::{Queue, Topology, ask, name};
use super::upstream::{Consumers, Upstream, presence};
use crate::InProcess;

/// Limit of concurrently processed messages of an upstream API.
const PREFETCH: u16 = 16;

/// Interval of the check for an upstream engine.
const UPSTREAM_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Expiry of our own queue without a consumer, in milliseconds.
const QUEUE_EXPIRY_MS: i32 = 1_800_000;

/// Limit of queued wake-ups; one would be enough.
const MAX_QUEUED_WAKE_UPS: i32 = 100;

/// Timeout of an answer if the caller sets none.
const DEFAULT_ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The reply code for a missing permission.
const ACCESS_REFUSED: u16 = 403;

/// The receivers of the messages.
pub struct ListenerPorts {
    /// Woken by a wake-up: the engine looks for work.
    pub work: InProcess,
    /// Woken by a cast of upstream: the engine scans for unclaimed rows.
    pub adopt: InProcess,
    /// Source of the progress of recoveries.
    pub progress: Arc<dyn Progress>,
    /// Sends the answers.
    pub publisher: Publisher,
}

/// The consumer of messages. See [`Listener::run`].
pub struct Listener {
    options: Arc<AmqpOptions>,
    ends: Arc<ListenerPorts>,
    status: LinkStatus,
    upstream: Upstream,
}

/// The reason why a connection ended.
enum ConnectionEnd {
    Stopped,
    Lost(AmqpError),
    /// The broker does not answer requests about our own wake-up queue, and may never: a quorum queue whose broker
    /// was killed during its creation was seen to be listed as running without answering any consumer.
    Stuck(AmqpError),
}

impl Listener {
    /// Creates a listener without connecting.
    pub fn new(options: Arc<AmqpOptions>, ends: ListenerPorts) -> Self {
        Self {
            options,
            ends: Arc::new(ends),
            status: LinkStatus::new("listener"),
            upstream: Upstream::default(),
        }
    }

    pub fn status(&self) -> LinkStatus {
        self.status.clone()
    }

    /// Returns a handle that reports running upstream engines.
    pub fn upstream(&self) -> Upstream {
        self.upstream.clone()
    }

    /// Consumes until cancelled, reconnecting as necessary.
    pub async fn run(self, stop: CancellationToken) {
        numbers::describe();
        let mut dialer = Dialer::new(self.options.clone(), "listener");
        let mut backoff = Backoff::new(self.options.first_pause, self.options.longest_pause);
        let mut queue = WakeQueue::new(&self.options.host);
        loop {
            // Dropping the attempt closes the connection.
            let dialled = tokio::select! {
                () = stop.cancelled() => return,
                dialled = dialer.dial() => dialled,
            };
            match dialled {
                Ok(live) => {
                    let over = tokio::select! {
                        () = stop.cancelled() => ConnectionEnd::Stopped,
                        over = self.session(&live, &queue.name, &mut backoff) => over,
                    };
                    live.close().await;
                    match over {
                        ConnectionEnd::Stopped => return,
                        ConnectionEnd::Lost(error) => self.status.down(&error),
                        ConnectionEnd::Stuck(error) => {
                            self.status.down(&error);
                            queue.replace();
                        }
                    }
                }
                Err(error) => self.status.down(&error),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(backoff.pause()) => {}
            }
        }
    }

    /// Consumes on one connection until it ends. Dropping the future loses only messages that the broker
    /// delivers again.
    async fn session(&self, live: &LiveConnection, queue: &str, backoff: &mut Backoff) -> ConnectionEnd {
        let mut events = Box::pin(live.connection.events_listener());
        let topology = Topology {
            connection: &live.connection,
            limit: self.options.answer_limit,
        };
        let mut wake = match self.listen_for_wake_ups(&topology, queue).await {
            Ok(wake) => wake,
            Err(error @ AmqpError::NoAnswer { .. }) => {
                topology.abandon(queue, WAKE_EXCHANGE).await;
                return ConnectionEnd::Stuck(error);
            }
            Err(error) => return ConnectionEnd::Lost(error),
        };
        let mut casts = match self.listen_for_casts(&topology).await {
            Ok(casts) => casts,
            Err(error) => return ConnectionEnd::Lost(error),
        };
        self.status.up(&live.broker);
        backoff.reset();
        // Covers messages that came while there was no consumer.
        self.ends.work.notify();
        self.ends.adopt.notify();
        let mut answers = JoinSet::new();
        let mut check_ticks = interval(UPSTREAM_CHECK_INTERVAL);
        check_ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // The branches only wait; their results are handled outside.
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::Error(source)) if !source.is_amqp_soft_error() => {
                        return ConnectionEnd::Lost(AmqpError::Connect { broker: live.broker.clone(), source });
                    }
                    Some(_) => {}
                    None => return ConnectionEnd::Lost(AmqpError::Ended { broker: live.broker.clone() }),
                },
                delivery = wake.next() => match delivery {
                    Some(Ok(_)) => {
                        counter!(CONSUMED, "kind" => "wake").increment(1);
                        self.ends.work.notify();
                    }
                    Some(Err(source)) => return gone(source),
                    None => return ConnectionEnd::Lost(AmqpError::QueueGone),
                },
                delivery = casts.consumers.next(), if !casts.consumers.is_empty() => match delivery {
                    Some(Ok(delivery)) => self.cast(delivery, &mut answers),
                    Some(Err(source)) => return gone(source),
                    None => return ConnectionEnd::Lost(AmqpError::QueueGone),
                },
                Some(_) = answers.join_next() => {}
                _ = check_ticks.tick() => match Consumers::count(&topology, &self.options.upstream).await {
                    Ok(consumers) => self.upstream.observe(consumers),
                    // A broker that does not answer counts as lost even if its socket is open.
                    Err(error @ AmqpError::NoAnswer { .. }) => return ConnectionEnd::Lost(error),
                    Err(error) => tracing::debug!(why = error.chain(), "failed to count upstream engines"),
                },
            }
            // A consumer whose queue was deleted ends without an error.
            if casts.expected > casts.consumers.len() {
                return ConnectionEnd::Lost(AmqpError::QueueGone);
            }
        }
    }

    async fn listen_for_wake_ups(&self, topology: &Topology<'_>, queue: &str) -> Result<Consumer, AmqpError> {
        topology
            .exchange(WAKE_EXCHANGE, ExchangeKind::Fanout, true)
            .await?;
        let arguments = BTreeMap::from([
            ("x-expires", AMQPValue::LongInt(QUEUE_EXPIRY_MS)),
            ("x-max-length", AMQPValue::LongInt(MAX_QUEUED_WAKE_UPS)),
        ]);
        let declared = Queue {
            arguments,
            bound_to: Some((WAKE_EXCHANGE, "")),
            ..Queue::new(queue, self.options.queues)
        };
        topology.queue(&declared).await?;
        let channel = topology.channel().await?;
        // The row is the source of truth: a lost wake-up costs one sweep interval.
        self.consume(&channel, queue, true).await
    }

    async fn listen_for_casts(&self, topology: &Topology<'_>) -> Result<Casts, AmqpError> {
        match self.casts(topology).await {
            Err(error) if error.code() == Some(ACCESS_REFUSED) => {
                tracing::warn!(
                    why = error.chain(),
                    "failed to consume the casts of an upstream API; the next sweep finds its notifications"
                );
                Ok(Casts {
                    consumers: SelectAll::new(),
                    expected: 0,
                    _channel: None,
                })
            }
            other => other,
        }
    }

    async fn casts(&self, topology: &Topology<'_>) -> Result<Casts, AmqpError> {
        let upstream = &self.options.upstream;
        self.upstream.observe(Consumers::count(topology, upstream).await?);
        let present = presence(upstream);
        let own = format!("{}.{}", upstream.topic, self.options.host);
        let durable = upstream.kind != QueueKind::Transient;
        topology
            .exchange(&upstream.exchange, ExchangeKind::Topic, durable)
            .await?;
        let arguments = BTreeMap::from([("x-expires", AMQPValue::LongInt(QUEUE_EXPIRY_MS))]);
        let declared = Queue {
            arguments,
            ..Queue::new(&present, QueueKind::Durable)
        };
        topology.queue(&declared).await?;
        for queue in [&upstream.topic, &own] {
            let declared = Queue {
                bound_to: Some((&upstream.exchange, queue)),
                ..Queue::new(queue, upstream.kind)
            };
            topology.queue(&declared).await?;
        }
        let channel = topology.channel().await?;
        let request = channel.basic_qos(PREFETCH, BasicQosOptions::default());
        ask("setting the prefetch limit", topology.limit, request).await?;
        // The presence queue comes first, the others after it: see `Consumers::count`.
        let mut consumers = Vec::new();
        for queue in [&present, &upstream.topic, &own] {
            consumers.push(self.consume(&channel, queue, false).await?);
        }
        let expected = consumers.len();
        Ok(Casts {
            consumers: select_all(consumers),
            expected,
            _channel: Some(channel),
        })
    }

    async fn consume(&self, channel: &Channel, queue: &str, no_ack: bool) -> Result<Consumer, AmqpError> {
        let options = BasicConsumeOptions {
            no_ack,
            ..BasicConsumeOptions::default()
        };
        let tag = format!("tachi-{}", uuid::Uuid::new_v4().simple());
        let request = channel.basic_consume(
            name("the queue", queue)?,
            name("the consumer", &tag)?,
            options,
            FieldTable::default(),
        );
        ask(
            format!("consuming the queue {queue}"),
            self.options.answer_limit,
            request,
        )
        .await
    }

    /// Handles one message of an upstream API. Removes it from the queue even if it is invalid: the row is the source
    /// of truth.
    fn cast(&self, delivery: Delivery, answers: &mut JoinSet<()>) {
        let kind = match read(&delivery.data) {
            Ok(Request::Process(notification)) => {
                tracing::debug!(%notification, "upstream API accepted a notification");
                self.ends.adopt.notify();
                "cast"
            }
            Ok(Request::Details(call)) => {
                let ends = self.ends.clone();
                answers.spawn(async move {
                    answer(&ends, &call).await;
                    acknowledge(&delivery).await;
                });
                counter!(CONSUMED, "kind" => "call").increment(1);
                return;
            }
            Err(unread) => {
                // Logs no part of the message: it may contain a user's token.
                tracing::warn!(
                    why = unread.label(),
                    bytes = delivery.data.len(),
                    "dropped an invalid message from the queue of an upstream API"
                );
                unread.label()
            }
        };
        counter!(CONSUMED, "kind" => kind).increment(1);
        answers.spawn(async move { acknowledge(&delivery).await });
    }
}

/// The queue for our wake-ups. Its content is not worth keeping, so an unusable queue is replaced by another.
struct WakeQueue {
    host: String,
    name: String,
}

impl WakeQueue {
    fn new(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            name: format!("tachi.wake.{host}"),
        }
    }

    /// Switches to another queue, under a name that no other process of this host uses.
    fn replace(&mut self) {
        let other = format!("tachi.wake.{}.{}", self.host, uuid::Uuid::new_v4().simple());
        let left = std::mem::replace(&mut self.name, other);
        tracing::warn!(
            left,
            queue = self.name,
            "broker does not answer requests about the wake-up queue; using another queue"
        );
    }
}

struct Casts {
    consumers: SelectAll<Consumer>,
    expected: usize,
    _channel: Option<Channel>,
}

fn gone(source: lapin::Error) -> ConnectionEnd {
    ConnectionEnd::Lost(AmqpError::Refused {
        what: "consuming".to_owned(),
        source,
    })
}

async fn acknowledge(delivery: &Delivery) {
    if let Err(error) = delivery.acker.ack(BasicAckOptions::default()).await {
        // The message is delivered again, which does no harm.
        tracing::debug!(%error, "failed to acknowledge a message");
    }
}

/// Answers a caller with the progress of a recovery.
async fn answer(ends: &ListenerPorts, call: &Call) {
    let patience = call
        .within
        .unwrap_or(DEFAULT_ANSWER_TIMEOUT)
        .min(DEFAULT_ANSWER_TIMEOUT);
    let until = Instant::now() + patience;
    let body = match timeout(patience, ends.progress.progress_of(call.notification)).await {
        Ok(Ok(Some((notification, tasks)))) => {
            answer::body(call, &ProgressAnswer::Progress(&notification, &tasks))
        }
        Ok(Ok(None)) => answer::body(call, &ProgressAnswer::NotFound),
        Ok(Err(error)) => {
            tracing::warn!(notification = %call.notification, %error, "failed to answer a progress query of an upstream API");
            answer::body(call, &ProgressAnswer::Failed)
        }
        // The caller no longer waits.
        Err(_) => return,
    };
    let mut message = OutboxMessage::json(Lane::Reply, "", call.reply_to.as_str(), body);
    message.until = Some(until);
    ends.publisher.publish(message);
}
