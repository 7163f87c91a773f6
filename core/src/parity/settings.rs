//! Topics' settings, by what is in effect: one that is set on blue's topic and one that only holds there by default count the
//! same, because a client can't tell them apart.

use std::collections::BTreeMap;

use super::change::Change;
use super::couples::TopicCouple;
use super::limits::{AFTER_LIMIT, BEFORE_LIMIT, OLD_LIMIT, TimestampBounds, TimestampLimits, is_timestamp_limit};
use super::meaning::{
    TIERED, explain_unknown_setting, is_same_value, is_tiered, is_weighty, limit_of, show_value, weigh_difference,
    why_never_copied, why_refused,
};
use super::rows::{Gravity, Mend, ParityArea, ParityRow, ParityState, ParitySubject, RowBook};
use super::{Compared, why_untold};
use crate::base::sanitise::{visible_name, visible_names};
use crate::base::{Side, Trouble, format_duration};
use crate::estate::inventory::Setting;

const AREA: ParityArea = ParityArea::Settings;

type SettingMap = BTreeMap<String, Setting>;

/// What is said once for all topics: by name of the setting and what is to be said.
type CommonFindings<'a> = BTreeMap<(&'a str, CommonFinding), Vec<&'a str>>;

/// What defaults of many topics may have in common. One row each would bury the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum CommonFinding {
    /// Green has no such setting.
    UnknownToGreen,
    /// It says something of the cluster.
    OfTheCluster,
    /// A value is not told.
    Hidden,
    /// It means nothing without tiered storage.
    OnlyTiered,
}

/// What comes of one setting.
enum Judged {
    Same,
    Common(CommonFinding),
    Row(Box<ParityRow>),
}

impl From<ParityRow> for Judged {
    fn from(row: ParityRow) -> Self {
        Judged::Row(Box::new(row))
    }
}

/// Compares the settings of all topics that both have, and tells which of a new topic's can't be as on blue.
pub(super) fn compare_settings(compared: &Compared<'_>, book: &mut RowBook) {
    let mut common = CommonFindings::new();
    for couple in &compared.topics.couples {
        match couple.green {
            Some(green) => {
                let told = (couple.blue.settings.as_told(), green.settings.as_told());
                if let (Some(blue), Some(green_settings)) = told {
                    let topic = TopicSettings { compared, couple, replicas: green.replicas.0 };
                    topic.compare_all((blue, green_settings), &mut common, book);
                } else {
                    push_untold(
                        couple,
                        Side::Blue,
                        why_untold(&couple.blue.settings, Side::Blue, &name_part(couple)),
                        book,
                    );
                    push_untold(
                        couple,
                        Side::Green,
                        why_untold(&green.settings, Side::Green, &name_part(couple)),
                        book,
                    );
                }
            }
            None => {
                if let Some(new) = plan_new_settings(compared, couple) {
                    new.rows.into_iter().for_each(|row| book.push_row(row));
                }
            }
        }
    }
    push_common(&common, book);
}

fn name_part(couple: &TopicCouple<'_>) -> String {
    format!("the settings of {}", couple.pair)
}

fn push_untold(couple: &TopicCouple<'_>, side: Side, why: Option<Trouble>, book: &mut RowBook) {
    if let Some(why) = why {
        let row = ParityRow::new_unknown((AREA, ParitySubject::Topic(couple.pair.clone())), Gravity::Warns, why);
        let hidden = |of: Side| (of == side).then(|| show_value(None));
        book.push_row(row.with_sides(hidden(Side::Blue), hidden(Side::Green)));
    }
}

fn push_common(common: &CommonFindings<'_>, book: &mut RowBook) {
    for ((name, finding), topics) in common {
        let about = (AREA, ParitySubject::EachTopic { setting: (*name).to_owned() });
        let of = match topics.as_slice() {
            [one] => visible_name(one),
            [first, ..] => format!("{} topics, {} among them", topics.len(), visible_name(first)),
            [] => String::new(),
        };
        let note = |state, why: String| ParityRow::new(about.clone(), state, Gravity::Notes, why);
        book.push_row(match finding {
            CommonFinding::UnknownToGreen => {
                let why = format!(
                    "green has no such setting: {}; blue's default holds for {of}",
                    explain_unknown_setting(name)
                );
                note(ParityState::Missing, why)
            }
            CommonFinding::OfTheCluster => {
                let why = why_never_copied(name).unwrap_or_default();
                note(ParityState::Differs, format!("{why}: not copied ({of})"))
            }
            CommonFinding::OnlyTiered => {
                note(ParityState::Differs, format!("it means nothing without tiered storage: not copied ({of})"))
            }
            CommonFinding::Hidden => {
                let what = format!("a broker does not tell the value of {} ({of})", visible_name(name));
                ParityRow::new_unknown(about, Gravity::Notes, Trouble::new(what, "compare it by hand"))
            }
        });
    }
}

