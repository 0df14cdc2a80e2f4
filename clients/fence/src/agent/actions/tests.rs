use std::sync::Mutex;

use async_trait::async_trait;
use tachi_domain::Timestamp;
use tachi_domain::power::PowerReading;

use super::*;
use crate::device::Kind;
use crate::fault::fault;

/// A scripted device that repeats its last answer forever.
#[derive(Debug, Default)]
struct Fake {
    /// `on`, `off`, `?` (unknown), `!` (transient fault), `x` (permanent fault).
    readings: Mutex<Vec<&'static str>>,
    /// Scripted results of commands; `ok` once the script is used up.
    results: Mutex<Vec<&'static str>>,
    did: Mutex<Vec<(&'static str, Duration)>>,
    began: Mutex<Option<Instant>>,
}

fn broken(step: &str) -> CallError {
    let class = if step == "x" {
        FaultClass::Permanent
    } else {
        FaultClass::Transient
    };
    fault(class, None, step == "lost", format!("device error {step}"))
}

impl Fake {
    fn new(readings: &[&'static str], results: &[&'static str]) -> Self {
        let fake = Self::default();
        *fake.readings.lock().unwrap() = readings.to_vec();
        *fake.results.lock().unwrap() = results.to_vec();
        *fake.began.lock().unwrap() = Some(Instant::now());
        fake
    }

    fn note(&self, what: &'static str) {
        let at = self.began.lock().unwrap().unwrap().elapsed();
        self.did.lock().unwrap().push((what, at));
    }

    fn commands(&self) -> Vec<&'static str> {
        let did = self.did.lock().unwrap();
        did.iter()
            .map(|(what, _)| *what)
            .filter(|what| *what != "read")
            .collect()
    }

    fn take(&self, what: &'static str) -> Result<(), CallError> {
        self.note(what);
        let mut left = self.results.lock().unwrap();
        match if left.is_empty() { "ok" } else { left.remove(0) } {
            "ok" => Ok(()),
            step => Err(broken(step)),
        }
    }
}

#[async_trait]
impl Device for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn kind(&self) -> Kind {
        Kind::Exec
    }

    fn endpoint(&self) -> &'static str {
        "fake"
    }

    async fn read_power(&self, _plug: &Plug) -> Result<PowerReading, CallError> {
        self.note("read");
        let mut left = self.readings.lock().unwrap();
        let step = if left.len() > 1 { left.remove(0) } else { left[0] };
        let power = match step {
            "on" => Power::On,
            "off" => Power::Off,
            "?" => Power::Unknown,
            step => return Err(broken(step)),
        };
        let at = Timestamp::from_micros(0);
        Ok(PowerReading {
            power,
            raw: step.into(),
            device: "fake".into(),
            at,
            machine: None,
        })
    }

    async fn power_off(&self, _plug: &Plug, _reason: &str) -> Result<(), CallError> {
        self.take("off")
    }

    async fn power_on(&self, _plug: &Plug, _reason: &str) -> Result<(), CallError> {
        self.take("on")
    }
}

const POLLS: PollSchedule = PollSchedule {
    power: Duration::from_secs(20),
    wait: Duration::from_secs(2),
    poll: Duration::from_secs(1),
    delay: Duration::ZERO,
};

async fn act(action: &str, fake: &Fake, polls: PollSchedule) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut output = AgentOutput {
        out: &mut out,
        err: &mut err,
        quiet: false,
        verbose: false,
    };
    let plug = Plug::new("c1", None).unwrap();
    let code = match action {
        "off" => off(fake, &plug, polls, &mut output).await,
        "on" => on(fake, &plug, polls, &mut output).await,
        "reboot" => reboot(fake, &plug, polls, &mut output).await,
        _ => status(fake, &plug, &mut output).await,
    };
    (
        code,
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    )
}

/// (case, action, readings, results of commands, exit code, output, commands sent)
type TestCase = (
    &'static str,
    &'static str,
    Commands,
    Commands,
    u8,
    &'static str,
    Commands,
);
type Commands = &'static [&'static str];

