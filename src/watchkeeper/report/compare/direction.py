"""Which figures of a metric are the better ones: by a person's rules, else by its name. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

from watchkeeper.core.text import lazy

Better = Literal["more", "less", ""]
"""Which figures are the better ones; "" : it is not known, and the metric has no best."""

NO_RULES: Mapping[str, str] = {}
_ENDS: Mapping[str, Better] = {"max": "more", "min": "less"}
_WORD = lazy.pattern(r"[^a-z0-9@]+")
_LESS = lazy.pattern(
    r"\w*loss(?:es)?|\w*errors?|err|perplexity|ppl|[wct]er|r?mse|mae|mape|bp[bcd]|nll|xent|latency"
    r"|\w*time|seconds|duration|elapsed|divergence|kl|fid|regret"
)
_MORE = lazy.pattern(
    r"\w*accuracy|acc|(?:acc|f1|pass|hits|recall|precision|ndcg)@\d+|f1|em|exact|match|includes"
    r"|correct|bleu\d?|rouge\w*|chrf|meteor|auc|auroc|auprc|precision|recall|m?ap|ndcg|mrr|scores?"
    r"|rewards?|m?iou|dice|psnr|ssim|r2|throughput|win[_ -]?rate|winrate|top\d"
)


# What is set, counted or spread, whatever it is of: `loss_scale`, `reward_std`.
_NEITHER = lazy.pattern(
    r"scale|weights?|coef\w*|factor|limit|budget|counts?|num|bits|clip|threshold|target|std\w*|var\w*"
)


def better_end(metric: str, rules: Mapping[str, str] = NO_RULES) -> Better:
    """Which figures of a metric are the better ones.

    `rules` are those of settings, pattern → `max` or `min`: one with the metric's whole name counts
    before all others, then the first that matches. Of a task's metric (`clean accuracy`) a pattern
    may also name the metric alone. Without a rule the words of the name decide.
    """
    rule = _rule_for(metric, rules)
    if rule:
        return _ENDS[rule]
    return _by_name(metric)


def _rule_for(metric: str, rules: Mapping[str, str]) -> str:
    """The first rule that matches, `max` or `min`; "" for none.

    Of `{"*loss": "min", "clean accuracy": "max"}` the second counts for `clean accuracy`, and for
    `clean loss` the first.
    """
    alone = metric.rpartition(" ")[2]
    for name in (metric, alone):
        if name in rules:
            return rules[name]
    for pattern, rule in rules.items():
        if fnmatchcase(metric, pattern) or fnmatchcase(alone, pattern):
            return rule
    return ""


def _by_name(metric: str) -> Better:
    """The better end by the words of a metric's name: `val_loss` is better the less it is,
    `accuracy` the more. "": the words do not say (`samples`), or speak of neither
    (`learning_rate`).
    """
    words = _words(metric)
    if _NEITHER.fullmatch(words[-1]):
        return ""
    if any(map(_LESS.fullmatch, words)):
        return "less"
    if any(map(_MORE.fullmatch, words)):
        return "more"
    return ""


def _words(metric: str) -> list[str]:
    """The words of a metric's name that say what is measured: a task's name before it does not, nor
    does what it is measured per (`tokens_per_second`).
    """
    name, _, _ = metric.rpartition(" ")[2].casefold().partition("_per_")
    return _WORD.split(name)
