//! State of the view: keys and answers in, actions out. The screen depends on this alone.

use std::time::Duration;

use tachi_domain::RecoveryId;

use super::dialogue::{Dialogue, DialogueStep, Stage};
use super::feed::{FeedAnswer, More, Subject};
use super::page::Page;
use super::region::{Host, Region};
use crate::out::{Zone, plain};

/// Age of the last answer from which on nothing counts as good.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Esc,
    Tab,
    Backspace,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

/// An input of the state.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Key(Key),
    Answer(Box<Result<FeedAnswer, String>>),
    /// The output of a command, in lines.
    Ran(Vec<String>),
    /// A passing moment, or another size of the terminal.
    Tick,
}

/// An action to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MonAction {
    Show(Subject),
    Run(Vec<String>),
    Quit,
}

/// Options of the view.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) read_only: bool,
    pub(super) colours: bool,
    /// Time zone of the display.
    pub(super) zone: Zone,
    /// Options of the source that commands use.
    pub(super) source: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Mon {
    pub(super) options: Options,
    pub(super) now: Duration,
    /// Time of the last answer.
    answered: Option<Duration>,
    /// Error since the last answer.
    error: Option<String>,
    pub(super) region: Option<Region>,
    pub(super) view: Subject,
    pub(super) page: Option<Page>,
    pub(super) scroll: usize,
    /// Name of the chosen host: rows come and go.
    chosen: Option<String>,
    /// Key of the chosen finding, while findings and not hosts are chosen from.
    finding: Option<String>,
    /// Index of the first row that is shown.
    pub(super) top: usize,
    /// Number of host rows that fit, as drawn last.
    pub(super) fit: usize,
    pub(super) filter: String,
    pub(super) is_filtering: bool,
    pub(super) helps: bool,
    pub(super) dialogue: Option<Dialogue>,
    pub(super) hint: Option<String>,
}

