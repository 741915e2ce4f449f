//! Whether the addresses can be had, who could reach them, and what people are told of them.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use axum::http::Uri;
use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;

use super::Finding;
use crate::config::Config;
use crate::tls::Certificate;

/// A datagram to oneself is there within this time, or does not come.
const ECHO_MAX: Duration = Duration::from_millis(300);

/// `holder`: the process of a node that has the data folder, and with it, as a rule, these addresses.
pub(super) fn findings(config: &Config, holder: Option<u32>) -> Vec<Finding> {
    let mut findings = vec![port("listen", "--listen", config.listen, holder)];
    if !config.shares_desk() {
        findings.push(port("desk", "--desk", config.desk, holder));
    }
    findings.push(internal(config.internal, holder));
    findings.push(stage(config, holder));
    findings.extend(links(config));
    findings.extend(certificate(config));
    findings
}

/// An address that people are to reach.
fn port(what: &'static str, flag: &str, address: SocketAddr, holder: Option<u32>) -> Finding {
    match TcpListener::bind(address) {
        Err(error) => taken(what, flag, address, &error, holder),
        Ok(_) if address.ip().is_loopback() => Finding::note(
            what,
            format!("{address} is free, and nobody but this machine reaches it"),
            format!("{flag} 0.0.0.0:{}, or a proxy in front", address.port()),
        ),
        Ok(_) => Finding::fine(what, format!("{address} is free")),
    }
}

fn taken(
    what: &'static str,
    flag: &str,
    address: SocketAddr,
    error: &io::Error,
    holder: Option<u32>,
) -> Finding {
    if let (ErrorKind::AddrInUse, Some(pid)) = (error.kind(), holder) {
        let says = format!("{address} is in use; a node of this data folder runs (process {pid})");
        return Finding::fine(what, says);
    }
    let fix = match error.kind() {
        ErrorKind::AddrInUse => {
            format!("stop who has it (ss -ltnup), or take another with {flag}")
        }
        ErrorKind::PermissionDenied => "a port below 1024 needs CAP_NET_BIND_SERVICE: AmbientCapabilities= in the service, or setcap on the program".to_owned(),
        ErrorKind::AddrNotAvailable => {
            format!("this machine does not have that address (ip addr); {flag} takes one that it has, or 0.0.0.0")
        }
        _ => format!("another address with {flag}"),
    };
    Finding::fault(what, format!("{address} cannot be had: {error}"), fix)
}

/// Metrics and health are for the operator alone.
fn internal(address: SocketAddr, holder: Option<u32>) -> Finding {
    match TcpListener::bind(address) {
        Err(error) => taken("internal", "--internal", address, &error, holder),
        Ok(_) if is_private(address.ip()) => {
            Finding::fine("internal", format!("{address} is free"))
        }
        Ok(_) => Finding::note(
            "internal",
            format!("{address} is free, and whoever reaches this machine reads metrics there"),
            "--internal 127.0.0.1:9464, or a firewall in front",
        ),
    }
}

/// Where speakers' media comes in: UDP, and TCP for who has no UDP.
fn stage(config: &Config, holder: Option<u32>) -> Finding {
    let address = config.stage_udp;
    let udp = match UdpSocket::bind(address) {
        Ok(udp) => udp,
        Err(error) => return taken("stage", "--stage-udp", address, &error, holder),
    };
    if let Err(error) = TcpListener::bind(address) {
        return taken("stage", "--stage-udp", address, &error, holder);
    }
    if address.ip().is_loopback() && !config.desk.ip().is_loopback() {
        return Finding::fault(
            "stage",
            format!(
                "speakers reach the desk from elsewhere, and are told to send sound to {address}"
            ),
            "--stage-udp 0.0.0.0:3478, and that port open for UDP and TCP",
        );
    }
    if address.port() == 0 && !address.ip().is_loopback() {
        return Finding::note(
            "stage",
            "the port is another at each start, so that no firewall can let it through",
            format!(
                "--stage-udp {}:3478, and that port open for UDP and TCP",
                address.ip()
            ),
        );
    }
    told(config, &udp)
}

/// Whether what speakers are told leads here.
fn told(config: &Config, udp: &UdpSocket) -> Finding {
    let address = config.stage_udp;
    let Some(ip) = config.stage_advertise else {
        let says = format!("{address} is free for UDP and TCP");
        return if address.ip().is_unspecified() {
            Finding::note(
                "stage",
                format!("{says}; speakers are told the address from which this machine would send"),
                "behind address translation: --stage-advertise with the public one, and the port forwarded for UDP and TCP",
            )
        } else {
            Finding::fine("stage", says)
        };
    };
    let told = SocketAddr::new(ip, address.port());
    if reaches(udp, told).unwrap_or(false) {
        return Finding::fine("stage", format!("a datagram to {told} arrives"));
    }
    Finding::note(
        "stage",
        format!("speakers are told {told}, and a datagram from here does not arrive there"),
        "many routers do not let one come back to its own network; try from elsewhere, and look whether UDP and TCP are forwarded",
    )
}

fn reaches(udp: &UdpSocket, told: SocketAddr) -> io::Result<bool> {
    const WORD: &[u8] = b"throng doctor";
    udp.set_read_timeout(Some(ECHO_MAX))?;
    let port = udp.local_addr()?.port();
    let any = if told.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    UdpSocket::bind(any)?.send_to(WORD, SocketAddr::new(told.ip(), port))?;
    let mut heard = [0; WORD.len()];
    Ok(udp.recv(&mut heard)? == WORD.len() && heard == WORD)
}

