//! Switches (where a consumer group runs) and flags (where a producer writes), one abstraction over their providers:
//! `file`, `command` and `manual`.
//!
//! A provider never claims: a set is read back, and what is not known to have happened is [`SetResult::Unknown`].

mod file;

use std::str::FromStr;

use crate::base::sanitise::{quoted_name, visible_name, visible_names, visible_path, visible_text};
use crate::base::{At, Trouble};
use crate::estate::{FlagState, SwitchState};
use crate::net::process::CommandRun;
use crate::plan::{PlaceholderValues, ProviderPlan};

/// What a provider says the state is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProviderReading {
    /// It says so itself.
    Known {
        /// The state in our words: `blue`, `green`, `both` or `off` of a switch; `blue`, `dual`, `green` or `off` of a flag.
        state: String,
        /// When it was last changed, where the provider knows.
        at: Option<At>,
        /// Where that stands and what to keep in mind, in a few words.
        detail: String,
    },
    /// Nobody can ask it (manual): what counts is what is observed.
    CannotRead {
        /// Why.
        why: String,
    },
}

impl ProviderReading {
    /// The state's word, if it can be read.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        match self {
            ProviderReading::Known { state, .. } => Some(state),
            ProviderReading::CannotRead { .. } => None,
        }
    }

    /// As a switch's state.
    #[must_use]
    pub(crate) fn switch_state(&self) -> Option<SwitchState> {
        SwitchState::from_str(self.state()?).ok()
    }

    /// As a flag's state.
    #[must_use]
    pub(crate) fn flag_state(&self) -> Option<FlagState> {
        FlagState::from_str(self.state()?).ok()
    }
}

/// How a set ended. An `Err` beside it means that nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SetResult {
    /// Set and read back.
    Done(ProviderReading),
    /// A person was asked: whether they did it has to be observed.
    Asked {
        /// What they were asked to do.
        instruction: String,
    },
    /// It may or may not have happened: observe, then decide.
    Unknown(Trouble),
}

/// The switch of one group, or the flag of one producer.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    plan: ProviderPlan,
    names: PlaceholderValues,
}

impl Provider {
    /// A provider as the plan names it, for one group or producer.
    #[must_use]
    pub fn from_plan(plan: &ProviderPlan, names: PlaceholderValues) -> Self {
        Self { plan: plan.clone(), names }
    }

    #[cfg(test)]
    /// Whether a person is the provider: then nothing can be read, only observed.
    #[must_use]
    pub(crate) fn is_manual(&self) -> bool {
        matches!(self.plan, ProviderPlan::Manual { .. })
    }

    /// What setting a state does, in words for a dialog: made visible, what looks like a secret hidden.
    #[must_use]
    pub(crate) fn describe_setting(&self, state: &str) -> String {
        self.plan.describe_setting(&self.names, state)
    }

    /// Reads the state. Bounded: a file by its size, a command by its timeout.
    ///
    /// # Errors
    /// It can't be read, or says something that is none of our states: where, and what to do.
    pub async fn get(&self) -> Result<ProviderReading, Trouble> {
        match &self.plan {
            ProviderPlan::File { path, key, comments, .. } => {
                let seen = file::read_flag(path.clone(), key.clone(), dialect_of(*comments)).await?;
                // The file's words are the plan's to map: `legacy` may be blue.
                let state =
                    self.own_state(&seen.variant, &format!("flag {} in {}", visible_name(key), visible_path(path)))?;
                Ok(ProviderReading::Known { state, at: seen.changed, detail: seen.detail })
            }
            ProviderPlan::Command { get, timeout_ms, dir, .. } => {
                let run = CommandRun {
                    argv: self.plan.fill_arguments(get, &self.names, None),
                    dir,
                    timeout_ms: *timeout_ms,
                    secret: false,
                };
                let word = run.read_word("the state as one word").await?;
                let state = self.own_state(&word, &run.visible_command())?;
                Ok(ProviderReading::Known { state, at: None, detail: format!("by {}", run.visible_command()) })
            }
            ProviderPlan::Manual { .. } => Ok(ProviderReading::CannotRead {
                why: format!("{} is switched by hand: what counts is what is observed", visible_name(&self.names.name)),
            }),
        }
    }

