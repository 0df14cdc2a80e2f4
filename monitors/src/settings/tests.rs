use super::*;

/// The required options.
pub(crate) const API: &str = "[api]\nauth_url = http://127.0.0.1:5000\nusername = u\npassword = p\n";

/// Parses the required options, followed by `text`.
pub(crate) fn settings(text: &str) -> Settings {
    read(&format!("{API}{text}")).unwrap()
}

fn read(text: &str) -> Result<Settings, Failure> {
    Settings::read(&Ini::parse("m.conf", text).unwrap())
}

/// The charm's template.
const CHARM: &str = "
[DEFAULT]
debug = False
hostname = compute-1.maas
[healthcheck]
[oslo_middleware]
[cors]
[api]
region = RegionOne
api_interface = internal
auth_url = http://10.0.0.1:35357
auth_type = password
project_domain_name = service_domain
project_domain_id = 0a1b
user_domain_name = service_domain
user_domain_id = 0a1b
project_name = services
username = masakarimonitors
password = hunter2
[callback]
retry_max = 10
retry_interval = 10
[introspectiveinstancemonitor]
[libvirt]
connection_uri = qemu:///system
[process]
process_list_path = /etc/masakari/process_list.yaml
[host]
corosync_multicast_interfaces = ens3
corosync_multicast_ports = 5405
restrict_to_remotes = True
disable_ipmi_check = True
";

