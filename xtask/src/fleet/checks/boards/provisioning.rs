//! The files that set Grafana up: data sources, the folder, and the `ConfigMap`s. No Grafana is to be had here, so they are read as
//! strictly as its documentation describes them, and held against the dashboards.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::super::kit::Kit;
use crate::dashboards;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Sources {
    api_version: u32,
    prune: bool,
    datasources: Vec<Source>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Source {
    name: String,
    uid: String,
    #[serde(rename = "type")]
    kind: String,
    access: String,
    url: String,
    is_default: bool,
    editable: bool,
    #[serde(default)]
    basic_auth: bool,
    basic_auth_user: Option<String>,
    json_data: Options,
    secure_json_data: BTreeMap<String, String>,
}

/// Those of the Prometheus data source that the kit sets. There is none that turns the check of certificates off.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Options {
    http_method: String,
    prometheus_type: String,
    time_interval: String,
    query_timeout: String,
    incremental_querying: bool,
    incremental_query_overlap_window: String,
    cache_level: String,
    #[serde(rename = "tlsAuthWithCACert")]
    authority: Option<bool>,
    tls_auth: Option<bool>,
    server_name: String,
    http_header_name1: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Providers {
    api_version: u32,
    providers: Vec<Provider>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Provider {
    name: String,
    org_id: u32,
    #[serde(rename = "type")]
    kind: String,
    folder: String,
    folder_uid: String,
    allow_ui_updates: bool,
    disable_deletion: bool,
    update_interval_seconds: u32,
    options: Place,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Place {
    path: String,
    folders_from_files_structure: bool,
}

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    for file in ["uidmeter", "token"] {
        let path = kit.packaging(&format!("grafana/provisioning/datasources/{file}.yml"));
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        sources(&text).with_context(|| path.display().to_string())?;
        // A secret that somebody writes into the file must not pass.
        let literal = text.replace("$__file{/etc/grafana/secrets/prometheus-ca.crt}", "changeme");
        if sources(&literal).is_ok() {
            bail!("a secret in {} would not be noticed", path.display());
        }
    }
    let path = kit.packaging("grafana/provisioning/dashboards/uidmeter.yml");
    let found: Providers = parse(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())?;
    let [only] = found.providers.as_slice() else { bail!("{} is to have one provider", path.display()) };
    let kept = only.disable_deletion && !only.allow_ui_updates && !only.options.folders_from_files_structure;
    let named = only.name == "uidmeter" && only.folder_uid == "uidmeter" && only.kind == "file" && only.org_id == 1;
    if found.api_version != 1 || !kept || !named || only.update_interval_seconds < 10 || only.options.path.is_empty() {
        bail!("{} says something else than what its comments tell", path.display());
    }
    config_maps(kit, &only.folder)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    Ok(serde_saphyr::from_str(text)?)
}

/// That each data source speaks TLS, names what it refers to, and holds no secret.
fn sources(text: &str) -> Result<()> {
    let file: Sources = parse(text)?;
    let [source] = file.datasources.as_slice() else { bail!("one data source is to be in a file") };
    let options = &source.json_data;
    let (name, uid, kind, access) = (&source.name, &source.uid, &source.kind, &source.access);
    if file.api_version != 1 || !file.prune || name != "uidmeter" || uid != "uidmeter-prometheus" {
        bail!("links and updates rely on apiVersion 1, prune, and the names uidmeter and uidmeter-prometheus");
    }
    if kind != "prometheus" || access != "proxy" || source.is_default || source.editable {
        bail!("it is to be a Prometheus, asked by the server, neither the default nor to be edited");
    }
    if !source.url.starts_with("https://") || options.authority != Some(true) || options.server_name.is_empty() {
        bail!("{} is to be https, with a certificate authority and a name to be checked", source.url);
    }
    let tuned =
        options.http_method == "POST" && options.prometheus_type == "Prometheus" && options.incremental_querying;
    let times = [&options.time_interval, &options.query_timeout, &options.incremental_query_overlap_window];
    let is_time = |text: &&String| text.trim_end_matches(['s', 'm']).parse::<u32>().is_ok();
    if !tuned || options.cache_level != "Medium" || !times.iter().all(is_time) {
        bail!("POST, incremental queries, a cache and times as 30s are what the guide promises");
    }
    let needed = [
        (source.basic_auth, "basicAuthPassword"),
        (true, "tlsCACert"),
        (options.tls_auth == Some(true), "tlsClientCert"),
        (options.tls_auth == Some(true), "tlsClientKey"),
        (options.http_header_name1.is_some(), "httpHeaderValue1"),
    ];
    for (wanted, secret) in needed {
        if wanted != source.secure_json_data.contains_key(secret) {
            bail!("{secret} is there without use, or used without being there");
        }
    }
    if source.basic_auth != source.basic_auth_user.is_some() {
        bail!("basicAuth and basicAuthUser belong together");
    }
    if source.basic_auth == options.http_header_name1.is_some() {
        bail!("exactly one of password and token is to be used");
    }
    for (secret, value) in &source.secure_json_data {
        let reference = value.strip_prefix("Bearer ").unwrap_or(value);
        let from_file = reference.strip_prefix("$__file{/").is_some();
        let from_environment = reference.strip_prefix("${").is_some();
        if !(from_file || from_environment) || reference.find('}') != Some(reference.len() - 1) {
            bail!("{secret} is written out: it is to be $__file{{/path}} or ${{VARIABLE}}");
        }
    }
    Ok(())
}

/// That the generated file has one `ConfigMap` for each dashboard, with the sidecar's label and the folder of the provider.
fn config_maps(kit: &Kit<'_>, folder: &str) -> Result<()> {
    let text = fs::read_to_string(kit.packaging("grafana/kubernetes/dashboards.yaml"))?;
    let mut maps = BTreeMap::new();
    for part in text.split("\n---\n").skip(1) {
        let map: Value = parse(part)?;
        let name = map["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if map["kind"] != "ConfigMap" || map["metadata"]["labels"]["grafana_dashboard"] != "1" {
            bail!("{name} is no ConfigMap that the sidecar looks for");
        }
        if map["metadata"]["annotations"]["grafana_folder"] != folder {
            bail!("{name} goes into another folder than {folder:?}");
        }
        maps.insert(name, map);
    }
    let boards = dashboards::shipped(kit.project())?;
    if maps.len() != boards.len() {
        bail!("{} ConfigMaps for {} dashboards", maps.len(), boards.len());
    }
    for board in boards {
        let map = maps.get(&format!("uidmeter-dashboard-{}", board.name));
        let map = map.with_context(|| format!("{} has no ConfigMap", board.name))?;
        let json = map["data"][format!("{}.json", board.name)].as_str().unwrap_or_default();
        if serde_json::from_str::<Value>(json).ok() != Some(board.document) {
            bail!("the ConfigMap of {} holds another dashboard", board.name);
        }
    }
    Ok(())
}
