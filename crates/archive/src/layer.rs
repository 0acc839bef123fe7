//! Layers of OCI and Docker images: their bytes on the way into the store, and the trees that they are.
//!
//! A layer is rendered by itself, in the form that overlayfs reads (kernel, Documentation/filesystems/overlayfs.rst): a
//! whiteout is a character device 0:0, a directory that hides what lies below it has the attribute `overlay.opaque`. What an
//! image looks like is then the stack of its layers, mounted, or merged on disk by [`flatten`] with the same rules.
//!
//! # What a layer may hold
//!
//! - An entry's name is taken below the root of the layer, `..` is refused, and links on the way are followed as if the layer
//!   were the whole file system (`RESOLVE_IN_ROOT`): what lies in other layers is neither seen nor reached.
//! - A name that comes again replaces what was there, but a directory on a directory only changes its attributes.
//! - A whiteout hides what lower layers have, never what this one brings, wherever in the archive it stands.
//! - Character devices 0:0 and attributes `*.overlay.*` would speak to overlayfs and are dropped, and so are the attributes of
//!   the host's own modules (`trusted.*`, `security.*` but capabilities, `system.*`).
//! - A hard link to a file of a lower layer cannot be made in a layer by itself: such a layer [needs its
//!   parents](Rendered::NeedsParents), and its image is flattened.

mod error;
mod feed;
mod flatten;
mod hash;
mod ingest;
mod marker;
mod merge;
mod tree;

pub(crate) use error::LayerError;
pub use feed::{Feed, Reading, Sender, channel};
pub use flatten::{FlatLayer, FlattenRequest, flatten};
pub use hash::{Algorithm, Digest};
pub use ingest::{Ingest, IngestedLayer, RenderTarget, ingest};
pub use tree::Flavor;

use crate::writer::TreeStats;

/// What became of a layer's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rendered {
    /// It is complete.
    Whole {
        /// Names and bytes.
        stats: TreeStats,
        /// Directories that no entry describes, though something lies in them: on a lower layer that has them they would
        /// change owner and mode. Paths below the root, in the order of their appearance.
        implied: Vec<Vec<u8>>,
    },
    /// It has a hard link to a file that must be in a lower layer; what was written is useless.
    NeedsParents {
        /// The link's name, for people.
        entry: String,
    },
}

#[cfg(test)]
mod tests;
