//! Two clusters compared, topic by topic: where both logs can be compared, both read at once, and what the pure
//! [`crate::diff`] makes of it.
//!
//! `ground` settles which offsets are read and judged, `read` reads both sides in step, `pace` keeps it from hurting
//! the brokers, `directory` keeps what does not fit into memory and the progress, `work` joins them, `summary` tells.

mod directory;
mod ground;
mod pace;
mod read;
pub(crate) mod sample;
mod summary;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sha2::{Digest as _, Sha256};

use crate::base::sanitise::visible_name;
use crate::base::{Side, Sides, Trouble};
use crate::diff::asked::{DiffProgress, DiffScope, Span};
use crate::diff::{DiffReport, TopicDiff};
use crate::estate::identity::Unverified;
use crate::kafka::control::StableOffsets;
use crate::plan::{Plan, RegistryPlan};
use crate::replay::Ranges;
use crate::session::clock::Clock;
use crate::session::names::TopicNames;
use crate::session::pins;
use crate::session::tools::Tools;
use directory::{DiffDirectory, Saved};
use ground::DiffSurvey;
use pace::ReadPace;
pub(crate) use summary::finish_diff;
use work::DiffSession;

/// A diff to be made.
#[derive(Debug, Clone)]
pub struct DiffRequest {
    /// What is compared.
    pub what: DiffScope,
    /// Which of its records.
    pub span: Span,
    /// The side that should hold everything; the other one is the target.
    pub source: Side,
    /// Bytes a second over both sides; `None` for what the plan says.
    pub rate: Option<u64>,
    /// Bytes of memory; `None` for what the plan says.
    pub memory: Option<u64>,
    /// Go on with the same diff where it was broken off.
    pub resume: bool,
    /// Something of the range was replayed before: it lies at the target's end, so that is read up to there.
    pub replayed: bool,
    /// When it is not empty: each partition is compared from its first of these offsets of the source to its last,
    /// whatever `span` says.
    pub carried: Ranges,
}

/// Where a diff tells how far it is, about once a second.
pub(crate) type DiffProgressSink = Arc<dyn Fn(&DiffProgress) + Send + Sync>;

/// How a diff ended.
#[derive(Debug)]
pub enum Ended {
    /// To its end.
    Done(Box<DiffReport>),
    /// Broken off by `stop`; the same request with `resume` goes on with it.
    Interrupted,
}

/// Why a diff came to no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffFailure {
    /// The request makes no sense with this plan.
    Usage(Trouble),
    /// This machine's side of it: the disk, another run, nothing to resume.
    Failed(Trouble),
    /// A cluster could not be observed.
    Unknown(Trouble),
}

impl DiffFailure {
    /// What happened, and what to do.
    #[must_use]
    pub fn trouble(&self) -> &Trouble {
        match self {
            DiffFailure::Usage(trouble) | DiffFailure::Failed(trouble) | DiffFailure::Unknown(trouble) => trouble,
        }
    }
}

/// Trouble of a cluster's.
impl From<Trouble> for DiffFailure {
    fn from(trouble: Trouble) -> Self {
        DiffFailure::Unknown(trouble)
    }
}

impl From<Unverified> for DiffFailure {
    fn from(why: Unverified) -> Self {
        match why {
            Unverified::Wrong(trouble) => DiffFailure::Failed(trouble),
            Unverified::Unknown(trouble) => DiffFailure::Unknown(trouble),
        }
    }
}

/// Makes a diff. Reads only. `stop` breaks it off within about a second, so that it can be resumed.
///
/// # Errors
/// A side can't be observed, is another cluster than the plan says, or the disk refuses. What was read until then is
/// kept for `resume` where reading had begun.
pub async fn run_diff(
    plan: Arc<Plan>,
    request: DiffRequest,
    tell: DiffProgressSink,
    stop: Arc<AtomicBool>,
) -> Result<Ended, DiffFailure> {
    let watch = Clock.stopwatch();
    let names = Arc::new(TopicNames::new(&plan));
    let tools = Arc::new(Tools::new(&plan, Arc::clone(&names)));
    let clusters = pins::identify_clusters(&plan, &tools).await?;
    let topics = choose_topics(&plan, &tools, &names, &request).await?;
    // Some are named by a person or by a commit alone, and only a pattern of the plan gives them another name on green.
    topics.iter().for_each(|topic| names.learn_topic(&plan, topic));
    let mark = fingerprint_request(&clusters, &topics, &request, plan.both_registries());
    let at = plan.diff.dir.clone().unwrap_or_else(|| plan.journal.with_file_name("diff"));
    let mut place = DiffDirectory::open(&at, &mark)?;
    let mut saved = if request.resume { place.load()? } else { place.clear().map(|()| Saved::default())? };
    let pace = Arc::new(ReadPace::new(request.rate.or(plan.diff.rate), plan.diff.back_off_above_ms));
    let (source, span, replayed) = (request.source, request.span, request.replayed);
    let carried = &request.carried;
    let grounds = DiffSurvey { plan: &plan, tools: &tools, names: &names, source, span, replayed, carried };
    let mut session = DiffSession::new(&plan, &tools, &request, Arc::clone(&pace), tell, stop, (watch, topics.len()));
    for topic in &topics {
        if saved.done.iter().any(|t| t.topic == *topic) {
            continue;
        }
        let compared = compare_or_resume(&grounds, &mut session, topic, &mut place, &mut saved).await?;
        let Some(done) = compared else { return Ok(Ended::Interrupted) };
        saved.done.push(done);
        saved.topic = None;
        place.finish_topic(&saved)?;
    }
    session.close().await;
    place.remove();
    let report = DiffReport {
        schema: 1,
        at_ms: Clock.now().0,
        source: request.source,
        target: request.source.other(),
        clusters: [clusters.blue, clusters.green],
        read: saved.records,
        bytes: saved.bytes,
        ms: saved.ms + watch.elapsed_ms(),
        topics: saved.done,
    };
    Ok(Ended::Done(Box::new(report)))
}

