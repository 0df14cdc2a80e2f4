//! Heartbeat of the monitor: every ten seconds it reports to the API that it runs, its problems, and the hosts that it
//! watches, so that operators see a dead monitor before a failure goes unreported.
//!
//! A heartbeat that cannot be sent is skipped, and no report waits for it. It contains two more facts that only its
//! host knows: the guests' state at boot, and how soon a host would be reported. With the `boot_id` and the uptime of
//! its host, a heartbeat can contradict a claim that the host is off.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tachi_instance_ha::{CallFailure, Client, MonitorHeartbeat};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::guests::Guests;
use crate::health::Health;
use crate::kind::Kind;

/// Interval of heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Pause after a refusal, by an API that accepts no heartbeats (Masakari's) or does not know the host yet.
const REFUSAL_PAUSE: Duration = Duration::from_secs(60);

/// Time for which newer fields are omitted after a refusal: an older API refuses unknown fields.
const OMISSION_TIMEOUT: Duration = Duration::from_mins(10);

/// Timeout of a heartbeat. A single late answer of a slow region must not make the host count as silent.
const SEND_TIMEOUT: Duration = Duration::from_secs(8);

/// Interval of checking nova-compute's configuration.
const GUEST_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Timeout of that check: a process may be stuck in the kernel. The last result is used then.
const GUEST_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Limit of reported hosts.
const MAX_HOSTS: usize = 1_000;

/// Limit of reported processes.
const MAX_PROCESSES: usize = 64;

/// Limit of reported instances.
const MAX_LOCAL_DISKS: usize = 1_000;

/// Limit of reported guests that have shut themselves down.
const MAX_SHUT_DOWN: usize = 1_000;

/// Limit of reported seconds.
const MAX_SECONDS: u32 = 86_400;

/// Limit of a text, in characters, by the API's schema.
const MAX_TEXT: usize = 255;

/// The destination of heartbeats.
#[async_trait]
pub(crate) trait HeartbeatSink: Send + Sync {
    /// Sends one heartbeat. Returns those hosts with lost planes that Nova shows down.
    async fn send(
        &self,
        host: &str,
        kind: &str,
        heartbeat: &MonitorHeartbeat,
    ) -> Result<Vec<String>, CallFailure>;
}

#[async_trait]
impl HeartbeatSink for Client {
    async fn send(
        &self,
        host: &str,
        kind: &str,
        heartbeat: &MonitorHeartbeat,
    ) -> Result<Vec<String>, CallFailure> {
        self.send_heartbeat(host, kind, heartbeat).await
    }
}

/// Longest time from the power loss of a host to its report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DetectionTime {
    /// The known part.
    pub(crate) within: Duration,
    /// The components of the known part.
    pub(crate) by: String,
    /// The component that must detect the loss first, if its time is unknown; empty if there is none.
    pub(crate) undetected_by: String,
    /// Additional components of unknown length; empty if there are none.
    pub(crate) beside: String,
}

/// The fields that are omitted because the API does not know them, from the newest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum OmittedFields {
    #[default]
    Nothing,
    /// The guests that have shut themselves down.
    ShutDown(Instant),
    /// The instances on local disks as well.
    LocalDisks(Instant),
    /// The lost planes and the processes that are down as well.
    Faults(Instant),
    /// The boot's data as well.
    FaultsAndBoot(Instant),
}

impl OmittedFields {
    /// Returns what is still omitted: it is tried again after a while, because the API may have been upgraded.
    fn current(self) -> Self {
        match self {
            Self::ShutDown(since)
            | Self::LocalDisks(since)
            | Self::Faults(since)
            | Self::FaultsAndBoot(since)
                if since.elapsed() >= OMISSION_TIMEOUT =>
            {
                Self::Nothing
            }
            Self::Nothing
            | Self::ShutDown(_)
            | Self::LocalDisks(_)
            | Self::Faults(_)
            | Self::FaultsAndBoot(_) => self,
        }
    }

    /// Returns what to omit after a refusal of this heartbeat; `None` if no field is left that the API may not know.
    fn more(self, refused: &MonitorHeartbeat) -> Option<Self> {
        let has_faults = refused.planes.is_some() || !refused.processes_down.is_empty();
        let now = Instant::now();
        let candidates = [
            (!refused.shut_down.is_empty(), Self::ShutDown(now)),
            (refused.local_disks.is_some(), Self::LocalDisks(now)),
            (has_faults, Self::Faults(now)),
            (refused.boot_id.is_some(), Self::FaultsAndBoot(now)),
        ];
        let is_more = |(is_sent, next): &(bool, Self)| *is_sent && next.rank() > self.rank();
        candidates.into_iter().find(is_more).map(|(_, next)| next)
    }

