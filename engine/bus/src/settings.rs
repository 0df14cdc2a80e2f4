//! `transport_url`, `control_exchange`, `masakari_topic` and `[oslo_messaging_rabbit]`: the broker.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tachi_config::{Reader, Refusal, TransportUrl, transport_url};

use crate::amqp::{AmqpError, AmqpOptions, Broker, BrokerTls, QueueKind, TlsOptions, UpstreamQueues};

const RABBIT: &str = "oslo_messaging_rabbit";

/// Maximum length of the name of an exchange or a queue, with margin for prefixes and suffixes.
const LONGEST_NAME: usize = 180;

/// A configured broker.
#[derive(Clone)]
pub struct MessagingSettings {
    /// The connection options.
    pub options: Arc<AmqpOptions>,
    /// The brokers, without credentials.
    pub shown: String,
}

impl MessagingSettings {
    /// Reads all options of the broker that `transport_url` of `section` names. `host` is part of the names of queues.
    pub fn read(r: &mut Reader<'_>, section: &str, help: &'static str, host: &str) -> Option<Self> {
        let url = r
            .parsed(section, "transport_url", transport_url, ToString::to_string)
            .secret()
            .harmless_if(TransportUrl::is_without_password)
            .unit("URL")
            .help(help)
            .optional();
        let exchange = name(
            r,
            "control_exchange",
            "exchange of the messages of Masakari's API, and of events",
            "masakari",
        );
        let topic = name(
            r,
            "masakari_topic",
            "topic of the messages of Masakari's API",
            "ha_engine",
        );
        let quorum = r
            .bool(RABBIT, "rabbit_quorum_queue")
            .help("uses quorum queues; Tachi's own queues are quorum queues unless this is false")
            .optional();
        let durable = r
            .bool(RABBIT, "amqp_durable_queues")
            .help("makes the queue for messages of Masakari's API durable")
            .optional();
        let heartbeat = r
            .seconds(RABBIT, "heartbeat_timeout_threshold")
            .default(Duration::from_secs(60))
            .range(Duration::ZERO..=Duration::from_secs(3600))
            .help("heartbeat timeout of a connection; 0: none")
            .get();
        let first_pause = r
            .seconds(RABBIT, "rabbit_retry_interval")
            .default(Duration::from_millis(250))
            .range(Duration::from_millis(10)..=Duration::from_secs(60))
            .help("first pause before reconnecting; each further one is twice as long")
            .get();
        let longest_pause = r
            .seconds(RABBIT, "rabbit_interval_max")
            .default(Duration::from_secs(10))
            .range(Duration::from_millis(10)..=Duration::from_secs(600))
            .help("maximum pause before reconnecting")
            .get();
        let needs_tls = r
            .bool(RABBIT, "ssl")
            .default(false)
            .help("uses TLS to the broker, as the URL may request, too")
            .get();
        let mut file =
            |option, help: &'static str| r.string(RABBIT, option).unit("path").help(help).optional();
        let files = [
            file("ssl_ca_file", "CA certificates for the broker"),
            file("ssl_cert_file", "client certificate, if the broker requires one"),
            file("ssl_key_file", "key of the client certificate"),
        ];
        let url = url.filter(|url| !url.hosts.is_empty())?;
        let shown = url.to_string();
        let tls = tls(r, &url, needs_tls, files);
        let brokers = url.hosts.into_iter().map(|host| Broker {
            host: host.host,
            port: host.port,
            user: host.user,
            password: host.password,
        });
        let mut options = AmqpOptions::new(brokers.collect(), host);
        options.virtual_host = url.virtual_host;
        options.tls = tls;
        options.heartbeat = heartbeat;
        options.first_pause = first_pause;
        options.longest_pause = longest_pause;
        options.queues = if quorum == Some(false) {
            QueueKind::Durable
        } else {
            QueueKind::Quorum
        };
        options.upstream = UpstreamQueues {
            exchange,
            topic,
            // An upstream API reads the same options with defaults of no. It declares its exchange of this kind, and fails
            // if the exchange is of another one.
            kind: match (quorum, durable) {
                (Some(true), _) => QueueKind::Quorum,
                (_, Some(true)) => QueueKind::Durable,
                (None | Some(false), None | Some(false)) => QueueKind::Transient,
            },
        };
        Some(Self {
            options: Arc::new(options),
            shown,
        })
    }
}

fn name(r: &mut Reader<'_>, option: &str, help: &'static str, default: &str) -> String {
    r.string("DEFAULT", option)
        .help(help)
        .default(default.to_owned())
        .check(|name| {
            if (1..=LONGEST_NAME).contains(&name.len()) {
                return Ok(());
            }
            Err(Refusal::new(
                format!("is not a name of 1 to {LONGEST_NAME} bytes"),
                "write a shorter name, or remove the line",
            ))
        })
        .get()
}

