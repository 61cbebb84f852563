"""From audio to features: files, resampling, filter banks, and the changes that training makes to waveforms.

    read_waveform(path, 16_000)                  int16 [samples], whatever the file's rate and channels
    SpeechAugment().apply(waveforms, ...)        noise, babble, rooms, telephones; drawn from (seed, step)
    FilterBank(bands=80)(waveforms)              what a network sees

Samples are on the scale of 16-bit integers everywhere. Files need `pip install "angulus[speech]"`.
"""

from angulus.speech.activity import Activity
from angulus.speech.augmentation import SpeechAugment
from angulus.speech.background.material import Bank
from angulus.speech.filter_bank import FilterBank
from angulus.speech.recordings import EXTENSIONS, Recording, flac_bytes, probe, read_waveform, write_flac
from angulus.speech.rooms import Room, drawn_responses, room_response
from angulus.speech.speeds import length_after, perturbed
from angulus.speech.synthetic import DrawnSpeaker, drawn_utterance

__all__ = [
    "EXTENSIONS",
    "Activity",
    "Bank",
    "DrawnSpeaker",
    "FilterBank",
    "Recording",
    "Room",
    "SpeechAugment",
    "drawn_responses",
    "drawn_utterance",
    "flac_bytes",
    "length_after",
    "perturbed",
    "probe",
    "read_waveform",
    "room_response",
    "write_flac",
]
