//! Descriptions of options for people: the source of the sample file and of the tables in the documentation.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::report::Effective;

/// The description of an option, apart from its name, value and default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declaration {
    /// The effect of the option.
    pub help: Cow<'static, str>,
    /// The type or the unit of its value.
    pub unit: Cow<'static, str>,
    /// The accepted values, if the option has limits.
    pub limits: Option<String>,
    /// The fact of the machine on which the default depends, if any.
    pub varies: Option<&'static str>,
}

impl Effective {
    /// Returns the default as shown in pages: the same on every machine. `None` without a default.
    fn documented_default(&self) -> Option<String> {
        let varies = self.declaration.varies.map(|with| format!("<{with}>"));
        varies.or_else(|| self.default.clone().filter(|text| !text.is_empty()))
    }

    /// Returns its row in a table `| option | value | default | limits | effect |`.
    pub fn row(&self) -> String {
        let default = self.documented_default().map_or("none".to_owned(), |text| {
            format!("`{}`", text.replace('\n', " ").replace('|', "\\|"))
        });
        let Declaration {
            help, unit, limits, ..
        } = &self.declaration;
        let limits = limits.as_deref().unwrap_or_default();
        format!(
            "| `[{}] {}` | {unit} | {default} | {limits} | {help} |",
            self.section, self.option
        )
    }
}

/// Returns `page` with the rows of its options regenerated. A row starts with the option, as [`Effective::row`] writes
/// it. The row of an unknown option stays unchanged.
pub fn with_rows(page: &str, options: &[Effective]) -> String {
    let rewritten = |line: &str| {
        let name = line.strip_prefix("| `[")?.split_once('`')?.0;
        let (section, option) = name.split_once("] ")?;
        let option = options
            .iter()
            .find(|it| it.section == section && it.option == option)?;
        Some(option.row())
    };
    let mut text: String = page
        .lines()
        .flat_map(|line| {
            [
                rewritten(line).unwrap_or_else(|| line.to_owned()),
                "\n".to_owned(),
            ]
        })
        .collect();
    if !page.ends_with('\n') {
        text.pop();
    }
    text
}

/// Returns `text` with its Markdown links reduced to their texts.
fn without_links(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, (name, (_, after)))) = rest.split_once('[').and_then(|(before, link)| {
        let (name, target) = link.split_once("](")?;
        Some((before, (name, target.split_once(')')?)))
    }) {
        shown.push_str(before);
        shown.push_str(name);
        rest = after;
    }
    shown + rest
}

/// Returns a configuration file in which every option is commented out, with its effect, its limits and its default.
pub fn sample(options: &[Effective]) -> String {
    let mut text = String::new();
    // The section `DEFAULT` comes first, as everywhere in OpenStack.
    let mut sections = vec!["DEFAULT"];
    for option in options {
        if !sections.contains(&option.section.as_str()) {
            sections.push(&option.section);
        }
    }
    for section in sections {
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{gap}[{section}]");
        for option in options.iter().filter(|option| option.section == section) {
            let limits = option
                .declaration
                .limits
                .as_ref()
                .map(|limits| format!(", {limits}"));
            let _ = writeln!(
                text,
                "\n# {}\n# ({}{})",
                without_links(&option.declaration.help),
                option.declaration.unit,
                limits.unwrap_or_default()
            );
            let default = option.documented_default().unwrap_or_default().replace('$', "$$");
            let mut lines = default.lines();
            let first = format!("#{} = {}", option.option, lines.next().unwrap_or_default());
            let _ = writeln!(text, "{}", first.trim_end());
            for line in lines {
                let _ = writeln!(text, "#    {line}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Ini, KnownOptions, Reader};

    fn declared() -> Vec<Effective> {
        let (ini, known) = (Ini::default(), KnownOptions::default());
        let mut r = Reader::new(&ini, &known);
        let window = r.seconds("fencing", "window").default(Duration::from_secs(300));
        let second = Duration::from_secs(1);
        window.range(second..=second * 600).help("maximum age").get();
        let fences = r.int("fencing", "fences").default(3).at_least(0);
        fences
            .unit("hosts")
            .help("how many ([guards.md](guards.md#many)), [any] `|`")
            .get();
        let host = r.string("DEFAULT", "host").default("here".to_owned());
        host.varies("this machine's name")
            .help("name of this machine")
            .get();
        r.choice("api", "binding", &["off", "warn"])
            .help("who may report")
            .optional();
        r.url("api", "url", &["http"])
            .help("missing, which is no matter")
            .get();
        r.declared()
    }

    #[test]
    fn a_sample_has_the_help_and_limits_of_each_option() {
        let expected = "[DEFAULT]\n\n# name of this machine\n# (text)\n#host = <this machine's name>\n\n\
                        [fencing]\n\n# maximum age\n# (seconds, 1 to 600)\n#window = 300\n\n\
                        # how many (guards.md), [any] `|`\n# (hosts, 0 or more)\n#fences = 3\n\n\
                        [api]\n\n# who may report\n# (off or warn)\n#binding =\n\n\
                        # missing, which is no matter\n# (URL)\n#url =\n";
        assert_eq!(sample(&declared()), expected);
    }

    #[test]
    fn a_sample_sets_no_option() {
        let ini = Ini::parse("sample", &sample(&declared())).unwrap();
        assert!(ini.section("fencing").is_empty() && ini.section("DEFAULT").is_empty());
    }

    #[test]
    fn only_existing_rows_of_a_page_are_regenerated() {
        let page =
            "| option |\n|---|\n| `[fencing] window` | old |\n| `[fencing] gone` | x |\n\n`[fencing] window`";
        let expected = "| option |\n|---|\n| `[fencing] window` | seconds | `300` | 1 to 600 | maximum age |\n\
                        | `[fencing] gone` | x |\n\n`[fencing] window`";
        assert_eq!(with_rows(page, &declared()), expected);
    }

    #[test]
    fn a_row_has_the_default_that_is_the_same_on_every_machine() {
        let rows: Vec<String> = declared().iter().map(Effective::row).collect();
        assert_eq!(
            rows[2],
            "| `[DEFAULT] host` | text | `<this machine's name>` |  | name of this machine |"
        );
        assert_eq!(
            rows[0],
            "| `[fencing] window` | seconds | `300` | 1 to 600 | maximum age |"
        );
    }
}
