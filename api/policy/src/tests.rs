//! The language, files and what is warned of. Names of sections are those of the documentation of oslo.policy.

mod files;
mod hostile;
mod language;
mod recorded;
