//! Embeds the rule packs: lists every `rules/**/*.yml` with its text in a table that `src/detect/built_in.rs` includes. And puts
//! `src/detect/scanners.c` between the parser and the grammars' own scanners.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=rules");
    println!("cargo:rerun-if-changed=build.rs");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("rules");
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    let (cases, rules): (Vec<PathBuf>, Vec<PathBuf>) = files.into_iter().partition(|file| is_test(file));
    write_table(&root, &rules, "rules.rs")?;
    write_table(&root, &cases, "rule_cases.rs")?;
    guard_scanners()
}

/// Grammars with a scanner that keeps state.
const SCANNERS: [&str; 7] = ["c_sharp", "containerfile", "hcl", "php", "python", "ruby", "yaml"];

/// Compiles the guard and has the linker call it for `serialize`. Only linkers of Linux can; elsewhere the checks of the text before it
/// is parsed (`src/detect/scanner_state.rs`) are all there is.
fn guard_scanners() -> Result<(), Box<dyn Error>> {
    const GUARD: &str = "src/detect/scanners.c";
    println!("cargo:rerun-if-changed={GUARD}");
    if env::var("CARGO_CFG_TARGET_OS")? != "linux" {
        return Ok(());
    }
    for object in cc::Build::new().file(GUARD).std("c11").try_compile_intermediates()? {
        println!("cargo:rustc-link-arg={}", object.display());
    }
    for scanner in SCANNERS {
        println!("cargo:rustc-link-arg=-Wl,--wrap=tree_sitter_{scanner}_external_scanner_serialize");
    }
    Ok(())
}

/// Writes pairs of name below `root` and text as Rust.
fn write_table(root: &Path, files: &[PathBuf], target: &str) -> Result<(), Box<dyn Error>> {
    let mut table = String::from("[\n");
    for file in files {
        let name = file.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
        writeln!(table, "    ({name:?}, include_str!({:?})),", file.to_string_lossy())?;
    }
    table.push_str("]\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join(target), table)?;
    Ok(())
}

/// Adds the rule, fix and case documents under `folder`.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            println!("cargo:rerun-if-changed={}", path.display());
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    Ok(())
}

fn is_test(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".test.yml"))
}
