//! What a caller gave a process (resource limits, signal dispositions and mask, umask, descriptor flags, `NODE_*` variables):
//! recorded by `bin/rkt` before Node changes it, carried in the variable `RKT_LAUNCH`, and restored before the pod is exec'ed.
//!
//! Knows nothing of Node's addon API, pods or images.

mod record;
mod restore;
pub mod sys;
mod text;

pub use record::{Inherited, Limit, RESOURCES, Scope, Stdio};
pub use restore::{RestoreError, Undo, restore, restore_defaults};
pub use text::ParseError;

/// The variable that carries the record.
pub const VARIABLE: &str = "RKT_LAUNCH";
