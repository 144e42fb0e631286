//! Tests of the store as a whole, on real files.
