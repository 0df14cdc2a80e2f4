//! `tachi mon`: the region in a terminal, live.
//!
//! ```text
//! feed (polls every second) ─┐
//! keys (a thread) ───────────┼─> state (pure) ─> draw (pure) ─> terminal
//! the command that runs ─────┘
//! ```

mod dialogue;
mod draw;
mod feed;
mod line;
mod page;
mod region;
mod state;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io::{IsTerminal as _, Stdout};
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Once;
use std::time::Duration;

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::terminal::Terminal;
use ratatui_crossterm::CrosstermBackend;
use ratatui_crossterm::crossterm::event::{self, Event as Input, KeyCode, KeyEventKind, KeyModifiers};
use ratatui_crossterm::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui_crossterm::crossterm::{cursor, execute};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tachi_operator::Failure;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::arguments::MonArgs;
use crate::out;
use crate::out::Zone;
use crate::source::{self, Controller};

use feed::Subject;
use state::{Event, Key, Mon, MonAction, Options};

/// Interval at which the ages on the screen are updated.
const TICK: Duration = Duration::from_millis(500);

/// Time that the reader waits for a key before it checks whether its receiver is gone: the maximum delay of `q`.
const KEY_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Time that the end waits for the reader of keys. It needs [`KEY_POLL_INTERVAL`], unless the terminal is gone while it reads.
const READER_TIMEOUT: Duration = Duration::from_millis(500);

/// Size of a frame that is not drawn on a terminal.
const FRAME_SIZE: (u16, u16) = (100, 30);

/// Watches until it is stopped.
pub async fn run(args: MonArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let is_screen = std::io::stdout().is_terminal();
    if !args.once && !is_screen {
        return Err(Failure::usage(
            "this is not a terminal: `tachi mon --once` prints one frame, `tachi status --watch` prints lines",
        ));
    }
    // A notice would be written over the screen.
    let source = if args.once {
        source::open(&args.source, controller).await?
    } else {
        source::open_quiet(&args.source, controller).await?
    };
    let colours = is_screen && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut mon = Mon::new(Options {
        read_only: args.read_only,
        colours,
        zone: if args.utc { Zone::Utc } else { Zone::Local },
        source: args.source.arguments(),
    });
    if args.once {
        let answer = feed::once(source.as_ref(), &Subject::Region).await?;
        mon.on(Event::Answer(Box::new(Ok(answer))), Duration::ZERO);
        let size = terminal_size::terminal_size_of(std::io::stdout());
        let (width, height) = size.map_or(FRAME_SIZE, |(width, height)| (width.0, height.0));
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        draw::draw(&mut mon, &mut buffer);
        out::line(draw::text(&buffer).trim_end());
        return Ok(crate::DONE);
    }
    let (subject, subjects) = watch::channel(Subject::Region);
    let (sender, answers) = mpsc::channel(2);
    let feed = tokio::spawn(feed::feed(source, subjects, sender));
    let done = watched(&mut mon, &subject, answers).await;
    feed.abort();
    done.map(|()| crate::DONE)
}

/// A terminal that is restored in any case. Its own drop prints an error, which panics once the terminal is gone.
struct Screen(ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>);

