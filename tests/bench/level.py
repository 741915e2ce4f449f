"""Voices of any loudness, and what levelling makes of them: measured by EBU R 128."""

from figures import example

print(example("loudness"), end="", flush=True)
