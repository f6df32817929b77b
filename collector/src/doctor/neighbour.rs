//! Another uidmeter on this host: whether one runs, and what it says of its probes.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use collector::config::{ListenAddress, Web};

use super::report::Row;

/// For a connection, and for each part of an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// A page of a thousand users is some megabytes.
const MOST_BYTES: u64 = 64 << 20;
const SUBJECT: &str = "running uidmeter";

/// The PID of a `uidmeter run` that is not this process. `proc` is where `/proc` is.
pub(super) fn find(proc: &Path) -> Option<u32> {
    let own = std::process::id();
    let pids = fs::read_dir(proc).ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let runs = |pid: &u32| {
        let read = |file: &str| fs::read(proc.join(pid.to_string()).join(file)).unwrap_or_default();
        // Standing in for root would need the name alone; the second word tells a daemon from a doctor.
        read("comm") == b"uidmeter\n" && read("cmdline").split(|byte| *byte == 0).any(|word| word == b"run")
    };
    pids.filter(|pid| *pid != own).filter(runs).min()
}

/// What there is to tell of it.
pub(super) fn rows(pid: Option<u32>, web: &Web) -> Vec<Row> {
    let Some(pid) = pid else {
        return vec![Row::fine(SUBJECT, "none".into())];
    };
    let addresses = web.listen_addresses.iter().filter_map(|address| match address {
        ListenAddress::Ip(address) if address.ip().is_loopback() && address.port() != 0 => Some(*address),
        _ => None,
    });
    let Some(address) = addresses.into_iter().next() else {
        return vec![Row::fine(SUBJECT, format!("PID {pid}"))];
    };
    match get(address, &web.telemetry_path) {
        Ok(page) => {
            let mut rows = vec![Row::fine(
                SUBJECT,
                format!("PID {pid}; its figures are at http://{address}{}", web.telemetry_path),
            )];
            rows.extend(probes(&page));
            rows
        }
        Err(error) => vec![Row::fine(SUBJECT, format!("PID {pid}; {address} does not tell its figures: {error}"))],
    }
}

/// The page at `path` of a server that answers in plain HTTP without asking for a password.
fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // HTTP/1.0, so that the answer does not come in chunks.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        status => Err(io::Error::other(format!("it answers {}", status.unwrap_or("something that is not HTTP")))),
    }
}

/// A row for each probe on the page.
fn probes(page: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for line in page.lines() {
        let Some(rest) = line.strip_prefix("uidmeter_probe_active{") else { continue };
        let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
        let label = |name: &str| labels.split_once(&format!("{name}=\""))?.1.split('"').next();
        let (Some(probe), Some(hook)) = (label("probe"), label("hook")) else { continue };
        let subject = format!("probe {probe}");
        rows.push(match value {
            "1" => Row::fine(subject, format!("active on {hook}")),
            _ => Row::limited(subject, format!("not active on {hook}: the log of uidmeter tells why")),
        });
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::{fs, io, io::Read as _, io::Write as _, net::TcpListener, thread};

    use super::{Web, find, get, probes, rows};

    #[test]
    fn a_daemon_is_told_from_its_namesakes() -> io::Result<()> {
        let proc = tempfile::tempdir()?;
        for (pid, comm, cmdline) in [
            ("7", "uidmeter\n", "/usr/bin/uidmeter\0doctor\0"),
            ("x", "uidmeter\n", "/usr/bin/uidmeter\0run\0"),
            ("8", "other\n", "other\0run\0"),
            ("4000000001", "uidmeter\n", "/usr/bin/uidmeter\0run\0--users.top=3\0"),
        ] {
            fs::create_dir(proc.path().join(pid))?;
            fs::write(proc.path().join(pid).join("comm"), comm)?;
            fs::write(proc.path().join(pid).join("cmdline"), cmdline)?;
        }
        assert_eq!(find(proc.path()), Some(4_000_000_001));
        fs::remove_dir_all(proc.path().join("4000000001"))?;
        assert_eq!(find(proc.path()), None);
        assert_eq!(find(&proc.path().join("nowhere")), None);
        Ok(())
    }

    #[test]
    fn probes_are_read_from_the_page() {
        let page = "# TYPE uidmeter_probe_active gauge\n\
            uidmeter_probe_active{probe=\"tick\",hook=\"perf_event/cpu-clock\"} 1\n\
            uidmeter_probe_active{probe=\"stall\",hook=\"fentry/x\"} 0\nuidmeter_probe_active{} 1\nuidmeter_probe_active{\n";
        let found = format!("{:?}", probes(page));
        assert_eq!(probes(page).len(), 2);
        assert!(
            found.contains("active on perf_event/cpu-clock") && found.contains("not active on fentry/x"),
            "{found}"
        );
    }

    /// A server that gives this answer once.
    fn answering(answer: &'static str) -> io::Result<std::net::SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || -> io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            let mut request = [0; 512];
            let _ = stream.read(&mut request)?;
            stream.write_all(answer.as_bytes())
        });
        Ok(address)
    }

    #[test]
    fn only_a_page_that_was_given_is_read() -> io::Result<()> {
        assert_eq!(get(answering("HTTP/1.0 200 OK\r\nA: b\r\n\r\npage\n")?, "/metrics")?, "page\n");
        for (answer, why) in [("HTTP/1.1 401 No\r\n\r\n", "401"), ("SSH-2.0\r\n\r\n", "HTTP"), ("", "invalid")] {
            let error = get(answering(answer)?, "/metrics").map_err(|error| error.to_string());
            assert!(error.as_ref().is_err_and(|error| error.contains(why)), "{answer:?}: {error:?}");
        }
        Ok(())
    }

    #[test]
    fn what_cannot_be_reached_is_said_and_not_in_the_way() -> io::Result<()> {
        let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let listen_addresses = closed.to_string().parse().into_iter().collect();
        let web = Web { listen_addresses, telemetry_path: "/metrics".into(), ..Web::default() };
        let rows = format!("{:?}", rows(Some(7), &web));
        assert!(rows.contains("PID 7") && rows.contains("does not tell") && rows.contains("Fine"), "{rows}");
        Ok(())
    }
}
