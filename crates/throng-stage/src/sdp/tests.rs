//! Offers, sound and hostile, and fragments.

use super::*;
use proptest::prelude::*;

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 00:11\r\na=setup:actpass\r\na=sendonly\r\n\
    a=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\n";

fn refusal(offer: &str) -> OfferRefusal {
    Offer::check(offer, Purpose::Publish).unwrap_err()
}

#[test]
fn a_sound_offer_passes_without_its_candidates() {
    let offer = Offer::check(OFFER, Purpose::Publish).unwrap();
    assert!(!offer.text().contains("a=candidate"));
    assert_eq!(offer.credentials().ufrag, "abcd");
}

#[test]
fn a_peer_resends_where_it_offers_generic_nack() {
    let with = |line: &str| {
        Offer::check(&format!("{OFFER}{line}\r\n"), Purpose::Publish)
            .unwrap()
            .resends()
    };
    assert!(with("a=rtcp-fb:111 nack"));
    assert!(with("a=rtcp-fb:* nack"));
    assert!(!with("a=rtcp-fb:111 nack pli"));
    assert!(!with("a=rtcp-fb:111 transport-cc"));
}

#[test]
fn hostile_offers_are_refused_before_they_are_parsed() {
    let video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n";
    let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\n";
    assert_eq!(
        refusal(&format!("{OFFER}{}", "a=x\r\n".repeat(8000))),
        OfferRefusal::TooLarge {
            limit: OFFER_MAX_BYTES
        }
    );
    assert_eq!(
        refusal(&format!("{OFFER}{}", video.repeat(4))),
        OfferRefusal::TooManyMedia { limit: MEDIA_MAX }
    );
    assert_eq!(
        refusal(&format!("{OFFER}{audio}")),
        OfferRefusal::AudioLines(2)
    );
    assert_eq!(
        refusal(&OFFER.replace("m=audio", "m=video")),
        OfferRefusal::AudioLines(0)
    );
    assert_eq!(
        refusal(&format!("{OFFER}m=application 9 x\r\n")),
        OfferRefusal::Medium("application".to_owned())
    );
    assert_eq!(
        refusal(&format!("{OFFER}{}", "a=ssrc:1 cname:x\r\n".repeat(33))),
        OfferRefusal::TooManySources { limit: 32 }
    );
    assert_eq!(
        refusal(&OFFER.replace("a=ice-ufrag:abcd\r\n", "")),
        OfferRefusal::NoIce
    );
    assert_eq!(refusal(&OFFER.replace("abcd", "ab:d")), OfferRefusal::NoIce);
    assert_eq!(
        refusal(&OFFER.replace("a=fingerprint", "a=finger")),
        OfferRefusal::NoFingerprint
    );
    assert_eq!(
        refusal(&OFFER.replace("opus", "PCMU")),
        OfferRefusal::NoOpus
    );
    assert!(matches!(
        refusal("GET / HTTP/1.1"),
        OfferRefusal::Unreadable(_)
    ));
}

#[test]
fn the_direction_must_fit_the_purpose() {
    for (direction, publish, subscribe) in [
        ("sendonly", true, false),
        ("sendrecv", true, false),
        ("recvonly", false, true),
        ("inactive", false, false),
    ] {
        let offer = OFFER.replace("a=sendonly", &format!("a={direction}"));
        assert_eq!(
            Offer::check(&offer, Purpose::Publish).is_ok(),
            publish,
            "{direction}"
        );
        assert_eq!(
            Offer::check(&offer, Purpose::Subscribe).is_ok(),
            subscribe,
            "{direction}"
        );
    }
    assert!(Offer::check(&OFFER.replace("a=sendonly\r\n", ""), Purpose::Publish).is_ok());
}

#[test]
fn a_fragment_restarts_only_with_whole_credentials() {
    let trickled = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n\
        a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\na=end-of-candidates\r\n";
    let credentials = Fragment::parse(trickled).unwrap().credentials.unwrap();
    assert_eq!(credentials.ufrag, "abcd");
    assert!(
        Fragment::parse("a=mid:0\r\na=end-of-candidates\r\n")
            .unwrap()
            .credentials
            .is_none()
    );
    assert!(Fragment::parse("a=ice-ufrag:abcd\r\n").is_err());
    assert!(Fragment::parse("a=candidate:1 1 udp\r\n").is_err());
    assert!(Fragment::parse("<html>").is_err());
    assert!(Fragment::parse(&"a=x\r\n".repeat(2000)).is_err());
}

proptest! {
    #[test]
    fn no_damage_to_an_offer_breaks_the_check(at in 0..OFFER.len(), cut in 0..OFFER.len(), with in "\\PC{0,4}") {
        let mut text = OFFER.to_owned();
        text.replace_range(at..=at, &with);
        text.truncate(text.floor_char_boundary(cut));
        let _ = Offer::check(&text, Purpose::Publish);
        let _ = Fragment::parse(&text);
        let _ = narrow(&text, Protocol::Udp);
    }
}

#[test]
fn two_channels_are_asked_for_in_the_parameters_of_opus_alone() {
    let answer = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 63 111\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n\
        a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n";
    assert!(!asks_for_stereo(answer));
    let wide = asking_for_stereo(answer);
    assert_eq!(
        wide,
        answer.replace("useinbandfec=1", "useinbandfec=1;stereo=1")
    );
    assert!(asks_for_stereo(&wide));
    assert!(!asks_for_stereo(&answer.replace("111/111", "stereo=1")));
}
