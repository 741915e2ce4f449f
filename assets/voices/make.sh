#!/bin/sh
# Speaks talk.txt with two voices of espeak-ng, one clip per turn: NN-voice.flac, 16 kHz mono, about -20 LUFS.
# Needs espeak-ng, sox and ffmpeg: apt-get install espeak-ng sox ffmpeg
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -f ./*.flac

turn=0
while read -r voice words; do
    turn=$((turn + 1))
    case $voice in
        ada) speaker="-v en-us+f3 -s 158 -p 52" ;;
        ben) speaker="-v en-gb+m3 -s 152 -p 38" ;;
    esac
    # shellcheck disable=SC2086 # the options are words
    espeak-ng $speaker -w "$work/raw.wav" "$words"
    # Rumble off, silence at both ends off, a few milliseconds of air left.
    sox -D -v 0.8 "$work/raw.wav" -r 16000 -c 1 -b 16 "$work/cut.wav" highpass 70 \
        lowpass 7000 silence 1 0.01 0.3% reverse silence 1 0.01 0.3% reverse pad 0.05 0.12
    loudness=$(ffmpeg -hide_banner -nostdin -i "$work/cut.wav" -af ebur128 -f null - 2>&1 |
        awk '/^ *I:/ { last = $2 } END { print last }')
    gain=$(awk "BEGIN { print -20 - ($loudness) }")
    # Thirteen bits are plenty for speech, and FLAC is a third smaller for the three that it finds empty.
    sox -D "$work/cut.wav" "$work/thirteen.wav" gain -l "$gain" vol 0.125
    sox -D "$work/thirteen.wav" -C 8 "$(printf '%02d-%s.flac' "$turn" "$voice")" vol 8
done < talk.txt