/// Compares a topic, or goes on with it where it was broken off; `None` when it is broken off, and saved.
async fn compare_or_resume(
    grounds: &DiffSurvey<'_>,
    session: &mut DiffSession,
    topic: &str,
    place: &mut DiffDirectory,
    saved: &mut Saved,
) -> Result<Option<TopicDiff>, DiffFailure> {
    let resumed = saved.topic.take().filter(|t| t.ground.topic == topic);
    let ground = match resumed.as_ref().map(|t| Ok(t.ground.clone())) {
        Some(ground) => ground,
        None => grounds.survey_topic(topic).await?,
    };
    match ground {
        // One topic that can't be compared stops none of the others: the report says of it that it is unknown.
        Err(why) => {
            tracing::warn!(topic = %visible_name(topic), %why, "a topic can't be compared");
            let target = grounds.names.topic_on(grounds.source.other(), topic);
            Ok(Some(TopicDiff::unknown(topic.to_owned(), target, why)))
        }
        Ok(ground) => session.compare_topic(ground, resumed, place, saved).await,
    }
}

/// The topics, by their names on blue, each once.
async fn choose_topics(
    plan: &Plan,
    tools: &Tools,
    names: &TopicNames,
    request: &DiffRequest,
) -> Result<Vec<String>, DiffFailure> {
    let found: BTreeSet<String> = match &request.what {
        DiffScope::Topics(topics) => topics.iter().cloned().collect(),
        DiffScope::Producer(name) => match plan.producer(name) {
            Some(producer) => producer.topics.iter().cloned().collect(),
            None => {
                let what = format!("the plan has no producer {name}", name = visible_name(name));
                return Err(DiffFailure::Usage(Trouble::new(what, "name one of the plan's")));
            }
        },
        DiffScope::Group(name) => {
            let listed: BTreeSet<String> =
                plan.group(name).into_iter().flat_map(|g| g.topics.iter().cloned()).collect();
            if listed.is_empty() { committed_topics(tools, names, name, request.source).await? } else { listed }
        }
        DiffScope::Plan => {
            let of_groups = plan.groups.iter().flat_map(|g| &g.topics);
            plan.producers.iter().flat_map(|p| &p.topics).chain(of_groups).cloned().collect()
        }
    };
    match found.is_empty() {
        false => Ok(found.into_iter().collect()),
        true => Err(DiffFailure::Usage(Trouble::new(
            "there is no topic to compare",
            "name topics with --topic, or list those of the producer or group in the plan",
        ))),
    }
}

async fn committed_topics(
    tools: &Tools,
    names: &TopicNames,
    group: &str,
    source: Side,
) -> Result<BTreeSet<String>, Trouble> {
    let id = names.group_on(group, source);
    let offsets = match tools.cluster(source).stable_offsets(&id, &[]).await? {
        StableOffsets::Stable(found) | StableOffsets::Unasked(found, _) => found,
        StableOffsets::Pending(_) => {
            return Err(Trouble::new(
                format!("a transaction with offsets of group {id} is open on {source}", id = visible_name(&id)),
                "try again, or name its topics with --topic",
            ));
        }
    };
    Ok(offsets.into_keys().map(|topic| names.topic_on_blue(source, &topic)).collect())
}

