use std::sync::{Arc, Mutex};

use tachi_domain::ServiceId;
use tachi_domain::level::{Level, Target};
use tachi_domain::machine_id::{KnownMachine, MachineId};
use tachi_domain::power::PowerReading;
use tachi_engine::SystemClock;
use tachi_engine::ports::machines::{Entry, MachineLine, NewMachine};
use tachi_engine::ports::{CallError, Fencer, JournalError};
use uuid::Uuid;

use super::*;

/// Nothing is asked of devices here.
struct NoDevices;

#[async_trait]
impl Fencer for NoDevices {
    fn levels(&self, _host: &str) -> Vec<Level> {
        Vec::new()
    }

    async fn read_power(&self, _: &str, _: &Target) -> Result<PowerReading, CallError> {
        Err(CallError::refused("not asked"))
    }

    async fn power_off(&self, _: &str, _: &Target, _: &str) -> Result<(), CallError> {
        Err(CallError::refused("not asked"))
    }

    async fn power_on(&self, _: &str, _: &Target, _: &str) -> Result<(), CallError> {
        Err(CallError::refused("not asked"))
    }
}

/// What is known, by host, and how often that was read.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<BTreeMap<String, MachineId>>>, Arc<Mutex<u32>>);

#[async_trait]
impl Machines for Book {
    async fn known_of(
        &self,
        devices: &[(&str, String, Option<&MachineId>)],
    ) -> Result<Vec<Entry>, JournalError> {
        *self.1.lock().unwrap() += 1;
        let expected = self.0.lock().unwrap().clone();
        let entry = |host: &str| Entry {
            known: KnownMachine {
                expected: expected.get(host).cloned(),
                ..KnownMachine::default()
            },
            noted: false,
        };
        Ok(devices.iter().map(|(host, ..)| entry(host)).collect())
    }

    async fn register(&self, new: &[NewMachine]) -> Result<usize, JournalError> {
        for one in new {
            self.0
                .lock()
                .unwrap()
                .insert(one.host.clone(), one.machine.clone());
        }
        Ok(new.len())
    }

    async fn note(&self, _: &str, _: &str, _: Option<Option<&MachineId>>) -> Result<(), JournalError> {
        Ok(())
    }

    async fn confirm(
        &self,
        _: &str,
        _: &str,
        _: (Option<&MachineId>, Option<&MachineId>),
        _: &str,
    ) -> Result<bool, JournalError> {
        panic!("a person says so");
    }

    async fn machines(&self) -> Result<Vec<MachineLine>, JournalError> {
        Ok(Vec::new())
    }
}

/// A Nova that hears some hosts at every look, and others not any more.
struct Nova {
    hears: &'static [&'static str],
    calls_up: &'static [&'static str],
    polls: Mutex<i64>,
}

#[async_trait]
impl HostLiveness for Nova {
    async fn poll_services(&self) -> Option<Services> {
        tokio::time::sleep(POLL_INTERVAL).await;
        let mut polls = self.polls.lock().unwrap();
        *polls += 1;
        let service = |host: &str| Service {
            id: ServiceId(Uuid::from_u128(1)),
            host: host.to_owned(),
            enabled: true,
            disabled_reason: None,
            up: self.calls_up.contains(&host),
            forced_down: false,
            last_heartbeat: Some(Timestamp::from_micros(if self.hears.contains(&host) {
                *polls
            } else {
                0
            })),
            nova_now: None,
        };
        let all = ["c1", "c2", "c3"];
        Some(
            all.iter()
                .map(|host| ((*host).to_owned(), Some(service(host))))
                .collect(),
        )
    }
}

fn report(host: &str, power: Power, machine: Option<&str>) -> Report {
    Report {
        host: host.into(),
        level: 1,
        device: "bmc".into(),
        kind: "ipmi".into(),
        target: Some(Target {
            device: "bmc".into(),
            kind: "ipmi".into(),
            endpoint: "192.0.2.1".into(),
            plug: None,
        }),
        power: Some(power),
        raw: "off".into(),
        machine: machine.map(|text| text.parse().unwrap()),
        latency: Duration::ZERO,
        fault: None,
        alarm: None,
        warnings: Vec::new(),
        obstacle: None,
    }
}