const CASES: &[TestCase] = &[
    (
        "row 1",
        "off",
        &["off"],
        &[],
        EXIT_SUCCESS,
        "Success: Already OFF\n",
        &[],
    ),
    (
        "off once is not off",
        "off",
        &["off", "on", "off"],
        &[],
        EXIT_SUCCESS,
        "Success: Powered OFF\n",
        &["off"],
    ),
    (
        "row 2",
        "off",
        &["on", "on", "off"],
        &[],
        EXIT_SUCCESS,
        "Success: Powered OFF\n",
        &["off"],
    ),
    (
        "off, on, off, off",
        "off",
        &["on", "off", "on", "off", "off"],
        &[],
        EXIT_SUCCESS,
        "Success: Powered OFF\n",
        &["off"],
    ),
    (
        "row 3: a device that lies",
        "off",
        &["on"],
        &[],
        FAILED,
        "",
        &["off", "off"],
    ),
    (
        "row 4: off and on in turn",
        "off",
        &["on", "off", "on", "off", "on", "off", "on", "off", "on"],
        &[],
        FAILED,
        "",
        &["off", "off"],
    ),
    ("never clear", "off", &["?"], &[], FAILED, "", &["off", "off"]),
    ("row 5: wrong password", "off", &["x"], &[], FAILED, "", &[]),
    (
        "row 6: no answer",
        "off",
        &["!"],
        &["!"],
        FAILED,
        "",
        &["off"; 20],
    ),
    ("refused", "off", &["on"], &["x"], FAILED, "", &["off"]),
    (
        "lost on the way",
        "off",
        &["on", "on", "off"],
        &["!"],
        EXIT_SUCCESS,
        "Success: Powered OFF\n",
        &["off", "off"],
    ),
    (
        "lost on the way back",
        "off",
        &["on", "on", "off"],
        &["lost"],
        EXIT_SUCCESS,
        "Success: Powered OFF\n",
        &["off"],
    ),
    (
        "on",
        "on",
        &["off", "off", "on"],
        &[],
        EXIT_SUCCESS,
        "Success: Powered ON\n",
        &["on"],
    ),
    (
        "on already",
        "on",
        &["on"],
        &[],
        EXIT_SUCCESS,
        "Success: Already ON\n",
        &[],
    ),
    ("never on", "on", &["off"], &[], FAILED, "", &["on"]),
    (
        "reboot",
        "reboot",
        &["on", "off", "off", "off", "on"],
        &[],
        EXIT_SUCCESS,
        "Success: Rebooted\n",
        &["off", "on"],
    ),
    (
        "reboot, and it stays off",
        "reboot",
        &["on", "off"],
        &[],
        EXIT_SUCCESS,
        "Success: Rebooted\n",
        &["off", "on"],
    ),
    (
        "reboot, and on is refused",
        "reboot",
        &["on", "off"],
        &["ok", "x"],
        EXIT_SUCCESS,
        "Success: Rebooted\n",
        &["off", "on"],
    ),
    (
        "reboot of what stays on",
        "reboot",
        &["on"],
        &[],
        FAILED,
        "",
        &["off", "off"],
    ),
    (
        "status on",
        "status",
        &["on"],
        &[],
        EXIT_SUCCESS,
        "Status: ON\n",
        &[],
    ),
    (
        "status off",
        "status",
        &["off"],
        &[],
        EXIT_OFF,
        "Status: OFF\n",
        &[],
    ),
    ("status unknown", "status", &["?"], &[], FAILED, "", &[]),
    ("status without an answer", "status", &["!"], &[], FAILED, "", &[]),
];

#[tokio::test(start_paused = true)]
async fn every_action_follows_the_contract() {
    for &(case, action, readings, results, code, expected, commands) in CASES {
        let fake = Fake::new(readings, results);
        let (got, out, err) = act(action, &fake, POLLS).await;
        assert_eq!((got, out.as_str()), (code, expected), "{case}: {err}");
        let given = fake.commands();
        if case.starts_with("row 6") {
            assert!(
                given.len() <= commands.len() && given.iter().all(|step| *step == "off"),
                "{case}: {given:?}"
            );
        } else {
            assert_eq!(given, commands, "{case}");
        }
        assert_eq!(
            err.is_empty(),
            code != FAILED && !case.starts_with("reboot, "),
            "{case}: {err}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_given_timeout_and_delay_apply() {
    let fake = Fake::new(&["on"], &[]);
    let started_at = Instant::now();
    let (code, _, err) = act("off", &fake, POLLS).await;
    assert_eq!(
        (code, err.as_str()),
        (FAILED, "Failed: Timed out waiting to power OFF\n")
    );
    assert!(
        (20..=21).contains(&started_at.elapsed().as_secs()),
        "{:?}",
        started_at.elapsed()
    );
    let delayed = PollSchedule {
        delay: Duration::from_secs(7),
        ..POLLS
    };
    let fake = Fake::new(&["off"], &[]);
    act("off", &fake, delayed).await;
    assert_eq!(fake.did.lock().unwrap()[0].1, Duration::from_secs(7));
    let fake = Fake::new(&["on"], &[]);
    act("status", &fake, delayed).await;
    assert_eq!(
        fake.did.lock().unwrap()[0].1,
        Duration::ZERO,
        "a question is not delayed"
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_timeout_it_waits_until_it_is_killed() {
    let endless = PollSchedule {
        power: Duration::ZERO,
        ..POLLS
    };
    let fake = Fake::new(&["on"], &[]);
    let outcome = tokio::time::timeout(Duration::from_hours(1), act("off", &fake, endless)).await;
    assert!(outcome.is_err());
    assert_eq!(fake.commands(), ["off"]);
}
