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
PLAIN_DECAY, PLAIN_PEOPLE = 2.5e-3, 100  # weight decay of plain softmax with more people than these
CHARACTERS = 3  # times the usual strength of random changes
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

    def batch(self, multiple: int = 1, least: int = 1, most: int | None = None) -> Choice[int]:
        """Examples of a step: the power of two next to a fiftieth of the images, 16 to 128; for large sets more.

        Above 32 TinyNet takes a hundredth where a person has five images or more: with half the batch it did better
        there, and worse where a person has two or three. A sixteenth where few people have a hundred images or more.

        multiple: what it must be a multiple of.  least: where the passes of a step need more.  most: where there are
        too few people for more.
        """
        usual = 512 if self.on_gpu and self.images > 500_000 else 128
        size = power_of_two(self.images / 50)
        if self.is_deep:
            size = power_of_two(self.images / 16)
        elif self.is_searched and self.images >= MANY_IMAGES * self.classes:
            size = max(min(size, 32), power_of_two(self.images / 100))
        size = max(least, min(usual, max(16, size)))
        size = -(-size // multiple) * multiple
        if most is not None:
            size = min(size, max(multiple, most // multiple * multiple))
        steps = max(1, self.images // size)  # the last, smaller batch is left out
        reason = f"{counted(steps, 'step')} in a pass over {counted(self.images, self.noun)}"
        return Choice(key="train.batch_size", value=size, reason=reason)

    def epochs(self, batch: int, least: int = 1) -> Choice[int]:
        """Passes: about 150 thousand examples on a CPU and 4 million on a GPU, at least 6, more for small sets.

        At most 60 with TinyNet, and 40 with networks with which more have not been tried. Where few people have many
        images each, so few that a person is seen 3,200 times: more teach those people by heart.

        least: passes that something else in the recipe asks for.
        """
        most = 60 if self.is_searched else 40
        wanted = min(most, max(FEWEST_EPOCHS, math.ceil(EXAMPLES[self.on_gpu] / max(self.images, 1))))
        steps = max(1, self.images / batch)
        needed = min(MOST_EPOCHS, math.ceil(FEWEST_STEPS / steps))
        usual = passes = max(wanted, needed)
        if self.is_deep:
            passes = min(usual, max(FEWEST_EPOCHS, round(DEEP_SEEN * self.classes / self.images)))
        passes = max(passes, least)
        whole = max(1, self.images // batch)  # the last, smaller batch is left out
        seen = min(self.images, whole * batch)
        reason = f"{counted(passes * seen, self.noun)} in {counted(whole * passes, 'step')}"
        if passes < usual:
            reason += "; more would teach so few people by heart"
        return Choice(key="train.epochs", value=passes, reason=reason)

    def rate(
        self, batch: int, epochs: int, *, is_sgd: bool, is_plain: bool = False, at_means: bool = True
    ) -> Choice[float]:
        """The peak of the learning rate: for SGD it grows with the batch, up to 0.1.

        With TinyNet it is lower, down to a quarter, where a person is seen fewer than 120 times: a class weight that
        the first of few steps moves far stays there. Plain softmax, which normalises nothing, wants no less then, and
        more with thousands of people: up to 0.2.

        is_plain: the loss is plain softmax.  at_means: class weights begin at mean embeddings, where weights are given.
        """
        if not is_sgd:
            return Choice(key="optim.lr", value=1e-3, reason="AdamW's usual rate")
        if self.is_tuned:
            reason = (
                "of the head, which begins at mean embeddings" if at_means else "of the head; the network takes less"
            )
            return Choice(key="optim.lr", value=0.05, reason=reason)
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
        if rate > most and "at most" not in reason:
            reason += f", at most {most:g}"
        return Choice(key="optim.lr", value=float(f"{min(most, rate):.2g}"), reason=reason)

    def warmup(self, epochs: int) -> Choice[float]:
        """Epochs in which the rate rises: a twentieth of the run, at least one."""
        value = max(1.0, round(epochs / 20, 1))
        return Choice(key="learning_rate.warmup_epochs", value=value, reason="a twentieth of the run, at least a pass")

    def decay(self, *, is_sgd: bool, is_plain: bool = False) -> Choice[float]:
        """Weight decay: the published value; five times as much for TinyNet with plain softmax and more than a hundred
        people, since that loss alone bounds no length of class weights and embeddings.

        is_plain: the loss is plain softmax.
        """
        if not is_sgd:
            return Choice(key="optim.weight_decay", value=0.05, reason="AdamW's usual decay")
        if is_plain and self.is_searched and not self.is_tuned and self.classes > PLAIN_PEOPLE:
            reason = "five times the published value, since plain softmax bounds no length"
            return Choice(key="optim.weight_decay", value=PLAIN_DECAY, reason=reason)
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
        """Random changes of the images: mild for faces, three times as strong for characters, which nobody aligned, and
        no mirror images of these."""
        if not has_characters:
            return Choice(key="augment", value=Augment(), reason="mild changes of aligned images")
        plain = Augment(flip=0.0)
        if not self.is_searched or self.is_tuned:
            return Choice(key="augment", value=plain, reason="a mirrored character is another one")
        changes = {
            name: round(CHARACTERS * getattr(plain, name), 3) for name in ("crop", "photometric", "low_resolution")
        }
        reason = "strong changes of characters; a mirrored one is another one"
        return Choice(key="augment", value=replace(plain, **changes), reason=reason)
