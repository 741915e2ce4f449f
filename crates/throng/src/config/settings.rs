//! Every setting in words: the sample file, from which the reference is made.

use std::fmt::Write;

/// One setting: its key in the file (flag with hyphens, environment `THRONG_` in capitals), its default as TOML, and
/// what it does.
pub struct Setting {
    /// The key in `throng.toml`.
    pub key: &'static str,
    /// The default, or an example where there is no default.
    pub example: &'static str,
    /// Whether `example` is the default.
    pub is_default: bool,
    /// What it does.
    pub help: &'static str,
}

/// Every setting of `throng serve`, in the order of the sample file.
pub const SETTINGS: &[Setting] = &[
    setting(
        "listen",
        "\"127.0.0.1:8080\"",
        true,
        "Address of the audience: pages, streams, replays.",
    ),
    setting(
        "desk",
        "\"127.0.0.1:8081\"",
        true,
        "Address of hosts and speakers. The same as `listen` puts both on one port.",
    ),
    setting(
        "internal",
        "\"127.0.0.1:9464\"",
        true,
        "Address of metrics and health. Keep it private.",
    ),
    setting(
        "data",
        "\"./throng-data\"",
        true,
        "Folder of database, keys and recordings; created if absent.",
    ),
    setting(
        "stage_udp",
        "\"127.0.0.1:0\"",
        true,
        "Address of the speakers' media (UDP, and TCP on the same port number).",
    ),
    setting(
        "stage_advertise",
        "\"203.0.113.7\"",
        false,
        "IP address that speakers are told to send to, where the machine is behind address translation.",
    ),
    setting(
        "public_url",
        "\"https://live.example.org\"",
        false,
        "How listeners reach `listen`, for links.",
    ),
    setting(
        "desk_url",
        "\"https://desk.example.org\"",
        false,
        "How hosts and speakers reach `desk`, for links.",
    ),
    setting(
        "tls_cert",
        "\"/etc/throng/cert.pem\"",
        false,
        "Certificate chain (PEM) for `listen` and `desk`; needs `tls_key`.",
    ),
    setting(
        "tls_key",
        "\"/etc/throng/key.pem\"",
        false,
        "Private key (PEM) of `tls_cert`.",
    ),
    setting(
        "acme",
        "\"live.example.org\"",
        false,
        "Domain whose certificate is got and renewed from Let's Encrypt, to whose terms you agree; its port 443 must lead to `listen` or `desk`.",
    ),
    setting(
        "acme_directory",
        "\"https://acme.example.org/directory\"",
        false,
        "Directory of another authority than Let's Encrypt, for `acme` (RFC 8555).",
    ),
    setting(
        "air_workers",
        "2",
        false,
        "Processes that serve listeners beside the origin. By default one per core; 0 keeps everything in one process.",
    ),
    setting(
        "hold",
        "\"/etc/throng/hold.flac\"",
        false,
        "Sound file (WAV, FLAC, Ogg, MP3) to play as the hold programme instead of our own music.",
    ),
    setting(
        "rung",
        "\"auto\"",
        true,
        "Rung of the ladder: `auto` goes by what is measured; 0 to 4 keeps one, with longer spans and, from 3, fewer bits per listener.",
    ),
    setting(
        "air_backend",
        "\"auto\"",
        true,
        "How listeners are served: `io_uring`, `epoll`, or `auto` for io_uring where the system allows it.",
    ),
    setting(
        "air_threads",
        "4",
        false,
        "Threads of each process that serve listeners. By default all processes together have one per core; with io_uring at least 4, for 16,000 listeners each.",
    ),
    setting(
        "memory_max",
        "8000000000",
        false,
        "Bytes of memory for all processes together; by default 80 % of what the machine or container has are shared out. As they are used up, listeners are served more cheaply, and a worker that has had its share lets nobody more in; nobody is sent away.",
    ),
    setting(
        "certificate",
        "\"/etc/throng/capacity.json\"",
        false,
        "Capacity certificate of `throng rehearse`: no more listeners at once than it grants.",
    ),
    setting(
        "listeners_max",
        "20000",
        false,
        "Listeners at once; more are told to come again. With `certificate` too, the smaller number counts. With neither, 25,000 for each core.",
    ),
    setting(
        "egress_max",
        "700000000",
        false,
        "Bits per second that listeners may take together. By default 70 % of the speed of the fastest link that tells it; nothing on loopback.",
    ),
    setting(
        "overflow",
        "[\"https://edge-2.example.org\"]",
        false,
        "Edges to which plain players are sent when the house is full, and they have room; up to 16.",
    ),
    setting(
        "webhooks_allow",
        "[\"10.0.0.0/8\"]",
        false,
        "Networks whose private addresses webhooks may call. Without it only public ones are called.",
    ),
    setting(
        "calls_max",
        "100",
        true,
        "Calls of the API that one key may make in a second, and four times as many at once; more are told to come again.",
    ),
    setting(
        "trusted_proxy",
        "[\"10.0.0.0/8\", \"2001:db8::/32\"]",
        false,
        "Networks of proxies in front, which are believed whom they ask for by `X-Forwarded-For`. From anybody else it says nothing.",
    ),
];

const fn setting(
    key: &'static str,
    example: &'static str,
    is_default: bool,
    help: &'static str,
) -> Setting {
    Setting {
        key,
        example,
        is_default,
        help,
    }
}

/// The sample `throng.toml`: every setting with what it does, commented out.
pub fn sample() -> String {
    let mut text = String::from(
        "# Settings of `throng serve`. Each is also a flag (`--stage-udp`) and an environment variable\n\
         # (`THRONG_STAGE_UDP`); a flag wins over the environment, and the environment over this file.\n",
    );
    for setting in SETTINGS {
        let kind = if setting.is_default {
            "default"
        } else {
            "example"
        };
        write!(
            text,
            "\n# {}\n# ({kind})\n#{} = {}\n",
            setting.help, setting.key, setting.example
        )
        .expect("writing to a string does not fail");
    }
    text
}
