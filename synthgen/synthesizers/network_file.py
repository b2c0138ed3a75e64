"""Writing a trained network to a model file, and reading it.

A file holds no value that fewer than five training rows share. When it is read, every value is
checked, and the network must generate and decode a few rows.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar

import numpy as np
import pandas as pd
import torch

from synthgen.encoding.disclosure import coarsened, rounded_count, shareable_classes
from synthgen.encoding.encoder import Encoder
from synthgen.encoding.layout import Encoded, Layout
from synthgen.encoding.stored import Stored, check_finite, wrong
from synthgen.errors import UsageError
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.bootstrap import SmoothedBootstrap
from synthgen.tables.checks import check_flags
from synthgen.tables.column import LEVELS, Column, joined
from synthgen.tables.schema import Schema
from synthgen.training.device import resolve, torch_generator
from synthgen.training.learner import Sampler
from synthgen.training.model_file import building_model, check_arrays, under, write_model
from synthgen.training.training_run import History

N = TypeVar("N", bound="SavedNetworks")
# Arguments that belong to a machine or a run, or that hold values of training rows.
NOT_WRITTEN = ("schema", "verbose", "checkpoint", "classes", "random_state")
MOST_CLASSES = 100_000
TRIED_ROWS = 8


@dataclass
class TrainedNetwork:
    """A trained network that generates rows of one class.

    Attributes:
        encoder: The encoder, fitted on the training rows of the network.
        sampler: The network, which generates encoded rows.
        label: Position of the class among those of the sampler.
        history: The history of its training.
    """

    encoder: Encoder
    sampler: Sampler
    label: int
    history: History


class SavedNetworks(Synthesizer):
    """The part of a network synthesizer that is saved and loaded."""

    device_: torch.device
    scope_: dict[Any, str]
    history_: dict[Any, History]
    fallback_: tuple[Any, ...]
    networks_: dict[int, TrainedNetwork]
    _frame: pd.DataFrame | None
    _notes: list[str]
    _others: tuple[int, int]
    _bootstrap: SmoothedBootstrap | None

    def save(self, path: str | os.PathLike[str], *, keep_class_names: bool = False) -> list[str]:
        check_flags(keep_class_names=keep_class_names)
        self.check_savable(dict.fromkeys(self.fallback_, 0))
        return write_network(self, path, keep_class_names=keep_class_names)

    @classmethod
    def from_file(cls, header: dict[str, Any], tensors: dict[str, Any], device: str) -> Self:
        return read_network(cls, header, tensors, device)

    @abstractmethod
    def _built(self, layout: Layout, n_labels: int, rows: int) -> Sampler:
        """The network that generates rows, sized for `rows` training rows; weights are not set."""

    @abstractmethod
    def _check_params(self) -> None:
        """Raise for hyperparameters with a wrong value."""


# --- writing --------------------------------------------------------------------------------------


def write_network(
    model: SavedNetworks, path: str | os.PathLike[str], *, keep_class_names: bool
) -> list[str]:
    """Write a fitted model."""
    tensors: dict[str, np.ndarray] = {}
    target = model.schema_[model.schema_.target]
    target, kept, others, note = shareable_classes(
        target,
        list(model.counts_.values()),
        named=list(model.networks_),
        keep_all=keep_class_names,
    )
    counts = [rounded_count(list(model.counts_.values())[position]) for position in kept]
    if not others[0]:
        others = model._others
    entries, notes = [], [*model._notes, *([note] if note else [])]
    for i, (position, network) in enumerate(model.networks_.items()):
        encoder, state = network.encoder, network.sampler.state_dict()
        if model._frame is not None:  # a model from a file is coarsened already
            encoder, coarse = coarsened(encoder, model._frame)
            notes += [note for note in coarse if note not in notes]
        described, arrays = encoder.state()
        tensors |= {f"{i}/encoder/{k}": v for k, v in arrays.items()}
        tensors |= {f"{i}/sampler/{k}": v.cpu().numpy() for k, v in state.items()}
        entries.append(
            {
                "position": kept.index(position),
                "label": network.label,
                "n_labels": network.sampler.n_labels,
                "rows": network.sampler.rows,
                "encoder": described,
                # The training time would make the files of two equal models differ.
                "history": asdict(network.history) | {"seconds": 0.0},
            }
        )
    header = {
        "class": type(model).__name__,
        "params": {k: v for k, v in model.get_params(deep=False).items() if k not in NOT_WRITTEN},
        "target": target.to_json(),
        "counts": counts,
        "models": entries,
        "scope": list(model.scope_.values()),
        "coarsened": notes,
    }
    if others[0]:
        header["other_classes"] = {"classes": others[0], "rows": others[1]}
    write_model(path, header, tensors)
    return notes


# --- reading --------------------------------------------------------------------------------------


def read_network(
    cls: type[N], header: dict[str, Any], tensors: dict[str, np.ndarray], device: str
) -> N:
    """The model that a file holds, after every value of the file has been checked."""
    place = resolve(device)
    check_finite(tensors)
    with building_model():
        model = _read_parameters(cls, Stored(header), device)
        model.device_ = place
        _read_networks(model, Stored(header), tensors)
        _try_out(model)
    return model


def _read_parameters(cls: type[N], header: Stored, device: str) -> N:
    params: dict[str, Any] = {"device": device}
    known = set(cls._get_param_names()) - {*NOT_WRITTEN}
    for name, value in header["params"].items():
        if name not in known:
            raise value.wrong(f"a parameter of {cls.__name__}")
        if name != "device":
            params[name] = value.value
    model = cls(**params)
    try:
        model._check_params()
    except UsageError as error:
        wanted = f"parameters that {cls.__name__} accepts ({error.message})"
        raise header["params"].wrong(wanted) from error
    return model


def _read_networks(model: SavedNetworks, header: Stored, tensors: dict[str, np.ndarray]) -> None:
    """Set the learned attributes of `model` from a file."""
    target = header["target"].column()
    classes = target.categories
    if target.kind not in LEVELS or not classes or target.name is None:
        raise header["target"].wrong("a column of classes")
    counts = [entry.whole(0) for entry in header["counts"].entries(length=len(classes))]
    model.networks_ = {}
    first: list[Column] = []
    for i, entry in enumerate(header["models"].entries()):
        position = entry["position"].whole(0, len(classes) - 1)
        if position in model.networks_:
            raise entry["position"].wrong("a class that no other network has")
        header["counts"].entries()[position].whole(1)
        network = _read_network(model, entry, under(tensors, f"{i}/"))
        columns = list(network.encoder.columns)
        first = first or columns
        if [(c.name, c.kind) for c in columns] != [(c.name, c.kind) for c in first]:
            raise entry["encoder"].wrong("of the same columns as models[0].encoder")
        if target.name in [c.name for c in columns]:
            raise header["target"].wrong("a column that is not a feature")
        model.networks_[position] = network
    if not model.networks_:
        raise header["models"].wrong("a list of networks")
    # Each class may have its own limits; the limits of the model cover those of all classes.
    each = zip(*(m.encoder.columns for m in model.networks_.values()), strict=True)
    model.schema_ = Schema((*map(joined, each), target), target.name)
    model.counts_ = dict(zip(classes, counts, strict=True))
    model.classes_ = tuple(classes[p] for p in model.networks_)
    scopes = header["scope"].entries(length=len(model.networks_))
    model.scope_ = {
        c: scope.text(("class", "all", "adapt"))
        for c, scope in zip(model.classes_, scopes, strict=True)
    }
    model.history_ = {classes[p]: m.history for p, m in model.networks_.items()}
    model.fallback_ = ()
    model._bootstrap = None
    model._frame = None  # a model from a file is coarsened already
    model._notes = [note.text() for note in header["coarsened"].entries()]
    model._others = (0, 0)
    if "other_classes" in header:
        others = header["other_classes"]
        model._others = others["classes"].whole(1), others["rows"].whole(0)


def _read_network(
    model: SavedNetworks, entry: Stored, tensors: dict[str, np.ndarray]
) -> TrainedNetwork:
    n_labels = entry["n_labels"].whole(1, MOST_CLASSES)
    rows, label = entry["rows"].whole(1), entry["label"].whole(0, n_labels - 1)
    encoder = Encoder.from_state(entry["encoder"], under(tensors, "encoder/"))
    state = {
        name: torch.from_numpy(np.array(array))
        for name, array in under(tensors, "sampler/").items()
    }
    with torch.device("meta"):  # compare shapes before the file can make us allocate memory
        check_arrays(model._built(encoder.layout, n_labels, rows), state)
    sampler = model._built(encoder.layout, n_labels, rows)
    sampler.load_state_dict(state)
    sampler.to(model.device_).eval()
    return TrainedNetwork(encoder, sampler, label, _read_history(entry["history"]))


def _read_history(entry: Stored) -> History:
    return History(
        losses={
            name: [loss.number() for loss in losses.entries()]
            for name, losses in entry["losses"].items()
        },
        steps=[step.whole(0) for step in entry["steps"].entries()],
        held_out=[distance.number() for distance in entry["held_out"].entries()],
        best_step=entry["best_step"].whole(0),
        seconds=entry["seconds"].number(0),
        batch=entry["batch"].whole(0),
        lowered=entry["lowered"].whole(0),
        retries=[sentence.text() for sentence in entry["retries"].entries()],
    )


def _try_out(model: SavedNetworks) -> None:
    """Generate a few rows of each class and decode every level; raise if that fails."""
    target = model.schema_[model.schema_.target]
    target.restore(np.arange(len(target.categories)))
    for i, network in enumerate(model.networks_.values()):
        encoder = network.encoder
        rows = max(encoder.widths, default=1)
        with torch.inference_mode():
            generator = torch_generator(np.random.SeedSequence(0), model.device_)
            made = network.sampler.generate(TRIED_ROWS, generator, network.label)
        if not made.numbers.isfinite().all():
            raise wrong(f"models[{i}]", "a network of infinite numbers", "one of finite numbers")
        places = torch.linspace(-4, 4, rows)[:, None].repeat(1, encoder.n_numbers)
        levels = torch.arange(rows)[:, None] % torch.tensor(encoder.widths, dtype=torch.int64)
        for encoded in (Encoded(places, levels), made):
            frame = encoder.inverse_transform(encoded)
            for column in encoder.columns:
                if column.kind != "numeric":
                    continue
                values, gone = column.numbers(frame[column.name])
                if not np.isfinite(values[~gone]).all():
                    raise wrong(f"models[{i}].encoder", column.name, "a column of finite numbers")
