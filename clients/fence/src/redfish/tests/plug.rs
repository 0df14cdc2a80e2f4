use super::*;

/// A chassis has a power state and a reset action, and is not the host.
/// Covers F3.
#[tokio::test]
async fn a_plug_that_is_no_system_is_refused() {
    for (kind, good) in [
        (None, true),
        (Some("#ComputerSystem.v1_13_0.ComputerSystem"), true),
        (Some("#Chassis.v1_10_0.Chassis"), false),
        (Some("#Manager.v1_5_0.Manager"), false),
    ] {
        let fake = Fake::start(answering("GET /redfish/v1/Chassis/1", move || {
            let mut shown = system("1", "Off");
            if let Some(kind) = kind {
                shown["@odata.type"] = json!(kind);
            }
            Reply::Json(200, shown)
        }))
        .await;
        let redfish = fake.redfish();
        let plug = super::plug(Some("/redfish/v1/Chassis/1"));
        match redfish.read_power(&plug).await {
            Ok(reading) => assert!(good && reading.power == Power::Off, "{kind:?}"),
            Err(error) => {
                assert!(!good, "{kind:?}: {error}");
                assert_eq!(error.fault.class, FaultClass::Permanent);
                assert!(error.to_string().contains("set plug to a path"), "{error}");
            }
        }
        let ordered = redfish.power_off(&plug, "test").await;
        assert!(good || ordered.is_err(), "{kind:?}");
        assert!(
            good || !fake.lines().iter().any(|line| line.starts_with("POST")),
            "{kind:?}"
        );
    }
}
