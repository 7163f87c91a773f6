//! Who caused a fact. A journal holds it as text; whatever is decided by it is decided by this type, read once.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What the text of a trigger begins with. A person's has an `@`, but whoever starts cutover sets `$USER`.
const TRIGGER: &str = "trigger ";
/// The text of the controller.
const CONTROLLER: &str = "controller";

/// Who caused a fact. As text, and so in a journal and in JSON: `user@host`, `trigger NAME`, `controller`. Every text can
/// be read and is written again as it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Actor {
    /// Somebody at a screen or a shell.
    Person(Person),
    /// A rollback trigger of the plan, by its name. What it starts counts differently: a group is rolled back by one once.
    Trigger(String),
    /// The controller, by itself: what nobody typed.
    Controller,
}

/// The name of a person, `user@host`, which is never read as a trigger or as the controller: there is no other way to make
/// one than [`Person::new`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Person(String);

/// The one that is no person, if the text of an actor says so.
fn read_other_than_person(text: &str) -> Option<Actor> {
    match text.strip_prefix(TRIGGER) {
        Some(trigger) => Some(Actor::Trigger(trigger.to_owned())),
        None => (text == CONTROLLER).then_some(Actor::Controller),
    }
}

impl Person {
    /// A person by this name; one that would pass for a trigger or the controller is told apart from it.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        match read_other_than_person(&name) {
            // `$USER` is whatever its owner sets it to: `trigger x` counted as a rollback trigger in the journal.
            Some(_) => Self(format!("user {name}")),
            None => Self(name),
        }
    }

    /// The name as it is: strange letters are made visible where it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who it is, whatever host they sit at. It is what a session says of itself: this reminds honest people that two are
    /// asked for, and keeps nobody out who can run as somebody else.
    fn user(&self) -> &str {
        // A user name may hold an `@` itself (a directory's `user@domain`), the name of a host can't.
        self.0.rsplit_once('@').map_or(&self.0, |(user, _)| user)
    }
}

impl Actor {
    /// Whether a rollback trigger caused it.
    #[must_use]
    pub fn is_trigger(&self) -> bool {
        matches!(self, Actor::Trigger(_))
    }

    /// Whether both are one, whatever host a person sits at.
    #[must_use]
    pub(crate) fn is_same_as(&self, other: &Actor) -> bool {
        match (self, other) {
            (Actor::Person(one), Actor::Person(two)) => one.user() == two.user(),
            (one, two) => one == two,
        }
    }

    /// Its text: what a journal holds.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Actor::Person(person) => Cow::Borrowed(person.as_str()),
            Actor::Trigger(trigger) => Cow::Owned(format!("{TRIGGER}{trigger}")),
            Actor::Controller => Cow::Borrowed(CONTROLLER),
        }
    }
}

/// As a journal has it. What a person says of themselves is a [`Person`] first.
impl From<String> for Actor {
    fn from(text: String) -> Self {
        read_other_than_person(&text).unwrap_or(Actor::Person(Person(text)))
    }
}

impl From<&str> for Actor {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Person> for Actor {
    fn from(person: Person) -> Self {
        Actor::Person(person)
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.text().into_owned()
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl From<String> for Person {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl From<&str> for Person {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<Person> for String {
    fn from(person: Person) -> Self {
        person.0
    }
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_read_and_written_as_it_was() {
        let person = |name: &str| Actor::Person(Person(name.to_owned()));
        for (text, actor) in [
            ("ann@bastion", person("ann@bastion")),
            ("controller", Actor::Controller),
            ("controller@bastion", person("controller@bastion")),
            ("trigger green-lag", Actor::Trigger("green-lag".to_owned())),
            // as a plan may name one, and as the first versions took them
            ("trigger ", Actor::Trigger(String::new())),
            ("trigger a@b", Actor::Trigger("a@b".to_owned())),
            ("triggerhappy@bastion", person("triggerhappy@bastion")),
            ("", person("")),
        ] {
            assert_eq!(Actor::from(text), actor, "{text:?}");
            assert_eq!(actor.to_string(), text);
            let json = serde_json::to_string(&actor).unwrap();
            assert_eq!(json, serde_json::to_string(text).unwrap());
            assert_eq!(serde_json::from_str::<Actor>(&json).unwrap(), actor);
        }
    }

    #[test]
    fn no_person_passes_for_a_trigger_or_the_controller() {
        for name in
            ["trigger green-lag", "trigger green-lag@bastion", "controller", "ann@bastion", "user controller", ""]
        {
            let person = Person::new(name);
            let told: Person = serde_json::from_str(&serde_json::to_string(name).unwrap()).unwrap();
            assert_eq!(person, told, "what a screen of another process sends is no way around it");
            assert!(person.as_str().ends_with(name), "{person}");
            let read = Actor::from(person.as_str());
            assert_eq!(read, Actor::Person(person), "{name:?} is still a person when the journal is read again");
        }
        assert_eq!(Person::new("ann@bastion").as_str(), "ann@bastion");
    }

    #[test]
    fn one_person_at_two_hosts_is_one() {
        let same = |a: &str, b: &str| Actor::from(a).is_same_as(&Actor::from(b));
        assert!(same("ann@bastion", "ann@laptop") && same("ann", "ann@laptop"));
        assert!(!same("ann@bastion", "bob@bastion") && !same("ann@corp@bastion", "ann@bastion"));
        assert!(same("controller", "controller") && !same("controller", "controller@bastion"));
        assert!(!same("trigger a@x", "trigger a@y"));
    }
}
