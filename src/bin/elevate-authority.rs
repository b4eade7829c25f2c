//! The authority: decides, records, issues.

fn main() -> std::process::ExitCode {
    elevate::files::keep_memory_private();
    elevate::authority::cli::main()
}
