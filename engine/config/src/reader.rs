//! Typed reading: every option is read once, and all problems are collected until the end.

use std::collections::BTreeMap;

use crate::{
    declaration::Declaration,
    error::{ConfigError, ConfigErrors},
    ini::{Ini, Origin, name_key, section_key},
    known::KnownOptions,
    parse::{self, Refusal},
    report::{self, ConfigReport, Effective, Warning},
    setting::Parse,
    substitute::{Budget, ExpandedValue, expand},
};

mod types;

/// The text shown instead of a secret.
pub(crate) const MASK: &str = "***";

/// The value of an option that is not set.
pub(crate) enum Fallback<T> {
    None,
    Value(T),
    Text(String),
}

/// The parts of a [`Setting`].
pub(crate) struct Request<T> {
    pub(crate) section: String,
    pub(crate) name: String,
    pub(crate) parse: Parse<T>,
    pub(crate) show: fn(&T) -> String,
    pub(crate) fallback: Fallback<T>,
    pub(crate) multi: bool,
    pub(crate) secret: bool,
    pub(crate) harmless: fn(&T) -> bool,
    pub(crate) declaration: Declaration,
}

/// Reads typed options from an [`Ini`] and remembers each with its default, value and origin.
///
/// A value may refer to another option that is not set anywhere (`$state_path`). The default of that option is known
/// only if it was read before, or set by [`assume`](Self::assume). Options that others refer to must therefore be
/// read first.
pub struct Reader<'i> {
    ini: &'i Ini,
    known: &'i KnownOptions,
    /// Options that are not set anywhere, with the text that replaces them in references.
    unset: BTreeMap<(String, String), ExpandedValue>,
    effective: BTreeMap<(String, String), Effective>,
    /// The keys of `effective`, in the order of reading.
    order: Vec<(String, String)>,
    problems: Vec<ConfigError>,
    notes: Vec<Warning>,
}

