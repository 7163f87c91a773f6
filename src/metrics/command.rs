//! A program that prints a number.

use std::path::Path;

use super::Answer;
use crate::base::Trouble;
use crate::base::sanitise::visible;
use crate::net::process::Run;

pub(super) async fn ask(argv: Vec<String>, dir: &Path, timeout_ms: u64) -> Result<Answer, Trouble> {
    let run = Run { argv, dir, timeout_ms };
    let word = run.word("one number").await?;
    match word.parse::<f64>() {
        Ok(value) => Ok(Answer { value, at: None }),
        Err(_) => {
            let said: String = visible(&crate::base::redact::hide(&word)).chars().take(80).collect();
            let what = format!("{} prints {said:?}, which is no number", run.shown());
            Err(Trouble::new(what, "let it print one number, such as 0.0002, and nothing when there is no data"))
        }
    }
}
