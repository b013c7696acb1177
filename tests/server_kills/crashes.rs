//! The whole server dies during a run, and comes back.
