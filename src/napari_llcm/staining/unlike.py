"""What of a stack is unlike those that a model knows, in words."""

from __future__ import annotations

from ..models.familiarity import Familiarity, Features

# feature, what it means to lie below the usual span, and above it; the weightiest first
_WORDS: tuple[tuple[str, str, str], ...] = (
    ("planes", "it has few planes", ""),
    ("noise", "", "it is noisier than what the model knows"),
    ("fine", "it has little fine detail: out of focus, blurred or finely sampled", ""),
    ("band 4", "", "it has more fine detail than what the model knows: coarsely sampled, or noise"),
    ("band 0", "", "its background varies strongly over the field"),
    ("axial blobs 1", "neighbouring planes have little in common: coarse steps along z",
     "all planes look alike: blurred along z, or fine steps along z"),
    ("blob skew", "what is bright in what the model knows is dark here",
     "its contrast is of another kind: bright blobs prevail"),
    ("uneven", "it looks the same everywhere: no cells stand out",
     "its contrast varies strongly over the field"),
    ("encoder means", "", "it looks like another kind of microscopy than what the model knows"),
    ("overlap", "two trial stains of it disagree: the model guesses", ""),
    ("open", "what is stained has no shape of nuclei", ""),
    ("size", "what is stained is smaller than nuclei that the model knows",
     "what is stained is larger than nuclei that the model knows"),
    ("foreground", "hardly anything is stained in it", "nearly all of it is stained"),
)  # fmt: skip


def reasons(familiarity: Familiarity, features: Features) -> list[str]:
    """Return in words which features lie outside of the span of stacks that are stained well."""
    said = []
    for name, below, above in _WORDS:
        if name not in familiarity.usual or name not in features:
            continue
        low, high = familiarity.usual[name]
        text = below if features[name] < low else above if features[name] > high else ""
        said += [text] if text else []
    return said
