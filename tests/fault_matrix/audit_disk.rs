//! The file system of the audit directory is really full: part of a line may be written before it is noticed.
