"""Packets get lost on the way from a speaker: the browser sends them again when it is asked, and he is understood; where
too many are lost, the host is told."""

import browser
import signal_kit
from disks import raised
from lossy_wire import LossyWire
from test_speakers import join_stage
from throng import wait_until

SECONDS = 6
LOSS = 0.1
# More than anything fills.
BAD_LOSS = 0.6
STOI_MIN = 0.85
# Of what was lost. Chromium sends again as fast as it thinks the wire bears: some half of what it is asked for.
SENT_AGAIN_SHARE_MIN = 0.25


def test_a_speaker_on_a_lossy_wire_sends_again_and_is_understood_or_the_host_is_told(node, chromium):
    space = node.live("A lossy wire")
    with LossyWire(LOSS, seed=7) as wire, chromium.page("about:blank", tapped=False) as page:
        page.add_init_script(browser.KEEP_CONNECTION)

        def answer(route):
            response = route.fetch()
            route.fulfill(response=response, body=wire.through(response.text()))

        page.route("**/whip", answer)
        page.goto(space.speaker_urls[0])
        join_stage(page)
        # What a page asks for is answered here, and only while the page is asked something.
        wait_until(lambda: page.evaluate("true") and space.is_talking(1), "the speaker talks")
        since = space.recorded_seconds()
        enough = lambda: page.evaluate("true") and space.recorded_seconds() >= since + SECONDS + 2
        wait_until(enough, "the speaker has talked for a while")
        heard = space.recording(SECONDS)
        lost, sent = wire.lost, page.evaluate(browser.SENT)
        # How the node fares is not his line's business.
        assert [alarm for alarm in space.show()["alarms"] if alarm["kind"] != "ladder"] == []
        wire.loss = BAD_LOSS
        alarm, _ = raised(space, "speaker")
    assert lost > 0
    assert sent["nackCount"] >= lost / 2, (lost, sent)
    assert sent["retransmittedPacketsSent"] >= SENT_AGAIN_SHARE_MIN * lost, (lost, sent)
    match = signal_kit.compare(signal_kit.speech("ada"), heard)
    # A browser's microphone that plays a file halts with its machine.
    assert match.silent_ms <= signal_kit.HALT_MAX_MS, match
    assert match.stoi >= STOI_MIN, match
    assert "Speaker 1" in alarm["detail"], alarm
