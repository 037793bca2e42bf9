"""What the terminal says of a run in the end."""

from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.report.page import ReportInputs


def summary(inputs: ReportInputs) -> str:
    """A few lines for the terminal."""
    confusion, classes = inputs.confusion, inputs.classes
    kind = "classes" if inputs.grouping is None else "groups of classes"
    seen = "whose images no network has looked at"
    if confusion is not None:
        seen = f"top-1 {100 * confusion.accuracy:.1f} % on {confusion.num_images:,} validation images"
    lines = [
        f"{inputs.name}: {classes.num_classes:,} {kind}, {seen}",
        _chosen(classes) if inputs.grouping is None else _grouped(inputs.grouping),
        "  " + ", ".join(classes.class_names[:20]) + (", ..." if len(classes.class_names) > 20 else ""),
    ]
    for split, info in inputs.betons.items():
        skipped = f", {len(info.skipped)} skipped" if info.skipped else ""
        lines.append(f"{split}.beton: {info.num_images:,} images, {info.bytes / 1e6:.1f} MB{skipped}")
    if inputs.resolution is not None:
        lines.append(f"resolution: {inputs.resolution.describe()}")
    lines += [
        f"{run.network} trained on the subset: top-1 {100 * run.last_top1:.1f} % "
        f"(last of {len(run.epochs)} epochs, chance {100 / run.num_classes:.1f} %)"
        for run in inputs.runs
    ]
    return "\n".join(lines)


def _chosen(classes: ClassSubset) -> str:
    facts, text = classes.facts, f"chosen: {len(classes.classes)} classes ({classes.method})"
    if "value" not in facts:  # listed, or chosen by another program
        return text
    return (
        f"{text}, {facts['value']:,} images confused among them "
        f"(a random choice: {facts['value_of_a_random_choice']:.1f}), "
        f"top-1 on them {100 * facts['accuracy']:.1f} %" + (f"; {facts['verdict']}" if "verdict" in facts else "")
    )


def _grouped(grouping: ClassGrouping) -> str:
    facts = grouping.facts
    text = f"grouped: {sum(map(len, grouping.labels)):,} classes into {len(grouping.labels)} ({grouping.method})"
    if not facts:  # grouped by another program
        return text
    return (
        f"{text}, {100 * facts['share_inside']:.1f} % of the errors fall inside groups "
        f"(at random {100 * facts['share_inside_at_random']:.1f} %)"
    )
