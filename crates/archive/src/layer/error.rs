//! Why a layer is refused.

use std::{error, fmt};

/// What is wrong with a layer. `digest` names it as its descriptor does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerError {
    /// More or fewer bytes than the descriptor says; the rest of more is not read.
    Size { digest: String, found: u64, expected: u64 },
    /// The bytes have another digest.
    Digest { found: String, expected: String },
    /// The inflated bytes have another digest than the image's config says.
    DiffId { digest: String, found: String, expected: String },
    /// It inflates to more than may be.
    TooLarge { digest: String, limit: u64 },
    /// An entry that no layer may have.
    Entry { entry: String, why: String },
    /// The sender gave up.
    Aborted { digest: String },
}

impl LayerError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Size { .. } => "RKT_LAYER_SIZE",
            Self::Digest { .. } => "RKT_LAYER_DIGEST",
            Self::DiffId { .. } => "RKT_LAYER_DIFF_ID",
            Self::TooLarge { .. } => "RKT_LAYER_TOO_LARGE",
            Self::Entry { .. } => "RKT_LAYER_ENTRY",
            Self::Aborted { .. } => "RKT_LAYER_ABORTED",
        }
    }
}

impl fmt::Display for LayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { digest, found, expected } if found > expected => {
                write!(f, "layer {digest} has more than the {expected} bytes that it must have")
            }
            Self::Size { digest, found, expected } => {
                write!(f, "layer {digest} ends after {found} of {expected} bytes")
            }
            Self::Digest { found, expected } => write!(f, "layer {expected} has the digest {found}"),
            Self::DiffId { digest, found, expected } => {
                write!(f, "layer {digest} inflates to {found}, not to {expected} as the image's config says")
            }
            Self::TooLarge { digest, limit } => write!(f, "layer {digest} inflates to more than {limit} bytes"),
            Self::Entry { entry, why } => write!(f, "the layer's entry \"{entry}\" cannot be made: {why}"),
            Self::Aborted { digest } => write!(f, "the transfer of layer {digest} was given up"),
        }
    }
}

impl error::Error for LayerError {}
