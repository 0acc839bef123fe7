//! The plugins as programs: environment and stdin in, stdout out (CNI specification, section 2).
