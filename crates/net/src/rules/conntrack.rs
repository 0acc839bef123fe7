//! Connections that the kernel remembers.
