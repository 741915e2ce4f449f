//! The endpoint against real peers in a world without sockets, where time is a number.

mod hostile;

use std::time::Duration;

use super::*;
use crate::event::SpeakerPacket;
use crate::peer::Peer;
use crate::session::{CONNECT_LIMIT, SILENCE_LIMIT};
use str0m::change::SdpPendingOffer;

const SERVER: &str = "192.0.2.1:5000";
const SEAT: SeatKey = SeatKey(7);
const PROGRAMME: ProgrammeKey = ProgrammeKey(3);
const STEP: Duration = Duration::from_millis(10);
fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A peer somewhere on the simulated network.
struct Caller {
    peer: Peer,
    at: SocketAddr,
    out: Vec<PeerOutput>,
    heard: Vec<SpeakerPacket>,
}

/// The endpoint, its callers, and the wire between them.
struct World {
    endpoint: Endpoint,
    now: Instant,
    events: Vec<Event>,
    /// Everything that the endpoint has sent.
    sent: Vec<(SocketAddr, usize)>,
    /// How often it has asked for a packet again.
    asked_again: usize,
}

impl World {
    fn new() -> Self {
        Self::with(vec![address(SERVER)])
    }

    fn with(reachable: Vec<SocketAddr>) -> Self {
        Self::with_places(reachable, 2)
    }

    fn with_places(reachable: Vec<SocketAddr>, listeners: usize) -> Self {
        let places = Places {
            speakers: 2,
            listeners,
        };
        let endpoint = Endpoint::new(reachable, places, Arc::default());
        Self {
            endpoint,
            now: Instant::now(),
            events: Vec::new(),
            sent: Vec::new(),
            asked_again: 0,
        }
    }

    fn publish(&mut self, at: &str) -> (Caller, Answer) {
        self.publish_offering(at, "")
    }

    /// Publishes with one more attribute of the Opus line.
    fn publish_offering(&mut self, at: &str, attribute: &str) -> (Caller, Answer) {
        let (peer, pending, offer) = Peer::offer(self.now, true);
        let offer = offer.replacen("a=fmtp:", &format!("{attribute}a=fmtp:"), 1);
        let answer = self.endpoint.publish(self.now, &offer, SEAT).unwrap();
        (self.dial(peer, pending, &answer, at), answer)
    }

    fn subscribe(&mut self, at: &str) -> (Caller, Answer) {
        let (peer, pending, offer) = Peer::offer(self.now, false);
        let answer = self
            .endpoint
            .subscribe(self.now, &offer, PROGRAMME)
            .unwrap();
        (self.dial(peer, pending, &answer, at), answer)
    }

    /// An offer that nobody follows up.
    fn knock(&mut self) -> SessionId {
        let (.., offer) = Peer::offer(self.now, false);
        let answer = self.endpoint.subscribe(self.now, &offer, PROGRAMME);
        answer.unwrap().session
    }

    fn dial(&self, mut peer: Peer, pending: SdpPendingOffer, answer: &Answer, at: &str) -> Caller {
        let (sdp, _) = crate::sdp::narrow(&answer.sdp, Protocol::Udp).unwrap();
        peer.accept_answer(pending, &sdp, Protocol::Udp, address(at))
            .unwrap();
        let mut out = Vec::new();
        peer.tick(self.now, &mut out);
        Caller {
            peer,
            at: address(at),
            out,
            heard: Vec::new(),
        }
    }

    /// Carries everything both ways, then moves time on.
    fn step(&mut self, callers: &mut [&mut Caller]) {
        for caller in callers.iter_mut() {
            for output in std::mem::take(&mut caller.out) {
                match output {
                    PeerOutput::Transmit(transmit) => {
                        self.endpoint.datagram(
                            self.now,
                            (Protocol::Udp, caller.at),
                            &transmit.contents,
                        );
                    }
                    PeerOutput::Audio(packet) => caller.heard.push(packet),
                    _ => {}
                }
            }
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.sent
                .push((transmit.destination, transmit.contents.len()));
            self.asked_again += usize::from(is_generic_nack(&transmit.contents));
            for caller in callers
                .iter_mut()
                .filter(|caller| caller.at == transmit.destination)
            {
                let from = (Protocol::Udp, transmit.source);
                let _ = caller.peer.receive(
                    self.now,
                    from,
                    caller.at,
                    &transmit.contents,
                    &mut caller.out,
                );
            }
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.events.push(event);
        }
        self.now += STEP;
        self.endpoint.tick(self.now);
        for caller in callers.iter_mut() {
            caller.peer.tick(self.now, &mut caller.out);
        }
    }