/// `604800000`, `604800000 (default)`.
fn describe_setting(setting: &Setting) -> String {
    let value = show_value(setting.value.as_deref());
    if setting.source.is_explicit() { value } else { format!("{value} (default)") }
}

/// One topic's settings.
struct TopicSettings<'a> {
    compared: &'a Compared<'a>,
    couple: &'a TopicCouple<'a>,
    /// Replicas of each partition on green.
    replicas: i16,
}

impl<'a> TopicSettings<'a> {
    fn compare_all(
        &self,
        (blue, green): (&'a SettingMap, &'a SettingMap),
        common: &mut CommonFindings<'a>,
        book: &mut RowBook,
    ) {
        for (name, setting) in blue.iter().filter(|(name, _)| !is_timestamp_limit(name)) {
            match self.judge_setting(name, setting, green.get(name), is_on_tiered(blue)) {
                Judged::Same => book.count_same(AREA, 1),
                Judged::Common(finding) => {
                    common.entry((name.as_str(), finding)).or_default().push(&self.couple.pair.blue)
                }
                Judged::Row(row) => book.push_row(*row),
            }
        }
        let beyond = green.iter().filter(|(name, setting)| {
            setting.source.is_explicit() && !blue.contains_key(*name) && !is_timestamp_limit(name)
        });
        for (name, setting) in beyond {
            let why = format!("blue has no such setting: {}", explain_unknown_setting(name));
            let row = ParityRow::new(self.about_setting(name), ParityState::Beyond, Gravity::Notes, why);
            book.push_row(row.with_sides(None, Some(describe_setting(setting))));
        }
        self.compare_timestamps((blue, green), book);
    }

    fn about_setting(&self, name: &str) -> (ParityArea, ParitySubject) {
        (AREA, ParitySubject::TopicSetting { topic: self.couple.pair.clone(), setting: name.to_owned() })
    }

    fn plan_change(&self, name: &str, value: impl Into<String>) -> Mend {
        let settings = [(name.to_owned(), value.into())].into();
        Mend::Change(Change::SetTopicSettings { topic: self.couple.pair.green.clone(), settings })
    }

    fn judge_setting(&self, name: &str, blue: &Setting, green: Option<&Setting>, tiered: bool) -> Judged {
        let explicit = blue.source.is_explicit();
        let words = Some(describe_setting(blue));
        let Some(green) = green else {
            if name == TIERED {
                return self.judge_tiered_topic(blue, None);
            }
            if !explicit {
                return Judged::Common(CommonFinding::UnknownToGreen);
            }
            return self.unknown_to_green(name).with_sides(words, None).into();
        };
        let sides = (words, Some(describe_setting(green)));
        let either = explicit || green.source.is_explicit();
        let (Some(from), Some(to)) = (blue.value.as_deref(), green.value.as_deref()) else {
            if !either {
                return Judged::Common(CommonFinding::Hidden);
            }
            return self.hidden_value(name).with_sides(sides.0, sides.1).into();
        };
        let same = is_same_value(name, from, to);
        if name == "min.insync.replicas"
            && let Some(row) = self.judge_in_sync(from, same)
        {
            return row.with_sides(sides.0, sides.1).into();
        }
        if same {
            return Judged::Same;
        }
        if let Some(why) = why_never_copied(name) {
            if !either {
                return Judged::Common(CommonFinding::OfTheCluster);
            }
            let row = ParityRow::new(
                self.about_setting(name),
                ParityState::Differs,
                Gravity::Notes,
                format!("{why}: not copied"),
            );
            return row.with_sides(sides.0, sides.1).into();
        }
        if name == TIERED {
            return self.judge_tiered_topic(blue, Some(green));
        }
        if is_tiered(name) && !(tiered && self.compared.defaults.green.is_tiered()) {
            return if either {
                self.only_tiered(name, sides).into()
            } else {
                Judged::Common(CommonFinding::OnlyTiered)
            };
        }
        self.judge_differing(name, (from, to), green).with_sides(sides.0, sides.1).into()
    }

