"""Label maps from the class names of a data set to the classes of a network."""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np

from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from fer_training.data.samples import UNKNOWN, DatasetError, Samples, Skip

LOG = logging.getLogger(__name__)

#: The spellings found in data sets (lower case) and ours.
ALIASES: dict[str, str] = {
    "anger": "angry",
    "an": "angry",
    "disgust": "disgusted",
    "di": "disgusted",
    "fear": "scared",
    "afraid": "scared",
    "fearful": "scared",
    "fe": "scared",
    "happiness": "happy",
    "joy": "happy",
    "ha": "happy",
    "sadness": "sad",
    "sa": "sad",
    "surprise": "surprised",
    "suprise": "surprised",
    "su": "surprised",
    "ne": "neutral",
    "neutrality": "neutral",
    "contemptuous": "contempt",
}

_RENAME = "in a YAML file given as data: `- {path: ..., rename: {%s}}`"

#: What to do where YAML makes something else of a name.
QUOTE = "YAML reads no, yes, on, off, null and ~ as something else than names: put such names in quotes ('no')"


@dataclass(frozen=True)
class LabelMap:
    """Classes of a network, and their names in the data sets.

    Attributes:
        name: name in `LABEL_MAPS`, or "custom".
        labels: K target classes in output order; empty: the data set's own.
        skip_unknown: leave out images of classes that are no known single emotion; False raises instead.
        renamed: additional names of the data set (as `folded` gives them) and the target class of each, None to leave
            it out.
    """

    name: str
    labels: tuple[str, ...]
    skip_unknown: bool = False
    renamed: tuple[tuple[str, str | None], ...] = ()


#: `fer7`: the seven classes of FER2013. `fer8`: those and contempt. `paper`: CK+ as the papers use it, six emotions and
#: contempt, no neutral. `imed`: the seven single emotions, mixed ones left out. `own`: the classes of the data set.
LABEL_MAPS: dict[str, LabelMap] = {
    "fer7": LabelMap("fer7", LABELS),
    "fer8": LabelMap("fer8", LABELS_WITH_CONTEMPT),
    "paper": LabelMap("paper", tuple(name for name in LABELS_WITH_CONTEMPT if name != "neutral")),
    "imed": LabelMap("imed", LABELS, skip_unknown=True),
    "own": LabelMap("own", ()),
}


def folded(name: str) -> str:
    """A name without case and surrounding blanks, its accents composed: the file names of a Mac have them apart."""
    return unicodedata.normalize("NFC", name.strip().lower())


def canonical(name: str) -> str:
    """A class name in our spelling ("Anger" -> "angry"); unknown names are only `folded`."""
    lower = folded(name)
    return ALIASES.get(lower, lower)


def renaming(rename: Mapping[str | int, str | None]) -> tuple[tuple[str, str | None], ...]:
    """Mapping for `LabelMap.renamed` from one as people write it: a data set's names -> ours, None to leave out."""
    return tuple((folded(str(name)), None if new is None else canonical(new)) for name, new in rename.items())


def numbering(names: Sequence[str]) -> str:
    """Remark on classes that are mere numbers, whose meaning cannot be guessed; "" where one is not."""
    if not names or not all(name.strip().isdecimal() for name in names):
        return ""
    ordered = sorted(names, key=lambda name: (int(name), name))
    # YAML would take 01 for 1.
    keys = [name if name == str(int(name)) else repr(name) for name in ordered[:3]]
    example = _RENAME % ", ".join(f"{key}: ..." for key in keys)
    return (
        f"the classes are numbers ({', '.join(ordered[:12])}), and what each means differs between publications "
        f"(1 is disgust in FER2013, surprise in RAF-DB, happiness in AffectNet): name all of them {example}"
    )


def find_label_map(spec: str | Sequence[str] | LabelMap) -> LabelMap:
    """A label map by name, or a custom one for a list of class names.

    Raises:
        DatasetError: unknown name, or a list that is too short or repeats a class.
    """
    if isinstance(spec, LabelMap):
        return spec
    if isinstance(spec, str):
        if spec not in LABEL_MAPS:
            msg = f"there is no label map {spec!r}; expected one of {', '.join(LABEL_MAPS)} or a list of class names"
            raise DatasetError(msg)
        return LABEL_MAPS[spec]
    names = tuple(canonical(name) for name in spec if isinstance(name, str))
    if len(names) < 2 or len(set(names)) != len(spec):
        hint = "" if all(isinstance(name, str) for name in spec) else f"; {QUOTE}, and numbers, too"
        msg = f"the class list {list(spec)} is not usable; expected at least two different names{hint}"
        raise DatasetError(msg)
    return LabelMap("custom", names)