fn give_back() {
    // If this fails, nothing else can be done.
    let _ = execute!(std::io::stdout(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

fn broken(error: std::io::Error) -> Failure {
    Failure::new("drawing on the terminal", error)
}

impl Screen {
    fn take() -> Result<Self, Failure> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let previous_hook = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                previous_hook(panic);
            }));
        });
        enable_raw_mode().map_err(broken)?;
        // From here on the terminal is restored when this is dropped.
        let screen = Terminal::new(CrosstermBackend::new(std::io::stdout()));
        let screen = screen.map(|screen| Self(ManuallyDrop::new(screen)));
        let entered = execute!(std::io::stdout(), EnterAlternateScreen, cursor::Hide);
        match (screen, entered) {
            (Ok(screen), Ok(())) => Ok(screen),
            (Err(error), _) | (_, Err(error)) => {
                give_back();
                Err(broken(error))
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

type RunningRequest = Pin<Box<dyn Future<Output = Vec<String>> + Send>>;

async fn watched(
    mon: &mut Mon,
    subject: &watch::Sender<Subject>,
    mut answers: mpsc::Receiver<Result<feed::FeedAnswer, String>>,
) -> Result<(), Failure> {
    let began = Instant::now();
    let mut ended = signal(SignalKind::terminate()).map_err(broken)?;
    let mut hung_up = signal(SignalKind::hangup()).map_err(broken)?;
    // The keys are dropped first: the screen is restored after their reader has stopped.
    let mut screen = Screen::take()?;
    let mut keys = Keys::read_by(read);
    let mut ticks = tokio::time::interval(TICK);
    let mut running: Option<RunningRequest> = None;
    loop {
        screen
            .0
            .draw(|frame| draw::draw(mon, frame.buffer_mut()))
            .map_err(broken)?;
        // Each future is cancel-safe; the command continues where it was.
        let event = tokio::select! {
            key = keys.pressed.recv() => match key {
                Some(InputEvent::Key(key)) => Event::Key(key),
                Some(InputEvent::Other) => Event::Tick,
                Some(InputEvent::Stop) | None => return Ok(()),
            },
            one = answers.recv() => match one {
                Some(one) => Event::Answer(Box::new(one)),
                None => return Err(Failure::from_text("the poll task has ended unexpectedly")),
            },
            lines = async {
                match &mut running {
                    Some(running) => running.await,
                    None => std::future::pending().await,
                }
            } => {
                running = None;
                Event::Ran(lines)
            }
            _ = ticks.tick() => Event::Tick,
            _ = ended.recv() => return Ok(()),
            _ = hung_up.recv() => return Ok(()),
        };
        match mon.on(event, began.elapsed()) {
            None => {}
            Some(MonAction::Quit) => return Ok(()),
            Some(MonAction::Show(view)) => {
                subject.send_replace(view);
            }
            Some(MonAction::Run(arguments)) => running = Some(Box::pin(command(arguments))),
        }
    }
}

/// Runs one of our own commands, as it would be typed; returns its output.
async fn command(arguments: Vec<String>) -> Vec<String> {
    // This is the file that the process was started from, even if another has its name now.
    let done = tokio::process::Command::new("/proc/self/exe")
        .args(&arguments)
        .stdin(Stdio::null())
        .output()
        .await;
    match done {
        Err(error) => vec![format!("✗ the command could not be started: {error}")],
        Ok(done) => {
            let output = [done.stdout, done.stderr].concat();
            let output = String::from_utf8_lossy(&output);
            let mut lines: Vec<String> = output.lines().map(str::to_owned).collect();
            lines.push(match done.status.code() {
                Some(0) => "● done".to_owned(),
                Some(code) => {
                    format!("✗ the command was refused or failed (exit code {code})")
                }
                None => "✗ the command was killed; its effect is unknown".to_owned(),
            });
            lines
        }
    }
}

/// An input from the terminal.
enum InputEvent {
    Key(Key),
    /// A change of the size, or an unused key.
    Other,
    /// Ctrl-C.
    Stop,
}

/// The keys pressed, read by a thread of their own: reading blocks.
struct Keys {
    pressed: mpsc::Receiver<InputEvent>,
    /// Disconnected as soon as the reader has stopped.
    reader: std::sync::mpsc::Receiver<Infallible>,
}

impl Keys {
    fn read_by(read: impl FnOnce(&mpsc::Sender<InputEvent>) + Send + 'static) -> Self {
        let (sender, pressed) = mpsc::channel(64);
        let (running, reader) = std::sync::mpsc::channel::<Infallible>();
        std::thread::spawn(move || {
            read(&sender);
            drop(running);
        });
        Self { pressed, reader }
    }
}

impl Drop for Keys {
    /// Stops the reader. Keys typed from now on belong to the shell, and a running reader would take them.
    fn drop(&mut self) {
        self.pressed.close();
        // A reader that does not stop reads from a terminal that is gone, and ends with the process.
        let _ = self.reader.recv_timeout(READER_TIMEOUT);
    }
}

/// True if the terminal at standard input is gone. Each read returns nothing at once then, and crossterm repeats it for ever.
fn is_gone() -> bool {
    let input = std::io::stdin();
    let mut polled = [PollFd::new(&input, PollFlags::IN)];
    let answer = poll(&mut polled, Some(&Timespec::default()));
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    answer.is_ok() && polled.iter().any(|one| one.revents().intersects(gone))
}

fn read(sender: &mpsc::Sender<InputEvent>) {
    // Without a terminal at standard input, crossterm reads the controlling one.
    let is_terminal = std::io::stdin().is_terminal();
    while !sender.is_closed() {
        if is_terminal && is_gone() {
            return;
        }
        let pressed = match event::poll(KEY_POLL_INTERVAL) {
            Ok(false) => continue,
            Ok(true) => event::read().map(|input| pressed(&input)),
            Err(error) => Err(error),
        };
        // An error means that the terminal is gone, and with it the operator.
        let Ok(pressed) = pressed else { return };
        if sender.blocking_send(pressed).is_err() {
            return;
        }
    }
}

fn pressed(input: &Input) -> InputEvent {
    let Input::Key(key) = input else {
        return InputEvent::Other;
    };
    if key.kind == KeyEventKind::Release {
        return InputEvent::Other;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return if key.code == KeyCode::Char('c') {
            InputEvent::Stop
        } else {
            InputEvent::Other
        };
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys have no function here")]
    let key = match key.code {
        KeyCode::Char(letter) => Key::Char(letter),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Tab => Key::Tab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return InputEvent::Other,
    };
    InputEvent::Key(key)
}
