use std::os::unix::net::UnixStream;

use zbus::OwnedVariant;
use zbus::conn::Builder;

use super::*;
use crate::check::FindingLevel;
use crate::process::list;

const LIST: &str = "
- {process_name: nova-compute, start_command: systemctl start nova-compute, restart_command: systemctl restart nova-compute, run_as_root: true}
- {process_name: ovs, restart_command: service openvswitch-switch restart, run_as_root: true}
- {process_name: own, restart_command: /opt/own restart, run_as_root: true}
";

fn entries() -> Vec<Entry> {
    list::parse(LIST).unwrap()
}

#[test]
fn deploy17_the_rule_names_the_units_of_the_list_and_the_user() {
    let rule = rule(&entries(), "masakarimonitors", PolkitForm::Rules).unwrap();
    assert!(
        rule.contains(r#"var units = ["nova-compute.service", "openvswitch-switch.service"];"#),
        "{rule}"
    );
    assert!(
        rule.contains(r#"subject.user === "masakarimonitors" &&"#),
        "{rule}"
    );
    assert!(
        rule.contains(r#"["start", "restart"].indexOf(action.lookup("verb")) >= 0"#),
        "{rule}"
    );
}

#[test]
fn deploy17_the_old_form_tells_that_it_names_no_units() {
    let rule = rule(&entries(), "masakari", PolkitForm::Pkla).unwrap();
    assert!(
        rule.contains("\nIdentity=unix-user:masakari\nAction=org.freedesktop.systemd1.manage-units\n"),
        "{rule}"
    );
    assert!(rule.contains("every\n# unit of this host"), "{rule}");
    assert!(rule.contains("\n#   nova-compute.service\n"), "{rule}");
    let settings = rule.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(settings.count(), 6, "{rule}");
}

#[test]
fn deploy17_a_list_without_units_needs_no_rule() {
    let entries = list::parse("[{process_name: own, restart_command: /opt/own, run_as_root: true}]").unwrap();
    assert!(rule(&entries, "masakari", PolkitForm::Rules).is_err());
}

#[test]
fn deploy17_the_users_number_is_found() {
    let passwd = "root:x:0:0::/root:/bin/bash\nmasakarimonitors-old:x:7:7::/:/bin/false\nmasakarimonitors:x:998:996::/:/bin/false\n";
    assert_eq!(uid_of(passwd, "masakarimonitors"), Some(998));
    assert_eq!(uid_of(passwd, "masakari"), None);
}

/// A polkit that permits the actions in its list.
struct Authority(Vec<&'static str>);

#[zbus::interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl Authority {
    #[expect(clippy::needless_pass_by_value, reason = "the interface's form")]
    fn check_authorization(
        &self,
        subject: (String, HashMap<String, OwnedVariant>),
        action_id: &str,
        details: HashMap<String, String>,
        flags: u32,
        cancellation_id: &str,
    ) -> (bool, bool, HashMap<String, String>) {
        assert_eq!(
            (subject.0.as_str(), action_id, flags, cancellation_id),
            ("unix-process", ACTION, 0, "")
        );
        assert_eq!(u32::try_from(subject.1["pid"].clone()).unwrap(), 7);
        assert_eq!(u64::try_from(subject.1["start-time"].clone()).unwrap(), 70);
        assert_eq!(i32::try_from(subject.1["uid"].clone()).unwrap(), 998);
        let request = format!("{} {}", details["verb"], details["unit"]);
        (self.0.contains(&request.as_str()), false, HashMap::new())
    }
}

#[tokio::test]
async fn deploy17_polkit_is_asked_for_each_unit_and_verb() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let allowed = vec!["start nova-compute.service", "restart nova-compute.service"];
    let server = Builder::unix_stream(theirs)
        .server(zbus::Guid::generate())
        .p2p()
        .serve_at("/org/freedesktop/PolicyKit1/Authority", Authority(allowed));
    let client = Builder::unix_stream(ours).p2p();
    let (_server, client) = tokio::join!(server.build(), client.build());
    let subject = Subject {
        pid: 7,
        started: 70,
        uid: 998,
    };
    let entries = entries();
    let denied_actions = denied_actions(&client.unwrap(), subject, &unit_actions(&entries)).await;
    assert_eq!(
        denied_actions,
        Ok(vec![("openvswitch-switch.service", "restart")])
    );
    let found = finding("masakarimonitors", denied_actions);
    assert_eq!(found.level, FindingLevel::Wrong);
    assert!(
        found
            .text
            .contains("does not let masakarimonitors restart openvswitch-switch.service"),
        "{}",
        found.text
    );
    assert_eq!(
        finding("masakarimonitors", Ok(Vec::new())).level,
        FindingLevel::Good
    );
    assert_eq!(
        finding("masakarimonitors", Err("no answer".to_owned())).level,
        FindingLevel::Wrong
    );
}
