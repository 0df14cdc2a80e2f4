//! Values of all options: what Masakari takes, and what `tachi config show` prints.

use tachi_config::Effective;

use super::*;

#[test]
fn what_masakari_takes_starts() {
    let text = include_str!("../testdata/legal-in-masakari.conf");
    let settings = read(text).map_err(|errors| errors.to_string()).unwrap();
    let seconds = Duration::from_secs;
    let usual = Policy::default();
    assert_eq!(settings.policy, usual, "a limit of no time is none");
    assert_eq!(settings.sweep_interval, seconds(2));
    assert_eq!(settings.notification_expiry, seconds(86_400));
    let noted: Vec<String> = settings.report.warnings.iter().map(ToString::to_string).collect();
    for option in [
        "wait_period_after_service_update",
        "wait_period_after_evacuation",
        "wait_period_after_power_off",
        "verify_interval",
        "check_expired_notifications_interval",
        "process_unfinished_notifications_interval",
    ] {
        let is_noted = noted
            .iter()
            .any(|note| note.contains(option) && note.contains("has no effect"));
        assert!(is_noted, "{option}: {noted:?}");
    }
}

#[test]
fn numbers_that_stand_for_never_or_no_limit_are_taken() {
    let server = "[database]\nconnection = mysql://h/d\n";
    let options = |text: &str| {
        let settings = read(&format!("{server}{text}"))
            .map_err(|errors| errors.to_string())
            .unwrap();
        settings.database.options().server.clone().unwrap()
    };
    assert_eq!(options("max_overflow = -1\n").connections, 20);
    assert!(options("connection_recycle_time = -1\n").recycle > Duration::from_secs(86_400 * 365));
    assert_eq!(
        options("connection_recycle_time = 0\n").recycle,
        Duration::from_secs(1)
    );
    assert_eq!(options("pool_timeout = 0\n").pool_timeout, Duration::from_secs(1));
    let all = "[DEFAULT]\nretry_notification_new_status_interval = -1\nwait_period_after_power_on = 0\n\
               notifications_expired_interval = 0\nwait_period_after_evacuation = 100000\nverify_interval = 3600\n";
    let settings = read(all).map_err(|errors| errors.to_string()).unwrap();
    assert_eq!(settings.policy.start_limit, Policy::default().start_limit);
    assert_eq!(settings.policy.deadline, Duration::from_secs(86_400));
    assert_eq!(settings.policy.slow_after, Duration::from_secs(100_000));
    assert_eq!(settings.policy.tick, Duration::from_secs(600));
    let text = format!("{AUTHTOKEN}token_cache_time = -1\n");
    let AuthStrategy::Keystone { cache, .. } = read(&text).unwrap().auth else {
        panic!("no Keystone");
    };
    assert_eq!(cache, Duration::ZERO);
}

#[test]
fn what_holds_no_password_is_no_secret() {
    let sensitive = |text: &str| -> Vec<String> {
        let report = read(text).map_err(|errors| errors.to_string()).unwrap().report;
        let all = report.effective.into_iter().filter(|option| option.sensitive);
        all.map(|option| option.option).collect()
    };
    let connection = |url: &str| sensitive(&format!("[database]\nconnection = {url}\n"));
    assert!(connection("sqlite:////var/lib/tachi/tachi.sqlite").is_empty());
    assert!(connection("postgresql://masakari@db/masakari").is_empty());
    assert_eq!(connection("mysql+pymysql://m:hunter2@db/m"), ["connection"]);
    let transport = |url: &str| sensitive(&format!("[DEFAULT]\ntransport_url = {url}\n"));
    assert!(transport("rabbit://h:5672/").is_empty());
    assert_eq!(transport("rabbit://u:hunter2@h:5672/"), ["transport_url"]);
}

