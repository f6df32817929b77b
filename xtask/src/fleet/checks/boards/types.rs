//! Grafana's own types: `@grafana/schema` from npm, in the versions of node/package-lock.json, and TypeScript's compiler.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::super::super::kit::Kit;
use crate::dashboards::{self, lint};
use crate::packages::cache_folder;
use crate::process::{self, Unavailable, find_program, heading};

const MANIFEST: &str = include_str!("node/package.json");
const LOCK: &str = include_str!("node/package-lock.json");
/// Where Grafana keeps the options of each kind of panel: its name in JSON, its folder, its file.
const PANELS: [(&str, &str, bool); 5] = [
    ("stat", "Stat", false),
    ("timeseries", "TimeSeries", true),
    ("table", "Table", true),
    ("heatmap", "Heatmap", true),
    ("bargauge", "BarGauge", false),
];
/// JSON has no enums: a text that is the value of one is taken for it. The two lines after it are wrong on purpose; were they
/// accepted, nothing at all would be checked.
const PRELUDE: &str = r"
type Plain<T> = unknown extends T ? T : T extends string ? `${T}` : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
// @ts-expect-error: not a number
export const noTitle: Plain<Dashboard> = { schemaVersion: 39, title: 1 };
// @ts-expect-error: no such key
export const noKey: Plain<Panel> = { type: 'stat', colour: 'red' };
// @ts-expect-error: no such mode
export const noMode: Plain<Partial<StatOptions>> = { colorMode: 'loud' };
";

/// Compiles all dashboards as values of these types.
pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let modules = modules()?;
    let folder = kit.scratch().join("types");
    fs::create_dir_all(&folder)?;
    std::os::unix::fs::symlink(&modules, folder.join("node_modules"))?;
    fs::write(folder.join("package.json"), r#"{ "private": true, "type": "module" }"#)?;
    let mut compile = Command::new(find_program("node").context("npm is here and node is not")?);
    compile.current_dir(&folder).arg(modules.join("typescript/lib/tsc.js")).args([
        "--strict",
        "--noEmit",
        "--skipLibCheck",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--moduleResolution",
        "nodenext",
    ]);
    for dashboard in dashboards::shipped(kit.project())? {
        let file = format!("{}.ts", dashboard.name);
        fs::write(folder.join(&file), program(&dashboard.document)?)?;
        compile.arg(file);
    }
    // The compiler tells on standard output what it found.
    let output = compile.output().context("cannot start node")?;
    if !output.status.success() {
        bail!("Grafana's types refuse a dashboard:\n{}", String::from_utf8_lossy(&output.stdout));
    }
    Ok(())
}

/// A dashboard as a TypeScript program: the whole, then each panel's options and fields by the kind of panel.
fn program(document: &serde_json::Value) -> Result<String> {
    let mut text = String::from("import type { Dashboard, Panel, DataSourceRef } from '@grafana/schema';\n");
    for (folder, name, _) in PANELS {
        writeln!(
            text,
            "import type * as {folder} from '@grafana/schema/dist/esm/raw/composable/{folder}/panelcfg/x/{name}PanelCfg_types.gen';"
        )?;
    }
    text.push_str("type StatOptions = stat.Options;\n");
    text.push_str(PRELUDE);
    writeln!(text, "export const whole: Plain<Dashboard> = {document};")?;
    for (index, panel) in lint::panels(document).into_iter().enumerate() {
        let kind = panel["type"].as_str().unwrap_or_default();
        let Some((.., fields)) = PANELS.iter().find(|(name, ..)| *name == kind) else {
            bail!("{} is a {kind}, whose options are not checked yet: add it to PANELS", panel["title"]);
        };
        writeln!(text, "export const panel{index}: Plain<Panel> = {panel};")?;
        writeln!(text, "export const options{index}: Plain<{kind}.Options> = {};", panel["options"])?;
        writeln!(text, "export const datasource{index}: Plain<DataSourceRef> = {};", panel["datasource"])?;
        let custom = &panel["fieldConfig"]["defaults"]["custom"];
        if !custom.is_null() {
            if !fields {
                bail!("{}: a {kind} has no fields of its own", panel["title"]);
            }
            writeln!(text, "export const custom{index}: Plain<{kind}.FieldConfig> = {custom};")?;
        }
    }
    Ok(text)
}

/// `node_modules` with what the lock names, installed unless it is there already.
fn modules() -> Result<PathBuf> {
    let folder = cache_folder()?.join("node/dashboards");
    let installed = fs::read_to_string(folder.join("package-lock.json")).is_ok_and(|lock| lock == LOCK);
    let modules = folder.join("node_modules");
    if installed && modules.join("typescript/lib/tsc.js").is_file() {
        return Ok(modules);
    }
    let npm = find_program("npm").ok_or_else(|| {
        Unavailable("this machine has no npm: install nodejs and npm, version 18 or newer".to_owned())
    })?;
    heading("fetching Grafana's types and TypeScript from npm");
    let unfinished = folder.with_extension("unfinished");
    for old in [&unfinished, &folder] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    fs::create_dir_all(&unfinished).with_context(|| format!("cannot create {}", unfinished.display()))?;
    fs::write(unfinished.join("package.json"), MANIFEST)?;
    fs::write(unfinished.join("package-lock.json"), LOCK)?;
    install(&npm, &unfinished).context(Unavailable("Grafana's types cannot be had from npm".to_owned()))?;
    fs::rename(&unfinished, &folder).with_context(|| format!("cannot move {} into place", folder.display()))?;
    Ok(modules)
}

/// Exactly what the lock says, with the digests in it, and without running anything of it.
fn install(npm: &Path, folder: &Path) -> Result<()> {
    let mut command = Command::new(npm);
    command.current_dir(folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    process::capture(&mut command).map(|_| ())
}
