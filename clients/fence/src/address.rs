//! Validation of values that become part of a command line or an address.

use std::net::IpAddr;

/// True if the text names one machine: an IP address or a DNS name, without option, user, path or port.
pub(crate) fn is_host(text: &str) -> bool {
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

/// True if the text can be a user name on a command line.
pub(crate) fn is_user(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-') && text.chars().all(|c| c.is_ascii_graphic())
}

/// Returns address and port in one normalized form.
pub(crate) fn host_and_port(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        Ok(IpAddr::V4(ip)) => format!("{ip}:{port}"),
        Err(_) => format!("{}:{port}", host.trim_end_matches('.').to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_else() {
        for (text, good) in [
            ("192.0.2.7", true),
            ("fe80::1", true),
            ("bmc-c1.example", true),
            ("bmc_c1", true),
            ("bmc.example.", true),
            ("", false),
            (".", false),
            ("-Hevil", false),
            ("bmc-", false),
            ("a..b", false),
            ("user@bmc", false),
            ("bmc:623", false),
            ("bmc/x", false),
            ("bmc x", false),
            ("bmc\n", false),
            ("bmc?", false),
            ("[fe80::1]", false),
            ("\u{ff42}mc", false),
        ] {
            assert_eq!(is_host(text), good, "{text:?}");
        }
        assert!(!is_host(&"a.".repeat(130)) && !is_host(&"a".repeat(64)));
    }

    #[test]
    fn a_user_is_no_option() {
        for (text, good) in [
            ("ADMIN", true),
            ("op@x", true),
            ("", false),
            ("-P", false),
            ("a b", false),
            ("ü", false),
        ] {
            assert_eq!(is_user(text), good, "{text:?}");
        }
    }

    #[test]
    fn one_endpoint_has_one_form() {
        assert_eq!(
            host_and_port("BMC.example.", 623),
            host_and_port("bmc.example", 623)
        );
        assert_eq!(host_and_port("0:0::1", 623), "[::1]:623");
        assert_eq!(host_and_port("192.0.2.7", 623), "192.0.2.7:623");
    }
}
