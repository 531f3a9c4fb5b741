//! How often a writing process is killed: `make crash KILLS=500` asks for more than a test run does.

/// What `KILLS` says, or as many as fit into a test run.
pub(crate) fn kills(usually: u64) -> u64 {
    std::env::var("KILLS").map_or(usually, |count| count.parse().expect("KILLS is a whole number"))
}
