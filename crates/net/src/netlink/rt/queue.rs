//! Queueing disciplines and the filters that feed them.
