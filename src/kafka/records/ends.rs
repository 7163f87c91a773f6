//! Where logs begin and end, as the data plane is told: asked for again while leadership moves.

use std::collections::BTreeMap;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::RecordReader;
use super::error::{ReadError, is_passing, moves_leader};
use super::wait::TICK;
use crate::base::TopicPartition;

/// How often the ends of the logs are asked for again when leadership has just moved.
const END_ATTEMPTS: usize = 5;

/// What is wrong with one of several partitions.
type PartitionError = (TopicPartition, KafkaError);

impl RecordReader {
    /// Readable ends (LSO or high watermark) of partitions, in one request a leader.
    pub fn list_ends(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>, ReadError> {
        self.list_offsets(partitions, Offset::End)
    }

    /// Log start offsets of partitions, in one request a leader.
    pub fn list_starts(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>, ReadError> {
        self.list_offsets(partitions, Offset::Beginning)
    }

    fn list_offsets(&self, partitions: &[TopicPartition], which: Offset) -> Result<Vec<i64>, ReadError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        // A client that was left alone may hold a token that is over by now.
        self.serve_events();
        let mut last = None;
        for _ in 0..END_ATTEMPTS {
            match self.ask_for_offsets(partitions, which)? {
                Ok(offsets) => return Ok(offsets),
                Err(passing) => last = Some(passing),
            }
        }
        let (p, e) = last.unwrap_or_else(|| (partitions[0].clone(), KafkaError::NoMessageReceived));
        Err(self.refused_error("asking for the offsets of", &p, &e))
    }

    /// Asks once. Errors: asking again is of no use; the inner one: it is, when leaders have been looked for anew.
    fn ask_for_offsets(
        &self,
        partitions: &[TopicPartition],
        which: Offset,
    ) -> Result<Result<Vec<i64>, PartitionError>, ReadError> {
        let mut ask = TopicPartitionList::new();
        for p in partitions {
            ask.add_partition_offset(&p.topic, p.partition, which)
                .map_err(|e| self.refused_error("asking for", p, &e))?;
        }
        // As times are asked for: one request a leader, where watermarks take one a partition.
        let answer = match self.consumer.offsets_for_times(ask, self.patience) {
            Ok(answer) => answer,
            Err(e) if e.rdkafka_error_code().is_some_and(moves_leader) => {
                tracing::info!(bootstrap = %self.bootstrap, partition = %partitions[0], why = %e, "its leader moves");
                self.refresh_leaders(&partitions[0]);
                return Ok(Err((partitions[0].clone(), e)));
            }
            Err(e) => {
                self.refresh_leaders(&partitions[0]);
                return Err(self.explain_no_answer(partitions, &e));
            }
        };
        match pick_offsets(&answer, partitions) {
            Ok(offsets) => Ok(Ok(offsets)),
            Err((p, e)) if e.rdkafka_error_code().is_some_and(is_passing) => {
                tracing::debug!(bootstrap = %self.bootstrap, partition = %p, why = %e, "offsets are asked for again");
                self.refresh_leaders(&p);
                Ok(Err((p, e)))
            }
            // Without any broker nothing is known of the topic: that is the news, not the topic. Unless one is back.
            Err((p, e)) if self.is_cut_off() => {
                if !self.refresh_leaders(&p) {
                    return Err(self.stalled_error("asking for offsets", Some(&e)));
                }
                tracing::info!(bootstrap = %self.bootstrap, "a broker is back");
                self.consumer.context().forget_errors();
                Ok(Err((p, e)))
            }
            Err((p, e)) => Err(self.refused_error("asking for the offsets of", &p, &e)),
        }
    }

    /// Why no answer came at all: a partition is not there, or nobody answers.
    fn explain_no_answer(&self, partitions: &[TopicPartition], error: &KafkaError) -> ReadError {
        let what = match partitions.len() - 1 {
            0 => format!("asking for the offsets of {}", partitions[0]),
            more => format!("asking for the offsets of {} and {more} more partitions", partitions[0]),
        };
        match self.find_missing(partitions) {
            Some(p) => self.refused_error("asking for the offsets of", p, error),
            None => self.stalled_error(&what, Some(error)),
        }
    }

    /// Takes leaders and their epochs as they are now; a moment passes while leadership settles. Whether anyone answered.
    fn refresh_leaders(&self, partition: &TopicPartition) -> bool {
        let told = self.consumer.fetch_metadata(Some(&partition.topic), self.patience.min(TICK * 10)).is_ok();
        drop(self.consumer.poll(TICK * 4));
        self.serve_events();
        told
    }

    /// The first partition that its cluster does not have; `None` when all are there or nobody can be asked.
    fn find_missing<'a>(&self, partitions: &'a [TopicPartition]) -> Option<&'a TopicPartition> {
        partitions.iter().find(|p| {
            let metadata = self.consumer.fetch_metadata(Some(&p.topic), self.patience.min(TICK * 10)).ok();
            metadata.is_some_and(|m| m.topics().iter().all(|t| t.partitions().iter().all(|q| q.id() != p.partition)))
        })
    }

    /// Whether connections failed since errors were last forgotten.
    fn is_cut_off(&self) -> bool {
        self.serve_events();
        self.consumer.context().last_error().is_some()
    }
}

/// The offsets of an answer, in the order of `partitions`. It keeps neither order nor errors apart: they go by name.
fn pick_offsets(answer: &TopicPartitionList, partitions: &[TopicPartition]) -> Result<Vec<i64>, PartitionError> {
    let elements = answer.elements();
    let found: BTreeMap<_, _> =
        elements.iter().map(|e| ((e.topic().to_owned(), e.partition()), (e.offset(), e.error()))).collect();
    let offset_of = |p: &TopicPartition| match found.get(&(p.topic.clone(), p.partition)) {
        Some((Offset::Offset(offset), Ok(()))) => Ok(*offset),
        Some((_, Err(e))) => Err((p.clone(), e.clone())),
        _ => Err((p.clone(), KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition))),
    };
    partitions.iter().map(offset_of).collect()
}
