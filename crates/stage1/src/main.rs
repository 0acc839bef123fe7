//! The executables of the flavors `native` and `fly`, one program under several names: the name it is called by is the entrypoint
//! (`run`, `enter`, `stop`, `gc`, `plan`), the link `flavor` beside it says which flavor it belongs to.
//!
//! An image of a flavor holds hard links to it. Entrypoints other than `run` are executed on the host from the treestore's copy. Called
//! by the name of a network plugin (`ptp`, `bridge`, …) it is that plugin.

#![cfg_attr(not(test), no_main)]
#![cfg_attr(test, allow(dead_code, reason = "the entry point is not part of a test executable"))]

mod abi;
mod fly;
mod native;
mod sealed;
mod sys;

use sandbox::{Failure, Result};
use std::ffi::OsString;

/// rkt's own failures; other statuses belong to apps.
pub const FAILURE: i32 = 254;

/// What the process is and was called with.
struct Call {
    entrypoint: String,
    flavor: String,
    /// It executes from a copy that nobody can change.
    sealed: bool,
    arguments: Vec<String>,
}

impl Call {
    fn read() -> Result<Self> {
        let text = |word: OsString| word.into_string().map_err(|_| Failure::new("an argument is not UTF-8"));
        let mut words = std::env::args_os();
        let name = text(words.next().unwrap_or_default())?;
        let entrypoint = name.rsplit('/').next().unwrap_or_default().to_owned();
        let (flavor, sealed) = match sealed::flavor() {
            Some(flavor) => (flavor, true),
            None => (flavor_beside_the_program()?, false),
        };
        let arguments = words.map(text).collect::<Result<_>>()?;
        Ok(Self { entrypoint, flavor, sealed, arguments })
    }
}

fn flavor_beside_the_program() -> Result<String> {
    let program =
        std::fs::read_link("/proc/self/exe").map_err(|error| Failure::system("read /proc/self/exe", error))?;
    let link = program.with_file_name("flavor");
    let flavor =
        std::fs::read_link(&link).map_err(|error| Failure::system(format!("read {}", link.display()), error))?;
    Ok(flavor.to_string_lossy().into_owned())
}

/// Runs the entrypoint that the process was called as; answers its exit status.
fn start() -> i32 {
    // First of all: nothing may have changed what the caller gave to this process.
    let inherited = sandbox::inherited::Inherited::record();
    if let Some(status) = net::program::main() {
        return status;
    }
    let call = match Call::read() {
        Ok(call) => call,
        Err(failure) => return report("stage1", &failure),
    };
    let arguments = &call.arguments;
    match (call.flavor.as_str(), call.entrypoint.as_str()) {
        ("native", "run") => native::run(arguments, &inherited),
        ("native", "plan") => native::print_plan(arguments),
        ("native", "enter") if !call.sealed => match sealed::execute_again(&call.flavor, &inherited) {
            Ok(never) => match never {},
            Err(failure) => report("enter", &failure),
        },
        ("native", "enter") => native::enter(arguments, &inherited),
        ("native", "app-add") => native::add(arguments),
        ("native", "app-rm") => native::remove(arguments),
        ("native", "app-start") => native::start(arguments),
        ("native", "app-stop") => native::stop_app(arguments),
        ("native", "attach") => native::attach(arguments),
        ("native", "stop") => native::stop(arguments),
        ("native", "gc") => native::gc(arguments),
        ("fly", "run") => fly::run(arguments, &inherited),
        ("fly", "enter") => fly::enter(arguments, &inherited),
        ("fly", "stop") => fly::stop(arguments),
        ("fly", "gc") => 0,
        (flavor, entrypoint) => {
            report("stage1", &Failure::new(format!("flavor \"{flavor}\" has no entrypoint \"{entrypoint}\"")))
        }
    }
}

/// Prints a failure in the documented form; answers the status for it.
fn report(prefix: &str, failure: &Failure) -> i32 {
    eprintln!("{prefix}: {failure}");
    FAILURE
}
