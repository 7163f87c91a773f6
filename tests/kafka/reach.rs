//! `cutover preflight` tries green's real addresses from where the plan's pods are.

use crate::faults::Desk;
use crate::support::kafka::pair;

/// `here` reaches what listens, `elsewhere` only blue, and `nowhere` does not exist: what can't be tried is no fault of green's.
#[test]
fn what_the_consumers_reach_is_tried_from_where_they_run() {
    let (blue, green) = (&pair().blue.bootstrap, &pair().green.bootstrap);
    let green_port = green.rsplit(':').next().expect("a port");
    let script = format!(
        "case {{pod}} in nowhere) echo no such pod >&2; exit 1;; elsewhere) test {{port}} != {green_port} || \
         {{ echo Connection timed out >&2; exit 1; }};; esac; exec 3<>/dev/tcp/{{host}}/{{port}}"
    );
    let plan = |pods: &str| {
        format!(
            "[migration]\nname = \"reach\"\n[clusters.blue]\nbootstrap = {blue:?}\n[clusters.green]\nbootstrap = {green:?}\n\
             [parity]\nexclude = [\".*\"]\n[connectivity]\npods = {pods}\ncommand = [\"bash\", \"-c\", {script:?}]\n"
        )
    };
    let desk = Desk::new(&plan("[\"here\", \"elsewhere\", \"nowhere\"]"));
    let (code, found) = desk.json(&["preflight"]);
    assert_eq!(code, Some(3), "{found}");
    let reach = &found["areas"]["reach"];
    assert_eq!((&reach["same"], &reach["blocks"], &reach["unknown"]), (&1.into(), &1.into(), &1.into()), "{reach}");
    let page = desk.run(&["preflight"]);
    let text: String = page.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        format!("reach elsewhere to {green} reached missing"),
        "Connection timed out do: let elsewhere through to".to_owned(),
        "from nowhere not even a broker of blue is reached this way".to_owned(),
    ] {
        assert!(text.contains(&words), "{words}: {}", page.out);
    }
    assert!(page.out.lines().all(|line| line.chars().count() <= 80), "{}", page.out);
    std::fs::write(desk.path().join("cutover.toml"), plan("[\"here\"]")).expect("a plan");
    let (_, found) = desk.json(&["preflight"]);
    assert_eq!(
        (&found["areas"]["reach"]["verdict"], &found["areas"]["reach"]["same"]),
        (&"equal".into(), &1.into()),
        "{found}"
    );
    std::fs::write(desk.path().join("cutover.toml"), plan("[]")).expect("a plan");
    let none = desk.run(&["preflight"]);
    assert!(none.out.contains("not tried: which brokers the consumers reach"), "{}", none.out);
}