    fn run(&mut self, for_: Duration, callers: &mut [&mut Caller]) {
        let until = self.now + for_;
        while self.now < until {
            self.step(callers);
        }
    }

    fn connect(&mut self, callers: &mut [&mut Caller]) {
        self.run(Duration::from_secs(2), callers);
        self.run(STEP, callers);
    }

    fn lives(&self) -> Vec<String> {
        let name = |event: &Event| match event {
            Event::Joined { .. } => Some("joined".to_owned()),
            Event::Left { reason, .. } => Some(format!("left: {reason:?}")),
            Event::Packet { .. } => None,
        };
        self.events.iter().filter_map(name).collect()
    }

    fn packets(&self, from: &SessionId) -> usize {
        let theirs =
            |event: &&Event| matches!(event, Event::Packet { session, .. } if session == from);
        self.events.iter().filter(theirs).count()
    }
}

/// Transport layer feedback with format 1 (RFC 4585 section 6.2.1); SRTCP leaves the first header in the clear.
fn is_generic_nack(datagram: &[u8]) -> bool {
    matches!(datagram, [0x81, 205, ..])
}

/// Any RTP packet (RFC 5761 section 4), none of which is RTCP.
fn is_rtp(output: &PeerOutput) -> bool {
    let PeerOutput::Transmit(transmit) = output else {
        return false;
    };
    matches!(&*transmit.contents, [128..=191, kind, ..] if !(192..=223).contains(kind))
}

impl Caller {
    fn speak(&mut self, now: Instant, frame: u32) {
        self.peer.send(
            now,
            frame * 960,
            &Arc::from([1, 2, 3].as_slice()),
            &mut self.out,
        );
    }
}

#[test]
fn audio_flows_both_ways_with_its_numbers() {
    let mut world = World::new();
    let (mut caller, answer) = world.publish("198.51.100.1:1000");
    world.connect(&mut [&mut caller]);
    assert_eq!(world.lives(), ["joined"]);
    for frame in 0..5 {
        caller.speak(world.now, frame);
        world
            .endpoint
            .send_return(world.now, SEAT, 1_000_000_000 + u64::from(frame), &[9, 9]);
        world.step(&mut [&mut caller]);
    }
    world.connect(&mut [&mut caller]);
    assert_eq!(world.packets(&answer.session), 5);
    assert_eq!(caller.heard.len(), 5);
    for pair in caller.heard.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(960));
    }
}

#[test]
fn a_lost_packet_is_asked_for_where_the_peer_sends_it_again() {
    for (attribute, resends) in [("a=rtcp-fb:111 nack\r\n", true), ("", false)] {
        let mut world = World::new();
        let (mut caller, answer) = world.publish_offering("198.51.100.1:1000", attribute);
        let negotiated = answer.sdp.contains("a=rtcp-fb:111 nack\r\n");
        assert_eq!(negotiated, resends, "{}", answer.sdp);
        world.connect(&mut [&mut caller]);
        let mut lost = Vec::new();
        for frame in 0..20 {
            caller.speak(world.now, frame);
            if frame == 10 {
                lost.extend(caller.out.extract_if(.., |output| is_rtp(output)));
            }
            world.step(&mut [&mut caller]);
            if world.asked_again > 0 {
                caller.out.append(&mut lost);
            }
            world.step(&mut [&mut caller]);
        }
        assert_eq!(world.asked_again > 0, resends);
        assert_eq!(lost.is_empty(), resends);
        assert_eq!(
            world.packets(&answer.session),
            if resends { 20 } else { 19 }
        );
    }
}

