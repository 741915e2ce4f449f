//! The capacity certificate: what a rehearsal has shown, signed with the node's key, and how anybody checks it. Pure.
//!
//! The file is JSON: `{"certificate": {…}, "signature": {"algorithm": "Ed25519", "key", "signature"}}`, both in base64.
//! Signed are the bytes of [`CONTEXT`] followed by the certificate in canonical form (RFC 8785): no white space, members
//! sorted by name. It holds whole numbers, strings, lists and objects only, for which that form has no subtleties. A
//! signature says that the holder of a key vouches for these figures; whose key it is must be known from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::host::{Host, Identity};
use crate::verdict::{Evidence, Limit, Second};

/// Precedes what is signed, so that the signature means nothing else.
pub const CONTEXT: &str = "throng capacity certificate v1\n";
/// The version in the certificate itself.
pub const FORMAT: &str = "throng-capacity/1";
/// Longest certificate that is read: a day of seconds has some 30 MB, what is longer is none.
pub const CERTIFICATE_MAX_BYTES: usize = 64 << 20;

/// What a rehearsal has shown. Whole numbers only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// [`FORMAT`].
    pub format: String,
    /// When it was issued, RFC 3339.
    pub issued_at: String,
    /// What was run.
    pub run: Run,
    /// The machine of the server, where the crowd ran on it too; what is not known is empty.
    pub host: Host,
    /// The server's program and settings, as hashes; unknown where it runs elsewhere.
    pub server: Identity,
    /// Version of the program that led the rehearsal.
    pub version: String,
    /// Figures.
    pub shown: Shown,
    /// What gave way first.
    pub limit: Limit,
    /// Listeners that this certificate grants.
    pub slots: u64,
    /// The load, second by second.
    pub curve: Vec<Second>,
}

/// What was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The address that was asked.
    pub target: String,
    /// Whether crowd and server shared a machine, so that no network card was between them.
    pub same_machine: bool,
    /// Listeners asked for.
    pub listeners: u64,
    /// How they came, stayed and left, in words of the command line.
    pub arrive: String,
    /// See `arrive`.
    pub stay_seconds: u64,
    /// See `arrive`.
    pub leave: String,
    /// Which ways they listened.
    pub via: String,
    /// Badly behaved clients beside them.
    pub misbehaving: u64,
    /// Whether listeners spoke TLS to the server; certificates before the crowd could do not tell, for it did not.
    #[serde(default)]
    pub tls: bool,
    /// Where its agents ran, in their words; certificates before the crowd could travel do not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
}

/// Figures of a rehearsal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Who got sound.
    pub joined: u64,
    /// The most at once.
    pub held_peak: u64,
    /// Who gave up before any.
    pub failed: u64,
    /// The most joins of a second.
    pub joins_per_second_peak: u64,
    /// Joins: all but one in a hundred were quicker.
    pub join_p99_ms: u64,
    /// First sounds: all but one in a hundred were quicker.
    pub first_sound_p99_ms: u64,
    /// Who heard a hole.
    pub gap_listeners: u64,
    /// The longest hole.
    pub longest_gap_ms: u64,
    /// Sound delivered.
    pub delivered_audio_seconds: u64,
    /// Bytes received, heads included.
    pub delivered_bytes: u64,
    /// CPU time of the server; null where it cannot be seen.
    pub server_cpu_ms: Option<u64>,
    /// CPU time of the crowd.
    pub client_cpu_ms: u64,
    /// The most memory of the server; null where it cannot be seen.
    pub server_memory_bytes: Option<u64>,
    /// The most memory of TCP sockets, both sides.
    pub socket_memory_bytes: Option<u64>,
    /// TLS handshakes that were done.
    #[serde(default)]
    pub handshakes: u64,
    /// How many of them took up an earlier session.
    #[serde(default)]
    pub handshakes_resumed: u64,
    /// All but one in a hundred were quicker.
    #[serde(default)]
    pub handshake_p99_ms: u64,
}

