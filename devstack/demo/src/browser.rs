//! `demo --board`: the demo in a browser. Nothing happens before the viewer presses Enter.

use std::io::{IsTerminal as _, Write as _};

use tachi_operator::Failure;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Address and login of the board.
pub(super) struct Board {
    pub(super) url: String,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) project: String,
}

/// Waits for Enter; returns at once if standard input is no terminal.
pub(super) async fn enter(question: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(());
    }
    let mut to = std::io::stderr();
    // If the question cannot be shown, it gets no answer.
    let _ = write!(to, "{question} ");
    let _ = to.flush();
    let (sender, receiver) = oneshot::channel();
    // A thread of the runtime would keep the runtime from ending while it reads.
    std::thread::spawn(move || {
        let read = std::io::stdin().read_line(&mut String::new());
        // After Ctrl-C the receiver is gone.
        let _ = sender.send(read);
    });
    match receiver.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Failure::new("reading the keyboard", error)),
        Err(_) => Err(Failure::from_text("the keyboard input has ended")),
    }
}

/// Waits until the process is stopped.
pub(super) async fn stopped() -> Result<(), Failure> {
    let mut term =
        signal(SignalKind::terminate()).map_err(|error| Failure::new("waiting for signals", error))?;
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped.map_err(|error| Failure::new("waiting for signals", error)),
        _ = term.recv() => Ok(()),
    }
}
