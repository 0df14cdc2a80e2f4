//! Compares this loader with openstacksdk by `tests/clients-config/table.json`, and lists the intended differences.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tachi_clouds::{Cloud, ProcessEnvironment, read};
use tachi_keystone::Interface;
use tachi_keystone::Options;

/// Cases that openstacksdk accepts and this loader refuses, each with a part of the reason.
const REFUSED: &[(&str, &str)] = &[
    // openstacksdk picks the first of several, or one of two that contradict each other.
    ("regions-two", "several regions: south, north. Set OS_REGION_NAME"),
    ("regions-two-by-comma", "several regions: south, north"),
    ("regions-two-as-list", "several regions: south, north"),
    ("regions-mapping-two", "several regions: south, north"),
    ("profile-with-two-regions", "several regions: south, north"),
    (
        "regions-and-region",
        "region_name is north, but regions lists south, north",
    ),
    // The shell has another region, and it is unknown which of the two is meant.
    (
        "region-beside-openrc",
        "OS_REGION_NAME is north, but the cloud is in south",
    ),
    (
        "region-against-variable",
        "OS_REGION_NAME is north, but the cloud is in south",
    ),
    ("beside-beats-auth", "project_name has two different values"),
    ("username-beside-and-in-auth", "username has two different values"),
    (
        "interface-and-endpoint-type",
        "interface and endpoint_type differ",
    ),
    (
        "interface-of-both-types",
        "instance_ha_interface and ha_interface differ",
    ),
    // openstacksdk drops a setting silently.
    ("auth-plugin", "auth_plugin is set"),
    ("profile-unknown", "profile nirgends is not in clouds-public.yaml"),
    ("insecure-number", "insecure is neither true nor false"),
    ("openrc-insecure-yes", "insecure is neither true nor false"),
    // openstacksdk sends a request that Keystone refuses.
    (
        "application-credential-by-name-alone",
        "application_credential_name, but no username",
    ),
    ("application-credential-and-project", "only for its own project"),
    // openstacksdk supports a method that this loader does not.
    ("token-type", "auth_type \"token\" is not supported"),
    ("interface-list", "interface is a list"),
    ("override-placeholder", "%(placeholder), which is not supported"),
];

/// Returns the values that this loader reads differently from openstacksdk, as pointers into its result.
fn otherwise(name: &str) -> Option<(&'static str, Value)> {
    const PASSWORD: &str = "/body/auth/identity/password/user/password";
    Some(match name {
        // YAML 1.1 reads numbers, booleans and times.
        "password-octal" => (PASSWORD, json!("0123456701")),
        "password-grouped" => (PASSWORD, json!("1_000")),
        "password-fraction" => (PASSWORD, json!("1.10")),
        "password-hex" => (PASSWORD, json!("0x1F")),
        "password-yes" => (PASSWORD, json!("yes")),
        "password-sixty" => (PASSWORD, json!("1:30")),
        // As the `openstack` command does, unlike the library.
        "region-by-variable" | "regions-two-by-variable" => ("/region", json!("north")),
        _ => return None,
    })
}

fn environment(case: &Value, folder: &std::path::Path) -> ProcessEnvironment {
    for (file, text) in case["files"].as_object().unwrap() {
        std::fs::write(folder.join(file), text.as_str().unwrap()).unwrap();
    }
    let variables = case["variables"].as_object().unwrap();
    let variables = variables
        .iter()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()));
    ProcessEnvironment {
        variables: variables.collect::<BTreeMap<String, String>>(),
        folders: vec![folder.to_owned()],
    }
}

/// Renders a cloud in the form of the table.
fn rendered(cloud: &Cloud) -> Value {
    let keystone = &cloud.keystone;
    let default = Options::new("", keystone.credentials.clone()).timeout;
    let timeout = Some(keystone.timeout).filter(|timeout| *timeout != default);
    let tls = &keystone.tls;
    let verify = match (&tls.ca_file, tls.insecure) {
        (_, true) => json!(false),
        (Some(file), false) => json!(file),
        (None, false) => json!(true),
    };
    let cert = tls.client_certificate.as_ref().map(
        |(own, key)| {
            if own == key { json!(own) } else { json!([own, key]) }
        },
    );
    json!({
        "body": keystone.credentials.body(),
        "auth_url": keystone.auth_url,
        "region": keystone.region.name(),
        "interface": cloud.interface.as_str(),
        "endpoint": cloud.endpoint,
        "verify": verify,
        "cert": cert,
        "timeout": timeout.map(|timeout| timeout.as_secs()),
    })
}

fn difference(case: &Value) -> Option<String> {
    let name = case["name"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ours = read(case["cloud"].as_str().unwrap(), &environment(case, folder.path()));
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        let is_taken = case["sdk"].get("error").is_none();
        return match ours {
            _ if !is_taken => Some("openstacksdk refuses it too: it is no difference".to_owned()),
            Err(error) if error.to_string().contains(why) => None,
            Err(error) => Some(format!("it is refused, but not for {why}: {error}")),
            Ok(cloud) => Some(format!("it is not refused: {}", rendered(&cloud))),
        };
    }
    let mut expected = case["sdk"].clone();
    if expected.get("error").is_some() && name != "password-date" {
        return ours
            .ok()
            .map(|cloud| format!("openstacksdk refuses it: {}", rendered(&cloud)));
    }
    let mut got = match ours {
        Ok(cloud) => rendered(&cloud),
        Err(error) => return Some(format!("it is refused: {error}")),
    };
    if name == "password-date" {
        let password = got.pointer("/body/auth/identity/password/user/password");
        return (password != Some(&json!("2024-01-01"))).then(|| got.to_string());
    }
    if let Some((pointer, value)) = otherwise(name) {
        let theirs = expected.pointer_mut(pointer).unwrap();
        if *theirs == value {
            return Some("openstacksdk has the same: it is no difference".to_owned());
        }
        *theirs = value;
    }
    if expected["body"].is_null() {
        // A missing certificate stopped the request.
        got["body"] = Value::Null;
    }
    let interface = expected["interface"]
        .as_str()
        .and_then(Interface::parse)
        .map(Interface::as_str);
    expected["interface"] = json!(interface);
    (got != expected).then(|| format!("\n  ours {got}\n  want {expected}"))
}

