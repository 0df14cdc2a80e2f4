//! oslo.log's options.

use std::path::PathBuf;

use tachi_config::{Reader, Refusal};

use crate::syslog::Facility;

/// The form of a line in a file and on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text for people.
    Text,
    /// Lines of oslo.log.
    Oslo,
    /// JSON objects of oslo.log.
    Json,
}

/// The logging options of `[DEFAULT]`, such as `debug` and `log_file`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// True to log all messages of our own crates.
    pub debug: bool,
    form: Option<Form>,
    file: Option<PathBuf>,
    folder: Option<PathBuf>,
    stderr: bool,
    pub(crate) journal: bool,
    pub(crate) syslog: Option<Facility>,
}

impl LogSettings {
    /// Reads the options.
    pub fn read(r: &mut Reader<'_>) -> Self {
        const G: &str = "DEFAULT";
        let debug = r
            .bool(G, "debug")
            .default(false)
            .help("logs all messages of Tachi; SIGHUP reloads it")
            .get();
        let use_json = r
            .bool(G, "use_json")
            .default(false)
            .help("logs one JSON object per line, as oslo.log does")
            .get();
        let form = r
            .choice(G, "log_form", &["text", "oslo"])
            .help("form of a line: `text` for people, or `oslo` as oslo.log writes it. Unset: `oslo` if the program was started by one of Masakari's names, else `text`")
            .optional();
        let file = r
            .string(G, "log_file")
            .unit("path")
            .help("log file, in `log_dir` if that is set")
            .optional()
            .map(PathBuf::from);
        let folder = r
            .string(G, "log_dir")
            .unit("path")
            .help("folder of the log file, which is named after the program")
            .optional()
            .map(PathBuf::from);
        let journal = r
            .bool(G, "use_journal")
            .default(false)
            .help("logs to systemd's journal, with priorities and fields")
            .get();
        let use_syslog = r
            .bool(G, "use_syslog")
            .default(false)
            .help("logs to syslog (`/dev/log`)")
            .get();
        let facility = r
            .parsed(
                G,
                "syslog_log_facility",
                |text| {
                    Facility::named(text).ok_or_else(|| {
                        Refusal::new(
                            "is not a syslog facility",
                            "write LOG_USER, LOG_DAEMON or LOG_LOCAL0 to LOG_LOCAL7",
                        )
                    })
                },
                Facility::to_string,
            )
            .default(Facility::default())
            .unit("facility")
            .help("syslog facility")
            .get();
        let stderr = r
            .bool(G, "use_stderr")
            .default(false)
            .help("logs to standard error in addition to other targets; always on without another target")
            .get();
        let form = match (use_json, form) {
            (true, _) => Some(Form::Json),
            (false, Some("oslo")) => Some(Form::Oslo),
            (false, Some(_)) => Some(Form::Text),
            (false, None) => None,
        };
        Self {
            debug,
            form,
            file,
            folder,
            stderr,
            journal,
            syslog: use_syslog.then_some(facility),
        }
    }

    pub fn is_json(&self) -> bool {
        self.form == Some(Form::Json)
    }

    /// Returns the form of a line; `usual` is the program's default if the options name none.
    pub(crate) fn form(&self, usual: Form) -> Form {
        self.form.unwrap_or(usual)
    }

    /// Returns the log file for a program of this name. An absolute `log_file` ignores the folder, as in oslo.log.
    pub fn file(&self, program: &str) -> Option<PathBuf> {
        match (&self.folder, &self.file) {
            (Some(folder), Some(file)) => Some(folder.join(file)),
            (Some(folder), None) => Some(folder.join(program).with_extension("log")),
            (None, file) => file.clone(),
        }
    }

    /// True if lines go to standard error.
    pub(crate) fn has_stderr(&self) -> bool {
        let elsewhere = self.file.is_some() || self.folder.is_some() || self.journal || self.syslog.is_some();
        self.stderr || !elsewhere
    }

    /// Returns the settings with standard error in place of the file, the journal and syslog.
    #[must_use]
    pub fn on_stderr(&self) -> Self {
        Self {
            debug: self.debug,
            form: self.form,
            ..Self::default()
        }
    }
}
