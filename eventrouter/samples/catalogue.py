"""Every sample there is: those built here, and those that installed packages bring."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points

from eventrouter.errors import ConfigError, EventRouterError
from eventrouter.samples import brokers, devops, http, identity, messaging, results, storage, web
from eventrouter.samples.model import Sample

GROUP = "eventrouter.samples"

_OURS = (storage, messaging, http, web, identity, devops, brokers, results)


def load_samples() -> Mapping[str, Sample]:
    """Return every sample by name, ordered by it.

    Raises ConfigError, naming the package's entry point, if it cannot be imported or takes a name that is taken.
    """
    found: dict[str, Sample] = {}
    for module in _OURS:
        _add(found, module.SAMPLES, module.__name__)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            theirs = tuple(point.load())
        except Exception as error:
            raise ConfigError(f"the samples {point.name!r} ({point.value}) do not load: {error}") from error
        _add(found, theirs, point.value)
    return dict(sorted(found.items()))


def find_sample(name: str) -> Sample:
    """Return a sample by name. Raises EventRouterError, naming what comes near, if there is none."""
    samples = load_samples()
    if name in samples:
        return samples[name]
    of_source = [each for each in samples if each.startswith(f"{name.partition(':')[0]}:")]
    near = difflib.get_close_matches(name, samples, n=1) if ":" in name else []
    if near:
        hint = f"did you mean {near[0]}?"
    elif of_source:
        hint = f"there are {', '.join(of_source)}"
    else:
        hint = "`eventrouter samples ls` lists them"
    raise EventRouterError(f"there is no sample {name!r}: {hint}")


def _add(found: dict[str, Sample], samples: Iterable[Sample], origin: str) -> None:
    for sample in samples:
        if sample.name in found:
            raise ConfigError(f"the sample {sample.name!r} of {origin} is there already")
        found[sample.name] = sample