#[test]
fn the_file_of_the_charm_is_read_unchanged() {
    let settings = read(CHARM).unwrap();
    assert_eq!(settings.hostname, "compute-1.maas");
    assert_eq!(settings.api.keystone.auth_url, "http://10.0.0.1:35357");
    assert_eq!(settings.api.interface, tachi_keystone::Interface::Internal);
    assert!(settings.host.restrict_to_remotes && settings.host.disable_ipmi_check);
    assert_eq!(
        settings.process.list,
        PathBuf::from("/etc/masakari/process_list.yaml")
    );
    let shown = format!("{settings:?} {}", settings.report);
    assert!(!shown.contains("hunter2"), "{shown}");
    // The domain's id takes precedence over its name.
    assert!(
        shown.contains("Id(\"0a1b\")") && !shown.contains("Name(\"service_domain\")"),
        "{shown}"
    );
    let strange: Vec<_> = settings
        .report
        .warnings
        .iter()
        .filter(|w| !w.is_notice())
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn the_old_name_of_the_host_is_read() {
    let settings = read(&format!("[DEFAULT]\nhost = old.name\n{API}")).unwrap();
    assert_eq!(settings.hostname, "old.name");
}

#[test]
fn a_wrong_value_names_file_line_and_option() {
    let cases = [
        (
            "[host]\nmonitoring_interval = soon\n",
            "m.conf:2",
            "monitoring_interval",
        ),
        (
            "[host]\nmonitoring_driver = nagios\n",
            "m.conf:2",
            "monitoring_driver",
        ),
        ("[monitor]\n\nhost_listen = here\n", "m.conf:3", "host_listen"),
        ("[DEFAULT]\nhostname = a b\n", "m.conf:2", "hostname"),
        (
            "[monitor]\nretry_max = 1\nretry_min = 2\n",
            "m.conf:2",
            "retry_max",
        ),
        (
            "[DEFAULT]\n[process]\nrestart_retries = never\n",
            "m.conf:3",
            "restart_retries",
        ),
    ];
    for (text, place, option) in cases {
        let failure = read(&format!("{text}{API}")).unwrap_err();
        let error_text = failure.chain();
        assert!(
            failure.is_usage() && error_text.contains(place) && error_text.contains(option),
            "{error_text}"
        );
    }
}

#[test]
fn what_is_missing_is_told_at_once() {
    let error_text = read("[DEFAULT]\n").unwrap_err().chain();
    for option in ["auth_url", "password", "username"] {
        assert!(error_text.contains(option), "{error_text}");
    }
    let error_text = read("[api]\nauth_url = http://k\nauth_type = v3applicationcredential\n")
        .unwrap_err()
        .chain();
    assert!(
        error_text.contains("application_credential_id")
            && error_text.contains("application_credential_secret"),
        "{error_text}"
    );
}

#[test]
fn unknown_options_warn() {
    let settings = settings("[host]\nmonitoring_intervall = 3\n[hosts]\na = b\n");
    let warnings: Vec<String> = settings.report.warnings.iter().map(ToString::to_string).collect();
    assert!(
        warnings[0].contains("did you mean `monitoring_interval`"),
        "{warnings:?}"
    );
    assert!(warnings[1].contains("[hosts] is not a section"), "{warnings:?}");
}

#[test]
fn numbers_that_masakari_takes_are_replaced_with_a_warning() {
    let read = |text: &str| read(text).map_err(|failure| failure.chain()).unwrap();
    let settings = read(include_str!("testdata/legal-in-masakari.conf"));
    let seconds = Duration::from_secs;
    let (host, process, guest) = (&settings.host, &settings.process, &settings.guest);
    assert_eq!((host.interval, host.samples), (seconds(1), 1));
    // `timeout 0 ipmitool`, as Masakari calls it, has no timeout.
    assert_eq!(host.ipmi_timeout, seconds(15));
    assert_eq!((host.ipmi_retry_max, host.ipmi_retry_interval), (0, seconds(0)));
    assert_eq!((process.interval, process.retries), (seconds(1), 0));
    assert_eq!(process.restart_interval, seconds(0));
    assert_eq!((guest.interval, guest.threshold), (seconds(1), 0));
    // libvirt's own timeout, for which -1 stands.
    assert_eq!(guest.timeout, seconds(5));
    let warnings = |settings: &Settings| -> Vec<String> {
        let all = settings.report.warnings.iter();
        all.filter(|one| !one.is_notice())
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(
        warnings(&settings),
        [
            "m.conf:6: [host] monitoring_interval = 0 is not supported, 1 is used: the supported values are 1 to 86400",
            "m.conf:7: [host] monitoring_samples = 0 is not supported, 1 is used: the supported values are 1 to 1000",
            "m.conf:8: [host] ipmi_timeout = 0 is not supported, 15 is used: all readings of a power controller end after 15 s",
            "m.conf:9: [host] ipmi_retry_max = -1 is not supported, 0 is used: the supported values are 0 or more",
            "m.conf:10: [host] ipmi_retry_interval = -1 is not supported, 0 is used: the supported values are 0 to 86400",
            "m.conf:16: [introspectiveinstancemonitor] guest_monitoring_interval = 0 is not supported, 1 is used: the supported values are 1 \
         to 86400",
            "m.conf:17: [introspectiveinstancemonitor] guest_monitoring_timeout = -1 is not supported, 5 is used: it is libvirt's own timeout",
            "m.conf:18: [introspectiveinstancemonitor] guest_monitoring_failure_threshold = -1 is not supported, 0 is used: the supported \
         values are 0 or more",
            "m.conf:12: [process] check_interval = 0 is not supported, 1 is used: the supported values are 1 to 86400",
            "m.conf:13: [process] restart_retries = -1 is not supported, 0 is used: the supported values are 0 to 1000",
            "m.conf:14: [process] restart_interval = -1 is not supported, 0 is used: the supported values are 0 to 86400",
        ]
    );
    // Values that are too large prevented the start as well.
    let large = read(&format!(
        "[process]\ncheck_interval = 100000\nrestart_retries = 5000\n{API}"
    ));
    assert_eq!(
        (large.process.interval, large.process.retries),
        (seconds(86_400), 1000)
    );
    assert_eq!(warnings(&large).len(), 2);
}

#[test]
fn health_is_served_on_loopback_and_may_be_off() {
    assert_eq!(settings("").listen(Kind::Process), Some("127.0.0.1:15872"));
    assert_eq!(
        settings("[monitor]\nprocess_listen = off\n").listen(Kind::Process),
        None
    );
    assert_eq!(
        settings("[monitor]\nprocess_listen = 0.0.0.0:1\n").listen(Kind::Process),
        Some("0.0.0.0:1")
    );
}

/// Covers R35.
#[test]
fn a_token_of_the_api_has_one_scope() {
    let user = "[api]\nauth_url = http://k\nusername = u\npassword = p\n";
    for (more, parts) in [
        (
            "project_name = p\ndomain_id = d\n",
            ["a project and a domain", "domain_id"],
        ),
        (
            "project_name = p\ndomain_name = d\n",
            ["a project and a domain", "domain_name"],
        ),
        (
            "project_name = p\nsystem_scope = all\n",
            ["a project and system_scope", "system_scope"],
        ),
        (
            "domain_id = d\ntrust_id = t\n",
            ["a domain and trust_id", "trust_id"],
        ),
        (
            "system_scope = some\n",
            ["system_scope is not all", "system_scope"],
        ),
        (
            "project_name = p\ntrust_id = t\n",
            ["a project and trust_id", "trust_id"],
        ),
    ] {
        let error_text = read(&format!("{user}{more}")).unwrap_err().chain();
        assert!(
            parts.iter().all(|part| error_text.contains(part)),
            "{more}: {error_text}"
        );
    }
    let credential = "[api]\nauth_url = http://k\nauth_type = v3applicationcredential\napplication_credential_id = i\n\
        application_credential_secret = s\n";
    for more in ["domain_id = d\n", "system_scope = all\n", "trust_id = t\n"] {
        let error_text = read(&format!("{credential}{more}")).unwrap_err().chain();
        assert!(
            error_text.contains("an application credential"),
            "{more}: {error_text}"
        );
    }
    for good in [
        "",
        "system_scope = all\n",
        "domain_id = d\n",
        "trust_id = t\n",
        "project_name = p\n",
    ] {
        assert!(read(&format!("{user}{good}")).is_ok(), "{good}");
    }
}

#[test]
fn another_section_may_hold_the_credentials() {
    let text =
        "[api]\nauth_section = keystone\n[keystone]\nauth_url = http://k\nusername = u\npassword = p\n";
    let settings = read(text).unwrap();
    assert_eq!(settings.api.keystone.auth_url, "http://k");
    assert!(
        settings.report.warnings.is_empty(),
        "{:?}",
        settings.report.warnings
    );
}

#[test]
fn a_world_readable_file_with_a_password_is_reported_with_the_fix() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("masakarimonitors.conf");
    let exposed = |text: &str, mode: u32| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let ini = Ini::load(&[tachi_config::ConfigSource::File(path.clone())], &[], &[]).unwrap();
        Settings::read(&ini).unwrap().exposed()
    };
    let with = "[api]\nauth_url = http://127.0.0.1/v3\nusername = u\nproject_name = p\npassword = hunter2\n";
    for mode in [0o600, 0o640, 0o660] {
        assert_eq!(exposed(with, mode), Vec::<String>::new(), "{mode:o}");
    }
    for mode in [0o644, 0o666, 0o604] {
        let warning_text = exposed(with, mode).join("");
        assert!(
            warning_text.contains("chmod 0640 /") && !warning_text.contains("hunter2"),
            "{mode:o}: {warning_text}"
        );
    }
}

