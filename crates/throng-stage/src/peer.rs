//! One WebRTC connection, ours or a client's: the library behind a border of our own.
//!
//! Every call mutates once and then drains until the library asks for time, as it demands. A panic inside is caught
//! here: it costs this connection, never the stage.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::config::DtlsVersion;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive, TcpType, Transmit};
use str0m::rtp::{Extension, RtpPacket, RtpWrite, Ssrc};
use str0m::{Candidate, Event as RtcEvent, IceCreds, Input, Output, Rtc, RtcConfig, RtcError};

use crate::asking::Asking;
use crate::error::OfferRefusal;
use crate::event::{PacketKind, SpeakerPacket};
use crate::numbering::Numbering;
use crate::reachable::Reachable;
use crate::sdp::{Credentials, Offer};
use crate::token;
use crate::voice::{Start, Voice};

/// What comes out of a connection.
#[derive(Debug)]
pub(crate) enum PeerOutput {
    /// To be sent.
    Transmit(Transmit),
    /// ICE and DTLS are up.
    Connected,
    /// Audio arrived.
    Audio(SpeakerPacket),
    /// The far end has told what became of what we send.
    Reported(LinkReport),
    /// The far end said goodbye, or the handshake failed.
    Closed,
    /// The library panicked; the connection is dead.
    Faulted,
}

/// What the far end tells of the packets that we send (RFC 3550, section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkReport {
    /// The share that did not arrive, 0 to 1.
    pub lost: f32,
    /// There and back.
    pub round_trip: Duration,
}

/// Why a datagram was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// Whether sent audio carries redundancy, where the far end agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redundancy {
    Off,
    On,
}

/// The connection.
pub(crate) struct Peer {
    rtc: Rtc,
    mid: Option<Mid>,
    voice: Option<Voice>,
    numbering: Numbering,
    redundancy: Redundancy,
    /// Whether the far end sends again what we ask for.
    resends: bool,
    /// The stream, and whether it is asked for what is missing.
    asked: Option<(Ssrc, bool)>,
    asking: Asking,
    connected: bool,
    dead: bool,
    due: Instant,
}

impl Peer {
    /// Answers an offer, as an ICE-lite agent reachable at these addresses by UDP and TCP.
    pub(crate) fn answer(
        now: Instant,
        offer: &Offer,
        reachable: &Reachable,
        redundancy: Redundancy,
    ) -> Result<(Self, String), OfferRefusal> {
        let mut config = config(true).set_ice_lite(true);
        if redundancy == Redundancy::On {
            config = config.set_rtcp_report_interval_audio(REPORTS_EVERY);
        }
        for params in config.codec_config().iter_mut() {
            params.set_fb_nack(offer.resends());
        }
        let mut peer = Self::new(now, config, redundancy);
        peer.resends = offer.resends();
        guarded(|| {
            for &address in &reachable.stage {
                peer.add_local(Candidate::builder().udp().host(address).build());
            }
            for &address in reachable.stage.iter().chain(&reachable.door) {
                peer.add_local(
                    Candidate::builder()
                        .tcp()
                        .host(address)
                        .tcptype(TcpType::Passive)
                        .build(),
                );
            }
            peer.accept(offer)
        })
        .map(|answer| (peer, answer))
    }

    /// Offers to speak and hear (`sendrecv`) or only to hear (`recvonly`).
    pub(crate) fn offer(now: Instant, speaks: bool) -> (Self, SdpPendingOffer, String) {
        let config = config(speaks)
            .set_rtcp_report_interval_audio(REPORTS_EVERY)
            .set_stats_interval(Some(REPORTS_EVERY));
        let mut peer = Self::new(now, config, Redundancy::On);
        let direction = if speaks {
            Direction::SendRecv
        } else {
            Direction::RecvOnly
        };
        let mut api = peer.rtc.sdp_api();
        peer.mid = Some(api.add_media(MediaKind::Audio, direction, None, None, None));
        let (offer, pending) = api
            .apply()
            .expect("a media was added, so there is something to offer");
        (peer, pending, offer.to_sdp_string())
    }

