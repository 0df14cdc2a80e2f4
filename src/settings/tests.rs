use super::*;

mod recovery;
mod values;

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

/// Covers R15.
#[test]
fn the_mode_is_engine_when_a_power_controller_is_named_and_external_otherwise() {
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
         [database]\nconnection = oracle://u:geheim@db/masakari\n[fencing]\nmaas_url = http://m/MAAS\n",
    ) else {
        panic!("accepted");
    };
    let text = errors.to_string();
    for part in ["test.conf:2", "test.conf:3", "test.conf:5", "maas_api_key"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert!(!text.contains("geheim"), "{text}");
}

/// Covers I7.
#[test]
fn a_host_is_given_its_power_back_only_if_that_is_asked_for() {
    let on = |text: &str| read(text).map(|settings| settings.policy.power_on_after_recovery);
    assert!(!on("").unwrap());
    assert!(!on("[fencing]\nafter_recovery = leave_off\n").unwrap());
    assert!(on("[fencing]\nafter_recovery = power_on\n").unwrap());
    let error = on("[fencing]\nafter_recovery = yes\n").unwrap_err().to_string();
    assert!(
        error.contains("test.conf:2") && error.contains("after_recovery") && error.contains("leave_off"),
        "{error}"
    );
}

#[test]
fn a_cloud_is_reached_as_the_privileged_user_or_as_the_one_of_keystone_authtoken() {
    let authtoken = "[keystone_authtoken]\nauth_url = http://k/v3\nusername = masakari\npassword = p\n\
                     project_name = service\nuser_domain_name = Default\nproject_domain_name = Default\n";
    assert_eq!(
        read(authtoken).unwrap().nova.unwrap().keystone.auth_url,
        "http://k/v3"
    );
    let both = format!(
        "[DEFAULT]\nos_privileged_user_auth_url = http://other/v3\nos_privileged_user_name = nova\n\
         os_privileged_user_password = p\nos_privileged_user_tenant = service\n{authtoken}"
    );
    assert_eq!(
        read(&both).unwrap().nova.unwrap().keystone.auth_url,
        "http://other/v3"
    );
    for (part, missing) in [
        (
            "os_privileged_user_auth_url = http://k/v3",
            "os_privileged_user_name",
        ),
        ("os_privileged_user_name = nova", "os_privileged_user_auth_url"),
        ("os_privileged_user_password = p", "os_privileged_user_auth_url"),
        (
            "os_privileged_user_tenant = service",
            "os_privileged_user_auth_url",
        ),
    ] {
        let error = read(&format!("[DEFAULT]\n{part}\n{authtoken}")).err();
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(
            error.contains(missing),
            "half a login is refused: {part}: {error}"
        );
    }
}

/// Covers R35.
#[test]
fn novas_region_is_its_own_else_the_one_of_keystone() {
    use tachi_keystone::Region;
    let nova = "[DEFAULT]\nos_privileged_user_auth_url = http://other/v3\nos_privileged_user_name = nova\n\
                os_privileged_user_password = p\nos_privileged_user_tenant = service\n";
    let name = |name: &str| name.to_owned();
    for (text, expected) in [
        (AUTHTOKEN.to_owned(), Region::Unset),
        (
            format!("{AUTHTOKEN}region_name = k\n"),
            Region::Preferred(name("k")),
        ),
        (
            format!("[DEFAULT]\nos_region_name = n\n{AUTHTOKEN}region_name = k\n"),
            Region::Named(name("n")),
        ),
        (
            format!("[DEFAULT]\nos_region_name =\n{AUTHTOKEN}region_name = k\n"),
            Region::Preferred(name("k")),
        ),
        (
            format!("{nova}[keystone_authtoken]\nregion_name = k\n"),
            Region::Preferred(name("k")),
        ),
        (format!("{nova}os_region_name = n\n"), Region::Named(name("n"))),
    ] {
        assert_eq!(
            read(&text).unwrap().nova.unwrap().keystone.region,
            expected,
            "{text}"
        );
    }
}

const AUTHTOKEN: &str = "[keystone_authtoken]\nauth_url = http://k/v3\nusername = masakari\npassword = p\n\
                         project_name = service\nuser_domain_name = Default\nproject_domain_name = Default\n";

