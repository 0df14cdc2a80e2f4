use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tachi_testkit::ManualClock;

use super::*;

const PASSWORD: &str = "s3cret-of-the-fixture";

fn options(folder: &Path, script: &str) -> ExecOptions {
    let agent = folder.join("fence_fixture");
    std::fs::write(&agent, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut options = ExecOptions::new("agent-c1", agent.display().to_string());
    options.params = BTreeMap::from([
        ("ip".to_owned(), "192.0.2.7".to_owned()),
        ("username".to_owned(), "fencer".to_owned()),
    ]);
    options.secrets = BTreeMap::from([("password".to_owned(), PASSWORD.into())]);
    options
}

fn scripted(folder: &Path, script: &str) -> Exec {
    Exec::new(options(folder, script), Arc::<ManualClock>::default()).unwrap()
}

fn plug() -> Plug {
    Plug::new("c1", Some("7".into())).unwrap()
}

#[tokio::test]
async fn an_agent_gets_everything_on_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("seen").display().to_string();
    let agent = scripted(
        folder.path(),
        &format!(
            "echo \"args:$*\" >> {recording}; cat >> {recording}; env > {recording}.env; echo 'Status: ON'"
        ),
    );
    let reading = agent.read_power(&plug()).await.unwrap();
    assert_eq!((reading.power, reading.raw.as_str()), (Power::On, "Status: ON"));
    assert_eq!(reading.device, "fence_fixture:192.0.2.7 plug 7");
    agent.power_off(&plug(), "r").await.unwrap();
    agent.power_on(&plug(), "r").await.unwrap();
    let rest = format!("ip=192.0.2.7\nusername=fencer\npassword={PASSWORD}\nplug=7\nnodename=c1\n");
    let input_of = |action: &str| format!("args:\naction={action}\n{rest}");
    let expected = [input_of("status"), input_of("off"), input_of("on")].concat();
    assert_eq!(std::fs::read_to_string(&recording).unwrap(), expected);
    let environment = std::fs::read_to_string(format!("{recording}.env")).unwrap();
    // With Pacemaker's variable PCMK_service an agent would wait without a limit.
    assert!(
        !environment.contains(PASSWORD) && !environment.contains("PCMK"),
        "{environment}"
    );
}

/// Covers I6.
#[tokio::test]
async fn the_exit_code_decides_and_contradicting_output_makes_it_unknown() {
    for (script, expected) in [
        ("exit 0", Some(Power::On)),
        ("exit 2", Some(Power::Unknown)),
        ("echo 'usage: fence_x [-h]' >&2; exit 2", Some(Power::Unknown)),
        ("if", Some(Power::Unknown)),
        ("echo 'Status: OFF'; exit 2", Some(Power::Off)),
        ("echo 'Status: ON'; exit 2", Some(Power::Unknown)),
        ("echo 'Status: OFF'; exit 0", Some(Power::Unknown)),
        ("echo 'Status: OFF'; exit 1", None),
        ("exit 3", None),
        ("kill -9 $$", None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let outcome = scripted(folder.path(), script).read_power(&plug()).await;
        assert_eq!(outcome.ok().map(|reading| reading.power), expected, "{script}");
    }
}

#[tokio::test]
async fn a_command_that_fails_may_have_been_done() {
    for (script, expected) in [
        ("exit 0", None),
        ("exit 2", Some((FaultClass::Transient, true))),
        (
            "echo 'Failed: Timed out waiting to power OFF' >&2; exit 1",
            Some((FaultClass::Transient, true)),
        ),
        (
            "echo 'Failed: You have to set login name' >&2; exit 1",
            Some((FaultClass::Permanent, false)),
        ),
        ("kill -9 $$", Some((FaultClass::Transient, true))),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let outcome = scripted(folder.path(), script).power_off(&plug(), "r").await;
        let got = outcome
            .err()
            .map(|error| (error.fault.class, error.fault.maybe_done));
        assert_eq!(got, expected, "{script}");
    }
}

/// Covers ROW14.
#[tokio::test]
async fn an_agent_that_hangs_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path(), "sleep 600");
    (options.status_timeout, options.command_timeout) =
        (Duration::from_millis(300), Duration::from_millis(300));
    let agent = Exec::new(options, Arc::<ManualClock>::default()).unwrap();
    let read = agent.read_power(&plug()).await.unwrap_err().fault;
    assert_eq!(
        (read.class, read.maybe_done),
        (FaultClass::Transient, false),
        "{}",
        read.text
    );
    let off = agent.power_off(&plug(), "r").await.unwrap_err().fault;
    assert_eq!(
        (off.class, off.maybe_done),
        (FaultClass::Transient, true),
        "{}",
        off.text
    );
}