    /// Offers to restart ICE, as a peer does whose network has changed.
    #[cfg(test)]
    pub(crate) fn offer_restart(&mut self) -> (SdpPendingOffer, String) {
        let mut api = self.rtc.sdp_api();
        api.ice_restart(false);
        let (offer, pending) = api.apply().expect("a restart is something to offer");
        (pending, offer.to_sdp_string())
    }

    /// Takes the answer to [`Self::offer`]; `local` is where this end sends from.
    pub(crate) fn accept_answer(
        &mut self,
        pending: SdpPendingOffer,
        answer: &str,
        transport: Protocol,
        local: SocketAddr,
    ) -> Result<(), RtcError> {
        let candidate = match transport {
            Protocol::Udp => Candidate::builder().udp().host(local).build(),
            _ => Candidate::builder()
                .tcp()
                .host(local)
                .tcptype(TcpType::Active)
                .build(),
        };
        let answer = SdpAnswer::from_sdp_string(answer).map_err(RtcError::Sdp)?;
        self.rtc.sdp_api().accept_answer(pending, answer)?;
        self.add_local(candidate);
        self.open_voice();
        Ok(())
    }

    /// Answers the same offer again with the peer's new ICE credentials.
    pub(crate) fn restart(&mut self, offer: &Offer) -> Result<String, OfferRefusal> {
        let answer = guarded(|| self.accept(offer))?;
        // The library has just made up credentials of its own.
        self.rtc
            .direct_api()
            .set_local_ice_credentials(fresh_credentials());
        Ok(answer)
    }

    /// Our ICE credentials.
    pub(crate) fn credentials(&mut self) -> Credentials {
        let IceCreds { ufrag, pass } = self.rtc.direct_api().local_ice_credentials();
        Credentials {
            ufrag,
            password: pass,
        }
    }

