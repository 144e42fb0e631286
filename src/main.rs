//! `titan-download`: parses, runs, and returns the exit code.

fn main() {}
