//! Error rates and latencies of groups, from those who know them: Prometheus, New Relic, a command.
//!
//! An answer is one finite number or none: an empty vector, several series, NaN and a time that is too old are errors
//! that say so, and never 0. Names are escaped for the language they are put into; what a provider says in an error is
//! made visible. Nothing is tried again here: the next turn asks anew.

mod command;
mod newrelic;
mod prometheus;

use crate::base::sanitise::visible_name;
use crate::base::{At, Side, Trouble};
use crate::migration::soak::criteria::Metric;
use crate::net::http::RemoteServer;
use crate::plan::Plan;
use crate::plan::metrics::{MetricsPlan, MetricsSource};
use crate::plan::secrets::client_properties;

/// What to do about a query that its provider does not take: no later answer will be another one.
pub(crate) const WRONG_QUERY: &str = "correct the query in the plan";

/// One provider, as the plan names it.
pub struct MetricsProvider {
    plan: MetricsPlan,
    migration: String,
    /// Made when it is first asked: certificates and secrets are read then, and again after a failure.
    server: tokio::sync::OnceCell<RemoteServer>,
}

/// Whom a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricSubject {
    /// The group's id on that side.
    pub group: String,
    /// Its team.
    pub team: String,
    /// Which side.
    pub side: Side,
}

impl MetricSubject {
    /// Whom a question about a group of the plan is about; `group` is its name in the plan.
    #[must_use]
    pub(crate) fn of_group(plan: &Plan, group: &str, side: Side) -> Self {
        let planned = plan.group(group);
        let id = planned.map_or(group, |g| g.id_on(side)).to_owned();
        Self { group: id, team: planned.map(|g| g.team.clone()).unwrap_or_default(), side }
    }
}

/// The providers of a plan. No I/O.
pub(crate) fn list_providers(plan: &Plan) -> impl Iterator<Item = MetricsProvider> {
    plan.metrics.iter().map(|m| MetricsProvider::from_plan(m, &plan.name))
}

/// A number with what a person should see of it.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricValue {
    /// In the metric's unit.
    pub value: f64,
    /// When it was true by the provider's clock, where it says so.
    pub at: Option<At>,
}

impl MetricsProvider {
    /// A provider; no I/O.
    #[must_use]
    pub fn from_plan(plan: &MetricsPlan, migration: &str) -> Self {
        Self { plan: plan.clone(), migration: migration.to_owned(), server: tokio::sync::OnceCell::new() }
    }

    /// Its name in the plan.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// How often it wants to be asked, ms.
    #[must_use]
    pub(crate) fn every_ms(&self) -> u64 {
        self.plan.every_ms
    }

    /// What it can be asked for.
    pub fn metrics(&self) -> impl Iterator<Item = Metric> {
        self.plan.queries.keys().copied()
    }

    /// The question as it is asked, for people; secrets are not part of it.
    #[must_use]
    pub fn describe_question(&self, metric: Metric, about: &MetricSubject) -> Option<String> {
        let filled = self.fill_query(metric, about).ok()?;
        Some(crate::base::sanitise::visible_text(&match self.plan.source {
            MetricsSource::Command { .. } => crate::plan::provider::command_line(&filled),
            _ => filled.join(" "),
        }))
    }

    /// Asks for one number, `now`.
    ///
    /// # Errors
    /// There is none: what was answered, by whom, and what to do.
    pub async fn ask(&self, metric: Metric, about: &MetricSubject, now: At) -> Result<MetricValue, Trouble> {
        let named = |t: Trouble| Trouble::new(format!("{}: {}", visible_name(&self.plan.name), t.what), t.advice);
        let answer = self.ask_number(metric, about).await.map_err(named);
        let number = answer.and_then(|answer| self.check_answer(metric, answer, now).map_err(named));
        number.inspect_err(|t| {
            let group = visible_name(&about.group);
            tracing::info!(%metric, side = %about.side, %group, why = %t.what, "no number");
        })
    }

    /// Whether it can be asked about the past.
    #[must_use]
    pub(crate) fn knows_the_past(&self) -> bool {
        matches!(self.plan.source, MetricsSource::Prometheus { .. })
    }