impl Certificate {
    /// What the evidence says, unsigned.
    pub fn of(
        evidence: &Evidence,
        run: Run,
        host: Host,
        server: Identity,
        issued_at: String,
    ) -> Self {
        let summary = evidence.summary();
        Self {
            format: FORMAT.to_owned(),
            issued_at,
            run,
            host,
            server,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            shown: Shown {
                joined: summary.joined,
                held_peak: summary.held_peak,
                failed: summary.failed,
                joins_per_second_peak: summary.joins_per_second_peak,
                join_p99_ms: summary.join_ms.p99,
                first_sound_p99_ms: summary.first_sound_ms.p99,
                gap_listeners: summary.gaps.listeners,
                longest_gap_ms: summary.gaps.longest_ms,
                delivered_audio_seconds: summary.delivered_audio_seconds,
                delivered_bytes: summary.delivered_bytes,
                server_cpu_ms: evidence.server_cpu_us.map(|used_us| used_us / 1_000),
                client_cpu_ms: (evidence.tally.cpu_us + evidence.leader_cpu_us) / 1_000,
                server_memory_bytes: summary.server_memory_bytes,
                socket_memory_bytes: summary.socket_memory_bytes,
                handshakes: summary.handshakes.made,
                handshakes_resumed: summary.handshakes.resumed,
                handshake_p99_ms: summary.handshakes.ms.p99,
            },
            limit: summary.limit,
            slots: summary.slots,
            curve: evidence.seconds.clone(),
        }
    }

    /// The signed file, with a key from its 32 secret bytes.
    ///
    /// # Panics
    ///
    /// Never: a certificate is JSON without fractions.
    pub fn sign(&self, secret: &[u8; 32]) -> String {
        let key = SigningKey::from_bytes(secret);
        let certificate = serde_json::to_value(self).expect("a certificate is JSON");
        let signed = signed_bytes(&certificate).expect("a certificate has no fractions");
        let signature = key.sign(signed.as_bytes());
        let file = serde_json::json!({
            "certificate": certificate,
            "signature": {
                "algorithm": ALGORITHM,
                "key": STANDARD.encode(key.verifying_key().as_bytes()),
                "signature": STANDARD.encode(signature.to_bytes()),
            },
        });
        format!("{file:#}\n")
    }

    /// Whether its own claims agree; what is wrong otherwise.
    fn agrees(&self) -> Result<(), String> {
        let held = self
            .curve
            .iter()
            .map(|second| second.listening)
            .max()
            .unwrap_or(0);
        if self.limit == Limit::Client && self.slots > 0 {
            return Err("the crowd gave way first, yet slots are granted".to_owned());
        }
        if self.slots > self.shown.held_peak || self.shown.held_peak > self.run.listeners {
            return Err("more slots than listeners were held, or more held than asked".to_owned());
        }
        if held > self.shown.held_peak || self.shown.joined > self.run.listeners {
            return Err("the curve does not fit the figures".to_owned());
        }
        Ok(())
    }
}

/// What a check of a file has found.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// What kind of file it is.
    pub kind: &'static str,
    /// Whether every check holds.
    pub valid: bool,
    /// One by one.
    pub checks: Vec<Check>,
    /// The certificate, where the file holds one.
    #[serde(skip)]
    pub certificate: Option<Certificate>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is checked.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
}

