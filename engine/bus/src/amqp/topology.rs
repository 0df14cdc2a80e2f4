//! Declares exchanges and queues without conflicts.
//!
//! A client that declares an existing object with different flags loses its channel. Existing objects are therefore
//! looked up first and used unchanged; only missing ones are declared. Each request has its own channel, because the
//! broker closes the channel of a refused request.

use std::collections::BTreeMap;
use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ExchangeKind};
use tokio::time::timeout;

use super::fault::AmqpError;
use super::options::QueueKind;

/// Reply codes of the broker.
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;
/// RabbitMQ's answer to a queue type that is no longer permitted.
const INTERNAL_ERROR: u16 = 541;

/// Returns a name of the protocol, which is limited to 255 bytes.
pub(crate) fn name(what: &'static str, text: &str) -> Result<ShortString, AmqpError> {
    ShortString::try_new(text).map_err(|_| AmqpError::Name {
        what,
        name: text.chars().take(40).collect(),
    })
}

/// Sends a request to the broker, with a timeout.
pub(crate) async fn ask<T>(
    what: impl Into<String>,
    limit: Duration,
    question: impl Future<Output = lapin::Result<T>>,
) -> Result<T, AmqpError> {
    match timeout(limit, question).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(AmqpError::Refused {
            what: what.into(),
            source,
        }),
        Err(_) => Err(AmqpError::NoAnswer {
            what: what.into(),
            limit,
        }),
    }
}

/// The properties of a queue if it must be declared.
#[derive(Clone, Debug)]
pub(crate) struct Queue<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: QueueKind,
    /// Further arguments, such as the expiry without a consumer.
    pub(crate) arguments: BTreeMap<&'static str, AMQPValue>,
    /// The binding: exchange and routing key.
    pub(crate) bound_to: Option<(&'a str, &'a str)>,
}

impl<'a> Queue<'a> {
    pub(crate) fn new(name: &'a str, kind: QueueKind) -> Self {
        Self {
            name,
            kind,
            arguments: BTreeMap::new(),
            bound_to: None,
        }
    }
}

/// The number of consumers and messages of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueCounts {
    pub(crate) consumers: u32,
}

/// One connection's declarations.
pub(crate) struct Topology<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) limit: Duration,
}