    /// Returns the number of groups of fields that are omitted.
    const fn rank(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::ShutDown(_) => 1,
            Self::LocalDisks(_) => 2,
            Self::Faults(_) => 3,
            Self::FaultsAndBoot(_) => 4,
        }
    }

    fn apply(self, heartbeat: &mut MonitorHeartbeat) {
        let rank = self.rank();
        if rank >= 1 {
            heartbeat.shut_down.clear();
        }
        if rank >= 2 {
            heartbeat.local_disks = None;
        }
        if rank >= 3 {
            heartbeat.planes = None;
            heartbeat.processes_down.clear();
        }
        if rank >= 4 {
            (heartbeat.boot_id, heartbeat.uptime_ms) = (None, None);
        }
    }
}

/// The heartbeat sender of one monitor.
pub(crate) struct HeartbeatSource {
    pub(crate) sink: Arc<dyn HeartbeatSink>,
    pub(crate) host: String,
    pub(crate) kind: Kind,
    pub(crate) health: Health,
    pub(crate) clock: Clock,
    /// Reads the guests' state at boot.
    pub(crate) read_guests: Arc<dyn Fn() -> Option<Guests> + Send + Sync>,
    /// The longest time to a report, if it watches others.
    pub(crate) report_latency: Option<DetectionTime>,
    /// Returns a random number between 0 and 1, so that hosts that start together do not send together.
    pub(crate) jitter: fn() -> f64,
}

impl HeartbeatSource {
    /// Sends heartbeats until cancelled.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut logged: Option<String> = None;
        let mut guests: (Option<Guests>, Option<Instant>) = (None, None);
        let mut omitted = OmittedFields::default();
        let mut pause = HEARTBEAT_INTERVAL.mul_f64((self.jitter)().clamp(0.0, 1.0));
        while stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_some()
        {
            if guests.1.is_none_or(|at| at.elapsed() >= GUEST_CHECK_INTERVAL) {
                let read_guests = Arc::clone(&self.read_guests);
                let read_guests = tokio::task::spawn_blocking(move || read_guests());
                if let Ok(Ok(guests_read)) = tokio::time::timeout(GUEST_CHECK_TIMEOUT, read_guests).await {
                    guests.0 = guests_read;
                }
                guests.1 = Some(Instant::now());
            }
            omitted = omitted.current();
            let mut heartbeat = self.heartbeat(guests.0.as_ref());
            omitted.apply(&mut heartbeat);
            let outcome = self.sink.send(&self.host, self.kind.name(), &heartbeat);
            let outcome = tokio::time::timeout(SEND_TIMEOUT, outcome).await;
            let (next, problem) = match outcome {
                Ok(Ok(down_in_nova)) => {
                    let accepted = heartbeat.planes.is_some().then_some(down_in_nova);
                    self.health.planes(|planes| {
                        // Before the first check a heartbeat has no data about the guests.
                        if accepted.is_some() || planes.report().is_some() {
                            planes.answered(accepted);
                        }
                    });
                    (HEARTBEAT_INTERVAL, None)
                }
                Ok(Err(failed)) if matches!(failed.status, Some(400..=499)) => {
                    // These refusals concern the caller or the load, and are temporary.
                    if !matches!(failed.status, Some(401 | 408 | 429)) {
                        self.health.planes(|planes| planes.answered(None));
                    }
                    let more = omitted.more(&heartbeat).filter(|_| failed.status == Some(400));
                    omitted = more.unwrap_or(omitted);
                    let next = if more.is_some() {
                        HEARTBEAT_INTERVAL
                    } else {
                        REFUSAL_PAUSE
                    };
                    (next, Some(failed.to_string()))
                }
                Ok(Err(failed)) => (HEARTBEAT_INTERVAL, Some(failed.to_string())),
                Err(_) => (
                    HEARTBEAT_INTERVAL,
                    Some(format!("no answer within {} s", SEND_TIMEOUT.as_secs())),
                ),
            };
            pause = next;
            match (&logged, &problem) {
                (Some(_), None) => tracing::info!("heartbeats reach the API again"),
                (before, Some(why)) if before.as_ref() != Some(why) => tracing::info!(
                    %why, "failed to send heartbeat; operators may see this monitor as silent, and reports are not affected"
                ),
                _ => {}
            }
            logged = problem;
        }
    }

    fn heartbeat(&self, guests: Option<&Guests>) -> MonitorHeartbeat {
        let watch = self.health.watch();
        let report_latency = self
            .report_latency
            .as_ref()
            .map(|one| one.with(self.health.last_detection_time()));
        let troubles = self.health.condition().parts;
        let stamp = self.clock.stamp();
        let has_boot = !stamp.boot.is_empty();
        MonitorHeartbeat {
            version: crate::VERSION.to_owned(),
            troubles: troubles
                .into_iter()
                .map(|(part, why)| (part.to_owned(), short(&why)))
                .collect(),
            watches: watch.hosts.into_iter().take(MAX_HOSTS).collect(),
            watching: watch.now,
            guests_resume: guests.map(|one| one.resume.as_str()),
            guests_by: guests.map(|one| short(&one.by)),
            notice_seconds: report_latency.as_ref().map(|one| ceil_seconds(one.within)),
            notice_by: report_latency.as_ref().map(|one| short(&one.by)),
            notice_beside: report_latency.as_ref().map(|one| short(&one.extra_components())),
            planes: self.health.planes(|planes| planes.report()),
            processes_down: self
                .health
                .down_processes()
                .into_iter()
                .take(MAX_PROCESSES)
                .map(|(name, since)| (short(&name), stamp.since(&since).as_secs()))
                .collect(),
            local_disks: self.health.local_disks().map(|instances| {
                let ids = instances.iter().take(MAX_LOCAL_DISKS);
                ids.map(ToString::to_string).collect()
            }),
            shut_down: self
                .health
                .shut_down()
                .iter()
                .take(MAX_SHUT_DOWN)
                .map(ToString::to_string)
                .collect(),
            uptime_ms: has_boot.then_some(stamp.up / 1_000),
            boot_id: has_boot.then_some(stamp.boot),
        }
    }
}