/// Sample and tables are generated from the options: `WRITE_PAGES=1 cargo nextest run -E 'test(options_say)'`.
fn is_written(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("WRITE_PAGES").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == text,
        "{} is outdated: WRITE_PAGES=1 writes it again",
        path.display()
    );
}

#[test]
fn options_say_what_they_are_and_the_pages_repeat_it() {
    let options = Settings::declared().unwrap();
    let silent: Vec<String> = options
        .iter()
        .filter(|option| option.declaration.help.is_empty() || option.declaration.help.ends_with('.'))
        .map(|option| format!("[{}] {}", option.section, option.option))
        .collect();
    assert!(
        silent.is_empty(),
        "without a sentence, or with a full stop: {silent:?}"
    );
    is_written(
        "../packaging/examples/masakarimonitors.conf.sample",
        &tachi_config::sample(&options),
    );
    for page in [
        "monitors.md",
        "reference/monitor-host.md",
        "reference/monitor-process.md",
        "reference/monitor-instance.md",
        "reference/monitor-introspective.md",
    ] {
        let path = format!("../docs/{page}");
        let there = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&path)).unwrap();
        is_written(&path, &tachi_config::with_rows(&there, &options));
    }
}

#[test]
fn old_names_and_secrets_are_those_of_options_that_are_read() {
    let options = Settings::declared().unwrap();
    let known = known().unwrap();
    let strange: Vec<_> = known
        .expected()
        .filter(|(section, name)| {
            !options
                .iter()
                .any(|option| (option.section.as_str(), option.option.as_str()) == (*section, *name))
        })
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
}
