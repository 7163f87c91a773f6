//! Identities of records, as every job makes them that reads records of both clusters: the one place where a schema
//! registry is asked what the ids mean that records carry.
//!
//! With a registry for both clusters in the plan, an id in front of a key or a value (a zero byte and 4 big-endian bytes:
//! Confluent's wire format) counts as what it means on its own side, so that a record is the same record wherever its
//! producer got the id. Ids are asked for when the first record carries them, and kept. A registry that does not answer ends
//! the read: other identities are never made in silence. What neither registry tells stays as it is; what only one tells is
//! no identity at all ([`NoIdentity::Doubtful`]).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, RwLock};

use tokio::runtime::Handle;

use crate::base::sanitise::visible_name;
use crate::base::{Side, Sides, TopicPartition, Trouble, lock_unpoisoned};
use crate::kafka::records::RecordRef;
use crate::offsets::identity::{Identity, IdentityRule, NoSchemas, SchemaIds, identify_record, split_frame};
use crate::plan::{Plan, RegistryPlan};
use crate::registry::RegistryLookup;
use crate::schemas::{IdMeaning, IdPlace, place_id};
use crate::session::clock::{Clock, Stopwatch};

/// Ids without a schema that a topic's records may carry. Bytes that only look framed carry any number.
const MOST_ABSENT: u32 = 512;
/// For how long an id that was not found is not asked for again, ms: a follower may have it later than its leader.
const ABSENT_MS: u64 = 30_000;
/// For how long it counts that such an id was seen, ms: longer than any one comparison's windows take.
const SEEN_MS: u64 = 1_800_000;
/// Answers that a read has at hand, by the id's last digits.
const AT_HAND: usize = 8;

/// What makes identities, for as long as a job lives.
#[derive(Clone)]
pub(crate) struct RecordIdentities {
    /// `None`: the plan names no registry, or only one, and bytes are compared as they are.
    books: Option<Arc<Sides<SchemaBook>>>,
    /// By side and the topic's name there.
    seen: Seen,
}

type Seen = Arc<Mutex<BTreeMap<(Side, String), FrameTally>>>;

/// Why a record has no identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoIdentity {
    /// A registry did not say what an id means.
    Unasked(Trouble),
    /// What its id means can't be compared with the other side: nothing may be claimed of this partition.
    Doubtful(Trouble),
}

/// One registry's ids as far as they were asked for.
struct SchemaBook {
    side: Side,
    plan: RegistryPlan,
    known: RwLock<HashMap<u32, (IdMeaning, Stopwatch)>>,
    /// How many ids of a topic were not found.
    absent: Mutex<BTreeMap<String, u32>>,
    /// Opened by the first question; one at a time.
    lookup: tokio::sync::Mutex<Option<RegistryLookup>>,
}

/// What was seen in front of one topic's keys and values (in this order) on one side.
#[derive(Debug, Clone, Default)]
struct FrameTally {
    /// Fields with an id that a registry tells.
    told: [u64; 2],
    /// Fields with an id that neither tells.
    untold: [u64; 2],
    /// One of those: its id, and where it lies.
    example: Option<(u32, TopicPartition, i64)>,
    /// When the last of those was read.
    seen: Option<Stopwatch>,
}

impl FrameTally {
    fn add(&mut self, other: FrameTally) {
        for field in [0, 1] {
            self.told[field] += other.told[field];
            self.untold[field] += other.untold[field];
        }
        self.example = self.example.take().or(other.example);
        self.seen = other.seen.or(self.seen);
    }

    /// Whether a field holds both: then what is not told may be an id all the same, and its record's twin may carry another.
    fn is_mixed(&self) -> bool {
        [0, 1].into_iter().any(|field| self.told[field] > 0 && self.untold[field] > 0)
    }

    fn describe_untold(&self) -> Option<String> {
        let (id, tp, offset) = self.example.as_ref()?;
        let fields: u64 = self.untold.iter().sum();
        let noun = if fields == 1 { "key or value looks" } else { "keys and values look" };
        Some(format!(
            "{fields} {noun} framed with a schema id that neither registry tells (id {id} at {tp} offset {offset})"
        ))
    }
}

impl RecordIdentities {
    /// By the plan's registries. No I/O.
    pub(crate) fn of_plan(plan: &Plan) -> Self {
        let books = plan.both_registries().map(|plans| {
            let book = |side: Side| SchemaBook {
                side,
                plan: plans[side].clone(),
                known: RwLock::default(),
                absent: Mutex::default(),
                lookup: tokio::sync::Mutex::default(),
            };
            Arc::new(Sides::from_fn(book))
        });
        Self { books, seen: Seen::default() }
    }

