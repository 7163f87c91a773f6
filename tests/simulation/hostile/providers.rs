//! What providers of switches, flags and metrics answer, and targets of notifications: in files, on the standard output and
//! error of commands, in the bodies of HTTP.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cutover::base::sanitise::visible_name;
use serde_json::json;

use super::estate::{Estate, IDLE, quoted};
use super::line::Manner;
use super::program::{Form, Reader};
use super::{EVIL, inert, name, text};

/// Bytes that are no UTF-8.
const NO_TEXT: &[u8] = &[0xff, 0x9b, 0xc3, 0x28];

/// The same in one line, which is all that a provider's one word may be.
fn word(tag: &str) -> String {
    format!("{tag}{}{}", EVIL.replace(['\r', '\n'], ""), "x".repeat(300))
}

/// Commands that say what stands in a file, and how they end.
fn scripts(dir: &Path) {
    for (name, script) in [("say", "#!/bin/sh\ncat \"$1\"\n"), ("fail", "#!/bin/sh\ncat \"$1\" >&2\nexit 7\n")] {
        let path = dir.join(name);
        std::fs::write(&path, script).expect("a script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a program");
    }
}

/// Switches by the tags of what they answer with, as a plan has them. Names in it (of flags) pass for others too.
fn switches(dir: &Path) -> Vec<(&'static str, String)> {
    let put = |file: &str, bytes: &[u8]| std::fs::write(dir.join(file), bytes).expect("an answer");
    let command = |program: &str, file: &str| {
        format!(
            "{{ provider = \"command\", get = [{}, {}], set = [\"true\", \"{{state}}\"] }}",
            quoted(program),
            quoted(file)
        )
    };
    let flag =
        |file: &str, key: &str| format!("{{ provider = \"file\", path = {}, key = {} }}", quoted(file), quoted(key));
    let flags = |key: &str, default: &str, variants: &[&str]| {
        let variants: serde_json::Map<_, _> = variants.iter().map(|v| ((*v).to_owned(), json!(v))).collect();
        json!({ key: { "state": "ENABLED", "variants": variants, "defaultVariant": default } })
    };
    let file = |flags: serde_json::Value| json!({ "flags": flags }).to_string();
    put("lines", text("q60").as_bytes());
    put("word", word("q61").as_bytes());
    put("bytes", &[&b"q62"[..], NO_TEXT, word("").as_bytes()].concat());
    put("error", format!("{}\n{}", text("q63"), word("q63")).as_bytes());
    let evil = word("q66");
    put("variant.json", file(flags("k", &evil, &[&evil, "green"])).as_bytes());
    let evil = word("q67");
    put("none.json", file(flags("k", &evil, &["green"])).as_bytes());
    let (good, neighbour) = (flags("k", "blue", &["blue", "green"]), name("q68"));
    let mut both = good.clone();
    both[&neighbour] = flags(&neighbour, "nowhere", &["blue"])[&neighbour].clone();
    put("neighbour.json", file(both).as_bytes());
    put("good.json", file(good).as_bytes());
    put("not.json", format!("{{ \"flags\": {} }}", text("q71")).as_bytes());
    vec![
        ("q60", command("./say", "lines")),
        ("q61", command("./say", "word")),
        ("q62", command("./say", "bytes")),
        ("q63", command("./fail", "error")),
        // what does not exist is named by its error: the argument, and the program
        ("q64", command("./say", &text("q64"))),
        ("q65", command(&format!("./{}", word("q65")), "nothing")),
        ("q66", flag("variant.json", "k")),
        ("q67", flag("none.json", "k")),
        ("q68", flag("neighbour.json", "k")),
        ("q69", flag("good.json", &inert("q69"))),
        ("q70", flag("q70\u{a0}flags.json\u{e000}", "k")),
        ("not.json", flag("not.json", "k")),
    ]
}

#[test]
fn what_switches_and_flags_answer_drives_nothing() {
    let estate = Estate::start(Manner::Polite);
    let dir = estate.dir.path();
    scripts(dir);
    let (mut plan, switches) = (String::new(), switches(dir));
    for (n, (_, switch)) in switches.iter().enumerate() {
        // writing to a String can't fail
        let _ = writeln!(plan, "[[groups]]\nname = \"group-{n}\"\nswitch = {switch}");
        let _ = writeln!(plan, "[[producers]]\nname = \"producer-{n}\"\nflag = {switch}");
    }
    estate.write_plan("", &plan);
    let mut reader = Reader::of(dir, Form::Text);
    let tags: Vec<&str> = switches.iter().map(|(tag, _)| *tag).collect();
    for args in [&["doctor"][..], &["doctor", "--json"]] {
        reader.forget();
        assert_eq!(reader.run(args), Some(1), "none of them can be read");
        reader.saw(&args.join(" "), &tags);
    }
    for args in [&["status"][..], &["status", "--json"], &["lag"]] {
        reader.run(args);
    }
    reader.follow(&["--plain", "--read-only"], &[" group group-0: ".to_owned()], |_, _| {});
    reader.finds_nothing_wrong();
}