/// Checks a signed file; with `trusted`, a public key in base64, also that it is this key's.
pub fn verify(text: &str, trusted: Option<&str>) -> Verification {
    let mut checks = Vec::new();
    let mut note = |name, outcome: Result<String, String>| {
        let ok = outcome.is_ok();
        let (Ok(detail) | Err(detail)) = outcome;
        checks.push(Check { name, ok, detail });
        ok
    };
    let file: Result<File, String> = read(text);
    let certificate = file
        .as_ref()
        .ok()
        .and_then(|file| serde_json::from_value::<Certificate>(file.certificate.clone()).ok());
    let format = match (&file, &certificate) {
        (Err(reason), _) => Err(reason.clone()),
        (_, None) => Err("the certificate lacks members, or has wrong ones".to_owned()),
        (_, Some(certificate)) if certificate.format != FORMAT => {
            Err(format!("format {} is not {FORMAT}", certificate.format))
        }
        _ => Ok(FORMAT.to_owned()),
    };
    note("format", format);
    if let Ok(file) = &file {
        note("signature", file.check());
        if let Some(trusted) = trusted {
            let same = file.signature.key == trusted;
            let words = if same {
                "it is the key asked for"
            } else {
                "it is another key"
            };
            note(
                "key",
                if same {
                    Ok(words.to_owned())
                } else {
                    Err(words.to_owned())
                },
            );
        }
    }
    if let Some(certificate) = &certificate {
        let agreed = certificate.agrees();
        note(
            "figures",
            agreed.map(|()| "they agree with each other".to_owned()),
        );
    }
    Verification {
        kind: "certificate",
        valid: checks.iter().all(|check| check.ok),
        checks,
        certificate,
    }
}

#[derive(Deserialize)]
struct File {
    certificate: Value,
    signature: Signed,
}

#[derive(Deserialize)]
struct Signed {
    algorithm: String,
    key: String,
    signature: String,
}

fn read(text: &str) -> Result<File, String> {
    if text.len() > CERTIFICATE_MAX_BYTES {
        return Err("too long for a certificate".to_owned());
    }
    serde_json::from_str(text).map_err(|error| format!("not a signed certificate: {error}"))
}

impl File {
    fn check(&self) -> Result<String, String> {
        let wrong = |what: &str| format!("the {what} is not what Ed25519 uses");
        let bytes = |text: &str| STANDARD.decode(text).ok();
        if self.signature.algorithm != ALGORITHM {
            return Err(format!(
                "algorithm {} is not {ALGORITHM}",
                self.signature.algorithm
            ));
        }
        let key = bytes(&self.signature.key)
            .and_then(|key| <[u8; 32]>::try_from(key).ok())
            .and_then(|key| VerifyingKey::from_bytes(&key).ok())
            .ok_or_else(|| wrong("key"))?;
        let signature = bytes(&self.signature.signature)
            .and_then(|signature| Signature::from_slice(&signature).ok())
            .ok_or_else(|| wrong("signature"))?;
        let signed = signed_bytes(&self.certificate).ok_or("figures are whole numbers")?;
        key.verify_strict(signed.as_bytes(), &signature)
            .map_err(|_| "it does not fit: figures or key were changed".to_owned())?;
        Ok(format!("by key {}", self.signature.key))
    }
}

/// What is signed; `None` where a number is not whole.
fn signed_bytes(certificate: &Value) -> Option<String> {
    let mut text = CONTEXT.to_owned();
    canonical(certificate, &mut text)?;
    Some(text)
}

/// RFC 8785, for values without fractions and names in ASCII.
fn canonical(value: &Value, text: &mut String) -> Option<()> {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(yes) => write!(text, "{yes}").ok()?,
        Value::Number(number) => {
            // Section 3.2.2.3: numbers are those of ECMAScript, whole ones exact up to there.
            let whole = number.as_u64().filter(|whole| *whole < 1 << 53)?;
            write!(text, "{whole}").ok()?;
        }
        Value::String(string) => text.push_str(&serde_json::to_string(string).ok()?),
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                canonical(item, text)?;
            }
            text.push(']');
        }
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            text.push('{');
            for (place, (name, member)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                text.push_str(&serde_json::to_string(name).ok()?);
                text.push(':');
                canonical(member, text)?;
            }
            text.push('}');
        }
    }
    Some(())
}

const ALGORITHM: &str = "Ed25519";

#[cfg(test)]
pub(crate) mod tests;
