//! The stage and its client over real sockets on loopback: UDP, TCP, and the ends of both.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use throng_stage::client::{Client, ClientKind, ClientState, Transport};
use throng_stage::{
    EndReason, Event, OfferRefusal, ProgrammeKey, SeatKey, Stage, StageConfig, StageError,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Only reached when something is broken.
const PATIENCE: Duration = Duration::from_mins(1);
const SEAT: SeatKey = SeatKey(1);
const PROGRAMME: ProgrammeKey = ProgrammeKey(2);

fn stage() -> (Stage, mpsc::Receiver<Event>) {
    let (events, inbox) = mpsc::channel(1024);
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    (Stage::start(&StageConfig::at(at), events).unwrap(), inbox)
}

async fn next(events: &mut mpsc::Receiver<Event>) -> Event {
    timeout(PATIENCE, events.recv()).await.unwrap().unwrap()
}

async fn speaker(stage: &Stage, transport: Transport) -> Client {
    let (pending, offer) = Client::offer(ClientKind::Speaker, transport);
    let answer = stage.publish(offer, SEAT).await.unwrap();
    let mut client = tokio::task::spawn_blocking(move || pending.connect(&answer.sdp))
        .await
        .unwrap()
        .unwrap();
    timeout(PATIENCE, client.connected())
        .await
        .unwrap()
        .unwrap();
    client
}

async fn converse(transport: Transport) {
    let (stage, mut events) = stage();
    let mut client = speaker(&stage, transport).await;
    assert!(matches!(
        next(&mut events).await,
        Event::Joined { seat: SEAT, .. }
    ));
    for frame in 0..10_u8 {
        assert!(client.send(&[frame; 30], u32::from(frame) * 960));
        stage.send_return(SEAT, u64::from(frame), vec![100 + frame; 30].into());
    }
    for frame in 0..10_u8 {
        let Event::Packet {
            seat: SEAT, packet, ..
        } = next(&mut events).await
        else {
            panic!("not a packet")
        };
        // With redundancy (RFC 2198) the packet itself comes last.
        assert!(packet.bytes.ends_with(&[frame; 30]));
        let heard = timeout(PATIENCE, client.recv()).await.unwrap().unwrap();
        assert_eq!(heard.payload[..], [100 + frame; 30]);
    }
    let counted = stage.counters();
    assert_eq!(
        (counted.speakers, counted.audio_in, counted.audio_out),
        (1, 10, 10)
    );
    assert_eq!(
        counted.tcp_connections,
        u64::from(transport == Transport::Tcp)
    );
    tokio::task::spawn_blocking(move || client.close())
        .await
        .unwrap();
    assert!(matches!(
        next(&mut events).await,
        Event::Left {
            reason: EndReason::Gone,
            ..
        }
    ));
}

#[tokio::test]
async fn speaker_and_stage_converse_by_udp() {
    converse(Transport::Udp).await;
}

#[tokio::test]
async fn speaker_and_stage_converse_by_tcp_alone() {
    converse(Transport::Tcp).await;
}

#[tokio::test]
async fn a_listener_hears_the_programme_until_it_ends() {
    let (stage, _events) = stage();
    let (pending, offer) = Client::offer(ClientKind::Listener, Transport::Udp);
    assert!(matches!(
        stage.publish(offer.clone(), SEAT).await,
        Err(StageError::Offer(OfferRefusal::Direction {
            found: "recvonly",
            ..
        }))
    ));
    let answer = stage.subscribe(offer, PROGRAMME).await.unwrap();
    let mut client = tokio::task::spawn_blocking(move || pending.connect(&answer.sdp))
        .await
        .unwrap()
        .unwrap();
    timeout(PATIENCE, client.connected())
        .await
        .unwrap()
        .unwrap();
    for frame in 0..10_u8 {
        stage.send_programme(PROGRAMME, u64::from(frame), vec![frame; 30].into());
    }
    for frame in 0..10_u8 {
        let heard = timeout(PATIENCE, client.recv()).await.unwrap().unwrap();
        assert_eq!(heard.payload[..], [frame; 30]);
    }
    stage.close_programme(PROGRAMME).await.unwrap();
    timeout(PATIENCE, client.closed()).await.unwrap();
    assert_eq!(client.state(), ClientState::Closed);
}

#[tokio::test]
async fn the_last_handle_takes_every_session_with_it() {
    let (stage, mut events) = stage();
    let mut client = speaker(&stage, Transport::Tcp).await;
    assert!(matches!(next(&mut events).await, Event::Joined { .. }));
    drop(stage);
    assert!(matches!(
        next(&mut events).await,
        Event::Left {
            reason: EndReason::Closed,
            ..
        }
    ));
    timeout(PATIENCE, client.closed()).await.unwrap();
    assert!(
        timeout(PATIENCE, events.recv()).await.unwrap().is_none(),
        "the thread has ended"
    );
}

#[tokio::test]
async fn a_sink_without_room_loses_packets_but_no_lives() {
    let (events, mut inbox) = mpsc::channel(1);
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let stage = Stage::start(&StageConfig::at(at), events).unwrap();
    let mut client = speaker(&stage, Transport::Udp).await;
    for frame in 0..20 {
        assert!(client.send(&[1, 2, 3], frame * 960));
    }
    // Sent after them on the same path: when it is answered, they have been read.
    stage.send_return(SEAT, 0, vec![1].into());
    timeout(PATIENCE, client.recv()).await.unwrap().unwrap();
    tokio::task::spawn_blocking(move || client.close())
        .await
        .unwrap();
    let mut lives = Vec::new();
    while lives.len() < 2 {
        match next(&mut inbox).await {
            Event::Joined { .. } => lives.push("joined"),
            Event::Left { .. } => lives.push("left"),
            Event::Packet { .. } => {}
        }
    }
    assert_eq!(lives, ["joined", "left"]);
    assert!(stage.counters().dropped_sink_full > 0);
}

#[tokio::test]
async fn peers_are_told_the_advertised_address() {
    let (events, _inbox) = mpsc::channel(16);
    let advertised = Ipv4Addr::new(192, 0, 2, 33);
    let config = StageConfig {
        advertise: Some(IpAddr::V4(advertised)),
        ..StageConfig::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    };
    let stage = Stage::start(&config, events).unwrap();
    let (_, offer) = Client::offer(ClientKind::Speaker, Transport::Udp);
    let answer = stage.publish(offer, SEAT).await.unwrap();
    let port = stage.local_addr().port();
    assert!(
        answer
            .sdp
            .contains(&format!(" {advertised} {port} typ host")),
        "{}",
        answer.sdp
    );
    assert!(!answer.sdp.contains("127.0.0.1 "), "{}", answer.sdp);
}
