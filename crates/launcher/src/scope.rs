//! Whose data a command works on: the system's, or an ordinary user's own; and whether it needs a user namespace for it.

use launcher::{Scope, sys};
use std::ffi::CString;

/// Commands that make files with other owners, mount, or start pods.
const NAMESPACED: [&str; 8] = ["export", "fetch", "gc", "image", "prepare", "rm", "run", "run-prepared"];

/// Commands over the caller's pods. Members of group `rkt` have the system's images and lists, and pods of their own.
const OVER_PODS: [&str; 9] = ["app", "attach", "enter", "export", "gc", "prepare", "rm", "run", "stop"];

/// Global options whose value may be the next word.
const WITH_VALUE: [&str; 7] = [
    "--cpuprofile",
    "--dir",
    "--insecure-options",
    "--local-config",
    "--memprofile",
    "--system-config",
    "--user-config",
];

/// The scope of these arguments, the program's name among them, for this process.
pub fn scope(arguments: &[CString]) -> Scope {
    if sys::effective_user() == 0 {
        return Scope::System;
    }
    match of_user(command(arguments), is_member()) {
        // Nothing is done then, and it has to be readable where nothing can be.
        Scope::Namespace if asks_for_help(arguments) => Scope::Own,
        scope => scope,
    }
}

/// Words behind `--` are an app's.
fn asks_for_help(arguments: &[CString]) -> bool {
    let words = arguments.iter().map(|word| word.as_bytes()).take_while(|word| *word != b"--");
    words.into_iter().any(|word| word == b"--help" || word == b"-h")
}

fn of_user(command: &str, member: bool) -> Scope {
    // A command may be abbreviated; an empty one is none.
    let among = |commands: &[&str]| !command.is_empty() && commands.iter().any(|known| known.starts_with(command));
    if member && !among(&OVER_PODS) && command != "run-prepared" {
        return Scope::System;
    }
    if among(&NAMESPACED) { Scope::Namespace } else { Scope::Own }
}

/// The command, `image` of `image list`; empty when there is none.
fn command(arguments: &[CString]) -> &str {
    let mut words = arguments.iter().skip(1).map(|word| word.to_str().unwrap_or_default());
    while let Some(word) = words.next() {
        if WITH_VALUE.contains(&word) {
            words.next();
        } else if !word.starts_with('-') {
            return word;
        }
    }
    ""
}

/// Whether the caller is in the group whose members use the system's store.
fn is_member() -> bool {
    let text = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let group = text.lines().find_map(|line| line.strip_prefix("rkt:")?.split(':').nth(1)?.parse::<u32>().ok());
    group.is_some_and(|group| sys::groups().contains(&group))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<CString> {
        line.split(' ').map(|word| CString::new(word).unwrap()).collect()
    }

    #[test]
    fn the_command_is_the_first_word_that_belongs_to_no_global_option() {
        for (line, expected) in [
            ("rkt run x", "run"),
            ("rkt --debug --dir /d --insecure-options=image fetch x", "fetch"),
            ("rkt --dir=/d image list", "image"),
            ("rkt --help", ""),
            ("rkt", ""),
        ] {
            assert_eq!(command(&words(line)), expected, "{line}");
        }
        assert!(asks_for_help(&words("rkt run --help")));
        assert!(!asks_for_help(&words("rkt run image -- ls -h")));
    }

    #[test]
    fn an_ordinary_user_has_pods_of_their_own_and_a_member_the_images_of_the_system() {
        for (command, outsider, member) in [
            ("run", Scope::Namespace, Scope::Namespace),
            ("run-prepared", Scope::Namespace, Scope::Namespace),
            ("prep", Scope::Namespace, Scope::Namespace),
            ("enter", Scope::Own, Scope::Own),
            ("stop", Scope::Own, Scope::Own),
            ("list", Scope::Own, Scope::System),
            ("fetch", Scope::Namespace, Scope::System),
            ("image", Scope::Namespace, Scope::System),
            ("version", Scope::Own, Scope::System),
            ("", Scope::Own, Scope::System),
        ] {
            assert_eq!((of_user(command, false), of_user(command, true)), (outsider, member), "{command}");
        }
    }
}
