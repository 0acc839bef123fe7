//! The stage1 ABI as a flavor meets it: arguments, manifests, the pod directory, and what they mean for an app.
//!
//! Rests on `sandbox` for reading hostile trees. Knows nothing of how a flavor isolates a pod.

pub mod environment;
pub mod isolators;
pub mod manifest;
pub mod options;
pub mod pod;
pub mod quantity;
pub mod volumes;
