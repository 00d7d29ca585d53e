"""Corpora as they are downloaded become manifests, splits that do not leak, statistics, and an audit of shortcuts."""

from veridical.corpora.adapter import Adapter, Notice, OfficialCount, ScanResult
from veridical.corpora.groups import LINKS, attribute_column, leak_groups
from veridical.corpora.hashes import perceptual_hash
from veridical.corpora.probing import ProbeResult, probe_media
from veridical.corpora.proof import Leak, Proof, prove, split_counts
from veridical.corpora.scanning import CORPORA, scan
from veridical.corpora.splitting import GROUP_BY, SCHEMES, SplitResult, split

__all__ = [
    "CORPORA",
    "GROUP_BY",
    "LINKS",
    "SCHEMES",
    "Adapter",
    "Leak",
    "Notice",
    "OfficialCount",
    "ProbeResult",
    "Proof",
    "ScanResult",
    "SplitResult",
    "attribute_column",
    "leak_groups",
    "perceptual_hash",
    "probe_media",
    "prove",
    "scan",
    "split",
    "split_counts",
]
