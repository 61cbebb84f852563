"""Settings of a training run from the number of images and the device, each with a sentence that says why.

How they were found, and how far they are from the best of a search: docs/settings.md (`benchmarks/settings.py`).
"""

import math
from dataclasses import dataclass, replace

from angulus.data.loading.augmentation import Augment
from angulus.plain_numbers import counted
from angulus.speech.augmentation import SpeechAugment
from angulus.training.recipe.choices import Choice

# Examples seen in a run, on a CPU and on a GPU.
EXAMPLES = {False: 150_000, True: 4_000_000}
CHUNK = 200  # frames of 10 ms
MANY_IMAGES = 5  # of a person
DEEP_IMAGES, DEEP_PEOPLE = 100, 100  # many images each of few people: so many at least, so many at most
DEEP_SEEN = 3_200  # times that each of them is seen
RATE, SEEN = 0.05, 120  # with batches of 64 where a person is seen so often
MANY_PEOPLE, MOST_RATE, MOST_PLAIN_RATE = 1_000, 0.1, 0.2  # plain softmax gets larger steps for more people than these
FEWEST_STEPS, MOST_EPOCHS, FEWEST_EPOCHS = 1_200, 120, 6


def power_of_two(number: float) -> int:
    """The power of two next to a number, at least one."""
    return 2 ** round(math.log2(max(number, 1.0)))