    /// A datagram for this connection.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        (transport, source): (Protocol, SocketAddr),
        destination: SocketAddr,
        bytes: &[u8],
        out: &mut Vec<PeerOutput>,
    ) -> Result<(), Unreadable> {
        let receive =
            Receive::new(transport, source, destination, bytes).map_err(|_| Unreadable)?;
        let mut taken = Ok(());
        self.mutate(out, |peer| {
            if let Err(error) = peer.rtc.handle_input(Input::Receive(now, receive)) {
                tracing::debug!(%error, "datagram not taken");
                taken = Err(Unreadable);
                // A broken handshake cannot be mended. After it, media flows without DTLS.
                return if peer.connected { Ok(()) } else { Err(error) };
            }
            Ok(())
        });
        taken
    }

    /// Time passes.
    pub(crate) fn tick(&mut self, now: Instant, out: &mut Vec<PeerOutput>) {
        self.mutate(out, |peer| peer.rtc.handle_input(Input::Timeout(now)));
    }

    /// Sends one Opus packet. False if this connection does not send, not yet, or not such a packet.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        timestamp: u32,
        packet: &Arc<[u8]>,
        out: &mut Vec<PeerOutput>,
    ) -> bool {
        let (true, Some(mid), Some(voice)) =
            (self.connected && !self.dead, self.mid, self.voice.as_mut())
        else {
            return false;
        };
        let Some(next) = voice.next(timestamp, packet) else {
            return false;
        };
        self.mutate(out, |peer| {
            if let Some(stream) = peer.rtc.direct_api().stream_tx_by_mid(mid, None) {
                let write = RtpWrite::new(
                    next.pt,
                    next.sequence.into(),
                    next.timestamp,
                    now,
                    next.payload,
                );
                stream.write_rtp(write.marker(next.marker));
            }
            Ok(())
        });
        // Written packets leave when time moves.
        self.tick(now, out);
        true
    }

    /// Sends anything in an RTP packet, as a hostile peer may who has the keys.
    #[cfg(fuzzing)]
    pub(crate) fn send_raw(
        &mut self,
        now: Instant,
        red: bool,
        (sequence, timestamp): (u64, u32),
        payload: &[u8],
        out: &mut Vec<PeerOutput>,
    ) {
        let params = self.rtc.codec_config().params();
        let opus = params
            .iter()
            .find(|params| params.spec().codec == Codec::Opus);
        let pt = opus.and_then(|opus| if red { opus.red() } else { Some(opus.pt()) });
        let (true, Some(mid), Some(pt)) = (self.connected, self.mid, pt) else {
            return;
        };
        self.mutate(out, |peer| {
            if let Some(stream) = peer.rtc.direct_api().stream_tx_by_mid(mid, None) {
                let payload: Arc<[u8]> = Arc::from(payload);
                stream.write_rtp(RtpWrite::new(pt, sequence.into(), timestamp, now, payload));
            }
            Ok(())
        });
        self.tick(now, out);
    }

    /// Says goodbye: RTCP BYE and DTLS `close_notify`.
    pub(crate) fn close(&mut self, out: &mut Vec<PeerOutput>) {
        self.mutate(out, |peer| peer.rtc.close());
        self.dead = true;
    }

    /// When to call [`Self::tick`] at the latest.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    fn new(now: Instant, config: RtcConfig, redundancy: Redundancy) -> Self {
        Self {
            rtc: config.build(now),
            mid: None,
            voice: None,
            numbering: Numbering::default(),
            redundancy,
            resends: false,
            asked: None,
            asking: Asking::default(),
            connected: false,
            dead: false,
            due: now,
        }
    }

    fn add_local(&mut self, candidate: Result<Candidate, str0m::error::IceError>) {
        match candidate {
            Ok(candidate) => drop(self.rtc.add_local_candidate(candidate)),
            Err(error) => tracing::warn!(%error, "an address of ours is no ICE candidate"),
        }
    }

    fn accept(&mut self, offer: &Offer) -> Result<String, OfferRefusal> {
        let unreadable =
            |error: &dyn std::fmt::Display| OfferRefusal::Unreadable(error.to_string());
        let parsed = SdpOffer::from_sdp_string(offer.text()).map_err(|error| unreadable(&error))?;
        let answer = self
            .rtc
            .sdp_api()
            .accept_offer(parsed)
            .map_err(|error| unreadable(&error))?;
        Ok(answer.to_sdp_string())
    }

    /// One mutation, then everything that it brought about.
    fn mutate(
        &mut self,
        out: &mut Vec<PeerOutput>,
        mutation: impl FnOnce(&mut Self) -> Result<(), RtcError>,
    ) {
        if self.dead {
            return;
        }
        let done = catch_unwind(AssertUnwindSafe(|| {
            mutation(self)?;
            self.drain(out)
        }));
        match done {
            Ok(Ok(())) if self.rtc.is_alive() => {}
            Ok(result) => {
                if let Err(error) = result {
                    tracing::debug!(%error, "connection failed");
                }
                self.dead = true;
                out.push(PeerOutput::Closed);
            }
            Err(_) => {
                self.dead = true;
                out.push(PeerOutput::Faulted);
            }
        }
    }

    fn drain(&mut self, out: &mut Vec<PeerOutput>) -> Result<(), RtcError> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(due) => {
                    self.due = due;
                    return Ok(());
                }
                Output::Transmit(transmit) => out.push(PeerOutput::Transmit(transmit)),
                Output::Event(event) => self.event(event, out),
            }
        }
    }

    fn event(&mut self, event: RtcEvent, out: &mut Vec<PeerOutput>) {
        match event {
            RtcEvent::Connected => {
                self.connected = true;
                out.push(PeerOutput::Connected);
            }
            RtcEvent::MediaAdded(media) if media.kind == MediaKind::Audio => {
                self.mid = Some(media.mid);
                self.open_voice();
            }
            RtcEvent::RtpPacket(packet) => {
                self.ask_for_what_is_missing(&packet);
                out.extend(self.audio(&packet).map(PeerOutput::Audio));
            }
            RtcEvent::MediaEgressStats(stats) => {
                if let (Some(lost), Some(round_trip)) = (stats.loss, stats.rtt) {
                    out.push(PeerOutput::Reported(LinkReport { lost, round_trip }));
                }
            }
            RtcEvent::Closed => out.push(PeerOutput::Closed),
            _ => {}
        }
    }

    /// The library asks by itself only where packets come again in a stream of their own (RTX, RFC 4588), which
    /// browsers do not offer for audio; they send the packet again as it was.
    fn ask_for_what_is_missing(&mut self, packet: &RtpPacket) {
        if !self.resends {
            return;
        }
        let (now, sequence, timestamp) =
            (packet.timestamp, *packet.seq_no, packet.header.timestamp);
        let is_worth_while = self.asking.is_worth_while(now, sequence, timestamp);
        let asks = is_worth_while && self.asking.misses(now);
        let asked = (packet.header.ssrc, asks);
        if self.asked == Some(asked) {
            return;
        }
        if let Some(stream) = self.rtc.direct_api().stream_rx(&packet.header.ssrc) {
            stream.suppress_nack(!asks);
            self.asked = Some(asked);
        }
    }

    fn audio(&mut self, packet: &RtpPacket) -> Option<SpeakerPacket> {
        if packet.payload.is_empty() {
            self.numbering.skip(*packet.seq_no);
            return None;
        }
        let params = self.rtc.codec_config().params();
        let opus = params
            .iter()
            .find(|params| params.spec().codec == Codec::Opus)?;
        let kind = match packet.header.payload_type {
            pt if pt == opus.pt() => PacketKind::Opus,
            pt if Some(pt) == opus.red() => PacketKind::Red,
            _ => return None,
        };
        Some(SpeakerPacket {
            sequence: self.numbering.number(*packet.seq_no),
            timestamp: packet.header.timestamp,
            kind,
            bytes: Bytes::copy_from_slice(&packet.payload),
        })
    }

    /// Once it is settled which way the media flows: a line to send on.
    fn open_voice(&mut self) {
        let sends = self
            .mid
            .and_then(|mid| self.rtc.media(mid))
            .is_some_and(|media| media.direction().is_sending());
        let params = self.rtc.codec_config().params();
        let opus = params
            .iter()
            .find(|params| params.spec().codec == Codec::Opus);
        if let (true, None, Some(opus)) = (sends, &self.voice, opus) {
            let red = opus.red().filter(|_| self.redundancy == Redundancy::On);
            let [s0, s1, t @ ..] = token::bytes::<6>();
            let timestamp = match self.redundancy {
                Redundancy::On => u32::from_ne_bytes(t),
                // The programme's own clock, so that a listener can tell how far behind the playhead it is. RFC 3550
                // section 5.1 wants a random start against known plaintext; SRTP does not need it.
                Redundancy::Off => 0,
            };
            let start = Start {
                sequence: u16::from_ne_bytes([s0, s1]),
                timestamp,
            };
            self.voice = Some(Voice::new(opus.pt(), red, start));
        }
    }
}

