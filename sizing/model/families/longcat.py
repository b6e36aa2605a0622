"""LongCat-Flash: two latent attentions and two MLPs a layer, and a mixture of experts beside them with experts that
hold no weights.
"""

from __future__ import annotations

from sizing.model.body import Body, Layer, layer_count, norm
from sizing.model.families.decoder import add_mtp
from sizing.model.families.latent import read_mla
from sizing.model.families.recurrent import finish
from sizing.model.feedforward import dense, mlp_linears, moe
from sizing.model.keys import Keys


def build_longcat(keys: Keys) -> Body:
    """LongCat-Flash: ``num_layers`` double layers, written as twice as many, the experts in the first of each."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    heads = keys.integer("num_attention_heads", maximum=2**16)
    count = layer_count(keys, "num_layers")
    doubled = keys.optional_integer("num_hidden_layers")
    if doubled is not None and doubled not in (count, 2 * count):
        raise keys.error("num_hidden_layers", f"{doubled} is neither num_layers ({count}) nor twice as many")
    attention = read_mla(keys, hidden, heads, index_topk=None, own_indexer=True)
    width = keys.integer("ffn_hidden_size", "intermediate_size")
    number = keys.integer("n_routed_experts", maximum=10**6)
    empty = keys.integer("zero_expert_num", default=0, minimum=0, maximum=10**6)
    if empty and keys.text("zero_expert_type", default="identity") != "identity":
        raise keys.error("zero_expert_type", "only identity is supported")
    chosen = keys.integer("moe_topk", "num_experts_per_tok", maximum=number + empty)
    mixture = moe(
        hidden=hidden,
        num_experts=number,
        num_experts_per_tok=min(number, chosen * number / (number + empty)),
        intermediate=keys.integer("expert_ffn_hidden_size", "moe_intermediate_size"),
        router_bias=keys.boolean("router_bias", default=False),
        zero_experts=empty,
        extra_linears=mlp_linears(hidden, width),
    )
    vectors = norm(hidden, count=2)
    pair = [Layer(attention, mixture, vectors), Layer(attention, dense(hidden, width), vectors)]
    body = finish(keys, hidden, pair * count)
    if empty:
        body.notes.append(
            f"{empty} of {number + empty} experts hold no weights: the active count assumes that tokens choose evenly"
        )
    add_mtp(keys, body, layer=pair[1])
    return body
