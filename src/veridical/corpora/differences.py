"""In what two corpora differ: what a loss of accuracy from one to the other may come from."""

from __future__ import annotations

from collections.abc import Mapping

from veridical.corpora.statistics import Statistics

_MOST_NAMES = 6
_LEAST_SHARE = 0.1
"""Lengths and shares of groups of people that differ by less are not named."""
UNKNOWN = "unknown"


def differences(first: Statistics, second: Statistics) -> tuple[str, ...]:
    """Return a line per fact in which the second corpus differs from the first: generators, compression, speakers, lengths."""
    pairs = {
        "generators": (_generators(first), _generators(second)),
        "compression": (_compressions(first), _compressions(second)),
        "speakers": (_speakers(first), _speakers(second)),
        **{f"speakers by {kind}": groups for kind, groups in _groups(first, second).items()},
        "seconds (quartiles)": _lengths(first, second),
    }
    return tuple(f"{name}: {before} → {after}" for name, (before, after) in pairs.items() if before != after)


def _generators(corpus: Statistics) -> str:
    return _listed(sorted(row.generator for row in corpus.generators if row.generator not in ("real", "unlabelled")))


def _compressions(corpus: Statistics) -> str:
    return _listed(sorted({level for row in corpus.matrix.values() for level, count in row.items() if count}))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more or "none"


def _speakers(corpus: Statistics) -> str:
    people = corpus.totals.get("people")
    return f"{people:,}" if people else UNKNOWN


def _groups(first: Statistics, second: Statistics) -> dict[str, tuple[str, str]]:
    """Return what is known of people → their groups in both corpora; where all shares are nearly the same, one text twice."""
    texts: dict[str, tuple[str, str]] = {}
    for kind in dict.fromkeys([*first.groups, *second.groups]):
        mine, theirs = _shares(first.groups.get(kind, {})), _shares(second.groups.get(kind, {}))
        alike = mine.keys() == theirs.keys() and all(abs(mine[name] - theirs[name]) < _LEAST_SHARE for name in mine)
        texts[kind] = (_shares_text(mine), _shares_text(mine if alike else theirs))
    return texts


def _shares(counts: Mapping[str, int]) -> dict[str, float]:
    return {name: count / sum(counts.values()) for name, count in counts.items()}


def _shares_text(shares: Mapping[str, float]) -> str:
    return _listed([f"{name} {share:.0%}" for name, share in shares.items()]) if shares else UNKNOWN


def _lengths(first: Statistics, second: Statistics) -> tuple[str, str]:
    mine, theirs = ([corpus.totals.get(f"duration_s_{share}") for share in (25, 50, 75)] for corpus in (first, second))
    alike = all(
        a is not None and b is not None and abs(a - b) <= _LEAST_SHARE * max(a, b)
        for a, b in zip(mine, theirs, strict=True)
    )
    texts = ["/".join(UNKNOWN if value is None else f"{value:.1f}" for value in corpus) for corpus in (mine, theirs)]
    return (texts[0], texts[0] if alike else texts[1])