    /// A value that is another, and could be the same.
    fn judge_differing(&self, name: &str, (blue, green): (&str, &str), on_green: &Setting) -> ParityRow {
        let (gravity, why) = weigh_difference(name, blue, green);
        if on_green.read_only {
            // What nobody can change and nobody loses anything by is no open end.
            let gravity = if is_weighty(name) { gravity } else { Gravity::Notes };
            let by_hand = "green's broker does not let it be changed (read-only): ask whoever runs green";
            let row = ParityRow::new(self.about_setting(name), ParityState::Differs, gravity, why);
            return row.with_mend(Mend::ByHand(by_hand.to_owned()));
        }
        if let Some(refused) = why_refused(name, blue, self.compared.clusters.green.release) {
            return self.refused_value(name, &refused);
        }
        let row = ParityRow::new(self.about_setting(name), ParityState::Differs, gravity, why);
        row.with_mend(self.plan_change(name, blue))
    }

    /// A value that green would refuse.
    fn refused_value(&self, name: &str, why: &str) -> ParityRow {
        let row = ParityRow::new(
            self.about_setting(name),
            ParityState::Differs,
            Gravity::Notes,
            format!("{why}: not copied"),
        );
        row.with_mend(Mend::ByHand("set the nearest value that green takes, if its default is too far off".to_owned()))
    }

    /// A setting that somebody chose on blue and green has not.
    fn unknown_to_green(&self, name: &str) -> ParityRow {
        let why = format!("green has no such setting: {}", explain_unknown_setting(name));
        ParityRow::new(self.about_setting(name), ParityState::Missing, Gravity::Notes, why)
    }

    fn hidden_value(&self, name: &str) -> ParityRow {
        let what = format!("a broker does not tell the value of {} on {}", visible_name(name), self.couple.pair);
        ParityRow::new_unknown(self.about_setting(name), Gravity::Notes, Trouble::new(what, "compare it by hand"))
    }

    fn only_tiered(&self, name: &str, sides: (Option<String>, Option<String>)) -> ParityRow {
        let why = "it means nothing without tiered storage: not copied";
        ParityRow::new(self.about_setting(name), ParityState::Differs, Gravity::Notes, why).with_sides(sides.0, sides.1)
    }

    /// As many replicas in sync as blue wants may be more than green has: then nobody could write with acks=all.
    fn judge_in_sync(&self, wanted: &str, same: bool) -> Option<ParityRow> {
        let wanted = limit_of("min.insync.replicas", wanted)?;
        let fits = |replicas: i16| wanted <= i64::from(replicas);
        if fits(self.replicas) || (same && !fits(self.couple.blue.replicas.0)) {
            return None;
        }
        let why = format!(
            "with {} on green no write that asks for all replicas (acks=all) would be taken",
            super::change::count_things(self.replicas.into(), "replica")
        );
        let row = ParityRow::new(self.about_setting("min.insync.replicas"), ParityState::Differs, Gravity::Blocks, why);
        Some(row.with_mend(Mend::ByHand("give the topic more replicas on green, or accept fewer in sync".to_owned())))
    }

    /// `remote.storage.enable`: topics with tiered storage are made so where the cluster can, and never made otherwise.
    fn judge_tiered_topic(&self, blue: &Setting, green: Option<&Setting>) -> Judged {
        let on = |setting: &Setting| setting.value.as_deref().is_some_and(|value| is_same_value(TIERED, value, "true"));
        let sides = (Some(describe_setting(blue)), green.map(describe_setting));
        let row = |why: &str| ParityRow::new(self.about_setting(TIERED), ParityState::Differs, Gravity::Warns, why);
        match (on(blue), green.is_some_and(on)) {
            (true, false) if green.is_some() && self.compared.defaults.green.is_tiered() => {
                let row = row("green keeps all of the topic on its brokers' disks")
                    .with_mend(self.plan_change(TIERED, "true"));
                row.with_sides(sides.0, sides.1).into()
            }
            (true, false) => self.no_tiers().with_sides(sides.0, sides.1).into(),
            (false, true) => {
                let by_hand = "remote.storage.enable can't be set to false without deleting what is stored remotely";
                let row = row("green moves old segments to remote storage").with_mend(Mend::ByHand(by_hand.to_owned()));
                row.with_sides(sides.0, sides.1).into()
            }
            _ if green.is_none() => Judged::Common(CommonFinding::UnknownToGreen),
            _ => Judged::Same,
        }
    }

    fn no_tiers(&self) -> ParityRow {
        let why = "green has no tiered storage: all that the topic retains has to fit on its brokers' disks";
        let by_hand =
            "set remote.log.storage.system.enable and a storage on green's brokers, or see that the disks suffice";
        let row = ParityRow::new(self.about_setting(TIERED), ParityState::Differs, Gravity::Warns, why);
        row.with_mend(Mend::ByHand(by_hand.to_owned()))
    }

