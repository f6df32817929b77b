//! The direction of imports in the collector: data flows down the table of modules, so a module may use what
//! stands above it and never what stands below. The source of the data alone may know the BPF library.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::tokens::{Kind, Token, tokens};
use crate::project::Project;

/// The collector's modules in the direction of the data. docs/ARCHITECTURE.md says what each owns.
const ORDER: [&str; 20] = [
    "units", "config", "snapshot", "source", "host", "users", "rates", "rolling", "bursts", "roster", "limits", "view",
    "policy", "enforce", "export", "push", "token", "init", "fleet", "pipeline",
];

/// The BPF library's crates, and the only place that may name them.
const BPF_LIBRARY: [&str; 3] = ["aya", "aya_log", "aya_obj"];
const BPF_USER: [&str; 2] = ["source", "ebpf"];

/// Something that a file names: an absolute path inside the crate, or a crate of the BPF library.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    Path(Vec<String>),
    BpfLibrary(String),
}

/// Prints every violation; `true` if there is none.
pub(super) fn check(project: &Project) -> Result<bool> {
    let sources = project.root().join("collector/src");
    let read = |file: &Path| fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
    let own_to_program = declared(&read(&sources.join("main.rs"))?);
    let mut clean = true;
    for file in super::files(&sources, &["rs"])? {
        let text = read(&file)?;
        let relative = file.strip_prefix(&sources).unwrap_or(&file);
        let module = module_of(relative, &own_to_program);
        for (line, finding) in findings(&module, &text) {
            println!("    collector/src/{}:{line}: {finding}", relative.display());
            clean = false;
        }
    }
    Ok(clean)
}

/// The modules that `text` declares with files of their own.
fn declared(text: &str) -> Vec<String> {
    let kinds: Vec<Kind<'_>> = tokens(text).into_iter().map(|token| token.kind).collect();
    kinds
        .windows(3)
        .filter_map(|three| match three {
            [Kind::Word("mod"), Kind::Word(name), Kind::Mark(';')] => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}

/// `source/ebpf/maps.rs` is the module `source::ebpf::maps`. The crate's roots are the empty path, and so are
/// the modules of the program `main.rs`: they stand below the whole library.
fn module_of(relative: &Path, own_to_program: &[String]) -> Vec<String> {
    let mut module: Vec<String> =
        relative.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let is_root = module == ["lib"] || module == ["main"];
    if is_root || module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    if module.first().is_some_and(|first| own_to_program.contains(first)) {
        module.clear();
    }
    module
}

/// What `text`, the source of `module`, names against the rules, with the line of each.
fn findings(module: &[String], text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let place = |name: &String| ORDER.iter().position(|module| module == name);
    let own = module.first().map(|name| (name, place(name)));
    if let Some((name, None)) = own {
        found.push((1, format!("the module `{name}` has no place in the table of modules")));
    }
    for (line, named) in names(module, &tokens(text)) {
        match named {
            Named::BpfLibrary(library) => {
                if !module.starts_with(&BPF_USER.map(str::to_owned)) {
                    found.push((line, format!("only source/ebpf may name `{library}`")));
                }
            }
            Named::Path(path) => {
                let Some((own_name, Some(own))) = own else {
                    continue;
                };
                match path.first().map(|name| (name, place(name))) {
                    Some((_, Some(other))) if other <= own => {}
                    Some((name, Some(_))) => {
                        found.push((line, format!("`{own_name}` may not use `{name}`, which stands below it")));
                    }
                    Some((name, None)) => {
                        found.push((line, format!("`crate::{name}` is no module of the table: name its module")));
                    }
                    None => found.push((line, "name modules, not the whole crate".to_owned())),
                }
            }
        }
    }
    found
}

/// Every path in `tokens` that leads somewhere inside the crate, made absolute, and every BPF crate.
fn names(module: &[String], tokens: &[Token<'_>]) -> Vec<(usize, Named)> {
    let mut found = Vec::new();
    // Inline modules shift what `super` means: the path so far, and the depth of braces where it ends.
    let mut current = module.to_vec();
    let mut inline: Vec<usize> = Vec::new();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let follows_path = at > 0 && tokens[at - 1].kind == Kind::PathSeparator;
        match token.kind {
            Kind::Mark('{') => {
                depth += 1;
                if let Some(name) = opened_module(&tokens[..at]) {
                    current.push(name.to_owned());
                    inline.push(depth);
                }
            }
            Kind::Mark('}') => {
                if inline.last() == Some(&depth) {
                    inline.pop();
                    current.pop();
                }
                depth = depth.saturating_sub(1);
            }
            Kind::Word("crate" | "super" | "self")
                if !follows_path && kind(tokens, at + 1) == Some(Kind::PathSeparator) =>
            {
                at = path(tokens, at, current.clone(), &mut found);
                continue;
            }
            Kind::Word(word) if !follows_path && BPF_LIBRARY.contains(&word) => {
                found.push((token.line, Named::BpfLibrary(word.to_owned())));
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The name in `mod name`, if that is what stands before an opening brace.
fn opened_module<'a>(before: &[Token<'a>]) -> Option<&'a str> {
    match before {
        [.., keyword, name] if keyword.kind == Kind::Word("mod") => match name.kind {
            Kind::Word(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

fn kind<'a>(tokens: &[Token<'a>], at: usize) -> Option<Kind<'a>> {
    tokens.get(at).map(|token| token.kind)
}

/// Follows one path, or a tree of them in a `use`, from `at` on; returns where it ends.
fn path(tokens: &[Token<'_>], mut at: usize, mut base: Vec<String>, found: &mut Vec<(usize, Named)>) -> usize {
    let line = tokens.get(at).map_or(0, |token| token.line);
    loop {
        match kind(tokens, at) {
            Some(Kind::Word("crate")) => base.clear(),
            Some(Kind::Word("super")) => {
                base.pop();
            }
            Some(Kind::Word("self")) => {}
            Some(Kind::Word(word)) => base.push(word.to_owned()),
            Some(Kind::Mark('{')) => return group(tokens, at + 1, &base, found),
            // `*`, or the `<` of type arguments: the path ends here.
            _ => break,
        }
        at += 1;
        if kind(tokens, at) != Some(Kind::PathSeparator) {
            break;
        }
        at += 1;
    }
    found.push((line, Named::Path(base)));
    at
}

/// The paths between braces; returns the place after the closing one.
fn group(tokens: &[Token<'_>], mut at: usize, base: &[String], found: &mut Vec<(usize, Named)>) -> usize {
    loop {
        match kind(tokens, at) {
            None => return at,
            Some(Kind::Mark('}')) => return at + 1,
            Some(Kind::Mark(',')) => at += 1,
            Some(_) => {
                at = path(tokens, at, base.to_vec(), found);
                // What is left of the item: a star, or `as name`.
                while !matches!(kind(tokens, at), None | Some(Kind::Mark(',' | '}'))) {
                    at += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
