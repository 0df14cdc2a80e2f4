//! Two regions of one cloud, with hosts and instances of the same names: commands act on the intended one, and on none while it is
//! ambiguous (R35).

use std::process::{Command, Stdio};
use std::time::Duration;

use tachi_sandbox::{Boot, Sandbox, SandboxOptions};
use uuid::Uuid;

use super::support::{Harness, quick_region, run};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(60);

/// Starts a second region, listed first in the catalogue; returns it with the instances on its host of the same name.
async fn beside(harness: &Harness) -> (Sandbox, Vec<Uuid>) {
    let options = SandboxOptions {
        region: quick_region(3),
        ..SandboxOptions::default()
    };
    let two = harness.sandbox.start_beside("RegionTwo", options).await.unwrap();
    two.register_endpoint("instance-ha", "masakari", "http://127.0.0.1:9/v1/$(tenant_id)s");
    let boot = Boot::on(HOST, 2).metadata("HA_Enabled", "True");
    let servers = two.region().boot(&boot).unwrap();
    (two, servers)
}

fn assert_names_both(text: &str) {
    // A table breaks its lines.
    let arguments: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c == '|')
        .filter(|word| !word.is_empty())
        .collect();
    let text = arguments.join(" ");
    for part in ["in several regions", "RegionOne (http", "RegionTwo (http"] {
        assert!(text.contains(part), "{text}");
    }
}

/// Covers R35.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_starts_on_none_of_several_regions_and_acts_on_the_one_that_is_set() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let (two, others) = beside(&harness).await;
    let own = harness.boot(HOST, 2);

    for subcommand in ["engine", "api", "serve"] {
        let mut process = harness.spawn(subcommand);
        assert_eq!(process.ended(LIMIT).await, Some(2), "{subcommand}");
        let log = std::fs::read_to_string(harness.folder.path().join(format!("{subcommand}.log"))).unwrap();
        assert_names_both(&log);
        assert!(log.contains("os_region_name"), "{log}");
    }
    for arguments in [
        &["doctor", "--upgrade"][..],
        &["doctor", "nova"],
        &["setup", "import"],
    ] {
        let (code, printed, note) = run(&harness, arguments);
        assert_names_both(&format!("{printed}{note}"));
        assert!(code != 0 || arguments[0] == "doctor", "{arguments:?}: {printed}");
    }

    for region in [harness.sandbox.region(), two.region()] {
        region.faults().power_loss(HOST).unwrap();
    }
    let more = harness.folder.path().join("region.conf");
    std::fs::write(&more, "[keystone_authtoken]\nregion_name = RegionOne\n").unwrap();
    let _engine = harness.spawn_with("engine", &[more]);
    let id = harness.report(HOST).await;
    harness.until_finished(id, LIMIT).await;
    harness.assert_each_exactly_once(&own, HOST);
    for id in others {
        assert!(two.region().migrations(id).is_empty());
        let server = two.region().server(id).unwrap();
        assert_eq!(server.host.as_deref(), Some(HOST));
        assert!(!server.locked);
    }
}

fn tachi(harness: &Harness, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tachi"));
    let clouds = harness.folder.path().join("clouds.yaml");
    command
        .env_remove("OS_CLOUD")
        .env("OS_CLIENT_CONFIG_FILE", clouds);
    let output = command
        .envs(variables.iter().copied())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code().unwrap(), text.concat())
}

/// Covers R35.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_asks_the_region_that_is_written_and_none_of_several() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let _two = beside(&harness).await;
    let more = harness.folder.path().join("region.conf");
    std::fs::write(&more, "[DEFAULT]\nos_region_name = RegionOne\n").unwrap();
    let _api = harness.spawn_with("api", &[more]);
    harness.api().await;
    let yaml = harness.sandbox.clouds_yaml();
    let path = harness.folder.path().join("clouds.yaml");
    let write = |region: &str| {
        let text = yaml.replace("    region_name: RegionOne\n", region);
        assert_ne!(text, yaml);
        std::fs::write(&path, text).unwrap();
    };
    let freeze = [
        "freeze",
        "host",
        HOST,
        "--for",
        "1h",
        "--reason",
        "work",
        "--os-cloud",
        "tachi-sandbox",
    ];

    write("");
    let (code, printed) = tachi(&harness, &freeze, &[]);
    assert_ne!(code, 0);
    assert_names_both(&printed);
    write("    regions: [RegionTwo, RegionOne]\n");
    let (code, printed) = tachi(&harness, &freeze, &[]);
    assert_eq!(code, 2);
    assert!(
        printed.contains("several regions: RegionTwo, RegionOne"),
        "{printed}"
    );

    let list = ["freeze", "list", "--os-cloud", "tachi-sandbox"];
    let (code, printed) = tachi(&harness, &list, &[("OS_REGION_NAME", "RegionOne")]);
    assert_eq!(code, 0, "{printed}");
    write("    regions:\n    - name: RegionOne\n      values: {interface: internal}\n");
    let (code, printed) = tachi(&harness, &list, &[]);
    assert_eq!(code, 0, "{printed}");

    let login = harness.sandbox.credentials();
    let mut openrc = vec![
        ("OS_AUTH_URL", login.auth_url.as_str()),
        ("OS_USERNAME", &login.username),
        ("OS_PASSWORD", &login.password),
        ("OS_PROJECT_NAME", &login.project_name),
        ("OS_USER_DOMAIN_NAME", &login.domain_name),
        ("OS_PROJECT_DOMAIN_NAME", &login.domain_name),
    ];
    let list = ["freeze", "list", "--os-cloud", "envvars"];
    let (code, printed) = tachi(&harness, &list, &openrc);
    assert_ne!(code, 0);
    assert_names_both(&printed);
    openrc.push(("OS_REGION_NAME", "RegionOne"));
    let (code, printed) = tachi(&harness, &list, &openrc);
    assert_eq!(code, 0, "{printed}");
}