def warn_of_unknown(labels: Sequence[str], spec: str | Sequence[str] | LabelMap) -> None:
    """Say before the work which images will not count because their class is no expression that is known.

    Nothing is said where none of the classes is known: then the set is one of something else.

    Args:
        labels: class of each image, as the data set spells it.
        spec: as for `apply_label_map`.
    """
    mapping = find_label_map(spec)
    counts = Counter(labels)
    named = {folded(name) for name, _ in mapping.renamed} | {canonical(name) for name, _ in mapping.renamed}
    wanted = {*LABELS_WITH_CONTEMPT, *mapping.labels}
    unknown = [n for n in sorted(counts) if canonical(n) not in wanted and not {folded(n), canonical(n)} & named]
    if len(unknown) == len(counts):
        return
    for name in unknown:
        close = get_close_matches(folded(name), [*ALIASES, *LABELS_WITH_CONTEMPT], n=1)
        advice = (
            f"; did you mean {close[0]!r}? Rename it {_RENAME % f'{name!r}: {canonical(close[0])}'}" if close else ""
        )
        LOG.warning("%d of %d images are of the class %r, no expression known here%s",
                    counts[name], len(labels), name, advice)  # fmt: skip


def apply_label_map(samples: Samples, spec: str | Sequence[str] | LabelMap) -> Samples:
    """Give samples the classes of a label map; images of other classes and without a label are left out and listed.

    Args:
        samples: as read, with the data set's own class names.
        spec: name of a map, list of class names, or a map.

    Returns:
        Samples whose `label_names` are the map's labels. Soft targets must not be there yet.

    Raises:
        DatasetError: a class name of the data set is neither known nor to be skipped, or nothing is left.
    """
    mapping = find_label_map(spec)
    names = _target_names(samples.label_names, dict(mapping.renamed))
    labels = mapping.labels or tuple(dict.fromkeys(name for name in names if name is not None))
    used = set(samples.labels.tolist())
    unnamed = numbering([samples.label_names[index] for index in sorted(used - {UNKNOWN})])
    if unnamed and not mapping.labels and not mapping.renamed:
        LOG.warning("%s", unnamed)
    target = np.full(len(names), UNKNOWN, dtype=np.int64)
    reasons: dict[int, str] = {UNKNOWN: "the label is unknown"}
    for index, (raw, wanted) in enumerate(zip(samples.label_names, names, strict=True)):
        if wanted in labels:
            target[index] = labels.index(wanted)
        elif wanted is None or wanted in LABELS_WITH_CONTEMPT or mapping.skip_unknown or index not in used:
            reasons[index] = f"class {raw!r} is not in the label map {mapping.name}"
        elif unnamed and not mapping.renamed:
            raise DatasetError(unnamed)
        else:
            example = _RENAME % f"{raw!r}: ..."
            msg = (
                f"the data set has a class {raw!r} that is not in the label map {mapping.name} ({', '.join(labels)}); "
                f"rename it {example} (`label_map: [...]` there lists the classes wanted), or use the map 'imed' "
                "(leaves it out) or 'own' (keeps it)"
            )
            raise DatasetError(msg)
    mapped = np.where(samples.labels >= 0, target[samples.labels], UNKNOWN)
    lost = np.flatnonzero(mapped < 0)
    skipped = [Skip(str(samples.sources[i]), reasons[int(samples.labels[i])]) for i in lost]
    kept = replace(samples, labels=mapped, label_names=labels).take(mapped >= 0)
    if len(samples) and not len(kept):
        counts = Counter(skip.reason for skip in skipped).most_common()
        why = "; ".join(f"{count} x {reason}" for reason, count in counts)
        msg = f"no image is left after the label map {mapping.name}: {why}"
        raise DatasetError(msg)
    return replace(kept, skipped=(*samples.skipped, *skipped))


def _target_names(raw_names: Sequence[str], renamed: Mapping[str, str | None]) -> list[str | None]:
    """Target name of each class of a data set, None where it is left out.

    The set's own spelling counts first; then, whichever was written, another spelling of the same expression.

    Raises:
        DatasetError: a class was renamed that the set does not have; that of a known expression harms nobody.
    """
    known = {folded(raw) for raw in raw_names} | {canonical(raw) for raw in raw_names}
    strange = [name for name in renamed if canonical(name) not in known and canonical(name) not in LABELS_WITH_CONTEMPT]
    if strange:
        msg = (
            f"rename speaks of {', '.join(map(repr, strange))}, but the classes of the data set are "
            f"{', '.join(map(repr, raw_names))}; expected some of these"
        )
        raise DatasetError(msg)
    alike = {canonical(name): new for name, new in renamed.items()}
    return [renamed.get(folded(raw), alike.get(canonical(raw), canonical(raw))) for raw in raw_names]


def with_common_names(parts: Sequence[Samples]) -> list[Samples]:
    """Give data sets that were read with their own classes the same ones, in the same order: all that any of them has.

    Args:
        parts: without soft targets.

    Returns:
        The same images; the known classes come first in our order, others as they are met.
    """
    met = dict.fromkeys(name for part in parts for name in part.label_names)
    names = (
        *(name for name in LABELS_WITH_CONTEMPT if name in met),
        *(n for n in met if n not in LABELS_WITH_CONTEMPT),
    )
    result = []
    for part in parts:
        # The last place is that of unknown labels, which are -1.
        places = np.array([*(names.index(name) for name in part.label_names), UNKNOWN], dtype=np.int64)
        result.append(replace(part, labels=places[part.labels], label_names=names))
    return result
