use std::sync::atomic::{AtomicU64, Ordering};

use tachi_domain::Timestamp;
use tachi_domain::machine_id::KnownMachine;
use tachi_domain::power::Power;

use super::*;
use crate::ports::JournalError;
use crate::ports::machines::{MachineLine, NewMachine};

/// A device that reports a configurable machine, and the list of expected machines.
#[derive(Default)]
struct World {
    named: Mutex<Option<MachineId>>,
    expected: Mutex<KnownMachine>,
    /// The recorded machine; empty for none.
    noted: Mutex<Vec<Option<String>>>,
    calls: Mutex<Vec<&'static str>>,
    is_away: Mutex<bool>,
    /// The time, in seconds, for which the process is stopped during the device's answer.
    stopped: AtomicU64,
    now: AtomicU64,
    hangs: Mutex<bool>,
}

impl World {
    fn answers(&self, machine: Option<&str>) {
        *self.named.lock().unwrap() = machine.map(|text| text.parse().unwrap());
    }

    fn expects(&self, machine: &str) {
        self.expected.lock().unwrap().expected = Some(machine.parse().unwrap());
    }

    fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

#[async_trait]
impl Fencer for Arc<World> {
    fn levels(&self, _host: &str) -> Vec<Level> {
        Vec::new()
    }

    async fn read_power(&self, _host: &str, target: &Target) -> Result<PowerReading, CallError> {
        self.calls.lock().unwrap().push("read");
        Ok(PowerReading {
            power: Power::Off,
            raw: "off".into(),
            device: target.to_string(),
            at: Timestamp::from_micros(0),
            machine: self.named.lock().unwrap().clone(),
        })
    }

    async fn machine(&self, _host: &str, _target: &Target) -> Result<Option<MachineId>, CallError> {
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        self.now
            .fetch_add(self.stopped.load(Ordering::SeqCst), Ordering::SeqCst);
        Ok(self.named.lock().unwrap().clone())
    }

    async fn power_off(&self, _host: &str, _target: &Target, _reason: &str) -> Result<(), CallError> {
        self.calls.lock().unwrap().push("off");
        Ok(())
    }

    async fn power_on(&self, _host: &str, _target: &Target, _reason: &str) -> Result<(), CallError> {
        self.calls.lock().unwrap().push("on");
        Ok(())
    }
}

#[async_trait]
impl Machines for Arc<World> {
    async fn known_of(
        &self,
        devices: &[(&str, String, Option<&MachineId>)],
    ) -> Result<Vec<Entry>, JournalError> {
        if *self.is_away.lock().unwrap() {
            return Err(JournalError::new("reading", "away"));
        }
        let entry = Entry {
            known: self.expected.lock().unwrap().clone(),
            noted: self.noted.lock().unwrap().last().is_some_and(Option::is_some),
        };
        Ok(vec![entry; devices.len()])
    }

    async fn register(&self, _: &[NewMachine]) -> Result<usize, JournalError> {
        panic!("nothing is learnt in mid-recovery");
    }

