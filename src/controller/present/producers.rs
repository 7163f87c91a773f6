//! Producers in a snapshot: those of the plan.

use super::Scene;
use crate::base::Observed;
use crate::migration::facts::command::Subject;
use crate::migration::facts::stage::SideState;
use crate::plan::ProducerPlan;
use crate::snapshot::ProducerRow;

/// All rows: what needs a person first, then by name.
pub(super) fn rows(scene: &Scene<'_>) -> Vec<ProducerRow> {
    let mut rows: Vec<ProducerRow> = scene.plan.producers.iter().map(|p| row(scene, p)).collect();
    let calm = |r: &ProducerRow| !matches!(r.side_state, Some(SideState::NeedsOperator { .. }));
    rows.sort_by(|a, b| calm(a).cmp(&calm(b)).then_with(|| a.name.cmp(&b.name)));
    rows
}

fn row(scene: &Scene<'_>, plan: &ProducerPlan) -> ProducerRow {
    let (machine, now, name) = (scene.machine, scene.now, plan.name.as_str());
    let subject = Subject::Producer(plan.name.clone());
    let ids = &plan.transactional_ids;
    let run = scene.run_view(&subject);
    ProducerRow {
        name: plan.name.clone(),
        team: plan.team.clone(),
        topics: plan.topics.clone(),
        critical: plan.critical,
        transactional: !(ids.blue.is_empty() && ids.green.is_empty()),
        flag: plan.flag.as_ref().map(|_| scene.estate.flags.get(name).cloned().unwrap_or_else(Observed::not_yet)),
        observed: machine.observed_writing(name, now),
        fidelity: scene.fidelity.get(name).cloned().unwrap_or_default(),
        disagreement: machine.find_disagreement(name, now),
        side_state: machine.side_state(&subject, now),
        run,
        next: machine.producer_next_step(name, now),
        offers: machine.producer_offers(name, now),
        eos: machine.eos_view(name, now).map(Box::new),
    }
}