/// Reads the TLS options. The URL's own parameters take precedence.
fn tls(
    r: &mut Reader<'_>,
    url: &TransportUrl,
    is_enabled: bool,
    files: [Option<String>; 3],
) -> Option<BrokerTls> {
    let is_enabled = match url.option("ssl") {
        None => is_enabled,
        Some(text) => !matches!(text.to_ascii_lowercase().as_str(), "0" | "false" | "no" | "off"),
    };
    if !is_enabled {
        return None;
    }
    let [authorities, certificate, key] = files;
    let file = |option: &str, configured: Option<String>| {
        let path = url.option(option).map(str::to_owned).or(configured);
        path.filter(|path| !path.is_empty()).map(PathBuf::from)
    };
    let options = TlsOptions {
        authorities: file("ssl_ca_file", authorities),
        certificate: file("ssl_cert_file", certificate),
        key: file("ssl_key_file", key),
    };
    match BrokerTls::load(&options) {
        Ok(tls) => Some(tls),
        Err(error) => {
            let option = if let AmqpError::TlsFile { path, .. } = &error {
                if Some(path) == options.authorities.as_ref() {
                    "ssl_ca_file"
                } else if Some(path) == options.key.as_ref() {
                    "ssl_key_file"
                } else {
                    "ssl_cert_file"
                }
            } else {
                "ssl"
            };
            let why = format!("cannot be used: {}", error.chain());
            r.refuse(RABBIT, option, Refusal::new(why, "correct the file or the path"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use tachi_config::{ConfigErrors, Ini, KnownOptions};

    use super::*;

    fn parse(text: &str) -> Result<Option<MessagingSettings>, ConfigErrors> {
        let (ini, known) = (Ini::parse("test.conf", text)?, KnownOptions::masakari());
        let mut reader = Reader::new(&ini, &known);
        let messaging = MessagingSettings::read(&mut reader, "DEFAULT", "RabbitMQ", "here");
        reader.finish().map(|_| messaging)
    }

    fn read(text: &str) -> Option<MessagingSettings> {
        parse(text).unwrap()
    }

    fn refusal(text: &str) -> String {
        parse(text).err().unwrap().to_string()
    }

    #[test]
    fn without_a_url_there_is_no_broker() {
        for text in [
            "",
            "[DEFAULT]\ntransport_url = none\n",
            "[DEFAULT]\ntransport_url =\n",
        ] {
            assert!(read(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn queues_of_our_own_are_quorum_queues_and_those_of_upstream_are_as_upstream_reads_the_options() {
        let cases = [
            ("", QueueKind::Quorum, QueueKind::Transient),
            ("rabbit_quorum_queue = true", QueueKind::Quorum, QueueKind::Quorum),
            (
                "rabbit_quorum_queue = false",
                QueueKind::Durable,
                QueueKind::Transient,
            ),
            (
                "amqp_durable_queues = true",
                QueueKind::Quorum,
                QueueKind::Durable,
            ),
            (
                "rabbit_quorum_queue = true\namqp_durable_queues = true",
                QueueKind::Quorum,
                QueueKind::Quorum,
            ),
        ];
        for (lines, ours, upstream) in cases {
            let text = format!("[DEFAULT]\ntransport_url = rabbit://h\n[oslo_messaging_rabbit]\n{lines}\n");
            let options = read(&text).unwrap().options;
            assert_eq!(
                (options.queues, options.upstream.kind),
                (ours, upstream),
                "{lines}"
            );
        }
    }

    #[test]
    fn options_of_the_broker_have_their_effect() {
        let read = read(
            "[DEFAULT]\ntransport_url = rabbit://u:p@a:1,u:p@b:2/v\ncontrol_exchange = x\n\
             masakari_topic = t\n[oslo_messaging_rabbit]\nheartbeat_timeout_threshold = 20\n\
             rabbit_retry_interval = 2\nrabbit_interval_max = 7\n",
        )
        .unwrap();
        assert_eq!(read.shown, "rabbit://a:1,b:2/v");
        let options = read.options;
        assert_eq!((options.brokers.len(), options.virtual_host.as_str()), (2, "v"));
        assert_eq!(
            (
                options.upstream.exchange.as_str(),
                options.upstream.topic.as_str()
            ),
            ("x", "t")
        );
        assert_eq!(
            (options.host.as_str(), options.heartbeat),
            ("here", Duration::from_secs(20))
        );
        assert_eq!(options.first_pause, Duration::from_secs(2));
        assert_eq!(options.longest_pause, Duration::from_secs(7));
        assert!(options.tls.is_none());
    }

    #[test]
    fn tls_is_asked_for_by_the_option_or_by_the_url() {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../api/testdata");
        let cases = [
            ("neither", "rabbit://h", "", false),
            ("the option", "rabbit://h", "ssl = true", true),
            ("the URL", "rabbit://h/?ssl=1", "", true),
            ("the URL says no", "rabbit://h/?ssl=0", "ssl = true", false),
            ("the scheme", "amqps://h", "", true),
        ];
        for (name, url, line, expected) in cases {
            let text = format!(
                "[DEFAULT]\ntransport_url = {url}\n[oslo_messaging_rabbit]\nssl_ca_file = {data}/ca.pem\n{line}\n"
            );
            assert_eq!(read(&text).unwrap().options.tls.is_some(), expected, "{name}");
        }
        let by_url = format!("[DEFAULT]\ntransport_url = rabbit://h/?ssl=1&ssl_ca_file={data}/ca.pem\n");
        assert!(read(&by_url).unwrap().options.tls.is_some());
    }

    #[test]
    fn wrong_options_are_told_with_their_place_and_without_the_password() {
        let cases = [
            (
                "[DEFAULT]\ntransport_url = rabbit://u:hunter2@h:x\n",
                "transport_url",
            ),
            (
                "[DEFAULT]\ntransport_url = kafka://u:hunter2@h\n",
                "transport_url",
            ),
            (
                "[DEFAULT]\ntransport_url = rabbit://u:hunter2@h/?ssl=1\n[oslo_messaging_rabbit]\nssl_ca_file = /gone\n",
                "ssl_ca_file",
            ),
            (
                "[oslo_messaging_rabbit]\nrabbit_retry_interval = 0\n",
                "rabbit_retry_interval",
            ),
        ];
        for (text, option) in cases {
            let message = refusal(text);
            assert!(
                message.contains(option) && !message.contains("hunter2"),
                "{message}"
            );
        }
        let long = format!("[DEFAULT]\ncontrol_exchange = {}\n", "x".repeat(200));
        assert!(refusal(&long).contains("is not a name of 1 to 180 bytes"));
    }
}