/// A server that answers each path as it is told, for ever.
fn serve(answers: Vec<(&'static str, u16, Vec<u8>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &answers); // who asked may have gone
        }
    });
    address
}

fn answer(stream: TcpStream, answers: &[(&str, u16, Vec<u8>)]) -> std::io::Result<()> {
    let mut asked = BufReader::new(stream.try_clone()?);
    let (mut first, mut length) = (String::new(), 0);
    asked.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if asked.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().unwrap_or(0);
        }
    }
    std::io::copy(&mut asked.by_ref().take(length), &mut std::io::sink())?;
    let of = answers.iter().find(|(path, ..)| first.split(' ').nth(1).is_some_and(|asked| asked.starts_with(path)));
    let (status, body) = of.map_or((404, &b"nothing"[..]), |(_, status, body)| (*status, body.as_slice()));
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let mut stream = stream;
    stream.write_all(&[head.as_bytes(), body].concat())
}

/// A vector of Prometheus with these labels and values.
fn vector(series: &[(String, String)]) -> Vec<u8> {
    let one = |(label, value): &(String, String)| json!({ "metric": { label: label }, "value": [1.0, value] });
    let result: Vec<_> = series.iter().map(one).collect();
    json!({ "status": "success", "data": { "resultType": "vector", "result": result } }).to_string().into_bytes()
}

#[test]
fn what_metrics_and_receivers_answer_drives_nothing() {
    let two: Vec<(String, String)> = ["1", "2"].map(|n| (text(&format!("q72-{n}")), n.to_owned())).into();
    let refused = json!({ "status": "error", "errorType": "bad_data", "error": text("q73") });
    let relic = json!({ "errors": [{ "message": text("q76"), "extensions": { "errorClass": text("q77") } }] });
    let bytes = [&b"q75"[..], NO_TEXT, text("").as_bytes()].concat();
    let address = serve(vec![
        ("/labels/", 200, vector(&two)),
        ("/refused/", 400, refused.to_string().into_bytes()),
        ("/number/", 200, vector(&[("a".into(), word("q74"))])),
        ("/bytes/", 500, bytes),
        ("/relic/", 200, relic.to_string().into_bytes()),
        ("/hook", 400, [&b"q79"[..], NO_TEXT, text("").as_bytes()].concat()),
    ]);
    let estate = Estate::start(Manner::Polite);
    let dir = estate.dir.path();
    scripts(dir);
    std::fs::write(dir.join("word"), word("q78")).expect("an answer");
    // Each metric is asked for once in a plan: two sections make one, under names that attack.
    let prometheus = |path: &str, metric: &str| {
        format!("provider = \"prometheus\"\nurl = \"http://{address}/{path}\"\nqueries = {{ {metric} = \"up(x)\" }}\n")
    };
    let relic = format!(
        "provider = \"newrelic\"\nurl = \"http://{address}/relic\"\naccount = 1\nkey = {{ env = \"HOSTILE_KEY\" }}\n\
         queries = {{ error_rate = \"SELECT 1\" }}\n"
    );
    let command = "provider = \"command\"\nqueries = { p99 = [\"./say\", \"word\"] }\n".to_owned();
    let plans = [
        ([prometheus("labels", "error_rate"), prometheus("refused", "p99")], ["q72", "q73"]),
        ([prometheus("number", "error_rate"), prometheus("bytes", "p99")], ["q74", "q75"]),
        ([relic, command], ["q76", "q78"]),
    ];
    let idle = name(IDLE);
    let group = format!(
        "[[groups]]\nname = {}\nswitch = {{ provider = \"manual\" }}\n\
         [notify.{}]\nkind = \"webhook\"\nurl = \"http://{address}/hook\"\non = [\"hold\", \"controller\"]\n",
        quoted(&idle),
        quoted(&name("q80"))
    );
    let mut reader = Reader::of(dir, Form::Text).with("HOSTILE_KEY", "swordfish");
    for (sections, tags) in plans {
        let metrics: String = ["q81", "q82"]
            .iter()
            .zip(sections)
            .map(|(tag, section)| format!("[metrics.{}]\n{section}", quoted(&name(tag))))
            .collect();
        estate.write_plan("", &(group.clone() + &metrics));
        for args in [&["doctor", "--notify"][..], &["doctor", "--notify", "--json"], &["doctor"]] {
            reader.forget();
            reader.run(args);
            let shown = ["q81", "q82", "q80"].into_iter().chain(tags).collect::<Vec<_>>();
            reader.saw(&args.join(" "), &shown);
            if args.contains(&"--notify") {
                reader.saw(&args.join(" "), &["q79"]);
            }
        }
        reader.run(&["status", "--json"]);
    }
    // A controller that tells and is refused says so wherever it speaks.
    let row = [format!(" group {}: ", visible_name(&idle))];
    assert_eq!(reader.run(&["group", "hold", &idle, "--reason", "lunch"]), Some(0));
    reader.follow(&["watch"], &row, |_, _| {});
    reader.finds_nothing_wrong();
}
