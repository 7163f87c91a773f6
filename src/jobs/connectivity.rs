//! Green's brokers, and one of blue's, tried from where the consumers run.

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::base::sanitise::visible_name;
use crate::base::{Side, Sides, Trouble, host_port};
use crate::net::process::{CommandFailure, CommandRun};
use crate::parity::{ReachOutcome, ReachTry};
use crate::plan::Plan;
use crate::plan::address;

/// Tries that are under way at once; `net::process` bounds the commands themselves.
const AT_ONCE: usize = 16;

/// Tries each address of green from each pod of the plan, and one of blue as a control; in the order of the plan.
/// `advertised`: where each cluster says that its brokers are.
pub(crate) async fn try_reach(plan: &Plan, advertised: &Sides<Vec<(String, u16)>>) -> Vec<ReachTry> {
    let mut green = advertised.green.clone();
    let also = plan.connectivity.also.iter().flat_map(|text| address::parse_list(text).0);
    for address in also.map(|a| (a.host, a.port)) {
        if !green.contains(&address) {
            green.push(address);
        }
    }
    let targets = advertised.blue.iter().take(1).map(|a| (Side::Blue, a));
    let targets: Vec<(Side, &(String, u16))> = targets.chain(green.iter().map(|a| (Side::Green, a))).collect();
    let mut tries = Vec::new();
    for pod in &plan.connectivity.pods {
        for (side, address) in &targets {
            tries.push(try_address(plan, pod, *side, address));
        }
    }
    stream::iter(tries).buffered(AT_ONCE).collect().await
}

async fn try_address(plan: &Plan, pod: &str, side: Side, (host, port): &(String, u16)) -> ReachTry {
    let connectivity = &plan.connectivity;
    if !is_plain_host(host) {
        let what = format!(
            "the broker advertises {}, which is no plain host name: it is put into no command",
            visible_name(host)
        );
        let outcome = ReachOutcome::Untried(Trouble::new(what, "correct advertised.listeners of the broker"));
        return ReachTry { pod: pod.to_owned(), side, address: host_port(host, port), outcome };
    }
    let run = CommandRun {
        argv: connectivity.fill_command(pod, host, *port),
        dir: &connectivity.dir,
        timeout_ms: connectivity.timeout_ms,
        secret: false,
    };
    let outcome = match run.capture_output().await {
        Ok(_) => ReachOutcome::Reached,
        Err(CommandFailure { why, started: true }) => ReachOutcome::Failed(why),
        Err(CommandFailure { why, started: false }) => ReachOutcome::Untried(why),
    };
    ReachTry { pod: pod.to_owned(), side, address: host_port(host, port), outcome }
}

/// Whether a name can be nothing but a name, wherever a command puts it: brokers say it, and a program would take `-x` for
/// an option, a shell on the other side `;` for the end of a command.
fn is_plain_host(host: &str) -> bool {
    !host.starts_with('-')
        && !host.is_empty()
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%'))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn plan_with(command: &str) -> Plan {
        let text = format!(
            "clusters.blue.bootstrap = \"b:1\"\nclusters.green.bootstrap = \"g:1\"\n[connectivity]\n\
             pods = [\"one\", \"two\"]\nalso = [\"g:3\"]\ncommand = {command}\n"
        );
        Plan::parse(&text, Path::new("cutover.toml")).unwrap_or_else(|e| panic!("{e}")).plan
    }

    fn advertised() -> Sides<Vec<(String, u16)>> {
        let at = |host: &str, port| (host.to_owned(), port);
        Sides {
            blue: vec![at("b", 1), at("b", 2)],
            green: vec![at("g", 1), at("-g", 2), at("g;reboot", 2), at("g", 3)],
        }
    }

    #[tokio::test]
    async fn each_pod_tries_each_address_of_green_and_one_of_blue() {
        let plan = plan_with(r#"["sh", "-c", "echo $0 >&2; test $0 != two-g-3", "{pod}-{host}-{port}"]"#);
        let tries = try_reach(&plan, &advertised()).await;
        let said: Vec<String> = tries
            .iter()
            .map(|t| {
                let outcome = match &t.outcome {
                    ReachOutcome::Reached => "reached".to_owned(),
                    ReachOutcome::Failed(why) if why.what.ends_with("two-g-3") => "failed".to_owned(),
                    ReachOutcome::Failed(why) => why.what.clone(),
                    ReachOutcome::Untried(_) => "untried".to_owned(),
                };
                format!("{} {} {} {outcome}", t.pod, t.side, t.address)
            })
            .collect();
        let of = |pod: &str, last: &str| {
            let rest =
                ["blue b:1 reached", "green g:1 reached", "green -g:2 untried", "green g;reboot:2 untried", last];
            rest.map(|line| format!("{pod} {line}"))
        };
        assert_eq!(said, [of("one", "green g:3 reached"), of("two", "green g:3 failed")].concat());
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_has_tried_nothing() {
        let tries = try_reach(&plan_with(r#"["no-such-program-here", "{pod}", "{host}"]"#), &advertised()).await;
        assert!(tries.iter().all(|t| matches!(t.outcome, ReachOutcome::Untried(_))), "{tries:?}");
    }
}
