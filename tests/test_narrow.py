"""When our page sends lean, and how it says so to its browser; the module itself, with reports of our own making."""

import pytest

pytestmark = pytest.mark.aside

# Reports of 250 ms each: (loss, round trip in ms); for each, whether the page sends lean then.
TOLD = """
async ([module, reports]) => {
  const { Narrow } = await import(module);
  const narrow = new Narrow();
  return reports.map(([lost, ms], n) => {
    narrow.look(n * 250, { timestamp: n, fractionLost: lost, roundTripTime: ms / 1000 });
    return [narrow.isLean, narrow.queueMs];
  });
}
"""
LEANED = "async ([module, answer]) => (await import(module)).leaned(answer)"
CALM, LOSSY, LATE, FULL = (0, 80), (0.3, 90), (0, 400), (0.5, 580)

ANSWER = """v=0\r
m=audio 9 UDP/TLS/RTP/SAVPF 63 111\r
a=rtpmap:63 red/48000/2\r
a=fmtp:63 111/111\r
a=rtpmap:111 opus/48000/2\r
a=fmtp:111 minptime=10;useinbandfec=1\r
"""


@pytest.fixture(scope="module")
def narrow(node, chromium):
    """Runs a script with the desk's own module, in its page."""
    space = node.live("A narrow link")
    with chromium.page(space.speaker_urls[0], tapped=False) as page:
        module = page.evaluate("new URL('narrow.js', document.querySelector('script[type=module]').src).href")
        yield lambda script, argument: page.evaluate(script, [module, argument])


def test_a_queue_that_fills_or_stands_makes_the_page_lean_and_neither_loss_nor_a_late_moment_does(narrow):
    lean = lambda *reports: [is_lean for is_lean, _ in narrow(TOLD, reports)]
    assert not any(lean(CALM, LOSSY, LOSSY, LATE, CALM, LATE, LOSSY))
    assert lean(CALM, FULL) == [False, True]
    assert lean(CALM, LATE, LATE) == [False, False, True]


def test_nothing_is_sent_for_as_long_as_the_queue_is_but_not_longer_than_routers_hold(narrow):
    assert narrow(TOLD, [CALM, FULL])[-1][1] == pytest.approx(500)
    assert narrow(TOLD, [CALM, LATE, LATE])[-1][1] == pytest.approx(320)
    assert narrow(TOLD, [CALM, (0.5, 2_000)])[-1][1] == 500


def test_the_usual_is_tried_again_after_45_s_and_a_way_that_stays_long_is_no_queue(narrow):
    lean = [is_lean for is_lean, _ in narrow(TOLD, [CALM, *[LATE] * 800])]
    ends = [n / 4 for n in range(1, len(lean)) if lean[n - 1] and not lean[n]]
    assert ends == [45.5]


def test_a_lean_answer_asks_for_opus_alone_in_packets_of_60_ms_at_16_kbit_s(narrow):
    lines = narrow(LEANED, ANSWER).split("\r\n")
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 111 63" in lines, "RFC 8866, section 5.14: the first is preferred"
    assert "a=fmtp:111 minptime=10;useinbandfec=1;maxaveragebitrate=16000" in lines, "RFC 7587, section 6.1"
    assert lines.index("a=ptime:60") < lines.index("a=rtpmap:63 red/48000/2")
    assert narrow(LEANED, "v=0\r\n") == "v=0\r\n", "what has no Opus is left alone"