impl Topology<'_> {
    pub(crate) async fn channel(&self) -> Result<Channel, AmqpError> {
        ask("opening a channel", self.limit, self.connection.create_channel()).await
    }

    /// Ensures that an exchange of this name exists, with any flags.
    pub(crate) async fn exchange(
        &self,
        exchange: &str,
        kind: ExchangeKind,
        durable: bool,
    ) -> Result<(), AmqpError> {
        let declare = async |passive: bool| {
            let channel = self.channel().await?;
            let options = ExchangeDeclareOptions {
                passive,
                durable,
                ..ExchangeDeclareOptions::default()
            };
            let name = name("the exchange", exchange)?;
            let what = format!("declaring the exchange {exchange}");
            let request = channel.exchange_declare(name, kind.clone(), options, FieldTable::default());
            ask(what, self.limit, request).await?;
            close(&channel).await;
            Ok::<(), AmqpError>(())
        };
        match declare(true).await {
            Err(error) if error.code() == Some(NOT_FOUND) => {}
            other => return other,
        }
        match declare(false).await {
            // Another program has declared it meanwhile, with other flags.
            Err(error) if error.code() == Some(PRECONDITION_FAILED) => {
                warn_of_other_options("exchange", exchange, &error);
                declare(true).await
            }
            other => other,
        }
    }

    /// Returns a queue's numbers of messages and consumers; `None` if it does not exist.
    pub(crate) async fn read_counts(&self, queue: &str) -> Result<Option<QueueCounts>, AmqpError> {
        match self.declare(&Queue::new(queue, QueueKind::Durable), true).await {
            Ok(counts) => Ok(Some(counts)),
            Err(error) if error.code() == Some(NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ensures that a queue of this name exists, with any flags, and that it is bound.
    pub(crate) async fn queue(&self, queue: &Queue<'_>) -> Result<(), AmqpError> {
        if self.read_counts(queue.name).await?.is_none() {
            match self.declare(queue, false).await {
                Ok(_) => {}
                Err(error) if error.code() == Some(PRECONDITION_FAILED) => {
                    warn_of_other_options("queue", queue.name, &error);
                }
                Err(error) if error.code() == Some(INTERNAL_ERROR) && queue.kind == QueueKind::Transient => {
                    let durable = Queue {
                        kind: QueueKind::Durable,
                        ..queue.clone()
                    };
                    tracing::warn!(
                        queue = queue.name,
                        why = error.chain(),
                        "broker no longer supports this queue type; declaring a durable queue"
                    );
                    self.declare(&durable, false).await?;
                }
                Err(error) => return Err(error),
            }
        }
        let Some((exchange, key)) = queue.bound_to else {
            return Ok(());
        };
        let channel = self.channel().await?;
        let request = channel.queue_bind(
            name("the queue", queue.name)?,
            name("the exchange", exchange)?,
            name("the routing key", key)?,
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        let what = format!("binding the queue {} to the exchange {exchange}", queue.name);
        ask(what, self.limit, request).await?;
        close(&channel).await;
        Ok(())
    }

    /// Unbinds an unresponsive queue from its exchange, because a message that is published there is never confirmed,
    /// and deletes it. Failures are ignored: the queue is no longer used.
    pub(crate) async fn abandon(&self, queue: &str, exchange: &str) {
        let unbind = async {
            let channel = self.channel().await?;
            let request = channel.queue_unbind(
                name("the queue", queue)?,
                name("the exchange", exchange)?,
                name("the routing key", "")?,
                FieldTable::default(),
            );
            let what = format!("unbinding the queue {queue} from the exchange {exchange}");
            ask(what, self.limit, request).await
        };
        if let Err(error) = unbind.await {
            tracing::warn!(queue, why = error.chain(), "failed to unbind unresponsive queue");
        }
        let delete = async {
            let channel = self.channel().await?;
            let request = channel.queue_delete(name("the queue", queue)?, QueueDeleteOptions::default());
            ask(format!("deleting the queue {queue}"), self.limit, request).await
        };
        if let Err(error) = delete.await {
            tracing::warn!(queue, why = error.chain(), "failed to delete unresponsive queue");
        }
    }

    async fn declare(&self, queue: &Queue<'_>, passive: bool) -> Result<QueueCounts, AmqpError> {
        let channel = self.channel().await?;
        let options = QueueDeclareOptions {
            passive,
            durable: queue.kind != QueueKind::Transient,
            ..QueueDeclareOptions::default()
        };
        let mut arguments = FieldTable::default();
        if queue.kind == QueueKind::Quorum {
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        }
        for (key, value) in &queue.arguments {
            arguments.insert((*key).into(), value.clone());
        }
        let what = if passive {
            format!("looking up the queue {}", queue.name)
        } else {
            format!("declaring the queue {}", queue.name)
        };
        let request = channel.queue_declare(name("the queue", queue.name)?, options, arguments);
        let declared = ask(what, self.limit, request).await?;
        close(&channel).await;
        Ok(QueueCounts {
            consumers: declared.consumer_count(),
        })
    }
}

fn warn_of_other_options(what: &str, name: &str, error: &AmqpError) {
    tracing::warn!(
        what,
        name,
        why = error.chain(),
        "broker has this object with other options; using it unchanged"
    );
}

/// Closes a channel that is no longer needed, as best effort.
async fn close(channel: &Channel) {
    if let Err(error) = channel.close(200, "done".into()).await {
        tracing::debug!(%error, "failed to close a channel");
    }
}
