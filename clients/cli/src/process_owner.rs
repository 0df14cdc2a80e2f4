//! Identity of the operator at the keyboard, stored with each action on a controller. Through the API it is Keystone's user.

use std::path::Path;

use tachi_operator::Failure;
use tachi_operator::actions::signed;

/// The kernel's login id of a process without a login.
const NO_LOGIN: u32 = u32::MAX;

/// Known identities. Users control their own environment, so it proves nothing by itself: only for root, who could
/// write into the database anyway, it names the user behind it.
struct ProcessOwner {
    /// The user of this process.
    real: u32,
    /// The user who logged in to the session, if the kernel knows; `sudo` and `su` keep it.
    login: Option<u32>,
    /// The user that `sudo` acts for, as it reports it.
    sudo: Option<u32>,
}

impl ProcessOwner {
    fn current() -> Self {
        let login = std::fs::read_to_string("/proc/self/loginuid").ok();
        let login = login.and_then(|text| text.trim().parse().ok());
        Self {
            real: rustix::process::getuid().as_raw(),
            login: login.filter(|uid| *uid != NO_LOGIN),
            sudo: std::env::var("SUDO_UID").ok().and_then(|text| text.parse().ok()),
        }
    }

    /// Describes the operator for people; `name` maps uids to names.
    fn describe(&self, name: impl Fn(u32) -> Option<String>) -> String {
        let of = |uid: u32| match name(uid) {
            Some(name) => format!("{name}, uid {uid}"),
            None => format!("uid {uid}"),
        };
        if self.real != 0 {
            return of(self.real);
        }
        match (
            self.login.filter(|uid| *uid != 0),
            self.sudo.filter(|uid| *uid != 0),
        ) {
            (Some(login), _) => format!("{}, as root", of(login)),
            (None, Some(sudo)) => format!("{} (reported by sudo), as root", of(sudo)),
            (None, None) => "root".into(),
        }
    }
}

/// Returns the name of a user of this machine.
fn name_of(users: &Path, uid: u32) -> Option<String> {
    let text = std::fs::read_to_string(users).ok()?;
    let line = text.lines().find(|line| {
        let number = line.split(':').nth(2);
        number.is_some_and(|number| number.parse() == Ok(uid))
    })?;
    line.split(':').next().map(str::to_owned)
}

/// Returns the operator at the keyboard, with the reason if one was given.
pub fn who(reason: Option<&str>) -> Result<String, Failure> {
    let name = ProcessOwner::current().describe(|uid| name_of(Path::new("/etc/passwd"), uid));
    signed(&name, reason).map_err(|why| Failure::usage(format!("--reason: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_attributed_to_the_kernels_user_and_not_to_a_variable() {
        let name = |uid| (uid == 1000).then(|| "alice".to_owned());
        for (case, real, login, sudo, expected) in [
            ("a user", 1000, None, None, "alice, uid 1000"),
            ("a user who sets SUDO_UID", 1000, None, Some(0), "alice, uid 1000"),
            (
                "another who claims to be alice",
                1001,
                Some(1001),
                Some(1000),
                "uid 1001",
            ),
            (
                "root after a login",
                0,
                Some(1000),
                Some(1001),
                "alice, uid 1000, as root",
            ),
            (
                "sudo where nobody logs in",
                0,
                None,
                Some(1000),
                "alice, uid 1000 (reported by sudo), as root",
            ),
            ("root logged in", 0, Some(0), None, "root"),
            ("a job", 0, None, None, "root"),
        ] {
            let described = ProcessOwner { real, login, sudo }.describe(name);
            assert_eq!(described, expected, "{case}");
        }
    }

    #[test]
    fn users_are_found_by_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("passwd");
        std::fs::write(
            &users,
            "root:x:0:0::/root:/bin/sh\nbad\nalice:x:1000:1000::/:/bin/sh\n",
        )
        .unwrap();
        assert_eq!(name_of(&users, 1000).as_deref(), Some("alice"));
        assert_eq!(name_of(&users, 1), None);
    }
}