    async fn note(&self, _: &str, _: &str, foreign: Option<Option<&MachineId>>) -> Result<(), JournalError> {
        let foreign = foreign.map(|machine| machine.map(ToString::to_string).unwrap_or_default());
        self.noted.lock().unwrap().push(foreign);
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

impl Clock for World {
    fn wall(&self) -> Timestamp {
        Timestamp::from_micros(0)
    }

    fn boot(&self) -> Duration {
        Duration::from_secs(self.now.load(Ordering::SeqCst))
    }
}

fn begin() -> (Arc<World>, MachineCheckedFencer, Target) {
    let world = Arc::new(World::default());
    let (devices, machines) = (Arc::new(Arc::clone(&world)), Arc::new(Arc::clone(&world)));
    let clock = Arc::<World>::clone(&world);
    let target = Target {
        device: "bmc".into(),
        kind: "ipmi".into(),
        endpoint: "192.0.2.1".into(),
        plug: None,
    };
    (world, MachineCheckedFencer::new(devices, machines, clock), target)
}

async fn refused(fencer: &MachineCheckedFencer, target: &Target) -> (Fault, Fault, Fault) {
    (
        fencer.read_power("c1", target).await.unwrap_err().fault,
        fencer.power_off("c1", target, "test").await.unwrap_err().fault,
        fencer.power_on("c1", target, "test").await.unwrap_err().fault,
    )
}

/// Covers T9, R17.
#[tokio::test]
async fn another_machine_is_refused_until_an_operator_confirms_it() {
    let (world, fencer, target) = begin();
    world.expects("guid=a");
    for answers in [Some("guid=b"), None] {
        world.answers(answers);
        let faults = refused(&fencer, &target).await;
        for fault in [&faults.0, &faults.1, &faults.2] {
            assert_eq!((fault.class, fault.maybe_done), (FaultClass::Conflict, false));
            assert!(fault.text.contains("device bmc of host c1"), "{}", fault.text);
            assert!(fault.text.contains("expected guid=a"), "{}", fault.text);
        }
        assert_eq!(world.calls(), ["read"], "nothing is ordered");
        let noted = world.noted.lock().unwrap().last().cloned();
        assert_eq!(noted, Some(Some(answers.unwrap_or_default().to_owned())));
    }
    world.answers(Some("guid=b"));
    world.expects("guid=b");
    assert!(fencer.read_power("c1", &target).await.is_ok());
    assert!(fencer.power_off("c1", &target, "test").await.is_ok());
    assert_eq!(world.calls(), ["read", "off"]);
    assert_eq!(
        world.noted.lock().unwrap().last(),
        Some(&None),
        "the note is removed"
    );
}

/// Covers T9.
#[tokio::test]
async fn a_machine_that_answers_for_two_hosts_is_not_switched() {
    let (world, fencer, target) = begin();
    world.answers(Some("guid=a"));
    world.expected.lock().unwrap().elsewhere = vec!["c2".into()];
    let (read, off, _) = refused(&fencer, &target).await;
    assert!(read.text.contains("the machine of c2 too"), "{}", read.text);
    assert_eq!((off.class, world.calls()), (FaultClass::Conflict, vec!["read"]));
}

/// Covers T9.
#[tokio::test]
async fn devices_without_identity_work_and_nothing_is_recorded_during_a_recovery() {
    let (world, fencer, target) = begin();
    for answers in [None, Some("guid=a")] {
        world.answers(answers);
        assert!(fencer.read_power("c1", &target).await.is_ok(), "{answers:?}");
        assert!(
            fencer.power_off("c1", &target, "test").await.is_ok(),
            "{answers:?}"
        );
    }
    assert!(world.noted.lock().unwrap().is_empty());
}

/// Covers T9.
#[tokio::test(start_paused = true)]
async fn without_a_machine_check_there_is_no_order_and_no_proof() {
    let (world, fencer, target) = begin();
    world.answers(Some("guid=a"));
    *world.is_away.lock().unwrap() = true;
    let (read, off, on) = refused(&fencer, &target).await;
    for fault in [read, off, on] {
        assert_eq!(
            (fault.class, fault.maybe_done),
            (FaultClass::Transient, false),
            "{}",
            fault.text
        );
    }
    *world.is_away.lock().unwrap() = false;
    // A process that was stopped during the device's answer sends no power command.
    world
        .stopped
        .store(MACHINE_CHECK_TIMEOUT.as_secs() + 1, Ordering::SeqCst);
    let off = fencer.power_off("c1", &target, "test").await.unwrap_err().fault;
    assert_eq!(
        (off.class, off.maybe_done),
        (FaultClass::Transient, false),
        "{}",
        off.text
    );
    *world.hangs.lock().unwrap() = true;
    let off = fencer.power_off("c1", &target, "test").await.unwrap_err().fault;
    assert!(off.text.contains("no answer within 20 s"), "{}", off.text);
    assert_eq!(world.calls(), ["read"], "nothing was ordered");
}