#[test]
fn a_gap_is_asked_for_at_once_whenever_it_comes() {
    let mut world = World::new();
    let nack = "a=rtcp-fb:111 nack\r\n";
    let (mut caller, _) = world.publish_offering("198.51.100.1:1000", nack);
    world.connect(&mut [&mut caller]);
    // A gap comes at another moment of the library's 33 ms each time, and long after the one before.
    for frame in 0..600 {
        caller.speak(world.now, frame);
        if frame % 31 == 29 {
            caller.out.retain(|output| !is_rtp(output));
        }
        let asked_before = world.asked_again;
        world.run(2 * STEP, &mut [&mut caller]);
        match frame % 31 {
            30 => assert!(world.asked_again > asked_before, "frame {frame}"),
            10..20 => assert_eq!(world.asked_again, asked_before, "too late: {frame}"),
            _ => {}
        }
    }
}

#[test]
fn listeners_hear_the_programme_and_nothing_of_theirs_is_taken() {
    let mut world = World::new();
    let (mut one, answer) = world.subscribe("198.51.100.1:1000");
    let (mut two, _) = world.subscribe("198.51.100.2:1000");
    assert!(answer.sdp.contains("a=sendonly"), "{}", answer.sdp);
    world.connect(&mut [&mut one, &mut two]);
    let (_, _, third) = Peer::offer(world.now, false);
    assert_eq!(
        world.endpoint.subscribe(world.now, &third, PROGRAMME),
        Err(StageError::Full { limit: 2 })
    );
    for frame in 0..3 {
        world
            .endpoint
            .send_programme(world.now, PROGRAMME, frame, &[5; 40]);
        world
            .endpoint
            .send_programme(world.now, ProgrammeKey(99), frame, &[6; 40]);
        world.step(&mut [&mut one, &mut two]);
    }
    world.connect(&mut [&mut one, &mut two]);
    for caller in [&one, &two] {
        assert_eq!(
            caller
                .heard
                .iter()
                .map(|packet| packet.bytes[0])
                .collect::<Vec<_>>(),
            [5, 5, 5]
        );
    }
    assert!(world.events.is_empty(), "listeners make no events");
    world.endpoint.close_programme(PROGRAMME);
    assert!(world.endpoint.sessions.is_empty() && world.endpoint.routes.is_empty());
}

#[test]
fn a_second_publish_of_a_seat_replaces_the_first() {
    let mut world = World::new();
    let (mut first, old) = world.publish("198.51.100.1:1000");
    world.connect(&mut [&mut first]);
    let (mut second, new) = world.publish("198.51.100.2:1000");
    for frame in 0..200 {
        first.speak(world.now, frame);
        second.speak(world.now, frame);
        world.step(&mut [&mut first, &mut second]);
    }
    assert_eq!(world.lives(), ["joined", "left: Replaced", "joined"]);
    assert_eq!(world.packets(&old.session), 0);
    assert!(world.packets(&new.session) > 0);
    // Its client is told why, so that it does not fight back.
    let told = world.endpoint.close(&old.session).unwrap_err();
    assert_eq!((&told, told.status()), (&StageError::Replaced, 410));
    let nobody = SessionId::from("of-another-process");
    assert_eq!(
        world.endpoint.close(&nobody),
        Err(StageError::UnknownSession)
    );
}

#[test]
fn who_is_put_off_the_stage_is_not_heard_any_more_is_told_why_and_may_come_again() {
    let mut world = World::new();
    assert_eq!(
        world.endpoint.remove_seat(SEAT),
        Err(StageError::UnknownSession),
        "nobody sits there"
    );
    let (mut speaker, answer) = world.publish("198.51.100.1:1000");
    world.connect(&mut [&mut speaker]);
    assert_eq!(world.endpoint.remove_seat(SEAT), Ok(()));
    for frame in 0..50 {
        speaker.speak(world.now, frame);
        world.step(&mut [&mut speaker]);
    }
    assert_eq!(world.packets(&answer.session), 0);
    let told = world.endpoint.close(&answer.session).unwrap_err();
    assert_eq!((&told, told.status()), (&StageError::Removed, 410));
    let (mut again, _) = world.publish("198.51.100.1:1001");
    world.connect(&mut [&mut again]);
    assert_eq!(world.lives(), ["joined", "left: Closed", "joined"]);
}

