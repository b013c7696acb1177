//! forgetd, the command.

fn main() {}