impl Mon {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            now: Duration::ZERO,
            answered: None,
            error: None,
            region: None,
            view: Subject::Region,
            page: None,
            scroll: 0,
            chosen: None,
            finding: None,
            top: 0,
            fit: 10,
            filter: String::new(),
            is_filtering: false,
            helps: false,
            dialogue: None,
            hint: None,
        }
    }

    /// Returns the age of the last answer.
    pub(super) fn age(&self) -> Option<Duration> {
        self.answered.map(|at| self.now.saturating_sub(at))
    }

    /// True if the data is too old for anything to count as good.
    pub(super) fn is_stale(&self) -> bool {
        self.age().is_none_or(|age| age >= STALE_AFTER)
    }

    /// Returns the warning about missing answers.
    pub(super) fn alarm(&self) -> Option<String> {
        let since = self.age().map_or_else(
            || "yet".to_owned(),
            |age| format!("for {} s: the data below is from then", age.as_secs()),
        );
        let why = self
            .error
            .as_deref()
            .map_or(String::new(), |why| format!(" ({why})"));
        let is_late = self.error.is_some() || (self.answered.is_some() && self.is_stale());
        is_late.then(|| format!("✗ NO ANSWER {since}{why}"))
    }

    /// Returns the hosts that match the filter, in the order of the screen, each with its group.
    pub(super) fn rows(&self) -> Vec<(usize, &Host)> {
        let terms: Vec<String> = self
            .filter
            .to_lowercase()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let groups = self
            .region
            .iter()
            .flat_map(|region| region.groups.iter().enumerate());
        groups
            .flat_map(|(group, one)| one.hosts.iter().map(move |host| (group, host)))
            .filter(|(_, host)| host.has(&terms))
            .collect()
    }

    /// Returns the index of the chosen row; the first if that host is gone.
    pub(super) fn at(&self, rows: &[(usize, &Host)]) -> usize {
        let chosen = self.chosen.as_deref();
        let place = rows
            .iter()
            .position(|(_, host)| Some(host.name.as_str()) == chosen);
        place.unwrap_or_default()
    }

    /// Returns the index of the chosen finding; the first if that finding is gone.
    pub(super) fn finding_at(&self) -> Option<usize> {
        let selected = self.finding.as_ref()?;
        let all = &self.region.as_ref()?.findings;
        let place = all
            .iter()
            .position(|one| one.key == *selected)
            .unwrap_or_default();
        (!all.is_empty()).then_some(place)
    }

    /// Chooses a finding, relative to the current one.
    fn choose_finding(&mut self, to: impl Fn(usize, usize) -> usize) {
        let Some(region) = &self.region else { return };
        let last = region.findings.len().saturating_sub(1);
        let at = to(self.finding_at().unwrap_or_default(), last).min(last);
        self.finding = region.findings.get(at).map(|one| one.key.clone());
    }

    pub(super) fn on(&mut self, event: Event, now: Duration) -> Option<MonAction> {
        self.now = now;
        match event {
            Event::Tick => None,
            Event::Answer(result) => {
                self.apply_answer(*result);
                None
            }
            Event::Ran(lines) => {
                if let Some(dialogue) = &mut self.dialogue {
                    dialogue.stage = Stage::Over(lines);
                }
                None
            }
            Event::Key(key) => self.press(key),
        }
    }

    fn apply_answer(&mut self, answer: Result<FeedAnswer, String>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => {
                self.error = Some(plain(&why));
                return;
            }
        };
        self.answered = Some(self.now);
        self.error = None;
        let newest = match &answer.more {
            More::Newest(history) => history.as_ref(),
            More::Host(_) | More::Why(_) | More::Recovery(_) => None,
        };
        let mut region = Region::of(&answer.situation, newest, self.options.zone);
        if answer.subject != Subject::Region
            && let Some(before) = &mut self.region
        {
            region.history = std::mem::take(&mut before.history);
        }
        self.region = Some(region);
        // An answer to an earlier query does not belong to the current view.
        if answer.subject == self.view {
            self.page = Page::of(answer);
        }
    }

    fn press(&mut self, key: Key) -> Option<MonAction> {
        self.hint = None;
        if let Some(dialogue) = &mut self.dialogue {
            return match dialogue.press(key) {
                DialogueStep::Stay => None,
                DialogueStep::Run(arguments) => Some(MonAction::Run(arguments)),
                DialogueStep::Close => {
                    self.dialogue = None;
                    None
                }
            };
        }
        if self.helps {
            self.helps = false;
            return None;
        }
        if self.is_filtering {
            self.filter_by(key);
            return None;
        }
        match key {
            Key::Char('q') => return Some(MonAction::Quit),
            Key::Char('?') => self.helps = true,
            Key::Char('f' | 'a' | 'x' | 'd' | 'v') if self.options.read_only => {
                self.hint = Some("read-only: started with --read-only".to_owned());
            }
            Key::Char('f') => self.freeze(),
            Key::Char('d') => self.drain(),
            Key::Char(':') => {
                self.dialogue = Some(Dialogue::line(self.options.read_only, &self.options.source));
            }
            Key::Char(letter @ ('a' | 'x' | 'v')) => self.start_dialogue(letter),
            Key::Char('e') if self.view != Subject::Region || self.finding.is_none() => {
                let host = self.host()?;
                return Some(self.show(Subject::Why(host)));
            }
            key if self.view == Subject::Region => return self.press_region(key),
            Key::Esc | Key::Backspace => return Some(self.show(Subject::Region)),
            Key::Enter => {
                let open = self.open()?;
                return Some(self.show(Subject::Recovery(open)));
            }
            Key::Up | Key::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            Key::Down | Key::Char('j') => self.scroll += 1,
            Key::PageUp => self.scroll = self.scroll.saturating_sub(10),
            Key::PageDown => self.scroll += 10,
            Key::Home => self.scroll = 0,
            Key::End => self.scroll = usize::MAX,
            Key::Char(_) | Key::Tab => {}
        }
        None
    }

    fn press_region(&mut self, key: Key) -> Option<MonAction> {
        match key {
            Key::Char('/') => self.is_filtering = true,
            Key::Esc | Key::Tab if self.finding.is_some() => self.finding = None,
            Key::Esc => self.filter.clear(),
            Key::Tab => self.choose_finding(|at, _| at),
            Key::Enter if self.finding_at().is_some() => {
                let key = self.finding.clone()?;
                return Some(self.show(Subject::Finding(key)));
            }
            Key::Up | Key::Char('k') if self.finding.is_some() => {
                self.choose_finding(|at, _| at.saturating_sub(1));
            }
            Key::Down | Key::Char('j') if self.finding.is_some() => self.choose_finding(|at, _| at + 1),
            Key::Enter => {
                let subject = match (self.open(), self.host()?) {
                    (Some(recovery), _) => Subject::Recovery(recovery),
                    (None, host) => Subject::Host(host),
                };
                return Some(self.show(subject));
            }
            Key::Char('h') => {
                let host = self.host()?;
                return Some(self.show(Subject::Host(host)));
            }
            Key::Up | Key::Char('k') => self.choose(|at, _| at.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.choose(|at, _| at + 1),
            Key::PageUp => {
                let fit = self.fit;
                self.choose(|at, _| at.saturating_sub(fit));
            }
            Key::PageDown => {
                let fit = self.fit;
                self.choose(|at, _| at + fit);
            }
            Key::Home => self.choose(|_, _| 0),
            Key::End => self.choose(|_, last| last),
            Key::Char(_) | Key::Backspace => {}
        }
        None
    }

    fn filter_by(&mut self, key: Key) {
        match key {
            Key::Char(letter) => self.filter.push(letter),
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Enter => self.is_filtering = false,
            Key::Esc => {
                self.is_filtering = false;
                self.filter.clear();
            }
            Key::Up | Key::Down | Key::Tab | Key::PageUp | Key::PageDown | Key::Home | Key::End => {}
        }
    }

    fn choose(&mut self, to: impl Fn(usize, usize) -> usize) {
        let rows = self.rows();
        let last = rows.len().saturating_sub(1);
        let at = to(self.at(&rows), last).min(last);
        self.chosen = rows.get(at).map(|(_, host)| host.name.clone());
    }

    fn show(&mut self, subject: Subject) -> MonAction {
        if subject == Subject::Region {
            // When the operator returns, the same row is still chosen.
        } else if self.chosen.is_none() {
            self.chosen = self.host();
        }
        self.view = subject.clone();
        self.page = None;
        self.scroll = 0;
        MonAction::Show(subject)
    }

    /// Returns the host that a key is about.
    pub(super) fn host(&self) -> Option<String> {
        match &self.view {
            Subject::Host(name) | Subject::Why(name) => Some(name.clone()),
            Subject::Finding(_) => None,
            Subject::Recovery(id) => {
                let all = self.region.iter().flat_map(|region| &region.groups);
                let mut hosts = all.flat_map(|group| &group.hosts);
                let of_it = hosts.find(|host| host.open == Some(*id));
                of_it.map(|host| host.name.clone())
            }
            Subject::Region => {
                let rows = self.rows();
                rows.get(self.at(&rows)).map(|(_, host)| host.name.clone())
            }
        }
    }

    /// Returns the chosen host as it is drawn.
    fn drawn(&self) -> Option<&Host> {
        let name = self.host()?;
        let all = self.region.iter().flat_map(|region| &region.groups);
        let mut hosts = all.flat_map(|group| &group.hosts);
        hosts.find(|host| host.name == name)
    }

    /// Returns the open recovery of that host.
    fn open(&self) -> Option<RecoveryId> {
        self.drawn().and_then(|host| host.open)
    }

    fn freeze(&mut self) {
        let Some(host) = self.host() else { return };
        self.dialogue = Some(Dialogue::freeze(&host, &self.options.source));
    }

    fn drain(&mut self) {
        let Some(host) = self.host() else { return };
        self.dialogue = Some(Dialogue::drain(&host, &self.options.source));
    }

    fn start_dialogue(&mut self, letter: char) {
        let (Some(host), Some(recovery)) = (self.host(), self.open()) else {
            self.hint = Some("no recovery of this host is open".to_owned());
            return;
        };
        self.dialogue = Some(match letter {
            'a' => {
                let drawn = self.drawn();
                let waits = drawn.and_then(|host| host.waits.as_ref());
                let evidence = drawn.and_then(|host| host.evidence.as_deref());
                Dialogue::approve(recovery, &host, waits, evidence, &self.options.source)
            }
            'x' => Dialogue::abort(recovery, &host, &self.options.source),
            _ => Dialogue::confirm_off(&host),
        });
    }
}
