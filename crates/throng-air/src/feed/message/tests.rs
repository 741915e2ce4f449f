//! The framing, by properties: what is written is read, in pieces of any size, and nothing else ever panics.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use throng_core::dates::Now;
use throng_core::ladder::Rung;
use throng_core::ladder::reason::Reasons;
use throng_core::ladder::signals::{Decision, Share, Signals};
use throng_core::rendition::Channels;
use throng_core::slug::Slug;
use throng_core::space::{Act, Actor, Announcement, Space};
use throng_core::time::UnixMillis;
use throng_core::timeline::PartIndex;
use throng_core::window::{Packaged, Part};

use super::super::decoder::{FeedError, Message, read_in_pieces as read};
use super::super::{DOWN_FRAME_MAX_BYTES, GREETING, VERSION};
use super::*;
use crate::air::Headers;
use crate::document::Document;
use crate::ledger::{Account, Accounts};
use crate::on_air::Facts;
use crate::past::Recorded;
use crate::presence::Counts;

fn slug() -> impl Strategy<Value = Slug> {
    "[a-z0-9-]{1,64}".prop_map(|text| Slug::parse(&text).unwrap())
}

fn part() -> impl Strategy<Value = Part> {
    let sizes = prop::collection::vec(0_usize..2_000, 10);
    (0_u64..1 << 40, sizes).prop_map(|(index, sizes)| Part {
        index: PartIndex(index),
        renditions: std::array::from_fn(|place| Packaged {
            cmaf: vec![1; sizes[place]].into(),
            stream: vec![2; sizes[place + 5]].into(),
        }),
    })
}

fn space() -> impl Strategy<Value = Space> {
    let acts = prop::sample::subsequence(vec![Act::OpenDoors, Act::GoLive, Act::End], 0..=3);
    ("[a-zß ]{0,40}x", slug(), -1_000_000_i64..1 << 40, acts).prop_map(
        |(title, slug, now, acts)| {
            let announcement = Announcement {
                id: title.clone(),
                slug,
                title,
                scheduled_at: Some(UnixMillis(now)),
                speakers: 2,
                expected_listeners: None,
            };
            let mut space = Space::announce(UnixMillis(now), announcement).unwrap();
            space.sound.channels = Channels::of(now % 3 == 0);
            space.programme.message = (now % 2 == 0).then(|| "Slides: ß".to_owned());
            space.correct_dates(Now {
                wall: space.created_at.shifted_ms(now),
                steady: space.created_at,
            });
            for (place, act) in acts.into_iter().enumerate() {
                let now = space.created_at.plus_ms(5_000 * place as u64);
                let _ = space.apply(now, Actor::Host, act);
            }
            space
        },
    )
}

fn down() -> impl Strategy<Value = Down> {
    let facts = (space(), "[a-z<>]{0,300}").prop_map(|(space, text)| {
        let chapters = Document::new(text.clone(), "application/json+chapters", "no-store");
        let page = Document::new(text, "text/html", "no-store");
        Down::Space(Facts {
            space: Arc::new(space),
            page: Arc::new(page.with_policy("default-src 'none'".parse().unwrap())),
            chapters: Arc::new(chapters),
        })
    });
    let five = [const { Bytes::from_static(b"ftyp") }; 5];
    prop_oneof![
        Just(Down::Beat),
        Just(Down::Listed),
        Just(Down::Headers(Box::new([
            Headers {
                init: five.clone(),
                stream: five.clone()
            },
            Headers {
                init: five,
                stream: Default::default()
            }
        ]))),
        decision().prop_map(Down::Decided),
        slug().prop_map(Down::Finished),
        slug().prop_map(Down::Removed),
        (slug(), any::<bool>()).prop_map(|(slug, flowing)| Down::Flowing { slug, flowing }),
        (slug(), part()).prop_map(|(slug, part)| Down::Part {
            slug,
            part: Arc::new(part)
        }),
        (any::<bool>(), part()).prop_map(|(is_stereo, mut part)| {
            part.index.0 %= 562;
            let channels = Channels::of(is_stereo);
            Down::Hold {
                channels,
                of: 562,
                part,
            }
        }),
        (slug(), 0_u64..1 << 48, 0_u64..1 << 48).prop_map(|(slug, first, next)| Down::Restart {
            slug,
            first: PartIndex(first),
            next: PartIndex(next)
        }),
        (slug(), any::<[u64; 5]>()).prop_map(|(slug, [listening, peak, joined, parts, bytes])| {
            Down::Counts {
                slug,
                counts: Counts {
                    listening,
                    peak,
                    joined,
                },
                recorded: Recorded { parts, bytes },
            }
        }),
        "[a-z<>]{0,300}".prop_map(|text| Down::Index(Document::new(text, "text/html", "no-store"))),
        facts,
    ]
}