#[test]
fn every_option_about_tokens_is_read() {
    let text = format!(
        "{AUTHTOKEN}token_cache_time = 7\nservice_token_roles = service, helper\n\
         service_token_roles_required = false\nservice_type = instance-ha\nhttp_request_max_retries = 1\n\
         http_connect_timeout = 9\ncafile = /ca.pem\ncertfile = /c.pem\ninsecure = true\nregion_name = R\n\
         delay_auth_decision = true\ninterface = internal\nmemcached_servers = m:11211\n\
         include_service_catalog = false\nwww_authenticate_uri = http://public/\n"
    );
    let settings = read(&text).unwrap();
    let unexpected: Vec<_> = settings
        .report
        .warnings
        .iter()
        .filter(|warning| !warning.is_notice())
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    let AuthStrategy::Keystone {
        session: Some(session),
        www_authenticate_uri,
        cache,
        retries,
        tokens,
    } = settings.auth
    else {
        panic!("no Keystone");
    };
    assert_eq!((cache, retries), (Duration::from_secs(7), 1));
    assert_eq!(www_authenticate_uri, "http://public/");
    assert_eq!(tokens.service_roles, ["service", "helper"]);
    assert!(!tokens.service_roles_required);
    assert_eq!(tokens.service_type.as_deref(), Some("instance-ha"));
    assert_eq!(session.keystone.timeout, Duration::from_secs(9));
    assert_eq!(session.keystone.connect_timeout, Duration::from_secs(9));
    assert_eq!(session.keystone.region.name(), Some("R"));
    let file = PathBuf::from("/c.pem");
    assert_eq!(
        session.keystone.tls.client_certificate,
        Some((file.clone(), file))
    );
    assert!(session.keystone.tls.insecure);
    assert!(
        read(&format!("{AUTHTOKEN}keyfile = /k.pem\n")).is_err(),
        "a key without a certificate"
    );
}

#[test]
fn our_own_login_may_stand_in_a_section_of_another_name() {
    let text = AUTHTOKEN.replace("[keystone_authtoken]", "[login]");
    let text = format!("[keystone_authtoken]\nauth_section = login\nregion_name = R\n{text}");
    let nova = read(&text).unwrap().nova.unwrap();
    assert_eq!(nova.keystone.auth_url, "http://k/v3");
}

#[test]
fn the_policy_is_looked_for_where_the_configuration_is() {
    let settings = read("").unwrap().oslo_policy;
    assert_eq!(settings.file, PathBuf::from("policy.yaml"));
    assert_eq!(settings.dirs, [PathBuf::from("policy.d")]);
    assert!(!settings.file_is_named);
    let settings = read(
        "[oslo_policy]\npolicy_file = rules.json\npolicy_dirs = a, b\npolicy_default_rule = fallback\n\
         enforce_new_defaults = true\nenforce_scope = false\n",
    )
    .unwrap()
    .oslo_policy;
    assert_eq!(settings.file, PathBuf::from("rules.json"));
    assert_eq!(settings.dirs, [PathBuf::from("a"), PathBuf::from("b")]);
    assert_eq!(settings.options.default_rule, "fallback");
    assert!(settings.options.enforce_new_defaults && settings.file_is_named);
    let folders = api::policy_folders(
        &[
            "/etc/kolla/masakari.conf".into(),
            "here.conf".into(),
            "/etc/kolla/more.conf".into(),
        ],
        &["/etc/masakari/masakari.conf.d".into()],
    );
    let expected = [
        "/etc/kolla",
        ".",
        "/etc/masakari/masakari.conf.d",
        "/etc/tachi",
        "/etc/masakari",
    ];
    assert_eq!(folders, expected.map(PathBuf::from));
}

#[test]
fn the_log_goes_where_oslo_would_write_it() {
    let cases = [
        ("", None),
        ("log_file = /var/log/a.log", Some("/var/log/a.log")),
        ("log_dir = /var/log/tachi", Some("/var/log/tachi/tachi-api.log")),
        (
            "log_dir = /var/log/tachi\nlog_file = a.log",
            Some("/var/log/tachi/a.log"),
        ),
        (
            "logdir = /var/log/tachi\nlogfile = /else/a.log",
            Some("/else/a.log"),
        ),
    ];
    for (lines, expected) in cases {
        let settings = read(&format!("[DEFAULT]\n{lines}\n")).unwrap();
        assert_eq!(
            settings.log.file("tachi-api"),
            expected.map(PathBuf::from),
            "{lines}"
        );
    }
}

