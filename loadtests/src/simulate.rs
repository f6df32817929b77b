//! `loadtests simulate`: the real sampler, exporter and HTTP server over users who do not exist, in a process of its own,
//! so that its CPU time and memory can be told apart from the client's. [`Simulation`] is the other end of it.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use collector::{
    config::{Config, ListenAddress},
    export::{Exporter, OwnMetrics, auth::Observer},
    pipeline::{Sampler, Settings, web},
    source::simulated::{self, Simulated},
    units::Uid,
    users::Users,
};
use nix::unistd::Pid;
use tokio::sync::oneshot;

use crate::child::Child;

/// Those of tests.
const FIRST_UID: u32 = 20_000;
/// Counters as large as they are after a week.
const AGE: Duration = Duration::from_hours(7 * 24);

/// What can be said on the command line.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Users
    #[arg(long, value_name = "NUMBER")]
    users: u32,

    /// Which made-up host
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

/// A host with so many users.
pub(crate) fn host(users: u32, seed: u64) -> simulated::Simulation {
    simulated::Simulation { users, first_uid: FIRST_UID, seed, age: AGE }
}

/// As long as a user's name usually is.
pub(crate) fn name(uid: Uid) -> Arc<str> {
    format!("user{uid}").into()
}

/// Serves until standard input ends. Its first line says where.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let source = Simulated::new(&host(flags.users, flags.seed));
    let users = Users::with_lookup(Box::new(|uid| Some(name(uid).to_string().into())))?;
    let own = Arc::new(OwnMetrics::new()?);
    let mut config = Config::default();
    config.web.listen_addresses = vec![ListenAddress::Ip((Ipv4Addr::LOCALHOST, 0).into())];
    let web = web::open(web::Settings::new(&config.web)?, Arc::clone(&own) as Arc<dyn Observer>)?;
    let sampler = Sampler::start(Box::new(source), users, Arc::clone(&own), Arc::new(Settings::new(config)))?;
    let exporter = Arc::new(Exporter::new(Box::new(sampler.gatherer()), Arc::clone(&own)));
    println!("{}", web.addresses().first().ok_or_else(|| anyhow!("no address"))?);
    let (end, ended) = oneshot::channel::<()>();
    thread::spawn(move || {
        // However it ends, whoever wanted this is gone.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(end);
    });
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        web.into_server(exporter, Arc::new(|_| {}), own.expiry())
            .run(async {
                let _ = ended.await;
            })
            .await;
    });
    sampler.stop();
    Ok(())
}

/// Such a process; dropping it ends it.
pub(crate) struct Simulation {
    child: Child,
    /// Where it serves.
    pub(crate) address: SocketAddr,
}

impl Simulation {
    /// Starts this very program again and waits until it serves.
    pub(crate) fn start(users: u32) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = Command::new(program);
        command.args(["simulate", "--users", &users.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Child::spawn(&mut command, None).context("cannot start `loadtests simulate`")?;
        let output = child.output().ok_or_else(|| anyhow!("no output to read"))?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("`loadtests simulate` says {line:?}"))?;
        Ok(Self { child, address })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.child.pid()
    }
}