impl DetectionTime {
    /// Returns the notice with the detection time of the cluster, once that is known.
    fn with(&self, missed: Option<Duration>) -> Self {
        let Some(missed) = missed else {
            return self.clone();
        };
        Self {
            within: self.within.saturating_add(missed),
            by: format!("missed within {} s, {}", ceil_seconds(missed), self.by),
            undetected_by: String::new(),
            beside: self.beside.clone(),
        }
    }

    fn extra_components(&self) -> String {
        let all = [&self.undetected_by, &self.beside]
            .into_iter()
            .filter(|text| !text.is_empty());
        all.map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// Returns whole seconds, rounded up.
fn ceil_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(MAX_SECONDS).min(MAX_SECONDS)
}

fn short(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::guests::Resume;

    #[derive(Default)]
    struct RecordedHeartbeats {
        written: Mutex<Vec<MonitorHeartbeat>>,
        answer: Mutex<Option<CallFailure>>,
        down_in_nova: Mutex<Vec<String>>,
    }

    fn failed(status: Option<u16>) -> CallFailure {
        CallFailure {
            status,
            ..CallFailure::new(tachi_instance_ha::Class::Unreachable, "no")
        }
    }

    #[async_trait]
    impl HeartbeatSink for RecordedHeartbeats {
        async fn send(
            &self,
            host: &str,
            kind: &str,
            heartbeat: &MonitorHeartbeat,
        ) -> Result<Vec<String>, CallFailure> {
            assert_eq!((host, kind), ("cmp1", "host"));
            self.written.lock().unwrap().push(heartbeat.clone());
            let answer = self.answer.lock().unwrap().clone();
            answer.map_or_else(|| Ok(self.down_in_nova.lock().unwrap().clone()), Err)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_are_sent_every_ten_seconds_and_rarely_after_a_refusal() {
        let (paper, health, stop) = (
            Arc::<RecordedHeartbeats>::default(),
            Health::default(),
            CancellationToken::new(),
        );
        let heartbeats = HeartbeatSource {
            sink: paper.clone(),
            host: "cmp1".to_owned(),
            kind: Kind::Host,
            health: health.clone(),
            clock: Clock::new(),
            read_guests: Arc::new(|| {
                Some(Guests {
                    resume: Resume::Yes,
                    by: "/etc/nova/nova.conf:2".to_owned(),
                })
            }),
            report_latency: Some(DetectionTime {
                within: Duration::from_millis(6_001),
                by: "looks".to_owned(),
                undetected_by: "until it is missed".to_owned(),
                beside: String::new(),
            }),
            jitter: || 0.5,
        };
        health.watches(["cmp2".to_owned()]);
        health.bad("pacemaker", "x".repeat(1_000));
        let task = tokio::spawn(heartbeats.run(stop.clone()));
        let after = async |seconds| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            paper.written.lock().unwrap().len()
        };
        assert_eq!(after(26).await, 3, "after 5, 15 and 25 s");
        {
            let written = paper.written.lock().unwrap();
            assert_eq!(written[0].watches, ["cmp2"]);
            assert!(written[0].watching);
            assert_eq!(written[0].troubles["pacemaker"].len(), MAX_TEXT);
            assert_eq!(
                (written[0].guests_resume, written[0].notice_seconds),
                (Some("yes"), Some(7))
            );
            assert_eq!(written[0].notice_beside.as_deref(), Some("until it is missed"));
            let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
            assert_eq!(written[2].boot_id.as_deref(), Some(boot.trim()));
            assert!(written[2].uptime_ms >= written[0].uptime_ms && written[0].uptime_ms.is_some());
        }
        health.detection_time(Some(Duration::from_secs(30)));
        *paper.answer.lock().unwrap() = Some(failed(Some(404)));
        assert_eq!(after(10).await, 4);
        {
            let written = paper.written.lock().unwrap();
            let last = written.last().unwrap();
            assert_eq!(last.notice_seconds, Some(37));
            assert_eq!(last.notice_by.as_deref(), Some("missed within 30 s, looks"));
            assert_eq!(last.notice_beside.as_deref(), Some(""));
        }
        assert_eq!(after(50).await, 4, "Masakari's API, or a host in no segment");
        *paper.answer.lock().unwrap() = Some(failed(None));
        assert_eq!(after(25).await, 6, "away: tried again as ever");
        *paper.answer.lock().unwrap() = Some(failed(Some(400)));
        assert_eq!(after(10).await, 7);
        *paper.answer.lock().unwrap() = None;
        assert_eq!(after(600).await, 67, "an older API takes it without the boot");
        {
            let written = paper.written.lock().unwrap();
            let has_boot = |at: usize| written[at].boot_id.is_some() && written[at].uptime_ms.is_some();
            assert_eq!([6, 7, 65, 66].map(has_boot), [true, false, false, true]);
        }
        health.planes(|planes| planes.observe(crate::planes::LostPlanes::new()));
        *paper.answer.lock().unwrap() = Some(failed(Some(400)));
        assert_eq!(after(20).await, 69);
        *paper.answer.lock().unwrap() = None;
        *paper.down_in_nova.lock().unwrap() = vec!["cmp2".to_owned()];
        assert_eq!(after(10).await, 70);
        {
            let written = paper.written.lock().unwrap();
            let has = |at: usize| (written[at].planes.is_some(), written[at].boot_id.is_some());
            assert_eq!(
                [67, 68, 69].map(has),
                [(true, true), (false, true), (false, false)]
            );
            assert!(
                health.planes(|planes| planes.heartbeat_suffices("cmp3")) != Some(true),
                "the API takes no planes"
            );
        }
        assert_eq!(after(610).await, 131, "it may have been upgraded");
        assert_eq!(
            health.planes(|planes| (
                planes.heartbeat_suffices("cmp3"),
                planes.heartbeat_suffices("cmp2")
            )),
            (Some(true), Some(false))
        );
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_api_gets_heartbeats_without_the_newest_fields() {
        let paper = Arc::<RecordedHeartbeats>::default();
        let (health, stop) = (Health::default(), CancellationToken::new());
        health.planes(|planes| planes.observe(crate::planes::LostPlanes::new()));
        health.set_local_disks([uuid::Uuid::from_u128(1)].into());
        health.set_shut_down([uuid::Uuid::from_u128(2)].into());
        let sending = HeartbeatSource {
            sink: paper.clone(),
            host: "cmp1".to_owned(),
            kind: Kind::Host,
            health,
            clock: Clock::new(),
            read_guests: Arc::new(|| None),
            report_latency: None,
            jitter: || 0.5,
        };
        *paper.answer.lock().unwrap() = Some(failed(Some(400)));
        let task = tokio::spawn(sending.run(stop.clone()));
        tokio::time::sleep(Duration::from_secs(46)).await;
        {
            let written = paper.written.lock().unwrap();
            let sent = |heartbeat: &MonitorHeartbeat| {
                [
                    !heartbeat.shut_down.is_empty(),
                    heartbeat.local_disks.is_some(),
                    heartbeat.planes.is_some(),
                    heartbeat.boot_id.is_some(),
                ]
            };
            assert_eq!(
                written.iter().map(sent).collect::<Vec<_>>(),
                [
                    [true, true, true, true],
                    [false, true, true, true],
                    [false, false, true, true],
                    [false, false, false, true],
                    [false, false, false, false],
                ]
            );
        }
        stop.cancel();
        task.await.unwrap();
    }
}
