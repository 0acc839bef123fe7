//! Computes the default filters of system calls ahead, for the machine that is built for.
#![allow(dead_code, reason = "the modules are the crate's own")]

#[path = "src/seccomp/compile.rs"]
mod compile;
#[path = "src/seccomp/filter.rs"]
mod filter;
#[path = "src/seccomp/groups.rs"]
mod groups;
#[path = "src/seccomp/table.rs"]
mod table;

use compile::{Instruction, RET_KILL, RET_NOTIFY, compile};
use filter::SystemCalls;
use std::fmt::Write;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=src/seccomp");
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let machine = variable("CARGO_CFG_TARGET_ARCH");
    let mut text = "const DEFAULTS: [Default; 2] = [\n".to_owned();
    for administers in [false, true] {
        let calls = SystemCalls::computed_default(administers);
        text.push_str("    Default {\n        rules: &[\n");
        for rule in &calls.rules {
            writeln!(text, "            (Outcome::{:?}, {:?}),", rule.outcome, rule.names).expect("memory");
        }
        text.push_str("        ],\n");
        for (name, kill) in [("killing", RET_KILL), ("notifying", RET_NOTIFY)] {
            writeln!(text, "        {name}: &[").expect("memory");
            for Instruction { code, jt, jf, k } in compile(&machine, &calls, kill) {
                writeln!(text, "            Instruction {{ code: {code}, jt: {jt}, jf: {jf}, k: {k} }},")
                    .expect("memory");
            }
            text.push_str("        ],\n");
        }
        text.push_str("    },\n");
    }
    text.push_str("];\n");
    std::fs::write(PathBuf::from(variable("OUT_DIR")).join("default_filters.rs"), text).expect("write the filters");
}
