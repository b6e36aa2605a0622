"""What a model's class puts on top instead of a language model's head: nothing, or a small head by its labels.

``architectures`` names the class. Shapes follow the modelling code of transformers 5.24 (built without weights for 30
families: a sequence classifier's ``score`` has no bias, a token classifier's and ``qa_outputs`` have one) and, for
reward models, the publishers' modelling code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sizing.base.errors import ConfigError
from sizing.model.keys import describe
from sizing.model.parts import Component, Linear, Sharding

WITH_HEAD = ("LMHeadModel", "DoubleHeadsModel", "ChatModel", "ChatGLMModel")  # "Models" that do have a head
USUAL_LABELS = 2  # num_labels of a config that states none
MAX_LABELS = 1_000_000
SPANS = 2  # a question's answer has a start and an end
_CLASSIFIER = re.compile(r"For(SequenceClassification|TokenClassification|QuestionAnswering)$")
_REWARD = re.compile(r"For(Process)?RewardModel$")


def read_head(config: Mapping[str, object], hidden_size: int) -> tuple[bool, tuple[Linear, ...]]:
    """Whether the class keeps the language model's head, and the matrices that stand in its place.

    Raises ConfigError for a reward model whose head is not known, and for labels that are no labels.
    """
    architectures = config.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else None
    if not isinstance(first, str):
        return True, ()
    classifier, reward = _CLASSIFIER.search(first), _REWARD.search(first)
    if classifier is not None:
        if classifier[1] == "QuestionAnswering":
            return False, (_score("qa_outputs", hidden_size, SPANS, bias=True),)
        bias = classifier[1] == "TokenClassification"
        return False, (_score("score", hidden_size, _labels(config, USUAL_LABELS), bias=bias),)
    if reward is not None:
        return False, _reward(first, config, hidden_size, USUAL_LABELS if reward[1] else 1)
    if first.endswith("Model") and not first.endswith(WITH_HEAD):
        return False, ()
    return True, ()


def _reward(name: str, config: Mapping[str, object], hidden: int, usual: int) -> tuple[Linear, ...]:
    """Qwen2's reward models: two layers, hidden to hidden to labels; InternLM2's: one value, no bias."""
    if name.startswith("Qwen2For"):
        between = _score("score.0", hidden, hidden, bias=True)
        return between, _score("score.2", hidden, _labels(config, usual), bias=True)
    if name.startswith("InternLM2For"):
        return (_score("v_head", hidden, 1, bias=False),)
    raise ConfigError(
        f"the head of {describe(name)} is not known",
        key="architectures",
        hint="a class of transformers, such as ...ForSequenceClassification, is counted",
    )


def _score(name: str, hidden: int, labels: int, *, bias: bool) -> Linear:
    return Linear(name, hidden, labels, Component.LM_HEAD, Sharding.REPLICATED, bias=bias, quantizable=False)


def _labels(config: Mapping[str, object], usual: int) -> int:
    """The labels that ``id2label`` lists, else ``num_labels``; a multimodal config may hold them in its text's."""
    inner = config.get("text_config")
    for source in (config, inner if isinstance(inner, Mapping) else {}):
        listed, count = source.get("id2label"), source.get("num_labels")
        if isinstance(listed, Mapping) and listed:
            return len(listed)
        if count is None:
            continue
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_LABELS:
            raise ConfigError(f"must be a whole number of labels, not {describe(count)}", key="num_labels")
        return count
    return usual
