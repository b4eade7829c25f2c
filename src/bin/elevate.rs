//! The command line.

fn main() -> std::process::ExitCode {
    elevate::files::keep_memory_private();
    elevate::client::verbs::main()
}
