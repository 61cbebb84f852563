"""From audio to features: files, resampling, filter banks, and the changes that training makes to waveforms."""

from angulus.speech.filter_bank import FilterBank

__all__ = ["FilterBank"]
