"""What of a claim is understood in English: patterns over the plain text, each with the facts that it gives.

The order matters: a piece that one pattern has read is gone for the next. Facts are fields of ``Claim``; a name that
starts with an underscore is settled by ``sizing.claims.text`` once all is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sizing.claims.figures import (
    SCALE,
    fraction,
    money,
    number,
    percent,
    quantity,
    ratio,
    share,
    usd_of,
    value,
)

Facts = dict[str, Any]
Reader = tuple[str, Callable[[re.Match[str]], Facts]]

TOKEN = r"(?:tokens?|toks?|词元|令牌)"
MILLION = r"(?!\s*\w*\s*(?:million|M|百万)\s*(?:requests|queries|calls|images|次))(?:1\s*[xM]?\s*)?(?:-?\s*million|mn|M|百万|100\s*万)(?![A-Za-z]*[a-z]{3})(?:tok(?:en)?s?\b)?|1,?000,?000"
TO = r"(?:\s|[:=,(]|\b(?:is|are|was|were|of|at|to|a|the|stands|comes|now|reaches|costs?|price|from)\b)*"
KIND = r"(?:cached\s+)?(?:input|output|blended|prompt|completion|generated)"
PER = r"(?:/|per|for\s+(?:each|every|one|a|1)?|an?|each|every)"
PRICE = r"(?:(?:price|cost|fee|rate)s?)"
END = r"(?=\s*(?:[,;:()!?]|\.\s|\.?$)|['’]s\b|\s+(?:and|at|by|for|in|on|with|to|when|while|while|using|but|is|are|which|or|per)\b)"
NAME = r"[A-Za-z][\w .\-]*?"
_CHEAPER = r"(?:below|under|beneath|off|(?:cheaper|lower|less|smaller|down)(?:[\s-]+\w+){0,3}?\s+(?:than|from)|"
BELOW = (
    _CHEAPER + r"(?:\w+\s+)?(?:reductions?|savings?|cuts?|discounts?|drops?)(?:\s+\w+){0,2}?\s+"
    r"(?:against|over|versus|vs\.?|compared\s+(?:to|with)|relative\s+to|from|on))"
)
DEARER = (
    r"(?:(?:more\s+(?:expensive|costly)|dearer|pricier|costlier|higher|above|more)(?:[\s-]+\w+){0,3}?\s+than|above)"
)
_KINDS = {"prompt": "input", "completion": "output", "generated": "output", "blended": "blend", "in": "input",
          "out": "output", "输入": "input", "输出": "output", "提示": "input", "生成": "output", "prefill": "input",
          "decode": "output", "预填充": "input", "解码": "output", "decoding": "output", "prefilling": "input"}  # fmt: skip


def kind_of(*said: str | None) -> str | None:
    """Input, output or blend of the first word that says one."""
    for text in said:
        if text:
            word = text.strip().lower()
            return _KINDS.get(word, word)
    return None


def priced(match: re.Match[str], name: str, kind: str | None, per: float = 1e6) -> Facts:
    """A price per million tokens of a kind."""
    amount, note = usd_of(match, name)
    facts: Facts = {"_price": (amount * 1e6 / per, kind)}
    return facts | ({"_note": note} if note else {})


def _prices(match: re.Match[str]) -> Facts:
    one, note = usd_of(match, "a")
    other, more = usd_of(match, "b")
    return {"_price": (one, "input"), "_price_more": (other, "output"), "_note": note or more}


def _one(name: str, *, whole: bool = False) -> Callable[[re.Match[str]], Facts]:
    """The quantity ``n`` as a field."""
    return lambda m: {name: int(value(m, "n")) if whole else value(m, "n")}


def tokens_of(match: re.Match[str], name: str = "n") -> int:
    """A context: 128K is 131,072 where the figure is a power of two (or 3 times one), 200K is 200,000."""
    figure, scale = number(match[name]), (match[f"{name}_s"] or "").lower()
    if scale in ("k", "thousand") and figure in (4, 8, 16, 32, 64, 96, 128, 160, 256, 512):
        return int(figure * 1024)
    return int(min(value(match, name), 1e15))


def cheaper(match: re.Match[str], below: float) -> Facts:
    """So much below the price of the model named ``than``; 3 times as dear is so much above."""
    than = match["than"].strip(" -.")
    return {"below": below, "than": than} if below > 0 else {"above": -below, "than": than}


def times_below(match: re.Match[str]) -> Facts:
    """ "10 times cheaper": a tenth of the price."""
    times = value(match, "n")
    return cheaper(match, 1 - 1 / times) if times > 1 else {}


def faster(match: re.Match[str], factor: float) -> Facts:
    """So many times as fast as what is named ``than``."""
    return {"faster": factor, "faster_than": match["than"].strip(" -.")}


def hours(match: re.Match[str]) -> Facts:
    """Accelerator-hours, and the accelerator where it is named between."""
    name = (match.groupdict().get("name") or "").strip(" -")
    return {"gpu_hours": value(match, "n")} | ({"_accelerator": name} if name else {})


def seconds_of(match: re.Match[str], name: str = "n") -> float:
    """Seconds of a figure in ms or s."""
    unit = match["unit"].lower()
    return number(match[name]) / (1000.0 if unit.startswith(("m", "毫")) else 1.0)


_BYTES = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}


def bytes_of(match: re.Match[str]) -> float:
    """Bytes of a figure in GB (10^9) or GiB (2^30)."""
    letter, binary = match["unit"][0].upper(), match["unit"][1:2].lower() == "i"
    return number(match["n"]) * (1024.0 ** ("KMGTPE".index(letter) + 1) if binary else _BYTES[letter])


_RATES = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18, "z": 1e21, "y": 1e24}
_FLOP_WORDS = {"tera": "t", "peta": "p", "exa": "e", "zetta": "z"}


def flop_of(match: re.Match[str]) -> float:
    """FLOP (or FLOP/s) of a figure with a letter or a word: 512 PFLOPS."""
    prefix = (match["p"] or "").lower()
    return value(match, "n") * _RATES.get(_FLOP_WORDS.get(prefix, prefix), 1.0)


def _watt_hours(match: re.Match[str], per_tokens: float) -> Facts:
    unit = match["unit"].lower()
    wh = number(match["n"]) * {"kwh": 1e3, "wh": 1.0, "mwh": 1e6 if match["unit"][0] == "M" else 1e-3, "j": 1 / 3600,
                               "joule": 1 / 3600, "joules": 1 / 3600, "kj": 1 / 3.6, "度": 1e3}[unit]  # fmt: skip
    return {"wh_per_million": wh * 1e6 / per_tokens}


_SPEED_UNIT = rf"(?:{TOKEN}|t)\s*(?:/|per)\s*(?:s(?:ec(?:ond)?)?s?)\b|tps\b|TPS\b"
_EACH = (
    r"(?P<each>\s*(?:/|per|a|an|on\s+each|for\s+each|from\s+each|of\s+each|for\s+an?|each)\s*"
    r"(?P<each_of>single\s+user|user|request|stream|sequence|gpu|npu|chip|card|accelerator|node|server|machine|"
    r"[A-Z]+\d+\w*(?:\s+node|\s+server)?))?"
)


PERIODS = {"day": 86400.0, "hour": 3600.0, "minute": 60.0, "week": 604800.0, "month": 2629800.0}


def speed(match: re.Match[str]) -> Facts:
    """Tokens/s: of which kind, and of what (a user, an accelerator, a node)."""
    said = match.groupdict()
    each = (said.get("each_of") or said.get("each_before") or "").lower()
    per = None
    if each:
        if re.search(r"user|request|stream|sequence|用户|请求|路", each):
            per = "request"
        elif re.search(r"node|server|machine|节点|机|台", each):
            per = "node"
        else:
            per = "accelerator"
    named = re.search(r"(?<![A-Za-z0-9])[A-Z]+\d+[A-Za-z0-9]*", said.get("each_of") or said.get("each_before") or "")
    facts = {"tokens_per_s": value(match, "n"), "per": per, "_rate_kind": kind_of(said.get("k"), said.get("k2"))}
    return facts | ({"_accelerator": named[0]} if named else {})


READERS: tuple[Reader, ...] = (
    # ---- money ----
    (rf"cached\s+input(?:\s+{TOKEN})?(?:\s+{PRICE})?{TO}{money('a')}(?:\s*{PER}\s*(?:{MILLION})\s*{TOKEN}?)?",
     lambda m: {"_note": "the price of cached input tokens is not checked"}),
    (rf"{money('a')}\s*{PER}\s*(?:{MILLION})\s*cached\s+(?:input\s+)?{TOKEN}?", lambda m: {"_note": "the price of cached input tokens is not checked"}),
    (rf"{money('a')}\s*(?:input)?\s*(?:/|and|,)\s*{money('b')}\s*(?:output)?\s*{PER}\s*(?:{MILLION})\s*"
     rf"(?:input\s*(?:/|and)\s*output)?\s*{TOKEN}?", _prices),
    (rf"{money('a')}\s*(?:per\s+(?:{MILLION})\s*)?(?:for\s+)?(?:input|in)\b\s*(?:{TOKEN})?\s*(?:/|and|,)\s*{money('b')}\s*"
     rf"(?:per\s+(?:{MILLION})\s*)?(?:for\s+)?(?:output|out)\b\s*(?:{TOKEN})?(?:\s*{PER}\s*(?:{MILLION})\s*{TOKEN}?)?", _prices),
    (rf"(?P<k>{KIND})?\s*(?:{TOKEN})?\s*{PRICE}?\s*{PER}\s*(?:{MILLION})\s*(?P<k2>{KIND})?\s*{TOKEN}?{TO}{money('a')}"
     r"(?!\s*(?:/|per)\s*\w*\s*(?:M|million)\b)", lambda m: priced(m, "a", kind_of(m["k"], m["k2"]))),
    (rf"(?:(?P<k>{KIND})\s*(?:{TOKEN})?\s*{PRICE}?{TO})?{money('a')}\s*{PER}\s*(?:{MILLION})\s*(?:of\s+)?"
     rf"(?P<k2>{KIND}|in\b(?!\s+(?:\d|fp|int|bf))|out\b)?\s*{TOKEN}?", lambda m: priced(m, "a", kind_of(m["k2"], m["k"]))),
    (rf"{money('a')}\s*{PER}\s*(?:1\s*)?(?:K|thousand|1000|1,000)\s*(?P<k2>{KIND})?\s*{TOKEN}?",
     lambda m: priced(m, "a", kind_of(m["k2"]), 1e3)),
    (rf"{money('a')}\s*{PER}\s*(?:1\s*)?(?:B|billion)\s*(?P<k2>{KIND})?\s*{TOKEN}",
     lambda m: priced(m, "a", kind_of(m["k2"]), 1e9)),
    (rf"{money('a')}\s*{PER}\s*(?P<k2>{KIND})?\s*{TOKEN}", lambda m: priced(m, "a", kind_of(m["k2"]), 1.0)),
    (rf"(?P<k>input|output)\s*(?:{TOKEN})?\s*{PRICE}?{TO}{money('a')}(?!\s*(?:/|per)\s*\w)", lambda m: priced(m, "a", kind_of(m["k"]))),
    (rf"{money('a')}\s*{PER}\s*(?P<name>{NAME})?[\s-]*(?:gpu|npu|accelerator|chip|card)?[\s-]*(?:hour|hr|h)\b",
     lambda m: {"usd_per_hour": usd_of(m, "a")[0], "_note": usd_of(m, "a")[1],
                "_accelerator": re.sub(r"^(?:accelerator|chip|gpu|npu|card)$", "", (m["name"] or "").strip(" -"), flags=re.I) or None}),
    # ---- prices against other prices ----
    (rf"{percent('n')}\s*{BELOW}\s+(?:that\s+of\s+|the\s+{PRICE}\s+of\s+)?(?P<than>{NAME}){END}", lambda m: cheaper(m, share(m, "n"))),
    (rf"{percent('n')}\s*{DEARER}\s+(?:that\s+of\s+)?(?P<than>{NAME}){END}", lambda m: cheaper(m, -share(m, "n"))),
    (rf"{quantity('n', False)}\s*-?\s*(?:x|×|times|fold)\s*(?:cheaper|lower|less(?:\s+expensive)?|smaller)(?:\s+\w+){{0,2}}?\s+than"
     rf"\s+(?P<than>{NAME}){END}", times_below),
    (rf"{ratio('n')}\s*(?:of\s+)?(?:the\s+)?{PRICE}\s+(?:of|as)\s+(?P<than>{NAME}){END}",
     lambda m: cheaper(m, 1 - fraction(m, "n"))),
    (rf"{ratio('n')}\s*(?:of\s+)?(?P<than>{NAME})['’]s\s+{PRICE}", lambda m: cheaper(m, 1 - fraction(m, "n"))),
    (rf"{percent('n')}\s*(?:of\s+)?(?:the\s+)?{PRICE}\s+of\s+(?P<than>{NAME}){END}", lambda m: cheaper(m, 1 - share(m, "n"))),
    (rf"{percent('n')}\s*(?:of\s+)?(?:what\s+)?(?P<than>{NAME})(?:['’]s\s+{PRICE}|\s+costs)", lambda m: cheaper(m, 1 - share(m, "n"))),
    (rf"{quantity('n', False)}\s*-?\s*(?:x|×|times)?\s*(?:more\s+expensive\s+than|dearer\s+than|the\s+{PRICE}\s+of|as\s+(?:expensive|dear|costly)\s+as)"
     rf"\s+(?P<than>{NAME}){END}", lambda m: cheaper(m, 1 - value(m, "n"))),
    (rf"{percent('n')}\s*(?:cheaper|lower\s+{PRICE}|less\s+expensive|{PRICE}\s+(?:savings?|reductions?|cuts?))(?!\s+than)", lambda m: {"below": share(m, "n")}),
    # ---- speed against another ----
    (rf"{percent('n')}\s*(?:faster|quicker|(?:higher|more|better)\s+(?:\w+\s+)?(?:throughput|speed|performance))\s+than\s+(?P<than>{NAME}){END}",
     lambda m: faster(m, 1 + share(m, "n"))),
    (rf"{percent('n')}\s*slower\s+than\s+(?P<than>{NAME}){END}", lambda m: faster(m, 1 - share(m, "n"))),
    (rf"{quantity('n', False)}\s*-?\s*(?:x|×|times|fold)?\s*(?:as\s+(?:fast|quick)\s+as|(?:faster|quicker)\s+than|"
     r"(?:the|higher|more)\s+(?:\w+\s+)?(?:speed|throughput|performance)\s+(?:of|than))"
     rf"\s+(?:an?\s+|the\s+)?(?P<than>{NAME}){END}", lambda m: faster(m, value(m, "n"))),
    (rf"{quantity('n', False)}\s*-?\s*(?:x|×|times|fold)\s*slower\s+than\s+(?P<than>{NAME}){END}",
     lambda m: faster(m, 1 / max(value(m, "n"), 1e-9))),
    # ---- energy ----
    (rf"{quantity('n', False)}\s*(?P<unit>kWh|Wh|MWh|mWh|kJ|joules?|J|度)\s*(?:电)?\s*{PER}\s*(?:{MILLION})\s*{TOKEN}?", lambda m: _watt_hours(m, 1e6)),
    (rf"{quantity('n', False)}\s*(?P<unit>kWh|Wh|MWh|mWh|kJ|joules?|J)\s*{PER}\s*(?:1\s*)?(?:K|thousand|1,?000)\s*{TOKEN}", lambda m: _watt_hours(m, 1e3)),
    (rf"{quantity('n', False)}\s*(?P<unit>kWh|Wh|MWh|mWh|kJ|joules?|J)\s*{PER}\s*(?:output\s+)?{TOKEN}", lambda m: _watt_hours(m, 1.0)),
    (rf"{quantity('n', False)}\s*(?P<unit>kWh|Wh|MWh|mWh|kJ|joules?|J)\s*{PER}\s*(?:query|request|answer|response|prompt)",
     lambda m: {"wh_per_request": _watt_hours(m, 1e6)["wh_per_million"]}),
    # ---- latency and speed ----
    (r"(?:TTFT|time\s+to\s+(?:the\s+)?first\s+token|first[\s-]+token(?:\s+latency)?)(?:\s+(?:p50|p95|p99|latency))?"
     rf"{TO}(?:in|within|after|below|under)?\s*{quantity('n', False)}\s*(?P<unit>ms|milliseconds?|s|secs?|seconds?)\b",
     lambda m: {"ttft_s": seconds_of(m)}),
    (rf"{quantity('n', False)}\s*(?P<unit>ms|milliseconds?|s|secs?|seconds?)\s*(?:TTFT|(?:time\s+)?to\s+(?:the\s+)?first\s+token)",
     lambda m: {"ttft_s": seconds_of(m)}),
    (r"(?:TPOT|ITL|time\s+per\s+output\s+token|inter-?token\s+latency|time\s+between\s+tokens)(?:\s+(?:p50|p95|p99))?"
     rf"{TO}(?:in|within|below|under)?\s*{quantity('n', False)}\s*(?P<unit>ms|milliseconds?|s|secs?|seconds?)\b",
     lambda m: {"tpot_s": seconds_of(m)}),
    (rf"{quantity('n', False)}\s*(?P<unit>ms|milliseconds?|s|secs?|seconds?)\s*(?:TPOT\b|(?:/|per|a|for\s+each|each)\s*(?:output\s+)?{TOKEN})",
     lambda m: {"tpot_s": seconds_of(m)}),
    (rf"{quantity('n')}\s*(?P<k>{KIND}|prefill|decode|decoding)?\s*(?:{_SPEED_UNIT}){_EACH}", speed),
    (rf"{quantity('n')}\s*{TOKEN}\s*(?:/|per|a|each|every)\s*(?P<unit>day|hour|minute|month|week)\b",
     lambda m: {"tokens_per_s": value(m, "n") / PERIODS[m["unit"].lower()], "_rate_kind": "blend"}),
    (rf"{quantity('n')}\s*(?:requests?|queries|QPS|RPS)\s*(?:(?:/|per|a)\s*(?P<unit>s(?:ec(?:ond)?)?|day|hour|minute|month|week)\b)?",
     lambda m: {"requests_per_s": value(m, "n") / PERIODS.get((m["unit"] or "s").lower(), 1.0)} if m["unit"] or "PS" in m[0].upper() else {}),
    (rf"{quantity('n', False)}\s*(?P<unit>[KM]i?B)\s*(?:(?:of\s+)?(?:KV\s*)?cache\s*)?(?:/|per|for\s+each|a|each)\s*{TOKEN}",
     lambda m: {"cache_bytes_per_token": bytes_of(m)}),
    (rf"{quantity('n')}\s*(?:GPUs|NPUs|cards|chips|accelerators|graphics\s+cards)\b(?!\s*[-\s]?hours?)", lambda m: {"accelerators": int(value(m, "n"))}),
    # ---- training ----
    (rf"{quantity('n')}\s*(?P<name>(?:NVIDIA|Huawei|AMD)?\s*(?:Ascend\s*)?[A-Z]*\d+\w*)?\s*(?:gpu|npu|chip|card|accelerator)?s?[\s-]*(?:hours|hour|hrs)\b",
     hours),
    (rf"{quantity('n')}\s*(?:/|\s+in\s+)?\s*(?:total\s+)?context\b(?!\w)", lambda m: {"context": tokens_of(m)}),
    (rf"{quantity('n')}\s*-?\s*(?:{TOKEN})?\s*(?:of\s+|long\s+|-?\s*)?(?:context|ctx)(?:[\s-]+(?:window|length|size)s?)?", lambda m: {"context": tokens_of(m)}),
    (rf"(?:context|ctx)(?:[\s-]+(?:window|length|size)s?)?{TO}{quantity('n')}(?:[\s-]*{TOKEN})?", lambda m: {"context": tokens_of(m)}),
    (rf"(?P<i>{quantity('n')})\s*(?:input|prompt|in)\b(?:\s+{TOKEN})?\s*(?:,|/|and|\+)?\s*{quantity('o')}\s*(?:output|out|completion)\b(?:\s+{TOKEN})?",
     lambda m: {"input_tokens": float(tokens_of(m)), "output_tokens": float(tokens_of(m, "o"))}),
    (rf"(?:pre-?)?train(?:ed|ing)?\s+(?:\w+\s+){{0,2}}?(?:on|with|over)\s+{quantity('n')}(?=\s*(?:[,;.]|$|and\b|of\s+data))",
     lambda m: {"training_tokens": value(m, "n")} if value(m, "n") >= 1e9 else {}),
    (rf"(?:training|dataset|data|corpus)\s*(?:set|data)?{TO}{quantity('n')}\s*{TOKEN}", _one("training_tokens")),
    (rf"(?P<n>{{NUMBER}})\s*(?P<n_s>trillions?|billions?|T|B|tn|bn|万亿|千亿|亿)\s*(?:\w+\s+)?{TOKEN}(?!\s*/)".replace("{NUMBER}", r"(?<![A-Za-z0-9_.])\d+(?:[.,]\d+){0,6}"),
     _one("training_tokens")),
    (rf"{quantity('n')}\s*(?P<p>[TPEZ]|tera|peta|exa|zetta)?-?FLOP(?:s/s|/s|S/s|s\s+per\s+second)\b(?:\s+(?:of\s+)?(?:FP16|BF16|FP8))?",
     lambda m: {"training_flops": flop_of(m)}),
    (rf"{quantity('n')}\s*(?P<p>[PE]|peta|exa)-?FLOPS?\b(?:\s+(?:of\s+)?(?:FP16|BF16|FP8)(?:\s+(?:compute|computing))?)?", lambda m: {"training_flops": flop_of(m)}),
    (rf"{quantity('n')}\s*(?P<p>[TZY]|zetta)?-?FLOPS?\b", lambda m: {"training_flop": flop_of(m)}),
    (rf"{percent('n')}\s*(?:MFU|HFU|model\s+FLOPS?\s+utili[sz]ation)\b", lambda m: {"training_utilisation": share(m, "n")}),
    (rf"(?:MFU|HFU|model\s+FLOPS?\s+utili[sz]ation){TO}{percent('n')}", lambda m: {"training_utilisation": share(m, "n")}),
    (rf"{percent('n')}\s*(?:\w+\s+){{0,2}}?(?:utili[sz]ation|busy|load|occupancy|efficiency)\b", lambda m: {"_used": share(m, "n")}),
    (rf"(?:utili[sz]ation|utili[sz]ed|utili[sz]ing|efficiency|occupancy)(?:\s+rate)?{TO}{percent('n')}", lambda m: {"_used": share(m, "n")}),
    # ---- what runs where ----
    (rf"(?:needs?|requires?|takes?|uses?|occup\w+|consumes?|fits?\s+(?:in(?:to)?|within)|in)\s+{quantity('n', False)}\s*(?P<unit>[GT]i?B?)\b(?:\s+(?:of\s+)?"
     r"(?:(?:GPU|video|graphics|HBM|device)\s+)?(?:memory|V?RAM|HBM))?", lambda m: {"memory_bytes": bytes_of(m)}),
    (rf"{quantity('n', False)}\s*(?P<unit>[GT]i?B)\s+(?:of\s+)?(?:(?:GPU|video|graphics|HBM|device)\s+)?(?:memory|V?RAM|HBM)\b", lambda m: {"memory_bytes": bytes_of(m)}),
    (rf"{quantity('n', False)}\s*(?P<unit>[TPE]i?B|petabytes?|terabytes?|exabytes?)\b(?:\s+of)?(?:\s+\w+)?(?:\s+(?:data|text|corpus))?",
     lambda m: {"training_bytes": bytes_of(m)}),
    (rf"{quantity('n')}\s*(?:concurrent|simultaneous|parallel)\s+(?:users?|requests?|sessions?|streams?|sequences?)", _one("concurrency")),
    (rf"{quantity('n')}\s*(?:users?|requests?)\s+(?:at\s+once|at\s+the\s+same\s+time|concurrently|simultaneously)", _one("concurrency")),
    # ---- sizes ----
    (rf"{quantity('t')}\s*/\s*A?{quantity('a')}(?:\s*(?:parameters|params|active))?",
     lambda m: {"total": value(m, "t"), "active": value(m, "a")} if m["t_s"] and m["a_s"] else {}),
    (rf"{quantity('n')}\s*(?:\(\s*{percent('s')}(?:\s+of\s+\w+)?\s*\)\s*)?(?:parameters?|params)?\s*(?:of\s+(?:them|which)\s+)?(?:(?:being|are|is)\s+)?"
     r"(?:active|activated)\b(?:\s+(?:parameters?|params))?(?:\s+(?:per|for\s+each|for\s+every)\s+token)?",
     lambda m: {"active": value(m, "n"), "active_share": share(m, "s") if m["s"] else None}),
    (rf"(?:active|activated|activates|activating)(?:\s+(?:parameters?|params))?{TO}{quantity('n')}(?:\s*(?:parameters?|params))?"
     rf"(?:\s*\(\s*{percent('s')}(?:\s+of\s+\w+)?\s*\))?(?:\s+(?:per|for\s+each|for\s+every)\s+token)?",
     lambda m: {"active": value(m, "n"), "active_share": share(m, "s") if m["s"] else None} if m["n_s"] else {}),
    (rf"{percent('s')}\s*(?:of\s+(?:its|the|all)?\s*(?:parameters?|params|weights)\s+)?(?:are\s+|is\s+)?(?:active|activated)\b", lambda m: {"active_share": share(m, "s")}),
    (rf"(?:total\s+(?:parameters?|params)|(?:parameters?|params)\s+in\s+total|(?:parameters?|params)){TO}{quantity('n')}(?![\w%])",
     lambda m: {"total": value(m, "n")} if m["n_s"] else {}),
    (rf"{quantity('n')}\s*-?\s*(?:total\b|parameters?\b|params?\b)(?:\s+(?:in\s+)?(?:total|parameters?|params))*",
     lambda m: {"total": value(m, "n")}),
    (rf"(?:^|\b(?:an?|the)\s+){quantity('n')}\s*-?\s*(?:parameter\s+)?(?:model|MoE|LLM|language\s+model)\b",
     lambda m: {"total": value(m, "n")} if m["n_s"] else {}),
    (rf"{money('a')}(?!\s*(?:/|per)\s*\w)", lambda m: {"training_usd": usd_of(m, "a")[0], "_note": usd_of(m, "a")[1]}),
    (rf"{quantity('n', False)}\s*-?bit\s+(?:quanti[sz]ation|weights)?\s*(?:is|are|cuts?|reduces?|shrinks?)?[\w\s]*?by\s+{percent('s')}",
     lambda m: {"size_bits": value(m, "n"), "size_cut": share(m, "s")}),
    (rf"{percent('s')}\s*smaller\s+(?:in|at|with)\s+{quantity('n', False)}\s*-?bits?", lambda m: {"size_bits": value(m, "n"), "size_cut": share(m, "s")}),
    (rf"{percent('n')}\s*of\s+(?:an?|the)?\s*(?:performance\s+of\s+(?:an?|the)?\s*)?(?P<of>{NAME})(?=\s+cluster|['’]s|\s*[,;(]|\.?$|\s+performance|\s+in\b)(?:['’]s)?(?:\s+(?:cluster|performance))*",
     lambda m: {"performance": share(m, "n"), "of": m["of"].strip()}),
    (r"\b(?:in\s+)?(?P<b>[2348]|16|32)\s*-?\s*bits?\b(?:\s+(?:quanti[sz]ation|quanti[sz]ed|weights|precision))*", lambda m: {"_bits": int(m["b"])}),
    (r"\b(?:Q(?P<q>[2-8])_(?:K_[SML]|K|[01]|K_XL))\b", lambda m: {"_bits": int(m["q"])}),
    (r"\b(fp8|int8|w8a8|bf16|fp16|int4|awq|gptq|nvfp4|mxfp4|w4a16|w4a8|fp4)\b", lambda m: {"weights": "nvfp4" if m[1].lower() == "fp4" else m[1].lower()}),
    (r"(?<![A-Za-z0-9_.$-])(?P<n>4|8|16|32|64|128|256|512)\s*(?P<n_s>K)(?![A-Za-z0-9])(?!\s+[A-Z])", lambda m: {"context": tokens_of(m)}),
    (rf"(?:for|in|over|took|takes)\s+{quantity('n', False)}\s+(?P<unit>days?|weeks?|months?)\b",
     lambda m: {"days": value(m, "n") * {"d": 1.0, "w": 7.0, "m": 30.4375}[m["unit"][0].lower()]}),
)  # fmt: skip
__all__ = ["READERS", "SCALE", "Facts", "Reader", "kind_of", "priced"]
