//! `demo --board`: somebody looks on in a browser, and nothing happens before he is there.

use std::io::{IsTerminal as _, Write as _};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::cmd::Failure;

/// Where the board is, and who may look.
pub(super) struct Board {
    pub(super) url: String,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) project: String,
}

/// Waits for Enter; where nobody sits at a keyboard, for nothing.
pub(super) async fn enter(question: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(());
    }
    let mut to = std::io::stderr();
    // If the question cannot be shown, nobody answers it.
    let _ = write!(to, "{question} ");
    let _ = to.flush();
    let (said, heard) = oneshot::channel();
    // A thread of the runtime would keep it from ending while it reads.
    std::thread::spawn(move || {
        let read = std::io::stdin().read_line(&mut String::new());
        // Nobody listens any more after Ctrl-C.
        let _ = said.send(read);
    });
    match heard.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Failure::new("reading the keyboard", error)),
        Err(_) => Err(Failure::told("the keyboard is gone")),
    }
}

/// Until somebody stops it.
pub(super) async fn stopped() -> Result<(), Failure> {
    let mut term =
        signal(SignalKind::terminate()).map_err(|error| Failure::new("waiting for signals", error))?;
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped.map_err(|error| Failure::new("waiting for signals", error)),
        _ = term.recv() => Ok(()),
    }
}
