//! A durable, bounded, ordered queue of notifications in a folder.
