"""Names of accelerators and models in what the patterns of a claim left over, with how many; and what nobody understood."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from sizing.base.errors import SizingError
from sizing.hardware import Catalog
from sizing.model.sources import catalog_models, find_in_catalog

MOST_WORDS = 5
MOST_UNREAD = 40
_FILLER_TEXT = """
a all an and any are as at be been by can cost costs could do does for from get gets give gives had has have how in into it
its itself may more most no not now of off on one only onto or our over per rate really run running runs same so such than
that the their them then there these they this to up us was we were what when where which while who will with would you
your much new old other each every both about after before between during but also even still yet it's very
cluster clusters cards card chip chips gpu gpus npu npus accelerator accelerators device devices machine machines node nodes
server servers hardware box rack system systems instance instances sxm pcie nvlink hbm memory vram ram
train trained training trains pretrained pre-trained pretraining pre-training took takes take data tokens token corpus text
high-quality dataset parameters parameter params param total active activated weights weight size model models moe
mixture experts mixture-of-experts hybrid dense open open-source llm llms llm's large language sized scale
inference serving serve served serves deploy deployed deployment hosting hosted host fit fits fitting support supports
supported supporting context window length long price priced prices pricing charge charged charges list api fee fees dollar
dollars usd million billion trillion thousand cheap cheaper cheapest expensive saving savings reduction lower low less higher
high fast faster speed throughput latency tps performance perf utilisation utilization utilised utilized efficiency busy load
output input generation generate generates generated decode decoding prefill prompt prompts processing process reaches reach
reaching reached hits hit costing achieves achieve achieved achieving delivers deliver delivered needs need needed
requires require required uses use
using used consumes consume according claim claims claimed says said report reports reported reportedly rumoured rumored
rent rents rented rental enough lease leases
huawei nvidia amd intel alibaba meta google openai users user requests request concurrent sequences quantised quantized
kv cache caches
quantization quantisation bit bits precision format version compared versus vs total's gb tb hour hours day days energy
electricity power query queries just was's cost's me my i is if while single under
"""
_FILLER = frozenset(_FILLER_TEXT.split())
_ZH_FILLER_TEXT = """
推理 成本 价格 价 费用 每 的 是 为 了 仅 只 需要 需 要 约 大约 达到 达 高达 至 到 在 上
用 使用 采用 基于 通过 由 和 与 及 或 以及 其中 同时 模型 大模型 参数 总参数 总 量 规模 激活
训练 预训练 数据 语料 集群 芯片 卡 张 块 台 颗 片 个 显卡 服务器 机器 节点 加速卡 算力 利用率
上下文 窗口 长度 支持 运行 跑 部署 能 可以 可 即可 就 就能 就可 放得下 放 装得下 装 下 单卡
单张 单 一台 一 速度 吞吐 吞吐量 性能 延迟 时延 输出 输入 生成 每秒 秒 小时 天 时 共 共计
总计 总共 一共 花费 花了 花 耗时 耗资 耗费 美元 美金 元 人民币 降低 下降 减少 节省 便宜 低 高
贵 快 倍 比 相比 较 于 被 将 已 已经 会 也 都 还 又 且 并 但 而 从 把 对 给 让 据 据称
据说 称 声称 宣称 传 传闻 号称 有 拥有 具有 具备 内 中 以 以内 左右 超过 以上 以下 不到 混合
专家 架构 稠密 精度 量化 比特 位 格式 权重 显存 内存 占用 国产 新 新一代 一代 流畅 本地 成功
完成 仅需 只需 只要 这 该 它 其 此 一次 次 租金 租赁 租价 够 足够 请求 用户 并发 token 等 能够 时候 时间 实现
提供 提升 全 满血 版 版本 款 台式机 服务 上线 定价 售价 收费 标价 每个 每张 单机 双机 全部
整个 整机
"""
_ZH_FILLER = re.compile("|".join(sorted(_ZH_FILLER_TEXT.split(), key=len, reverse=True)))
_CJK = r"\u3400-\u9fff"
_COUNT = re.compile(r"^(\d[\d,]*)(?:x|×)?$")


@dataclass
class Names:
    """What was found by name: accelerator and how many, model, and what is left over."""

    accelerator: str | None = None
    accelerators: int | None = None
    model: str | None = None
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    looked_up: dict[str, str | None] = field(default_factory=dict)


def accelerator_named(name: str, catalog: Catalog) -> str | None:
    """The name as the catalog resolves it (a plural "s" is dropped); None where it is no accelerator."""
    if len(name) < 2 or (not any(letter.isdigit() for letter in name) and len(name) < 4):
        return None
    if not any(letter.isalpha() for letter in name) and not re.fullmatch(r"\d{4}", name):
        return None
    for spelled in (
        name,
        name[:-1] if name.endswith("s") else "",
        re.sub(r"^(?:nvidia|huawei|amd)-", "", name, flags=re.I),
    ):
        try:
            if spelled:
                catalog.resolve(spelled)
                return spelled
        except SizingError:
            pass
    return None


def model_named(name: str) -> tuple[str, str | None] | None:
    """The model of that name, or the shortest of the catalog that starts with it, and what to say of that choice."""
    if len(name) < 2:
        return None
    if find_in_catalog(name) is not None:
        return name, None
    if len(name) < 6 or "-" not in name or not any(letter.isdigit() for letter in name):
        return None
    start = name.lower() + "-"
    known = [full for full, short in _short_names() if short.startswith(start)]
    if not known:
        return None
    chosen = min(known, key=lambda full: (len(full), full))
    return chosen, f"{name} is taken as {chosen}"


@cache
def _short_names() -> tuple[tuple[str, str], ...]:
    """Full names of the catalog's published models with their last part, lower case."""
    return tuple(
        (entry.name, short.lower())
        for entry in catalog_models()
        if not entry.hypothetical
        for short in (entry.name.rsplit("/", 1)[-1], *entry.aliases)
    )


