//! Records from one end to the other, and what may be wrong with them.

use super::*;

/// Two ends of a connection without a handshake.
pub(crate) fn ends() -> [Session; 2] {
    pair(Cipher::Aes128Gcm, true)
}

const CIPHERS: [Cipher; 3] = [
    Cipher::Aes128Gcm,
    Cipher::Aes256Gcm,
    Cipher::ChaCha20Poly1305,
];

/// Two ends with the same keys.
fn pair(cipher: Cipher, is_tls13: bool) -> [Session; 2] {
    let direction = |byte| Direction {
        key: [byte; KEY_MAX_BYTES],
        iv: [byte + 1; NONCE_LEN],
        next: 0,
    };
    [(3, 5), (5, 3)].map(|(sends, receives)| Session {
        sends: direction(sends),
        receives: direction(receives),
        cipher,
        is_tls13,
    })
}

fn every_pair() -> impl Iterator<Item = [Session; 2]> {
    let versions = [false, true].into_iter();
    versions.flat_map(|is_tls13| CIPHERS.map(|cipher| pair(cipher, is_tls13)))
}

/// Everything that can be taken now.
fn taken(incoming: &mut Incoming, session: &mut Session) -> Result<Vec<u8>, Broken> {
    let (mut all, mut some) = (Vec::new(), [0; 100]);
    while let Heard::Bytes(count) = incoming.take(session, &mut some)? {
        all.extend(&some[..count]);
    }
    Ok(all)
}

#[test]
fn what_is_sealed_is_taken_in_whatever_pieces_it_comes() {
    for [mut here, mut there] in every_pair() {
        let mut sealed = Vec::new();
        let said: Vec<u8> = (0..40_000_u32).map(|at| (at % 251) as u8).collect();
        for piece in [&said[..1], &said[1..17_000], &said[17_000..]] {
            here.seal(Content::Application, piece, &mut sealed).unwrap();
        }
        here.seal_end(&mut sealed).unwrap();
        for step in [1, 7, 4_096, sealed.len()] {
            there.receives.next = 0;
            let (mut incoming, mut heard) = (Incoming::default(), Vec::new());
            for piece in sealed.chunks(step) {
                incoming.add(piece);
                heard.extend(taken(&mut incoming, &mut there).unwrap());
            }
            assert_eq!(heard, said);
        }
    }
}

#[test]
fn a_byte_that_was_changed_on_the_way_ends_it() {
    // RFC 8446 section 5.2: "If the decryption fails, the receiver MUST terminate the connection".
    for [mut here, mut there] in every_pair() {
        let mut sealed = Vec::new();
        here.seal(Content::Application, b"a span", &mut sealed)
            .unwrap();
        for at in 0..sealed.len() {
            there.receives.next = 0;
            let mut changed = sealed.clone();
            changed[at] ^= 0x40;
            let mut incoming = Incoming::default();
            incoming.add(&changed);
            // A longer length waits for more.
            let heard = taken(&mut incoming, &mut there);
            assert!(heard.is_err() || heard == Ok(Vec::new()), "byte {at}");
        }
    }
}

#[test]
fn a_record_counts_once_and_in_its_order() {
    for [mut here, mut there] in every_pair() {
        let mut records = Vec::new();
        for said in [b"one", b"two"] {
            let mut sealed = Vec::new();
            here.seal(Content::Application, said, &mut sealed).unwrap();
            records.push(sealed);
        }
        for order in [[1, 0], [0, 0]] {
            there.receives.next = 0;
            let mut incoming = Incoming::default();
            for at in order {
                incoming.add(&records[at]);
            }
            assert_eq!(taken(&mut incoming, &mut there), Err(Broken));
        }
    }
}

#[test]
fn zeros_behind_the_content_are_dropped_and_nothing_else_is_no_content() {
    // RFC 8446 section 5.4.
    for cipher in CIPHERS {
        for (inner, expected) in [
            (&b"text\x17\0\0\0"[..], Ok(b"text".to_vec())),
            (b"\x17", Ok(Vec::new())),
            (b"\0\0\0", Err(Broken)),
            (b"text\x14", Err(Broken)),
        ] {
            let [here, mut there] = pair(cipher, true);
            let header = header(23, inner.len() + TAG_BYTES);
            let mut record = inner.to_vec();
            let nonce = Nonce::assume_unique_for_key(here.sends.nonce());
            let key = cipher.key(&here.sends.key);
            key.seal_in_place_append_tag(nonce, Aad::from(header), &mut record)
                .unwrap();
            let mut incoming = Incoming::default();
            incoming.add(&header);
            incoming.add(&record);
            assert_eq!(taken(&mut incoming, &mut there), expected);
        }
    }
}

#[test]
fn a_record_that_nobody_may_send_is_not_waited_for() {
    // RFC 8446 section 5.2: the length "MUST NOT exceed 2^14 + 256 bytes".
    let [_, mut there] = pair(Cipher::Aes128Gcm, true);
    for header in [
        [23, 3, 3, 0x41, 1],
        [0, 3, 3, 0, 20],
        [b'G', b'E', b'T', 0, 1],
    ] {
        let mut incoming = Incoming::default();
        incoming.add(&header);
        assert!(incoming.is_ready());
        assert_eq!(incoming.take(&mut there, &mut [0]), Err(Broken));
    }
}

#[test]
fn a_key_is_not_used_beyond_its_limit() {
    // RFC 8446 section 5.5.
    let [mut here, _] = pair(Cipher::Aes256Gcm, true);
    here.sends.next = GCM_RECORDS_MAX - 1;
    let mut out = Vec::new();
    assert_eq!(here.seal(Content::Application, b"last", &mut out), Ok(()));
    let refused = here.seal(Content::Application, b"more", &mut out);
    assert_eq!(refused, Err(Broken));
}
