//! Findings of the self-test.

use super::*;

/// Case, owner, superuser, MAAS's date, parts of the warnings.
type TestCase = (
    &'static str,
    &'static str,
    bool,
    &'static str,
    &'static [&'static str],
);

#[tokio::test]
async fn the_self_test_reports_later_problems() {
    let owned = |owner: &'static str| {
        move || {
            let mut one = machine("abc", "c1");
            one["owner"] = json!(owner);
            Reply::Json(200, json!([one]))
        }
    };
    let date = |seconds: &str| vec![("date", format!("Tue, 14 Nov 2023 {seconds} GMT"))];
    let cases: [TestCase; 5] = [
        ("all is well", "tachi", false, "22:13:20", &[]),
        ("an administrator", "juju", true, "22:13:20", &[]),
        (
            "somebody else's",
            "juju",
            false,
            "22:13:20",
            &["belongs to \"juju\""],
        ),
        (
            "a clock that is late",
            "tachi",
            false,
            "22:15:20",
            &["120 s behind"],
        ),
        (
            "both",
            "",
            false,
            "22:11:20",
            &["belongs to \"\"", "120 s ahead of"],
        ),
    ];
    for (case, owner, superuser, clock, expected) in cases {
        let owned = owned(owner);
        let fake = Fake::start(move |recorded| match recorded.line.as_str() {
            FIND => Some(owned()),
            "GET users/?op=whoami" => Some(Reply::With(
                200,
                date(clock),
                format!(r#"{{"username": "tachi", "is_superuser": {superuser}}}"#),
            )),
            _ => None,
        })
        .await;
        let checked = fake.maas().check(&plug(None)).await.unwrap();
        assert_eq!(checked.reading.power, Power::On, "{case}");
        assert_eq!(
            checked.warnings.len(),
            expected.len(),
            "{case}: {:?}",
            checked.warnings
        );
        for (warning, part) in checked.warnings.iter().zip(expected) {
            assert!(warning.contains(part), "{case}: {warning}");
        }
    }
}

/// Covers T9.
#[tokio::test]
async fn a_machine_of_maas_is_known_by_its_id_and_its_hardware() {
    const UUID: &str = "92384634-2938-2342-8820-489239905423";
    for (uuid, expected) in [
        (json!(UUID), format!("uuid={UUID} system=abc")),
        (json!(null), "system=abc".to_owned()),
        (
            json!("ffffffff-ffff-ffff-ffff-ffffffffffff"),
            "system=abc".to_owned(),
        ),
    ] {
        let fake = Fake::start(move |recorded| {
            let mut machine = machine("abc", "c1");
            machine["hardware_uuid"] = uuid.clone();
            (recorded.line == "GET machines/?hostname=c1").then(|| Reply::Json(200, json!([machine])))
        })
        .await;
        let maas = fake.maas();
        let plug = maas.plug("c1").unwrap();
        let reading = maas.read_power(&plug).await.unwrap();
        assert_eq!(
            reading.machine.map(|machine| machine.to_string()).as_ref(),
            Some(&expected)
        );
        let reported = maas.machine(&plug).await.unwrap();
        assert_eq!(
            reported.map(|machine| machine.to_string()).as_ref(),
            Some(&expected)
        );
    }
}

/// Otherwise each test would send two more requests, and MAAS would read its database for each of them.
#[tokio::test]
async fn a_test_within_the_minute_asks_the_power_controller_and_nothing_else() {
    const WHO: &str = "GET users/?op=whoami";
    let fake = Fake::start(|_| None).await;
    let maas = fake.maas();
    let test_after = async |seconds: u64| {
        let before = fake.lines().len();
        fake.advance(seconds);
        maas.check(&plug(None)).await.unwrap();
        fake.lines()[before..].to_vec()
    };
    assert_eq!(test_after(0).await, [FIND, QUERY, WHO]);
    assert_eq!(test_after(40).await, [QUERY]);
    assert_eq!(test_after(40).await, [FIND, QUERY, WHO]);
    let other = Plug::new("c2", Some("abc".to_owned())).unwrap();
    let before = fake.lines().len();
    maas.check(&other).await.unwrap();
    assert_eq!(
        fake.lines()[before..],
        [SHOW, QUERY],
        "who we are is the same for all"
    );
}

/// A known problem must not hide a new one.
#[tokio::test]
async fn a_test_within_the_minute_finds_a_machine_that_is_gone_or_off() {
    let state = Arc::new(Mutex::new("on"));
    let shown_state = Arc::clone(&state);
    let finds = AtomicUsize::new(0);
    let fake = Fake::start(
        move |recorded| match (recorded.line.as_str(), *shown_state.lock().unwrap()) {
            (QUERY, "gone") => Some(Reply::With(404, Vec::new(), "Not Found".into())),
            (QUERY, state) => Some(Reply::Json(200, json!({"state": state}))),
            (FIND, _) if finds.fetch_add(1, Ordering::SeqCst) > 1 => {
                Some(Reply::Json(200, json!([machine("new", "c1")])))
            }
            ("GET machines/new/?op=query_power_state", _) => Some(Reply::Json(200, json!({"state": "on"}))),
            _ => None,
        },
    )
    .await;
    let maas = fake.maas();
    let test = async |now: &'static str| {
        *state.lock().unwrap() = now;
        fake.advance(20);
        maas.check(&plug(None)).await.unwrap().reading
    };
    assert_eq!(test("on").await.power, Power::On);
    assert_eq!(test("off").await.power, Power::Off);
    assert_eq!(
        fake.lines()[3..],
        [QUERY, FIND],
        "an off is believed of a machine just looked at"
    );
    let reading = test("gone").await;
    assert!(reading.device.ends_with("system new"), "{reading:?}");
}
