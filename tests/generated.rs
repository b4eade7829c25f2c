//! Completions and man pages come from the clap definitions, the pages also from `man/written`. They are committed, and
//! this fails where they differ; `ELEVATE_REGENERATE=1 cargo test --test all generated` writes them anew.

use crate::manual::{pages, root};
use clap_complete::{Shell, generate};
use std::path::Path;

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
fn man_pages_are_what_clap_and_people_say() {
    let pages = pages();
    for (file, text) in &pages {
        hold(&root("man").join(file), text.as_bytes());
    }
    for entry in std::fs::read_dir(root("man")).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        let name = entry.file_name().into_string().unwrap();
        assert!(pages.iter().any(|(file, _)| *file == name), "nothing makes man/{name}: remove it");
    }
}