/// Values for any kind of option, and for those that take nothing else.
const VALUES: &[&str] = &[
    "true",
    "false",
    "7",
    "2",
    "30",
    "0.5",
    "x",
    "a, b",
    "/x",
    "127.0.0.2",
    "http://h.example/",
    "compute:other:internalURL",
    "127.0.0.1:15871",
    "15868:/x",
    "a=b, c",
    "mon@{host}",
    "daily 03:00",
    "600",
    "enable_by_files",
    "syslog",
    "messagingv2",
    "wait:90m",
    "a=leave, b=wait:1h",
];

const PRIVILEGED: &str = "[DEFAULT]\nos_privileged_user_auth_url = http://k/v3\nos_privileged_user_name = n\n\
                          os_privileged_user_password = p\nos_privileged_user_tenant = t\n";

/// Options that need others beside them.
const SETS: &[(&str, &str)] = &[
    ("os_privileged_user_auth_url", PRIVILEGED),
    ("os_privileged_user_name", PRIVILEGED),
    ("os_privileged_user_tenant", PRIVILEGED),
    ("auth_url", AUTHTOKEN),
    (
        "keyfile",
        "[keystone_authtoken]\ncertfile = /c.pem\nkeyfile = /k.pem\n",
    ),
];

/// Options that read a file at once.
const FILES: &[&str] = &["use_ssl", "maas_url", "storm_failure_domains_file"];

fn option_of(report: &ConfigReport, like: &Effective) -> Effective {
    let key = (&like.section, &like.option);
    let found = report
        .effective
        .iter()
        .find(|one| (&one.section, &one.option) == key);
    found.unwrap().clone()
}

/// Texts of files that may set an option.
fn candidates(option: &Effective) -> Vec<String> {
    let set = SETS.iter().find(|(name, _)| *name == option.option);
    if let Some((_, text)) = set {
        return vec![(*text).to_owned()];
    }
    let unit = option.declaration.unit.replace(" or ", ", ");
    let choices = unit
        .split(", ")
        .filter(|_| option.declaration.unit.contains(" or "));
    let limits = option.declaration.limits.as_deref();
    let least = limits.and_then(|limits| limits.split(' ').next());
    // A flow with one step more.
    let flow = option
        .default
        .as_ref()
        .map(|text| text.replace("main:[", "main:['no_op',"));
    let values = choices
        .chain(VALUES.iter().copied())
        .chain(least)
        .chain(flow.as_deref());
    values
        .filter(|value| Some(*value) != option.default.as_deref())
        .map(|value| format!("[{}]\n{} = {value}\n", option.section, option.option))
        .collect()
}

/// A value that is not the default, in a file that can be read.
fn set(option: &Effective) -> Option<(String, ConfigReport)> {
    candidates(option).into_iter().find_map(|text| {
        let report = read(&text).ok()?.report;
        let option_read = option_of(&report, option);
        (option_read.origin != Origin::Default && option_read.value != option.default)
            .then_some((text, report))
    })
}

#[test]
fn slow_what_config_show_prints_is_read_back_as_it_was() {
    let (mut unset, mut wrong) = (Vec::new(), Vec::new());
    let declared = Settings::declared();
    let is_tried = |option: &&Effective| !option.secret && !FILES.contains(&option.option.as_str());
    for option in declared.iter().filter(is_tried) {
        let Some((text, report)) = set(option) else {
            unset.push(format!("[{}] {}", option.section, option.option));
            continue;
        };
        let again = match read(&report.to_string()) {
            Ok(again) => again.report,
            Err(errors) => {
                wrong.push(format!("{text}is shown so that it cannot be read: {errors}"));
                continue;
            }
        };
        for before in &report.effective {
            let after = option_of(&again, before);
            if after.value != before.value {
                let (section, name) = (&before.section, &before.option);
                wrong.push(format!(
                    "{text}gives [{section}] {name} as {:?}, then {:?}",
                    before.value, after.value
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(unset.is_empty(), "no value of VALUES can be set: {unset:?}");
}
