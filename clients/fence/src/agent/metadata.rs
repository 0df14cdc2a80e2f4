//! The agent's metadata, in the form that Pacemaker and its tools read.

use std::fmt::Write as _;

use super::params::{Param, ValueType};

/// An agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct AgentDescription {
    pub(super) name: &'static str,
    pub(super) short: &'static str,
    pub(super) long: &'static str,
}

/// The agent's actions, in the order of the metadata.
pub(super) const ACTIONS: &[&str] = &[
    "on",
    "off",
    "reboot",
    "status",
    "list",
    "list-status",
    "monitor",
    "metadata",
    "manpage",
    "validate-all",
];

/// The accepted action names; one action has two spellings.
pub(super) const ACTION_NAMES: &[&str] = &[
    "on",
    "off",
    "reboot",
    "status",
    "list",
    "list-status",
    "monitor",
    "metadata",
    "meta-data",
    "manpage",
    "validate-all",
];

/// Renders the metadata as XML.
pub(super) fn xml(about: &AgentDescription, params: &[Param]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" ?>\n");
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "<resource-agent name=\"{}\" shortdesc=\"{}\" >",
        escaped(about.name),
        escaped(about.short)
    );
    let _ = writeln!(text, "<longdesc>{}</longdesc>", escaped(about.long));
    text.push_str("<vendor-url>https://docs.openstack.org/masakari/latest/</vendor-url>\n<parameters>\n");
    for param in params {
        for alias in param.aliases {
            parameter(&mut text, param, alias, Some(param.name));
        }
        parameter(&mut text, param, param.name, None);
    }
    text.push_str("</parameters>\n<actions>\n");
    for action in ACTIONS {
        let _ = match *action {
            // An operator or the cluster's reboot switches a node on; a node that joins never does.
            "on" => writeln!(text, "\t<action name=\"on\" automatic=\"0\"/>"),
            action => writeln!(text, "\t<action name=\"{action}\" />"),
        };
    }
    text.push_str("</actions>\n</resource-agent>\n");
    text
}

fn parameter(text: &mut String, param: &Param, name: &str, instead: Option<&str>) {
    let required = i32::from(param.required && instead.is_none());
    // A name that replaces another one lists it, and the replaced name is marked as deprecated.
    let mut more = String::new();
    if instead.is_some() {
        more.push_str(" deprecated=\"1\"");
    } else if let Some(older) = param.aliases.first() {
        let _ = write!(more, " obsoletes=\"{older}\"");
    }
    let long = name.replace('_', "-");
    let value = match param.form {
        ValueType::Flag => String::new(),
        ValueType::Text
        | ValueType::Secret
        | ValueType::Seconds
        | ValueType::Number
        | ValueType::OneOf(_) => format!("=[{long}]"),
    };
    let short = param.short.map(|short| format!("-{short}, ")).unwrap_or_default();
    let kind = match param.form {
        // All other agents declare `action` as a string, and tools expect no list.
        ValueType::Text | ValueType::Secret | ValueType::OneOf(_) => "string",
        ValueType::Flag => "boolean",
        ValueType::Seconds => "second",
        ValueType::Number => "integer",
    };
    let default = param
        .default
        .map(|value| format!(" default=\"{}\"", escaped(value)))
        .unwrap_or_default();
    let _ = writeln!(
        text,
        "\t<parameter name=\"{name}\" unique=\"0\" required=\"{required}\"{more}>"
    );
    let _ = writeln!(text, "\t\t<getopt mixed=\"{short}--{long}{value}\" />");
    let _ = writeln!(text, "\t\t<content type=\"{kind}\"{default}  />");
    let _ = writeln!(
        text,
        "\t\t<shortdesc lang=\"en\">{}</shortdesc>",
        escaped(param.about)
    );
    text.push_str("\t</parameter>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Renders the help text for people.
pub(super) fn help(about: &AgentDescription, params: &[Param]) -> String {
    let mut text = format!("{}: {}\n\n{}\n\n", about.name, about.short, about.long);
    text.push_str(
        "Without options, the agent reads parameters from standard input, one name=value per line.\n\nOptions:\n",
    );
    for param in params {
        let short = param.short.map(|short| format!("-{short}, ")).unwrap_or_default();
        let default = param
            .default
            .map(|value| format!(" [{value}]"))
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "  {short}--{}: {}{default}",
            param.name.replace('_', "-"),
            param.about
        );
    }
    text
}