/// Covers R35.
#[test]
fn clouds_are_read_as_openstacksdk_reads_them() {
    let table = include_str!("../../../tests/clients-config/table.json");
    let table: Value = serde_json::from_str(table).unwrap();
    let cases = table["cases"].as_array().unwrap();
    let names: Vec<&str> = cases.iter().map(|case| case["name"].as_str().unwrap()).collect();
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case["name"], difference(case)?)))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    assert!(cases.len() > 100);
    for (name, _) in REFUSED {
        assert!(names.contains(name), "{name} is no case");
    }
}

/// Covers R35.
#[test]
fn a_region_of_the_shells_other_cloud_is_not_dropped_without_a_word() {
    let of = |regions: &str, name: &str| {
        let folder = tempfile::tempdir().unwrap();
        let auth = "auth: {auth_url: 'http://k', username: u, password: p}";
        let text = format!("clouds: {{one: {{{auth}{regions}}}}}");
        std::fs::write(folder.path().join("clouds.yaml"), text).unwrap();
        let openrc = [("OS_AUTH_URL", "http://other"), ("OS_REGION_NAME", name)];
        let variables = openrc.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = ProcessEnvironment {
            variables: variables.into(),
            folders: vec![folder.path().to_owned()],
        };
        read("one", &environment)
    };
    let refusal = |regions, name| of(regions, name).unwrap_err().to_string();
    let two = ", regions: [south, north]";
    let several = refusal(two, "west");
    assert!(
        several.contains("OS_REGION_NAME=west does not count"),
        "{several}"
    );
    let one = refusal(", region_name: south", "west");
    assert!(
        one.contains("OS_REGION_NAME is west, but the cloud is in south"),
        "{one}"
    );
    assert_eq!(of(two, "north").unwrap().keystone.region.name(), Some("north"));
    assert_eq!(
        of(", region_name: south", "south")
            .unwrap()
            .keystone
            .region
            .name(),
        Some("south")
    );
    let none = of("", "west").unwrap();
    assert_eq!(none.keystone.region.name(), None);
    assert!(
        none.keystone.region_option.contains("belongs to the cloud"),
        "{}",
        none.keystone.region_option
    );
}

#[test]
fn no_message_holds_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clouds.yaml");
    let environment = ProcessEnvironment {
        folders: vec![folder.path().to_owned()],
        ..ProcessEnvironment::default()
    };
    let auth = "auth_url: 'http://k', username: u, password: hunter2";
    for (text, part) in [
        (
            "clouds: {one: {auth: {password: 'hunter2\n".to_owned(),
            "not valid YAML",
        ),
        (
            format!("clouds: {{one: {{auth: {{{auth}, hunter2: x}}}}}}"),
            "auth has",
        ),
        (
            format!("clouds: {{one: {{password: hunter3, auth: {{{auth}}}}}}}"),
            "password has two different values",
        ),
        (
            format!("clouds: {{one: {{interface: secret, auth: {{{auth}}}}}}}"),
            "interface",
        ),
        (
            format!("clouds: {{one: {{profile: vexxhost, auth: {{{auth}}}}}}}"),
            "profile vexxhost",
        ),
        (
            format!("clouds: {{one: {{regions: north, auth: {{{auth}}}}}}}"),
            "regions is not a list",
        ),
        (
            format!("clouds: {{one: {{instance_ha_service_name: other, auth: {{{auth}}}}}}}"),
            "instance_ha_service_name is not supported",
        ),
        ("- hunter2".to_owned(), "not a mapping"),
    ] {
        std::fs::write(&path, &text).unwrap();
        let error = read("one", &environment).unwrap_err().to_string();
        let shown = error.replace("auth has hunter2", "auth has");
        assert!(
            error.contains(part) && !shown.contains("hunter"),
            "{text}: {error}"
        );
        assert!(error.contains("clouds.yaml"), "{error}");
    }
    let nowhere = ProcessEnvironment::default();
    assert!(
        read("one", &nowhere)
            .unwrap_err()
            .to_string()
            .contains("there is no clouds.yaml")
    );
    std::fs::write(&path, format!("clouds: {{one: {{auth: {{{auth}}}}}, two: {{}}}}")).unwrap();
    let error = read("three", &environment).unwrap_err().to_string();
    assert!(
        error.ends_with("there is no cloud \"three\"; available: one, two"),
        "{error}"
    );
}

/// openstacksdk continues with the next path.
#[test]
fn a_missing_named_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clouds.yaml");
    std::fs::write(
        &path,
        "clouds: {one: {auth: {auth_url: 'http://k', username: u, password: p}}}",
    )
    .unwrap();
    let mut environment = ProcessEnvironment {
        folders: vec![folder.path().to_owned()],
        ..ProcessEnvironment::default()
    };
    assert!(read("one", &environment).is_ok());
    environment.variables.insert(
        "OS_CLIENT_CONFIG_FILE".to_owned(),
        "/nowhere/clouds.yaml".to_owned(),
    );
    let error = read("one", &environment).unwrap_err().to_string();
    assert!(error.contains("/nowhere/clouds.yaml"), "{error}");
}
