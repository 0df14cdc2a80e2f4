//! `[api] reporter_binding` and the names that bind a reporter to a host.

use tachi_config::{Reader, Refusal};
use tachi_domain::binding::{BindingMode, BindingOptions, HostPattern};

const G: &str = "api";

/// Reads the options of the binding.
pub fn binding(r: &mut Reader<'_>) -> BindingOptions {
    // A file without this option was written for Masakari or an older version, and has to keep working. The file that is shipped
    // for new installations contains `enforce`.
    let mode = r
        .choice(G, "reporter_binding", &["off", "warn", "enforce"])
        .default("warn")
        .help("binds a reporter to the host in its name: `enforce` refuses reports of other hosts, `warn` logs them").get();
    let ours = BindingOptions::PATTERN;
    BindingOptions {
        mode: match mode {
            "off" => BindingMode::Off,
            "enforce" => BindingMode::Enforce,
            _ => BindingMode::Warn,
        },
        user_names: patterns(
            r,
            "reporter_user_names",
            "patterns of user names; `{host}` is the host that the user may report",
            &[ours],
        ),
        application_credentials: patterns(
            r,
            "reporter_application_credentials",
            "patterns of names of application credentials, as for users",
            &[ours],
        ),
        certificates: patterns(
            r,
            "reporter_certificates",
            "patterns of common names of client certificates, as for users",
            &[],
        ),
    }
}

fn patterns(r: &mut Reader<'_>, option: &str, help: &'static str, default: &[&str]) -> Vec<HostPattern> {
    let default = default.iter().map(|text| (*text).to_owned()).collect();
    let checked = |texts: &Vec<String>| {
        texts.iter().try_for_each(|text| {
            text.parse::<HostPattern>().map(drop).map_err(|error| {
                Refusal::new(
                    format!("has {text:?}, which {error}"),
                    format!(
                        "write names such as {}, separated by commas",
                        BindingOptions::PATTERN
                    ),
                )
            })
        })
    };
    let texts = r.list(G, option).default(default).check(checked).help(help).get();
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}
