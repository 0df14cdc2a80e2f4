use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tachi_engine::SystemClock;
use tachi_testkit::ManualClock;

use super::*;

const PASSWORD: &str = "s3cret-of-fixture";

/// A BMC whose `ipmitool` is this script.
fn scripted(folder: &Path, script: &str) -> Ipmi {
    let program = folder.join("ipmitool");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut options = IpmiOptions::new("bmc-c1", "192.0.2.7", "fencer", PASSWORD.into());
    options.program = program;
    options.call_timeout = Duration::from_secs(20);
    Ipmi::new(options, Arc::<ManualClock>::default()).unwrap()
}

fn plug() -> Plug {
    Plug::new("c1", None).unwrap()
}

#[tokio::test]
async fn the_tool_runs_with_operator_privilege_and_gets_the_password_on_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("seen").display().to_string();
    let bmc = scripted(
        folder.path(),
        &format!(
            "echo \"$@\" > {recording}; cat > {recording}.in; env > {recording}.env; echo Chassis Power is on"
        ),
    );
    let reading = bmc.read_power(&plug()).await.unwrap();
    assert_eq!(
        (reading.power, reading.raw.as_str(), reading.device.as_str()),
        (Power::On, "Chassis Power is on", "ipmi:192.0.2.7:623")
    );
    assert_eq!(reading.at, ManualClock::default().wall());
    let args = std::fs::read_to_string(&recording).unwrap();
    assert_eq!(
        args.trim(),
        "-I lanplus -H 192.0.2.7 -p 623 -U fencer -f /dev/stdin -L OPERATOR -C 17 -N 2 -R 1 -v chassis power status"
    );
    assert_eq!(
        std::fs::read_to_string(format!("{recording}.in")).unwrap(),
        format!("{PASSWORD}\n")
    );
    let environment = std::fs::read_to_string(format!("{recording}.env")).unwrap();
    assert!(environment.contains("LC_ALL=C") && !environment.contains(PASSWORD));
}

/// Covers I6.
#[tokio::test]
async fn what_is_not_clearly_off_is_unknown() {
    for printed in [
        "",
        "Chassis Power is",
        "off",
        "Chassis Power is on; Chassis Power is off",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let bmc = scripted(folder.path(), &format!("echo '{printed}'"));
        let reading = bmc.read_power(&plug()).await.unwrap();
        assert_eq!(
            (reading.power, reading.raw.as_str()),
            (Power::Unknown, printed),
            "{printed:?}"
        );
    }
}

#[tokio::test]
async fn a_command_is_accepted_only_if_the_tool_confirms_it() {
    let lost = "echo 'Error: Unable to establish IPMI v2 / RMCP+ session' >&2; exit 1";
    // (case, script, class and maybe_done of the fault)
    let cases = [
        ("taken", "echo Chassis Power Control: Down/Off", None),
        ("silence", "exit 0", Some((FaultClass::Transient, true))),
        (
            "another word",
            "echo Chassis Power Control: Up/On",
            Some((FaultClass::Transient, true)),
        ),
        ("no session", lost, Some((FaultClass::Transient, false))),
        (
            "row 5: wrong password",
            "echo '> RAKP 2 HMAC is invalid' >&2; echo 'Error: Unable to establish' >&2; exit 1",
            Some((FaultClass::Permanent, false)),
        ),
        (
            "may not",
            "echo 'Set Chassis Power Control to Down/Off failed: Insufficient privilege level' >&2; exit 1",
            Some((FaultClass::Permanent, false)),
        ),
        ("broke off", "exit 1", Some((FaultClass::Transient, true))),
        ("killed", "kill -9 $$", Some((FaultClass::Transient, true))),
    ];
    for (case, script, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let outcome = scripted(folder.path(), script).power_off(&plug(), "r").await;
        let got = outcome
            .err()
            .map(|error| (error.fault.class, error.fault.maybe_done));
        assert_eq!(got, expected, "{case}");
    }
}

/// Covers ROW14.
#[tokio::test]
async fn a_tool_that_hangs_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut bmc = scripted(folder.path(), "sleep 600");
    bmc.options.call_timeout = Duration::from_millis(300);
    let read = bmc.read_power(&plug()).await.unwrap_err().fault;
    assert_eq!(
        (read.class, read.maybe_done),
        (FaultClass::Transient, false),
        "{}",
        read.text
    );
    let off = bmc.power_off(&plug(), "r").await.unwrap_err().fault;
    assert_eq!(
        (off.class, off.maybe_done),
        (FaultClass::Transient, true),
        "{}",
        off.text
    );
}

