//! `[api] reporter_binding` and the names that bind a reporter to a host.

use tachi_api::{BindingMode, BindingOptions, HostPattern};
use tachi_config::{Reader, Refusal};

const G: &str = "api";

pub(super) fn binding(r: &mut Reader<'_>) -> BindingOptions {
    // A file without this option was written for Masakari or an older version, and has to keep working. The file that is shipped
    // for new installations contains `enforce`.
    let mode = r
        .choice(G, "reporter_binding", &["off", "warn", "enforce"])
        .default("warn")
        .help("whether a reporter counts only for the host that its name says: `enforce` refuses others, `warn` logs them").get();
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
            "names of users that stand for the host at `{host}`",
            &[ours],
        ),
        application_credentials: patterns(
            r,
            "reporter_application_credentials",
            "the same of application credentials",
            &[ours],
        ),
        certificates: patterns(
            r,
            "reporter_certificates",
            "the same of client certificates, by their common name",
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
