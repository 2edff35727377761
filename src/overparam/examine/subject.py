"""What is examined: a model, a loss and a data set, as their owner has them, and the checkpoints of its training."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from overparam.errors import BadInput, MissingExtra, NotFound
from overparam.methods.measures.objective import Loss

State = Mapping[str, Tensor]
WRAPPED = ("state_dict", "model_state_dict", "model")
PREFIXES = ("module.", "_orig_mod.", "model.")


@dataclass
class Subject:
    """A trained model with what it was trained on.

    Attributes:
        model: Network. It is copied, never changed.
        loss: Takes outputs and labels, see `objective.losses`; cross-entropy if None.
        data: Training data without augmentation: a data set with length and items (x, y), as in torchvision; one whose
            items are mappings with `label` or `labels`, as in Hugging Face; a `DataLoader` over either; tensors (x, y).
        checkpoints: Earlier states of the model, in the order of training.
        initial: State before training; some measures need it.
        classes: Names of the classes.
        describe: Position in the data set to a text or a PIL image, to show an example by.
        name: What the report calls the model.
    """

    model: nn.Module
    loss: Loss | None
    data: Any
    checkpoints: Sequence[State] = ()
    initial: State | None = None
    classes: Sequence[str] = ()
    describe: Callable[[int], Any] | None = None
    name: str = "model"

    def __post_init__(self) -> None:
        if not isinstance(self.model, nn.Module):
            raise BadInput(f"model is a {type(self.model).__name__}; pass a torch.nn.Module")
        if self.loss is not None and not callable(self.loss):
            raise BadInput(f"loss is a {type(self.loss).__name__}; pass a function of outputs and labels, or None")
        self.checkpoints = [fitting(self.model, s, f"checkpoint {k + 1}") for k, s in enumerate(self.checkpoints)]
        if self.initial is not None:
            self.initial = fitting(self.model, self.initial, "the initial state")


def load_subject(target: str, checkpoints: Sequence[Path] = ()) -> Subject:
    """Call a user's function for a model, a loss and a data set.

    Args:
        target: `module:function` or `path/to/file.py:function`. The function takes no arguments and returns
            (model, loss, data), a mapping with these keys and any other of `Subject`, or a `Subject`.
        checkpoints: Files with states of the model in the order of training; the last one is examined, the others
            show how it came about. Without files the model is examined as it comes.

    Returns:
        The subject.

    Raises:
        NotFound: No such module, file or function.
        BadInput: The function fails, returns something else, or a checkpoint does not fit.
    """
    subject = subject_of(function_at(target)(), target)
    if checkpoints:
        states = [fitting(subject.model, read_checkpoint(path), str(path)) for path in checkpoints]
        subject.model.load_state_dict(states[-1])
        subject.checkpoints = [*subject.checkpoints, *states[:-1]]
    return subject


def function_at(target: str) -> Callable[..., Any]:
    """Find a user's function that makes (model, loss, data).

    Args:
        target: `module:function` or `path/to/file.py:function`.

    Returns:
        The function, with failures told as `BadInput`.

    Raises:
        NotFound: No such module, file or function.
        BadInput: The target is no place of a function, or its module fails on import.
    """
    place, _, name = target.rpartition(":")
    if not place or not name:
        raise BadInput(f"target {target!r} is no place of a function; write module:function or file.py:function")
    function = getattr(_module(place), name, None)
    if not callable(function):
        raise NotFound(f"{place} has no function {name!r}; define one that returns (model, loss, data)")

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(f"{target} raised {type(error).__name__}: {error}; --traceback shows where") from error

    return call


def subject_of(made: Any, target: str) -> Subject:
    """Read what a user's function returned.

    Args:
        made: (model, loss, data), a mapping, or a subject.
        target: Where it came from, for messages.

    Returns:
        The subject.

    Raises:
        BadInput: It is none of these.
    """
    if isinstance(made, Subject):
        return made
    known = [f.name for f in fields(Subject)]
    if isinstance(made, Mapping):
        odd = [k for k in made if k not in known]
        lacking = [k for k in ("model", "data") if k not in made]
        if odd or lacking:
            problem = f"the unknown key {odd[0]!r}" if odd else f"no key {lacking[0]!r}"
            raise BadInput(f"{target} returned {problem}; the keys are {', '.join(known)}")
        return Subject(**{"loss": None, "name": target, **made})
    if isinstance(made, tuple) and len(made) == 3:
        return Subject(*made, name=target)
    raise BadInput(
        f"{target} returned a {type(made).__name__}; return (model, loss, data) or a mapping with these keys"
    )


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the state of a model, without running code from the file.

    Args:
        path: A `.safetensors` file, or what `torch.save` wrote: a state dict, also under the key `state_dict`,
            `model_state_dict` or `model`. Prefixes of parallel and compiled models are taken off.

    Returns:
        Name to tensor.

    Raises:
        NotFound: No such file.
        BadInput: It holds no state dict, or more than tensors.
        MissingExtra: safetensors is not installed.
    """
    if not path.is_file():
        raise NotFound(f"checkpoint {path} is no file; give the path of one")
    try:
        if path.suffix == ".safetensors":
            found: Any = _safetensors(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except MissingExtra:
        raise
    except Exception as error:
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(
            f"checkpoint {path} cannot be read ({words}); save model.state_dict() with torch.save"
        ) from error
    for key in WRAPPED:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not found or not all(isinstance(v, Tensor) for v in found.values()):
        raise BadInput(f"checkpoint {path} holds no state dict; save model.state_dict() with torch.save")
    return dict(found)


def fitting(model: nn.Module, state: State, name: str) -> State:
    """Refuse a state that does not fit the model; take off the prefixes of parallel and compiled ones.

    Args:
        model: Network.
        state: State dict; it is not changed.
        name: Of the state, for messages.

    Returns:
        The state under the names of the model.

    Raises:
        BadInput: Names or shapes differ.
    """
    own = model.state_dict()
    for prefix in PREFIXES:
        if set(state) != set(own) and all(k.startswith(prefix) for k in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    odd = sorted(set(own) ^ set(state)) or [k for k in own if own[k].shape != state[k].shape]
    if odd:
        raise BadInput(f"{name} does not fit the model at {odd[0]!r}; give a state of the same architecture")
    return state


def _module(place: str) -> Any:
    try:
        if place.endswith(".py"):
            path = Path(place).resolve()
            if not path.is_file():
                raise NotFound(f"{place} is no file; write path/to/file.py:function")
            spec = importlib.util.spec_from_file_location(path.stem, path)
            assert spec
            assert spec.loader
            module = importlib.util.module_from_spec(spec)
            sys.modules[path.stem] = module
            sys.path.insert(0, str(path.parent))
            spec.loader.exec_module(module)
            return module
        sys.path.insert(0, str(Path.cwd()))
        return importlib.import_module(place)
    except NotFound:
        raise
    except ModuleNotFoundError as error:
        if error.name and place.split(".")[0] == error.name.split(".")[0]:
            raise NotFound(f"module {place!r} is not found; run from its folder, or write file.py:function") from error
        raise BadInput(f"{place} needs {error.name!r}, which is not installed") from error
    except Exception as error:
        raise BadInput(f"{place} raised {type(error).__name__} when imported: {error}") from error


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingExtra("reading .safetensors needs safetensors; pip install 'overparam[llm]'") from error
    return dict(load_file(path))
