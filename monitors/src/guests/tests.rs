use super::*;

struct Machine(tempfile::TempDir);

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn at(&self, path: &str) -> String {
        self.0.path().join(path).display().to_string()
    }

    /// Reads the setting of a nova-compute that was started with these arguments; its paths begin at this machine's
    /// root.
    fn resume_of(&self, arguments: &[&str]) -> (Resume, String) {
        let argument = |argument: &&str| argument.replace("@/", &format!("{}/", self.0.path().display()));
        let compute = StartedProcess {
            pid: i32::try_from(std::process::id()).unwrap(),
            command: arguments.iter().map(argument).collect(),
        };
        let found = of(Some(&compute), self.0.path()).unwrap();
        (
            found.resume,
            found.by.replace(&format!("{}/", self.0.path().display()), ""),
        )
    }
}

const TRUE: &str = "[DEFAULT]\nresume_guests_state_on_host_boot = True\n";
const FALSE: &str = "[DEFAULT]\n\nresume_guests_state_on_host_boot = off\n";

#[test]
fn it_is_read_where_nova_compute_reads_it() {
    let machine = Machine::new(&[
        ("etc/nova/nova.conf", TRUE),
        ("etc/nova/nova-compute.conf", "[libvirt]\nvirt_type = kvm\n"),
        ("etc/nova/compute.d/10-ha.conf", FALSE),
        ("opt/yes.conf", TRUE),
        (
            "opt/other.conf",
            "[DEFAULT]\ndebug = true\n[nova]\nresume_guests_state_on_host_boot = true\n",
        ),
    ]);
    let (yes, no) = (Resume::Yes, Resume::No);
    for (arguments, resume, by) in [
        (&["nova-compute"][..], yes, "etc/nova/nova.conf:2"),
        (
            &[
                "/usr/bin/python3",
                "/usr/bin/nova-compute",
                "--config-file=@/etc/nova/nova.conf",
                "--config-file",
                "@/opt/other.conf",
            ],
            yes,
            "etc/nova/nova.conf:2",
        ),
        (
            &["nova-compute", "--config-file", "@/opt/other.conf"],
            no,
            "resume_guests_state_on_host_boot is not set in opt/other.conf",
        ),
        (
            &[
                "nova-compute",
                "--config-dir",
                "@/etc/nova/compute.d",
                "--log-file",
                "/var/log/a.log",
            ],
            no,
            "etc/nova/compute.d/10-ha.conf:3",
        ),
        // Files of the command line are read in their order.
        (
            &[
                "nova-compute",
                "--config-dir",
                "@/etc/nova/compute.d",
                "--config-file",
                "@/opt/yes.conf",
            ],
            yes,
            "opt/yes.conf:2",
        ),
        (
            &[
                "nova-compute",
                "--config-file",
                "@/opt/yes.conf",
                "--config-dir=@/etc/nova/compute.d",
            ],
            no,
            "etc/nova/compute.d/10-ha.conf:3",
        ),
    ] {
        assert_eq!(
            machine.resume_of(arguments),
            (resume, by.to_owned()),
            "{arguments:?}"
        );
    }
    // A folder beside the file is read too.
    let machine = Machine::new(&[
        ("etc/nova/nova.conf", FALSE),
        ("etc/nova/nova.conf.d/x.conf", TRUE),
        ("opt/no.conf", FALSE),
        ("opt/d/no.conf", FALSE),
    ]);
    // It is read before the files of the command line, as in `_parse_config_files` of oslo.config.
    for (arguments, by) in [
        (
            ["nova-compute", "--config-file", "@/opt/no.conf"],
            "opt/no.conf:3",
        ),
        (["nova-compute", "--config-dir", "@/opt/d"], "opt/d/no.conf:3"),
    ] {
        assert_eq!(
            machine.resume_of(&arguments),
            (no, by.to_owned()),
            "{arguments:?}"
        );
    }
    assert_eq!(
        machine.resume_of(&["nova-compute"]),
        (yes, "etc/nova/nova.conf.d/x.conf:2".to_owned())
    );
}

#[test]
fn booleans_are_those_of_oslo_and_what_is_none_is_not_known() {
    for (text, resume) in [
        ("true", Resume::Yes),
        ("TRUE", Resume::Yes),
        ("1", Resume::Yes),
        ("on", Resume::Yes),
        ("Yes", Resume::Yes),
        ("false", Resume::No),
        ("0", Resume::No),
        ("OFF", Resume::No),
        ("no", Resume::No),
        ("maybe", Resume::Unknown),
        ("", Resume::Unknown),
    ] {
        let text = format!("[DEFAULT]\nresume_guests_state_on_host_boot = {text}\n");
        let machine = Machine::new(&[("etc/nova/nova.conf", &text)]);
        assert_eq!(machine.resume_of(&["nova-compute"]).0, resume, "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_not_known_and_says_why() {
    let machine = Machine::new(&[("etc/nova/broken.conf", "nonsense\n")]);
    for (file, part) in [
        ("gone.conf", "gone.conf: cannot be read"),
        ("broken.conf", "broken.conf:1"),
    ] {
        let file = format!("--config-file=@/etc/nova/{file}");
        let (resume, by) = machine.resume_of(&["nova-compute", &file]);
        assert_eq!(resume, Resume::Unknown);
        assert!(by.contains(part), "{by}");
    }
    let named = [PathBuf::from(machine.at("gone.conf"))];
    assert_eq!(read_guests(&named).unwrap().resume, Resume::Unknown);
}

#[test]
fn without_nova_there_is_no_setting_and_a_stopped_nova_compute_has_that_of_its_files() {
    let bare = Machine::new(&[]);
    assert_eq!(of(None, bare.0.path()), None);
    let (resume, by) = bare.resume_of(&["nova-compute"]);
    assert!(
        resume == Resume::Unknown && by.contains("nova_config_files"),
        "{by}"
    );
    let stopped = Machine::new(&[("etc/nova/nova.conf", TRUE)]);
    assert_eq!(of(None, stopped.0.path()).unwrap().resume, Resume::Yes);
}

#[test]
fn paths_mean_the_same_to_a_process_of_this_machine() {
    assert!(is_in_our_tree(i32::try_from(std::process::id()).unwrap()));
    assert!(!is_in_our_tree(i32::MAX), "there is none");
}
