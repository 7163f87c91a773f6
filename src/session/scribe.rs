//! Where work that changes something writes its facts: into the plan's journal, which it opens and closes itself, or through
//! the session that it runs in, which holds the journal already. Either way a fact is durable before the work goes on.

use std::sync::Mutex;

use tokio::sync::{mpsc, oneshot};

use super::clock::Clock;
use super::lease::WriteLease;
use super::ledger::{Access, Ledger, build_opened_event};
use super::options::Options;
use crate::base::{Actor, Trouble, ignore_poison};
use crate::migration::facts::event::{Event, JournalEntry};
use crate::plan::Plan;
use crate::snapshot::Arming;

/// A fact that waits for the session to write it.
pub(crate) struct LentEntry {
    pub actor: Actor,
    pub event: Event,
    /// Told once it is durable, or why it is not.
    pub written: oneshot::Sender<Result<(), Trouble>>,
}

/// The journal of a session that runs, lent to work inside of it.
pub(crate) struct LentJournal {
    /// What earlier work of the kind left in it, oldest first.
    pub entries: Vec<JournalEntry>,
    pub lease: WriteLease,
    pub desk: mpsc::Sender<LentEntry>,
}

/// Which journal work writes into.
pub(crate) enum JournalSource {
    /// The plan's, which nobody holds yet.
    Open,
    /// The one of the session that runs.
    Lent(LentJournal),
}

/// Writes facts.
pub(crate) enum Scribe {
    // The mutex is never locked: it lets work that holds a scribe be a task of its own.
    Own(Mutex<Box<Ledger>>),
    Lent(mpsc::Sender<LentEntry>),
}

/// A journal that work may write into.
pub(crate) struct WorkJournal {
    pub scribe: Scribe,
    pub lease: WriteLease,
    /// What is in it, oldest first; of a lent one what concerns such work.
    pub entries: Vec<JournalEntry>,
    /// What a person should know of it.
    pub troubles: Vec<Trouble>,
}

impl Scribe {
    /// Writes a fact. Errors: it could not be written; nothing may be done then.
    pub async fn append(&mut self, actor: impl Into<Actor>, event: Event) -> Result<(), Trouble> {
        match self {
            Scribe::Own(ledger) => {
                let ledger = ignore_poison(ledger.get_mut());
                ledger.append(Clock.now(), actor, event).await.map(drop)
            }
            Scribe::Lent(desk) => {
                let gone = || Trouble::new("the session that holds the journal has ended", "look at what stands");
                let (written, heard) = oneshot::channel();
                let entry = LentEntry { actor: actor.into(), event, written };
                desk.send(entry).await.map_err(|_| gone())?;
                heard.await.map_err(|_| gone())?
            }
        }
    }

    /// Ends with a journal of its own: notes that and closes it. Gives what could not be written.
    pub async fn close(mut self, options: &Options) -> Option<Trouble> {
        if let Scribe::Lent(_) = self {
            return None;
        }
        let closed = Event::Closed { actor: options.actor.to_string() };
        let failed = self.append(options.actor.clone(), closed).await.err();
        if let Scribe::Own(mut ledger) = self {
            ignore_poison(ledger.get_mut()).close().await;
        }
        failed
    }
}

impl WorkJournal {
    /// Opens the plan's journal, or takes the lent one; an own one notes first that it was taken. `what` cannot be done
    /// without, in a word (`copied`). Errors: somebody else holds it, or it can't be written.
    pub async fn open(source: JournalSource, plan: &Plan, options: &Options, what: &str) -> Result<Self, Trouble> {
        let access = match source {
            JournalSource::Open => Ledger::open(plan, options, Clock.now()).await,
            JournalSource::Lent(LentJournal { entries, lease, desk }) => {
                return Ok(Self { scribe: Scribe::Lent(desk), lease, entries, troubles: Vec::new() });
            }
        };
        let Access { ledger, entries, arming, troubles, .. } = access;
        let Some(lease) = ledger.lease() else {
            let why = match arming {
                Arming::ReadOnly { why } => why,
                Arming::Armed | Arming::DryRun => "the journal can't be written".to_owned(),
            };
            let advice = troubles.first().map_or("end the session that holds it first", |t| t.advice.as_str());
            return Err(Trouble::new(format!("nothing can be {what}: {why}"), advice));
        };
        let mut scribe = Scribe::Own(Mutex::new(Box::new(ledger)));
        scribe.append(options.actor.clone(), build_opened_event(plan, options)).await?;
        Ok(Self { scribe, lease, entries, troubles })
    }
}
