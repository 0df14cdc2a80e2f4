//! `tachi demo kill|cut|break-bmc|heal`: faults in the region of a running `tachi serve --sandbox`.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tachi_cli::arguments::{DemoCommand, DemoHostArgs};
use tachi_cli::out;
use tachi_clouds::ProcessEnvironment;
use tachi_keystone::Keystone;
use tachi_operator::Failure;

/// The cloud that `tachi serve --sandbox` writes into clouds.yaml. No other cloud is used: its hosts may be real.
const CLOUD: &str = "tachi-sandbox";

/// The path of the simulated Keystone, beside which the region is controlled.
const IDENTITY: &str = "/identity/v3";

/// Timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn run(command: DemoCommand) -> Result<u8, Failure> {
    let sandbox = RunningSandbox::open().await?;
    let text = match command {
        DemoCommand::Kill(DemoHostArgs { host }) => {
            sandbox.change(&host, "power", json!({"on": false})).await?;
            format!("{host} has lost power\nFollow: tachi mon --os-cloud {CLOUD}")
        }
        DemoCommand::Cut(DemoHostArgs { host }) => {
            sandbox.change(&host, "link", json!({"up": false})).await?;
            format!(
                "{host} is cut off from the network; its instances run on\nFollow: tachi mon --os-cloud {CLOUD}"
            )
        }
        DemoCommand::BreakBmc(DemoHostArgs { host }) => {
            let dead = json!({
                "query": {"mode": "says", "state": "error"},
                "command": {"mode": "fails", "status": 503},
            });
            sandbox.change(&host, "bmc", dead).await?;
            format!("the power controller (bmc) of {host} fails; its outlet (pdu) still works")
        }
        DemoCommand::Heal(DemoHostArgs { host }) => heal(&sandbox, &host).await?,
    };
    out::line(text);
    Ok(tachi_cli::DONE)
}

async fn heal(sandbox: &RunningSandbox, host: &str) -> Result<String, Failure> {
    let found = sandbox.call(Method::GET, host, "", None).await?;
    let works = json!({"query": {"mode": "truth"}, "command": {"mode": "works"}});
    sandbox.change(host, "bmc", works).await?;
    let is_on = found["power"].as_bool() == Some(true);
    if !is_on {
        // Nova-compute would carry out requests for instances that have moved since.
        sandbox.call(Method::DELETE, host, "queue", None).await?;
    }
    sandbox.change(host, "link", json!({"up": true})).await?;
    sandbox.change(host, "power", json!({"on": true})).await?;
    let next = format!("tachi host return {host} --os-cloud {CLOUD}");
    Ok(if is_on {
        format!("{host} works again; if it was recovered: {next}")
    } else {
        format!("{host} works again and is starting: its queue is empty, its power is on\nNext: {next}")
    })
}

/// The running simulated region of clouds.yaml.
struct RunningSandbox {
    http: reqwest::Client,
    base: String,
    token: reqwest::header::HeaderValue,
}

impl RunningSandbox {
    async fn open() -> Result<Self, Failure> {
        let hint = "run this in the folder of `tachi serve --sandbox`, or set OS_CLIENT_CONFIG_FILE to its clouds.yaml";
        let cloud = tachi_clouds::read(CLOUD, &ProcessEnvironment::current())
            .map_err(|error| Failure::usage(format!("{error}: {hint}")))?;
        let options = cloud.keystone;
        let base = options
            .auth_url
            .strip_suffix(IDENTITY)
            .ok_or_else(|| Failure::usage(format!("cloud {CLOUD} is no simulated region: {hint}")))?;
        let base = format!("{base}/admin");
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| Failure::new("preparing a request to the simulated region", error))?;
        let clock = std::time::Instant::now();
        let keystone = Keystone::new(&options, http.clone(), move || clock.elapsed(), || None)
            .map_err(|error| Failure::new("preparing the login to the simulated region", error))?;
        let token = keystone.log_in(&options.credentials).await.map_err(|failed| {
            Failure::from_text(format!(
                "no simulated region answers as cloud {CLOUD}: is `tachi serve --sandbox` running? {}",
                failed.text
            ))
        })?;
        Ok(Self {
            http,
            base,
            token: token.value,
        })
    }

    async fn change(&self, host: &str, what: &str, body: Value) -> Result<(), Failure> {
        self.call(Method::POST, host, what, Some(body)).await.map(|_| ())
    }

    /// Calls the simulation's control interface for one host.
    async fn call(
        &self,
        method: Method,
        host: &str,
        what: &str,
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let wrong = |error: reqwest::Error| Failure::new("calling the simulated region", error);
        let mut url = reqwest::Url::parse(&format!("{}/hosts", self.base))
            .map_err(|error| Failure::new("reading the address of the simulated region", error))?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(host);
            if !what.is_empty() {
                path.push(what);
            }
        }
        let mut request = self.http.request(method, url).header("X-Auth-Token", &self.token);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(wrong)?;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_default();
        match (status, body["error"].as_str()) {
            (status, _) if status.is_success() => Ok(body),
            (StatusCode::NOT_FOUND, Some(_)) => Err(Failure::from_text(format!(
                "no simulated host is named {host}: see `tachi host list --os-cloud {CLOUD}`"
            ))),
            (StatusCode::NOT_FOUND, None) => Err(Failure::usage(format!(
                "cloud {CLOUD} is no simulated region: nothing was changed"
            ))),
            (status, error) => Err(Failure::from_text(format!(
                "the simulated region refused the change: {status}: {}",
                error.unwrap_or("no reason given")
            ))),
        }
    }
}
