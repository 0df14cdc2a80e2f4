//! The parameters of a fence agent: their definitions and their sources.
//!
//! Pacemaker writes them to standard input, one `name=value` per line; people use long options. Standard input is read
//! only when there are no options.

use std::collections::BTreeMap;

use secrecy::SecretString;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    Text,
    /// A text that is refused on a command line.
    Secret,
    Flag,
    Seconds,
    Number,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    /// Older names with the same meaning.
    pub(super) aliases: &'static [&'static str],
    pub(super) short: Option<char>,
    pub(super) form: ValueType,
    pub(super) default: Option<&'static str>,
    pub(super) required: bool,
    pub(super) about: &'static str,
}

impl Param {
    /// Defines a text parameter without a default.
    pub(super) const fn text(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            short: None,
            form: ValueType::Text,
            default: None,
            required: false,
            about,
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }
}

/// An error in the parameters.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum ParameterError {
    #[error("unknown option {option:?}")]
    Option { option: String },
    #[error("{name} needs a value")]
    Value { name: String },
    #[error(
        "{name} is a secret, and other users can read the command line; use standard input, {name}_script or a file"
    )]
    Secret { name: &'static str },
    #[error("{name} is {value:?}; it must be {expected}")]
    ValueType {
        name: &'static str,
        value: String,
        expected: String,
    },
    #[error("you have to enter {name}")]
    Missing { name: &'static str },
}

/// The parameters as given by the caller.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    values: BTreeMap<&'static str, String>,
    secrets: BTreeMap<&'static str, SecretString>,
    /// Warnings about ignored parameters, a sentence each.
    pub(super) warnings: Vec<String>,
}

impl Parameters {
    /// Reads the parameters from standard input. Unknown ones are ignored, because Pacemaker sends more than an agent
    /// needs.
    pub(super) fn from_input(text: &str, params: &[Param]) -> Self {
        let mut parameters = Self::default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                parameters.warnings.push(format!(
                    "an input line without `=` was ignored ({} characters)",
                    line.len()
                ));
                continue;
            };
            let name = name.trim().replace('-', "_");
            let Some(param) = params.iter().find(|param| param.is(&name)) else {
                // Pacemaker sends these with every call.
                if name != "nodename" && !name.starts_with("pcmk_") && !name.starts_with("CRM_meta_") {
                    parameters
                        .warnings
                        .push(format!("ignored unknown parameter {name:?}"));
                }
                continue;
            };
            parameters.set(param, unquoted(value.trim()).to_owned());
        }
        parameters
    }

    /// Reads the parameters from command-line options.
    pub(super) fn from_args(args: &[String], params: &[Param]) -> Result<Self, ParameterError> {
        let mut parameters = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let (param, mut value) = option(arg, params)?;
            if param.form == ValueType::Secret {
                return Err(ParameterError::Secret { name: param.name });
            }
            if value.is_none() {
                value = match param.form {
                    ValueType::Flag => Some("1".to_owned()),
                    ValueType::Text
                    | ValueType::Secret
                    | ValueType::Seconds
                    | ValueType::Number
                    | ValueType::OneOf(_) => args.next().cloned(),
                };
            }
            let value = value.ok_or_else(|| ParameterError::Value { name: arg.clone() })?;
            parameters.set(param, value);
        }
        Ok(parameters)
    }

    fn set(&mut self, param: &Param, value: String) {
        if param.form == ValueType::Secret {
            self.secrets.insert(param.name, value.into());
        } else {
            self.values.insert(param.name, value);
        }
    }

    /// Checks the form of every value.
    pub(super) fn check(&self, params: &[Param]) -> Result<(), ParameterError> {
        for param in params {
            let Some(value) = self.values.get(param.name) else {
                continue;
            };
            let expected = match param.form {
                ValueType::Flag if flag(value).is_none() => "1 or 0".to_owned(),
                ValueType::Seconds if seconds(value).is_none() => "a number of seconds".to_owned(),
                ValueType::Number if value.parse::<u16>().is_err() => "a number".to_owned(),
                ValueType::OneOf(choices)
                    if !choices.iter().any(|choice| choice.eq_ignore_ascii_case(value)) =>
                {
                    format!("one of {}", choices.join(", "))
                }
                ValueType::Text
                | ValueType::Secret
                | ValueType::Flag
                | ValueType::Seconds
                | ValueType::Number
                | ValueType::OneOf(_) => {
                    continue;
                }
            };
            return Err(ParameterError::ValueType {
                name: param.name,
                value: value.clone(),
                expected,
            });
        }
        Ok(())
    }

    /// Checks that all required parameters are set.
    pub(super) fn complete(&self, params: &[Param]) -> Result<(), ParameterError> {
        let missing = |param: &&Param| {
            param.required && self.text(param.name).is_none() && !self.secrets.contains_key(param.name)
        };
        match params.iter().find(missing) {
            Some(param) => Err(ParameterError::Missing { name: param.name }),
            None => Ok(()),
        }
    }

    /// Returns a text unless it is empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    pub(super) fn secret(&self, name: &str) -> Option<&SecretString> {
        self.secrets.get(name)
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.values.get(name).and_then(|value| flag(value))
    }

    /// Returns the caller's number of seconds, or else the parameter's default.
    pub(super) fn seconds(&self, name: &str, params: &[Param]) -> std::time::Duration {
        let default = params
            .iter()
            .find(|param| param.is(name))
            .and_then(|param| param.default);
        self.values
            .get(name)
            .and_then(|value| seconds(value))
            .or_else(|| default.and_then(seconds))
            .unwrap_or_default()
    }
}

