"""Architecture: what a model is made of, ready for counting, sharding and timing.

An ``Architecture`` is embeddings, groups of equal layers (mixer + feed-forward + norms), a head, towers
(vision) and multi-token-prediction modules. It is immutable and knows nothing of machines, engines or
dtypes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sizing.base.errors import SizingError
from sizing.model.image_rules import AudioRule, ImageRule
from sizing.model.parts import CacheKind, Component, CoreKind, FeedForward, Linear, Mixer, Vector

BF16_BYTES = 2


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """``count`` layers of the same build. ``vectors`` are the layer's own norms."""

    name: str
    count: int
    mixer: Mixer
    feed_forward: FeedForward
    vectors: tuple[Vector, ...] = ()

    def components(self) -> Counter[Component]:
        """Parameters of ONE layer of the group, by component."""
        total: Counter[Component] = Counter()
        for linear in (*self.mixer.linears, *self.feed_forward.linears):
            total[linear.component] += linear.params
        for vector in (*self.mixer.vectors, *self.feed_forward.vectors, *self.vectors):
            total[vector.component] += vector.params
        if self.feed_forward.experts is not None:
            total[Component.ROUTED_EXPERTS] += self.feed_forward.experts.params
        return total

    @property
    def params(self) -> int:
        """Parameters of one layer of the group, all experts counted."""
        return sum(self.components().values())

    @property
    def inactive_params(self) -> int:
        """Parameters of one layer that a token does not pass through (experts it is not routed to)."""
        experts, idle = self.feed_forward.experts, self.feed_forward.idle_params
        if experts is None:
            return idle
        return idle + round((experts.num_experts - experts.num_experts_per_tok) * experts.params_per_expert)