    /// For reading one side's records on a thread that may wait.
    ///
    /// # Errors
    /// No runtime is there to ask a registry on.
    pub(crate) fn start_reading(&self, side: Side) -> Result<RecordIdentifier, Trouble> {
        let gone = |_| Trouble::new("no runtime serves the schema registries", "this is a fault of cutover");
        let asks = match &self.books {
            None => None,
            Some(books) => Some((Arc::clone(books), Handle::try_current().map_err(gone)?)),
        };
        let (at_hand, seen) = (Default::default(), Arc::clone(&self.seen));
        Ok(RecordIdentifier { side, asks, at_hand, tallies: RefCell::default(), seen })
    }

    /// Why records of these topics (one on each side) that lie on one side alone may have their twins all the same: `None`
    /// where nothing speaks for it.
    pub(crate) fn find_mixed(&self, topics: [(Side, &str); 2]) -> Option<String> {
        let tally = self.sum_up(topics);
        let words = tally.describe_untold().filter(|_| tally.is_mixed())?;
        Some(format!("{words}, beside others that carry ids: whether those are the same on both sides is not known"))
    }

    /// What of these topics was compared byte for byte because neither registry tells it; `None`: nothing.
    pub(crate) fn describe_untold(&self, topics: [(Side, &str); 2]) -> Option<String> {
        Some(format!("{}: compared byte for byte", self.sum_up(topics).describe_untold()?))
    }

    fn sum_up(&self, topics: [(Side, &str); 2]) -> FrameTally {
        let seen = lock_unpoisoned(&self.seen);
        let mut all = FrameTally::default();
        topics
            .iter()
            .filter_map(|(side, topic)| seen.get(&(*side, (*topic).to_owned())))
            .for_each(|t| all.add(t.clone()));
        // What was not told long ago may be told by now.
        if all.seen.is_some_and(|at| at.elapsed_ms() > SEEN_MS) { FrameTally::default() } else { all }
    }
}

/// An id, and what takes its place; an inner `None`: it stays as it is.
type PlaceAtHand = Cell<Option<(u32, Option<u128>)>>;

/// Makes identities of one side's records. It waits for a registry when a record carries an id for the first time.
pub(crate) struct RecordIdentifier {
    side: Side,
    asks: Option<(Arc<Sides<SchemaBook>>, Handle)>,
    at_hand: [PlaceAtHand; AT_HAND],
    /// By topic.
    tallies: RefCell<BTreeMap<String, FrameTally>>,
    seen: Seen,
}

impl Drop for RecordIdentifier {
    fn drop(&mut self) {
        let mut seen = lock_unpoisoned(&self.seen);
        for (topic, tally) in self.tallies.take() {
            seen.entry((self.side, topic)).or_default().add(tally);
        }
    }
}

/// The ids of one record, and why one of them can't be told.
struct IdsOfRecord<'a> {
    identifier: &'a RecordIdentifier,
    tp: &'a TopicPartition,
    record: &'a RecordRef<'a>,
    refused: RefCell<Option<NoIdentity>>,
}

impl SchemaIds for IdsOfRecord<'_> {
    fn canonical_id(&self, id: u32) -> Option<u128> {
        let place = self.identifier.find_place(id, &self.tp.topic).unwrap_or_else(|why| {
            self.refused.borrow_mut().get_or_insert(why);
            None
        });
        self.identifier.count_field(self, id, place.is_some());
        place
    }
}

impl RecordIdentifier {
    /// A record's identity. `tp` as its own cluster names it.
    ///
    /// # Errors
    /// It has none: nothing may be concluded from a read that goes on without it.
    pub(crate) fn identify(
        &self,
        rule: &IdentityRule,
        tp: &TopicPartition,
        record: &RecordRef<'_>,
    ) -> Result<Identity, NoIdentity> {
        if self.asks.is_none() {
            return Ok(identify_record(rule, record.key, record.value, record.headers(), &NoSchemas));
        }
        let ids = IdsOfRecord { identifier: self, tp, record, refused: RefCell::default() };
        let identity = identify_record(rule, record.key, record.value, record.headers(), &ids);
        ids.refused.into_inner().map_or(Ok(identity), Err)
    }

    fn count_field(&self, IdsOfRecord { tp, record, .. }: &IdsOfRecord<'_>, id: u32, told: bool) {
        // A key comes first; where both carry the same id, what is told of one is told of the other.
        let in_key = record.key.and_then(split_frame).is_some_and(|(of_key, _)| of_key == id);
        let field = usize::from(!in_key);
        let mut tallies = self.tallies.borrow_mut();
        if !tallies.contains_key(&tp.topic) {
            tallies.insert(tp.topic.clone(), FrameTally::default());
        }
        let Some(tally) = tallies.get_mut(&tp.topic) else { return };
        if told {
            tally.told[field] += 1;
        } else {
            tally.untold[field] += 1;
            tally.seen = Some(Clock.stopwatch());
            tally.example.get_or_insert_with(|| (id, (*tp).clone(), record.offset));
        }
    }