#[tokio::test]
async fn a_missing_tool_is_named() {
    let mut options = IpmiOptions::new("b", "192.0.2.7", "u", PASSWORD.into());
    options.program = "/nonexistent/ipmitool".into();
    let bmc = Ipmi::new(options, Arc::new(SystemClock)).unwrap();
    let fault = bmc.read_power(&plug()).await.unwrap_err().fault;
    assert_eq!((fault.class, fault.maybe_done), (FaultClass::Permanent, false));
    assert!(
        fault.text.contains("/nonexistent/ipmitool is not installed"),
        "{}",
        fault.text
    );
}

/// Covers I9.
#[tokio::test]
async fn output_of_the_tool_is_shown_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let bmc = scripted(
        folder.path(),
        "read word; echo \"bad $word at https://u:$word@h\" >&2; echo $word; exit $1",
    );
    let error = bmc.read_power(&plug()).await.unwrap_err();
    assert!(error.fault.text.contains("bad *** at https://***@h"), "{error}");
    let shown = format!("{bmc:?} {:?} {error:?}", bmc.options);
    assert!(!shown.contains(PASSWORD), "{shown}");
    let echoing = scripted(folder.path(), "cat");
    let reading = echoing.read_power(&plug()).await.unwrap();
    assert_eq!((reading.power, reading.raw.as_str()), (Power::Unknown, "***"));
}

#[test]
fn options_that_could_do_harm_are_refused() {
    let make = |change: fn(&mut IpmiOptions)| {
        let mut options = IpmiOptions::new("b", "bmc.example", "fencer", PASSWORD.into());
        change(&mut options);
        Ipmi::new(options, Arc::<ManualClock>::default()).map(|bmc| bmc.endpoint)
    };
    assert_eq!(make(|_| ()), Ok("ipmi:bmc.example:623".into()));
    assert_eq!(
        make(|o| o.host = "FE80::0:1".into()),
        Ok("ipmi:[fe80::1]:623".into())
    );
    assert_eq!(make(|o| o.cipher_suite = 3).err(), None);
    for (host, user) in [
        ("-Hevil", "a"),
        ("a b", "a"),
        ("a", "-P"),
        ("a", ""),
        ("a", "seventeen-letters"),
    ] {
        let mut options = IpmiOptions::new("b", host, user, PASSWORD.into());
        options.port = 1;
        assert!(
            Ipmi::new(options, Arc::<ManualClock>::default()).is_err(),
            "{host:?} {user:?}"
        );
    }
    assert_eq!(make(|o| o.password = "".into()), Err(IpmiError::Password));
    assert_eq!(make(|o| o.password = "a\nb".into()), Err(IpmiError::Password));
    assert_eq!(
        make(|o| o.password = "x".repeat(21).into()),
        Err(IpmiError::Password)
    );
    assert_eq!(make(|o| o.cipher_suite = 0), Err(IpmiError::Suite { suite: 0 }));
    assert_eq!(make(|o| o.cipher_suite = 1), Err(IpmiError::Suite { suite: 1 }));
}

/// Covers T9.
#[tokio::test]
async fn the_machine_behind_a_bmc_is_asked_for_before_its_power() {
    const GUID: &str = "guid=a1234567-89ab-cdef-a123-456789abcdef";
    let power = "*status) echo Chassis Power is off;; *0x06*) ";
    let unknown = "echo 'Unable to send RAW command (channel=0x0 netfn=0x6 lun=0x0 cmd=0x37 rsp=0xc1): Invalid command' >&2; exit 1";
    let hex = "echo ' a1 23 45 67 89 ab cd ef a1 23 45 67 89 ab cd ef'";
    for (case, script, expected) in [
        ("the system's", format!("{power}{hex};;"), Ok(Some(GUID))),
        (
            "the controller's own",
            format!("*0x37) {unknown};; {power}{hex};;"),
            Ok(Some(GUID)),
        ),
        (
            "none of the system",
            format!("*0x37) echo 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00;; {power}{hex};;"),
            Ok(Some(GUID)),
        ),
        ("none", format!("{power}{unknown};;"), Ok(None)),
        (
            "busy",
            format!("{power}{};;", unknown.replace("0xc1", "0xc0")),
            Err(FaultClass::Transient),
        ),
        ("nonsense", format!("{power}echo hello;;"), Ok(None)),
        (
            "no answer",
            format!("{power}exit 1;;"),
            Err(FaultClass::Transient),
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let bmc = scripted(folder.path(), &format!("case \"$*\" in {script} esac"));
        let read = bmc.read_power(&plug()).await;
        let machine = read.map(|reading| {
            assert_eq!(reading.power, Power::Off, "{case}");
            reading.machine.map(|machine| machine.to_string())
        });
        let machine = machine.map_err(|error| error.fault.class);
        assert_eq!(machine, expected.map(|id| id.map(str::to_owned)), "{case}");
    }
}