@dataclass(frozen=True, slots=True)
class VisionTower:
    """An image encoder and its projector: parameters, and what an image costs in tokens and FLOPs."""

    params: int
    layers: int
    hidden_size: int
    num_heads: int
    intermediate_size: int
    patch_size: int
    spatial_merge_size: int = 1
    tokens_per_image: int | None = None  # of one tile or of every image; None: follows the image's size
    temporal_patch_size: int = 1
    rule: ImageRule | None = None  # how its processor cuts images, by the config's keys; None: whole cells of the image
    audio: AudioRule | None = None  # of its audio encoder's tokens

    def image_tokens(self, width: int, height: int, frames: int = 1) -> int:
        """Tokens that an image of ``width`` x ``height`` pixels, or a video of so many frames, adds to the prompt.

        >>> from sizing.model.sources import load_model
        >>> tower = load_model("Qwen/Qwen2.5-VL-7B-Instruct").vision
        >>> tower.image_tokens(1920, 1080), tower.image_tokens(1920, 1080, frames=16)
        (2691, 5760)
        """
        if self.rule is not None:
            return self.rule.tokens(width, height) if frames == 1 else self.rule.video_tokens(width, height, frames)
        if frames > 1:
            return -(-frames // self.temporal_patch_size) * self.image_tokens(width, height)
        if self.tokens_per_image is not None:
            return self.tokens_per_image
        cell = self.patch_size * self.spatial_merge_size
        return max(1, round(width / cell)) * max(1, round(height / cell))

    def audio_tokens(self, seconds: float) -> int:
        """Tokens that a sound of so many seconds adds; raises SizingError where the model hears nothing or its rule is
        not known.
        """
        if self.audio is None:
            raise SizingError("no rule for sounds is known of this model", key="audio")
        return self.audio.tokens(seconds)


@dataclass(frozen=True, slots=True)
class Architecture:
    """A model's build. Counts are whole numbers in the conventions of the count oracle.

    ``total`` counts a tied embedding once and leaves out MTP modules, buffers and quantisation scales.
    """

    name: str
    model_type: str
    hidden_size: int
    vocab_size: int
    max_position_embeddings: int
    groups: tuple[LayerGroup, ...]
    tie_word_embeddings: bool
    extra_vectors: tuple[Vector, ...] = ()  # final norm, position tables, ...
    extra_linears: tuple[Linear, ...] = ()  # per-model projections outside the layers
    has_lm_head: bool = True
    lm_head_bias: bool = False
    embedding_params: int | None = None  # None: vocab_size * hidden_size
    vision: VisionTower | None = None
    mtp_groups: tuple[LayerGroup, ...] = ()
    mtp_extra_params: int = 0
    hypothetical: bool = False
    notes: tuple[str, ...] = ()
    native_quantization: object | None = None  # a quantization.QuantScheme when the config states one
    quantization_problem: str | None = None  # what of the checkpoint's format was not understood
    torch_dtype: str = "bfloat16"
    dtype_stated: bool = True  # False: torch_dtype is assumed, the config states none
    rope_scaling_factor: float = 1.0
    original_max_position_embeddings: int | None = None
    dialect: dict[str, object] = field(default_factory=dict, compare=False)
    layer_order: tuple[int, ...] = ()  # index into ``groups`` of every layer, first to last
    yarn_context: int | None = None  # context that the publisher documents with YaRN switched on [tokens]
    stored_bytes: int | None = None  # bytes of the tensors of a local checkpoint, scales and packing included
    stored_dtypes: tuple[tuple[str, int], ...] = ()  # bytes of them by stored dtype
    stored_components: tuple[tuple[str, int], ...] = ()  # bytes of them by component, MTP modules left out
    stored_note: str | None = None  # where the files and the config are more than 2% apart

    @property
    def native_context(self) -> int:
        """Tokens of context that the config states as it is; 0 where it states none."""
        return self.max_position_embeddings

    @property
    def extended_context(self) -> int:
        """Tokens of context with the extension that the publisher documents (Qwen3: 131,072 with YaRN)."""
        return max(self.max_position_embeddings, self.yarn_context or 0)

    @property
    def num_layers(self) -> int:
        """Layers of the model itself, MTP modules not counted."""
        return sum(group.count for group in self.groups)

    @property
    def embedding(self) -> int:
        """Parameters of the input embedding."""
        return self.vocab_size * self.hidden_size if self.embedding_params is None else self.embedding_params

    @property
    def lm_head(self) -> int:
        """Parameters of the output head; 0 when it is tied to the embedding or absent."""
        if not self.has_lm_head:
            return 0
        bias = self.vocab_size if self.lm_head_bias else 0
        return bias + (0 if self.tie_word_embeddings else self.vocab_size * self.hidden_size)

    def components(self) -> dict[str, int]:
        """Parameters by component, the whole model, without MTP. Sums to ``total``."""
        count: Counter[Component] = Counter()
        for group in self.groups:
            for component, params in group.components().items():
                count[component] += params * group.count
        for linear in self.extra_linears:
            count[linear.component] += linear.params
        for vector in self.extra_vectors:
            count[vector.component] += vector.params
        count[Component.EMBEDDING] += self.embedding
        count[Component.LM_HEAD] += self.lm_head
        if self.vision is not None:
            count[Component.VISION] += self.vision.params
        return {component.value: count.get(component, 0) for component in Component}

    @property
    def total(self) -> int:
        """Parameters of everything but MTP modules, vision tower included."""
        return sum(self.components().values())

    @property
    def active(self) -> int:
        """All that a text token passes through: embedding and head included, vision tower and idle experts
        not.
        """
        idle = sum(group.inactive_params * group.count for group in self.groups)
        return self.total - idle - (self.vision.params if self.vision is not None else 0)

    @property
    def active_without_input_embedding(self) -> int:
        """``active`` less the input embedding; a tied embedding stays, it is the head."""
        return self.active - (0 if self.tie_word_embeddings and self.has_lm_head else self.embedding)

    @property
    def active_without_embeddings(self) -> int:
        """``active`` less the input embedding and the head (a classifier's own head too)."""
        return self.active - self.embedding - self.components()[Component.LM_HEAD.value]

    @property
    def mtp(self) -> int:
        """Parameters of the multi-token-prediction modules, which ``total`` leaves out."""
        return self.mtp_extra_params + sum(group.params * group.count for group in self.mtp_groups)

    @property
    def is_moe(self) -> bool:
        """Whether any layer has routed experts."""
        return any(group.feed_forward.experts is not None for group in self.groups)

    @property
    def kind(self) -> str:
        """``hybrid`` (recurrent layers), ``mla``, ``moe`` or ``dense``: what the evidence is sorted by."""
        if any(group.mixer.core.kind is CoreKind.LINEAR for group in self.groups):
            return "hybrid"
        if self.is_mla:
            return "mla"
        return "moe" if self.is_moe else "dense"

    @property
    def is_mla(self) -> bool:
        """Whether any layer caches latents (multi-head latent attention)."""
        return any(group.mixer.cache.kind is CacheKind.MLA for group in self.groups)
