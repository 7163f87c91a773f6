//! What the terminal says when it is asked how light its background is (OSC 11), picked out from among the keys.
//!
//! Nothing waits for it, because many terminals never answer. It may come late, over a slow line, and in pieces: crossterm
//! gives it as keys (`alt-]`, `1`, `1`, `;`, `r`, ...), and each of them would be a command.

use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

use crate::base::At;

/// The question. Ended by BEL, which every terminal that answers takes, and answers with.
pub(super) const QUESTION: &str = "\x1b]11;?\x07";
/// After so long an escape is an escape, ms: no line is that slow.
const AWAITED_MS: u64 = 10_000;
/// An answer that breaks off is forgotten after this, ms.
const BROKEN_MS: u64 = 1_000;
/// How long leaving waits for an answer that is under way, ms after the question.
const LEAVING_MS: u64 = 1_000;
/// Most letters of the colour.
const MAX_COLOUR: usize = 24;
/// How an answer begins, after `OSC`.
const BEGINS: &str = "11;rgb";

/// What was heard: the person's events, and whether the background is light.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TerminalInput {
    pub events: Vec<Event>,
    pub light: Option<bool>,
}

#[derive(Debug, Default)]
enum AnswerState {
    /// Everything is the person's.
    #[default]
    Keys,
    /// An escape that may be the first byte of an answer.
    Escape(Event),
    /// In an answer: what came of it after `OSC`, and when the last of it came.
    Answer(String, At),
}

/// Picks the terminal's answers out.
#[derive(Debug)]
pub(super) struct TerminalAnswers {
    /// When it was asked, until it answers.
    asked: Option<At>,
    state: AnswerState,
}

impl TerminalAnswers {
    /// For a terminal that was asked at `asked`, or was not.
    pub fn new(asked: Option<At>) -> Self {
        Self { asked, state: AnswerState::Keys }
    }

    /// Whether an escape waits for what comes after it.
    pub(crate) fn holds_escape(&self) -> bool {
        matches!(self.state, AnswerState::Escape(_))
    }

    /// Nothing came after the escape: it was the person's.
    pub(crate) fn give_up(&mut self) -> TerminalInput {
        match std::mem::take(&mut self.state) {
            AnswerState::Escape(escape) => TerminalInput { events: vec![escape], light: None },
            state => {
                self.state = state;
                TerminalInput::default()
            }
        }
    }

