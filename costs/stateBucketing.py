"""Raw values to the words that stand in keys and prompts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from costs.schemas import Bucket


def computeBucketWord(value: bool | float | str, buckets: Sequence[Bucket]) -> str:
    """Returns the word for a value of a state variable.

    Args:
        value: A number, which falls into a bucket, or a choice or flag, which stands for itself.
        buckets: In rising order; empty for choices, flags and numbers kept exact.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    for bucket in buckets:
        if value < bucket.toValue:
            return bucket.name
    # The last bucket includes its upper edge; without buckets a number stands for itself.
    return buckets[-1].name if buckets else f"{value:g}"


def checkBuckets(buckets: Sequence[Bucket], minimum: float, maximum: float) -> list[str]:
    """Returns what is wrong with a number's buckets, each as a sentence."""
    if not buckets:
        return ["a number needs at least one bucket"]
    problems = []
    if len({bucket.name for bucket in buckets}) < len(buckets):
        problems.append("two buckets have the same name")
    if any(bucket.name == "any" for bucket in buckets):
        problems.append("no bucket may be called any")
    if buckets[0].fromValue != minimum or buckets[-1].toValue != maximum:
        problems.append(f"the buckets must reach from {minimum:g} to {maximum:g}")
    for bucket in buckets:
        if bucket.fromValue >= bucket.toValue:
            problems.append(f"bucket {bucket.name} is empty")
    for left, right in itertools.pairwise(buckets):
        if left.toValue != right.fromValue:
            problems.append(
                f"there is a gap or an overlap between {left.name} (to {left.toValue:g}) "
                f"and {right.name} (from {right.fromValue:g})"
            )
    return problems
