//! The napi binding: what `src/native/contract.ts` promises, as thin functions over the crates beside this one. Failure crosses as
//! a value (`failure.rs`), never as an exception. Everything here may run on any thread but `become`, which is the main thread's.
//!
//! Nothing in it calls chroot, umask, set*id or fork, and chdir, unshare and setns only `become` does, and threads that end right after
//! (`inside.rs`): they belong to the process. A user
//! namespace is made by a child that only waits for its end ([`sandbox::sys::fork_idle`]).

#![cfg_attr(test, allow(dead_code, reason = "napi registers no function in a test build"))]

mod archive;
mod beneath;
mod ends;
mod exec;
mod failure;
mod files;
mod inside;
mod layer;
mod mountinfo;
mod mounts;
mod namespace;
mod overlay;
mod probe;
mod sys;
mod terminal;
