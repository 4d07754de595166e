//! The real agent's process against the service: what it logged is what the service counts, over kill -9 and restart.