/// Covers I9.
#[tokio::test]
async fn output_of_an_agent_is_shown_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let agent = scripted(folder.path(), "cat; cat >&2; exit 1");
    let error = agent.read_power(&plug()).await.unwrap_err();
    assert!(error.fault.text.contains("password=***"), "{error}");
    let shown = format!("{agent:?} {:?} {error:?}", agent.options);
    assert!(!shown.contains(PASSWORD), "{shown}");
    let raw = scripted(folder.path(), "cat")
        .read_power(&plug())
        .await
        .unwrap()
        .raw;
    assert!(raw.contains("password=***") && !raw.contains(PASSWORD), "{raw}");
}

#[tokio::test]
async fn an_agent_that_is_not_installed_is_named() {
    let agent = Exec::new(
        ExecOptions::new("a", "fence_of_nobody"),
        Arc::<ManualClock>::default(),
    )
    .unwrap();
    let fault = agent.read_power(&plug()).await.unwrap_err().fault;
    assert_eq!((fault.class, fault.maybe_done), (FaultClass::Permanent, false));
    assert!(
        fault.text.contains("/usr/sbin/fence_of_nobody is not installed"),
        "{}",
        fault.text
    );
}

#[tokio::test]
async fn the_self_test_warns_of_agents_that_show_their_password() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path(), "exit 0");
    let shows = folder.path().join("fence_ipmilan");
    std::fs::copy(&options.agent, &shows).unwrap();
    let plain = Exec::new(options.clone(), Arc::<ManualClock>::default()).unwrap();
    assert!(plain.check(&plug()).await.unwrap().warnings.is_empty());
    options.agent = shows.display().to_string();
    let agent = Exec::new(options, Arc::<ManualClock>::default()).unwrap();
    let warnings = agent.check(&plug()).await.unwrap().warnings;
    assert!(warnings[0].contains("exposes the password"), "{warnings:?}");
}

/// Covers F3.
#[tokio::test]
async fn an_operators_exception_for_an_agent_stays_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path(), "exit 0");
    options.no_proof_reason = super::no_proof_reason(&options);
    let agent = Exec::new(options, Arc::<ManualClock>::default()).unwrap();
    let warnings = agent.check(&plug()).await.unwrap().warnings;
    assert!(
        warnings[0].contains("fence_fixture") && warnings[0].contains("proves_off = true"),
        "{warnings:?}"
    );
}

#[test]
fn options_that_could_do_harm_are_refused() {
    let made = |change: &dyn Fn(&mut ExecOptions)| {
        let mut options = ExecOptions::new("a", "fence_apc");
        options.params = BTreeMap::from([
            ("ip".to_owned(), "PDU7".to_owned()),
            ("ipport".to_owned(), "23".to_owned()),
        ]);
        change(&mut options);
        Exec::new(options, Arc::<ManualClock>::default()).map(|agent| (agent.program, agent.endpoint))
    };
    assert_eq!(
        made(&|_| ()),
        Ok(("/usr/sbin/fence_apc".into(), "fence_apc:pdu7:23".into()))
    );
    assert_eq!(
        made(&|o| (o.agent, o.endpoint) = ("/opt/x/fence_x".into(), Some("pdu".into()))),
        Ok(("/opt/x/fence_x".into(), "pdu".into()))
    );
    for agent in [
        "",
        "fence_",
        "sh",
        "/bin/sh",
        "../fence_x",
        "x/fence_x",
        "fence_x y",
        "fence_x;y",
        "/opt/fence_x/",
    ] {
        let given = made(&|o| o.agent = agent.into());
        let fine = agent == "/opt/fence_x/";
        assert_eq!(given.is_ok(), fine, "{agent:?}: {given:?}");
    }
    for (name, value) in [
        ("action", "on"),
        ("option", "on"),
        ("nodename", "c2"),
        ("debug_file", "/tmp/x"),
        ("debug-file", "/tmp/x"),
        ("verbose", "1"),
        ("", "x"),
        ("a b", "x"),
        ("a=b", "x"),
        ("a\nb", "x"),
        ("cmd_prompt", "x\naction=on"),
        ("cmd_prompt", "x\raction=on"),
    ] {
        let plain = made(&|o| drop(o.params.insert(name.into(), value.into())));
        assert!(
            matches!(plain, Err(ExecError::Parameter { .. })),
            "{name:?}={value:?}"
        );
        let secret = made(&|o| drop(o.secrets.insert(name.into(), value.into())));
        assert!(
            matches!(secret, Err(ExecError::Parameter { .. })),
            "secret {name:?}"
        );
    }
    let twice = made(&|o| drop(o.secrets.insert("ip".into(), "x".into())));
    assert!(matches!(twice, Err(ExecError::Parameter { .. })));
}
