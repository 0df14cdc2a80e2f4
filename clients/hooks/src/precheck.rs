//! Checks of configured hooks before they are needed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tachi_domain::hooks::{Hook, HookTarget};

/// Returns the reason why a hook will probably fail, if any. The engine starts nevertheless: a running engine that
/// warns is better than none.
pub fn precheck(hook: &Hook) -> Option<String> {
    match &hook.target {
        HookTarget::Exec { program, .. } => match std::fs::metadata(Path::new(program)) {
            Err(error) => Some(format!("it cannot be run: {error}")),
            Ok(meta) if !meta.is_file() => Some("it cannot be run: it is not a file".into()),
            Ok(meta) if meta.permissions().mode() & 0o111 == 0 => {
                Some("it cannot be run: it is not executable".into())
            }
            Ok(meta) if meta.permissions().mode() & 0o022 != 0 => {
                Some("users other than its owner can change it, and it runs with the engine's rights".into())
            }
            Ok(_) => None,
        },
        HookTarget::Http { url, token_file } if url.starts_with("http:") => Some(if token_file.is_some() {
            "it is called without TLS, so its token can be read on the network".into()
        } else {
            "it is called without TLS, so its answer can be forged on the network".into()
        }),
        HookTarget::Http { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};

    use tachi_domain::hooks::Defaults;

    use super::*;

    #[test]
    fn a_hook_that_cannot_work_is_reported_in_advance() {
        let folder = tempfile::tempdir().unwrap();
        let script = |name: &str, mode: u32| {
            let path = folder.path().join(name);
            write(&path, "#!/bin/sh\n").unwrap();
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            format!("exec:{}", path.display())
        };
        let cases = [
            ("well", script("well", 0o755), ""),
            (
                "none",
                "exec:/nonexistent/hook".into(),
                "it cannot be run: No such file",
            ),
            (
                "a folder",
                format!("exec:{}", folder.path().display()),
                "it is not a file",
            ),
            ("not executable", script("text", 0o644), "not executable"),
            ("writable by all", script("writable", 0o777), "can change it"),
            ("without TLS", "http://h/x".into(), "so its answer can be forged"),
            (
                "a token without TLS",
                "http://h/x#token_file=/t".into(),
                "its token can be read",
            ),
            ("with TLS", "https://h/x".into(), ""),
        ];
        for (case, entry, expected) in cases {
            let hook = Hook::parse(&entry, Defaults::default()).unwrap();
            let precheck = precheck(&hook).unwrap_or_default();
            assert!(
                precheck.contains(expected) && precheck.is_empty() == expected.is_empty(),
                "{case}: {precheck}"
            );
        }
    }
}