/// Parses an option and the value after its `=`, if there is one.
fn option<'p>(arg: &str, params: &'p [Param]) -> Result<(&'p Param, Option<String>), ParameterError> {
    let unknown = || ParameterError::Option {
        // The value after the name may be a secret.
        option: arg.split('=').next().unwrap_or_default().to_owned(),
    };
    if let Some(long) = arg.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let name = name.replace('-', "_");
        let param = params.iter().find(|param| param.is(&name)).ok_or_else(unknown)?;
        return Ok((param, value));
    }
    let mut letters = arg.strip_prefix('-').ok_or_else(unknown)?.chars();
    let letter = letters.next();
    let found = params
        .iter()
        .find(|param| param.short.is_some() && param.short == letter);
    let param = found.ok_or_else(|| ParameterError::Option {
        option: arg.chars().take(2).collect(),
    })?;
    let rest = letters.as_str();
    Ok((param, (!rest.is_empty()).then(|| rest.to_owned())))
}

fn unquoted(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value)
}

fn flag(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "on" | "true" => Some(true),
        "0" | "no" | "off" | "false" | "" => Some(false),
        _ => None,
    }
}

fn seconds(value: &str) -> Option<std::time::Duration> {
    let bare = value.strip_suffix('s').unwrap_or(value);
    bare.parse::<u32>()
        .ok()
        .map(|seconds| std::time::Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::ExposeSecret as _;

    use super::*;

    const PARAMS: &[Param] = &[
        Param {
            short: Some('o'),
            aliases: &["option"],
            form: ValueType::OneOf(&["on", "off"]),
            default: Some("off"),
            ..Param::text("action", "")
        },
        Param {
            short: Some('n'),
            aliases: &["port"],
            ..Param::text("plug", "")
        },
        Param {
            short: Some('p'),
            aliases: &["passwd"],
            form: ValueType::Secret,
            ..Param::text("password", "")
        },
        Param {
            short: Some('v'),
            form: ValueType::Flag,
            ..Param::text("verbose", "")
        },
        Param {
            form: ValueType::Seconds,
            default: Some("20"),
            ..Param::text("power_timeout", "")
        },
        Param {
            required: true,
            ..Param::text("url", "")
        },
    ];

    #[test]
    fn the_input_is_parsed_as_the_contract_requires() {
        // (case, input, name, value)
        for (case, input, name, expected) in [
            ("plain", "plug=c1\n", "plug", Some("c1")),
            ("blanks around", "  plug = c1  \r\n", "plug", Some("c1")),
            ("no last line end", "plug=c1", "plug", Some("c1")),
            ("an older name", "port=c1\n", "plug", Some("c1")),
            (
                "minus for underscore",
                "power-timeout=5\n",
                "power_timeout",
                Some("5"),
            ),
            ("the last one wins", "plug=c1\nplug=c2\n", "plug", Some("c2")),
            (
                "the last one wins, by any name",
                "plug=c1\nport=c2\n",
                "plug",
                Some("c2"),
            ),
            (
                "everything behind the first =",
                "plug=a=b=c\n",
                "plug",
                Some("a=b=c"),
            ),
            ("quotes go, one pair", "plug=\"\"c1\"\"\n", "plug", Some("\"c1\"")),
            ("one quote stays", "plug=\"c1\n", "plug", Some("\"c1")),
            ("a comment", "#plug=c1\n", "plug", None),
            ("a comment after blanks", "  # plug=c1\n", "plug", None),
            ("empty lines", "\n\nplug=c1\n\n", "plug", Some("c1")),
            ("an empty value", "plug=\n", "plug", None),
        ] {
            let parameters = Parameters::from_input(input, PARAMS);
            assert_eq!(parameters.text(name), expected, "{case}");
            assert!(
                parameters.warnings.is_empty(),
                "{case}: {:?}",
                parameters.warnings
            );
        }
    }

    #[test]
    fn unknown_parameters_are_ignored_with_a_warning() {
        let input = "nodename=c1\npcmk_host_map=a:b\nCRM_meta_timeout=20\nnonsense=word-of-the-fixture\nno equals sign\n";
        let parameters = Parameters::from_input(input, PARAMS);
        assert_eq!(
            parameters.warnings,
            [
                "ignored unknown parameter \"nonsense\"",
                "an input line without `=` was ignored (14 characters)"
            ]
        );
    }

    #[test]
    fn flags_and_seconds_have_their_words() {
        for (value, expected) in [
            ("1", Some(true)),
            ("Yes", Some(true)),
            ("on", Some(true)),
            ("TRUE", Some(true)),
            ("0", Some(false)),
            ("no", Some(false)),
            ("off", Some(false)),
            ("false", Some(false)),
            ("2", None),
        ] {
            let parameters = Parameters::from_input(&format!("verbose={value}"), PARAMS);
            assert_eq!(parameters.flag("verbose"), expected, "{value}");
            assert_eq!(parameters.check(PARAMS).is_ok(), expected.is_some(), "{value}");
        }
        for (value, expected) in [
            ("5", Some(5)),
            ("5s", Some(5)),
            ("0", Some(0)),
            ("-1", None),
            ("x", None),
            ("99999999999", None),
        ] {
            let parameters = Parameters::from_input(&format!("power_timeout={value}"), PARAMS);
            assert_eq!(parameters.check(PARAMS).is_ok(), expected.is_some(), "{value}");
            assert_eq!(
                parameters.seconds("power_timeout", PARAMS),
                Duration::from_secs(expected.unwrap_or(20)),
                "{value}"
            );
        }
        assert_eq!(
            Parameters::default().seconds("power_timeout", PARAMS),
            Duration::from_secs(20)
        );
    }

    #[test]
    fn options_are_read_as_getopt_reads_them() {
        let parse = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            Parameters::from_args(&args, PARAMS)
        };
        for args in [
            &["--action=off", "--plug=c1", "--verbose"][..],
            &["--action", "off", "--port", "c1", "-v"],
            &["-o", "off", "-n", "c1", "--verbose=1"],
            &["-ooff", "-nc1", "-v"],
        ] {
            let parameters = parse(args).unwrap();
            assert_eq!(
                (
                    parameters.text("action"),
                    parameters.text("plug"),
                    parameters.flag("verbose")
                ),
                (Some("off"), Some("c1"), Some(true)),
                "{args:?}"
            );
        }
        for (args, expected) in [
            (&["--nonsense=word"][..], "unknown option \"--nonsense\""),
            (&["-x"], "unknown option \"-x\""),
            (&["off"], "unknown option \"off\""),
            (&["-"], "unknown option \"-\""),
            (&["--plug"], "--plug needs a value"),
        ] {
            assert_eq!(parse(args).unwrap_err().to_string(), expected, "{args:?}");
        }
    }

    /// Covers I9.
    #[test]
    fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
        for arg in ["--password=hunter2", "-phunter2", "--passwd=hunter2"] {
            let error = Parameters::from_args(&[arg.to_owned()], PARAMS).unwrap_err();
            assert_eq!(error, ParameterError::Secret { name: "password" }, "{arg}");
            assert!(!error.to_string().contains("hunter2"));
        }
        let parameters = Parameters::from_input("password=hunter2", PARAMS);
        assert_eq!(parameters.secret("password").unwrap().expose_secret(), "hunter2");
        assert!(!format!("{parameters:?}").contains("hunter2"));
    }

    #[test]
    fn a_missing_parameter_is_named() {
        let parameters = Parameters::from_input("url=\n", PARAMS);
        assert_eq!(
            parameters.complete(PARAMS),
            Err(ParameterError::Missing { name: "url" })
        );
        assert!(Parameters::from_input("url=x\n", PARAMS).complete(PARAMS).is_ok());
        let wrong = Parameters::from_input("action=explode\n", PARAMS)
            .check(PARAMS)
            .unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "action is \"explode\"; it must be one of on, off"
        );
        assert!(
            Parameters::from_input("action=OFF\n", PARAMS)
                .check(PARAMS)
                .is_ok(),
            "case does not matter"
        );
    }
}