async fn round(reports: &mut [Report], book: &Book, nova: &Nova, busy: &[&str]) {
    let machines: Arc<dyn Machines> = Arc::new(book.clone());
    let identified = MachineCheckedFencer::new(Arc::new(NoDevices), machines, Arc::new(SystemClock));
    let busy = busy.iter().map(|&host| host.to_owned()).collect();
    examine(reports, &identified, book, nova, (Duration::from_secs(30), &busy)).await;
}

fn nova(hears: &'static [&'static str], calls_up: &'static [&'static str]) -> Nova {
    Nova {
        hears,
        calls_up,
        polls: Mutex::new(0),
    }
}

/// Covers T9.
#[tokio::test(start_paused = true)]
async fn a_machine_is_recorded_while_the_host_is_up_in_nova_and_the_device_reads_on() {
    for (case, power, hears, busy, is_recorded) in [
        (
            "on and heard",
            Power::On,
            &["c1"] as &'static [_],
            &[] as &[_],
            true,
        ),
        ("not heard", Power::On, &[], &[], false),
        ("off", Power::Off, &["c1"], &[], false),
        ("unknown", Power::Unknown, &["c1"], &[], false),
        ("under recovery", Power::On, &["c1"], &["c1"], false),
    ] {
        let book = Book::default();
        let mut reports = [report("c1", power, Some("guid=a"))];
        round(&mut reports, &book, &nova(hears, &["c1"]), busy).await;
        assert_eq!(book.0.lock().unwrap().contains_key("c1"), is_recorded, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_round_reads_once_what_is_known_however_many_devices_there_are() {
    let book = Book::default();
    let mut reports = ["c1", "c2", "c3"].map(|host| report(host, Power::On, None));
    // Of this one there is no reading, and nothing to be compared.
    reports[1].power = None;
    round(&mut reports, &book, &nova(&[], &[]), &[]).await;
    assert_eq!(*book.1.lock().unwrap(), 1);
}

/// Covers T9.
#[tokio::test(start_paused = true)]
async fn off_of_a_host_that_is_up_in_nova_is_an_alarm() {
    let book = Book::default();
    let mut reports = [
        report("c1", Power::Off, None),
        report("c2", Power::Off, None),
        report("c3", Power::On, None),
    ];
    let begun = Instant::now();
    round(&mut reports, &book, &nova(&["c1", "c3"], &["c1", "c3"]), &[]).await;
    let alarms: Vec<bool> = reports.iter().map(|report| report.alarm.is_some()).collect();
    assert_eq!(
        alarms,
        [true, false, false],
        "c2 is off, and Nova does not hear it"
    );
    let fault = reports[0].fault.clone().unwrap();
    assert!(
        fault.contains("while the host is up in Nova") && fault.contains("cabling"),
        "{fault}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "it is not waited for what Nova calls down"
    );
    let mut silent = [report("c1", Power::Off, None)];
    round(&mut silent, &book, &nova(&[], &["c1"]), &[]).await;
    assert_eq!(silent[0].alarm, None, "Nova calls it up, and hears nothing");
    let mut recovered = [report("c1", Power::Off, None)];
    round(&mut recovered, &book, &nova(&["c1"], &["c1"]), &["c1"]).await;
    assert_eq!(recovered[0].alarm, None, "it is under recovery");
}

/// Covers T9.
#[tokio::test(start_paused = true)]
async fn another_machine_is_an_alarm_of_the_self_test_at_once() {
    let book = Book::default();
    book.0
        .lock()
        .unwrap()
        .insert("c1".into(), "guid=a".parse().unwrap());
    let mut reports = [
        report("c1", Power::On, Some("guid=b")),
        report("c2", Power::On, None),
    ];
    round(&mut reports, &book, &nova(&["c1"], &["c1"]), &[]).await;
    assert_eq!(
        [reports[0].alarm, reports[1].alarm],
        [Some(Alarm::ForeignMachine), None]
    );
    let fault = reports[0].fault.clone().unwrap();
    assert!(fault.contains("expected guid=a, guid=b answers"), "{fault}");
    let how = super::super::FencingState::default();
    how.keep(&reports, Timestamp::from_micros(0));
    let problem = how.problem().unwrap();
    assert!(problem.contains("c1 by bmc"), "{problem}");
}
