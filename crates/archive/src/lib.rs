//! Bytes of images: inflate, hash, read tar, render safely, digest, copy and remove trees.
//!
//! Rests on the kernel and on codecs; knows nothing of Node, pods or stores. Everything that comes out of an image is
//! hostile here: sizes are bounded before they are allocated, and no name is handed to the kernel but as one component
//! below a directory descriptor that was opened with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`.
//!
//! # Choices
//!
//! - **SHA-512** by `ring`, whose assembly (BoringSSL's, AVX2 found at run time) does 472 MiB per second of CPU time where
//!   `sha2` 0.11, which has AVX2 intrinsics, does 337 (256 KiB buffers, best of eight, the reference machine). The hash is
//!   the slowest stage of an import, so this is its speed. It brings no dependency but a C compiler, which zstd and xz need
//!   too. aws-lc-rs has the same assembly for a far bigger build.
//! - **gzip** by `flate2` on `zlib-rs`, memory safe and as fast as zlib-ng; **bzip2** by its Rust port; **xz** by liblzma
//!   and **zstd** by libzstd, each with a cap on the memory that a stream may ask for.
//! - **tar** headers by the `tar` crate. The stream above them is our own: the crate splits PAX records at line
//!   feeds, which cuts binary attributes such as `security.capability`, and knows no PAX sparse files.
//! - No `unsafe`: rustix has every call that is needed.
#![forbid(unsafe_code)]

mod error;
mod extract;
mod hex;
mod ingest;
pub mod layer;
mod layout;
mod names;
mod privileges;
mod render;
mod stream;
mod tar;
mod tree;
mod writer;

#[cfg(test)]
mod testing;

pub use error::Error;
pub use extract::extract;
pub use ingest::{Ingested, ingest};
pub use privileges::Privileges;
pub use render::{RenderRequest, RenderSource, Shift, render};
pub use tree::{Xattr, copy_tree, digest_tree, label_tree, list_xattrs, remove_tree, sync_filesystem, tree_stats};
pub use writer::TreeStats;
