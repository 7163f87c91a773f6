//! Records whose schemas have other ids on green, as a registry makes them that can't keep ids: with both registries in the
//! plan they are the same records, without they are not; and where a registry does not tell, nothing is claimed.

use cutover::base::Side;
use cutover::offsets::Verdict;
use serde_json::{Value, json};

use super::ground::fill_from;
use super::ground::hours_ago;
use super::{commit, group_text, load, of, plan_text, translate, translate_with};
use crate::fake_registry::{FakeRegistry, Manner, State, http_answer};
use crate::faults::Desk;
use crate::support::kafka::{create_topic, pair};
use crate::support::unique;

const RECORDS: u32 = 200;
const COMMITTED: i64 = 120;
/// The same five schemas, in the order of [`Schema`]s below.
const BLUE_IDS: [u32; 5] = [91_000, 91_001, 91_002, 91_003, 91_004];
const GREEN_IDS: [u32; 5] = [7, 4, 3, 5, 91_001];

fn avro(name: &str, field: &str, kind: &str) -> String {
    format!(r#"{{"type":"record","name":"{name}","namespace":"n","fields":[{{"name":"{field}","type":"{kind}"}}]}}"#)
}

/// A registry with the five schemas: a plain one, one with a reference, a soft-deleted one, Protobuf and JSON Schema.
fn registry(manner: Manner, ids: [u32; 5]) -> FakeRegistry {
    let mut state = State::new(manner);
    state.seed_avro("ref", 1, ids[0], &avro("Ref", "s", "string"));
    let references = json!([{ "name": "n.Ref", "subject": "ref", "version": 1 }]);
    state.seed("use-value", 1, ids[1], "AVRO", &avro("Use", "a", "n.Ref"), references);
    state.seed_avro("old-value", 1, ids[2], &avro("Old", "x", "int"));
    state.seed_avro("old-value", 2, 6, &avro("Old", "x", "long"));
    let proto = "syntax = \"proto3\"; // c\nmessage M { string a = 1; }";
    state.seed("pb-value", 1, ids[3], "PROTOBUF", proto, Value::Null);
    state.seed("js-value", 1, ids[4], "JSON", r#"{ "type": "object", "title": "t" }"#, Value::Null);
    let registry = FakeRegistry::start(state);
    registry.ask("DELETE", "/subjects/old-value/versions/1", Value::Null);
    registry
}

/// A topic on both clusters with the same records, framed with each side's ids; every tenth is not framed at all, and looks
/// like an id that nobody knows.
struct Framed {
    topic: String,
    group: String,
}

impl Framed {
    fn write(name: &str) -> Framed {
        let (topic, group) = (unique(name), unique(name));
        let begin = hours_ago();
        for (broker, ids) in [(&pair().blue, BLUE_IDS), (&pair().green, GREEN_IDS)] {
            create_topic(broker, &topic, 1, &[]);
            let value = |n: u32| {
                let id = if n % 10 == 9 { 16_909_060 } else { ids[n as usize % 5] };
                [&[0][..], &id.to_be_bytes(), &n.to_be_bytes()].concat()
            };
            fill_from(broker, &topic, 0, begin, (0..RECORDS).map(value));
        }
        commit(&pair().blue, &group, &[(&topic, 0, COMMITTED)]);
        Framed { topic, group }
    }

    fn desk(&self, registries: Option<[&str; 2]>) -> Desk {
        let table = |side: &str, url: &str| format!("[clusters.{side}.registry]\nurl = \"{url}\"\n");
        let registries = registries.map(|[blue, green]| table("blue", blue) + &table("green", green));
        let more = registries.unwrap_or_default() + &group_text(&self.group, &[&self.topic]);
        Desk::new(&plan_text(&pair().blue, &pair().green, &more))
    }

    fn diff(&self, desk: &Desk) -> (Option<i32>, Value) {
        desk.json(&["diff", "--topic", &self.topic])
    }
}

#[test]
fn records_that_differ_in_their_ids_alone_are_the_same_with_both_registries() {
    let framed = Framed::write("framed");
    let (blue, green) = (registry(Manner::Confluent, BLUE_IDS), registry(Manner::Karapace, GREEN_IDS));
    let desk = framed.desk(Some([&blue.url, &green.url]));
    let plan = translate(&load(&desk), &framed.group, Side::Green);
    let p = of(&plan, &framed.topic, 0);
    assert_eq!((p.verdict, p.target.offset, p.missing), (Verdict::Proven, Some(COMMITTED), Some(0)), "{p:?}");
    assert_eq!(p.re_read, Some(0), "{p:?}");
    let (code, told) = desk.json(&["offsets", "plan", "--group", &framed.group]);
    println!("offsets plan {code:?}: {}", told["partitions"][0]);
    assert_eq!((code, &told["partitions"][0]["green"]["offset"]), (Some(0), &json!(COMMITTED)), "{told}");
    let (code, told) = framed.diff(&desk);
    println!("diff {code:?}: {} {}", told["verdict"], told["topics"][0]["remarks"]);
    assert_eq!((code, &told["topics"][0]["found"]["equal"]), (Some(0), &json!(RECORDS)), "{told}");
    let remarks = told["topics"][0]["remarks"].to_string();
    assert!(remarks.contains("neither registry tells (id 16909060 at"), "{remarks}");
    // each id was asked for once by each of the three, soft-deleted ones too, and what is referenced
    let asked = green.asked();
    let of_id = |id: u32| asked.iter().filter(|a| **a == format!("GET /schemas/ids/{id}")).count();
    assert_eq!(GREEN_IDS.map(of_id), [3; 5], "{asked:#?}");
    assert!(asked.iter().all(|a| a.starts_with("GET ")), "{asked:#?}");

    // without the registries, or with one of them, bytes are bytes
    let bare = framed.desk(None);
    let plan = translate(&load(&bare), &framed.group, Side::Green);
    let p = of(&plan, &framed.topic, 0);
    println!("without: {} {:?}", p.verdict, p.why);
    assert!(p.verdict != Verdict::Proven || p.missing != Some(0), "{p:?}");
    let (code, told) = framed.diff(&bare);
    assert_eq!((code, &told["verdict"]), (Some(3), &json!("differs")), "{told}");
}

#[test]
fn a_registry_that_does_not_tell_makes_nothing_the_same_and_nothing_lost() {
    let framed = Framed::write("untold");
    let (blue, green) = (registry(Manner::Confluent, BLUE_IDS), registry(Manner::Karapace, GREEN_IDS));
    // green's fails when it is asked for an id
    green.answer_instead(|asked| {
        asked.starts_with("GET /schemas/ids/").then(|| http_answer(500, "", "{\"message\": \"no way\"}"))
    });
    let desk = framed.desk(Some([&blue.url, &green.url]));
    let failed = translate_with(&load(&desk), &framed.group, Side::Green, std::sync::Arc::new(|_| {}));
    match failed {
        Err(why) => assert!(why.what.contains("no way"), "{why:?}"),
        Ok(plan) => {
            let p = of(&plan, &framed.topic, 0);
            assert_eq!(p.verdict, Verdict::Unmappable, "{p:?}");
            assert!(p.why.as_deref().is_some_and(|w| w.contains("no way")), "{p:?}");
        }
    }
    let (code, told) = framed.diff(&desk);
    assert_eq!(code, Some(4), "{told}");
    assert!(told.to_string().contains("no way"), "{told}");

    // it lost a schema for good, and its number is known to blue's: which of both is meant can't be told
    let lost = registry(Manner::Karapace, [7, 4, 3, 5, 91_004]);
    lost.answer_instead(|asked| {
        let absent = "{\"error_code\": 40403, \"message\": \"Schema not found\"}";
        (asked == "GET /schemas/ids/91001").then(|| http_answer(404, "", absent))
    });
    let desk = framed.desk(Some([&blue.url, &lost.url]));
    let plan = translate(&load(&desk), &framed.group, Side::Green);
    let p = of(&plan, &framed.topic, 0);
    println!("doubtful: {} {:?}", p.verdict, p.why);
    assert_eq!((p.verdict, p.missing), (Verdict::Unmappable, None), "{p:?}");
    let words = "records of green carry schema id 91001, which its registry does not know, and blue's does";
    assert!(p.why.as_deref().is_some_and(|w| w.contains(words)), "{p:?}");
    let (code, told) = framed.diff(&desk);
    assert_eq!((code, &told["verdict"]), (Some(4), &json!("unknown")), "{told}");

    // neither knows the number that green's records carry: their twins carry others, and may be the same
    let gone = registry(Manner::Karapace, [7, 4, 8, 5, 91_001]);
    let desk = framed.desk(Some([&blue.url, &gone.url]));
    let plan = translate(&load(&desk), &framed.group, Side::Green);
    let p = of(&plan, &framed.topic, 0);
    println!("mixed: {} {:?}", p.verdict, p.why);
    assert_eq!((p.verdict, p.missing), (Verdict::Unmappable, None), "{p:?}");
    assert!(p.why.as_deref().is_some_and(|w| w.contains("is not known")), "{p:?}");
    let (code, told) = framed.diff(&desk);
    let unknown = told["topics"][0]["unknown"].to_string();
    assert!(code != Some(0) && unknown.contains("beside others that carry ids"), "{code:?} {told}");
}

/// Rule 7: what records really carry, on both clusters, looked up on both registries; and how much of them was read.
#[test]
fn the_ids_that_records_carry_are_looked_up_on_both_registries() {
    let framed = Framed::write("carried");
    let blue = registry(Manner::Confluent, BLUE_IDS);
    // what a copy with ids makes, but for one schema
    let green = registry(Manner::Confluent, [BLUE_IDS[0], BLUE_IDS[1], 91_009, BLUE_IDS[3], BLUE_IDS[4]]);
    let desk = framed.desk(Some([&blue.url, &green.url]));
    let (code, told) = desk.json(&["schemas"]);
    let records = &told["records"];
    println!("schemas {code:?}: {records:#}");
    assert_eq!((code, &told["verdict"]), (Some(3), &json!("differs")));
    for side in ["blue", "green"] {
        let share = &records[side];
        assert_eq!((&share["looked"], &share["all"]), (&json!(true), &json!(true)), "{share}");
        assert_eq!((&share["records"], &share["topics"]), (&json!(RECORDS), &json!(1)), "{share}");
        // a key of decimal digits a record
        assert_eq!(share["unframed"], json!(RECORDS), "{share}");
    }
    let of = |id: u32| records["ids"].as_array().expect("ids").iter().find(|i| i["id"] == id).expect("the id").clone();
    let lost = of(BLUE_IDS[2]);
    assert_eq!(records["ids"][0], lost, "the gravest first");
    assert_eq!((&lost["reads"], &lost["severity"]), (&json!("on-blue"), &json!("grave")));
    assert_eq!(lost["uses"]["blue"]["records"], json!(40));
    assert_eq!(lost["uses"]["blue"]["example"], json!([{ "topic": framed.topic, "partition": 0 }, 2]));
    assert_eq!(lost["uses"]["green"]["records"], json!(0));
    assert_eq!((&of(BLUE_IDS[0])["reads"], &of(16_909_060)["reads"]), (&json!("same"), &json!("nowhere")));
    // a part, and said so
    let (_, told) = desk.json(&["schemas", "--records", "10"]);
    let share = &told["records"]["blue"];
    assert_eq!(
        (&share["all"], &share["held"], &share["read"]),
        (&json!(false), &json!(RECORDS), &json!(10)),
        "{share}"
    );
    let ran = desk.run(&["schemas", "--records", "10"]);
    assert!(ran.out.contains("blue: 10 records, 5.0% of what its logs hold"), "{}", ran.out);
    // a cluster that can't be read: the whole is not known, and nothing is claimed of it
    let table = |side: &str, url: &str| format!("[clusters.{side}.registry]\nurl = \"{url}\"\n");
    let nowhere = Desk::new(&format!(
        "[migration]\nname = \"real\"\n[clusters.blue]\nbootstrap = \"127.0.0.1:1\"\n[clusters.green]\nbootstrap = \"127.0.0.1:1\"\n{}{}{}",
        table("blue", &blue.url),
        table("green", &blue.url.replace("127.0.0.1", "localhost")),
        group_text(&framed.group, &[&framed.topic])
    ));
    let (code, told) = nowhere.json(&["schemas"]);
    assert_eq!((code, &told["records"]["blue"]["looked"]), (Some(4), &Value::Null), "{told}");
}
