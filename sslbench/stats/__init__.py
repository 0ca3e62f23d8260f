"""Statistics on plain arrays: what a comparison of methods supports saying, and how surely.

Scores are higher-is-better; NaN stands for a run without one. Every resampling takes an integer seed, which fixes its
result. Nothing here knows of records or files.
"""

from sslbench.stats.critical_difference import CriticalDifference, critical_difference, indistinct_groups
from sslbench.stats.harm import Harm, measure_harm
from sslbench.stats.improvement import Improvement, probability_of_improvement
from sslbench.stats.intervals import Interval, mean_interval
from sslbench.stats.labels_saved import LabelsSaved, labels_saved
from sslbench.stats.multiplicity import holm
from sslbench.stats.paired import PairedComparison, compare_paired
from sslbench.stats.pareto import pareto_front
from sslbench.stats.power import SeedsNeeded, paired_t_power, seeds_needed, seeds_to_tell
from sslbench.stats.ranks import Friedman, friedman, ranks
from sslbench.stats.sign_flips import SignFlip, pairs_to_reach, sign_flip, smallest_p
from sslbench.stats.signed_ranks import PairwiseWilcoxon, pairwise_wilcoxon, wilcoxon
from sslbench.stats.split_lottery import SplitLottery, crossed_lottery, nested_lottery
from sslbench.stats.summary import Summary, summarise
from sslbench.stats.validation import accuracy_noise, examples_to_tell
from sslbench.stats.verdicts import Decision, Verdict, decide, verdict

__all__ = [
    "CriticalDifference",
    "Decision",
    "Friedman",
    "Harm",
    "Improvement",
    "Interval",
    "LabelsSaved",
    "PairedComparison",
    "PairwiseWilcoxon",
    "SeedsNeeded",
    "SignFlip",
    "SplitLottery",
    "Summary",
    "Verdict",
    "accuracy_noise",
    "compare_paired",
    "critical_difference",
    "crossed_lottery",
    "decide",
    "examples_to_tell",
    "friedman",
    "holm",
    "indistinct_groups",
    "labels_saved",
    "mean_interval",
    "measure_harm",
    "nested_lottery",
    "paired_t_power",
    "pairs_to_reach",
    "pairwise_wilcoxon",
    "pareto_front",
    "probability_of_improvement",
    "ranks",
    "seeds_needed",
    "seeds_to_tell",
    "sign_flip",
    "smallest_p",
    "summarise",
    "verdict",
    "wilcoxon",
]