    /// Which timestamps are taken: what is set may be under another name on each side.
    fn compare_timestamps(&self, (blue, green): (&SettingMap, &SettingMap), book: &mut RowBook) {
        let limits = TimestampLimits::of_topic(green);
        let Some(wanted) = TimestampLimits::of_topic(blue).to_bounds() else { return };
        let about = |name: &str, state, gravity, why: &str| {
            let now = limits.to_bounds().map(describe_bounds);
            ParityRow::new(self.about_setting(name), state, gravity, why).with_sides(Some(describe_bounds(wanted)), now)
        };
        let Some(now) = limits.to_bounds() else {
            // Where nothing is bounded, nothing is missed.
            if !wanted.is_unbounded() {
                let why = "green bounds no timestamps: it takes what blue refuses";
                book.push_row(about(OLD_LIMIT, ParityState::Missing, Gravity::Notes, why));
            }
            return;
        };
        if now == wanted {
            return book.count_same(AREA, 1);
        }
        let why = weigh_bounds(wanted, now);
        let row = |name: &str| about(name, ParityState::Differs, Gravity::Warns, &why);
        let Some(planned) = limits.plan_bounds(wanted) else {
            return book.push_row(row(OLD_LIMIT).with_mend(Mend::ByHand(ONE_BOUND.to_owned())));
        };
        for (name, value) in planned {
            let mend = if green.get(name).is_some_and(|setting| setting.read_only) {
                Mend::ByHand("green's broker does not let it be changed (read-only): ask whoever runs green".to_owned())
            } else {
                self.plan_change(name, value.to_string())
            };
            book.push_row(row(name).with_mend(mend));
        }
    }
}

fn is_on_tiered(settings: &SettingMap) -> bool {
    let value = settings.get(TIERED).and_then(|setting| setting.value.as_deref());
    value.is_some_and(|value| is_same_value(TIERED, value, "true"))
}

/// What is left to do on a cluster older than 3.6.
const ONE_BOUND: &str = "green can't bound both directions each by itself: decide on one bound for both, or on none";

/// `up to 7d00h old, up to 1h00m ahead`.
fn describe_bounds(bounds: TimestampBounds) -> String {
    let words = |bound: i64| match u64::try_from(bound) {
        Ok(_) if bound == i64::MAX => "any time".to_owned(),
        Ok(ms) => format!("up to {} ({ms} ms)", format_duration(ms)),
        Err(_) => "not known".to_owned(),
    };
    format!("timestamps {} old, {} ahead", words(bounds.before), words(bounds.after))
}

fn weigh_bounds(blue: TimestampBounds, green: TimestampBounds) -> String {
    let refused = match (green.before < blue.before, green.after < blue.after) {
        (true, true) => "older and further ahead",
        (true, false) => "older",
        (false, true) => "further ahead",
        (false, false) => return "green takes records by their timestamps that blue refuses".to_owned(),
    };
    format!("green refuses records whose timestamps are {refused} than that (INVALID_TIMESTAMP)")
}

/// What is set on a topic when green gets it.
#[derive(Debug, Default)]
pub(super) struct NewSettings {
    pub(super) settings: BTreeMap<String, String>,
    /// What can't be as on blue.
    pub(super) rows: Vec<ParityRow>,
}

/// What to set on a topic that green has not yet: what somebody set on blue, and what green has another default for. `None`
/// where blue's settings are not known.
pub(super) fn plan_new_settings(compared: &Compared<'_>, couple: &TopicCouple<'_>) -> Option<NewSettings> {
    let blue = couple.blue.settings.as_told()?;
    let topic = TopicSettings { compared, couple, replicas: compared.replicas_wanted(couple) };
    let mut new = NewSettings::default();
    for (name, setting) in blue.iter().filter(|(name, _)| !is_timestamp_limit(name)) {
        let words = || (Some(describe_setting(setting)), None);
        match topic.plan_setting(name, setting, is_on_tiered(blue)) {
            Planned::Set(value) => {
                new.settings.insert(name.clone(), value);
            }
            Planned::Left => {}
            Planned::Row(row) => {
                let (blue, green) = words();
                new.rows.push(row.with_sides(blue, green));
            }
        }
    }
    topic.plan_timestamps(blue, &mut new);
    Some(new)
}

/// What becomes of one setting of a new topic.
enum Planned {
    Set(String),
    /// Green's default is the same, or nobody chose it.
    Left,
    Row(Box<ParityRow>),
}

