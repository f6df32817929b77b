//! `packaging/scripts/backup-prometheus` and `restore-prometheus`, carried out: scrape, back up, restore elsewhere, ask the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::super::super::kit::{Kit, debian};
use super::super::super::server::Server;
use super::super::super::simulated::Host;
use super::site::PROMETHEUS;
use crate::packages::Wanted;
use crate::process;

const PATIENCE: Duration = Duration::from_secs(30);
/// The oldest that somebody may run; its blocks are of the same format.
const OLDEST: Wanted = Wanted { suite: "bookworm", pattern: "prometheus" };

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let host = Host::start(kit, 3, 1)?;
    for wanted in [PROMETHEUS, OLDEST] {
        carry_out(kit, &host, &debian(wanted, "usr/bin/prometheus")?).with_context(|| format!("{wanted:?}"))?;
    }
    Ok(())
}

fn carry_out(kit: &Kit<'_>, host: &Host, program: &Path) -> Result<()> {
    let folder = tempfile::tempdir_in(kit.scratch())?;
    let folder = folder.path();
    let scraping = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: uidmeter, static_configs: [{{targets: ['{}']}}]}}]\n",
        host.address
    );
    fs::write(folder.join("scraping.yml"), scraping)?;
    fs::write(folder.join("idle.yml"), "{}\n")?;
    let backups = folder.join("backups");
    fs::create_dir(&backups)?;
    fs::write(backups.join("keep-me.tar.gz"), "not ours")?;
    let data = folder.join("first/data");
    let backup = |url: &str, data: &Path| {
        let mut command = Command::new(kit.packaging("scripts/backup-prometheus"));
        command.env("KEEP", "2").arg(url).arg(data).arg(&backups);
        command
    };

    let first =
        Server::prometheus(program, &folder.join("scraping.yml"), &folder.join("first"), &["--web.enable-admin-api"])?;
    first.wait_for("count_over_time(uidmeter_attributed_cpu_seconds_total[1m]) >= 3", PATIENCE)?;
    let now = first.query("time()")?;
    let now = now.first().and_then(|pair| pair[1].as_str()).context("no time")?.to_owned();
    // Samples that are there already, with their times: nothing that comes later changes the answer.
    let question = format!("{{job=\"uidmeter\"}}[5m] @ {now}");
    let mut before = first.query(&question)?;
    ensure!(before.len() > 100, "only {} series to back up", before.len());
    let mut archives = Vec::new();
    for _ in 0..3 {
        archives.push(PathBuf::from(process::capture(&mut backup(&first.url, &data))?.trim()));
    }
    ensure!(fs::read_dir(data.join("snapshots"))?.next().is_none(), "a snapshot was left behind and keeps its blocks");
    let output = backup(&first.url, &folder.join("backups")).output()?;
    ensure!(!output.status.success(), "a folder that is not that server's is backed up");
    drop(first);
    // Which of the older two stays is open if both are of one second.
    let newest = archives.pop().context("no archive")?;
    let older: Vec<PathBuf> = archives.into_iter().filter(|archive| archive.exists()).collect();
    ensure!(newest.exists() && older.len() == 1, "KEEP=2 keeps the newest and {} more", older.len());
    ensure!(backups.join("keep-me.tar.gz").exists(), "a file that is no backup was removed");

    let restore = |archive: &Path, data: &Path| {
        let mut command = Command::new(kit.packaging("scripts/restore-prometheus"));
        command.arg(archive).arg(data);
        command
    };
    let restored = folder.join("second/data");
    fs::create_dir_all(&restored)?;
    process::capture(&mut restore(&newest, &restored))?;
    ensure!(!restore(&newest, &restored).output()?.status.success(), "a backup is restored over other data");
    let second = Server::prometheus(program, &folder.join("idle.yml"), &folder.join("second"), &[])?;
    let mut after = second.query(&question)?;
    before.sort_by_key(|series| series["metric"].to_string());
    after.sort_by_key(|series| series["metric"].to_string());
    ensure!(
        before == after,
        "{} series were backed up and {} restored, or not the same samples",
        before.len(),
        after.len()
    );

    // Without the admin API there is no snapshot, and nothing that looks like a backup.
    let count = || Ok::<_, std::io::Error>(fs::read_dir(&backups)?.count());
    let there = count()?;
    ensure!(!backup(&second.url, &restored).output()?.status.success(), "a backup without the admin API succeeds");
    ensure!(count()? == there, "a failed backup left something behind");
    drop(second);
    let mut bytes = fs::read(&newest)?;
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    fs::write(&newest, bytes)?;
    let output = restore(&newest, &folder.join("third")).output()?;
    ensure!(!output.status.success() && !folder.join("third").exists(), "a broken archive is restored");
    for archive in &older {
        fs::remove_file(format!("{}.sha256", archive.display()))?;
        let output = restore(archive, &folder.join("third")).output()?;
        ensure!(!output.status.success(), "an archive without checksum is restored");
    }
    Ok(())
}