    fn find_place(&self, id: u32, topic: &str) -> Result<Option<u128>, NoIdentity> {
        let at_hand = &self.at_hand[id as usize % AT_HAND];
        match at_hand.get() {
            Some((known, place)) if known == id => Ok(place),
            _ => {
                let place = self.ask_place(id, topic)?;
                at_hand.set(Some((id, place)));
                Ok(place)
            }
        }
    }

    fn ask_place(&self, id: u32, topic: &str) -> Result<Option<u128>, NoIdentity> {
        let own = self.ask_meaning(self.side, id, topic)?;
        let other = if own.is_certain() { IdMeaning::Absent } else { self.ask_meaning(self.side.other(), id, topic)? };
        match place_id(id, self.side, &own, &other) {
            IdPlace::Meaning(identity) => Ok(Some(identity)),
            IdPlace::AsItIs => Ok(None),
            IdPlace::Doubtful(why) => Err(NoIdentity::Doubtful(Trouble::new(
                format!("{}: {why}", visible_name(topic)),
                "see that green's registry has what blue's has (cutover schemas); if this topic's bytes only look as if \
                 they carried an id, give it identity = \"bytes\" in the plan",
            ))),
        }
    }

    /// What a side's registry says of an id; waits for it where that is not known yet.
    fn ask_meaning(&self, side: Side, id: u32, topic: &str) -> Result<IdMeaning, NoIdentity> {
        let gone = || Trouble::new("asking a schema registry broke off", "try again");
        let Some((books, handle)) = &self.asks else { return Ok(IdMeaning::Absent) };
        let book = &books[side];
        if let Some(known) = book.recall(id) {
            return Ok(known);
        }
        book.check_absent(topic)?;
        let (books, (tell, told)) = (Arc::clone(books), sync_channel(1));
        handle.spawn(async move {
            let _ = tell.send(books[side].ask_registry(id).await); // whoever asked may be gone
        });
        // Bounded by the time limit of each request.
        let meaning = told.recv().unwrap_or_else(|_| Err(gone())).map_err(NoIdentity::Unasked)?;
        if meaning == IdMeaning::Absent {
            *lock_unpoisoned(&book.absent).entry(topic.to_owned()).or_default() += 1;
        }
        Ok(meaning)
    }
}

impl SchemaBook {
    fn recall(&self, id: u32) -> Option<IdMeaning> {
        let known = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (meaning, asked) = known.get(&id)?;
        // What an id means stays as it is; that it is missing may not.
        let stands = matches!(meaning, IdMeaning::Told { .. }) || asked.elapsed_ms() < ABSENT_MS;
        stands.then(|| meaning.clone())
    }

    fn check_absent(&self, topic: &str) -> Result<(), NoIdentity> {
        if lock_unpoisoned(&self.absent).get(topic).is_none_or(|n| *n < MOST_ABSENT) {
            return Ok(());
        }
        let what = format!(
            "{}: {}'s registry was asked for {MOST_ABSENT} ids that it does not have: these bytes are no ids",
            visible_name(topic),
            self.side
        );
        let advice = "give this topic identity = \"bytes\" in the plan, and no registry is asked";
        Err(NoIdentity::Doubtful(Trouble::new(what, advice)))
    }

    async fn ask_registry(&self, id: u32) -> Result<IdMeaning, Trouble> {
        let mut lookup = self.lookup.lock().await;
        // Somebody else may have asked meanwhile.
        if let Some(known) = self.recall(id) {
            return Ok(known);
        }
        let mut open = match lookup.take() {
            Some(open) => open,
            None => RegistryLookup::open(&self.plan, self.side).await?,
        };
        let meaning = open.find_meaning(id).await.inspect_err(|why| {
            tracing::warn!(side = %self.side, id, why = %why.what, "an id is not known");
        })?;
        tracing::debug!(side = %self.side, id, ?meaning, "an id of records");
        // Only one that answered is kept.
        *lookup = Some(open);
        let mut known = self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.insert(id, (meaning.clone(), Clock.stopwatch()));
        Ok(meaning)
    }
}

impl NoIdentity {
    /// What happened, and what to do.
    pub(crate) fn into_trouble(self) -> Trouble {
        match self {
            NoIdentity::Unasked(trouble) | NoIdentity::Doubtful(trouble) => trouble,
        }
    }
}
