//! Completions and man pages come from the clap definitions. They are committed, and this fails where they differ;
//! `ELEVATE_REGENERATE=1 cargo test --test all generated` writes them anew.

use clap::Command;
use clap_complete::{Shell, generate};
use std::path::{Path, PathBuf};

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn hold(path: &Path, fresh: &[u8]) {
    if std::env::var_os("ELEVATE_REGENERATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, fresh).unwrap();
    }
    let committed = std::fs::read(path).unwrap_or_default();
    assert!(committed == fresh, "{} is stale: ELEVATE_REGENERATE=1 cargo test --test all generated", path.display());
}

#[test]
fn completions_are_what_clap_says() {
    for (shell, file) in [
        (Shell::Bash, "elevate.bash"),
        (Shell::Zsh, "_elevate"),
        (Shell::Fish, "elevate.fish"),
        (Shell::PowerShell, "_elevate.ps1"),
        (Shell::Elvish, "elevate.elv"),
    ] {
        let mut text = Vec::new();
        generate(shell, &mut elevate::client::cli::command(), "elevate", &mut text);
        hold(&root("completions").join(file), &text);
    }
}

#[test]
fn man_pages_are_what_clap_says() {
    page(&elevate::client::cli::command(), "elevate", "1");
    page(&elevate::authority::cli::command(), "elevate-authority", "8");
    let command = elevate::client::cli::command();
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        page(verb, &format!("elevate-{}", verb.get_name()), "1");
    }
}

fn page(command: &Command, name: &str, section: &'static str) {
    let mut text = Vec::new();
    let name: &'static str = name.to_owned().leak();
    let man = clap_mangen::Man::new(command.clone().name(name).bin_name(name)).section(section).date("");
    man.render(&mut text).unwrap();
    hold(&root("man").join(format!("{name}.{section}")), &text);
}
