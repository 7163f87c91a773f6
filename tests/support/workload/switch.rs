//! The switch of an application, or the flag of its producers: a file that they look at a few times a second.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the file says. For producers `Both` is dual-write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Blue,
    Green,
    Both,
    Off,
}

impl State {
    fn of(word: &str) -> State {
        match word {
            "blue" => State::Blue,
            "green" => State::Green,
            "both" | "dual" => State::Both,
            "off" => State::Off,
            other => panic!("a switch says {other:?}"),
        }
    }
}

/// A switch file in flagd's format (provider `file`), or a file with one word (provider `command`).
#[derive(Debug, Clone)]
pub struct Switch {
    path: PathBuf,
    /// Of the flag; `None` in a file with one word.
    key: Option<String>,
}

impl Switch {
    /// A flag `key` in a new flagd-format file of its own, with a comment to be kept.
    pub fn file(path: &Path, key: &str, state: &str) -> Switch {
        let text = format!(
            "{{\n  // owned by the {key} team\n  \"flags\": {{\n    \"{key}\": {{\n      \"state\": \"ENABLED\",\n      \
             \"variants\": {{ \"blue\": \"blue\", \"green\": \"green\", \"dual\": \"dual\", \"both\": \"both\", \"off\": \"off\" }},\n      \
             \"defaultVariant\": \"{state}\" // where it is now\n    }}\n  }}\n}}\n"
        );
        fs::write(path, text).expect("a flag file");
        Switch { path: path.to_owned(), key: Some(key.to_owned()) }
    }

    /// A file with one word, for commands to read and replace.
    pub fn word(path: &Path, state: &str) -> Switch {
        fs::write(path, state).expect("a switch file");
        Switch { path: path.to_owned(), key: None }
    }

    /// The inline table of the plan for this switch, `{ provider = ... }`.
    pub fn toml(&self) -> String {
        let path = self.path.display();
        match &self.key {
            Some(key) => {
                format!("{{ provider = \"file\", path = \"{path}\", key = \"{key}\", comments = true }}")
            }
            None => format!(
                "{{ provider = \"command\", get = [\"cat\", \"{path}\"], \
                 set = [\"sh\", \"-c\", \"printf %s \\\"$1\\\" > \\\"$2.new\\\" && mv \\\"$2.new\\\" \\\"$2\\\"\", \"set\", \"{{state}}\", \"{path}\"] }}"
            ),
        }
    }

    /// What it says now.
    pub fn state(&self) -> State {
        let text = fs::read_to_string(&self.path).expect("the switch file");
        match &self.key {
            None => State::of(text.trim()),
            Some(_) => {
                let (_, rest) = text.split_once("\"defaultVariant\"").expect("a flag");
                State::of(rest.split('"').nth(1).expect("a variant"))
            }
        }
    }

    /// Turns it by hand, as its owner would.
    pub fn set(&self, state: &str) {
        let text = match &self.key {
            None => state.to_owned(),
            Some(_) => {
                let text = fs::read_to_string(&self.path).expect("the switch file");
                let (before, rest) = text.split_once("\"defaultVariant\": \"").expect("a flag");
                let (_, after) = rest.split_once('"').expect("a variant");
                format!("{before}\"defaultVariant\": \"{state}\"{after}")
            }
        };
        let new = self.path.with_extension("new");
        fs::write(&new, text).and_then(|()| fs::rename(&new, &self.path)).expect("the switch file");
    }
}

/// A switch looked at no more than a few times a second.
pub(super) struct Watched {
    switch: Switch,
    state: State,
    seen: Instant,
}

impl Watched {
    pub fn new(switch: Switch) -> Watched {
        let state = switch.state();
        Watched { switch, state, seen: Instant::now() }
    }

    pub fn state(&mut self) -> State {
        if self.seen.elapsed() > Duration::from_millis(150) {
            self.state = self.switch.state();
            self.seen = Instant::now();
        }
        self.state
    }
}