/// Under which number we offer to name the media of a packet (RFC 9143); any from 1 to 14 would do.
const MID_EXTENSION: u8 = 4;

/// How often speaker and stage tell each other what arrives: a link that is too narrow must be known before its queue is
/// all delay. The 5 s of RFC 3550, section 6.2, are for many; four reports a second are 3 kbit/s.
const REPORTS_EVERY: Duration = Duration::from_millis(250);

/// Opus only, packets as they come, DTLS 1.2 that both generations of browsers speak, credentials of our own.
fn config(red: bool) -> RtcConfig {
    RtcConfig::new()
        .clear_codecs()
        .enable_opus(true, red)
        // Nothing more rides along with each packet, and no feedback on each: nobody here would read it.
        .clear_extension_map()
        .set_extension(MID_EXTENSION, Extension::RtpMid)
        .set_rtp_mode(true)
        .set_dtls_version(DtlsVersion::Dtls12)
        .set_local_ice_credentials(fresh_credentials())
}

fn fresh_credentials() -> IceCreds {
    // 40 and 160 random bits; RFC 8445 section 5.3 demands 24 and 128.
    IceCreds {
        ufrag: token::word::<8>(),
        pass: token::word::<32>(),
    }
}

fn guarded<T>(call: impl FnOnce() -> Result<T, OfferRefusal>) -> Result<T, OfferRefusal> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        Err(OfferRefusal::Unreadable(
            "it breaks the SDP parser".to_owned(),
        ))
    })
}
