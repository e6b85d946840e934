"""A torch module as a frozen backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeAlias

import numpy as np
import torch

from probe4d.errors import DataError, UsageError
from probe4d_torch.axes import Axes
from probe4d_torch.options import Reading, expand, split
from probe4d_torch.precision import matmul_precision
from probe4d_torch.sources import build

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"


class _Enough(Exception):
    """The last block that is wanted has run."""


class TorchBackbone:
    """A module with what `Reading` says of it.

    Args:
        module: in eval mode from now on, and moved to `device`.
        **reading: fields of `probe4d_torch.options.Reading`.

    Raises:
        UsageError: a field is wrong, or names a submodule that the module does not have.
    """

    def __init__(self, module: Any, reading: Reading | None = None, **fields: Any) -> None:
        self.reading = reading or _reading(fields)
        self.module = _frozen(module, self.reading.device)
        self._input = Axes.parse(self.reading.layout, "layout")
        self._output = Axes.parse(self.reading.axes, "axes")
        self._blocks = [self._submodule("blocks", self.reading.blocks.replace("{i}", str(i))) for i in self._numbers]
        self._norm = self._submodule("norm", self.reading.norm) if self.reading.norm else None
        if self.reading.compile:
            for part in self._blocks or [self.module]:
                part.forward = torch.compile(part.forward)

    @property
    def clip(self) -> tuple[int, int, int]:
        """Frames, height and width of the input."""
        height, width = self.reading.size
        return self.reading.frames, height, width

    @property
    def modality(self) -> str:
        """`image` where frames stand apart from each other."""
        return "image" if self._input.place("b") == self._input.place("t") else "video"

    @property
    def _numbers(self) -> range:
        return range(self.reading.depth if self.reading.blocks else 0)

    def encode(self, video: Array, layers: Sequence[float | int]) -> tuple[Array, ...]:
        """Return one float32 `(b, t, k, c)` per layer of a video `(b, t, h, w, 3)` in [0, 1].

        Nothing behind the last block that is wanted is computed.

        Raises:
            UsageError: a layer or a clip that the module does not take.
            DataError: what comes out is not what was said.
        """
        counts = tuple(self._count(layer) for layer in layers)
        video = np.asarray(video, np.float32)
        if video.ndim != 5 or video.shape[1:] != (*self.clip, 3) or not len(video):
            want = ", ".join(map(str, (*self.clip, 3)))
            raise UsageError(f"video: expected shape (b, {want}), got {video.shape}.")
        step = self.reading.batch_size or len(video)
        parts = [self._batch(video[start : start + step], step, counts) for start in range(0, len(video), step)]
        return tuple(np.concatenate(found) for found in zip(*parts, strict=True))

    def _count(self, layer: float | int) -> int:
        """Return how many blocks run for a layer."""
        depth = self.reading.depth
        whole = isinstance(layer, int) and not isinstance(layer, bool)
        if whole and 1 <= layer <= depth:
            return int(layer)
        if isinstance(layer, float) and 0 < layer <= 1 and int(depth * layer):
            return int(depth * layer)
        more = "" if self.reading.blocks else " Only its output is read: name its `blocks` to read others."
        raise UsageError(f"layer: expected 1 to {depth} blocks, or a share of them in (0, 1], got {layer!r}.{more}")

    def _batch(self, clips: Array, size: int, counts: Sequence[int]) -> list[Array]:
        filled = np.zeros((size, *clips.shape[1:]), np.float32)
        filled[: len(clips)] = clips
        sizes = dict(zip("bthwc", filled.shape, strict=True))
        device = torch.device(self.reading.device)
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            stack.enter_context(matmul_precision(self.reading.matmul, device.type))
            if self.reading.dtype == "bfloat16":
                stack.enter_context(torch.autocast(device.type, torch.bfloat16))
            pixels = torch.from_numpy(filled).to(device)
            mean, std = (torch.tensor(value, device=device) for value in (self.reading.mean, self.reading.std))
            given = self._input.pack((pixels - mean) / std, "bthwc", sizes).contiguous()
            found = self._forward(given, set(counts))
            made = {count: self._features(tensor, where, size) for count, (tensor, where) in found.items()}
        return [made[count][: len(clips)] for count in counts]

    def _forward(self, given: torch.Tensor, counts: set[int]) -> dict[int, tuple[torch.Tensor, str]]:
        """Return the bare features of each number of blocks, and where they are from."""
        if not self._blocks:
            return {1: _at(self._call(given), self.reading.output, "output")}
        caught: dict[int, Any] = {}
        with self._hooks(counts, caught), suppress(_Enough):
            self._call(given)
        if missing := counts - set(caught):
            name = self.reading.blocks.replace("{i}", str(min(missing) - 1))
            raise UsageError(
                f"blocks: expected the module to call {name!r}, got no call of it by {self.reading.method!r}."
            )
        found = {}
        for count, value in caught.items():
            name = self.reading.blocks.replace("{i}", str(count - 1))
            tensor, where = _at(value, self.reading.block_output, name)
            if count == self.reading.depth and self._norm is not None:
                tensor = self._norm(tensor)
            found[count] = tensor, where
        return found

    def _call(self, given: torch.Tensor) -> Any:
        call = self.module if self.reading.method == "forward" else getattr(self.module, self.reading.method, None)
        if not callable(call):
            raise UsageError(f"method: expected one of {type(self.module).__name__}, got {self.reading.method!r}.")
        if self.reading.argument:
            return call(**{self.reading.argument: given}, **self.reading.arguments)
        return call(given, **self.reading.arguments)

    @contextmanager
    def _hooks(self, counts: set[int], caught: dict[int, Any]) -> Iterator[None]:
        """Catch what blocks put out, and stop behind the last that is wanted."""
        last = max(counts)

        def hook(count: int) -> Any:
            def catch(_module: Any, _given: Any, output: Any) -> None:
                caught[count] = output
                if count == last:
                    raise _Enough

            return catch

        handles = [self._blocks[count - 1].register_forward_hook(hook(count)) for count in counts]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _features(self, found: torch.Tensor, where: str, batch: int) -> Array:
        """Return `(b, t, k, c)` float32 of what came out.

        Raises:
            DataError: it has another shape than `axes`, `prefix` and `tokens` say.
        """
        t, k, c = self.reading.tokens
        sizes = {"b": batch, "t": t, "k": k, "c": c}
        places = "k"
        if "h" in self._output.letters:  # one side tells the other
            places = "hw"
            sizes |= self._sides(found)
        want = list(self._output.shape(sizes))
        axis = self._output.place(places[0])
        want[axis] += self.reading.prefix
        if tuple(found.shape) != tuple(want):
            raise DataError(
                f"{where}: expected shape {tuple(want)}, {self.reading.axes} of tokens (t, k, c) = {(t, k, c)} and "
                f"{self.reading.prefix} prefix tokens, got {tuple(found.shape)}. {self._advice(found, want, axis)}"
            )
        bare = found.narrow(axis, self.reading.prefix, want[axis] - self.reading.prefix)
        apart = self._output.unpack(bare, "bt" + places + "c", sizes)
        return np.asarray(apart.reshape(batch, t, k, c).float().cpu().numpy())

    def _sides(self, found: torch.Tensor) -> dict[str, int]:
        k = self.reading.tokens[1]
        place = self._output.place("h")
        height = found.shape[place] if found.ndim == len(self._output.groups) else 0
        # Where h stands alone its length is there to see; else the grid has the shape of the input.
        if self._output.groups[place] != "h":
            height = round((k * self.reading.size[0] / self.reading.size[1]) ** 0.5)
        if not height or k % height:
            raise DataError(
                f"axes: expected {self.reading.axes} with {k} places, got an output of shape {tuple(found.shape)}. "
                "Is `tokens` (t, k, c) with k = h * w?"
            )
        return {"h": int(height), "w": k // int(height)}

    def _advice(self, found: torch.Tensor, want: Sequence[int], axis: int) -> str:
        if found.ndim != len(want):
            return "Say in `axes` what its axes are."
        wrong = [place for place, (one, other) in enumerate(zip(found.shape, want, strict=True)) if one != other]
        extra = found.shape[axis] - want[axis]
        if wrong == [axis] and 0 < extra <= 16:
            return f"Is it {self.reading.prefix + extra} prefix tokens?"
        return "Say in `tokens` what it gives, or in `axes` where."

    def _submodule(self, option: str, name: str) -> Any:
        try:
            return self.module.get_submodule(name)
        except AttributeError as error:
            near = [known for known, _ in self.module.named_modules() if known]
            raise UsageError(f"{option}: expected a submodule, got {name!r}. There are {_some(near)}.") from error


def load(weights: str | None = None, seed: int = 0, *, source: str, **options: Any) -> TorchBackbone:
    """Return the backbone that options describe; see `probe4d_torch.options`.

    Args:
        weights: of a module or hub entry a file of tensors; of transformers a folder of the hub's kind; of `file` the
            TorchScript or exported program itself.
        seed: of random values, where no weights are given.
        source: a key of `SOURCES`.

    Raises:
        UsageError: an option is wrong, or the user's code is not to be found.
        DataError: the weights are not those of the module.
    """
    stated, reading = split(source, expand(options))
    return TorchBackbone(build(source, stated, weights, seed), reading)


def _reading(fields: Mapping[str, Any]) -> Reading:
    _, reading = split("file", fields)  # the name that takes nothing but these
    return reading


def _frozen(module: Any, device: str) -> Any:
    """Return the module without gradients, in eval mode, on a device."""
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"module: expected a torch.nn.Module, got {type(module).__name__}.")
    if not isinstance(module, torch.fx.GraphModule):  # an exported program has one mode, the one it was exported in
        module.eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    try:
        return module.to(device)
    except RuntimeError as error:
        raise UsageError(f"device: expected one that torch has here, got {device!r}: {error}.") from error


def _at(value: Any, path: str | int, where: str) -> tuple[torch.Tensor, str]:
    """Return the tensor at an index, key or attribute of an output, and what to call it.

    Raises:
        UsageError: there is none.
    """
    for part in str(path).split(".") if path != "" else ():
        where = f"{where}.{part}"
        value = _step(value, part, where)
    if not isinstance(value, torch.Tensor):
        option = "output" if where.startswith("output") else "block_output"
        raise UsageError(f"{where}: expected a tensor, got {_inside(value)}. Say by `{option}` which of them.")
    return value, where


def _step(value: Any, part: str, where: str) -> Any:
    if part.lstrip("-").isdigit() and isinstance(value, (tuple, list)):
        if not -len(value) <= int(part) < len(value):
            raise UsageError(f"{where}: expected an index into {_inside(value)}, got {part}.")
        return value[int(part)]
    if isinstance(value, Mapping) and part in value:
        return value[part]
    if hasattr(value, part) and not isinstance(value, torch.Tensor):
        return getattr(value, part)
    raise UsageError(f"{where}: expected something of that name, got {_inside(value)}.")


def _inside(value: Any) -> str:
    """Return what an output is, in words, with the shapes of what it holds."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return "a table of " + ", ".join(f"{key} ({_inside(item)})" for key, item in value.items())
    if isinstance(value, (tuple, list)):
        return f"{len(value)} values (" + "; ".join(_inside(item) for item in value[:4]) + ")"
    return f"a {type(value).__name__}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(names[:8]) or "none") + more
