//! synapse-rs.

fn main() {}
