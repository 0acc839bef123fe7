//! `bin/rkt`: records what the caller gave this process, then becomes Node on `dist/rkt.js`.
//!
//! It has a C `main`, because the Rust runtime changes what is to be recorded: it ignores SIGPIPE and opens closed descriptors.

#![cfg_attr(not(test), no_main)]
#![cfg_attr(test, allow(dead_code, unused_imports, reason = "the entry point is not part of a test executable"))]

mod install;
mod rootless;
mod scope;

use install::{Install, Problem};
use launcher::{Inherited, Scope, Stdio, VARIABLE, sys};
use std::ffi::{CString, c_char, c_int};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// rkt's own failures end with this status.
const FAILURE: c_int = 254;

/// The kernel takes no longer string than this, its closing zero included (execve(2)).
const LONGEST_STRING: usize = 128 * 1024;

#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: called by the C runtime.
    let arguments = unsafe { sys::arguments(argc, argv) };
    let environment: Vec<(Vec<u8>, Vec<u8>)> =
        std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec())).collect();
    let record = Inherited { scope: scope::scope(&arguments), ..Inherited::capture(&environment) };
    open_closed(&record);
    let problem = match start(&record, environment, arguments) {
        Ok(never) => match never {},
        Err(problem) => problem,
    };
    let _ = writeln!(std::io::stderr(), "rkt: {problem}"); // nobody else to tell
    FAILURE
}

/// What is opened next must not become the standard output.
fn open_closed(record: &Inherited) {
    for _ in record.stdio.iter().filter(|stdio| **stdio == Stdio::Closed) {
        let _ = sys::open_null(); // without /dev/null Node says so itself
    }
}

enum Never {}

fn start(record: &Inherited, environment: Vec<(Vec<u8>, Vec<u8>)>, arguments: Vec<CString>) -> Result<Never, Problem> {
    let install = Install::find()?;
    let node = install.node(&environment)?;
    install.check(&node)?;
    let text = record.encode();
    if VARIABLE.len() + 1 + text.len() >= LONGEST_STRING {
        return Err(Problem::new(
            "the NODE_* variables of the environment are too long to be kept; unset what you do not need",
        ));
    }
    let kept = |name: &[u8]| !name.starts_with(b"NODE_") && name != VARIABLE.as_bytes();
    let mut variables: Vec<CString> =
        environment.iter().filter(|(name, _)| kept(name)).map(|(name, value)| pair(name, value)).collect();
    variables.push(pair(VARIABLE.as_bytes(), text.as_bytes()));
    if let Some(cache) = install.compile_cache() {
        variables.push(pair(b"NODE_COMPILE_CACHE", cache.as_os_str().as_bytes()));
    }
    if record.scope == Scope::Namespace {
        // Last of all: in there files of the system's root belong to nobody.
        rootless::enter()?;
    }
    let program = c_string(node.as_os_str().as_bytes());
    // No options for Node: those that change V8's flags (--max-lazy, --no-opt, --single-threaded, --no-maglev) make it refuse the
    // compiled code that Node carries for itself (+25 to +35 ms of CPU where `node -e 0` takes 49); no other one is measurable.
    let mut words = vec![c"node".to_owned(), c_string(install.script().as_os_str().as_bytes())];
    words.extend(arguments.into_iter().skip(1));
    let error = sys::execute(&program, &words, &variables);
    Err(Problem::new(format!("cannot start {}: {}", node.display(), install::reason(&error))))
}

fn pair(name: &[u8], value: &[u8]) -> CString {
    c_string(&[name, b"=", value].concat())
}

/// Paths and variables come from the kernel as C strings; a zero byte cannot be in one.
fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes).unwrap_or_default()
}