#[test]
fn reserved_hosts_and_returning_hosts_have_their_options() {
    let policy = |text: &str| Settings::parse("test.conf", text).unwrap().policy;
    let d = policy("");
    assert!(!d.join_aggregates && d.enable_after_return.is_none());
    assert_eq!(
        (d.reserved_wait, d.reserved_up_limit),
        (Duration::from_secs(120), Duration::from_secs(60))
    );
    let on = policy(
        "[host_failure]\nadd_reserved_host_to_aggregate = true\nreserved_host_wait = 5\nreserved_host_up_limit = 7\n\
         enable_after_return = true\n",
    );
    assert!(on.join_aggregates);
    assert_eq!(
        (on.reserved_wait, on.reserved_up_limit),
        (Duration::from_secs(5), Duration::from_secs(7))
    );
    assert_eq!(on.enable_after_return, Some(Duration::from_mins(5)));
    let own = policy("[host_failure]\nenable_after_return = true\nenable_after_return_stable = 30\n");
    assert_eq!(own.enable_after_return, Some(Duration::from_secs(30)));
}

#[test]
fn deploy08_openstack_ansible_writes_the_certificate_beside_use_ssl() {
    let wrong =
        read("[DEFAULT]\nuse_ssl = true\nssl_cert_file = /nowhere.pem\nssl_key_file = /nowhere.key\n");
    let wrong = wrong.err().map(|errors| errors.to_string()).unwrap_or_default();
    assert!(wrong.contains("/nowhere.pem"), "the file was looked at: {wrong}");
    assert!(!wrong.contains("is missing"), "{wrong}");
    assert!(read("[DEFAULT]\nssl_cert_file = /nowhere.pem\nssl_key_file = /nowhere.key\n").is_ok());
}

/// Covers T5.
#[test]
fn reporters_are_bound_by_names_and_a_file_that_says_nothing_warns() {
    let ours = "masakari-monitor-{host}".parse().unwrap();
    let settings = read("").unwrap();
    assert_eq!(
        settings.binding.mode,
        tachi_api::BindingMode::Warn,
        "as an adopted file has it"
    );
    assert_eq!(settings.binding.application_credentials, [ours]);
    let text = "[api]\nreporter_binding = enforce\nreporter_user_names = mon@{host}, {host}.mon\nreporter_certificates = m-{host}\n";
    let binding = read(text).unwrap().binding;
    assert_eq!(binding.mode, tachi_api::BindingMode::Enforce);
    assert_eq!((binding.user_names.len(), binding.certificates.len()), (2, 1));
    let wrong = "[api]\nreporter_binding = perhaps\nreporter_user_names = masakari\n";
    let errors = read(wrong).err().unwrap().to_string();
    assert!(
        errors.contains("reporter_binding") && errors.contains("reporter_user_names"),
        "{errors}"
    );
}

#[test]
fn files_with_secrets_that_everybody_may_read_are_told_of_with_what_to_type() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let secret = "[database]\nconnection = mysql+pymysql://masakari:hunter2@db/masakari\n";
    std::fs::write(path("secret.conf"), secret).unwrap();
    std::fs::write(path("plain.conf"), "[DEFAULT]\nhost = x\n").unwrap();
    let args = ConfigArgs {
        config_file: vec![path("plain.conf"), path("secret.conf")],
        ..ConfigArgs::default()
    };
    let exposed = |mode| {
        for name in ["secret.conf", "plain.conf"] {
            std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        Settings::load(&args)
            .map_err(|errors| errors.to_string())
            .unwrap()
            .exposed()
    };
    assert_eq!(exposed(0o640), Vec::<String>::new());
    let warning_text = exposed(0o644).join("\n");
    assert!(
        warning_text.contains(&format!("chmod o= {}", path("secret.conf").display())),
        "{warning_text}"
    );
    assert!(
        !warning_text.contains("plain.conf") && !warning_text.contains("hunter2"),
        "{warning_text}"
    );
}

/// Sample and tables are made of what the options say of themselves: `WRITE_PAGES=1 cargo nextest run -E 'test(options_say)'`.
fn is_written(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("WRITE_PAGES").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == text,
        "{} is old: WRITE_PAGES=1 writes it again",
        path.display()
    );
}