    /// Asks for a series between two moments, oldest first, at most 10,000 steps back from the second. A moment at which
    /// nothing was measured within the step before it is left out, and so is one whose value is no number: Prometheus
    /// itself would go on with the last one for five minutes.
    ///
    /// # Errors
    /// As [`MetricsProvider::ask`]; only Prometheus knows the past.
    pub async fn ask_series(
        &self,
        metric: Metric,
        about: &MetricSubject,
        (from, to): (At, At),
        step_ms: u64,
    ) -> Result<Vec<(At, f64)>, Trouble> {
        let named = |t: Trouble| Trouble::new(format!("{}: {}", visible_name(&self.plan.name), t.what), t.advice);
        let MetricsSource::Prometheus { credentials, .. } = &self.plan.source else {
            return Err(named(Trouble::new("it can't be asked about the past", "")));
        };
        let query = self.fill_query(metric, about)?.join(" ");
        let scale = self.scale(metric);
        let range = prometheus::QueryRange::new(from, to, step_ms);
        let server = self.open_server().await.map_err(named)?;
        let points =
            prometheus::ask_past(server, credentials, &query, &range, self.plan.timeout_ms).await.map_err(named)?;
        // Rate over nothing is NaN: a hole in the past, and no reason to drop the rest of it.
        Ok(points.into_iter().filter(|(_, v)| v.is_finite()).map(|(at, v)| (at, v * scale)).collect())
    }

    async fn ask_number(&self, metric: Metric, about: &MetricSubject) -> Result<MetricValue, Trouble> {
        let filled = self.fill_query(metric, about)?;
        let timeout_ms = self.plan.timeout_ms;
        match &self.plan.source {
            MetricsSource::Prometheus { credentials, .. } => {
                prometheus::ask_instant(self.open_server().await?, credentials, &filled.join(" "), timeout_ms).await
            }
            MetricsSource::NewRelic { account, key, .. } => {
                newrelic::ask_nrql(self.open_server().await?, *account, key, &filled.join(" "), timeout_ms).await
            }
            MetricsSource::Command { dir } => command::ask_command(filled, dir, timeout_ms).await,
        }
    }

    fn check_answer(&self, metric: Metric, answer: MetricValue, now: At) -> Result<MetricValue, Trouble> {
        // Scaled first: the limits below are those of our unit, and a percentage has another.
        let value = answer.value * self.scale(metric);
        if !value.is_finite() {
            let what = format!("{metric} is {}, which is no number to compare", answer.value);
            return Err(Trouble::new(what, "a share of nothing is NaN: that is right while nothing is processed"));
        }
        if value < 0.0 {
            let what = format!("{metric} is negative ({value}): a counter was reset, or the query is wrong");
            return Err(Trouble::new(what, "use rate() or increase() on counters"));
        }
        if metric == Metric::ErrorRate && value > 1.0 {
            let what = format!("{metric} is {value}, and must be a share from 0 to 1");
            return Err(Trouble::new(what, "if the query answers percent, write unit = \"%\" beside it"));
        }
        // A sample that lies ahead is young: two clocks differ, and the series lives.
        if let Some(age) = answer.at.map(|at| now.since(at)).filter(|age| *age > self.plan.max_age_ms) {
            let age = crate::base::format_duration(age);
            let what = format!("the newest sample of {metric} is {age} old: the series has stopped");
            return Err(Trouble::new(what, "check what exports it, and both machines' clocks"));
        }
        Ok(MetricValue { value, at: answer.at })
    }

    fn scale(&self, metric: Metric) -> f64 {
        self.plan.queries.get(&metric).map_or(1.0, |q| q.scale)
    }

    /// The query or command with its placeholders replaced, escaped for its language.
    fn fill_query(&self, metric: Metric, about: &MetricSubject) -> Result<Vec<String>, Trouble> {
        let Some(query) = self.plan.queries.get(&metric) else {
            return Err(Trouble::new(format!("{} is not asked for {metric}", visible_name(&self.plan.name)), ""));
        };
        let value = |word: &str| {
            let raw = match word {
                "group" => about.group.as_str(),
                "cluster" => &self.plan.clusters[about.side],
                "side" => about.side.name(),
                "team" => &about.team,
                "migration" => &self.migration,
                _ => return None,
            };
            // Escaped by who knows the language; a command gets arguments, and no shell takes them apart.
            Some(match self.plan.source {
                MetricsSource::Prometheus { .. } => prometheus::escape_name(raw),
                MetricsSource::NewRelic { .. } => newrelic::escape_name(raw),
                MetricsSource::Command { .. } => raw.to_owned(),
            })
        };
        Ok(query.fill(value))
    }

    async fn open_server(&self) -> Result<&RemoteServer, Trouble> {
        let (url, client) = match &self.plan.source {
            MetricsSource::Prometheus { url, client, .. } | MetricsSource::NewRelic { url, client, .. } => {
                (url, client)
            }
            MetricsSource::Command { .. } => return Err(Trouble::new("a command has no address", "")),
        };
        self.server.get_or_try_init(async || RemoteServer::open(url, client_properties(client)?).await).await
    }
}

#[cfg(test)]
mod tests;