    /// How long an answer may still come that a shell must not get.
    pub(crate) fn time_left_to_wait(&self, now: At) -> Option<Duration> {
        let left = LEAVING_MS.saturating_sub(now.since(self.asked?));
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// Takes one event in.
    pub(crate) fn take_event(&mut self, event: Event, now: At) -> TerminalInput {
        let Event::Key(key) = event else { return TerminalInput { events: vec![event], light: None } };
        match std::mem::take(&mut self.state) {
            AnswerState::Keys => self.begin_answer(key, now),
            AnswerState::Escape(escape) if key.code == KeyCode::Char(']') && key.modifiers.is_empty() => {
                drop(escape);
                self.state = AnswerState::Answer(String::new(), now);
                TerminalInput::default()
            }
            AnswerState::Escape(escape) => {
                let mut heard = self.begin_answer(key, now);
                heard.events.insert(0, escape);
                heard
            }
            AnswerState::Answer(_, last) if now.since(last) > BROKEN_MS => self.begin_answer(key, now),
            AnswerState::Answer(text, _) => self.continue_answer(text, key, now),
        }
    }

    fn begin_answer(&mut self, key: KeyEvent, now: At) -> TerminalInput {
        let awaited = self.asked.is_some_and(|at| now.since(at) < AWAITED_MS);
        match (key.code, key.modifiers) {
            (KeyCode::Char(']'), KeyModifiers::ALT) => self.state = AnswerState::Answer(String::new(), now),
            (KeyCode::Esc, KeyModifiers::NONE) if awaited => self.state = AnswerState::Escape(Event::Key(key)),
            _ => return TerminalInput { events: vec![Event::Key(key)], light: None },
        }
        TerminalInput::default()
    }

    fn continue_answer(&mut self, mut text: String, key: KeyEvent, now: At) -> TerminalInput {
        // crossterm gives BEL as ctrl-g.
        let bell = key.code == KeyCode::Char('g') && key.modifiers == KeyModifiers::CONTROL;
        // ST is ESC and a backslash; its halves may come apart.
        let terminated = bell || key.code == KeyCode::Char('\\');
        if terminated {
            self.asked = None;
            return TerminalInput { events: Vec::new(), light: parse_is_light(&text) };
        }
        match key.code {
            KeyCode::Esc => {
                self.state = AnswerState::Answer(text, now);
                TerminalInput::default()
            }
            KeyCode::Char(c) if key.modifiers.difference(KeyModifiers::SHIFT).is_empty() && fits_answer(&text, c) => {
                text.push(c);
                self.state = AnswerState::Answer(text, now);
                TerminalInput::default()
            }
            // It broke off, and this is the person's; what came of it is nobody's.
            _ => self.begin_answer(key, now),
        }
    }
}

/// Whether a letter may come next in an answer.
fn fits_answer(text: &str, next: char) -> bool {
    match BEGINS.chars().nth(text.len()) {
        Some(expected) => next == expected,
        None => text.len() < BEGINS.len() + MAX_COLOUR && (next.is_ascii_hexdigit() || next == ':' || next == '/'),
    }
}

/// Whether `11;rgb:RRRR/GGGG/BBBB` (one to four digits each; `rgba` with a fourth) is a light colour: by the luma of
/// ITU-R BT.601.
fn parse_is_light(text: &str) -> Option<bool> {
    let (_, colour) = text.strip_prefix(BEGINS)?.split_once(':')?;
    let parts = colour.split('/').take(3).map(|hex| {
        // The number of digits gives the scale: `f` is as bright as `ffff`.
        let most = 16u32.checked_pow(u32::try_from(hex.len()).ok()?)?.checked_sub(1).filter(|m| *m > 0)?;
        Some(f64::from(u32::from_str_radix(hex, 16).ok()?) / f64::from(most))
    });
    let parts: Vec<f64> = parts.collect::<Option<_>>()?;
    let [red, green, blue] = parts[..] else { return None };
    Some(0.299 * red + 0.587 * green + 0.114 * blue > 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: At = At(1_772_373_731_000);

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
        Event::Key(KeyEvent::new(code, modifiers))
    }

    fn letters(s: &str) -> Vec<Event> {
        s.chars().map(|c| key(KeyCode::Char(c), KeyModifiers::NONE)).collect()
    }

    /// As crossterm gives what came in one piece.
    fn answer(colour: &str) -> Vec<Event> {
        let mut events = vec![key(KeyCode::Char(']'), KeyModifiers::ALT)];
        events.extend(letters(&format!("11;{colour}")));
        events.push(key(KeyCode::Char('g'), KeyModifiers::CONTROL));
        events
    }

    fn hear(answers: &mut TerminalAnswers, events: Vec<Event>, now: At) -> TerminalInput {
        let mut all = TerminalInput::default();
        for event in events {
            let heard = answers.take_event(event, now);
            all.events.extend(heard.events);
            all.light = all.light.or(heard.light);
        }
        all
    }

    #[test]
    fn an_answer_is_no_key_and_says_how_light_it_is() {
        for (colour, light) in [
            ("rgb:ffff/ffff/ffff", Some(true)),
            ("rgb:fdf6/e3e3/d5d5", Some(true)),
            ("rgb:0000/2b2b/3636", Some(false)),
            ("rgb:1e/1e/1e", Some(false)),
            ("rgba:ff/ff/ee/ffff", Some(true)),
            ("rgb:f/f", None),
            ("rgb", None),
        ] {
            let mut answers = TerminalAnswers::new(Some(NOW));
            assert_eq!(hear(&mut answers, answer(colour), NOW), TerminalInput { events: vec![], light }, "{colour}");
            let typed = letters("rb");
            assert_eq!(hear(&mut answers, typed.clone(), NOW).events, typed, "keys are keys again");
        }
    }

    #[test]
    fn keys_around_an_answer_stay_keys_and_their_order() {
        let mut answers = TerminalAnswers::new(Some(NOW));
        let mut events = letters("2");
        events.extend(answer("rgb:0000/0000/0000"));
        events.extend(letters("q"));
        assert_eq!(hear(&mut answers, events, NOW), TerminalInput { events: letters("2q"), light: Some(false) });
    }

    #[test]
    fn an_answer_in_pieces_over_a_slow_line_runs_no_command() {
        // A read that ends in the middle of ESC ] gives an escape and a bracket; one in the middle of ST likewise.
        let mut answers = TerminalAnswers::new(Some(NOW));
        let escape = || key(KeyCode::Esc, KeyModifiers::NONE);
        let mut events = vec![escape()];
        events.extend(letters("]11;rgb:eeee/eeee/eeee"));
        events.extend([escape(), key(KeyCode::Char('\\'), KeyModifiers::NONE)]);
        let mut light = None;
        for (i, event) in (0..).zip(events) {
            let heard = answers.take_event(event, NOW.plus(i * 100));
            assert_eq!(heard.events, [], "letter {i}");
            light = light.or(heard.light);
        }
        assert_eq!(light, Some(true));
        // A whole minute late, and unasked for, it is no command either.
        let mut late = TerminalAnswers::new(Some(NOW));
        assert_eq!(hear(&mut late, answer("rgb:0/0/0"), NOW.plus(60_000)).events, []);
    }

    #[test]
    fn an_escape_is_held_only_while_an_answer_may_come() {
        let escape = key(KeyCode::Esc, KeyModifiers::NONE);
        let mut answers = TerminalAnswers::new(Some(NOW));
        assert_eq!(answers.take_event(escape.clone(), NOW), TerminalInput::default());
        assert!(answers.holds_escape());
        assert_eq!(answers.give_up().events, std::slice::from_ref(&escape));
        assert_eq!(answers.take_event(escape.clone(), NOW), TerminalInput::default());
        let both = [vec![escape.clone()], letters("q")].concat();
        assert_eq!(hear(&mut answers, letters("q"), NOW).events, both, "in their order");
        for mut never in [TerminalAnswers::new(None), TerminalAnswers::new(Some(At(NOW.0 - 60_000)))] {
            assert_eq!(never.take_event(escape.clone(), NOW).events, std::slice::from_ref(&escape));
        }
    }

    #[test]
    fn an_answer_that_breaks_off_swallows_no_key_that_is_not_its_own() {
        let mut answers = TerminalAnswers::new(Some(NOW));
        let mut events = vec![key(KeyCode::Char(']'), KeyModifiers::ALT)];
        events.extend(letters("11;rgb:ff"));
        assert_eq!(hear(&mut answers, events.clone(), NOW).events, []);
        assert_eq!(hear(&mut answers, letters("q"), NOW.plus(10)).events, letters("q"));
        assert_eq!(hear(&mut answers, events, NOW).events, []);
        assert_eq!(hear(&mut answers, letters("c"), NOW.plus(5_000)).events, letters("c"), "long after");
    }

    #[test]
    fn leaving_waits_for_what_is_under_way_and_not_for_ever() {
        assert_eq!(TerminalAnswers::new(None).time_left_to_wait(NOW), None);
        let mut answers = TerminalAnswers::new(Some(NOW));
        assert_eq!(answers.time_left_to_wait(NOW.plus(400)), Some(Duration::from_millis(600)));
        assert_eq!(answers.time_left_to_wait(NOW.plus(2_000)), None);
        hear(&mut answers, answer("rgb:0/0/0"), NOW);
        assert_eq!(answers.time_left_to_wait(NOW.plus(400)), None);
    }
}
