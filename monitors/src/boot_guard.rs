//! `tachi-monitor boot-guard`: delays nova-compute of a fenced host until its recovery is done and its queue is empty.
//!
//! The guard polls the API until the host may start, and exits; systemd starts nova-compute after that. Without an
//! answer the last one counts: a host that was held stays held. Any other host starts after two minutes, because a
//! region whose API is down must be able to boot.

mod wait;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tachi_instance_ha::{BootGuard, Client};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::wait::{Guard, HoldQuery, Memory, OperatorSignal};
use crate::cli::ConfigArgs;
use crate::failure::Failure;
use crate::settings::{self, Settings};
use crate::{out, saved};

/// Timeout of a request; the next request may reach another API.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The state stored from one boot to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct BootRecord {
    /// True if the API's last answer held the host.
    #[serde(rename = "held")]
    on_hold: bool,
    /// The recovery that held it.
    #[serde(default)]
    recovery: Option<String>,
    /// The reason for the hold.
    #[serde(default)]
    reason: String,
}

struct File(PathBuf);

impl Memory for File {
    fn read(&self) -> BootRecord {
        match saved::read(&self.0) {
            Ok(found) => found.unwrap_or_default(),
            Err(error) => {
                announce(&format!(
                    "the last answer of the API is unknown: {}",
                    Failure::new("reading it", error).chain()
                ));
                BootRecord::default()
            }
        }
    }

    fn write(&self, now: &BootRecord) {
        if let Err(error) = saved::write(&self.0, now) {
            announce(&format!(
                "failed to store the answer for the next boot: {}",
                Failure::new("storing it", error).chain()
            ));
        }
    }
}

struct Api {
    client: Client,
    hostname: String,
}

#[async_trait]
impl HoldQuery for Api {
    async fn query(&self) -> Result<BootGuard, String> {
        match tokio::time::timeout(REQUEST_TIMEOUT, self.client.boot_guard(&self.hostname)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failed)) => Err(failed.text),
            Err(_) => Err(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs())),
        }
    }
}

/// The signals of an operator.
struct Signals {
    emptied: Signal,
    anyway: Signal,
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let of = |kind| signal(kind).map_err(|error| Failure::new("listening for signals", error));
        Ok(Self {
            emptied: of(SignalKind::user_defined1())?,
            anyway: of(SignalKind::user_defined2())?,
            term: of(SignalKind::terminate())?,
            int: of(SignalKind::interrupt())?,
        })
    }
}

#[async_trait]
impl wait::SignalSource for Signals {
    async fn next(&mut self) -> OperatorSignal {
        tokio::select! {
            _ = self.emptied.recv() => OperatorSignal::QueueEmpty,
            _ = self.anyway.recv() => OperatorSignal::StartNow,
            _ = self.term.recv() => OperatorSignal::Stop,
            _ = self.int.recv() => OperatorSignal::Stop,
        }
    }
}

/// Prints a line for the console and the journal: the unit sends standard output to both.
fn announce(text: &str) {
    out::line(format!("boot guard: {text}"));
}

/// Runs `tachi-monitor boot-guard`.
pub(crate) async fn run(args: &ConfigArgs) -> Result<u8, Failure> {
    match prepared(args) {
        Ok((guard, mut signals)) => Ok(guard.run(&mut signals).await),
        Err(failure) => Ok(without_configuration(
            &failure,
            &File(
                PathBuf::from(settings::state_path())
                    .join("boot-guard")
                    .join("last.json"),
            ),
        )),
    }
}

fn prepared(args: &ConfigArgs) -> Result<(Guard<Api, File>, Signals), Failure> {
    let settings = Settings::load(args)?;
    let client = Client::new(settings.api.clone()).map_err(|error| Failure::new("[api]", error))?;
    let file = settings.state_path.join("boot-guard").join("last.json");
    let query = Api {
        client,
        hostname: settings.hostname.clone(),
    };
    Ok((
        Guard::new(settings.hostname, query, File(file), rand::random::<f64>),
        Signals::new()?,
    ))
}

/// Decides without the API, which cannot be reached without a configuration: as after two minutes without an answer,
/// but at once.
fn without_configuration(failure: &Failure, memory: &dyn Memory) -> u8 {
    let last = memory.read();
    let why = failure.chain();
    if last.on_hold {
        announce(&format!(
            "cannot query the API: {why}; the last answer was to wait ({}), so nova-compute does not start; correct the configuration and \
             start it again",
            last.reason
        ));
        return if failure.is_usage() {
            out::USAGE
        } else {
            out::FAILED
        };
    }
    announce(&format!(
        "CANNOT QUERY THE API: {why}; this host was not held at the last answer, so nova-compute may start"
    ));
    out::DONE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers R25.
    #[test]
    fn a_wrong_configuration_stops_only_a_host_that_was_held() {
        let folder = tempfile::tempdir().unwrap();
        let file = File(folder.path().join("boot-guard/last.json"));
        let usage = Failure::usage("[api] auth_url is missing");
        assert_eq!(without_configuration(&usage, &file), out::DONE);
        let on_hold = BootRecord {
            on_hold: true,
            recovery: Some("r".to_owned()),
            reason: "why".to_owned(),
        };
        file.write(&on_hold);
        assert_eq!(file.read(), on_hold);
        assert_eq!(without_configuration(&usage, &file), out::USAGE);
        assert_eq!(
            without_configuration(&Failure::from_text("x"), &file),
            out::FAILED
        );
        file.write(&BootRecord::default());
        assert_eq!(without_configuration(&usage, &file), out::DONE);
    }
}