@dataclass(frozen=True, kw_only=True)
class Rules:
    """images: examples that are trained on.  classes: of how many people.  noun: what one is called.  is_small: the
    network is TinyNet or TinySpeech.  is_tuned: it begins with weights."""

    images: int
    classes: int = 1
    on_gpu: bool = False
    is_small: bool = True
    is_tuned: bool = False
    noun: str = "image"

    @property
    def is_searched(self) -> bool:
        """Whether it is TinyNet with images, with which these rules were tried: `benchmarks/setting_rules.py`."""
        return self.is_small and self.noun == "image"

    @property
    def is_deep(self) -> bool:
        """Whether there are many images each of few people, and TinyNet begins at random: larger batches are better
        then, and a smaller margin that grows for longer."""
        is_scratch = self.is_searched and not self.is_tuned
        return is_scratch and self.classes <= DEEP_PEOPLE and self.images >= DEEP_IMAGES * self.classes

    def batch(self, multiple: int = 1, least: int = 1) -> Choice[int]:
        """Examples of a step: the power of two next to a fiftieth of the images, 16 to 128; for large sets more.

        Above 32 TinyNet takes a hundredth where a person has five images or more: with half the batch it did better
        there, and worse where a person has two or three. A sixteenth where few people have a hundred images or more.

        multiple: what it must be a multiple of.  least: where the processes of a run need more.
        """
        most = 512 if self.on_gpu and self.images > 500_000 else 128
        size = power_of_two(self.images / 50)
        if self.is_deep:
            size = power_of_two(self.images / 16)
        elif self.is_searched and self.images >= MANY_IMAGES * self.classes:
            size = max(min(size, 32), power_of_two(self.images / 100))
        size = max(least, min(most, max(16, size)))
        size = -(-size // multiple) * multiple
        steps = max(1, self.images // size)  # the last, smaller batch is left out
        reason = f"{counted(steps, 'step')} in a pass over {counted(self.images, self.noun)}"
        return Choice(key="train.batch_size", value=size, reason=reason)

    def epochs(self, batch: int) -> Choice[int]:
        """Passes: about 150 thousand examples on a CPU and 4 million on a GPU, at least 6, more for small sets.

        At most 60 with TinyNet, and 40 with networks with which more have not been tried. Where few people have many
        images each, so few that a person is seen 3,200 times: more teach those people by heart.
        """
        most = 60 if self.is_searched else 40
        wanted = min(most, max(FEWEST_EPOCHS, math.ceil(EXAMPLES[self.on_gpu] / max(self.images, 1))))
        steps = max(1, self.images / batch)
        needed = min(MOST_EPOCHS, math.ceil(FEWEST_STEPS / steps))
        usual = passes = max(wanted, needed)
        if self.is_deep:
            passes = min(usual, max(FEWEST_EPOCHS, round(DEEP_SEEN * self.classes / self.images)))
        reason = f"{counted(passes * self.images, self.noun)} in {counted(round(steps * passes), 'step')}"
        if passes < usual:
            reason += "; more would teach so few people by heart"
        return Choice(key="train.epochs", value=passes, reason=reason)

    def rate(self, batch: int, epochs: int, *, is_sgd: bool, is_plain: bool = False) -> Choice[float]:
        """The peak of the learning rate: for SGD it grows with the batch, up to 0.1.

        With TinyNet it is lower, down to a quarter, where a person is seen fewer than 120 times: a class weight that
        the first of few steps moves far stays there. Plain softmax, which normalises nothing, wants no less then, and
        more with thousands of people: up to 0.2.

        is_plain: the loss is plain softmax.
        """
        if not is_sgd:
            return Choice(key="optim.lr", value=1e-3, reason="AdamW's usual rate")
        if self.is_tuned:
            return Choice(key="optim.lr", value=0.05, reason="of the head, which begins at mean embeddings")
        most = MOST_RATE
        if self.is_searched:
            rate, reason = RATE * math.sqrt(batch / 64), f"0.05 x root of batch / 64, with {batch}"
            seen = self.images * epochs / max(self.classes, 1)
            if is_plain and self.classes > MANY_PEOPLE:
                rate, most = rate * math.sqrt(self.classes / MANY_PEOPLE), MOST_PLAIN_RATE
                reason += f", and more since plain softmax has {self.classes:,} people to tell apart"
            elif not is_plain and seen < SEEN:
                rate *= max(0.25, seen / SEEN)
                reason += f", and less since a person is seen only {counted(round(seen), 'time')}"
        elif self.is_small:
            rate, reason = 0.1 * math.sqrt(batch / 64), f"0.1 from batches of 64 on, less for {batch}"
        else:
            rate, reason = 0.1 * batch / 256, f"0.1 x batch / 256, at most 0.1, with {batch}"
        return Choice(key="optim.lr", value=float(f"{min(most, rate):.2g}"), reason=reason)

    def warmup(self, epochs: int) -> Choice[float]:
        """Epochs in which the rate rises: a twentieth of the run, at least one."""
        value = max(1.0, round(epochs / 20, 1))
        return Choice(key="learning_rate.warmup_epochs", value=value, reason="a twentieth of the run, at least a pass")

    def decay(self, *, is_sgd: bool) -> Choice[float]:
        """Weight decay."""
        if not is_sgd:
            return Choice(key="optim.weight_decay", value=0.05, reason="AdamW's usual decay")
        return Choice(key="optim.weight_decay", value=5e-4, reason="the published value")

    def dropout(self) -> Choice[float]:
        """Dropout before the embedding of TinyNet."""
        if self.images < 50_000:
            return Choice(
                key="model.dropout", value=0.2, reason=f"{counted(self.images, self.noun)} are few for the network"
            )
        return Choice(
            key="model.dropout", value=0.0, reason=f"{counted(self.images, self.noun)} are enough for the network"
        )

    def frames(self, usual: int) -> Choice[tuple[int, int]]:
        """Chunks of speech: two seconds, or the recording in the middle where that is shorter."""
        value = min(CHUNK, usual)
        reason = "two seconds" if value == CHUNK else f"the recording in the middle has {usual} frames"
        return Choice(key="train.frames", value=(value, value), reason=reason)

    def speech_augment(self, *, is_sound: bool) -> Choice[Augment | SpeechAugment]:
        """Random changes of speech."""
        if not is_sound:
            masks = replace(SpeechAugment.off(), masking=0.5, time_width=20)
            return Choice(key="augment", value=masks, reason="stored features can only be masked")
        return Choice(key="augment", value=SpeechAugment(), reason="noise, other voices and rooms, as is usual")

    def augment(self, *, has_characters: bool) -> Choice[Augment | SpeechAugment]:
        """Random changes of the images."""
        reason = "a mirrored character is another one" if has_characters else "mild changes of aligned images"
        return Choice(key="augment", value=Augment(flip=0.0 if has_characters else 0.5), reason=reason)
