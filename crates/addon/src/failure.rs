//! How a failure crosses to TypeScript: as a value `{failure: {code, errno, message, cause?}}`, never as an exception.

use napi::bindgen_prelude::Either;
use napi_derive::napi;
use rustix::io::Errno;

/// What failed, as `src/native/contract.ts` promises it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[napi(object, object_from_js = false)]
pub struct Details {
    /// Stable, one of ours: `RKT_…`.
    pub code: String,
    /// The kernel's number, or 0 where the kernel had no part in it.
    pub errno: i32,
    /// A lower case sentence that names the object, without the cause.
    pub message: String,
    /// What lies beneath it, where the text of `errno` does not say it.
    pub cause: Option<String>,
}

/// A failure as a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[napi(object, object_from_js = false)]
pub struct NativeFailure {
    /// What failed.
    pub failure: Details,
}

/// A value or the failure in its place.
pub type Outcome<T> = Either<T, NativeFailure>;

impl NativeFailure {
    /// A failure that the kernel had no part in.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { failure: Details { code: code.to_owned(), errno: 0, message: message.into(), cause: None } }
    }

    /// A system call that failed; TypeScript adds the text of `errno` as the cause.
    pub fn system(code: &str, message: impl Into<String>, errno: Errno) -> Self {
        Self::new(code, message).with_errno(errno.raw_os_error())
    }

    /// An I/O error: the errno if it has one, else its text as the cause.
    pub fn io(code: &str, message: impl Into<String>, error: &std::io::Error) -> Self {
        let failure = Self::new(code, message);
        match error.raw_os_error() {
            Some(errno) => failure.with_errno(errno),
            None => failure.with_cause(error.to_string()),
        }
    }

    /// The same with the kernel's number.
    pub fn with_errno(mut self, errno: i32) -> Self {
        self.failure.errno = errno;
        self
    }

    /// The same with a text beneath it.
    pub fn with_cause(mut self, cause: impl Into<String>) -> Self {
        self.failure.cause = Some(cause.into());
        self
    }
}

/// A result as it crosses the seam.
pub fn outcome<T, E: Into<NativeFailure>>(result: Result<T, E>) -> Outcome<T> {
    match result {
        Ok(value) => Either::A(value),
        Err(error) => Either::B(error.into()),
    }
}
