"""The whole job on synthetic talking heads: the newcomer's first command, and the project's own end-to-end test.

Corpus A trains a detector and tests it on unseen people; corpus B (another rendering, other people, other forgeries) tests how it
generalises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from veridical import corpora, evaluation, forgery, interventions, preparation, progress, puppets, training
from veridical.artefacts import Manifest
from veridical.clips import ClipStore
from veridical.errors import unknown_name
from veridical.pipeline import judge
from veridical.randomness import stream
from veridical.settings import Settings


class CorpusSettings(Settings):
    """A corpus of puppets and of forgeries of them."""

    family: str
    """Rendering family of the puppets."""
    people: int
    videos_per_person: int
    duration_s: float
    methods: tuple[str, ...]
    """Forgeries; every real video gets `per_video` of them, in turn."""
    per_video: int


class DemoSettings(Settings):
    """Sizes of the demo; the defaults fit ten minutes on two cores."""

    seed: int = 0
    a: CorpusSettings = CorpusSettings(
        family="a",
        people=50,
        videos_per_person=2,
        duration_s=3.0,
        methods=("face_swap", "neural_mouth", "voice_converted"),
        per_video=2,
    )
    b: CorpusSettings = CorpusSettings(
        family="b",
        people=12,
        videos_per_person=1,
        duration_s=3.0,
        methods=("reenactment", "face_swap_poisson", "voice_vocoded"),
        per_video=2,
    )
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    """Shares of A that train, validate and test; no person is in two of them."""
    shuffle_labels: bool = False
    """A control: labels are dealt out at random within each split, so nothing can be learned; results go to `shuffled/`."""
    world: str = "clean"
    """What is planted in corpus A as well as the forgeries: a name in `interventions.WORLDS`; results go to `world-<name>/`."""


@dataclass(frozen=True)
class DemoResult:
    """Where the demo left what, and how it ended."""

    folder: Path
    evaluation: evaluation.Evaluation
    report: Path
    num_unusable: int
    """Videos that could not be prepared."""


def run_demo(folder: Path, settings: DemoSettings | None = None, *, workers: int = 2) -> DemoResult:
    """Render, forge, split, prepare, train, score, evaluate and report; finished steps are kept when run again.

    Args:
        folder: Where everything goes; `report.html`, `metrics.csv` and `risks.csv` end up at its top.
        settings: Sizes and seed.
        workers: Processes for rendering, forging and preparation.
    """
    settings = settings or DemoSettings()
    folder = Path(folder).absolute()
    if settings.world not in interventions.WORLDS:
        raise unknown_name("world", settings.world, interventions.WORLDS)
    out = _out_folder(folder, settings)
    manifests = {
        "A": _corpus(folder, "A", settings.a, lambda reals: _split(reals, settings), settings.seed, workers),
        "B": _corpus(folder, "B", settings.b, _all_test, settings.seed, workers),
    }
    paths = {name: folder / f"store-{name}" for name in manifests}
    if settings.world != "clean":
        progress.say(f"plant in A: {settings.world}")
        world = interventions.WORLDS[settings.world]
        manifests["A"] = interventions.plant(manifests["A"], out / "corpus-A", world, settings.seed)
        paths["A"] = out / "store-A"
    stores, num_unusable = {}, 0
    for name, manifest in manifests.items():
        progress.say(f"prepare {name}: faces, speech, exact one-second windows")
        summary = preparation.prepare(manifest, paths[name], workers=workers)
        num_unusable += sum(count for status, count in summary.counts.items() if status != "ok")
        stores[name] = ClipStore.open(paths[name])
    if settings.shuffle_labels:
        manifests = {name: shuffled(manifest, settings.seed) for name, manifest in manifests.items()}
    for name, manifest in manifests.items():
        manifest.write(out / f"manifest-{name}.parquet")
    progress.say("train: video, audio, both")
    recipe = _recipe(paths["A"], out, settings.seed, settings.shuffle_labels)
    run = training.train(recipe, out / "run", resume=(out / "run").exists())
    progress.say("evaluate: unseen people of A, and B")
    result = judge(
        run.run,
        list(stores.values()),
        Manifest.concat(manifests.values()),
        output=out / "evaluation",
        device="cpu",
        title="veridical demo: puppets",
    )
    for name in ("report.html", "metrics.csv", "risks.csv"):
        (out / name).write_bytes((out / "evaluation" / name).read_bytes())
    return DemoResult(folder, result, out / "report.html", num_unusable)


def _out_folder(folder: Path, settings: DemoSettings) -> Path:
    if settings.world != "clean":
        folder = folder / f"world-{settings.world}"
    return folder / "shuffled" if settings.shuffle_labels else folder


def _recipe(store: Path, out: Path, seed: int, shuffled: bool) -> training.Recipe:
    changes = [f"seed={seed}", f"data.store={store}", f"data.manifest={out / 'manifest-A.parquet'}"]
    if shuffled:  # chance is what is to be seen
        changes.append("early_stopping.accept_chance=[video,audio]")
    return training.read_recipe("small", changes)


def _corpus(
    folder: Path, name: str, corpus: CorpusSettings, split: Callable[[Manifest], Manifest], seed: int, workers: int
) -> Manifest:
    """Render real videos, split them by person, forge them within each split, and write the manifest."""
    progress.say(f"render {name}: {corpus.people} people, {corpus.people * corpus.videos_per_person} videos")
    reals = puppets.render_corpus(
        folder / f"puppets-{name}", name=name, num_identities=corpus.people, videos_per_identity=corpus.videos_per_person,
        duration_s=corpus.duration_s, family=corpus.family, seed=seed, workers=workers,
    )  # fmt: skip
    progress.say(f"forge {name}: {', '.join(corpus.methods)}")
    return forgery.forge(
        split(reals),
        folder / f"corpus-{name}",
        methods=corpus.methods,
        per_video=corpus.per_video,
        seed=seed,
        preset="superfast",
        workers=workers,
    ).manifest


def _split(reals: Manifest, settings: DemoSettings) -> Manifest:
    return corpora.split(reals, "stratified", seed=settings.seed, fractions=settings.fractions).manifest


def _all_test(reals: Manifest) -> Manifest:
    return corpora.split(reals, "all-test").manifest


def shuffled(manifest: Manifest, seed: int) -> Manifest:
    """Return the manifest with the rows' labels (all three, and the generator) dealt out anew within each split: a control."""
    frame = manifest.frame(["split", "video_id"])
    order = list(range(len(frame)))
    for split in sorted(frame["split"].unique()):
        places = [i for i in order if frame["split"].iloc[i] == split]
        dealt = [places[i] for i in stream(seed, "shuffle", split).permutation(len(places))]
        for place, source in zip(places, dealt, strict=True):
            order[place] = source
    result = manifest
    for column in ("label", "visual_label", "audio_label", "generator"):
        values = manifest.table[column].to_pylist()
        result = result.with_column(column, [values[i] for i in order])
    return result
