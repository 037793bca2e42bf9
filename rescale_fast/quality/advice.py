"""What to believe about sets, in sentences: from the numbers of a Quality alone."""

from collections.abc import Sequence

from rescale_fast.quality.types import Estimate, JudgedSet, MeasuredSet, SeedAgreement, points

FEW_NETWORKS = 10
NEAR_CEILING = 0.95  # share of the seed ceiling


def advise(reference: MeasuredSet, sets: Sequence[JudgedSet], ceiling: SeedAgreement | None) -> tuple[str, ...]:
    """Sentences, the most important first."""
    judged = [one for one in sets if one.role == "subset"]
    sentences = []
    if judged:
        best = max(judged, key=lambda one: one.tau.value)
        sentences += [_of_best(best, reference, ceiling), _of_controls(best)]
        sentences += _of_resolution(best)
    if ceiling is None:
        sentences.append(
            f"{reference.name} has one seed, so that how well it would agree with itself is unknown: train it "
            "again with another seed before blaming a subset."
        )
    if len(reference.accuracies) < FEW_NETWORKS:
        sentences.append(
            f"{len(reference.accuracies)} networks say little: look at the intervals, and add networks that differ."
        )
    return tuple(sentences)


def _of_best(best: JudgedSet, reference: MeasuredSet, ceiling: SeedAgreement | None) -> str:
    name, tau = best.measured.name, best.tau
    text = f"{name} orders the networks most as {reference.name} does (tau {tau.value:.2f}, {_interval(best.tau)})"
    if tau.low <= 0:
        return f"{text}, which may be no agreement at all: do not rank networks on it."
    if ceiling is not None and best.share_of_ceiling is not None:
        share = best.share_of_ceiling
        verdict = "as good as can be asked" if share >= NEAR_CEILING else "below what two seeds of it reach"
        return (
            f"{text}; a single training on it reaches {100 * share:.0f} % of the seed ceiling ({ceiling.mean:.2f}): "
            f"{verdict}."
        )
    sure = next((one.low for one in best.by_gap if one.agreement is not None and one.agreement.value >= 0.95), None)
    if sure is None:
        return f"{text}; at no gap between networks is it right 95 % of the time."
    return f"{text}; it is right about 95 % or more of the pairs that are {points(sure)} points or more apart."


def _of_controls(best: JudgedSet) -> str:
    name = best.measured.name
    controls = {"a random choice": best.above_random, "fewer epochs on the full set": best.above_short}
    missing = [what for what, above in controls.items() if above is None]
    known = {what: above for what, above in controls.items() if above is not None}
    beaten = [what for what, above in known.items() if above.low > 0]
    here = [what for what, above in known.items() if above.low <= 0 and (above.same_low or 0) > 0]
    rest = [what for what in known if what not in beaten and what not in here]
    parts = []
    if beaten:
        parts.append(f"{name} beats {' and '.join(beaten)}.")
    if here:
        parts.append(f"With these networks {name} beats {' and '.join(here)}, but others may say otherwise.")
    if rest:
        parts.append(f"It is not shown that {name} is better than {' or '.join(rest)}.")
    if missing:
        parts.append(f"Not compared with {' or '.join(missing)}: nothing says that choosing was worth it.")
    return " ".join(parts)


def _of_resolution(best: JudgedSet) -> list[str]:
    """How many of the pairs are closer than the validation images resolve."""
    found = best.measured.resolution
    if found is None:
        return []
    accuracies = sorted(best.measured.accuracies)
    pairs = len(accuracies) * (len(accuracies) - 1) // 2
    close = sum(1 for i, a in enumerate(accuracies) for b in accuracies[i + 1 :] if b - a <= found.least_significant)
    images = (
        "1 validation image resolves" if found.val_images == 1 else f"{found.val_images:,} validation images resolve"
    )
    return [
        f"{100 * close / pairs:.0f} % of the pairs differ on {best.measured.name} by less than the "
        f"{points(found.least_significant)} points that its {images}: "
        "their order may be noise."
    ]


def _interval(one: Estimate) -> str:
    return f"95 %: {one.low:.2f} to {one.high:.2f}"
