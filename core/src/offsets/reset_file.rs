//! The file that `kafka-consumer-groups --reset-offsets --from-file` reads: what a plan would commit, for whoever wants
//! to do it by hand, or to keep it. The tool (`CsvUtils` in Kafka's tools) splits the file at newlines and reads each
//! line with Jackson's CSV defaults: fields in double quotes may hold anything but a newline, a quote is doubled.
//! For one `--group` the lines are `topic,partition,offset`; for several each begins with its group.

use super::verdict::GroupTranslation;

/// The lines for one group, by the target's topic names. A partition without an offset has none: the tool would leave
/// it as it is.
#[must_use]
pub fn format_lines(plan: &GroupTranslation) -> Vec<String> {
    let line = |p: &super::verdict::PartitionPlan| {
        let topic = quote_field(plan.target_name(&p.tp.topic));
        p.target.offset.map(|offset| format!("{topic},{},{offset}", p.tp.partition))
    };
    plan.partitions.iter().filter_map(line).collect()
}

/// The file for these groups, by their ids on the target: one, or several in the tool's other format. Errors: the id of
/// a group that the format can't hold, as it spans lines.
pub fn format_file(plans: &[(String, &GroupTranslation)]) -> Result<String, String> {
    let text = |lines: Vec<String>| lines.into_iter().map(|l| l + "\n").collect::<String>();
    match plans {
        // The group's id stands in no line of this format, so a newline in it does no harm.
        [(_, plan)] => Ok(text(format_lines(plan))),
        several => {
            if let Some((id, _)) = several.iter().find(|(id, _)| id.contains(['\n', '\r'])) {
                return Err(id.clone());
            }
            let of = |(id, plan): &(String, &GroupTranslation)| {
                format_lines(plan).into_iter().map(|l| format!("{},{l}", quote_field(id))).collect::<Vec<_>>()
            };
            Ok(text(several.iter().flat_map(of).collect()))
        }
    }
}

/// A field as the tool reads it back.
fn quote_field(text: &str) -> String {
    // What topic names are made of: they go as they are, and only ids of groups can need quotes.
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{At, TopicPartition};
    use crate::offsets::verdict::PartitionPlan;

    fn plan(offsets: [Option<i64>; 3]) -> GroupTranslation {
        let partition = |(n, offset)| {
            let mut p = PartitionPlan::unmappable(TopicPartition::new("loans", n), "align", "", At(0));
            p.target.offset = offset;
            p
        };
        GroupTranslation::new((0..).zip(offsets).map(partition).collect())
    }

    #[test]
    fn a_line_a_partition_by_the_names_of_the_target() {
        let plan = plan([Some(7), None, Some(0)]);
        assert_eq!(format_lines(&plan), ["loans,0,7", "loans,2,0"]);
        let plan = plan.with_target_names(|t| format!("psc.{t}"));
        assert_eq!(format_file(&[("g".into(), &plan)]).unwrap(), "psc.loans,0,7\npsc.loans,2,0\n");
    }

    #[test]
    fn several_groups_name_themselves_however_hostile() {
        let plan = plan([Some(7), None, None]);
        let file = |a: &str| super::format_file(&[(a.to_owned(), &plan), ("b".to_owned(), &plan)]);
        assert_eq!(file("a,\"x\" y").unwrap(), "\"a,\"\"x\"\" y\",loans,0,7\nb,loans,0,7\n");
        assert_eq!(file("").unwrap(), "\"\",loans,0,7\nb,loans,0,7\n");
        assert_eq!(file("a\nb"), Err("a\nb".to_owned()), "a line is a record for the tool");
    }
}