#[test]
fn replaced_sessions_are_remembered_up_to_a_bound() {
    let mut world = World::new();
    let (.., offer) = Peer::offer(world.now, true);
    let mut publish = || {
        let answer = world.endpoint.publish(world.now, &offer, SEAT);
        answer.unwrap().session
    };
    let first = publish();
    let second = publish();
    for _ in 0..PUT_OUT_MAX {
        publish();
    }
    assert_eq!(
        world.endpoint.close(&first),
        Err(StageError::UnknownSession)
    );
    assert_eq!(world.endpoint.close(&second), Err(StageError::Replaced));
}

#[test]
fn offers_that_nobody_follows_up_take_no_place_from_who_comes() {
    let mut world = World::new();
    let (mut inside, _) = world.subscribe("198.51.100.1:1000");
    world.connect(&mut [&mut inside]);
    let ghost = world.knock();
    let (mut second, _) = world.subscribe("198.51.100.2:1000");
    assert_eq!(
        world.endpoint.close(&ghost),
        Err(StageError::UnknownSession)
    );
    world.connect(&mut [&mut inside, &mut second]);
    let (.., offer) = Peer::offer(world.now, false);
    let third = world.endpoint.subscribe(world.now, &offer, PROGRAMME);
    assert_eq!(third, Err(StageError::Full { limit: 2 }));
}

#[test]
fn the_doorway_is_bounded_and_who_has_proved_his_address_stays_in_it() {
    let mut world = World::with_places(vec![address(SERVER)], 2 * DOORWAY_MAX);
    let (mut caller, answer) = world.subscribe("198.51.100.1:1000");
    while world.endpoint.sessions[&0].addresses.is_empty() {
        world.step(&mut [&mut caller]);
    }
    for _ in 0..DOORWAY_MAX + 9 {
        world.knock();
        assert!(world.endpoint.sessions.len() <= DOORWAY_MAX);
    }
    world.connect(&mut [&mut caller]);
    assert!(world.endpoint.sessions[&0].is_connected());
    assert_eq!(world.endpoint.close(&answer.session), Ok(()));
}

#[test]
fn who_never_connects_and_who_falls_silent_ends() {
    let mut world = World::new();
    world.publish("198.51.100.1:1000");
    world.run(CONNECT_LIMIT.saturating_sub(STEP), &mut []);
    assert_eq!(world.lives(), [""; 0]);
    world.run(STEP * 2, &mut []);
    assert_eq!(world.lives(), ["left: NeverConnected"]);

    let (mut caller, _) = world.publish("198.51.100.1:1001");
    // Longer than any limit: a muted speaker's consent checks (RFC 7675) are a sign of life.
    world.run(Duration::from_secs(40), &mut [&mut caller]);
    assert_eq!(world.lives(), ["left: NeverConnected", "joined"]);
    world.run(SILENCE_LIMIT + STEP * 2, &mut []);
    assert_eq!(
        world.lives(),
        ["left: NeverConnected", "joined", "left: Silent"]
    );
    assert!(world.endpoint.routes.is_empty());
    assert_eq!(world.endpoint.due(), None);
}

#[test]
fn a_goodbye_ends_the_session_at_once() {
    let mut world = World::new();
    let (mut caller, _) = world.publish("198.51.100.1:1000");
    world.connect(&mut [&mut caller]);
    caller.peer.close(&mut caller.out);
    world.connect(&mut [&mut caller]);
    assert_eq!(world.lives(), ["joined", "left: Gone"]);
}