fn accounts() -> impl Strategy<Value = Accounts> {
    any::<[u32; 13]>().prop_map(|sums| {
        let sums = sums.map(u64::from);
        let account = Account {
            arrived: sums[0],
            admitted: sums[1],
            failed: sums[2],
            refused: std::array::from_fn(|place| sums[7 + place]),
            closed: [sums[4], sums[5], sums[6]],
            delivered_samples: sums[3],
        };
        let mut accounts = Accounts::default();
        accounts[1] = account;
        accounts
    })
}

fn decision() -> impl Strategy<Value = Decision> {
    let rungs = 0..=Rung::DEEPEST.number();
    (rungs, any::<bool>(), any::<u8>()).prop_map(|(rung, locked, bits)| Decision {
        rung: Rung::new(rung).unwrap(),
        locked,
        reasons: Reasons::from_bits(bits),
    })
}

fn signals() -> impl Strategy<Value = Signals> {
    let shares = prop::array::uniform7(0..=Share::ALL.thousandths());
    (any::<[u32; 5]>(), shares, any::<bool>()).prop_map(|(counts, shares, bounded)| {
        let shares = shares.map(|share| Share::new(share).unwrap());
        Signals {
            lag_ms: counts[0],
            spans: counts[1],
            late_spans: counts[2],
            listeners: counts[3],
            blocked: counts[4],
            cpu: shares[0],
            cpu_serving: shares[1],
            cpu_waiting: shares[2],
            memory_of_budget: shares[3],
            memory_of_machine: shares[4],
            memory_waiting: shares[5],
            joins: bounded.then_some(shares[6]),
        }
    })
}

fn up() -> impl Strategy<Value = Up> {
    let here = (slug(), any::<i64>(), 0_u64..1 << 48).prop_map(|(slug, epoch, next)| Here {
        slug,
        epoch: UnixMillis(epoch),
        next: PartIndex(next),
    });
    let present =
        (slug(), any::<u32>(), any::<u32>()).prop_map(|(slug, listening, joined)| Present {
            slug,
            listening: listening.into(),
            joined: joined.into(),
        });
    let second = (any::<u64>(), accounts()).prop_map(|(unix_seconds, accounts)| Second {
        unix_seconds,
        accounts,
    });
    let here = prop::collection::vec(here, 0..5);
    let hello = (any::<[u64; 2]>(), decision(), here).prop_map(|(hold, decision, here)| {
        Up::Hello(Hello {
            hold,
            decision,
            here,
        })
    });
    let report = (
        any::<u128>(),
        any::<(u32, u64)>(),
        prop::collection::vec(present, 0..5),
        prop::collection::vec(slug(), 0..5),
        signals(),
        prop::collection::vec(second, 0..5),
    )
        .prop_map(
            |(consumer, (place, number), present, asked, signals, seconds)| {
                Up::Report(Report {
                    consumer,
                    place,
                    number,
                    present,
                    asked,
                    signals,
                    seconds,
                })
            },
        );
    prop_oneof![hello, report]
}

fn line<M: Message>(messages: &[M]) -> Vec<u8> {
    let frames = messages.iter().map(|message| message.to_frame().unwrap());
    [GREETING.to_vec(), frames.collect::<Vec<_>>().concat()].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_down_is_read_as_it_was_written(messages in prop::collection::vec(down(), 1..6), piece in 1_usize..5_000) {
        let written = line(&messages);
        let (read, error) = read::<Down>(&written, piece);
        prop_assert_eq!(error, None);
        prop_assert_eq!(line(&read), written);
    }

    #[test]
    fn what_goes_up_is_read_as_it_was_written(message in up(), piece in 1_usize..200) {
        let (read, error) = read::<Up>(&line(std::slice::from_ref(&message)), piece);
        prop_assert_eq!(error, None);
        prop_assert_eq!(read, [message]);
    }

    #[test]
    fn damage_is_an_error_or_another_message_but_never_a_panic(
        message in down(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        piece in 1_usize..500,
    ) {
        let mut line = line(&[message]);
        for (place, value) in flips {
            let place = place.index(line.len());
            line[place] = value;
        }
        let (messages, _) = read::<Down>(&line, piece);
        for message in messages {
            prop_assert!(message.to_frame().is_some());
        }
        let _ = read::<Up>(&line, piece);
    }
}

#[test]
fn a_stranger_another_version_and_an_endless_frame_are_told_apart() {
    let error = |line: &[u8]| read::<Down>(line, 3).1;
    assert_eq!(error(b"HTTP/1.1 200 OK"), Some(FeedError::NotAFeed));
    assert_eq!(error(b"THRFEED\xff"), Some(FeedError::Version(0xff)));
    let length = u32::try_from(DOWN_FRAME_MAX_BYTES).unwrap() + 1;
    let endless = [&GREETING[..], &length.to_be_bytes()].concat();
    assert_eq!(error(&endless), Some(FeedError::FrameTooLong(length)));
    assert_eq!(GREETING[7], VERSION);
}

#[test]
fn a_message_that_goes_on_after_its_end_is_none() {
    let mut frame = vec![0, 0, 0, 2, 0, 0];
    frame.splice(0..0, GREETING);
    assert!(matches!(
        read::<Down>(&frame, 1).1,
        Some(FeedError::Malformed(_))
    ));
}
