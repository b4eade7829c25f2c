//! Man pages come from the clap definitions and from `man/written`. They are committed, and this fails where they differ;
//! `ELEVATE_REGENERATE=1 cargo test --test all generated` writes them anew. Completion scripts are in the program.

use crate::manual::{pages, root};
use std::path::Path;
use std::process::Command;

pub fn hold(path: &Path, fresh: &[u8]) {
    if std::env::var_os("ELEVATE_REGENERATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, fresh).unwrap();
    }
    let committed = std::fs::read(path).unwrap_or_default();
    assert!(committed == fresh, "{} is stale: ELEVATE_REGENERATE=1 cargo test --test all generated", path.display());
}

#[test]
fn completions_are_what_the_program_prints() {
    for (shell, file) in [
        ("bash", "elevate.bash"),
        ("zsh", "_elevate"),
        ("fish", "elevate.fish"),
        ("powershell", "_elevate.ps1"),
        ("elvish", "elevate.elv"),
    ] {
        let printed = Command::new(env!("CARGO_BIN_EXE_elevate")).args(["completion", shell]).output().unwrap();
        assert_eq!(printed.stdout, std::fs::read(root("completions").join(file)).unwrap(), "{file}");
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