/// Tells requests apart: only the very same one can be resumed.
fn fingerprint_request(
    Sides { blue, green }: &Sides<Option<String>>,
    topics: &[String],
    request: &DiffRequest,
    registries: Option<Sides<&RegistryPlan>>,
) -> String {
    let DiffRequest { span, source, replayed, carried, .. } = request;
    let asked = (blue, green, topics, span, source, replayed, carried);
    // Held against what an earlier version may have left: what `Debug` prints may change with the compiler. Plain data, so
    // this can't fail; if it could, no two requests may look the same for it.
    let mut words = serde_json::to_vec(&asked).unwrap_or_else(|_| format!("{asked:?}").into_bytes());
    // Identities that other registries made, or none, are not comparable: such a diff is another one.
    if let Some(Sides { blue, green }) = registries {
        words.extend(format!("{:?} {:?}", blue.url, green.url).into_bytes());
    }
    let mut digest = format!("{:x}", Sha256::digest(&words));
    // Enough to tell the diffs of one plan apart, in a name that can be read.
    digest.truncate(16);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_same_mark_in_every_version() {
        let request = DiffRequest {
            what: DiffScope::Plan,
            span: Span::Times { from: 5, to: None },
            source: Side::Blue,
            rate: None,
            memory: None,
            resume: true,
            replayed: false,
            carried: Ranges::default(),
        };
        let mark = |clusters: [Option<&str>; 2], request: &DiffRequest| {
            let [blue, green] = clusters.map(|id| id.map(str::to_owned));
            fingerprint_request(&Sides { blue, green }, &["t".to_owned()], request, None)
        };
        // SHA-256 of ["b",null,["t"],{"times":{"from":5,"to":null}},"blue",false,[]]
        assert_eq!(mark([Some("b"), None], &request), "0cf95d14a9c5e2ce");
        assert_ne!(mark([Some("b"), None], &request), mark([None, Some("b")], &request));
        let other = DiffRequest { span: Span::Comparable, ..request.clone() };
        assert_ne!(mark([None, None], &request), mark([None, None], &other));
    }
}

/// Two clusters of brokers before Kafka 3.0, which can't say the greatest timestamp of a log. On both, a record whose own time
/// lies ahead of now stands before others that are minutes old; the last of these is on blue alone.
#[cfg(test)]
mod tests_kit {
    use std::sync::Arc;

    use crate::base::Side;
    use crate::plan::Plan;
    use crate::session::names::TopicNames;
    use crate::session::tools::Tools;
    use crate::sim::state::{BatchProducer, NewRecord};
    use crate::sim::{SimCluster, SimConfig};

    const LIST_OFFSETS: i16 = 2;
    /// How old the records are, s.
    const AGES: [i64; 4] = [600, -1_800, 400, 350];

    /// See the module's words; the topic is `t`, with one partition.
    pub(crate) struct Old {
        pub plan: Arc<Plan>,
        pub tools: Arc<Tools>,
        /// When the ages count from, ms since the epoch.
        pub now: i64,
        pub clusters: [SimCluster; 2],
    }

    impl Old {
        /// One more topic of one partition, whose records are so old on each side, s: each the same wherever it is.
        pub fn add_topic(&self, topic: &str, ages: [&[i64]; 2]) {
            for (cluster, ages) in self.clusters.iter().zip(ages) {
                cluster.with_state(|state| {
                    state.create_topic(topic, 1, 3, &[], false).unwrap();
                    // Any time is taken, however far ahead it lies.
                    state.set_config(topic, "message.timestamp.after.max.ms", &i64::MAX.to_string()).unwrap();
                    for age in ages {
                        let ts = self.now.saturating_sub(age.saturating_mul(1_000));
                        let record = NewRecord::new(format!("k{age}"), format!("v{age}"), ts);
                        state.append_records(self.now, topic, 0, &[record], BatchProducer::PLAIN, None).unwrap();
                    }
                });
            }
        }
    }

    /// Starts them.
    pub(crate) fn old() -> Old {
        let clusters = Side::BOTH.map(|side| SimCluster::start(SimConfig::new(side)).unwrap());
        let mut then = 0;
        for (cluster, count) in clusters.iter().zip([AGES.len(), AGES.len() - 1]) {
            cluster.with_state_at(|state, now| {
                then = now;
                state.faults.limit_version(LIST_OFFSETS, 6);
                state.create_topic("t", 1, 3, &[], false).unwrap();
                for (n, age) in AGES.into_iter().enumerate().take(count) {
                    let record = NewRecord::new(format!("k{n}"), format!("v{n}"), now - age * 1_000);
                    state.append_records(now, "t", 0, &[record], BatchProducer::PLAIN, None).unwrap();
                }
            });
        }
        let mut plan = Plan::from_bootstraps(&clusters[0].bootstrap(), &clusters[1].bootstrap()).unwrap().plan;
        // A machine that is busy with other tests is no broker that is.
        plan.diff.back_off_above_ms = 60_000;
        let tools = Arc::new(Tools::new(&plan, Arc::new(TopicNames::new(&plan))));
        Old { plan: Arc::new(plan), tools, now: then, clusters }
    }
}
