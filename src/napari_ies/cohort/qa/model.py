"""ErrorModel: a fitted model as a JSON file of plain numbers, which runs no code when it is read.

It needs no scikit-learn to be applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from napari_ies.cohort.qa.features import DEFINITION, feature_names
from napari_ies.cohort.qa.map_kind import MapKind, Strict
from napari_ies.errors import CohortError, ResultsError
from napari_ies.results.storage.json_files import read_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MEANING = "probability that a lesion that the network marks is a false positive"
LARGEST_MODEL = 64 << 20
"""Bytes."""
# Far beyond what any map gives; products of such numbers are finite.
Number = Annotated[float, Field(ge=-1e30, le=1e30)]


class ModelFeature(Strict):
    """A feature, and what the model does with it."""

    name: Annotated[str, Field(max_length=300)]
    fill: Number
    """In place of a missing value: the median."""
    mean: Number
    scale: Annotated[float, Field(ge=1e-30, le=1e30)]
    """Mean and standard deviation; 1 for a feature that does not vary."""
    coefficient: Annotated[float, Field(ge=-1e9, le=1e9)]
    """Of the feature less its mean, divided by its scale."""
    lowest: Number
    highest: Number
    """Among the lesions that it was fitted on."""


class Guess(Strict):
    """What a model says of a lesion."""

    probability: float
    """That it is a false positive."""
    filled: list[str]
    """Features that the model uses and that are missing: their medians stand for them."""
    beyond: list[str]
    """Features that it uses and that are smaller or larger than any it was fitted on."""


class ErrorModel(Strict):
    """Tells from a lesion's map how probably the lesion is a false positive."""

    format: Literal["napari-ies lesion error model"] = "napari-ies lesion error model"
    format_version: Literal[1] = 1
    meaning: Annotated[str, Field(max_length=500)] = MEANING
    feature_definition: int
    fitted_for: MapKind
    features: Annotated[list[ModelFeature], Field(min_length=1, max_length=2000)]
    intercept: Annotated[float, Field(ge=-1e9, le=1e9)]
    cases: list[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]]
    """What tells the images of the cases that it was fitted on from others."""
    settings: dict[str, Any]
    performance: dict[str, Any]
    notes: list[str]
    provenance: dict[str, Any]

    @model_validator(mode="after")
    def _is_of_these_features(self) -> ErrorModel:
        if self.feature_definition != DEFINITION:
            raise ValueError(
                f"its features are of definition {self.feature_definition}, and this version "
                f"computes definition {DEFINITION}"
            )
        if [one.name for one in self.features] != feature_names(self.fitted_for.sequences):
            raise ValueError("its features are not those of its sequences")
        return self

    @property
    def uses_any(self) -> bool:
        """Whether it looks at any feature; else all lesions get one probability."""
        return any(one.coefficient for one in self.features)

    def guess(self, features: Mapping[str, float]) -> Guess:
        """Return what the model says of a lesion.

        Parameters
        ----------
        features
            See :func:`~napari_ies.cohort.qa.features.map_features`.
        """
        given = np.array([features[one.name] for one in self.features], dtype=np.float64)
        missing = np.isnan(given)
        column = {
            name: np.array([getattr(one, name) for one in self.features])
            for name in ("fill", "mean", "scale", "coefficient", "lowest", "highest")
        }
        filled = np.where(missing, column["fill"], given)
        scaled = (filled - column["mean"]) / column["scale"]
        logit = float(np.dot(scaled, column["coefficient"])) + self.intercept
        used = column["coefficient"] != 0
        beyond = used & ~missing & ((given < column["lowest"]) | (given > column["highest"]))
        names = np.array([one.name for one in self.features])
        return Guess(
            probability=float(np.exp(-np.logaddexp(0, -logit))),
            filled=names[used & missing].tolist(),
            beyond=names[beyond].tolist(),
        )

    def why_not(self, kind: MapKind) -> str:
        """Say why the model is not about maps of a kind; empty if it is."""
        if not kind.network:
            return "it is not known which network they are of (their network has no file)"
        apart = self.fitted_for.unlike(kind)
        if apart is None:
            return ""
        what, here, there = apart
        return f"it was fitted for maps with {what} {here}, and this one has {there}"


def error_model(
    pipeline: Any, kind: MapKind, table: Any, *, cases: Sequence[str], **more: Any
) -> ErrorModel:
    """Write a fitted pipeline down as a model.

    Parameters
    ----------
    pipeline
        See :func:`~napari_ies.cohort.qa.fitting.fitted`.
    kind
        Of the maps.
    table
        DataFrame of the features that it was fitted on.
    cases
        What tells their images from others.
    **more
        ``settings``, ``performance``, ``notes``, ``provenance``.
    """
    fill, scale, logistic = (step for _, step in pipeline.steps)
    columns = zip(
        table.columns,
        np.nan_to_num(fill.statistics_),
        scale.mean_,
        scale.scale_,
        logistic.coef_[0],
        np.nan_to_num(table.min().to_numpy(np.float64)),
        np.nan_to_num(table.max().to_numpy(np.float64)),
        strict=True,
    )
    features = [
        ModelFeature(
            name=str(name),
            **dict(
                zip(
                    ("fill", "mean", "scale", "coefficient", "lowest", "highest"),
                    map(float, numbers),
                    strict=True,
                )
            ),
        )
        for name, *numbers in columns
    ]
    return ErrorModel(
        feature_definition=DEFINITION,
        fitted_for=kind,
        features=features,
        intercept=float(logistic.intercept_[0]),
        cases=sorted(cases),
        **more,
    )


def read_model(path: Path) -> tuple[ErrorModel, str]:
    """Read a model with the SHA-256 of its file.

    Raises
    ------
    CohortError
        If it is none, in one sentence.
    """
    expected = "a model that napari-ies qa fit wrote"
    try:
        content, digest = read_object(path, LARGEST_MODEL, expected)
        return ErrorModel.model_validate(content, by_alias=True, by_name=False), digest
    except ResultsError as error:
        raise CohortError(str(error)) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        reason = f"{where}: {said}" if where else said
    except (RecursionError, OverflowError) as error:
        reason = str(error)
    raise CohortError(f"{path} is no model of errors ({reason}); choose {expected}.")