impl<'i> Reader<'i> {
    /// Creates a reader of `ini` that takes aliases and secrecy of options from `known`.
    pub fn new(ini: &'i Ini, known: &'i KnownOptions) -> Self {
        Self {
            ini,
            known,
            unset: BTreeMap::new(),
            effective: BTreeMap::new(),
            order: Vec::new(),
            problems: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Sets the default of an option that this program does not read, for references from other options.
    pub fn assume(&mut self, section: &str, option: &str, value: &str) {
        let expanded = ExpandedValue {
            text: value.to_owned(),
            secret: false,
        };
        self.unset
            .insert((section_key(section), name_key(option)), expanded);
    }

    /// Reports a problem that involves several options; the message shows the value of `option` and its origin.
    pub fn refuse(&mut self, section: &str, option: &str, refusal: Refusal) {
        let key = (section_key(section), name_key(option));
        let (origin, value) =
            self.effective
                .get(&key)
                .map_or((Origin::Default, String::new()), |effective| {
                    (
                        effective.origin.clone(),
                        effective.value.clone().unwrap_or_default(),
                    )
                });
        self.problem(key, origin, value, refusal);
    }

    /// Warns that the value of an option has no effect, if the option is set.
    pub fn without_effect(&mut self, section: &str, option: &str, reason: &str) {
        let key = (section_key(section), name_key(option));
        let origin = self.effective.get(&key).map(|effective| effective.origin.clone());
        if let Some(origin) = origin.filter(|origin| *origin != Origin::Default) {
            let (section, option) = key;
            let reason = reason.to_owned();
            self.notes.push(Warning::Ignored {
                origin,
                section,
                option,
                reason,
            });
        }
    }

    /// Warns that another value of an option is used than the one in the file, if the option is set.
    pub fn replaced(&mut self, section: &str, option: &str, used: &str, reason: &str) {
        let key = (section_key(section), name_key(option));
        let effective = self.effective.get(&key);
        if let Some(effective) = effective.filter(|effective| effective.origin != Origin::Default) {
            self.notes.push(Warning::Replaced {
                origin: effective.origin.clone(),
                value: effective.value.clone().unwrap_or_default(),
                section: key.0,
                option: key.1,
                used: used.to_owned(),
                reason: reason.to_owned(),
            });
        }
    }

    /// Returns the report of all options that were read.
    ///
    /// # Errors
    ///
    /// Every wrong or missing value, in the order of reading.
    pub fn finish(self) -> Result<ConfigReport, ConfigErrors> {
        ConfigErrors::check(self.problems)?;
        let known = self.known.with(self.effective.keys());
        let mut warnings = report::warnings(self.ini, &known);
        warnings.extend(self.notes);
        Ok(ConfigReport {
            warnings,
            effective: self.effective.into_values().collect(),
        })
    }

    /// Returns every option that was read, in that order and regardless of problems with the values: for documentation.
    pub fn declared(mut self) -> Vec<Effective> {
        let all = self.order.iter().filter_map(|key| self.effective.remove(key));
        all.collect()
    }

    pub(crate) fn take<T>(&mut self, request: Request<T>, required: bool) -> Option<T> {
        let Request {
            section,
            name,
            parse,
            show,
            fallback,
            multi,
            secret,
            harmless,
            declaration,
        } = request;
        let key = (section_key(&section), name_key(&name));
        let secret = secret || self.known.is_secret(&key.0, &key.1);
        let names = self.known.names(&key.0, &key.1);
        let ini = self.ini;
        let mut found = if multi {
            ini.find_all(&names)
        } else {
            ini.find(&names).into_iter().collect()
        };
        if !required {
            found.retain(|(_, text, _)| !text.trim().is_empty());
        }
        let origin = found
            .last()
            .map_or(Origin::Default, |(_, _, origin)| origin.clone());
        let mut effective = Effective {
            section: section.clone(),
            option: key.1.clone(),
            value: None,
            default: None,
            origin: origin.clone(),
            secret,
            sensitive: false,
            declaration,
        };
        let result = if found.is_empty() {
            self.fall_back(&key, fallback, &parse, show, &mut effective)
        } else {
            effective.default = match &fallback {
                Fallback::None => None,
                Fallback::Value(value) => Some(show(value)),
                Fallback::Text(text) => Some(text.clone()),
            };
            let raw: Vec<&str> = found.iter().map(|(_, text, _)| *text).collect();
            self.convert(&key, &raw, &parse, &mut effective).map(Some)
        };
        if effective.secret {
            effective.default = effective.default.map(|_| MASK.to_owned());
        }
        let value = match result {
            Ok(Some(value)) => {
                // A value from a reference may be the secret of another option.
                effective.sensitive = effective.secret && !(secret && harmless(&value));
                effective.value = Some(if effective.secret {
                    MASK.to_owned()
                } else {
                    show(&value)
                });
                Some(value)
            }
            Ok(None) => {
                if required {
                    self.missing(&key);
                }
                None
            }
            Err((text, refusal)) => {
                self.problem(key.clone(), origin, text, refusal);
                None
            }
        };
        let earlier = self.effective.get(&key);
        debug_assert!(
            earlier.is_none_or(|earlier| (&earlier.declaration, &earlier.default)
                == (&effective.declaration, &effective.default)),
            "[{}] {} is declared twice, with differences",
            key.0,
            key.1
        );
        if earlier.is_none() {
            self.order.push(key.clone());
        }
        self.effective.insert(key, effective);
        value
    }

    fn fall_back<T>(
        &mut self,
        key: &(String, String),
        fallback: Fallback<T>,
        parse: &Parse<T>,
        show: fn(&T) -> String,
        effective: &mut Effective,
    ) -> Result<Option<T>, (String, Refusal)> {
        let (text, value) = match fallback {
            Fallback::None => {
                // `assume` may have set a text for it.
                self.unset.entry(key.clone()).or_default();
                return Ok(None);
            }
            Fallback::Value(value) => (show(&value), value),
            Fallback::Text(text) => {
                let value = self.convert(key, &[text.as_str()], parse, effective)?;
                (show(&value), value)
            }
        };
        effective.default = Some(text.clone());
        self.unset.insert(
            key.clone(),
            ExpandedValue {
                text,
                secret: effective.secret,
            },
        );
        Ok(Some(value))
    }

    /// Expands and parses a value. An error includes the value as it may be shown.
    fn convert<T>(
        &self,
        key: &(String, String),
        raw: &[&str],
        parse: &Parse<T>,
        effective: &mut Effective,
    ) -> Result<T, (String, Refusal)> {
        let mut texts = Vec::new();
        for text in raw {
            match self.expanded(&key.0, text, &mut Budget::default()) {
                Ok(expanded) => {
                    effective.secret |= expanded.secret;
                    texts.push(expanded.text);
                }
                Err(refusal) => return Err((shown(text, effective.secret), refusal)),
            }
        }
        parse(&texts).map_err(|refusal| (shown(&texts.join("\n"), effective.secret), refusal))
    }

    /// Returns `text`, written in `section`, with its references replaced.
    fn expanded(&self, section: &str, text: &str, budget: &mut Budget) -> Result<ExpandedValue, Refusal> {
        expand(text, &mut |reference| self.referred(section, reference, budget))
    }

    fn referred(
        &self,
        section: &str,
        reference: &str,
        budget: &mut Budget,
    ) -> Result<ExpandedValue, Refusal> {
        let help = format!("write `$$` for a dollar sign, or set `{reference}`");
        if budget.depth == 0 || budget.lookups == 0 {
            return Err(Refusal::new(
                "its references are circular or nested too deep",
                help,
            ));
        }
        budget.lookups -= 1;
        let candidates = match reference.split_once('.') {
            Some((group, option)) => vec![(section_key(group), option)],
            None => vec![(section.to_owned(), reference), ("DEFAULT".to_owned(), reference)],
        };
        for (group, option) in candidates {
            let key = (group, name_key(option));
            let names = self.known.names(&key.0, &key.1);
            let secret = self.known.is_secret(&key.0, &key.1);
            if let Some((_, text, _)) = self.ini.find(&names) {
                budget.depth -= 1;
                let inner = self.expanded(&key.0, text, budget);
                budget.depth += 1;
                return inner.map(|inner| ExpandedValue {
                    secret: inner.secret || secret,
                    ..inner
                });
            }
            if let Some(value) = self.unset.get(&key) {
                return Ok(value.clone());
            }
        }
        Err(Refusal::new(
            format!("it refers to `{reference}`, which is not set"),
            help,
        ))
    }

    /// True if the option is set, even to an empty value.
    pub fn is_set(&self, section: &str, option: &str) -> bool {
        self.ini
            .find(&self.known.names(&section_key(section), &name_key(option)))
            .is_some()
    }

    /// Reports an option that is not set anywhere but required by other options.
    pub fn report_missing(&mut self, section: &str, option: &str) {
        self.missing(&(section_key(section), name_key(option)));
    }

    fn missing(&mut self, (section, option): &(String, String)) {
        let file = self.ini.files().last();
        let file = file.map_or_else(
            || "; no configuration file was read".to_owned(),
            |file| format!(" of {}", file.display()),
        );
        let help = format!("add `{option} = ...` to section [{section}]{file}");
        self.problems.push(ConfigError::Missing {
            section: section.clone(),
            option: option.clone(),
            help,
        });
    }

    fn problem(
        &mut self,
        (section, option): (String, String),
        origin: Origin,
        value: String,
        refusal: Refusal,
    ) {
        let Refusal { why, help } = refusal;
        // Two components may read one option; the operator needs only one message.
        let is_reported = self.problems.iter().any(|problem| match problem {
            ConfigError::Value {
                origin: o,
                section: s,
                option: n,
                why: w,
                ..
            } => (o, s, n, w) == (&origin, &section, &option, &why),
            ConfigError::Read { .. }
            | ConfigError::Content { .. }
            | ConfigError::Syntax { .. }
            | ConfigError::Missing { .. } => false,
        });
        if !is_reported {
            self.problems.push(ConfigError::Value {
                origin,
                section,
                option,
                value,
                why,
                help,
            });
        }
    }
}

/// Returns a value for a message: masked, on one line, and shortened.
fn shown(text: &str, secret: bool) -> String {
    const MAX_SHOWN_CHARS: usize = 80;
    if secret {
        return MASK.to_owned();
    }
    let text = parse::without_credentials(text).replace('\n', "\\n");
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests;
