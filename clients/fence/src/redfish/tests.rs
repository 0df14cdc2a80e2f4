mod machine;
mod plug;

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use serde_json::Value;
use tachi_domain::power::Power;
use tachi_testkit::{FakeHttp, ManualClock, Reply};

use super::*;

const PASSWORD: &str = "s3cret-of-the-fixture";

#[derive(Clone, Debug)]
struct SeenRequest {
    line: String,
    body: String,
    headers: HeaderMap,
}

type Answer = Box<dyn Fn() -> Reply + Send + Sync>;
/// Class and `maybe_done` of the expected fault, if any.
type Expected = Option<(FaultClass, bool)>;

/// A service with one system, `1`, unless the script differs.
struct Fake {
    url: String,
    recorded: Arc<Mutex<Vec<SeenRequest>>>,
    _server: FakeHttp,
}

const ROOT: &str = "GET /redfish/v1/";
const LIST: &str = "GET /redfish/v1/Systems";
const SHOW: &str = "GET /redfish/v1/Systems/1";
const RESET: &str = "POST /redfish/v1/Systems/1/Actions/ComputerSystem.Reset";

fn system(id: &str, state: &str) -> Value {
    json!({
        "@odata.id": format!("/redfish/v1/Systems/{id}"), "Id": id, "UUID": format!("AAAA-{id}"),
        "SerialNumber": format!("SN{id}"), "HostName": format!("c{id}"), "PowerState": state,
        "Actions": {"#ComputerSystem.Reset": {
            "target": format!("/redfish/v1/Systems/{id}/Actions/ComputerSystem.Reset"),
            "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "GracefulShutdown"],
        }},
    })
}

fn list(ids: &[&str]) -> Value {
    let members: Vec<Value> = ids
        .iter()
        .map(|id| json!({"@odata.id": format!("/redfish/v1/Systems/{id}")}))
        .collect();
    json!({"Members": members})
}

fn usual(recorded: &SeenRequest) -> Reply {
    match recorded.line.as_str() {
        ROOT => Reply::Json(200, json!({"Systems": {"@odata.id": "/redfish/v1/Systems"}})),
        LIST => Reply::Json(200, list(&["1"])),
        SHOW => Reply::Json(200, system("1", "On")),
        RESET => Reply::With(204, Vec::new(), String::new()),
        _ => Reply::Json(404, json!({"error": {"message": "no such thing"}})),
    }
}

impl Fake {
    async fn start(script: impl Fn(&SeenRequest) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let recorded: Arc<Mutex<Vec<SeenRequest>>> = Arc::default();
        let log = Arc::clone(&recorded);
        let server = FakeHttp::start(move |request, _| {
            let recorded = SeenRequest {
                line: request.line(),
                body: request.text(),
                headers: request.headers.clone(),
            };
            log.lock().unwrap().push(recorded.clone());
            script(&recorded).unwrap_or_else(|| usual(&recorded))
        });
        let server = server.await;
        Self {
            url: server.url.clone(),
            recorded,
            _server: server,
        }
    }

    fn options(&self) -> RedfishOptions {
        let mut options = RedfishOptions::new("bmc-c1", &self.url, "fencer", PASSWORD.into());
        // Reading the system's authorities takes longer than the test.
        options.trust = Trust::Fingerprint("ab".repeat(32).parse().unwrap());
        options
    }

    fn redfish(&self) -> Redfish {
        Redfish::new(self.options(), Arc::<ManualClock>::default()).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        self.recorded
            .lock()
            .unwrap()
            .iter()
            .map(|recorded| recorded.line.clone())
            .collect()
    }
}

fn answering(
    line: &'static str,
    reply: impl Fn() -> Reply + Send + Sync + 'static,
) -> impl Fn(&SeenRequest) -> Option<Reply> {
    move |recorded| (recorded.line == line).then(&reply)
}

fn plug(at_device: Option<&str>) -> Plug {
    Plug::new("c1", at_device.map(ToOwned::to_owned)).unwrap()
}