#[test]
fn options_say_what_they_are_and_the_pages_repeat_it() {
    let options = Settings::declared();
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
        "packaging/examples/masakari.conf.sample",
        &tachi_config::sample(&options),
    );
    let page = include_str!("../../docs/reference/tuning.md");
    is_written(
        "docs/reference/tuning.md",
        &tachi_config::with_rows(page, &options),
    );
}

#[test]
fn old_names_and_secrets_are_those_of_options_that_are_read() {
    let options = Settings::declared();
    let known = KnownOptions::masakari();
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

/// The list is written by `record_options.py` beside it.
#[test]
fn every_option_of_upstream_is_accepted() {
    let text = include_str!("../../engine/config/testdata/upstream_options.txt");
    let ini = Ini::parse("upstream", text).unwrap();
    let (options, known) = (Settings::declared(), KnownOptions::masakari());
    let mut count = 0;
    let mut unknown = Vec::new();
    for section in ini.sections() {
        for name in ini.section(section) {
            count += 1;
            let is_read = options
                .iter()
                .any(|option| option.section == section && option.option == name);
            if known.handling(section, name).is_none() && !is_read {
                unknown.push(format!("[{section}] {name}"));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert!(count > 300, "{count}");
}

/// Section 10, row by row. What is not listed as accepted is read when an API starts.
#[test]
fn every_option_is_read_or_knowingly_accepted() {
    const ALL: &[(&str, &str)] = &[
        (
            "DEFAULT",
            "masakari_api_listen masakari_api_listen_port masakari_api_workers use_ssl auth_strategy \
             use_forwarded_for osapi_max_limit osapi_masakari_link_prefix notification_delay_max \
             duplicate_notification_detection_interval fatal_exception_format_errors masakari_topic host tempdir \
             state_path pybasedir bindir monkey_patch monkey_patch_modules transport_url rpc_response_timeout \
             control_exchange service_down_time report_interval nova_catalog_admin_info os_region_name \
             os_privileged_user_name os_privileged_user_password os_privileged_user_tenant \
             os_privileged_user_auth_url os_system_scope os_user_domain_name os_project_domain_name \
             nova_ca_certificates_file nova_api_insecure process_unfinished_notifications_interval \
             retry_notification_new_status_interval check_expired_notifications_interval \
             notifications_expired_interval",
        ),
        (
            "wsgi",
            "api_paste_config wsgi_log_format secure_proxy_ssl_header ssl_ca_file ssl_cert_file ssl_key_file \
             tcp_keepidle default_pool_size max_header_line keep_alive client_socket_timeout",
        ),
        (
            "osapi_v1",
            "extensions_blacklist extensions_whitelist project_id_regex",
        ),
        ("coordination", "backend_url"),
        (
            "database",
            "connection max_retries retry_interval max_pool_size max_overflow pool_timeout connection_recycle_time",
        ),
        ("oslo_policy", "policy_file policy_dirs policy_default_rule"),
        (
            "oslo_middleware",
            "max_request_body_size enable_proxy_headers_parsing",
        ),
        (
            "cors",
            "allowed_origin allow_credentials expose_headers max_age allow_methods allow_headers",
        ),
        (
            "healthcheck",
            "detailed backends disable_by_file_path disable_by_file_paths enable_by_file_paths \
             allowed_source_ranges ignore_proxied_requests",
        ),
        (
            "keystone_authtoken",
            "www_authenticate_uri auth_type auth_url interface delay_auth_decision insecure service_token_roles \
             service_token_roles_required token_cache_time http_request_max_retries include_service_catalog \
             memcached_servers cafile certfile keyfile region_name",
        ),
    ];
    let known = KnownOptions::masakari();
    let report = read("").unwrap().report;
    let mut missing = Vec::new();
    for (section, options) in ALL {
        for option in options.split_whitespace() {
            let is_read = report
                .effective
                .iter()
                .any(|option_read| option_read.section == *section && option_read.option == option);
            if known.handling(section, option).is_none() && !is_read {
                missing.push(format!("[{section}] {option}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_rules_of_recoveries_hold_the_workflows() {
    let settings = Settings::parse(
        "test.conf",
        "[taskflow_driver_recovery_flows]\nprocess_failure_recovery_tasks = pre:['exec:/bin/x']\n",
    );
    let settings = settings.unwrap_or_else(|errors| panic!("{errors}"));
    assert!(!settings.policy.flows.process.acts);
    assert_eq!(settings.hooks.notes.len(), 1);
}
