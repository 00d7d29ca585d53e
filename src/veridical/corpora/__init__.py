"""Corpora: scanning them into manifests, splitting without leaks, statistics, and the audit of shortcuts."""

from veridical.corpora.adapter import Adapter, Notes, Notice, OfficialCount, ScanResult
from veridical.corpora.auditing import AuditResult, audit
from veridical.corpora.demographics import DEMOGRAPHICS, demographic
from veridical.corpora.differences import differences
from veridical.corpora.expected import EXPECTED, official_counts
from veridical.corpora.groups import LINKS, attribute_column, leak_groups
from veridical.corpora.held_out import HELD_OUT, held_out_corpora
from veridical.corpora.people import resampling_units, target_groups
from veridical.corpora.probing import ProbeResult, Probing, probe_media
from veridical.corpora.proof import Absence, Leak, Proof, prove, split_counts
from veridical.corpora.properties import PROPERTIES
from veridical.corpora.scanning import CORPORA, scan, scan_to_file
from veridical.corpora.splitting import GROUP_BY, SCHEMES, SplitResult, split
from veridical.corpora.statistics import Statistics, statistics
from veridical.corpora.tables import TextTable, videos_table
from veridical.corpora.trainable import training_obstacles
from veridical.corpora.tree import VIDEO_SUFFIXES, list_files

__all__ = [
    "CORPORA",
    "DEMOGRAPHICS",
    "EXPECTED",
    "GROUP_BY",
    "HELD_OUT",
    "LINKS",
    "PROPERTIES",
    "SCHEMES",
    "VIDEO_SUFFIXES",
    "Absence",
    "Adapter",
    "AuditResult",
    "Leak",
    "Notes",
    "Notice",
    "OfficialCount",
    "ProbeResult",
    "Probing",
    "Proof",
    "ScanResult",
    "SplitResult",
    "Statistics",
    "TextTable",
    "attribute_column",
    "audit",
    "demographic",
    "differences",
    "held_out_corpora",
    "leak_groups",
    "list_files",
    "official_counts",
    "probe_media",
    "prove",
    "resampling_units",
    "scan",
    "scan_to_file",
    "split",
    "split_counts",
    "statistics",
    "target_groups",
    "training_obstacles",
    "videos_table",
]
