"""Events as each source sends them, by name. Those of an adapter's source come from the adapter's own event writers:
the entry-point group `eventrouter.samples` names sequences of them, ours and anybody's alike.
"""

from eventrouter.samples.catalogue import find_sample, load_samples
from eventrouter.samples.edit import edited
from eventrouter.samples.model import Document, Invoked, Sample, Scene

__all__ = ["Document", "Invoked", "Sample", "Scene", "edited", "find_sample", "load_samples"]
