"""Copies of earlier packets in those of our page: the module itself, and what a page in Chromium sends."""

import pytest

import browser
from test_speakers import join_stage
from throng import wait_until

pytestmark = pytest.mark.aside

OPUS = 111
PACKET_SAMPLES = 960
PACKETS = 300
# A browser in which nobody comes between encoder and network.
WITHOUT_TRANSFORMS = "delete window.RTCRtpScriptTransform"
# For each of some packets, at their timestamps in samples, what becomes of it.
REPEATED = """
async ([module, packets]) => {
  const { Line } = await import(module);
  const line = new Line();
  return packets.map(([timestamp, bytes]) => [...line.repeat(timestamp, Uint8Array.from(bytes))]);
}
"""
# For each of some reports, of what share was lost: whether that is much.
HEAVY = """
async ([module, reports]) => {
  const { Losses } = await import(module);
  const losses = new Losses();
  return reports.map((fractionLost, n) => {
    losses.look({ timestamp: n, fractionLost });
    losses.look({ timestamp: n, fractionLost: 1 });
    return losses.isHeavy;
  });
}
"""
WITHOUT_FEC = "async ([module, answer]) => (await import(module)).withoutFec(answer)"


@pytest.fixture(scope="module")
def desk(node, chromium):
    """Runs a script with a module of the desk, in its page."""
    space = node.live("Copies")
    with chromium.page(space.speaker_urls[0], tapped=False) as page:
        address = "name => new URL(name, document.querySelector('script[type=module]').src).href"
        yield lambda script, name, argument: page.evaluate(script, [page.evaluate(address, name), argument])


@pytest.fixture
def repeated(desk):
    """What becomes of packets that one line sends."""
    return lambda *packets: [bytes(packet) for packet in desk(REPEATED, "red.js", packets)]


def red(own, *copies):
    """RFC 2198, section 3; copies as (timestamp offset, sound)."""
    headers = [(1 << 31 | OPUS << 24 | offset << 10 | len(sound)).to_bytes(4) for offset, sound in copies]
    return b"".join([*headers, bytes([OPUS]), *(sound for _, sound in copies), own])


def as_a_browser(first, *sounds):
    """Packets one after the other, each with a copy of the one before."""
    before = [None, *sounds]
    packets = [red(own, *([(PACKET_SAMPLES, last)] if last else [])) for own, last in zip(sounds, before)]
    return [((first + n * PACKET_SAMPLES) % 2**32, list(packet)) for n, packet in enumerate(packets)]


@pytest.mark.parametrize("first", [0, 2**32 - 2 * PACKET_SAMPLES])
def test_each_packet_carries_the_first_and_the_third_before_it(repeated, first):
    sounds = [bytes([n]) * (60 + n) for n in range(6)]
    assert repeated(*as_a_browser(first, *sounds)) == [
        red(sounds[0]),
        red(sounds[1], (960, sounds[0])),
        red(sounds[2], (960, sounds[1])),
        *(red(sounds[n], (2880, sounds[n - 3]), (960, sounds[n - 1])) for n in range(3, 6)),
    ]


def test_after_a_pause_nothing_old_is_sent(repeated):
    spoken, after = as_a_browser(0, b"a", b"b", b"c"), as_a_browser(96_000, b"d", b"e")
    assert repeated(*spoken, *after)[3:] == [red(b"d"), red(b"e", (960, b"d"))]


def test_a_packet_stays_shorter_than_a_path_carries_and_a_copy_than_its_header_can_say(repeated):
    sounds = [bytes([n]) * 500 for n in range(4)]
    assert repeated(*as_a_browser(0, *sounds))[3] == red(sounds[3], (2880, sounds[0])), "two copies would be 1,500 bytes"
    long, next_one = red(bytes(1_024)), red(b"b")
    assert repeated([0, list(long)], [PACKET_SAMPLES, list(next_one)]) == [long, next_one], "its length has ten bits"


@pytest.mark.parametrize("packet", [b"", bytes([OPUS]), red(b"", (960, b"a")), red(b"b", (960, b"a"))[:5], b"\xff\xff\xff\xff"])
def test_what_is_no_such_packet_is_left_alone(repeated, packet):
    assert repeated([0, list(packet)]) == [packet]


def bytes_a_packet(node, chromium, *scripts):
    """What a packet of a talking page carries, without headers, on average."""
    space = node.live("Copies that are sent")
    with chromium.page("about:blank", tapped=False) as page:
        for script in (browser.KEEP_CONNECTION, *scripts):
            page.add_init_script(script)
        page.goto(space.speaker_urls[0], wait_until="commit")
        join_stage(page)
        wait_until(lambda: space.is_talking(1), "the page talks")
        wait_until(lambda: page.evaluate(browser.SENT)["packetsSent"] >= PACKETS, "it has talked for a while")
        assert page.complaints == []
        sent = page.evaluate(browser.SENT)
        return sent["bytesSent"] / sent["packetsSent"]


def test_our_page_sends_two_copies_and_where_its_browser_lets_nobody_one(node, chromium):
    # Three sounds in a packet instead of two.
    assert bytes_a_packet(node, chromium) > 1.3 * bytes_a_packet(node, chromium, WITHOUT_TRANSFORMS)


def test_coarse_copies_are_added_where_much_is_lost_and_for_as_long(desk):
    heavy = lambda reports: desk(HEAVY, "fec.js", reports)
    assert not any(heavy([0.05, 0.1] * 100)), "what copies of packets fill"
    assert not any(heavy([0, 0, 0, 0, 1] + [0] * 20)), "a hiccup"
    many = heavy([0.3] * 40 + [0.14] * 40 + [0] * 40)
    assert many.index(True) < 20 and all(many[many.index(True) : 80]), "it stays while it is not little"
    assert not many[-1]


def test_an_answer_without_coarse_copies_is_the_same_otherwise(desk):
    answer = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1;stereo=1\r\na=rtpmap:63 red/48000/2\r\n"
    assert desk(WITHOUT_FEC, "fec.js", answer) == answer.replace("useinbandfec=1", "useinbandfec=0")
