//! The failures of this crate, gathered: each module has its own, which carries its object.

use std::{error, fmt, io};

use crate::{
    layer::LayerError, layout::LayoutError, render::RenderError, stream::StreamError, tar::TarError, tree::TreeError,
};

/// Any failure of this crate. `Display` is the outer sentence, `source` the kernel's or the codec's reason.
#[derive(Debug)]
pub enum Error {
    /// The compressed stream, or reading it.
    Stream(StreamError),
    /// The structure of the tar archive.
    Tar(TarError),
    /// The archive is no ACI.
    Layout(LayoutError),
    /// The image cannot become a tree.
    Render(RenderError),
    /// A layer of an OCI image.
    Layer(LayerError),
    /// A tree on disk.
    Tree(TreeError),
    /// A system call.
    Io(IoError),
}

/// A system call that failed.
#[derive(Debug)]
pub struct IoError {
    /// What was attempted, with its object: `cannot create rootfs/etc`.
    pub what: String,
    /// The kernel's answer.
    pub source: io::Error,
}

impl IoError {
    /// Wraps the kernel's answer; `what` names the object.
    pub fn new(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self { what: what.into(), source: source.into() }
    }
}

/// For `map_err`: the failed system call with its object.
pub fn io_error<E: Into<io::Error>>(what: impl FnOnce() -> String) -> impl FnOnce(E) -> Error {
    move |source| Error::Io(IoError::new(what(), source))
}

impl Error {
    /// The stable code, as documented in docs/errors.md.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Stream(error) => error.code(),
            Self::Tar(error) => error.code(),
            Self::Layout(error) => error.code(),
            Self::Render(error) => error.code(),
            Self::Layer(error) => error.code(),
            Self::Tree(error) => error.code(),
            Self::Io(error) if is_full(&error.source) => "RKT_NO_SPACE",
            Self::Io(_) => "RKT_IO",
        }
    }

    /// The kernel's error number, or 0 where the kernel had no part.
    pub fn errno(&self) -> i32 {
        let mut at: Option<&(dyn error::Error + 'static)> = Some(self);
        while let Some(error) = at {
            if let Some(number) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
                return number;
            }
            at = error.source();
        }
        0
    }

    /// The innermost reason as a lower-case phrase (`no space left on device`), where there is one beneath the sentence.
    pub fn cause(&self) -> Option<String> {
        let mut innermost = error::Error::source(self)?;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        Some(phrase(&innermost.to_string()))
    }
}

/// A full disk or quota: both mean that nothing more can be written.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The text of an error without Rust's `(os error N)`, starting in lower case unless an acronym starts it.
fn phrase(text: &str) -> String {
    let text = text.rfind(" (os error ").map_or(text, |at| &text[..at]);
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), second) if !second.is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => error.fmt(f),
            Self::Tar(error) => error.fmt(f),
            Self::Layout(error) => error.fmt(f),
            Self::Render(error) => error.fmt(f),
            Self::Layer(error) => error.fmt(f),
            Self::Tree(error) => error.fmt(f),
            Self::Io(error) => f.write_str(&error.what),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Stream(error) => error.source(),
            Self::Tar(error) => error.source(),
            Self::Layout(error) => error.source(),
            Self::Render(error) => error.source(),
            Self::Layer(error) => error.source(),
            Self::Tree(error) => error.source(),
            Self::Io(error) => Some(&error.source),
        }
    }
}

macro_rules! from {
    ($($error:ident => $variant:ident),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}
from!(StreamError => Stream, TarError => Tar, LayoutError => Layout, RenderError => Render, LayerError => Layer, TreeError => Tree, IoError => Io);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_its_own_code_and_keeps_the_kernels_number() {
        let error = Error::from(IoError::new("cannot write in /store/tmp", io::Error::from_raw_os_error(28)));
        assert_eq!(error.code(), "RKT_NO_SPACE");
        assert_eq!(error.errno(), 28);
        assert_eq!(error.to_string(), "cannot write in /store/tmp");
        assert_eq!(error.cause().as_deref(), Some("no space left on device"));
    }
}
