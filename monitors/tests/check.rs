//! `tachi-monitor check` on configurations with which a monitor does not start.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str], case: &str, state: &Path) -> Output {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(case);
    Command::new(env!("CARGO_BIN_EXE_tachi-monitor"))
        .args(arguments)
        .arg("--config-file")
        .arg(file)
        .env("OS_MONITOR__STATE_PATH", state)
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env_remove("KUBERNETES_SERVICE_PORT")
        .output()
        .unwrap()
}

#[test]
fn the_reason_for_which_a_monitor_does_not_start_is_wrong_and_no_time_is_promised() {
    let state = tempfile::tempdir().unwrap();
    for (case, monitor, code, reason) in [
        (
            "consul-no-agent.conf",
            "host",
            2,
            "the matrix names the network manage, but [consul] agent_manage is not set",
        ),
        (
            "kubernetes-no-pod.conf",
            "host",
            1,
            "this is not a pod of a Kubernetes cluster",
        ),
        ("libvirt-tcp.conf", "instance", 2, "[libvirt] connection_uri"),
        ("libvirt-tcp.conf", "introspective", 2, "[libvirt] connection_uri"),
    ] {
        let started = run(&[monitor], case, state.path());
        let stderr = String::from_utf8(started.stderr).unwrap();
        assert_eq!(started.status.code(), Some(code), "{case}: {stderr}");
        assert!(stderr.contains(reason), "{case}: {stderr}");
        let checked = run(&["check", monitor], case, state.path());
        let shown = String::from_utf8(checked.stdout).unwrap();
        assert_eq!(checked.status.code(), Some(1), "{case}: {shown}");
        let wrong = format!("WRONG {monitor}: {reason}");
        assert!(
            shown.lines().any(|line| line.starts_with(&wrong)),
            "{case}: {shown}"
        );
        let own = format!("time  {monitor}:");
        assert!(
            !shown.lines().any(|line| line.starts_with(&own)),
            "{case}: {shown}"
        );
    }
}
