//! The failure type of the sandbox: a sentence that names the object, over the kernel's error.

use std::fmt;
use std::io;

/// What went wrong, with the object named; `Display` gives `sentence: cause`.
#[derive(Debug)]
pub struct Failure {
    sentence: String,
    cause: Option<io::Error>,
}

/// A result whose failure names its object.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure of our own: no system call stands behind it.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), cause: None }
    }

    /// The failure of a system call upon the object that `sentence` names.
    pub fn system(sentence: impl Into<String>, cause: impl Into<io::Error>) -> Self {
        Self { sentence: sentence.into(), cause: Some(cause.into()) }
    }

    /// The same failure, said of a larger object: `outer: this`.
    #[must_use]
    pub fn of(self, outer: impl fmt::Display) -> Self {
        Self { sentence: format!("{outer}: {}", self.sentence), cause: self.cause }
    }

    /// The kernel's error number, when a system call failed.
    pub fn errno(&self) -> Option<i32> {
        self.cause.as_ref().and_then(io::Error::raw_os_error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)?;
        match &self.cause {
            Some(cause) => write!(formatter, ": {}", describe(cause)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

/// Adds the object to a system call's error.
pub trait Context<T> {
    /// Wraps an error as a [`Failure`] whose sentence is what `sentence` answers.
    fn context<S: Into<String>>(self, sentence: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context<S: Into<String>>(self, sentence: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|cause| Failure::system(sentence(), cause))
    }
}

/// A system error as users of the reference know it: `no such file or directory`, without a number.
pub fn describe(error: &io::Error) -> String {
    let Some(number) = error.raw_os_error() else { return error.to_string() };
    let text = crate::sys::error_text(number);
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        // "Input/output error" begins a word, "RFS specific error" an abbreviation.
        (Some(first), Some(second)) if first.is_ascii_uppercase() && !second.is_ascii_uppercase() => {
            format!("{}{}", first.to_ascii_lowercase(), &text[1..])
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_failure_reads_like_the_reference() {
        let failure = Failure::system("open /nowhere", io::Error::from_raw_os_error(libc::ENOENT)).of("app \"a\"");

        assert_eq!(failure.to_string(), "app \"a\": open /nowhere: no such file or directory");
        assert_eq!(failure.errno(), Some(libc::ENOENT));
    }
}