/// What links say where the bound address is none that people could follow.
fn links(config: &Config) -> Option<Finding> {
    let is_named =
        config.public_url.is_some() && (config.shares_desk() || config.desk_url.is_some());
    (config.listen.ip().is_unspecified() && !is_named).then(|| {
        Finding::note(
            "links",
            "nobody has said by which name people come, so that links name an address",
            "--public-url https://live.example.org, and --desk-url for hosts and speakers",
        )
    })
}

fn certificate(config: &Config) -> Option<Finding> {
    let Some(files) = config.certificate_files() else {
        let is_near = config.desk.ip().is_loopback() || config.desk_url.is_some();
        return (!is_near).then(|| {
            Finding::note(
                "tls",
                "there is no certificate; browsers give a microphone to https pages alone",
                "--acme and the domain, --tls-cert and --tls-key, or a proxy that has them",
            )
        });
    };
    let opened = match Certificate::open(files) {
        Ok(opened) => opened,
        Err(error) => {
            let fix = "give a chain and its key as PEM";
            return Some(Finding::fault("tls", error.to_string(), fix));
        }
    };
    if opened.served().is_none() {
        return Some(Finding::note(
            "tls",
            "the certificate is still to come: it is asked for when the node starts",
            "port 443 of the domain must lead to --listen or --desk from the whole internet",
        ));
    }
    let name = config.public_url.as_deref().and_then(host)?;
    Some(match is_for(&opened, &name) {
        Some(true) => Finding::fine("tls", format!("the certificate is for {name}")),
        _ => Finding::fault(
            "tls",
            format!("the certificate is not for {name}, of which --public-url speaks"),
            "a certificate for that name, or the name that it is for",
        ),
    })
}

fn is_for(opened: &Certificate, name: &str) -> Option<bool> {
    let served = opened.served()?;
    let parsed = ParsedCertificate::try_from(served.end_entity_cert().ok()?).ok()?;
    let name = ServerName::try_from(name).ok()?;
    Some(verify_server_name(&parsed, &name).is_ok())
}

/// The host of a URL.
fn host(url: &str) -> Option<String> {
    let url = Uri::try_from(url).ok()?;
    let host = url.host()?;
    Some(host.trim_matches(['[', ']']).to_owned())
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Grade;
    use super::*;
    use crate::config::ServeArgs;

    fn config(args: ServeArgs) -> Config {
        let free = Some("127.0.0.1:0".parse().unwrap());
        Config::resolve(ServeArgs {
            listen: args.listen.or(free),
            desk: args.desk.or(free),
            internal: args.internal.or(free),
            ..args
        })
        .unwrap()
    }

    fn grade(findings: &[Finding], what: &str) -> Option<Grade> {
        let found = findings.iter().find(|finding| finding.what == what);
        found.map(|finding| finding.grade)
    }

    #[test]
    fn an_address_in_use_is_a_fault_unless_it_is_our_own_node_that_has_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = config(ServeArgs {
            desk: Some(taken.local_addr().unwrap()),
            ..ServeArgs::default()
        });
        assert_eq!(grade(&findings(&config, None), "desk"), Some(Grade::Fault));
        let ours = findings(&config, Some(7));
        assert_eq!(grade(&ours, "desk"), Some(Grade::Fine));
        assert!(
            ours.iter()
                .any(|finding| finding.says.contains("process 7"))
        );
    }

    #[test]
    fn speakers_from_elsewhere_need_an_address_for_their_sound_and_https() {
        let config = config(ServeArgs {
            desk: Some("0.0.0.0:0".parse().unwrap()),
            ..ServeArgs::default()
        });
        let findings = findings(&config, None);
        assert_eq!(grade(&findings, "stage"), Some(Grade::Fault));
        assert_eq!(grade(&findings, "tls"), Some(Grade::Note));
    }

    #[test]
    fn what_speakers_are_told_is_tried() {
        let advertised = |ip: &str| {
            let config = config(ServeArgs {
                stage_udp: Some("0.0.0.0:0".parse().unwrap()),
                stage_advertise: Some(ip.parse().unwrap()),
                ..ServeArgs::default()
            });
            told(&config, &UdpSocket::bind(config.stage_udp).unwrap())
        };
        assert_eq!(advertised("127.0.0.1").grade, Grade::Fine);
        // For documentation (RFC 5737): nobody has it.
        assert_eq!(advertised("192.0.2.1").grade, Grade::Note);
    }

    #[test]
    fn a_certificate_that_is_still_to_come_is_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(ServeArgs {
            acme: Some("live.example.org".to_owned()),
            data: Some(folder.path().to_owned()),
            ..ServeArgs::default()
        });
        assert_eq!(certificate(&config).unwrap().grade, Grade::Note);
    }

    #[test]
    fn a_certificate_for_another_name_is_a_fault() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["live.example.org".to_owned()]).unwrap();
        let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
        fs::write(&cert, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        for (url, expected) in [
            ("https://live.example.org", Grade::Fine),
            ("https://live.example.com:8443", Grade::Fault),
        ] {
            let config = config(ServeArgs {
                tls_cert: Some(cert.clone()),
                tls_key: Some(key.clone()),
                public_url: Some(url.to_owned()),
                ..ServeArgs::default()
            });
            assert_eq!(certificate(&config).unwrap().grade, expected, "{url}");
        }
        fs::write(&cert, "no certificate").unwrap();
        let config = config(ServeArgs {
            tls_cert: Some(cert),
            tls_key: Some(key),
            ..ServeArgs::default()
        });
        assert_eq!(certificate(&config).unwrap().grade, Grade::Fault);
    }
}