#[tokio::test]
async fn the_one_system_of_a_service_is_found_once_and_read_each_time() {
    let fake = Fake::start(|_| None).await;
    let redfish = fake.redfish();
    let reading = redfish.read_power(&plug(None)).await.unwrap();
    let port = fake.url.rsplit(':').next().unwrap();
    assert_eq!((reading.power, reading.raw.as_str()), (Power::On, "On"));
    assert_eq!(
        reading.device,
        format!("redfish:127.0.0.1:{port} /redfish/v1/Systems/1")
    );
    assert_eq!(redfish.endpoint(), format!("redfish:127.0.0.1:{port}"));
    redfish.read_power(&plug(None)).await.unwrap();
    assert_eq!(fake.lines(), [ROOT, LIST, SHOW, SHOW]);
    let recorded = fake.recorded.lock().unwrap();
    assert!(recorded.iter().all(
        |recorded| recorded.headers["authorization"] == "Basic ZmVuY2VyOnMzY3JldC1vZi10aGUtZml4dHVyZQ=="
    ));
    assert!(
        recorded
            .iter()
            .all(|recorded| recorded.headers["odata-version"] == "4.0")
    );
}

#[tokio::test]
async fn a_system_of_several_is_chosen_by_configuration_and_never_guessed() {
    // (configuration, systems, the chosen one or a part of the refusal)
    type TestCase = (
        Option<&'static str>,
        &'static [&'static str],
        Result<&'static str, &'static str>,
    );
    let cases: [TestCase; 12] = [
        (None, &["1"], Ok("1")),
        (None, &[], Err("has no system")),
        (None, &["1", "2"], Err("2 systems, and")),
        (Some("2"), &["1", "2", "3"], Ok("2")),
        (Some("SN2"), &["1", "2", "3"], Ok("2")),
        (Some("aaaa-3"), &["1", "2", "3"], Ok("3")),
        (Some("C1"), &["1", "2", "3"], Ok("1")),
        (Some("/redfish/v1/Systems/3"), &["1", "2", "3"], Ok("3")),
        (Some("4"), &["1", "2"], Err("no system with the id")),
        (Some("x"), &["1"], Err("no system with the id")),
        (Some("SN1"), &["1", "1"], Err("2 systems named")),
        (Some("//evil.example/redfish/v1"), &["1"], Err("is not a path")),
    ];
    for (system_id, ids, expected) in cases {
        let fake = Fake::start(move |recorded| {
            let id = recorded.line.strip_prefix("GET /redfish/v1/Systems/");
            match (recorded.line.as_str(), id) {
                (LIST, _) => Some(Reply::Json(200, list(ids))),
                (_, Some(id)) if ids.contains(&id) => Some(Reply::Json(200, system(id, "Off"))),
                _ => None,
            }
        })
        .await;
        let redfish = fake.redfish();
        match (redfish.read_power(&plug(system_id)).await, expected) {
            (Ok(reading), Ok(id)) => {
                assert!(
                    reading.device.ends_with(&format!("/Systems/{id}")),
                    "{system_id:?}: {}",
                    reading.device
                );
                assert_eq!(reading.power, Power::Off);
            }
            (Err(error), Err(part)) => {
                assert!(error.fault.text.contains(part), "{system_id:?}: {error}");
                assert_eq!(
                    (error.fault.class, error.fault.maybe_done),
                    (FaultClass::Permanent, false)
                );
                redfish.power_off(&plug(system_id), "r").await.unwrap_err();
                assert!(
                    fake.lines().iter().all(|line| line.starts_with("GET ")),
                    "{system_id:?}: nothing was switched"
                );
            }
            (got, expected) => panic!("{system_id:?}: {got:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_list_of_several_pages_is_read_to_its_end() {
    let fake = Fake::start(|recorded| match recorded.line.as_str() {
        LIST => {
            let mut page = list(&["1"]);
            page["Members@odata.nextLink"] = json!("/redfish/v1/Systems?$skip=1");
            Some(Reply::Json(200, page))
        }
        "GET /redfish/v1/Systems?$skip=1" => Some(Reply::Json(200, list(&["2"]))),
        "GET /redfish/v1/Systems/2" => Some(Reply::Json(200, system("2", "Off"))),
        _ => None,
    })
    .await;
    let redfish = fake.redfish();
    let error = redfish.read_power(&plug(None)).await.unwrap_err();
    assert!(
        error.fault.text.contains("2 systems"),
        "the second page counts: {error}"
    );
    assert_eq!(
        redfish.read_power(&plug(Some("SN2"))).await.unwrap().power,
        Power::Off
    );
}

#[tokio::test]
async fn a_list_without_an_end_is_left() {
    let fake = Fake::start(answering(LIST, || {
        let mut page = list(&["1"]);
        page["Members@odata.nextLink"] = json!("/redfish/v1/Systems?$skip=1");
        Reply::Json(200, page)
    }))
    .await;
    for next in ["/redfish/v1/Systems", "/redfish/v1/Systems?$skip=1"] {
        let loops = Fake::start(move |recorded| {
            recorded.line.starts_with(LIST).then(|| {
                let mut page = list(&["1"]);
                page["Members@odata.nextLink"] = json!(next);
                Reply::Json(200, page)
            })
        })
        .await;
        let fault = loops.redfish().read_power(&plug(None)).await.unwrap_err().fault;
        assert_eq!(fault.class, FaultClass::Permanent, "{}", fault.text);
    }
    assert!(fake.redfish().read_power(&plug(None)).await.is_err());
}

#[tokio::test]
async fn power_off_is_forced_and_power_on_is_plain() {
    let fake = Fake::start(|_| None).await;
    let redfish = fake.redfish();
    redfish.power_off(&plug(None), "r").await.unwrap();
    redfish.power_on(&plug(None), "r").await.unwrap();
    assert_eq!(fake.lines(), [ROOT, LIST, SHOW, RESET, SHOW, RESET]);
    let bodies: Vec<String> = fake
        .recorded
        .lock()
        .unwrap()
        .iter()
        .map(|recorded| recorded.body.clone())
        .collect();
    assert_eq!(
        (bodies[3].as_str(), bodies[5].as_str()),
        (r#"{"ResetType":"ForceOff"}"#, r#"{"ResetType":"On"}"#)
    );
}

/// A service with one system from this file, and `info` as the answer for its `ActionInfo`.
async fn blade(shown: &'static str, info: Option<(u16, String)>) -> Fake {
    let system: Value = serde_json::from_str(shown).unwrap();
    Fake::start(move |recorded| match recorded.line.as_str() {
        LIST => Some(Reply::Json(200, list(&["blade9"]))),
        "GET /redfish/v1/Systems/blade9" => Some(Reply::Json(200, system.clone())),
        "GET /redfish/v1/Systems/blade9/ResetActionInfo" => {
            let (status, body) = info.clone()?;
            Some(Reply::With(status, Vec::new(), body))
        }
        "POST /redfish/v1/Systems/blade9/Actions/ComputerSystem.Reset" => {
            Some(Reply::With(204, Vec::new(), String::new()))
        }
        _ => None,
    })
    .await
}

const NO_FORCE_OFF: &str = include_str!("../../tests/cases/no-forceoff.json");
const ACTION_INFO: &str = include_str!("../../tests/cases/action-info.json");
const SHIPPED: &str = include_str!("../../tests/cases/shipped-serial.json");

#[tokio::test]
async fn obstacles_to_a_power_off_are_found_in_advance() {
    let none = NO_FORCE_OFF.replace("#ComputerSystem.Reset", "#Other.Reset");
    let bare: &'static str = Box::leak(none.into_boxed_str());
    for (case, shown, part) in [
        ("no ForceOff", NO_FORCE_OFF, Some("supports none of ForceOff")),
        ("no reset at all", bare, Some("has no reset action")),
        ("ForceOff", SHIPPED, None),
    ] {
        let fake = blade(shown, None).await;
        let checked = fake.redfish().check(&plug(None)).await.unwrap();
        assert_eq!(checked.reading.power, Power::On, "{case}");
        match part {
            Some(part) => assert!(checked.obstacle.is_some_and(|text| text.contains(part)), "{case}"),
            None => assert_eq!(checked.obstacle, None, "{case}"),
        }
        assert!(
            !fake.lines().iter().any(|line| line.starts_with("POST")),
            "{case}: a check switches nothing"
        );
    }
}

#[tokio::test]
async fn an_action_info_that_is_not_there_does_not_stop_the_order() {
    let allows = |values: &[&str]| {
        json!({"Parameters": [{"Name": "ResetType", "AllowableValues": values}]}).to_string()
    };
    for (case, info, off) in [
        ("not there", (404, "{}".to_owned()), true),
        ("not implemented", (501, "{}".to_owned()), true),
        ("broken", (500, "{}".to_owned()), true),
        ("nonsense", (200, "<html>".to_owned()), true),
        ("it allows it", (200, allows(&["On", "ForceOff"])), true),
        ("it does not", (200, allows(&["On"])), false),
    ] {
        let fake = blade(ACTION_INFO, Some(info)).await;
        let redfish = fake.redfish();
        assert_eq!(
            redfish.check(&plug(None)).await.unwrap().obstacle.is_none(),
            off,
            "{case}"
        );
        assert_eq!(redfish.power_off(&plug(None), "r").await.is_ok(), off, "{case}");
        let sent = fake.recorded.lock().unwrap().last().unwrap().body.clone();
        assert_eq!(sent == r#"{"ResetType":"ForceOff"}"#, off, "{case}: {sent}");
    }
}

#[tokio::test]
async fn a_serial_that_is_shipped_by_the_thousand_names_no_machine() {
    let fake = blade(SHIPPED, None).await;
    assert_eq!(
        fake.redfish().read_power(&plug(None)).await.unwrap().machine,
        None
    );
}

#[tokio::test]
async fn a_reset_the_system_does_not_list_is_not_asked_for() {
    let action = |change: fn(&mut Value)| {
        let mut system = system("1", "On");
        change(&mut system["Actions"]["#ComputerSystem.Reset"]);
        system
    };
    // (case, system, the result for off, the reset type for on)
    let cases = [
        (
            "no ForceOff",
            action(|a| a["ResetType@Redfish.AllowableValues"] = json!(["On", "GracefulShutdown"])),
            false,
            Some("On"),
        ),
        (
            "ForceOn only",
            action(|a| a["ResetType@Redfish.AllowableValues"] = json!(["ForceOn", "ForceOff"])),
            true,
            Some("ForceOn"),
        ),
        (
            "nothing listed",
            action(|a| {
                a.as_object_mut()
                    .unwrap()
                    .remove("ResetType@Redfish.AllowableValues");
            }),
            true,
            Some("On"),
        ),
        (
            "listed elsewhere",
            action(|a| {
                a.as_object_mut()
                    .unwrap()
                    .remove("ResetType@Redfish.AllowableValues");
                a["@Redfish.ActionInfo"] = json!("/redfish/v1/Systems/1/ResetActionInfo");
            }),
            false,
            Some("On"),
        ),
        ("no target", action(|a| a["target"] = json!(null)), false, None),
        (
            "a target elsewhere",
            action(|a| a["target"] = json!("https://evil.example/redfish/v1/x")),
            false,
            None,
        ),
    ];
    for (case, shown, off, on) in cases {
        let fake = Fake::start(move |recorded| match recorded.line.as_str() {
            SHOW => Some(Reply::Json(200, shown.clone())),
            "GET /redfish/v1/Systems/1/ResetActionInfo" => Some(Reply::Json(
                200,
                json!({"Parameters": [{"Name": "ResetType", "AllowableValues": ["On", "GracefulShutdown"]}]}),
            )),
            _ => None,
        })
        .await;
        let redfish = fake.redfish();
        let outcome = redfish.power_off(&plug(None), "r").await;
        assert_eq!(outcome.is_ok(), off, "{case}");
        if let Err(error) = outcome {
            assert_eq!(
                (error.fault.class, error.fault.maybe_done),
                (FaultClass::Permanent, false),
                "{case}: {error}"
            );
            assert!(!fake.lines().contains(&RESET.to_owned()), "{case}");
        }
        let outcome = redfish.power_on(&plug(None), "r").await;
        assert_eq!(outcome.is_ok(), on.is_some(), "{case}");
        if let Some(on) = on {
            let body = fake.recorded.lock().unwrap().last().unwrap().body.clone();
            assert_eq!(body, format!("{{\"ResetType\":\"{on}\"}}"), "{case}");
        }
    }
}

#[tokio::test]
async fn every_answer_to_a_reset_has_its_meaning() {
    let reply = |status: u16, body: &'static str| -> Answer {
        Box::new(move || Reply::With(status, Vec::new(), body.into()))
    };
    let busy =
        r#"{"error": {"message": "general", "@Message.ExtendedInfo": [{"Message": "firmware is busy"}]}}"#;
    let cases: Vec<(&str, Answer, Expected)> = vec![
        ("200", reply(200, "{}"), None),
        ("200 with another body", reply(200, "<html>"), None),
        ("202", reply(202, ""), None),
        ("204", reply(204, ""), None),
        ("400", reply(400, busy), Some((FaultClass::Permanent, false))),
        ("row 5: 401", reply(401, ""), Some((FaultClass::Permanent, false))),
        ("403", reply(403, ""), Some((FaultClass::Permanent, false))),
        ("404", reply(404, ""), Some((FaultClass::Permanent, false))),
        ("409", reply(409, busy), Some((FaultClass::Transient, false))),
        ("429", reply(429, ""), Some((FaultClass::Transient, false))),
        ("500", reply(500, ""), Some((FaultClass::Transient, true))),
        ("503", reply(503, ""), Some((FaultClass::Transient, true))),
    ];
    for (case, answer, expected) in cases {
        let fake = Fake::start(answering(RESET, answer)).await;
        let outcome = fake.redfish().power_off(&plug(None), "r").await;
        let sent = fake.lines().iter().filter(|line| *line == RESET).count();
        assert_eq!(sent, 1, "{case}: sent once");
        if let Err(error) = &outcome
            && case.starts_with('4')
            && matches!(error.fault.status, Some(400 | 409))
        {
            assert!(error.fault.text.contains("general; firmware is busy"), "{error}");
        }
        let got = outcome
            .err()
            .map(|error| (error.fault.class, error.fault.maybe_done));
        assert_eq!(got, expected, "{case}");
    }
}

#[tokio::test]
async fn only_paths_of_the_same_service_are_followed() {
    let to = |status: u16, place: String| Reply::With(status, vec![("location", place)], String::new());
    let (other_service, came) = (
        Fake::start(|_| None).await,
        "http://127.0.0.1:1/redfish/v1/Systems/1",
    );
    for (status, place, expected) in [
        (307, "/redfish/v1/Systems/9".to_owned(), true),
        (308, "/redfish/v1/Systems/9".to_owned(), true),
        (302, "/redfish/v1/Systems/9".to_owned(), true),
        (307, format!("{}/redfish/v1/Systems/9", other_service.url), false),
        (307, came.to_owned(), false),
        (307, "//127.0.0.1:1/redfish/v1/Systems/9".to_owned(), false),
        (307, "/admin".to_owned(), false),
        (307, String::new(), false),
    ] {
        let location = place.clone();
        let fake = Fake::start(move |recorded| match recorded.line.as_str() {
            SHOW => Some(to(status, location.clone())),
            "GET /redfish/v1/Systems/9" => Some(Reply::Json(200, system("9", "Off"))),
            _ => None,
        })
        .await;
        let outcome = fake.redfish().read_power(&plug(None)).await;
        assert_eq!(outcome.is_ok(), expected, "{status} {place}: {outcome:?}");
        if let Err(error) = outcome {
            assert_eq!(error.fault.class, FaultClass::Permanent, "{error}");
        }
    }
    assert!(other_service.lines().is_empty(), "nobody else saw the password");
    let circle = Fake::start(move |recorded| {
        (recorded.line == SHOW).then(|| to(307, "/redfish/v1/Systems/1".to_owned()))
    })
    .await;
    let error = circle.redfish().read_power(&plug(None)).await.unwrap_err();
    assert!(error.fault.text.contains("more than 3 times"), "{error}");
}

#[tokio::test]
async fn a_command_is_sent_on_only_by_a_redirect_that_keeps_it() {
    for (status, expected) in [(307, true), (308, true), (301, false), (302, false), (303, false)] {
        let fake = Fake::start(move |recorded| match recorded.line.as_str() {
            RESET => Some(Reply::With(
                status,
                vec![("location", "/redfish/v1/Systems/1/Actions/Other".to_owned())],
                String::new(),
            )),
            "POST /redfish/v1/Systems/1/Actions/Other" => Some(Reply::With(204, Vec::new(), String::new())),
            _ => None,
        })
        .await;
        let outcome = fake.redfish().power_off(&plug(None), "r").await;
        assert_eq!(outcome.is_ok(), expected, "{status}");
    }
}

#[tokio::test]
async fn the_off_of_a_system_that_has_become_another_proves_nothing() {
    let uuid = Arc::new(Mutex::new("A"));
    let shown = Arc::clone(&uuid);
    let fake = Fake::start(answering(SHOW, move || {
        let mut system = system("1", "Off");
        system["UUID"] = json!(*shown.lock().unwrap());
        Reply::Json(200, system)
    }))
    .await;
    let redfish = fake.redfish();
    assert_eq!(redfish.read_power(&plug(None)).await.unwrap().power, Power::Off);
    *uuid.lock().unwrap() = "B";
    let fault = redfish.read_power(&plug(None)).await.unwrap_err().fault;
    assert_eq!(fault.class, FaultClass::Transient);
    assert!(
        fault
            .text
            .contains("was a and is now b, so the answer is not about host c1"),
        "{}",
        fault.text
    );
    assert_eq!(
        redfish.read_power(&plug(None)).await.unwrap().power,
        Power::Off,
        "looked up again"
    );
}

#[tokio::test]
async fn a_system_that_is_gone_is_looked_for_again() {
    let gone = Arc::new(Mutex::new(false));
    let is_gone = Arc::clone(&gone);
    let fake = Fake::start(
        move |recorded| match (recorded.line.as_str(), *is_gone.lock().unwrap()) {
            (SHOW, true) => Some(Reply::Json(404, json!({}))),
            (LIST, true) => Some(Reply::Json(200, list(&["2"]))),
            ("GET /redfish/v1/Systems/2", _) => Some(Reply::Json(200, system("2", "On"))),
            _ => None,
        },
    )
    .await;
    let redfish = fake.redfish();
    redfish.read_power(&plug(None)).await.unwrap();
    *gone.lock().unwrap() = true;
    assert!(
        redfish
            .read_power(&plug(None))
            .await
            .unwrap()
            .device
            .ends_with("/Systems/2")
    );
}

#[tokio::test]
async fn a_session_is_opened_used_and_closed() {
    let begin = "POST /redfish/v1/SessionService/Sessions";
    for works in [true, false] {
        let fake = Fake::start(move |recorded| match recorded.line.as_str() {
            line if line == begin => Some(Reply::With(
                201,
                vec![
                    ("x-auth-token", "token-of-the-fixture".into()),
                    ("location", "/redfish/v1/SessionService/Sessions/7".into()),
                ],
                "{}".into(),
            )),
            SHOW if !works => Some(Reply::Json(503, json!({}))),
            "DELETE /redfish/v1/SessionService/Sessions/7" => {
                Some(Reply::With(204, Vec::new(), String::new()))
            }
            _ => None,
        })
        .await;
        let mut options = fake.options();
        options.login = RedfishLogin::Session;
        let redfish = Redfish::new(options, Arc::<ManualClock>::default()).unwrap();
        assert_eq!(redfish.read_power(&plug(None)).await.is_ok(), works);
        let expected = [
            begin,
            ROOT,
            LIST,
            SHOW,
            "DELETE /redfish/v1/SessionService/Sessions/7",
        ];
        assert_eq!(fake.lines(), expected, "given back whether it worked or not");
        let recorded = fake.recorded.lock().unwrap();
        assert_eq!(
            recorded[0].body,
            format!(r#"{{"UserName":"fencer","Password":"{PASSWORD}"}}"#)
        );
        assert!(
            recorded
                .iter()
                .all(|recorded| !recorded.headers.contains_key("authorization"))
        );
        assert!(
            recorded
                .iter()
                .skip(1)
                .all(|recorded| recorded.headers["x-auth-token"] == "token-of-the-fixture")
        );
    }
}

#[tokio::test]
async fn a_service_that_refuses_a_session_is_told_from_one_that_is_busy() {
    for (status, class) in [
        (401, FaultClass::Permanent),
        (404, FaultClass::Permanent),
        (503, FaultClass::Transient),
    ] {
        let fake = Fake::start(move |recorded| {
            recorded
                .line
                .starts_with("POST")
                .then(|| Reply::Json(status, json!({})))
        })
        .await;
        let mut options = fake.options();
        options.login = RedfishLogin::Session;
        let fault = Redfish::new(options, Arc::<ManualClock>::default())
            .unwrap()
            .power_off(&plug(None), "r")
            .await
            .unwrap_err()
            .fault;
        assert_eq!((fault.class, fault.maybe_done), (class, false), "{}", fault.text);
        assert_eq!(fake.lines().len(), 1);
    }
}

/// Covers ROW14.
#[tokio::test]
async fn a_service_that_hangs_is_left_and_its_command_may_have_been_done() {
    let fake =
        Fake::start(|recorded| (recorded.line == RESET || recorded.line == SHOW).then_some(Reply::Hang))
            .await;
    let mut options = fake.options();
    options.call_timeout = Duration::from_millis(200);
    let redfish = Redfish::new(options, Arc::<ManualClock>::default()).unwrap();
    let read = redfish.read_power(&plug(None)).await.unwrap_err().fault;
    assert_eq!(
        (read.class, read.maybe_done),
        (FaultClass::Transient, false),
        "{}",
        read.text
    );
    let off = redfish.power_off(&plug(None), "r").await.unwrap_err().fault;
    assert_eq!(
        (off.class, off.maybe_done),
        (FaultClass::Transient, true),
        "{}",
        off.text
    );
}

/// Covers ROW6.
#[tokio::test]
async fn a_refused_connection_is_transient_and_did_nothing() {
    let url = format!("http://127.0.0.1:{}", tachi_testkit::free_port());
    let mut options = RedfishOptions::new("b", url, "fencer", PASSWORD.into());
    options.trust = Trust::Fingerprint("ab".repeat(32).parse().unwrap());
    let redfish = Redfish::new(options, Arc::<ManualClock>::default()).unwrap();
    let read = redfish.read_power(&plug(None)).await.unwrap_err().fault;
    assert_eq!(
        (read.class, read.maybe_done),
        (FaultClass::Transient, false),
        "{}",
        read.text
    );
}

#[tokio::test]
async fn an_invalid_body_is_no_reading() {
    for body in ["", "<html>", "[]", "null", "{\"PowerState\":"] {
        let fake = Fake::start(answering(SHOW, move || Reply::With(200, Vec::new(), body.into()))).await;
        let fault = fake.redfish().read_power(&plug(None)).await.unwrap_err().fault;
        assert_eq!(fault.class, FaultClass::Transient, "{body:?}: {}", fault.text);
    }
}

/// Covers I9.
#[tokio::test]
async fn answers_of_the_service_are_shown_without_the_password() {
    let echo = json!({"error": {"message": format!("{PASSWORD} and ZmVuY2VyOnMzY3JldC1vZi10aGUtZml4dHVyZQ== \
        at https://fencer:{PASSWORD}@bmc/")}});
    let state = format!("Off {PASSWORD}");
    let fake = Fake::start(move |recorded| match recorded.line.as_str() {
        RESET => Some(Reply::Json(400, echo.clone())),
        SHOW => Some(Reply::Json(200, system("1", &state))),
        _ => None,
    })
    .await;
    let options = fake.options();
    let redfish = fake.redfish();
    let reading = redfish.read_power(&plug(None)).await.unwrap();
    assert_eq!((reading.power, reading.raw.as_str()), (Power::Unknown, "Off ***"));
    let error = redfish.power_off(&plug(None), "r").await.unwrap_err();
    assert!(
        error.fault.text.contains("*** and *** at https://***@bmc/"),
        "{error}"
    );
    let shown = format!("{options:?} {redfish:?} {error:?}");
    assert!(!shown.contains(PASSWORD), "{shown}");
}

#[test]
fn options_that_could_do_harm_are_refused() {
    let make = |url: &str, change: fn(&mut RedfishOptions)| {
        let mut options = RedfishOptions::new("b", url, "fencer", PASSWORD.into());
        options.trust = Trust::Fingerprint("ab".repeat(32).parse().unwrap());
        change(&mut options);
        Redfish::new(options, Arc::<ManualClock>::default()).map(|redfish| redfish.endpoint)
    };
    let good = BTreeMap::from([
        ("https://bmc.example", "redfish:bmc.example:443"),
        ("https://bmc.example:8443/", "redfish:bmc.example:8443"),
        ("https://BMC.example/redfish/v1/", "redfish:bmc.example:443"),
        ("https://[fe80::0:1]", "redfish:[fe80::1]:443"),
        ("http://127.0.0.1:8000", "redfish:127.0.0.1:8000"),
    ]);
    for (url, expected) in good {
        assert_eq!(make(url, |_| ()).unwrap(), expected, "{url}");
    }
    for url in [
        "",
        "bmc.example",
        "ftp://bmc.example",
        "http://bmc.example",
        "https://fencer:word@bmc.example",
        "https://bmc.example/redfish/v1/Systems/1",
        "https://bmc.example?x",
        "https://bmc.example/#x",
    ] {
        let error = make(url, |_| ()).unwrap_err();
        assert!(matches!(error, RedfishError::Url { .. }), "{url}: {error}");
        assert!(!error.to_string().contains("word@"), "{error}");
    }
    assert!(make("http://bmc.example", |options| options.allow_http = true).is_ok());
    assert!(matches!(
        make("https://b", |options| options.user = "a:b".into()),
        Err(RedfishError::Login)
    ));
    assert!(matches!(
        make("https://b", |options| options.password = "".into()),
        Err(RedfishError::Login)
    ));
}

/// Covers R4.
#[tokio::test]
async fn a_process_stopped_before_the_command_sends_none() {
    for (hours, sent) in [(0, true), (1, false)] {
        let clock = Arc::<ManualClock>::default();
        let hand = Arc::clone(&clock);
        let fake = Fake::start(move |recorded| {
            if recorded.line == SHOW {
                hand.advance(Duration::from_hours(hours));
            }
            None
        })
        .await;
        let redfish = Redfish::new(fake.options(), clock).unwrap();
        let outcome = redfish.power_off(&plug(None), "r").await;
        assert_eq!(outcome.is_ok(), sent, "{outcome:?}");
        assert_eq!(fake.lines().iter().any(|line| line == RESET), sent);
        assert!(outcome.err().is_none_or(|error| !error.fault.maybe_done));
    }
}
