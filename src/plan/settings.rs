//! What other rooms take from a plan: the machine's settings, and how each topic is translated.

use serde::Serialize;

use super::model::{ARRIVAL_SKEW_MS, GroupPlan, PAIR_DELTA_MS, Plan, ProducerPlan, SeamPlan, Selector, TopicPlan};
use super::provider::{PlaceholderValues, ProviderPlan};
use crate::base::At;
use crate::migration::facts::settings::{Criteria, GroupSettings, ProducerSettings, Settings, Words};
use crate::migration::soak::criteria::{Criterion, Limit, Metric};
use crate::offsets::identity::IdentityRule;
use crate::offsets::strategy::Strategy;

/// How one topic is translated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct TopicRule {
    /// Strategy.
    pub strategy: Strategy,
    /// For `timestamp`: the moment, when the plan names one.
    pub at: Option<At>,
    /// What makes two records the same.
    pub identity: IdentityRule,
    /// How far apart the two timestamps of one record may be, ms.
    pub pair_delta_ms: u64,
    /// How long a send may arrive later on the other cluster, ms.
    pub arrival_skew_ms: u64,
    /// Where its writers went over all at once, by partition, when a person recorded it.
    pub seam: Vec<SeamPlan>,
    /// Its name on green.
    pub green_name: String,
    /// Whether a rule of the plan matched, or defaults apply.
    pub listed: bool,
}

impl Plan {
    /// How a topic (by its name on blue) is translated: an exact name beats a pattern, the first pattern wins,
    /// defaults where nothing matches.
    #[must_use]
    pub(crate) fn topic_rule(&self, name: &str) -> TopicRule {
        let exact = self.topics.iter().find(|t| matches!(&t.selector, Selector::Name(n) if n == name));
        let rule = exact
            .or_else(|| self.topics.iter().find(|t| matches!(&t.selector, Selector::Pattern(p) if p.matches(name))));
        match rule {
            Some(rule) => TopicRule {
                strategy: rule.strategy,
                at: rule.at,
                identity: rule.identity.clone(),
                pair_delta_ms: rule.pair_delta_ms,
                arrival_skew_ms: rule.arrival_skew_ms,
                seam: rule.seam.clone(),
                green_name: green_name(rule, name),
                listed: true,
            },
            None => TopicRule {
                strategy: Strategy::Auto,
                at: None,
                identity: IdentityRule::Content,
                pair_delta_ms: PAIR_DELTA_MS,
                arrival_skew_ms: ARRIVAL_SKEW_MS,
                seam: Vec::new(),
                green_name: name.to_owned(),
                listed: false,
            },
        }
    }