    /// Sets the state and reads it back.
    ///
    /// # Errors
    /// Nothing was changed, and why.
    pub async fn set(&self, state: &str) -> Result<SetResult, Trouble> {
        if !self.names.of.states().contains(&state) {
            let known = self.names.of.states().join(", ");
            return Err(Trouble::new(format!("{} is no state (known: {known})", quoted_name(state)), ""));
        }
        match &self.plan {
            ProviderPlan::File { path, key, comments, .. } => {
                let variant = self.plan.outside_word(state).to_owned();
                match file::set_flag(path.clone(), key.clone(), variant, dialect_of(*comments)).await? {
                    Ok(()) => Ok(self.read_back(state, None).await),
                    Err(unknown) => Ok(SetResult::Unknown(unknown)),
                }
            }
            ProviderPlan::Command { set, timeout_ms, dir, .. } => {
                let Some(argv) = set.argv(state) else {
                    return Err(Trouble::new(
                        format!("the plan has no command that sets {} to {state}", visible_name(&self.names.name)),
                        format!("add {state} = [\"PROGRAM\", ...] to its `set`"),
                    ));
                };
                let argv = self.plan.fill_arguments(argv, &self.names, Some(state));
                let run = CommandRun { argv, dir, timeout_ms: *timeout_ms, secret: false };
                match run.capture_output().await {
                    // Exit code 0 is the command's word, and no more: what it started may not be done yet.
                    Ok(_) => Ok(self.read_back(state, None).await),
                    Err(failed) if !failed.started => Err(failed.why),
                    // It may have done it first: an error after the change, or a timeout while it waited for it.
                    Err(failed) => Ok(self.read_back(state, Some(failed.why)).await),
                }
            }
            ProviderPlan::Manual { .. } => Ok(SetResult::Asked { instruction: self.describe_setting(state) }),
        }
    }

    /// What is true after an attempt. Only reading the wanted state makes it done: another state may be on its way to
    /// change still, above all after a command that failed half-way.
    async fn read_back(&self, wanted: &str, failed: Option<Trouble>) -> SetResult {
        let reading = self.get().await;
        let said = match (&reading, failed) {
            (Ok(seen), None) if seen.state() == Some(wanted) => return SetResult::Done(seen.clone()),
            (Ok(seen), Some(why)) if seen.state() == Some(wanted) => {
                tracing::info!(name = %visible_name(&self.names.name), wanted, why = %why.what, "set, although it failed");
                let ProviderReading::Known { state, at, detail } = seen.clone() else {
                    return SetResult::Done(seen.clone());
                };
                return SetResult::Done(ProviderReading::Known {
                    state,
                    at,
                    detail: format!("{detail}; although {}", why.what),
                });
            }
            // Not "failed": the change may arrive later, and whoever goes on as if nothing was set would run on both.
            (Ok(seen), None) => {
                let is = seen.state().unwrap_or("nothing");
                Trouble::new(
                    format!("{} was set to {wanted} without an error, and reads {is}", visible_name(&self.names.name)),
                    "it may need a moment: look again before doing anything else",
                )
            }
            (Ok(seen), Some(why)) => {
                let is = seen.state().unwrap_or("nothing");
                Trouble::new(format!("{}; it reads {is}", why.what), why.advice)
            }
            (Err(read), None) => Trouble::new(
                format!("{} was set to {wanted} and can't be read back: {}", visible_name(&self.names.name), read.what),
                read.advice.clone(),
            ),
            (Err(read), Some(why)) => {
                Trouble::new(format!("{}; and it can't be read back: {}", why.what, read.what), why.advice)
            }
        };
        SetResult::Unknown(said)
    }

    /// Our state for what the provider says.
    fn own_state(&self, word: &str, place: &str) -> Result<String, Trouble> {
        let known = self.names.of.states();
        // A word may be mapped to a state that only the other kind has: `both` is none of a flag.
        if let Some(state) = self.plan.own_state(word)
            && known.contains(&state)
        {
            return Ok(state.to_owned());
        }
        let expected: Vec<&str> = known.iter().map(|s| self.plan.outside_word(s)).collect();
        // Secrets first: cut to 80 characters, half of one would stay.
        let shown: String = crate::base::redact::hide_secrets(word).chars().take(80).collect();
        Err(Trouble::new(
            format!(
                "{} says {}, which is none of {}",
                visible_text(place),
                quoted_name(&shown),
                visible_names(expected)
            ),
            "set it to one of them, or say what its words mean: states = { blue = \"...\", green = \"...\", off = \"...\" }",
        ))
    }
}

fn dialect_of(comments: bool) -> file::FileDialect {
    if comments { file::FileDialect::Comments } else { file::FileDialect::Flagd }
}

#[cfg(test)]
mod tests;
