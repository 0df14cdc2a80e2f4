use std::time::Duration;

use tachi_config::ConfigErrors;
use tachi_domain::policy::BareNormal;

use crate::settings::Settings;

fn read(text: &str) -> Result<Settings, ConfigErrors> {
    Settings::parse("test.conf", text)
}

const PAGE: &str = include_str!("../../../docs/reference/tuning.md");

/// Options outside the sections that belong to recoveries as a whole.
const OLD: [&str; 10] = [
    "wait_period_after_service_update",
    "wait_period_after_evacuation",
    "wait_period_after_power_off",
    "wait_period_after_power_on",
    "notifications_expired_interval",
    "host_failure_recovery_threads",
    "verify_interval",
    "process_unfinished_notifications_interval",
    "retry_notification_new_status_interval",
    "check_expired_notifications_interval",
];

/// Options of `[fencing]` that the page lists; the others are on the page about fencing.
fn is_a_guards(option: &str) -> bool {
    option.starts_with("storm_") || option.starts_with("reporter_") || option.ends_with("_fraction_percent")
}

#[test]
fn the_page_about_tuning_lists_every_option_of_recoveries_and_schedules() {
    let read = Settings::declared()
        .into_iter()
        .filter(|option_read| {
            matches!(
                option_read.section.as_str(),
                "host_failure" | "instance_failure" | "process_failure" | "recovery" | "schedule"
            ) || (option_read.section == "fencing" && is_a_guards(&option_read.option))
                || (option_read.section == "DEFAULT" && OLD.contains(&option_read.option.as_str()))
        })
        .map(|option_read| format!("| `[{}] {}` |", option_read.section, option_read.option));
    let missing: Vec<String> = read.filter(|row| !PAGE.contains(row)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn masakaris_waits_are_upper_bounds() {
    let settings = read(
        "[DEFAULT]\nwait_period_after_service_update = 60\nwait_period_after_evacuation = 90\n\
         wait_period_after_power_off = 30\nwait_period_after_power_on = 20\nverify_interval = 3\n\
         host_failure_recovery_threads = 4\nnotifications_expired_interval = 3600\n\
         process_unfinished_notifications_interval = 1\n",
    )
    .unwrap();
    let policy = &settings.policy;
    let seconds = Duration::from_secs;
    assert_eq!(policy.disable_limit, seconds(60));
    assert_eq!(
        policy.bare_normal,
        BareNormal::Wait(seconds(60)),
        "no sooner than Masakari"
    );
    assert_eq!(policy.slow_after, seconds(90));
    assert_eq!(
        (policy.stop_limit, policy.start_limit),
        (seconds(30), seconds(20))
    );
    assert_eq!((policy.tick, policy.in_flight), (seconds(3), 4));
    assert_eq!(
        (policy.deadline, policy.move_deadline),
        (seconds(3600), seconds(3600))
    );
    assert_eq!(settings.notification_expiry, seconds(3600));
    assert_eq!(settings.sweep_interval, seconds(1));
    let warned: Vec<String> = settings.report.warnings.iter().map(ToString::to_string).collect();
    assert!(warned.is_empty(), "{warned:?}");
}

#[test]
fn our_own_names_count_more_than_masakaris() {
    let policy = read(
        "[DEFAULT]\nwait_period_after_evacuation = 90\nverify_interval = 3\nnotifications_expired_interval = 86400\n\
         [recovery]\nprogress_timeout = 30\ntick_interval = 1\ndeadline = 7200\ninstance_deadline = 600\n",
    )
    .unwrap()
    .policy;
    let seconds = Duration::from_secs;
    assert_eq!((policy.slow_after, policy.tick), (seconds(30), seconds(1)));
    assert_eq!(
        (policy.deadline, policy.move_deadline),
        (seconds(7200), seconds(600))
    );
}

#[test]
fn which_instances_are_left_is_read() {
    let policy = read(
        "[host_failure]\nha_priority_instance_metadata_key = prio\nha_priority_across_projects = yes\nevacuate_service_instances = yes\n\
         exclude_instance_metadata = ha=no, canary\nexclude_projects = p1, p2\nexclude_images = i1\n\
         exclude_image_properties = os_distro=cirros\nexclude_flavor_properties = hw:pci, a=b=c\n\
         [instance_failure]\nmax_restarts = 2\nrestart_window = 600\nrestart_pause = 5\n",
    )
    .unwrap()
    .policy;
    let pairs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
    assert_eq!(policy.priority_key, "prio");
    assert!(policy.priority_across_projects);
    assert!(policy.evacuate_service_instances);
    assert_eq!(policy.leave.metadata, pairs(&["ha=no", "canary"]));
    assert_eq!(policy.leave.projects, ["p1", "p2"]);
    assert_eq!(policy.leave.images, ["i1"]);
    assert_eq!(policy.leave.image_properties, pairs(&["os_distro=cirros"]));
    assert_eq!(policy.leave.flavor_properties, pairs(&["hw:pci", "a=b=c"]));
    assert_eq!(policy.max_restarts, 2);
    assert_eq!(policy.restart_window, Duration::from_secs(600));
    assert_eq!(policy.restart_pause, Duration::from_secs(5));
}

#[test]
fn silence_that_an_operator_has_set_is_not_learnt() {
    let set = |text: &str| read(text).unwrap().policy.heartbeat_stale_is_set;
    assert!(!set(""));
    assert!(set("[fencing]\nheartbeat_stale_after = 15\n"), "the default, too");
}

#[test]
fn sets_that_cannot_work_are_refused_by_line() {
    let cases = [
        (
            "[recovery]\ndeadline = 600\ninstance_deadline = 700\n",
            "test.conf:3: [recovery] instance_deadline",
            "longer than the recovery's own deadline",
        ),
        (
            "[recovery]\ninstance_deadline = 100\n",
            "test.conf:2: [recovery] instance_deadline",
            "101 s by call_deadline and proxy_hold",
        ),
        (
            "[instance_failure]\nrestart_window = 60\nrestart_pause = 60\n",
            "test.conf:3: [instance_failure] restart_pause",
            "not shorter than restart_window",
        ),
        (
            "[host_failure]\nexclude_instance_metadata = a, =b\n",
            "test.conf:2: [host_failure] exclude_instance_metadata",
            "it has no key",
        ),
    ];
    for (text, place, why) in cases {
        let Err(errors) = read(text) else {
            panic!("accepted: {text}");
        };
        let message = errors.to_string();
        assert!(
            message.contains(place) && message.contains(why),
            "{text}: {message}"
        );
    }
}

#[test]
fn a_short_expiry_is_no_contradiction_of_what_nobody_has_set() {
    let policy = read("[DEFAULT]\nnotifications_expired_interval = 60\n")
        .unwrap()
        .policy;
    assert_eq!(policy.deadline, Duration::from_secs(60));
    assert!(policy.move_deadline <= policy.deadline);
}

#[test]
fn the_guards_are_read_and_a_wrong_value_names_its_option() {
    let text = "[fencing]\nstorm_startup_grace = 0\nstorm_fences = 7\nstorm_cliff_percent = 100\n\
                storm_protected_hosts = control-*, ceph-mon-?\nstorm_protected_key =\nstorm_witnesses = 10.0.0.1:22\n";
    let settings = read(text).unwrap();
    let guards = &settings.policy.guards;
    assert_eq!((guards.startup_grace, guards.fences), (Duration::ZERO, 7));
    assert_eq!(guards.protected_hosts, ["control-*", "ceph-mon-?"]);
    assert_eq!(guards.window, Duration::from_secs(300));
    assert_eq!(settings.surroundings.witnesses, ["10.0.0.1:22"]);
    for wrong in [
        "storm_fences = -1",
        "storm_cliff_percent = 0",
        "storm_window = 0",
        "storm_protected_hosts = a b",
        "storm_witnesses = http://gateway",
        "storm_failure_domains_file = /nowhere/at/all",
    ] {
        let Err(errors) = read(&format!("[fencing]\n{wrong}\n")) else {
            panic!("{wrong} was taken");
        };
        let option = wrong.split(' ').next().unwrap();
        assert!(errors.to_string().contains(option), "{wrong}: {errors}");
    }
}

/// Covers C8.
#[test]
fn normal_without_evidence_waits_as_long_as_masakari_unless_the_file_refuses_it() {
    let policy = read("").unwrap().policy;
    assert_eq!(policy.bare_normal, BareNormal::Wait(Duration::from_secs(180)));
    let text =
        "[DEFAULT]\nwait_period_after_service_update = 60\n[fencing]\nnormal_without_evidence = refuse\n";
    assert_eq!(read(text).unwrap().policy.bare_normal, BareNormal::Refuse);
    let Err(errors) = read("[fencing]\nnormal_without_evidence = believe\n") else {
        panic!("taken");
    };
    let message = errors.to_string();
    assert!(
        message.contains("normal_without_evidence") && message.contains("refuse"),
        "{message}"
    );
}
