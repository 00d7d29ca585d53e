"""Sentences for the puppets to say: a small grammar of our own, so that no text is taken from a corpus."""

from __future__ import annotations

import numpy as np

_PEOPLE = ("my neighbour", "the baker", "our teacher", "a young pilot", "the old gardener", "my sister", "the mayor",
           "a famous painter", "the bus driver", "our doctor", "my best friend", "the woman at the market")  # fmt: skip
_VERBS = ("bought", "found", "painted", "repaired", "forgot", "borrowed", "photographed", "moved", "described",
          "noticed", "wrapped", "hid", "brought home", "gave away")  # fmt: skip
_OBJECTS = ("a wooden boat", "five blue chairs", "the broken window", "a very large map", "some fresh bread",
            "two heavy boxes", "a small green bottle", "the missing key", "an old piano", "a basket of plums",
            "the wrong umbrella", "a beautiful white vase", "four pairs of shoes")  # fmt: skip
_PLACES = ("near the harbour", "behind the church", "at the railway station", "on the way to work", "in the village",
           "above the workshop", "by the frozen river", "under the bridge", "in front of the museum")  # fmt: skip
_TIMES = ("yesterday morning", "last February", "before breakfast", "on Monday", "a few weeks ago", "this evening",
          "every other summer", "shortly after five", "at half past eight")  # fmt: skip
_OPENINGS = ("Well,", "You know,", "Honestly,", "As far as I remember,", "Believe me,", "To be fair,", "In the end,")
_REMARKS = ("nobody was surprised", "we laughed about it for hours", "that was probably a mistake",
            "it made everybody happy", "the weather was awful", "I would do it again", "it took much too long",
            "the phone never stopped ringing", "people still talk about it", "we have to move on")  # fmt: skip
_QUESTIONS = ("What would you have done?", "How could that happen?", "Why did no one wait for them?",
              "Have you ever heard of such a thing?", "Who told you about it?")  # fmt: skip


def sentence(rng: np.random.Generator) -> str:
    """Return one English sentence, 4 to 20 words long."""

    def pick(choices: tuple[str, ...]) -> str:
        return choices[int(rng.integers(len(choices)))]

    kind = rng.random()
    story = f"{pick(_PEOPLE)} {pick(_VERBS)} {pick(_OBJECTS)} {pick(_PLACES)}"
    if kind < 0.12:
        return pick(_QUESTIONS)
    if kind < 0.35:
        text = f"{pick(_OPENINGS)} {pick(_REMARKS)}"
    elif kind < 0.6:
        text = f"{pick(_TIMES)} {story}"
    elif kind < 0.8:
        text = f"{story}, and {pick(_REMARKS)}"
    else:
        text = f"{pick(_OPENINGS)} {story} {pick(_TIMES)}"
    return f"{text[0].upper()}{text[1:]}."


def script(rng: np.random.Generator, num_words: int) -> str:
    """Return sentences with at least this many words in total."""
    sentences: list[str] = []
    while sum(len(text.split()) for text in sentences) < num_words:
        sentences.append(sentence(rng))
    return " ".join(sentences)
