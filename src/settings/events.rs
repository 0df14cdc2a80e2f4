//! `[oslo_messaging_notifications]` and `[events]`: receivers of events.

use tachi_bus::MessagingSettings;
use tachi_config::{Reader, Refusal};

/// Upstream's default topic of events; upstream has no option for it.
const TOPIC: &str = "versioned_notifications";

/// A notification driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// A broker, without an envelope.
    Messaging,
    /// A broker, with the version 2.0 envelope.
    MessagingV2,
    /// The log.
    Log,
}

/// Settings of events.
#[derive(Clone, Default)]
pub(crate) struct EventSettings {
    /// The drivers; each publishes every event. With none, the default, no event is published.
    pub(crate) drivers: Vec<Driver>,
    /// A broker of their own; else that of `[DEFAULT] transport_url`.
    pub(crate) broker: Option<MessagingSettings>,
    /// Topics of a broker's events.
    pub(crate) topics: Vec<String>,
    /// Drivers that exist upstream and publish nothing here.
    pub(crate) silent: Vec<String>,
}

impl EventSettings {
    /// True if a broker is needed.
    pub(crate) fn needs_a_broker(&self) -> bool {
        self.drivers
            .iter()
            .any(|driver| matches!(driver, Driver::Messaging | Driver::MessagingV2))
    }
}

/// Reads the settings of events.
pub(super) fn events(r: &mut Reader<'_>, host: &str) -> EventSettings {
    let mut settings = EventSettings::default();
    for name in r
        .multi("oslo_messaging_notifications", "driver")
        .help("drivers of notifications: messagingv2, messaging, log, noop ([events.md](events.md))")
        .optional()
        .unwrap_or_default()
    {
        let driver = match name.trim() {
            "messaging" => Driver::Messaging,
            "messagingv2" => Driver::MessagingV2,
            "log" => Driver::Log,
            "" | "noop" => continue,
            "test" | "routing" => {
                settings.silent.push(name.trim().to_owned());
                continue;
            }
            _ => {
                let help = "write messagingv2, messaging, log or noop, one per line";
                r.refuse(
                    "oslo_messaging_notifications",
                    "driver",
                    Refusal::new("is not a notification driver", help),
                );
                continue;
            }
        };
        if !settings.drivers.contains(&driver) {
            settings.drivers.push(driver);
        }
    }
    settings.broker = MessagingSettings::read(
        r,
        "oslo_messaging_notifications",
        "a separate broker for events; that of [DEFAULT] unless set",
        host,
    );
    settings.topics = r
        .list("events", "topics")
        .default(vec![TOPIC.to_owned()])
        .help("topics of the events")
        .get();
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn read(text: &str) -> EventSettings {
        Settings::parse("test.conf", text).unwrap().events
    }

    #[test]
    fn nobody_is_told_unless_somebody_asks() {
        for text in [
            "",
            "[oslo_messaging_notifications]\ndriver =\n",
            "[oslo_messaging_notifications]\ndriver = noop\n",
        ] {
            let settings = read(text);
            assert!(settings.drivers.is_empty(), "{text}");
            assert!(!settings.needs_a_broker(), "{text}");
        }
    }

    #[test]
    fn drivers_add_up_and_repeat_nothing() {
        let settings = read(
            "[oslo_messaging_notifications]\ndriver = messagingv2\ndriver = log\ndriver = messagingv2\ndriver = routing\n\
             transport_url = rabbit://u:secret@events:5672/\n",
        );
        assert_eq!(settings.drivers, [Driver::MessagingV2, Driver::Log]);
        assert_eq!(settings.silent, ["routing"]);
        assert!(settings.needs_a_broker());
        let broker = settings.broker.unwrap();
        assert_eq!(broker.shown, "rabbit://events:5672/");
    }

    #[test]
    fn upstreams_topic_is_not_an_option_of_upstreams() {
        let settings = read("[oslo_messaging_notifications]\ntopics = notifications\n");
        assert_eq!(settings.topics, ["versioned_notifications"]);
        let settings = read("[events]\ntopics = versioned_notifications, mine\n");
        assert_eq!(settings.topics, ["versioned_notifications", "mine"]);
    }

    #[test]
    fn an_unknown_driver_stops_the_start() {
        let errors = Settings::parse("test.conf", "[oslo_messaging_notifications]\ndriver = rabbit\n")
            .err()
            .unwrap();
        let message = errors.to_string();
        assert!(
            message.starts_with("test.conf:2: [oslo_messaging_notifications] driver")
                && message.contains("messagingv2"),
            "{message}"
        );
    }
}
