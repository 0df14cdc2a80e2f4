//! Opens devices and calls them over a pipe, for tests that are not written in Rust. Each request is a JSON object on
//! one line, and so is each response.
//!
//! ```text
//! {"open": "bmc1", "type": "ipmi", "host": "127.0.0.1", "port": 9001, "user": "u", "password": "p", "cipher_suite": 3}
//! {"do": "read", "device": "bmc1", "host": "c1"}
//! ```

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use tachi_domain::power::PowerReading;
use tachi_engine::SystemClock;
use tachi_engine::ports::CallError;
use tachi_fence::{
    Device, Exec, ExecOptions, Ipmi, IpmiOptions, Kind, Maas, MaasOptions, Plug, Redfish, RedfishLogin,
    RedfishOptions, Trust,
};

type ProbeError = Box<dyn Error + Send + Sync>;

#[derive(Deserialize)]
struct ProbeTarget {
    open: String,
    r#type: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    port: u16,
    #[serde(default)]
    url: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    password: String,
    cipher_suite: Option<u8>,
    ca_file: Option<String>,
    fingerprint: Option<String>,
    #[serde(default)]
    session: bool,
    #[serde(default)]
    agent: String,
    #[serde(default)]
    params: BTreeMap<String, String>,
    plug_param: Option<String>,
    call_timeout_ms: Option<u64>,
}

#[derive(Deserialize)]
struct ProbeArgs {
    r#do: String,
    device: String,
    host: String,
    plug: Option<String>,
}

fn open(given: ProbeTarget) -> Result<Arc<dyn Device>, ProbeError> {
    let clock = Arc::new(SystemClock);
    let password = SecretString::from(given.password);
    let limit = given.call_timeout_ms.map(Duration::from_millis);
    let kind: Kind = given.r#type.parse()?;
    Ok(match kind {
        Kind::Ipmi => {
            let mut options = IpmiOptions::new(given.open, given.host, given.user, password);
            options.port = given.port;
            options.cipher_suite = given.cipher_suite.unwrap_or(options.cipher_suite);
            options.call_timeout = limit.unwrap_or(options.call_timeout);
            Arc::new(Ipmi::new(options, clock)?)
        }
        Kind::Redfish => {
            let mut options = RedfishOptions::new(given.open, given.url, given.user, password);
            if let Some(path) = given.ca_file {
                options.trust = Trust::CaFile(path.into());
            }
            if let Some(fingerprint) = given.fingerprint {
                options.trust = Trust::Fingerprint(fingerprint.parse()?);
            }
            if given.session {
                options.login = RedfishLogin::Session;
            }
            options.call_timeout = limit.unwrap_or(options.call_timeout);
            Arc::new(Redfish::new(options, clock)?)
        }
        Kind::Maas => {
            let mut options = MaasOptions::new(given.url, password);
            options.name = given.open;
            options.query_timeout = limit.unwrap_or(options.query_timeout);
            options.timeout = limit.unwrap_or(options.timeout);
            Arc::new(Maas::new(options, clock)?)
        }
        Kind::Exec => {
            let mut options = ExecOptions::new(given.open, given.agent);
            options.params = given.params;
            options.secrets = BTreeMap::from([("password".to_owned(), password)]);
            options.plug_param = given.plug_param;
            options.status_timeout = limit.unwrap_or(options.status_timeout);
            options.command_timeout = limit.unwrap_or(options.command_timeout);
            Arc::new(Exec::new(options, clock)?)
        }
        other => return Err(format!("device kind {other} is not supported").into()),
    })
}

fn reading(reading: &PowerReading) -> Value {
    json!({"power": reading.power, "raw": reading.raw, "device": reading.device, "machine": reading.machine})
}

fn fault(error: &CallError) -> Value {
    let fault = &error.fault;
    json!({"class": fault.class, "status": fault.status, "maybe_done": fault.maybe_done, "text": fault.text})
}

async fn act(device: &dyn Device, given: ProbeArgs) -> Result<Value, ProbeError> {
    let plug = Plug::new(given.host, given.plug)?;
    let outcome = match given.r#do.as_str() {
        "read" => device.read_power(&plug).await.map(|it| reading(&it)),
        "off" => device.power_off(&plug, "a test").await.map(|()| json!({})),
        "on" => device.power_on(&plug, "a test").await.map(|()| json!({})),
        "check" => device.check(&plug).await.map(|checked| {
            json!({"reading": reading(&checked.reading), "warnings": checked.warnings,
                "latency": checked.latency.as_secs_f64()})
        }),
        other => return Err(format!("{other:?} is not read, off, on or check").into()),
    };
    Ok(match outcome {
        Ok(value) => json!({"ok": value}),
        Err(error) => json!({"fault": fault(&error)}),
    })
}

async fn line(devices: &mut HashMap<String, Arc<dyn Device>>, text: &str) -> Result<Value, ProbeError> {
    let value: Value = serde_json::from_str(text)?;
    if value.get("open").is_some() {
        let given: ProbeTarget = serde_json::from_value(value)?;
        let name = given.open.clone();
        let device = open(given)?;
        let answer = json!({"ok": {"endpoint": device.endpoint(), "debug": format!("{device:?}")}});
        devices.insert(name, device);
        return Ok(answer);
    }
    let given: ProbeArgs = serde_json::from_value(value)?;
    let device = devices.get(&given.device).ok_or("no such device is open")?;
    let device = Arc::clone(device);
    act(&*device, given).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ProbeError> {
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        return Err("a TLS provider is already installed".into());
    }
    let mut devices = HashMap::new();
    for text in std::io::stdin().lock().lines() {
        let begun = Instant::now();
        let mut answer = match line(&mut devices, &text?).await {
            Ok(answer) => answer,
            Err(error) => json!({"refused": error.to_string()}),
        };
        if let Some(object) = answer.as_object_mut() {
            object.insert("seconds".to_owned(), json!(begun.elapsed().as_secs_f64()));
        }
        let mut out = std::io::stdout();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
