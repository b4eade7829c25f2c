//! The command line.

fn main() -> std::process::ExitCode {
    elevate::client::verbs::main()
}