def find_names(rest: str, catalog: Catalog) -> Names:
    """Read the names in ``rest``, longest first; numbers before an accelerator say how many."""
    found = Names()
    rest = re.sub(rf"(?<=[{_CJK}])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[{_CJK}])", " ", rest)
    rest = re.sub(r"(\d+)\s*(?:nodes?|servers?|machines?|boxes|台)\s*(?:of|with|x|×|,|的|\s)*\s*(\d+)\s*(?=[x×卡张块A-Z ])",
                  lambda m: f"{int(m[1]) * int(m[2])} ", rest)  # fmt: skip
    rest = re.sub(r"(?<![\w.])(\d+(?:\.\d+)?)\s*(万|K)\s*(?=[张块卡]|\s[A-Z])", _thousands, rest, flags=re.IGNORECASE)
    rest = re.sub(r"(?<![\w.])(\d[\d,]*)\s*(?:x|×|\*)\s*(?=[A-Za-z])", r"\1 ", rest)
    for part in re.split(r"[;:!?]|,(?!\d{3})|\.\s|\.$", rest):
        _read_part(part, catalog, found)
    found.unread = found.unread[:MOST_UNREAD]
    return found


def _thousands(match: re.Match[str]) -> str:
    """ "16K" or "10 万" before a name: how many."""
    return f"{round(float(match[1]) * {'万': 10_000, 'K': 1000}[match[2].upper()])} "


def _read_part(part: str, catalog: Catalog, found: Names) -> None:
    words = [word.strip("()\"'[]{}<>") for word in part.split()]
    words = [word for word in words if word]
    start, phrase = 0, list[str]()
    while start < len(words):
        used = _name_at(words, start, catalog, found)
        if used:
            _flush(phrase, found)
            start += used
            continue
        left = _unread(words[start])
        if left:
            phrase.append(left)
        else:
            _flush(phrase, found)
        start += 1
    _flush(phrase, found)


def _flush(phrase: list[str], found: Names) -> None:
    if phrase:
        found.unread.append(" ".join(phrase))
        phrase.clear()


def _unread(word: str) -> str:
    """What of a word has no reading: nothing for words that only bind a sentence together."""
    if re.search(rf"[{_CJK}]", word):
        left = _ZH_FILLER.sub("", word)
        return left if re.search(r"\w", left) else ""
    low = re.sub(r"['’]s$", "", word.lower())
    return "" if low in _FILLER or not re.search(r"\w", word) else word


def _name_at(words: list[str], start: int, catalog: Catalog, found: Names) -> int:
    """Words that a name at ``start`` takes, with its count before and behind; 0 where there is none."""
    how_many, ahead = _count(words, start)
    for length in range(min(MOST_WORDS, len(words) - start - ahead), 0, -1):
        piece = words[start + ahead : start + ahead + length]
        if any(re.search(rf"[{_CJK}]", word) for word in piece):
            continue
        if piece[0].lower() in _FILLER or (piece[-1].lower() in _FILLER and length > 1):
            continue
        name = "-".join(re.sub(r"['’]s$", "", word) for word in piece)
        if name not in found.looked_up:
            found.looked_up[name] = accelerator_named(name, catalog)
        accelerator = found.looked_up[name]
        if accelerator is not None and found.accelerator in (None, accelerator):
            found.accelerator = accelerator
            behind = (
                re.fullmatch(r"[x×*](\d+)", words[start + ahead + length])
                if start + ahead + length < len(words)
                else None
            )
            if behind:
                how_many = int(behind[1])
            found.accelerators = found.accelerators or how_many
            return ahead + length + bool(behind)
        if ahead:
            continue
        model = model_named(name)
        if model is not None and found.model in (None, model[0]):
            found.model = model[0]
            found.notes += [model[1]] if model[1] else []
            return length
    return 0


def _count(words: list[str], start: int) -> tuple[int | None, int]:
    """How many of what follows, and the words that say so: "8", "8 x", "8 卡", "a single", "单卡"."""
    first = words[start].lower()
    if first in ("a", "an", "one", "single", "单", "单卡", "单张", "单块", "一张", "一块"):
        more = 1 if first in ("a", "an", "one") and words[start + 1 : start + 2] in (["single"], ["lone"]) else 0
        return 1, min(1 + more, len(words) - start)
    number = _COUNT.match(first)
    if number is None or start + 1 >= len(words):
        match = re.search(r"(?:单卡|单张|单块|单台)$", first)
        return (1, 1) if match else (None, 0)
    many = int(number[1].replace(",", ""))
    ahead = 1
    while start + ahead < len(words) and re.fullmatch(
        r"x|×|of|卡|张|块|颗|片|台|个|的|张卡|块卡|nvidia|huawei|gpus?|cards?|-?gpu", words[start + ahead].lower()
    ):
        ahead += 1
    return (many, ahead) if 0 < many <= 10_000_000 else (None, 0)
