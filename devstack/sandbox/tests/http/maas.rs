//! MAAS on the wire.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tachi_sandbox::{ApiEffect, ApiFault, PowerCommand, PowerQuery};

use crate::cloud::{Answer, Cloud, answer, quick};

struct Maas<'a> {
    cloud: &'a Cloud,
    key: Vec<String>,
}

impl<'a> Maas<'a> {
    fn new(cloud: &'a Cloud) -> Self {
        let key = cloud
            .sandbox
            .maas_api_key()
            .split(':')
            .map(str::to_owned)
            .collect::<Vec<_>>();
        assert_eq!(key.len(), 3);
        Self { cloud, key }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let header = format!(
            "OAuth realm=\"OAuth\", oauth_nonce=\"{}\", oauth_timestamp=\"{now}\", oauth_version=\"1.0\", \
             oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"{}\", oauth_token=\"{}\", \
             oauth_signature=\"%26{}\"",
            uuid::Uuid::new_v4(),
            self.key[0],
            self.key[1],
            self.key[2]
        );
        let url = format!("{}/api/2.0/{path}", self.cloud.sandbox.urls().maas);
        self.cloud
            .http
            .request(method, url)
            .header("authorization", header)
    }

    async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path).send().await.unwrap()).await
    }

    async fn power(&self, system_id: &str, op: &str) -> Answer {
        let request = self
            .request(Method::POST, &format!("machines/{system_id}/?op={op}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("stop_mode=hard&comment=test");
        answer(request.send().await.unwrap()).await
    }

    async fn query(&self, system_id: &str) -> Answer {
        self.get(&format!("machines/{system_id}/?op=query_power_state"))
            .await
    }

    async fn system_id(&self, host: &str) -> String {
        let (status, body) = self.get(&format!("machines/?hostname={host}")).await;
        assert_eq!((status, body.as_array().map(Vec::len)), (200, Some(1)), "{host}");
        body[0]["system_id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_machine_is_found_asked_and_switched_off() {
    let cloud = Cloud::start(quick(3)).await;
    let maas = Maas::new(&cloud);
    assert_eq!(maas.get("version/").await.0, 200);
    assert_eq!(maas.get("users/?op=whoami").await.1["is_superuser"], true);
    let id = maas.system_id("compute-002").await;
    assert_eq!(maas.query(&id).await, (200, json!({"state": "on"})));
    let (status, body) = maas.power(&id, "power_off").await;
    assert_eq!((status, &body["hostname"]), (200, &json!("compute-002")));
    cloud
        .wait("it is off", |region| !region.host("compute-002").unwrap().power)
        .await;
    let (_, machine) = maas.get(&format!("machines/{id}/")).await;
    assert_eq!(machine["power_state"], "on", "what MAAS remembers is stale");
    assert_eq!(maas.query(&id).await, (200, json!({"state": "off"})));
    let journal = cloud.region().requests().journal();
    let off = journal
        .iter()
        .find(|entry| entry.route.ends_with("#power_off"))
        .unwrap();
    assert_eq!(off.body, Some(Value::from("stop_mode=hard&comment=test")));
    assert_eq!(cloud.region().requests().count("#power_on"), 0);
    assert_eq!(maas.power(&id, "power_on").await.0, 200);
    cloud
        .wait("it is on again", |region| {
            region.host("compute-002").unwrap().agent
        })
        .await;
}

#[tokio::test]
async fn finding_and_not_finding() {
    let cloud = Cloud::start(quick(3)).await;
    let maas = Maas::new(&cloud);
    for (path, status, count) in [
        ("machines/", 200, 3),
        ("machines/?hostname=compute-001&hostname=compute-003", 200, 2),
        ("machines/?hostname=compute-001.sandbox", 200, 0),
        ("machines/?hostname=nowhere", 200, 0),
    ] {
        let (code, body) = maas.get(path).await;
        assert_eq!(
            (code, body.as_array().map(Vec::len)),
            (status, Some(count)),
            "{path}"
        );
    }
    assert_eq!(maas.get("machines/none/").await.0, 404);
    assert_eq!(maas.query("none").await.0, 404);
    assert_eq!(maas.power("none", "power_off").await.0, 404);
    let id = maas.system_id("compute-001").await;
    assert_eq!(maas.power(&id, "explode").await.0, 400);
    let unsigned = cloud
        .http
        .get(format!("{}/api/2.0/version/", cloud.sandbox.urls().maas))
        .send()
        .await
        .unwrap();
    assert_eq!(unsigned.status().as_u16(), 401);
}

#[tokio::test]
async fn a_signed_header_is_good_once() {
    let cloud = Cloud::start(quick(1)).await;
    let maas = Maas::new(&cloud);
    let request = maas.request(Method::GET, "version/");
    let again = request.try_clone().unwrap();
    assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
    assert_eq!(again.send().await.unwrap().status().as_u16(), 401);
}

#[tokio::test]
async fn lies_refusals_and_broken_connections() {
    let cloud = Cloud::start(quick(1)).await;
    let (maas, host) = (Maas::new(&cloud), "compute-001");
    let id = maas.system_id(host).await;
    let region = cloud.region();
    region
        .faults()
        .maas_query(host, PowerQuery::Says { state: "off".into() })
        .unwrap();
    assert_eq!(maas.query(&id).await, (200, json!({"state": "off"})));
    assert!(region.host(host).unwrap().power, "it lies");
    region
        .faults()
        .maas_query(host, PowerQuery::Fails { status: 504 })
        .unwrap();
    assert_eq!(maas.query(&id).await.0, 504);

    region.faults().maas_command(host, PowerCommand::Null).unwrap();
    assert_eq!(maas.power(&id, "power_off").await, (200, Value::Null));
    region
        .faults()
        .maas_command(host, PowerCommand::Fails { status: 403 })
        .unwrap();
    assert_eq!(maas.power(&id, "power_off").await.0, 403);
    region
        .faults()
        .maas_command(host, PowerCommand::ObeysThenBreaks)
        .unwrap();
    let broken = maas
        .request(Method::POST, &format!("machines/{id}/?op=power_off"))
        .send()
        .await;
    let unreadable = match broken {
        Ok(response) => response.text().await.is_err(),
        Err(_) => true,
    };
    assert!(unreadable, "the connection breaks");
    cloud
        .wait("it obeyed all the same", |region| {
            !region.host(host).unwrap().power
        })
        .await;
}

#[tokio::test]
async fn a_dead_bmc_and_a_dead_maas() {
    let cloud = Cloud::start(quick(2)).await;
    let maas = Maas::new(&cloud);
    let id = maas.system_id("compute-001").await;
    cloud.region().faults().bmc_power("compute-001", false).unwrap();
    let response = maas
        .request(Method::GET, &format!("machines/{id}/?op=query_power_state"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 503);
    assert_eq!(response.headers().get("retry-after").unwrap(), "10");
    assert_eq!(maas.power(&id, "power_off").await.0, 503);
    cloud
        .region()
        .api_faults()
        .add(ApiFault::always("/MAAS", ApiEffect::Break));
    let broken = maas.request(Method::GET, "version/").send().await;
    assert!(match broken {
        Ok(response) => response.text().await.is_err(),
        Err(_) => true,
    });
    cloud.region().faults().clear_faults();
    assert_eq!(maas.query(&id).await, (200, json!({"state": "on"})));
}
