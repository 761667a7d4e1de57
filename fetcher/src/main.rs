//! The fetcher's program; everything is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    safeurl_fetcher::main()
}
