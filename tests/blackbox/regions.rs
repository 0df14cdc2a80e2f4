//! Two regions of one cloud, with hosts and instances of the same names: commands act on the intended one, and on none while it is
//! ambiguous (R35).

use std::process::{Command, Stdio};
use std::time::Duration;

use tachi_sandbox::{Boot, Sandbox, SandboxOptions};
use uuid::Uuid;

use super::support::{Stage, quick_region, run};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(60);

/// Starts a second region, listed first in the catalogue; returns it with the instances on its host of the same name.
async fn beside(stage: &Stage) -> (Sandbox, Vec<Uuid>) {
    let options = SandboxOptions {
        region: quick_region(3),
        ..SandboxOptions::default()
    };
    let two = stage.sandbox.start_beside("RegionTwo", options).await.unwrap();
    two.register_endpoint("instance-ha", "masakari", "http://127.0.0.1:9/v1/$(tenant_id)s");
    let boot = Boot::on(HOST, 2).metadata("HA_Enabled", "True");
    let servers = two.region().boot(&boot).unwrap();
    (two, servers)
}

fn assert_names_both(text: &str) {
    // A table breaks its lines.
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c == '|')
        .filter(|word| !word.is_empty())
        .collect();
    let text = words.join(" ");
    for part in ["in several regions", "RegionOne (http", "RegionTwo (http"] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_starts_on_none_of_several_regions_and_acts_on_the_one_that_is_set() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    let (two, others) = beside(&stage).await;
    let own = stage.boot(HOST, 2);

    for subcommand in ["engine", "api", "serve"] {
        let mut process = stage.spawn(subcommand);
        assert_eq!(process.ended(LIMIT).await, Some(2), "{subcommand}");
        let log = std::fs::read_to_string(stage.folder.path().join(format!("{subcommand}.log"))).unwrap();
        assert_names_both(&log);
        assert!(log.contains("os_region_name"), "{log}");
    }
    for words in [
        &["doctor", "--upgrade"][..],
        &["doctor", "nova"],
        &["setup", "import"],
    ] {
        let (code, told, note) = run(&stage, words);
        assert_names_both(&format!("{told}{note}"));
        assert!(code != 0 || words[0] == "doctor", "{words:?}: {told}");
    }

    for region in [stage.sandbox.region(), two.region()] {
        region.faults().power_loss(HOST).unwrap();
    }
    let more = stage.folder.path().join("region.conf");
    std::fs::write(&more, "[keystone_authtoken]\nregion_name = RegionOne\n").unwrap();
    let _engine = stage.spawn_with("engine", &[more]);
    let id = stage.report(HOST).await;
    stage.until_finished(id, LIMIT).await;
    stage.assert_each_exactly_once(&own, HOST);
    for id in others {
        assert!(two.region().migrations(id).is_empty());
        let server = two.region().server(id).unwrap();
        assert_eq!(server.host.as_deref(), Some(HOST));
        assert!(!server.locked);
    }
}

fn tachi(stage: &Stage, words: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tachi"));
    let clouds = stage.folder.path().join("clouds.yaml");
    command
        .env_remove("OS_CLOUD")
        .env("OS_CLIENT_CONFIG_FILE", clouds);
    let output = command
        .envs(variables.iter().copied())
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code().unwrap(), text.concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_asks_the_region_that_is_written_and_none_of_several() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    let _two = beside(&stage).await;
    let more = stage.folder.path().join("region.conf");
    std::fs::write(&more, "[DEFAULT]\nos_region_name = RegionOne\n").unwrap();
    let _api = stage.spawn_with("api", &[more]);
    stage.api().await;
    let yaml = stage.sandbox.clouds_yaml();
    let path = stage.folder.path().join("clouds.yaml");
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
    let (code, told) = tachi(&stage, &freeze, &[]);
    assert_ne!(code, 0);
    assert_names_both(&told);
    write("    regions: [RegionTwo, RegionOne]\n");
    let (code, told) = tachi(&stage, &freeze, &[]);
    assert_eq!(code, 2);
    assert!(told.contains("several regions: RegionTwo, RegionOne"), "{told}");

    let list = ["freeze", "list", "--os-cloud", "tachi-sandbox"];
    let (code, told) = tachi(&stage, &list, &[("OS_REGION_NAME", "RegionOne")]);
    assert_eq!(code, 0, "{told}");
    write("    regions:\n    - name: RegionOne\n      values: {interface: internal}\n");
    let (code, told) = tachi(&stage, &list, &[]);
    assert_eq!(code, 0, "{told}");

    let login = stage.sandbox.credentials();
    let mut openrc = vec![
        ("OS_AUTH_URL", login.auth_url.as_str()),
        ("OS_USERNAME", &login.username),
        ("OS_PASSWORD", &login.password),
        ("OS_PROJECT_NAME", &login.project_name),
        ("OS_USER_DOMAIN_NAME", &login.domain_name),
        ("OS_PROJECT_DOMAIN_NAME", &login.domain_name),
    ];
    let list = ["freeze", "list", "--os-cloud", "envvars"];
    let (code, told) = tachi(&stage, &list, &openrc);
    assert_ne!(code, 0);
    assert_names_both(&told);
    openrc.push(("OS_REGION_NAME", "RegionOne"));
    let (code, told) = tachi(&stage, &list, &openrc);
    assert_eq!(code, 0, "{told}");
}
