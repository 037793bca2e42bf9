"""ClassSubset: which classes were chosen; ClassGrouping: which became one. How, and how good that is known to be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar

from rescale_fast.artifact import JsonArtifact, write_whole
from rescale_fast.errors import ArtifactError
from rescale_fast.files.fields import At, Count, Means, Positive, Share, member, typed
from rescale_fast.files.reading import DamageError, check_class_ids, read_lines


@dataclass(frozen=True)
class ClassSubset(JsonArtifact):
    """k of K classes, in dataset order. New label i is the i-th of them."""

    schema: ClassVar[str] = "class_subset/1"

    method: Annotated[str, Means("'max-confusion', 'list', ...")]
    num_classes: Annotated[Positive, Means("K, of the set chosen from")]
    classes: Annotated[tuple[Count, ...], At("classes[].label"), Means("(k,) increasing, original labels")]
    class_ids: Annotated[tuple[str, ...], At("classes[].id"), Means("(k,)")]
    class_names: Annotated[tuple[str, ...], At("classes[].name"), Means("(k,)")]
    facts: Annotated[Mapping[str, Any], Means("what the method knows of its result, e.g. {'value': 310}; JSON values")]

    def members(self) -> tuple[tuple[int, ...], ...]:
        """Original labels of each new label: one each."""
        return tuple((label,) for label in self.classes)

    def save(self, path: Path) -> None:
        """Write the JSON, and beside it a .txt with one class id a line (the published lists' format)."""
        with write_whole(path.with_suffix(".txt")) as temporary:
            temporary.write_text("".join(f"{name}\n" for name in self.class_ids), encoding="utf-8")
        super().save(path)

    def check_list(self, path: Path) -> None:
        """Raise ArtifactError where the .txt beside `path`, the JSON, lists other classes: which are meant?"""
        beside = path.with_suffix(".txt")
        if beside.exists() and tuple(line for line in read_lines(beside) if line) != self.class_ids:
            raise ArtifactError(
                f"{beside}: lists other classes than {path.name} beside it, which is what is read. To take those "
                f"of the list, `rescale-fast select --classes` a copy of it; else `rescale-fast select` again."
            )

    def check(self) -> None:
        _check_labels("classes", self.classes, self.num_classes)
        check_class_ids("classes", self.class_ids)
        _check_facts(self.facts, {"value": Count, "value_of_a_random_choice": float, "accuracy": Share})
        if "upper_bound" in self.facts:
            how_good = {"upper_bound": float, "objective_of_greedy": float, "pair_weights": str, "is_optimal": bool}
            _check_facts(self.facts, how_good)
        if "over_k" in self.facts:
            _check_curves(self.facts["over_k"])
        if "held_out_tau" in self.facts:
            _check_facts(self.facts, {"held_out_tau": float, "random_tau_95": float, "verdict": str})


@dataclass(frozen=True)
class ClassGrouping(JsonArtifact):
    """Coarse classes: each is a group of the K classes and takes all their images. Classes in no group are left out."""

    schema: ClassVar[str] = "class_grouping/1"

    method: Annotated[str, Means("'confused', 'wordnet', ...")]
    num_classes: Annotated[Positive, Means("K, of the set grouped")]
    class_ids: Annotated[tuple[str, ...], At("groups[].id"), Means("(g,) of the groups, by new label; unique")]
    class_names: Annotated[tuple[str, ...], At("groups[].name"), Means("(g,)")]
    labels: Annotated[tuple[tuple[Count, ...], ...], At("groups[].classes[].label"), Means("(g,) original, increasing")]
    member_ids: Annotated[tuple[tuple[str, ...], ...], At("groups[].classes[].id"), Means("(g,) their class ids")]
    facts: Mapping[str, Any]

    def members(self) -> tuple[tuple[int, ...], ...]:
        """Original labels of each new label."""
        return self.labels

    def check(self) -> None:
        for group, labels in zip(self.class_ids, self.labels, strict=True):
            _check_labels(f"the classes of {group!r}", labels, self.num_classes)
        if len({label for labels in self.labels for label in labels}) < sum(map(len, self.labels)):
            raise DamageError("a class is in two of its groups")
        check_class_ids("groups", self.class_ids)
        check_class_ids("the groups' classes", [one for ids in self.member_ids for one in ids])
        of_classes = dict.fromkeys(("classes_left_out", "smallest_group", "largest_group"), Count)
        _check_facts(self.facts, {**of_classes, "share_inside": Share, "share_inside_at_random": Share})


def _check_labels(what: str, labels: Sequence[int], num_classes: int) -> None:
    if not labels:
        raise DamageError(f"{what}: there are none, expected at least one")
    if any(a >= b for a, b in pairwise(labels)) or labels[-1] >= num_classes:
        raise DamageError(f"{what}: their labels are not increasing, or not below {num_classes:,}")


def _check_curves(found: object) -> None:
    """Raise DamageError unless these are the lists over k that `Relaxation.over_k` makes, all of one length."""
    curves = typed(found, Mapping[str, tuple[float, ...]], "facts.over_k")
    lists = [member(curves, name, "facts.over_k.") for name in ("k", "upper_bound", "greedy", "random")]
    if not lists[0] or len({len(one) for one in lists}) > 1:
        raise DamageError("facts.over_k: its lists are empty, or of unequal lengths")


def _check_facts(facts: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    """Raise DamageError unless all that reports show is there, or nothing, as of a list of which no more is known."""
    for name, kind in kinds.items() if not facts.keys().isdisjoint(kinds) else ():
        typed(member(facts, name, "facts."), kind, f"facts.{name}")
