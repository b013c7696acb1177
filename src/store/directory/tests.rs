//! Of the files of a tree, on the real thing.
