//! The authority: decides, records, issues.

fn main() -> std::process::ExitCode {
    elevate::authority::cli::main()
}
