//! Detection of guests with an agent, by the sockets in their definitions.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use regex::Regex;

/// True if one of a guest's channels is a socket of libvirt's whose path matches the pattern from its start. Upstream
/// checks the first channel only, which may be a console's.
pub(crate) fn has_agent(xml: &str, socket: &Regex) -> bool {
    let mut reader = Reader::from_str(xml);
    let mut path: Vec<String> = Vec::new();
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => {
                if source(&path, &tag, socket) {
                    return true;
                }
                path.push(tag.name().as_ref().to_owned());
            }
            Ok(Event::Empty(tag)) => {
                if source(&path, &tag, socket) {
                    return true;
                }
            }
            Ok(Event::End(_)) => {
                path.pop();
            }
            // A definition that cannot be parsed has no agent.
            Ok(Event::Eof) | Err(_) => return false,
            Ok(_) => {}
        }
    }
}

/// True if a tag is the source of an agent's channel.
fn source(path: &[String], tag: &BytesStart<'_>, socket: &Regex) -> bool {
    const CHANNEL: [&str; 3] = ["domain", "devices", "channel"];
    if tag.name().as_ref() != "source" || !path.iter().map(String::as_str).eq(CHANNEL) {
        return false;
    }
    let value = |name: &str| {
        let attribute = tag.try_get_attribute(name).ok()??;
        attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .ok()
            .map(std::borrow::Cow::into_owned)
    };
    value("mode").as_deref() == Some("bind") && value("path").is_some_and(|path| socket.is_match(&path))
}

/// Compiles the operator's pattern, anchored at the path's start like Python's `match`.
pub(crate) fn pattern(text: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!("^(?:{text})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = r"/var/lib/libvirt/qemu/org\.qemu\.guest_agent\..*\.instance-.*\.sock";
    const AGENT: &str = "/var/lib/libvirt/qemu/org.qemu.guest_agent.0.instance-00000001.sock";

    fn channel(mode: &str, path: &str) -> String {
        format!("<channel type='unix'><source mode='{mode}' path='{path}'/><target type='virtio'/></channel>")
    }

    fn guest(devices: &str) -> String {
        format!("<?xml version='1.0'?><domain type='kvm'><devices>{devices}</devices></domain>")
    }

    /// Covers MW19.
    #[test]
    fn every_channel_is_checked() {
        let socket = pattern(DEFAULT).unwrap();
        let console = "<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>";
        for (case, devices, expected) in [
            ("the only one", channel("bind", AGENT), true),
            (
                "behind a console's",
                format!("{console}{}", channel("bind", AGENT)),
                true,
            ),
            (
                "behind another socket",
                channel("bind", "/tmp/other.sock") + &channel("bind", AGENT),
                true,
            ),
            ("not libvirt's socket", channel("connect", AGENT), false),
            ("another path", channel("bind", "/tmp/other.sock"), false),
            (
                "not from the start",
                channel("bind", &format!("/x{AGENT}")),
                false,
            ),
            ("none", String::new(), false),
            (
                "no channel",
                format!("<serial><source mode='bind' path='{AGENT}'/></serial>"),
                false,
            ),
            (
                "in a comment",
                format!("<!-- {} -->", channel("bind", AGENT)),
                false,
            ),
        ] {
            assert_eq!(has_agent(&guest(&devices), &socket), expected, "{case}");
        }
    }

    #[test]
    fn hostile_descriptions_have_no_agent() {
        let socket = pattern(DEFAULT).unwrap();
        let deep = "<a>".repeat(100_000);
        for xml in [
            "",
            "<",
            "</domain>",
            "<domain",
            "\u{0}",
            "<domain><devices></domain>",
            deep.as_str(),
        ] {
            assert!(!has_agent(xml, &socket), "{}", xml.get(..20).unwrap_or(xml));
        }
    }

    #[test]
    fn a_pattern_with_alternatives_is_held_to_the_start_as_a_whole() {
        let socket = pattern("/a|/b").unwrap();
        assert!(socket.is_match("/b/x") && !socket.is_match("/x/b"));
        assert!(pattern("(").is_err());
    }
}
