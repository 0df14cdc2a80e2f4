use super::*;

/// Covers F3.
#[test]
fn an_unknown_agent_is_named() {
    let reason = doubt(vec![device("st-ours", "fence_ours", &[])], vec![], "off").unwrap();
    for part in ["st-ours", "fence_ours", "not known", "power_fence_agents"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    for (action, declare) in [("off", true), ("reboot", false)] {
        let reason = doubt(vec![device("st", "external/rackpdu", &[])], vec![], action).unwrap();
        assert!(reason.contains("accepted"), "{reason}");
        assert_eq!(reason.contains("power_fence_agents"), declare, "{reason}");
    }
}
