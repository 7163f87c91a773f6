//! Groups whose offsets the producer commits.
