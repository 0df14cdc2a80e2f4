//! Output and files of `tachi setup monitors`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tachi_keystone::Region;
use tachi_operator::Failure;

use crate::out;
use crate::out::answer::ProgressReporter;

const RULES: &str = include_str!("../../../docs/policy-monitor.yaml");

/// Checks that a name can be part of a file name and of a credential's name.
pub fn check_host(host: &str) -> Result<(), Failure> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !host.is_empty() && !host.starts_with('.') && host.len() <= 200 && host.chars().all(fine) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{host:?} is not a host name: use letters, digits, dots, hyphens and underscores"
    )))
}

/// Output fields of a host.
pub const COLUMNS: [&str; 4] = ["host", "credential", "file", "state"];

/// Returns the output for a host: its credential, the file with the secret, and the result.
pub fn row(host: &str, name: &str, file: &Path, state: &str) -> Value {
    json!({"host": host, "credential": name, "file": file.display().to_string(), "state": state})
}

/// Renders the fragment for masakarimonitors.conf.
pub fn fragment(name: &str, (auth_url, region): (&str, &Region), id: &str, secret: &SecretString) -> String {
    let mut text = format!("# {name}: for this host only.\n[api]\n");
    let mut pair = |key: &str, value: &str| _ = writeln!(text, "{key} = {value}");
    pair("auth_type", "v3applicationcredential");
    pair("auth_url", auth_url);
    if let Region::Named(region) = region {
        pair("region", region);
    }
    pair("application_credential_id", id);
    pair("application_credential_secret", secret.expose_secret());
    text
}

/// Writes the file atomically, readable by its owner only.
pub fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    let wrong = |error| Failure::new(format!("writing {}", file.display()), error);
    let new = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let opened = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new);
    let mut opened = opened.map_err(wrong)?;
    opened
        .write_all(text.as_bytes())
        .and_then(|()| opened.sync_all())
        .and_then(|()| std::fs::rename(&new, file))
        .map_err(wrong)
}

/// Writes the rules of the API for the role into this folder, and prints what is left to do.
pub fn write_rules(folder: &Path, meanwhile: ProgressReporter) -> Result<(), Failure> {
    let rules = folder.join("monitors.yaml");
    write_new(&rules, RULES)?;
    meanwhile.report(format!(
        "next: put {} into policy.d beside the API's configuration, put each HOST.conf into masakarimonitors.conf of its \
         host, and when all of them report, set [api] reporter_binding = enforce",
        rules.display()
    ));
    Ok(())
}

/// Prints what to do about the hosts whose secrets are not known.
pub fn note_lost(lost: &[String]) {
    let named: Vec<String> = lost.iter().map(|host| format!("--host {host}")).collect();
    out::note(format!(
        "tachi: no secret is known for {}: add `--renew {}` to make new ones",
        lost.join(", "),
        named.join(" ")
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_has_the_id_and_the_secret_in_their_own_options() {
        let region = Region::Named("one".to_owned());
        let text = fragment(
            "tachi-cmp1",
            ("https://keystone/v3", &region),
            "0f1e",
            &SecretString::from("s3cret"),
        );
        assert_eq!(
            text,
            "# tachi-cmp1: for this host only.\n[api]\nauth_type = v3applicationcredential\nauth_url = https://keystone/v3\n\
             region = one\napplication_credential_id = 0f1e\napplication_credential_secret = s3cret\n"
        );
    }
}
