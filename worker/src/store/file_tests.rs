//! Tests of what only a database in a file has: a disk that is full or fails, a file that is moved, damaged or not to be
//! written, a lock that another process holds, connections that cannot write.

mod schema;
mod sharing;
mod trouble;
