use std::{collections::HashMap, time::Duration};

use secrecy::ExposeSecret;

use super::*;
use crate::report::Warning;

fn ini(text: &str) -> Ini {
    Ini::parse("f", text).unwrap()
}

/// Reads with `with` and returns the problems.
fn problems(text: &str, with: impl Fn(&mut Reader<'_>)) -> Vec<String> {
    let (ini, known) = (ini(text), KnownOptions::masakari());
    let mut reader = Reader::new(&ini, &known);
    with(&mut reader);
    reader.finish().map_or_else(
        |errors| errors.iter().map(ToString::to_string).collect(),
        |_| Vec::new(),
    )
}

fn report(text: &str, with: impl Fn(&mut Reader<'_>)) -> ConfigReport {
    let (ini, known) = (ini(text), KnownOptions::masakari());
    let mut reader = Reader::new(&ini, &known);
    with(&mut reader);
    reader.finish().unwrap()
}

/// Returns the warnings about a text from a program that reads a few options.
fn warnings(text: &str) -> Vec<String> {
    let report = report(text, |r| {
        r.string("DEFAULT", "host").optional();
        r.string("DEFAULT", "os_region_name").optional();
        r.string("DEFAULT", "transport_url").optional();
        r.string("host_failure", "evacuate_all_instances").optional();
        r.string("keystone_authtoken", "auth_section").optional();
    });
    report.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn messages_contain_file_line_option_value_reason_and_remedy() {
    let found = problems(
        "[DEFAULT]\nmasakari_api_listen_port = 70000\ndebug = maybe\n[database]\nconnection = mysql://u:s3cret@h\n",
        |r| {
            let port: u16 = r.int("DEFAULT", "masakari_api_listen_port").default(15868).get();
            assert_eq!(port, 0);
            r.bool("DEFAULT", "debug").default(false).get();
            let database = |text: &str| Ok(crate::database_url(text).map(|url| url.backend)?);
            assert_eq!(
                r.parsed("database", "connection", database, |_| String::new())
                    .optional(),
                None
            );
        },
    );
    assert_eq!(
        found,
        [
            "f:2: [DEFAULT] masakari_api_listen_port = 70000: is out of range; write a whole number between 0 and 65535",
            "f:3: [DEFAULT] debug = maybe: is not a boolean; write true, 1, on, yes or false, 0, off, no",
            "f:5: [database] connection = ***: it contains no database name; end it with /database, for example /masakari",
        ]
    );
}

#[test]
fn limits() {
    let second = Duration::from_secs(1);
    for (name, value, good) in [
        ("below", "0", false),
        ("least", "1", true),
        ("most", "10", true),
        ("above", "11", false),
    ] {
        let text = format!("[x]\na = {value}\n");
        let found = problems(&text, |r| {
            r.int::<u32>("x", "a").range(1..=10).get();
        });
        assert_eq!(found.is_empty(), good, "{name}");
        let found = problems(&text, |r| {
            r.seconds("x", "a").range(second..=second * 10).get();
        });
        assert_eq!(found.is_empty(), good, "{name}, seconds");
    }
    let found = problems("[x]\na = 0.5\n", |r| {
        r.seconds("x", "a").at_least(second).get();
    });
    assert_eq!(found, ["f:2: [x] a = 0.5: is too small; write 1 or more"]);
    let found = problems("[x]\na = 3\n", |r| {
        let odd = |n: &u32| {
            if n.is_multiple_of(2) {
                Ok(())
            } else {
                Err(Refusal::new("is odd", "write an even number"))
            }
        };
        r.int::<u32>("x", "a").check(odd).get();
    });
    assert_eq!(found, ["f:2: [x] a = 3: is odd; write an even number"]);
}

#[test]
fn a_missing_required_option_is_reported_and_an_optional_one_is_not() {
    let empty = "[x]\ntext =\nnumber =\nneeded =\nusual =\n";
    let found = problems(empty, |r| {
        assert_eq!(r.string("x", "a").get(), "");
        assert_eq!(r.string("x", "b").optional(), None);
        assert_eq!(r.string("x", "text").optional(), None);
        assert_eq!(r.int::<u8>("x", "number").optional(), None);
        assert_eq!(r.string("x", "needed").default("d".into()).get(), "");
        assert_eq!(
            r.string("x", "usual").default("d".into()).optional(),
            Some("d".to_owned())
        );
    });
    assert_eq!(found, ["[x] a is not set; add `a = ...` to section [x] of f"]);
}

#[test]
fn one_option_read_twice_is_one_problem() {
    let found = problems("[x]\na = b\n", |r| {
        r.bool("x", "a").get();
        r.bool("x", "a").get();
    });
    assert_eq!(found.len(), 1);
}

#[test]
fn a_component_can_refuse_a_combination() {
    let found = problems("[x]\na = 5\n", |r| {
        let a: u32 = r.int("x", "a").get();
        let b: u32 = r.int("x", "b").default(9).get();
        if a < b {
            r.refuse("x", "a", Refusal::new("is below b", "raise it"));
            r.refuse("x", "b", Refusal::new("is above a", "lower it"));
        }
    });
    assert_eq!(
        found,
        [
            "f:2: [x] a = 5: is below b; raise it",
            "default: [x] b = 9: is above a; lower it"
        ]
    );
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn references() {
    let circle = "f:2: [DEFAULT] a = $b: its references are circular or nested too deep; write `$$` for a dollar sign, or set `b`";
    let chain = lines(40, |n| format!("a{n} = $a{}", n + 1));
    for (name, text, expected) in [
        ("circle", "a = $b\nb = $a\n".to_owned(), Err(circle)),
        ("itself", "a = $a".to_owned(), Err("circular")),
        (
            "nothing set",
            "a = pa$word".to_owned(),
            Err("it refers to `word`, which is not set; write `$$` for a dollar sign"),
        ),
        ("own dollar", "a = pa$$word".to_owned(), Ok("pa$word")),
        (
            "announced",
            "a = $state_path/x".to_owned(),
            Ok("/var/lib/tachi/x"),
        ),
        ("default read before", "a = $before".to_owned(), Ok("b4")),
        (
            "too deep",
            format!("a = $a0\n{chain}\na40 = x\n"),
            Err("too deep"),
        ),
        (
            "value of an alias",
            "a = ${keystone_authtoken.username}\n[keystone_authtoken]\nuser_name = joe".to_owned(),
            Ok("joe"),
        ),
    ] {
        let (ini, known) = (ini(&format!("[DEFAULT]\n{text}\n")), KnownOptions::masakari());
        let mut reader = Reader::new(&ini, &known);
        reader.assume("DEFAULT", "state_path", "/var/lib/tachi");
        reader.string("DEFAULT", "before").default("b4".into()).get();
        let value = reader.string("DEFAULT", "a").get();
        match (reader.finish(), expected) {
            (Ok(_), Ok(expected)) => assert_eq!(value, expected, "{name}"),
            (Err(errors), Err(part)) => {
                let text = errors.to_string();
                assert!(text.contains(part), "{name}: {text}");
            }
            (result, _) => panic!("{name}: {result:?}"),
        }
    }
}

#[test]
fn references_cannot_cause_endless_work() {
    // Each option refers to the next one four times: 4^12 look-ups without a limit.
    let text = lines(12, |n| format!("a{n} = $a{m}$a{m}$a{m}$a{m}", m = n + 1));
    let found = problems(&format!("[DEFAULT]\n{text}\na12 =\n"), |r| {
        r.string("DEFAULT", "a0").get();
    });
    assert_eq!(found.len(), 1);
}

#[test]
fn a_default_can_refer_to_other_options() {
    let (ini, known) = (ini("[DEFAULT]\nstate_path = /srv\n"), KnownOptions::masakari());
    let mut reader = Reader::new(&ini, &known);
    let url = reader
        .secret("database", "connection")
        .default_text("sqlite:///$state_path/t.sqlite")
        .get();
    assert_eq!(url.expose_secret(), "sqlite:////srv/t.sqlite");
    reader.finish().unwrap();
}

#[test]
fn secrets_are_shown_nowhere() {
    let text = "[DEFAULT]\nos_privileged_user_password = s3cret\nlog_dir = /$os_privileged_user_password\nhost = s3cret b\n\
                [keystone_authtoken]\npassword = s3cret\nauth_url = http://u:s3cret@h/\n[x]\nkey = s3cret\n";
    let text = text.replace("host = s3cret b\n", "");
    let report = report(&text, |r| {
        assert_eq!(r.string("DEFAULT", "os_privileged_user_password").get(), "s3cret");
        assert_eq!(r.string("DEFAULT", "log_dir").get(), "/s3cret");
        assert_eq!(
            r.secret("keystone_authtoken", "password").get().expose_secret(),
            "s3cret"
        );
        assert_eq!(
            r.url("keystone_authtoken", "auth_url", &["http"]).get(),
            "http://u:s3cret@h/"
        );
        r.secret("x", "key").get();
        r.string("x", "other").secret().default("s3cret".into()).get();
    });
    assert!(!format!("{report}{report:?}").contains("s3cret"), "{report}");
    let found = problems(&text, |r| {
        r.bool("DEFAULT", "os_privileged_user_password").get();
        r.int::<u8>("DEFAULT", "log_dir").get();
        r.url("keystone_authtoken", "auth_url", &["https"]).get();
        r.bool("x", "key").secret().get();
    });
    assert_eq!(found.len(), 4);
    assert!(!found.concat().contains("s3cret"), "{found:?}");
}

#[test]
fn the_report_is_a_configuration_file_with_origins() {
    let text = "[DEFAULT]\nhost = n1\ntopic = a$$b\n[x]\nm = 1\nm = 2\n";
    let show = |ini: &Ini| {
        let known = KnownOptions::masakari();
        let mut r = Reader::new(ini, &known);
        r.string("DEFAULT", "host").default("h".into()).get();
        r.string("DEFAULT", "topic").get();
        r.string("DEFAULT", "blank").default(" x ".into()).get();
        r.seconds("x", "wait").default(Duration::from_millis(1500)).get();
        r.string("x", "none").optional();
        r.list("x", "env").get();
        r.finish().unwrap()
    };
    let ini = ini(text).with_environment([("OS_X__ENV", "p,q")]);
    let report = show(&ini);
    let expected = "[DEFAULT]\n# default\nblank = \" x \"\n# f:2\nhost = n1\n# f:3\ntopic = a$$b\n\n\
                    [x]\n# environment OS_X__ENV\nenv = p, q\n# default\n# none is not set\n# default\nwait = 1.5\n";
    assert_eq!(report.to_string(), expected);
    let again = show(&Ini::parse("g", &report.to_string()).unwrap());
    let values = |report: &ConfigReport| {
        report
            .effective
            .iter()
            .map(|e| e.value.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(values(&again), values(&report));
    assert_eq!(
        report
            .effective
            .iter()
            .find(|e| e.option == "host")
            .and_then(|e| e.default.clone()),
        Some("h".to_owned())
    );
}

#[test]
fn options_without_effect_are_reported() {
    for (name, text, expected) in [
        (
            "typing error",
            "[DEFAULT]\ntransport_ulr = x",
            "f:2: [DEFAULT] transport_ulr is not an option; did you mean `transport_url`?",
        ),
        (
            "wrong section",
            "[DEFAULT]\nevacuate_all_instances = x",
            "f:2: [DEFAULT] evacuate_all_instances is not an option; did you mean section [host_failure]?",
        ),
        (
            "nothing near",
            "[DEFAULT]\nqqqqqqq = x",
            "f:2: [DEFAULT] qqqqqqq is not an option",
        ),
        (
            "section",
            "[databse]\na = x\nb = x",
            "f:2: [databse] is not a section, its options have no effect; did you mean [database]?",
        ),
        (
            "default in small letters",
            "[default]\ndebug = 1",
            "f:2: [default] is not a section, its options have no effect; did you mean [DEFAULT]?",
        ),
        (
            "ignored",
            "[DEFAULT]\nmonkey_patch = x",
            "f:2: [DEFAULT] monkey_patch has no effect: Python plumbing",
        ),
        (
            "old name",
            "[keystone_authtoken]\nauth_uri = x",
            "f:2: [keystone_authtoken] auth_uri is the old name of [keystone_authtoken] www_authenticate_uri",
        ),
        (
            "old name with a dash",
            "[keystone_authtoken]\nuser-name = x",
            "f:2: [keystone_authtoken] user_name is the old name of [keystone_authtoken] username",
        ),
        (
            "old section",
            "[DEFAULT]\nmax_header_line = 1",
            "f:2: [DEFAULT] max_header_line is the old name of [wsgi] max_header_line",
        ),
        (
            "comment",
            "[DEFAULT]\nhost = x\n  # y",
            "f:2: an indented comment is part of the value of [DEFAULT] host; start comments at the beginning of the line",
        ),
    ] {
        assert_eq!(warnings(text), [expected], "{name}");
    }
    for text in [
        "[DEFAULT]\ntransport_url = x",
        "[DATABASE]\nconnection = x",
        "[keystone_authtoken]\nauth_section = Mine\n[mine]\nanything = x",
    ] {
        assert_eq!(warnings(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn an_option_that_is_read_is_known() {
    let report = report("[mine]\na = 1\nb = 1\n", |r| {
        r.string("mine", "a").get();
    });
    let [Warning::Unknown { option, .. }] = report.warnings.as_slice() else {
        panic!("{:?}", report.warnings)
    };
    assert_eq!(option, "b");
    assert!(!report.warnings[0].is_notice());
}

#[test]
fn a_replaced_value_is_shown_with_the_value_in_use_and_a_default_is_not() {
    let report = report("[mine]\na = 0\n", |r| {
        for option in ["a", "b"] {
            r.int::<i64>("mine", option).default(5).get();
            r.replaced("mine", option, "1", "less is too often");
        }
    });
    let [warning] = report.warnings.as_slice() else {
        panic!("{:?}", report.warnings)
    };
    assert!(!warning.is_notice());
    assert!(
        warning
            .to_string()
            .ends_with(":2: [mine] a = 0 is not supported, 1 is used: less is too often"),
        "{warning}"
    );
}

#[test]
fn an_unknown_variable_is_reported() {
    let known = KnownOptions::masakari();
    let ini = Ini::default().with_environment(HashMap::from([
        ("OS_DATABASE__CONNECTOIN", "s3cret"),
        ("OS_DATABASE__CONNECTION", "x"),
        ("OS_OTHER__THING", "x"),
        ("OS_USERNAME", "x"),
    ]));
    let warning_texts: Vec<_> = Reader::new(&ini, &known)
        .finish()
        .unwrap()
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect();
    let expected = "environment OS_DATABASE__CONNECTOIN: [database] connectoin is not an option; did you mean `connection`?";
    assert_eq!(warning_texts, [expected]);
}

/// Reads a file of the Juju charm and kolla-ansible as our components do.
#[test]
fn a_file_in_use_causes_no_warning() {
    let ini = Ini::parse("masakari.conf", include_str!("../../testdata/masakari.conf")).unwrap();
    let known = KnownOptions::masakari();
    let mut r = Reader::new(&ini, &known);
    assert_eq!(
        r.int::<u64>("DEFAULT", "wait_period_after_service_update")
            .default(180)
            .get(),
        60
    );
    assert_eq!(
        r.choice("DEFAULT", "auth_strategy", &["keystone", "noauth2"])
            .default("keystone")
            .get(),
        "keystone"
    );
    assert_eq!(r.host("DEFAULT", "masakari_api_listen").get(), "10.10.0.11");
    let bus = r.secret("DEFAULT", "transport_url").get();
    assert_eq!(
        bus.expose_secret(),
        "rabbit://masakari:p$w@10.10.0.21:5672,masakari:p$w@10.10.0.22:5672/masakari"
    );
    assert_eq!(
        r.string("keystone_authtoken", "www_authenticate_uri").get(),
        "http://10.10.0.31:5000/v3"
    );
    let plugin = r.string("keystone_authtoken", "auth_plugin").optional();
    assert_eq!(plugin, None);
    let database = r
        .parsed(
            "database",
            "connection",
            |text| Ok(crate::database_url(text)?),
            ToString::to_string,
        )
        .optional();
    let database = database.unwrap();
    assert_eq!(
        database.url.expose_secret(),
        "mysql://masakari:p%40ss%2Fw@10.10.0.41/masakari?ssl-ca=/etc/masakari/ca.pem&ssl-mode=VERIFY_IDENTITY"
    );
    assert_eq!(r.int::<i64>("database", "max_retries").default(10).get(), -1);
    assert!(
        !r.bool("host_failure", "evacuate_all_instances")
            .default(true)
            .get()
    );
    assert_eq!(
        r.multi("oslo_messaging_notifications", "driver").get(),
        ["messagingv2", "log"]
    );
    let flow = r
        .string(
            "taskflow_driver_recovery_flows",
            "host_auto_failure_recovery_tasks",
        )
        .get();
    assert!(
        flow.starts_with("pre:['disable_compute_service_task'],\nmain:"),
        "{flow}"
    );
    let report = r.finish().unwrap();
    let warning_texts: Vec<_> = report
        .warnings
        .iter()
        // This test reads only a part of the file.
        .filter(|w| !w.is_notice() && !matches!(w, Warning::Unknown { .. } | Warning::UnknownSection { .. }))
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        warning_texts,
        [
            "masakari.conf:35: [keystone_authtoken] auth_uri is the old name of [keystone_authtoken] www_authenticate_uri"
        ]
    );
    assert!(report.warnings.len() > 10);
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_does_not_panic(text in proptest::collection::vec("(\\[[a-zD:]{0,4}\\]|[ab$ {}.\\\\=:#;\"']{0,12}|a = \\PC{0,12})", 0..20)) {
        let Ok(ini) = Ini::parse("f", &text.join("\n")) else { return Ok(()) };
        let known = KnownOptions::masakari();
        let kinds: [fn(&mut Reader<'_>, &str, &str); 7] = [
            |r, section, name| drop(r.string(section, name).get()),
            |r, section, name| { r.int::<i32>(section, name).optional(); },
            |r, section, name| { r.seconds(section, name).optional(); },
            |r, section, name| drop(r.list(section, name).get()),
            |r, section, name| drop(r.multi(section, name).get()),
            |r, section, name| drop(r.host(section, name).optional()),
            |r, section, name| drop(r.url(section, name, &["http"]).optional()),
        ];
        for read in kinds {
            let mut r = Reader::new(&ini, &known);
            for section in ini.sections() {
                for name in ini.section(section) {
                    read(&mut r, section, name);
                }
            }
            match r.finish() {
                Ok(report) => drop(report.to_string()),
                Err(errors) => drop(errors.to_string()),
            }
        }
    }

    #[test]
    fn any_value_written_in_braces_is_read_back(value in "[a-z0-9$= \"#]{0,20}") {
        let text = format!("[DEFAULT]\na = \"{}\"\n", value.replace('$', "$$"));
        let (ini, known) = (Ini::parse("f", &text).unwrap(), KnownOptions::masakari());
        proptest::prop_assert_eq!(Reader::new(&ini, &known).string("DEFAULT", "a").get(), value);
    }
}