    /// What the machine needs of the plan.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            name: self.name.clone(),
            cluster_ids: self.clusters.as_ref().map(|c| c.cluster_id.clone()),
            stale_after_ms: self.stale_after_ms,
            zero_age_ms: self.defaults.zero_age_ms,
            sample_gap_ms: self.defaults.sample_gap_ms,
            groups: self.groups.iter().map(|g| (g.name.clone(), self.group_settings(g))).collect(),
            producers: self.producers.iter().map(|p| (p.name.clone(), self.producer_settings(p))).collect(),
        }
    }

    fn group_settings(&self, group: &GroupPlan) -> GroupSettings {
        let names = PlaceholderValues::for_group(self, &group.name);
        let limits = &group.limits;
        GroupSettings {
            team: group.team.clone(),
            topics: group.topics.clone(),
            mode: limits.mode,
            has_switch: group.switch.is_some(),
            switch_by_hand: matches!(group.switch, Some(crate::plan::ProviderPlan::Manual { .. })),
            switch_words: group.switch.as_ref().map(|s| state_words(s, &names)).unwrap_or_default(),
            green_group: group.green_group.clone(),
            max_re_read: limits.max_re_read,
            drain_still_ms: limits.drain_still_ms,
            drain_timeout_ms: limits.drain_timeout_ms,
            commit_interval_ms: group.commit_interval_ms,
            slot: self.slot(&group.when),
            stable_timeout_ms: limits.stable_timeout_ms,
            settle_timeout_ms: limits.settle_timeout_ms,
            criteria: self.soak_criteria(group),
        }
    }

    /// What a group's soak is judged by. What the plan gives no way to measure is shown, and not judged.
    fn soak_criteria(&self, group: &GroupPlan) -> Criteria {
        let c = &group.limits.criteria;
        #[allow(clippy::cast_precision_loss)] // limits and durations far below 2^52
        let number = |n: u64| n as f64;
        let mut rules = vec![Criterion::new(Metric::Lag, Limit::Below(number(c.lag_below)), c.lag_for_ms)];
        if let Some(below) = c.time_lag_below_ms {
            rules.push(Criterion::new(Metric::TimeLag, Limit::Below(number(below)), c.time_lag_for_ms));
        }
        rules.extend([
            Criterion::new(Metric::ErrorRate, Limit::Below(c.error_rate_below), c.error_rate_for_ms),
            Criterion::new(Metric::P99, Limit::Within(c.p99_within), c.p99_for_ms),
            // Growth counts from the baseline as a whole: there is no time for which it would have to hold.
            Criterion::new(Metric::DlqGrowth, Limit::AtMost(number(c.dlq_growth)), 0),
        ]);
        for rule in &mut rules {
            rule.unmeasured = self.why_unmeasured(group, rule.metric);
        }
        Criteria {
            rules,
            triggers: self.triggers.clone(),
            baselines: group.baseline.map(|b| (Metric::P99, number(b.p99_ms))).into_iter().collect(),
            dlq: group.dlq.clone(),
        }
    }

    /// Why the plan gives no way to measure a metric of a group, if so.
    #[must_use]
    pub(crate) fn why_unmeasured(&self, group: &GroupPlan, metric: Metric) -> Option<String> {
        match metric {
            Metric::Lag | Metric::TimeLag => None,
            Metric::DlqGrowth if group.dlq.is_some() => None,
            Metric::DlqGrowth => Some("not judged: the plan names no dead-letter topic of it (key dlq)".into()),
            Metric::ErrorRate | Metric::P99 if self.metrics.iter().any(|m| m.queries.contains_key(&metric)) => None,
            Metric::ErrorRate | Metric::P99 => {
                Some(format!("not judged: no [metrics.NAME.queries] of the plan asks for {metric}"))
            }
        }
    }

    /// The groups that move with a producer are translated one after the other.
    fn settle_together(&self, producer: &ProducerPlan) -> u64 {
        let groups = producer.reads.iter().flatten().filter_map(|name| self.group(name));
        groups.map(|group| group.limits.settle_timeout_ms).fold(0, u64::saturating_add)
    }

    fn producer_settings(&self, producer: &ProducerPlan) -> ProducerSettings {
        let names = PlaceholderValues::for_producer(self, &producer.name);
        ProducerSettings {
            team: producer.team.clone(),
            topics: producer.topics.clone(),
            critical: producer.critical,
            has_flag: producer.flag.is_some(),
            flag_by_hand: matches!(producer.flag, Some(crate::plan::ProviderPlan::Manual { .. })),
            flag_words: producer.flag.as_ref().map(|f| state_words(f, &names)).unwrap_or_default(),
            transactional_ids: producer.transactional_ids.clone(),
            reads: producer.reads.clone(),
            principals: producer.principals.clone(),
            still_ms: producer.still_ms,
            drain_timeout_ms: producer.drain_timeout_ms,
            settle_timeout_ms: self.settle_together(producer),
            commit_timeout_ms: producer.commit_timeout_ms,
            keep_blue_ms: producer.keep_blue_ms,
            needs_approval: producer.needs_approval,
        }
    }
}

