"""Answers: the maps of a reading, each with what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from napari_ies.saliency.request import SaliencyRequest
from napari_ies.segmentation.subject import Region, Subject
from napari_ies.viewer.state.scaled import common_power
from napari_ies.viewer.state.titles import capitalised, request_title, short_title

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from napari_ies.saliency.saliency import Saliency
    from napari_ies.viewer.state.look import MapRange
    from napari_ies.viewer.state.reading import KnownRegion

Key = tuple[Subject, SaliencyRequest, str]
"""A subject, what was asked about it, and of which network
(:func:`~napari_ies.viewer.state.reading.model_key`)."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A map of a lesion or a region, running or finished, with what it answers."""

    subject: Subject
    """The lesion or the region."""
    request: SaliencyRequest
    """What was asked for."""
    saliency: Saliency
    """The maps."""
    limit: float
    """Magnitude at which the colours end; in the unit of the maps."""
    model_name: str
    """What the file of the network that is explained is called."""
    model_key: str
    """What tells that network from others."""
    finished: bool = True
    """Whether the map is complete."""
    other_model: bool = False
    """Whether it is another network than the one that found the lesions."""
    revision: int = 0
    """Tells a kept map from one that took its place with the same settings; 0 if it is not kept."""
    ranges: tuple[MapRange, ...] = ()
    """How far the values of each map go, in the order of its sequences; empty where unknown."""

    @property
    def key(self) -> Key:
        """What tells this answer from the others of a reading."""
        return self.subject, self.request, self.model_key

    @property
    def title(self) -> str:
        """Subject, method and, where it is not the one that segmented, the network."""
        title = f"{capitalised(self.subject.called)} · {request_title(self.request)}"
        return f"{title} · {self.model_name}" if self.other_model else title


@dataclass(eq=False)
class Answers:
    """The finished maps of one reading, by subject, request and network."""

    regions: Mapping[str, KnownRegion] = field(default_factory=dict)
    """Those of the reading: what is noted of a region is noted in its maps."""
    revisions: int = 0
    """How many maps were kept so far, with other readings too: no two have the same number."""
    _answers: dict[Key, Answer] = field(default_factory=dict)
    _awaited: list[Key] = field(default_factory=list)
    _unseen: dict[Key, Answer] = field(default_factory=dict)
    _strongest: dict[Kind, float] = field(default_factory=dict)

    def await_saved(self, keys: Iterable[Key]) -> None:
        """Say which maps exist on disk and are about to be read back, the latest last."""
        self._awaited = list(keys)

    def awaited(self, subject: Subject | int | str) -> list[Key]:
        """Return the keys of a subject's maps that are about to be read back."""
        return [key for key in self._awaited if key[0] == subject]

    @property
    def any_awaited(self) -> bool:
        """Whether any map is about to be read back."""
        return bool(self._awaited)

    def await_no_more(self, key: Key) -> None:
        """Say that a map on disk cannot be read back."""
        self._awaited = [one for one in self._awaited if one != key]

    def add(self, answer: Answer) -> Answer:
        """Keep a finished map, as the answer that is returned; it becomes its subject's latest."""
        subject, saliency = answer.subject, answer.saliency
        if isinstance(subject, Region) and subject in self.regions:
            saliency = with_region_notes(saliency, self.regions[subject].notes)
        if not answer.revision:  # else it is carried over, and the same map still
            self.revisions += 1
        revision = answer.revision or self.revisions
        answer = replace(answer, saliency=saliency, revision=revision)
        self.await_no_more(answer.key)
        self._answers.pop(answer.key, None)
        self._answers[answer.key] = answer
        kind = kind_of(answer)
        self._strongest[kind] = max(self._strongest.get(kind, 0.0), strongest(answer))
        return answer

    def set_aside(self, answer: Answer) -> None:
        """Hold a map of a lesion that is not there at this threshold, until it comes back."""
        self._unseen[answer.key] = answer

    @property
    def every(self) -> tuple[Answer, ...]:
        """All that is held in memory: the maps, and before them those that were set aside."""
        return (*self._unseen.values(), *self._answers.values())

    def power(self, answer: Answer) -> int:
        """Return the power of ten that a map's numbers are written in, wherever they are.

        It is that of all maps of its kind: the strongest value of any of them reads well.
        """
        known = self._strongest.get(kind_of(answer), 0.0)
        return common_power(max(known, strongest(answer)))

    def hold(self, answer: Answer, saliency: Saliency) -> None:
        """Hold a kept map in another place, with the same values."""
        for held in (self._answers, self._unseen):
            kept = held.get(answer.key)
            if kept is not None and kept.revision == answer.revision:
                held[answer.key] = replace(kept, saliency=saliency)

    def get(self, key: Key) -> Answer | None:
        """Return the answer with a key, or None if it was not computed yet."""
        return self._answers.get(key)

    def as_good_as(self, key: Key) -> Key:
        """Return the key of the map that answers what a key asks, there or about to be read back.

        It is that of the same settings, or else that of the most noise samples where they differ
        in nothing else and it has more; where there is none, it is the key itself.
        """
        known = [*self._answers, *self._awaited]
        asked = key[1]
        more = [
            one
            for one in known
            if one[1].n_samples > asked.n_samples
            and (one[0], replace(one[1], n_samples=asked.n_samples), one[2]) == key
        ]
        if key in known or not more or not asked.is_smoothgrad:
            return key
        return max(more, key=lambda one: one[1].n_samples)

    def of(self, subject: Subject | int | str) -> list[Answer]:
        """Return the answers about a subject, the latest last."""
        return [answer for answer in self._answers.values() if answer.subject == subject]

    def forget(self, subject: Subject | int | str) -> None:
        """Drop the answers about a subject."""
        for answer in self.of(subject):
            del self._answers[answer.key]

    def __iter__(self) -> Iterator[Answer]:
        return iter(list(self._answers.values()))

    def __len__(self) -> int:
        return len(self._answers)