impl From<ParityRow> for Planned {
    fn from(row: ParityRow) -> Self {
        Planned::Row(Box::new(row))
    }
}

impl TopicSettings<'_> {
    fn plan_setting(&self, name: &str, blue: &Setting, tiered: bool) -> Planned {
        let explicit = blue.source.is_explicit();
        let row_if_explicit = |row: ParityRow| if explicit { row.into() } else { Planned::Left };
        let Some(value) = blue.value.as_deref() else { return row_if_explicit(self.hidden_value(name)) };
        if let Some(why) = why_never_copied(name) {
            let why = format!("{why}: not copied");
            return row_if_explicit(ParityRow::new(
                self.about_setting(name),
                ParityState::Differs,
                Gravity::Notes,
                why,
            ));
        }
        let green_is_tiered = self.compared.defaults.green.is_tiered();
        if name == TIERED && tiered && !green_is_tiered {
            return self.no_tiers().into();
        }
        if is_tiered(name) && !(tiered && green_is_tiered) {
            let nothing = name == TIERED || !explicit;
            return if nothing { Planned::Left } else { self.only_tiered(name, (None, None)).into() };
        }
        let defaults = &self.compared.defaults.green;
        match defaults.knows_setting(name) {
            Some(true) => {}
            Some(false) => return row_if_explicit(self.unknown_to_green(name)),
            None => {
                let what = format!("whether green knows the setting {} can't be told", visible_name(name));
                let trouble =
                    Trouble::new(what, "make any topic on green: brokers list every setting they know for it");
                return row_if_explicit(ParityRow::new_unknown(self.about_setting(name), Gravity::Warns, trouble));
            }
        }
        if name == "min.insync.replicas"
            && let Some(row) = self.judge_in_sync(value, true)
        {
            return row.into();
        }
        let wanted = match defaults.value_of(name) {
            _ if explicit => true,
            Some(default) => !is_same_value(name, value, &default),
            None => is_weighty(name),
        };
        match why_refused(name, value, self.compared.clusters.green.release) {
            _ if !wanted => Planned::Left,
            Some(why) => self.refused_value(name, &why).into(),
            None => Planned::Set(value.to_owned()),
        }
    }

    fn plan_timestamps(&self, blue: &SettingMap, new: &mut NewSettings) {
        let defaults = &self.compared.defaults.green;
        let explicit = blue.iter().any(|(name, setting)| is_timestamp_limit(name) && setting.source.is_explicit());
        let limits = TimestampLimits::of_new_topic(
            |name| defaults.knows_setting(name) == Some(true),
            |name| defaults.value_of(name),
        );
        let Some(wanted) = TimestampLimits::of_topic(blue).to_bounds() else { return };
        if !(explicit || limits.is_known()) {
            return;
        }
        match limits.plan_bounds(wanted) {
            Some(planned) => {
                // A bound that somebody chose is chosen on green too, also where it is the default there today: as it is in
                // effect, because the old setting may stand behind the one that has none.
                for (name, bound) in [(BEFORE_LIMIT, wanted.before), (AFTER_LIMIT, wanted.after)] {
                    let chosen = blue.get(name).is_some_and(|setting| setting.source.is_explicit());
                    if chosen && defaults.knows_setting(name) == Some(true) {
                        new.settings.insert(name.to_owned(), bound.to_string());
                    }
                }
                new.settings.extend(planned.into_iter().map(|(name, value)| (name.to_owned(), value.to_string())));
            }
            None if !explicit || wanted.is_unbounded() => {}
            None => {
                let why = "green can't bound timestamps as blue does";
                let row = ParityRow::new(self.about_setting(OLD_LIMIT), ParityState::Missing, Gravity::Notes, why);
                let row = row.with_mend(Mend::ByHand(ONE_BOUND.to_owned()));
                new.rows.push(row.with_sides(Some(describe_bounds(wanted)), None));
            }
        }
    }
}

impl Compared<'_> {
    /// How many replicas a topic is to have on green.
    pub(super) fn replicas_wanted(&self, couple: &TopicCouple<'_>) -> i16 {
        // Less than the most: while a reassignment runs, both the old replicas and the new ones are counted.
        self.scope.replication_factor.unwrap_or(couple.blue.replicas.0)
    }
}

/// Names with a bound on how many are said.
pub(super) fn name_some<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    const SAID: usize = 3;
    let more = names.len().saturating_sub(SAID);
    let said = visible_names(names.take(SAID));
    if more == 0 { said } else { format!("{said} and {more} more") }
}
