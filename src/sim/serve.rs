//! A simulated pair as a process of its own: for tests that kill the cockpit and need clusters that live on.
//!
//! One JSON line on the output says where everything is; then each line of the input is a command, answered by one
//! JSON line. It ends when the input ends, so it never outlives the test that started it.
//!
//! | command | does |
//! |---|---|
//! | `witness GROUP` | the referee's report |
//! | `mark GROUP` | begins a new count |
//! | `flag KEY VARIANT` | sets a flag by hand |
//! | `slow GROUP` | that group's consumers on green crawl |
//! | `kill SIDE BROKER`, `recover` | a broker dies; every incident ends |
//! | `open-egress` | every pod may connect to everything |
//! | `drop-topic SIDE TOPIC`, `drop-group SIDE GROUP` | vanish |
//! | `group SIDE GROUP` | its state and committed offsets |

use std::io::{BufRead, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::traffic::{DemoConfig, DemoEstate, EstateSpec, Incident, set_flag};
use crate::base::{Side, Trouble};

/// What to serve.
#[derive(Debug, Clone)]
pub(crate) struct ServeConfig {
    /// Directory for `flags.json` and `cutover.toml`; it must exist.
    pub dir: PathBuf,
    /// Rates are multiplied by this; 0 serves two empty clusters without traffic.
    pub scale: f64,
    /// Seed of everything that is random.
    pub seed: u64,
    /// Ports of the brokers of blue and of green; missing or 0 takes any.
    pub ports: [Vec<u16>; 2],
    /// `cutover` itself; without it no pod is tried.
    pub program: Option<PathBuf>,
}

/// Serves a pair until `input` ends.
///
/// # Errors
/// The pair can't start, or the output is closed.
pub(crate) fn serve_pair(config: ServeConfig, input: impl BufRead, mut output: impl Write) -> Result<(), Trouble> {
    let estate = if config.scale > 0.0 { EstateSpec::bank(config.scale) } else { EstateSpec::default() };
    let plan = config.dir.join("cutover.toml");
    let demo = DemoEstate::start(DemoConfig {
        dir: config.dir,
        estate,
        seed: config.seed,
        ports: config.ports,
        program: config.program,
    })?;
    std::fs::write(&plan, demo.plan_toml())
        .map_err(|e| Trouble::new(format!("{} can't be written: {e}", plan.display()), "give a writable directory"))?;
    let place = |side| {
        let cluster = demo.cluster(side);
        json!({ "bootstrap": cluster.bootstrap(), "cluster_id": cluster.cluster_id() })
    };
    let ready = json!({
        "blue": place(Side::Blue), "green": place(Side::Green),
        "plan": plan, "flags": demo.flags(),
    });
    write_json_line(&mut output, &ready)?;
    // an input that can't be read has ended
    for line in input.lines().map_while(Result::ok) {
        let answer = run_command(&demo, &line).unwrap_or_else(|| json!({ "error": format!("not understood: {line}") }));
        write_json_line(&mut output, &answer)?;
    }
    Ok(())
}

fn write_json_line(output: &mut impl Write, value: &Value) -> Result<(), Trouble> {
    writeln!(output, "{value}")
        .and_then(|()| output.flush())
        .map_err(|e| Trouble::new(format!("the reader of this process is gone: {e}"), ""))
}

/// Carries out one command; `None` when it makes no sense.
fn run_command(demo: &DemoEstate, line: &str) -> Option<Value> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let done = Some(json!({ "ok": true }));
    match words[..] {
        ["witness", group] => serde_json::to_value(demo.witness().report_group(group)?).ok(),
        ["mark", group] => {
            demo.mark(group);
            done
        }
        ["flag", key, variant] => match set_flag(demo.flags(), key, variant) {
            Ok(()) => done,
            Err(e) => Some(json!({ "error": e.to_string() })),
        },
        ["slow", group] => {
            demo.start_incident(&Incident::SlowConsumer { group: group.to_owned() });
            done
        }
        ["kill", side, broker] => {
            demo.start_incident(&Incident::BrokerDown { side: parse_side(side)?, broker: broker.parse().ok()? });
            done
        }
        ["open-egress"] => match demo.open_egress() {
            Ok(()) => done,
            Err(e) => Some(json!({ "error": e.to_string() })),
        },
        ["recover"] => {
            demo.recover();
            done
        }
        ["drop-topic", side, topic] => {
            let dropped = demo.cluster(parse_side(side)?).with_state(|s| s.delete_topic(topic));
            Some(json!({ "ok": dropped.is_ok() }))
        }
        ["drop-group", side, group] => {
            demo.cluster(parse_side(side)?).with_state(|s| s.drop_group(group));
            done
        }
        ["group", side, group] => Some(demo.cluster(parse_side(side)?).with_state(|s| {
            let Some(group) = s.groups().get(group) else { return json!({ "state": "Dead" }) };
            let offsets: serde_json::Map<String, Value> = group
                .offsets
                .iter()
                .flat_map(|(t, ps)| ps.iter().map(move |(p, c)| (format!("{t}-{p}"), json!(c.offset))))
                .collect();
            json!({ "state": group.state.to_string(), "members": group.members.len(), "offsets": offsets })
        })),
        _ => None,
    }
}

fn parse_side(word: &str) -> Option<Side> {
    Side::BOTH.into_iter().find(|s| s.name() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_where_it_is_obeys_and_ends_with_its_input() {
        let dir = tempfile::tempdir().unwrap();
        let config = ServeConfig {
            dir: dir.path().to_owned(),
            scale: 1.0,
            seed: 1,
            ports: [Vec::new(), Vec::new()],
            program: None,
        };
        let input = b"mark payments-settle\nwitness payments-settle\nflag fx-feed-cluster dual\nflag nope on\n\
            group blue audit-archive\nkill blue 2\nrecover\ndance\n";
        let mut output = Vec::new();
        serve_pair(config, &input[..], &mut output).unwrap();
        let lines: Vec<Value> =
            String::from_utf8(output).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 9);
        assert!(lines[0]["blue"]["bootstrap"].as_str().unwrap().starts_with("127.0.0.1:"));
        assert_eq!(lines[2]["lost"], 0);
        assert_eq!(lines[3]["ok"], true);
        assert!(lines[4]["error"].is_string(), "an unknown flag");
        assert!(lines[5]["offsets"]["audit-raw-0"].as_i64().unwrap() > 0);
        assert!(lines[8]["error"].is_string(), "an unknown command");
        let flags = std::fs::read_to_string(dir.path().join("flags.json")).unwrap();
        assert!(flags.contains("dual"));
    }
}