fn state_words(provider: &ProviderPlan, names: &PlaceholderValues) -> Words {
    Words::new(names.of.states().iter().map(|state| ((*state).to_owned(), provider.describe_setting(names, state))))
}

fn green_name(rule: &TopicPlan, name: &str) -> String {
    match (&rule.green_name, &rule.selector) {
        (None, _) => name.to_owned(),
        (Some(green), Selector::Name(_)) => green.clone(),
        // It always matches: the rule was chosen by that.
        (Some(template), Selector::Pattern(p)) => p.expand(name, template).unwrap_or_else(|| name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::migration::facts::settings::Mode;

    fn plan(text: &str) -> Plan {
        let clusters = "[clusters.blue]\nbootstrap = \"b:1\"\n[clusters.green]\nbootstrap = \"g:1\"\n";
        Plan::parse(&format!("{clusters}{text}"), Path::new("/etc/loans/cutover.toml")).unwrap().plan
    }

    #[test]
    fn an_exact_name_beats_a_pattern_and_the_first_pattern_wins() {
        let plan = plan(
            r#"
            [[topics]]
            pattern = "loan-(.*)"
            strategy = "seam"
            green_name = "psc.$1"
            [[topics]]
            pattern = "loan-ev.*"
            strategy = "mm2"
            [[topics]]
            name = "loan-events"
            identity = "header:dual-id"
            pair_delta = "1s"
            [[topics]]
            pattern = "audit"
            "#,
        );
        let exact = plan.topic_rule("loan-events");
        assert_eq!((exact.strategy, exact.pair_delta_ms), (Strategy::Auto, 1_000));
        assert_eq!(exact.identity, IdentityRule::Header("dual-id".to_owned()));
        let first = plan.topic_rule("loan-evidence");
        assert_eq!((first.strategy, first.green_name.as_str()), (Strategy::Seam, "psc.evidence"));
        // patterns match whole names only
        assert!(
            !plan.topic_rule("audit-raw").listed
                && !plan.topic_rule("xaudit").listed
                && plan.topic_rule("audit").listed
        );
        let other = plan.topic_rule("else");
        assert_eq!((other.pair_delta_ms, other.arrival_skew_ms), (5_000, 130_000));
        assert_eq!(other.green_name, "else");
    }

    #[test]
    fn a_group_may_choose_with_a_reason() {
        let plan = plan(
            r#"
            [[topics]]
            name = "a"
            strategy = "timestamp"
            at = "2026-11-22T02:00:00-05:00"
            [[groups]]
            name = "g"
            strategy = "timestamp"
            strategy_at = "1970-01-01T00:00:01.5Z"
            strategy_reason = "audited by hand"
            "#,
        );
        assert_eq!(plan.topic_rule("a").at, Some(At(1_795_330_800_000)));
        let chosen = plan.group("g").unwrap().chosen.clone().unwrap();
        assert_eq!((chosen.strategy, chosen.at), (Strategy::Timestamp, Some(At(1_500))));
        assert_eq!(chosen.reason, "audited by hand");
    }

    #[test]
    fn overrides_merge_key_by_key() {
        let plan = plan(
            r#"
            [defaults]
            criteria = { lag_below = 50, error_rate_below = 0.5 }
            max_re_read = 7
            drain_timeout = "3s"
            zero_age = "9s"
            [[groups]]
            name = "a"
            switch = { provider = "manual" }
            criteria = { lag_for = "1h" }
            max_re_read = 8
            mode = "overlap"
            [[groups]]
            name = "b"
            "#,
        );
        let a = &plan.group("a").unwrap().limits;
        assert_eq!((a.criteria.lag_below, a.criteria.lag_for_ms), (50, 3_600_000));
        assert!((a.criteria.error_rate_below - 0.5).abs() < f64::EPSILON);
        assert!((a.criteria.p99_within - 0.10).abs() < f64::EPSILON);
        let settings = plan.settings();
        let (a, b) = (&settings.groups["a"], &settings.groups["b"]);
        assert_eq!((a.max_re_read, a.mode, a.drain_timeout_ms, a.has_switch), (8, Mode::Overlap, 3_000, true));
        assert_eq!((b.max_re_read, b.mode, b.has_switch), (7, Mode::Handover, false));
        assert_eq!((b.drain_still_ms, b.green_group.as_str()), (15_000, "b"));
        assert_eq!(settings.zero_age_ms, 9_000);
        assert_eq!(a.switch_words.words_for("off"), "by hand: stop a");
        assert_eq!(a.switch_words.in_brackets("green"), " (by hand: run a on green only)");
        assert_eq!(a.switch_words.after_by_hand("green"), "");
        assert_eq!(b.switch_words.in_brackets("off"), "");
    }

    #[test]
    fn groups_that_move_with_a_producer_settle_one_after_the_other() {
        let plan = plan(
            r#"
            [defaults]
            settle_timeout = "7s"
            [[groups]]
            name = "a"
            [[groups]]
            name = "b"
            settle_timeout = "20s"
            [[groups]]
            name = "c"
            [[producers]]
            name = "p"
            topics = ["t"]
            flag = { provider = "manual" }
            reads = ["a", "b"]
            transactional_ids = { blue = ["x"], green = ["y"] }
            "#,
        );
        assert_eq!(plan.settings().producers["p"].settle_timeout_ms, 27_000);
    }

    #[test]
    fn paths_are_relative_to_the_plan() {
        let plan = plan(
            r#"
            clusters.green.client."ssl.ca.location" = "ca.pem"
            [[producers]]
            name = "p"
            flag = { provider = "file", path = "flags.json", key = "k" }
            "#
            .replace("clusters.green.client.\"ssl.ca.location\"", "[clusters.green.client]\n\"ssl.ca.location\"")
            .as_str(),
        );
        assert_eq!(plan.journal, Path::new("/etc/loans/.cutover/cutover.journal"));
        let green = plan.clusters.green.client_properties().unwrap();
        assert_eq!(green["ssl.ca.location"], "/etc/loans/ca.pem");
        assert_eq!(green["bootstrap.servers"], "g:1");
        let words = &plan.settings().producers["p"].flag_words;
        assert_eq!(words.after_by_hand("green"), ": set k to green in /etc/loans/flags.json");
    }

    #[test]
    fn each_step_of_a_dialog_shows_the_command_of_its_own_state() {
        use crate::base::Side;
        use crate::migration::facts::event::RunKind;
        use crate::migration::run::runbook::group_steps;
        let plan = plan(
            r#"
            [[groups]]
            name = "g"
            [groups.switch]
            provider = "command"
            get = ["where"]
            set = { off = ["scale", "0"], blue = ["run", "old"], green = ["run", "new", "{group}"] }
            "#,
        );
        let steps = group_steps(RunKind::CutOver, &plan.settings().groups["g"], Side::Green, &[]);
        let said: Vec<&str> = steps.iter().map(|s| s.what.as_str()).collect();
        assert!(said.contains(&"stop on blue (scale 0)"), "{said:?}");
        assert!(said.contains(&"start on green (run new g)"), "{said:?}");
    }

    #[test]
    fn two_addresses_are_a_plan() {
        let plan = Plan::from_bootstraps("b-1:9092,b-2:9092", "g-1:9092").unwrap().plan;
        assert_eq!(plan.clusters.blue.bootstrap, ["b-1:9092", "b-2:9092"]);
        assert!(plan.settings().groups.is_empty());
        let problems = Plan::from_bootstraps("b-1", "").unwrap_err();
        assert_eq!(problems.0[0].to_string(), "--blue: \"b-1\" has no port (write \"b-1:9092\")");
        assert!(Plan::from_bootstraps("b:1", "g:1,B:1").unwrap_err().to_string().contains("--green: b:1"));
    }
}