def strongest(answer: Answer) -> float:
    """Return the largest magnitude in any of a map's sequences, in its unit; 0 where unknown."""
    ends = (abs(end) for one in answer.ranges for end in (one.lowest, one.highest))
    return max(ends, default=0.0)


REGION_NOTES = "region_notes"
"""Those of a map's notes that are its region's, in its provenance."""


def with_region_notes(saliency: Saliency, notes: tuple[str, ...]) -> Saliency:
    """Return a saliency whose provenance says how its region was taken; the same if it does."""
    known = saliency.provenance.get("notes", ())
    if set(notes) <= set(known if isinstance(known, list | tuple) else ()):
        return saliency
    return saliency.told(notes, **{REGION_NOTES: list(notes)})


EXACTNESS = ("n_samples", "seed", "tolerance", "precision", "noise_version")
"""Settings that say how exactly a map is computed, and not of what."""

Kind = tuple[SaliencyRequest, str]
"""What maps that can be compared have in common: a request but for its `EXACTNESS`, a network."""


def kind_of(answer: Answer) -> Kind:
    """Return what a map has in common with those that its values can be compared with."""
    return _alike(answer.request), answer.model_key


@lru_cache(maxsize=1000)
def _alike(request: SaliencyRequest) -> SaliencyRequest:
    usual = SaliencyRequest()
    return replace(request, **{name: getattr(usual, name) for name in EXACTNESS})


def kind_titles(answers: Iterable[Answer]) -> dict[Kind, str]:
    """Return the kinds that there are among maps, each with a short title of its own."""
    firsts = {kind_of(answer): answer for answer in reversed([*answers])}
    kinds = [*reversed(firsts)]
    named = [(short_name(firsts[kind]), kind[0]) for kind in kinds]
    return dict(zip(kinds, _told_apart(named), strict=True))


def short_name(answer: Answer) -> str:
    """Return method and aggregation in a word or two, and a network that is not the usual one."""
    title = short_title(answer.request)
    return f"{title} · {answer.model_name}" if answer.other_model else title


def short_titles(answers: Sequence[Answer]) -> list[str]:
    """Return short titles of a subject's maps, with the settings in which they differ."""
    named = [(short_name(answer), answer.request) for answer in answers]
    return _told_apart(named, {**_FORMATS, "n_samples": "{}"}, " · ")


def distinct_titles(answers: Sequence[Answer]) -> list[str]:
    """Return the titles of maps, with the settings in which those of one title differ."""
    return _told_apart([(answer.title, answer.request) for answer in answers])


def _told_apart(
    named: Sequence[tuple[str, SaliencyRequest]],
    formats: Mapping[str, str] | None = None,
    between: str = ", ",
) -> list[str]:
    formats, titles = _FORMATS if formats is None else formats, []
    for title, own in named:
        requests = [request for other, request in named if other == title]
        values = {f.name: getattr(own, f.name) for f in fields(own)}
        differing = (
            f"{formats.get(name, name.replace('_', ' ') + ' {}').format(value)}"
            for name, value in values.items()
            if any(getattr(request, name) != value for request in requests)
        )
        titles.append(between.join((title, *differing)))
    return titles


_FORMATS = {"n_samples": "{} samples", "noise": "noise {:.1%}", "forward": "{}"}
"""How settings are said; others by their name and value."""
