//! Tests of the language, files and warnings. Section names are those of the documentation of oslo.policy.

mod files;
mod hostile;
mod language;
mod recorded;