#[test]
fn ice_restarts_by_patch_and_the_session_goes_on() {
    let mut world = World::new();
    let (mut caller, answer) = world.publish("198.51.100.1:1000");
    world.connect(&mut [&mut caller]);
    let (pending, offer) = caller.peer.offer_restart();
    let cut = |name: &str| {
        offer
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned()
    };
    let fragment = format!(
        "{}\r\n{}\r\na=end-of-candidates\r\n",
        cut("a=ice-ufrag:"),
        cut("a=ice-pwd:")
    );
    let session = &answer.session;

    let patch = |world: &mut World, tag: Option<&str>, text: &str| {
        world.endpoint.patch(world.now, session, tag, text)
    };
    assert_eq!(
        patch(&mut world, None, &fragment),
        Err(StageError::EtagRequired)
    );
    assert_eq!(
        patch(&mut world, Some("\"old\""), &fragment),
        Err(StageError::EtagMismatch)
    );
    let trickled = "a=candidate:1 1 udp 1 192.0.2.9 5 typ host\r\n";
    assert_eq!(
        patch(&mut world, Some(&answer.etag), trickled),
        Ok(Patched::Trickled)
    );
    let Ok(Patched::Restarted { fragment, etag }) = patch(&mut world, Some("*"), &fragment) else {
        panic!("no restart");
    };
    assert_ne!(etag, answer.etag);

    let new = Fragment::parse(&fragment).unwrap().credentials.unwrap();
    let text = answer.sdp.lines().map(|line| match line.split_once(':') {
        Some(("a=ice-ufrag", _)) => format!("a=ice-ufrag:{}\r\n", new.ufrag),
        Some(("a=ice-pwd", _)) => format!("a=ice-pwd:{}\r\n", new.password),
        // The old candidates name the old user fragment.
        Some(("a=candidate", _)) => format!("{}\r\n", line.split(" ufrag ").next().unwrap()),
        _ => format!("{line}\r\n"),
    });
    let (text, _) = crate::sdp::narrow(&text.collect::<String>(), Protocol::Udp).unwrap();
    caller.at = address("198.51.100.77:7000");
    caller
        .peer
        .accept_answer(pending, &text, Protocol::Udp, caller.at)
        .unwrap();
    world.connect(&mut [&mut caller]);
    caller.speak(world.now, 0);
    world.endpoint.send_return(world.now, SEAT, 0, &[1, 2, 3]);
    world.connect(&mut [&mut caller]);
    assert_eq!(world.lives(), ["joined"]);
    assert_eq!(world.packets(session), 1);
    assert_eq!(caller.heard.len(), 1);
}

#[test]
fn video_beside_the_audio_is_declined() {
    let mut world = World::new();
    let (_, _, offer) = Peer::offer(world.now, true);
    let fingerprint = offer
        .lines()
        .find(|line| line.starts_with("a=fingerprint"))
        .unwrap();
    let credentials: Vec<_> = offer
        .lines()
        .filter(|line| line.starts_with("a=ice-"))
        .collect();
    let credentials = credentials.join("\r\n");
    let video = format!(
        "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n{credentials}\r\n{fingerprint}\r\na=setup:actpass\r\n\
         a=mid:vid\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n"
    );
    let bundle = offer
        .lines()
        .find(|line| line.starts_with("a=group:BUNDLE"))
        .unwrap();
    let offer = offer.replace(bundle, &format!("{bundle} vid")) + &video;
    let answer = world.endpoint.publish(world.now, &offer, SEAT).unwrap();
    assert!(answer.sdp.contains("m=video 0 "), "{}", answer.sdp);
    assert!(answer.sdp.contains("m=audio 9 "), "{}", answer.sdp);
}

#[test]
fn the_answer_tells_every_way_in_and_promises_opus_as_we_mean_it() {
    let mut world = World::with(vec![address(SERVER), address("[2001:db8::1]:5000")]);
    let (_, _, offer) = Peer::offer(world.now, true);
    let answer = world
        .endpoint
        .publish(world.now, &offer.replace("a=sendrecv", "a=sendonly"), SEAT)
        .unwrap();
    let has = |text: &str| {
        assert!(
            answer.sdp.contains(text),
            "{text} is missing in {}",
            answer.sdp
        );
    };
    has("a=ice-lite");
    has("a=recvonly");
    has("useinbandfec=1");
    has(" udp ");
    has(" tcp ");
    has("tcptype passive");
    has("192.0.2.1 5000");
    has("2001:db8::1 5000");
    assert!(answer.etag.starts_with('"') && answer.etag.ends_with('"'));
}
