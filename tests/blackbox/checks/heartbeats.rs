//! The heartbeats of a region's monitors.

use serde_json::{Value, json};

use super::super::support::Api;

/// Sends the heartbeats of all monitors of a region, with the changes of a fault.
pub(super) async fn send_heartbeat(api: &Api, change: impl Fn(&str, &str, &mut Value)) {
    const HOSTS: [&str; 4] = ["compute-001", "compute-002", "compute-003", "compute-004"];
    for host in HOSTS {
        for kind in ["host", "instance"] {
            let mut heartbeat = json!({
                "version": "test", "troubles": {}, "watches": [], "watching": kind == "host",
                "guests_resume": "no", "guests_by": "/etc/nova/nova.conf:2",
            });
            if kind == "host" {
                heartbeat["watches"] = json!(HOSTS);
                heartbeat["notice_seconds"] = json!(9);
                heartbeat["notice_by"] = json!("looks");
            }
            change(host, kind, &mut heartbeat);
            assert_eq!(api.send_heartbeat_with(host, kind, heartbeat).await, 204);
        }
    }
}

/// Sends the heartbeats of host monitors that watch these hosts and report within this time.
pub(super) async fn send_heartbeats_watching(api: &Api, hosts: &[&str], seconds: u32) {
    let heartbeat = json!({
        "version": "test", "troubles": {}, "watches": hosts, "watching": true, "notice_seconds": seconds, "notice_by": "looks",
        "guests_resume": "no", "guests_by": "/etc/nova/nova.conf:2",
    });
    for host in ["compute-001", "compute-002", "compute-004"] {
        assert_eq!(
            api.send_heartbeat_with(host, "host", heartbeat.clone()).await,
            204
        );
    }
    let mut heartbeat = heartbeat;
    heartbeat["guests_resume"] = json!("yes");
    assert_eq!(
        api.send_heartbeat_with("compute-003", "host", heartbeat).await,
        204
    );
}
