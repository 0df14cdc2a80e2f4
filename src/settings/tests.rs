use super::*;

fn read(text: &str) -> Result<Settings, ConfigErrors> {
    Settings::parse("test.conf", text)
}

#[test]
fn an_empty_file_gives_masakaris_defaults() {
    let settings = read("").unwrap();
    assert_eq!(settings.port, 15868);
    assert_eq!(settings.max_limit, 1000);
    assert_eq!(settings.duplicate_window_seconds, 180);
    assert_eq!(settings.policy, Policy::default());
    assert!(settings.nova.is_none());
}

#[test]
fn r15_the_mode_is_engine_when_a_power_controller_is_named_and_external_otherwise() {
    use tachi_domain::policy::FencingMode;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "a:b:c").unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let maas = format!(
        "maas_url = http://127.0.0.1:5240/MAAS\nmaas_api_key = file:{}\n",
        key.display()
    );
    let cases = [
        ("nothing", String::new(), FencingMode::External),
        ("a MAAS", maas.clone(), FencingMode::Engine),
        (
            "a MAAS, but external is asked for",
            format!("{maas}mode = external\n"),
            FencingMode::External,
        ),
        (
            "no MAAS, but engine is asked for",
            "mode = engine\n".into(),
            FencingMode::Engine,
        ),
    ];
    for (name, text, mode) in cases {
        assert_eq!(
            read(&format!("[fencing]\n{text}")).unwrap().policy.fencing,
            mode,
            "{name}"
        );
    }
}

#[test]
fn old_options_keep_their_names() {
    let settings = read(
        "[DEFAULT]\nhost_failure_recovery_threads = 7\nverify_interval = 3\nwait_period_after_power_off = 11\n\
         [host_failure]\nevacuate_all_instances = false\nha_enabled_instance_metadata_key = HA\n",
    )
    .unwrap();
    assert_eq!(settings.policy.in_flight, 7);
    assert_eq!(settings.policy.tick, Duration::from_secs(3));
    assert_eq!(settings.policy.stop_limit, Duration::from_secs(11));
    assert!(!settings.policy.evacuate_all);
    assert_eq!(settings.policy.ha_key, "HA");
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let Err(errors) = read(
        "[DEFAULT]\nmasakari_api_listen_port = 99999\nmasakari_api_listen = nowhere\n\
         [database]\nconnection = mysql+pymysql://u:geheim@db/masakari\n[fencing]\nmaas_url = http://m/MAAS\n",
    ) else {
        panic!("accepted");
    };
    let text = errors.to_string();
    for part in ["test.conf:2", "test.conf:3", "test.conf:5", "maas_api_key"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert!(!text.contains("geheim"), "{text}");
}

#[test]
fn a_cloud_is_reached_as_the_privileged_user_or_as_the_one_of_keystone_authtoken() {
    let authtoken = "[keystone_authtoken]\nauth_url = http://k/v3\nusername = masakari\npassword = p\n\
                     project_name = service\nuser_domain_name = Default\nproject_domain_name = Default\n";
    assert_eq!(read(authtoken).unwrap().nova.unwrap().auth_url, "http://k/v3");
    let both = format!(
        "[DEFAULT]\nos_privileged_user_auth_url = http://other/v3\nos_privileged_user_name = nova\n\
         os_privileged_user_password = p\nos_privileged_user_tenant = service\n{authtoken}"
    );
    assert_eq!(read(&both).unwrap().nova.unwrap().auth_url, "http://other/v3");
    assert!(
        read("[DEFAULT]\nos_privileged_user_auth_url = http://k/v3\n").is_err(),
        "half a login is refused"
    );
}
