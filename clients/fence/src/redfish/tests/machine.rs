//! The machine that a system names.

use super::*;

/// Covers T9.
#[tokio::test]
async fn a_system_names_its_machine() {
    const UUID: &str = "92384634-2938-2342-8820-489239905423";
    for (uuid, serial, expected) in [
        (
            json!(UUID.to_uppercase()),
            json!("SN1"),
            Some(format!("uuid={UUID} serial=SN1")),
        ),
        (json!(UUID), json!(null), Some(format!("uuid={UUID}"))),
        (json!(""), json!("SN1"), Some("serial=SN1".to_owned())),
        (
            json!("00000000-0000-0000-0000-000000000000"),
            json!("Default string"),
            None,
        ),
    ] {
        let (uuid_now, serial_now) = (uuid.clone(), serial.clone());
        let fake = Fake::start(move |recorded| {
            let mut system = system("1", "Off");
            system["UUID"] = uuid_now.clone();
            system["SerialNumber"] = serial_now.clone();
            (recorded.line == SHOW).then(|| Reply::Json(200, system))
        })
        .await;
        let device = fake.redfish();
        let reading = device.read_power(&plug(None)).await.unwrap();
        let machine = reading.machine.map(|machine| machine.to_string());
        assert_eq!(machine, expected, "{uuid} {serial}");
        let reported = device.machine(&plug(None)).await.unwrap();
        assert_eq!(reported.map(|machine| machine.to_string()), expected);
    }
}
