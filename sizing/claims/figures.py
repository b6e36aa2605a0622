"""Numbers, units and money as people write them, in English and Chinese, for the patterns that read claims.

``plain`` brings a sentence into one spelling; ``quantity``, ``percent`` and ``money`` give the pieces of a pattern;
``value``, ``share`` and ``usd_of`` read them back from a match.
"""

from __future__ import annotations

import re
import unicodedata

from sizing.base.errors import SizingError
from sizing.hardware import load_catalog

SCALES = {
    "trillion": 1e12, "tn": 1e12, "t": 1e12, "billion": 1e9, "bn": 1e9, "b": 1e9, "million": 1e6, "mn": 1e6, "m": 1e6,
    "thousand": 1e3, "k": 1e3, "万亿": 1e12, "千亿": 1e11, "百亿": 1e10, "十亿": 1e9, "亿": 1e8, "千万": 1e7, "百万": 1e6,
    "十万": 1e5, "万": 1e4, "千": 1e3,
}  # fmt: skip
NUMBER = r"(?<![A-Za-z0-9_.])(?<![A-Za-z0-9]-)\d+(?:[.,]\d+){0,6}(?:e\+?\d+)?(?![\d%]|[.,]\d)"
SCALE = (
    r"(?:trillions?|billions?|millions?|thousands?|tn|bn|mn|[TBMK])(?![A-Za-z0-9]|/s)"
    r"|万亿|千亿|百亿|十亿|亿|千万|百万|十万|万|千"
)
BEFORE = r"(?:US\$|HK\$|\$|USD|¥|RMB|CNY|€|EUR|£|GBP)"
BEHIND = (
    r"(?:US\s*dollars?|US\s*cents?|dollars?|cents?|¢|yuan|bucks|euros?|pounds?|USD|RMB|CNY|EUR|GBP|"
    r"美元|美金|美分|元人民币|人民币|元|块钱|分钱|欧元|英镑|块)"
)
MONEY_KINDS = {
    "USD": ("us$", "$", "usd", "usdollar", "usdollars", "dollar", "dollars", "bucks", "美元", "美金"),
    "USD cent": ("uscent", "uscents", "cent", "cents", "¢", "美分"),
    "CNY": ("¥", "rmb", "cny", "yuan", "元", "元人民币", "人民币", "块钱", "块"),
    "CNY cent": ("分钱",),
    "EUR": ("€", "eur", "euro", "euros", "欧元"),
    "GBP": ("£", "gbp", "pound", "pounds", "英镑"),
    "HKD": ("hk$",),
}
_KIND_OF = {name: kind for kind, names in MONEY_KINDS.items() for name in names}

#: Words for numbers: of a count of accelerators, or of "times".
_WORDS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12,
    "sixteen": 16, "twenty": 20, "thirty": 30, "thirty-two": 32, "fifty": 50, "sixty-four": 64, "hundred": 100,
}  # fmt: skip
_PARTS = {
    "half": 2, "third": 3, "quarter": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
    "twentieth": 20, "thirtieth": 30, "fiftieth": 50, "hundredth": 100,
}  # fmt: skip
_ZH_DIGIT = {letter: number for number, letter in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_ZH_NUMBER = re.compile(r"[一二两三四五六七八九十][零〇一二两三四五六七八九十百千万亿]*")
_ZH_MEASURE = "张块台卡倍个颗片路天周月位秒"
_NAMES = (
    ("昇腾", " Ascend "), ("升腾", " Ascend "), ("华为", " Huawei "), ("英伟达", " NVIDIA "), ("通义千问", " Qwen"),
    ("千问", " Qwen"), ("深度求索", " DeepSeek "),
)  # fmt: skip
_HEDGES = re.compile(
    r"\b(?:about|around|roughly|approximately|approx\.?|nearly|almost|just|only|merely|mere|some|up to|as low as|"
    r"as little as|as high as|as much as|as many as|at least|at most|less than(?=\s*[\d$¥])|more than(?=\s*[\d$¥])|"
    r"under(?=\s*[\d$¥])|below(?=\s*[\d$¥])|over(?=\s*[\d$¥])|a whopping|a total of|an estimated|estimated)\b|[~≈<>≤≥]",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """One spelling: half-width signs, digits for number words, no "about" and "only".

    >>> plain("每百万token 0.07美元——比GPT-4低97％")
    '每百万token 0.07美元 , 比GPT-4低97%'
    >>> plain("two H100s at 3×10²⁴ FLOP")
    '2 H100s at 3e24 FLOP'
    >>> plain("支持一百万上下文,八卡")
    '支持1000000上下文,8卡'
    """
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda m: "^" + unicodedata.normalize("NFKC", m[0]), text)
    text = unicodedata.normalize("NFKC", text).replace("。", ". ").replace("、", ", ")
    text = re.sub(r"[—–]+|\s-{1,2}\s", " , ", text)
    text = re.sub(r"[“”‘’\"]", "", text)
    for said, name in _NAMES:
        text = text.replace(said, name)
    text = re.sub(r"(\d)\s*[x×*·]\s*10\s*\^\s*(\d+)", r"\1e\2", text)
    text = re.sub(r"(?<!\d)10\s*\^\s*(\d+)", r"1e\1", text)
    text = re.sub(r"(?<![\d.])万(?=卡(?!时))", "10000", re.sub(r"(?<![\d.])千(?=卡(?!时))", "1000", text))
    text = re.sub(rf"({_ZH_NUMBER.pattern})分之({_ZH_NUMBER.pattern})", _fraction, text)
    text = _ZH_NUMBER.sub(_chinese, text)
    text = re.sub(r"\b(?:a|one)[\s-]+(" + "|".join(_PARTS) + r")\b(?=\s+(?:of|the))", lambda m: f"1/{_PARTS[m[1].lower()]}",
                  text, flags=re.IGNORECASE)  # fmt: skip
    text = re.sub(r"\bhalf(?=\s+(?:of\s+)?the\s+(?:price|cost))", "1/2", text, flags=re.IGNORECASE)
    text = re.sub(r"\b(?:twice|double)\b", "2 times", text, flags=re.IGNORECASE)
    text = re.sub(r"\btriple\b", "3 times", text, flags=re.IGNORECASE)
    words = "|".join(sorted(_WORDS, key=len, reverse=True))
    text = re.sub(rf"\b({words})\b(?!-)", lambda m: str(_WORDS[m[1].lower()]), text, flags=re.IGNORECASE)
    text = re.sub(r"(\d)\s*(?:percent|per cent|pct)\b", r"\1%", text, flags=re.IGNORECASE)
    text = re.sub(r"百分之\s*(\d+(?:\.\d+)?)", r"\1%", text)
    return re.sub(r"[ \t\n\r]+", " ", _HEDGES.sub(" ", text)).strip()


def _fraction(match: re.Match[str]) -> str:
    below, above = match[1], match[2]
    return f"{_zh_value(above)}%" if below == "百" else f"{_zh_value(above)}/{_zh_value(below)}"


def _chinese(match: re.Match[str]) -> str:
    """The digits of a Chinese numeral where it is a number and not part of a word such as 一般."""
    said, behind = match[0], match.string[match.end() : match.end() + 1]
    if said.startswith("十") and behind not in _ZH_MEASURE and len(said) == 1:
        return said
    if len(said) == 1 and (not behind or behind not in _ZH_MEASURE):
        return said
    if match.start() and (match.string[match.start() - 1].isdigit()):
        return said  # 3 十亿: a scale behind digits
    return str(_zh_value(said))


def _zh_value(said: str) -> int:
    total = section = digit = 0
    for letter in said:
        if letter in _ZH_DIGIT:
            digit = _ZH_DIGIT[letter]
        elif letter in "十百千":
            section += (digit or 1) * {"十": 10, "百": 100, "千": 1000}[letter]
            digit = 0
        else:
            total = (
                (total + section + digit) * {"万": 10_000, "亿": 100_000_000}[letter]
                if letter == "亿"
                else (total + (section + digit) * 10_000)
            )
            section = digit = 0
    return total + section + digit


def number(text: str) -> float:
    """``"1,200"`` or ``"1.2"`` or ``"3e24"``; raises SizingError for commas at other places."""
    if ("," in text and not re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", text)) or text.count(".") > 1:
        raise SizingError(f"{text[:40]!r} is not a number", key="claim", hint="write 1,200 or 1.2")
    return float(text.replace(",", ""))


def quantity(name: str, scale: bool = True) -> str:
    """The pattern of a number with its scale word, in groups of this name."""
    return rf"(?P<{name}>{NUMBER})" + (rf"\s*-?\s*(?P<{name}_s>{SCALE})?" if scale else "")


def value(match: re.Match[str], name: str) -> float:
    """The number that ``quantity(name)`` matched.

    >>> import re
    >>> value(re.search(quantity("n"), "1.2万亿"), "n"), value(re.search(quantity("n"), "36 trillion"), "n")
    (1200000000000.0, 36000000000000.0)
    """
    scale = (match.groupdict().get(f"{name}_s") or "").lower()
    return number(match[name]) * (SCALES.get(scale) or SCALES.get(scale.removesuffix("s")) or 1.0)


def percent(name: str) -> str:
    """The pattern of a percentage."""
    return rf"(?P<{name}>(?<![A-Za-z0-9_.])\d+(?:[.,]\d+){{0,6}})\s*%"


def share(match: re.Match[str], name: str) -> float:
    """The share that ``percent(name)`` matched."""
    return number(match[name]) / 100


def ratio(name: str) -> str:
    """The pattern of a fraction such as 1/30."""
    return rf"(?P<{name}>(?<![A-Za-z0-9_.])\d+(?:\.\d+)?)\s*/\s*(?P<{name}_d>\d+(?:\.\d+)?)(?:th|rd|nd|st)?"


def fraction(match: re.Match[str], name: str) -> float:
    """The value of the fraction that ``ratio(name)`` matched; raises SizingError for one over nothing."""
    below = float(match[f"{name}_d"])
    if below == 0:
        raise SizingError(f"{match[0].strip()[:40]!r} divides by 0", key="claim")
    return float(match[name]) / below


def money(name: str) -> str:
    """The pattern of a sum with its currency before or behind the figure, in groups of this name."""
    return (
        rf"(?:(?P<{name}_c>{BEFORE})\s*(?P<{name}>\d+(?:[.,]\d+){{0,6}}(?![\d%]|[.,]\d))\s*(?P<{name}_s>{SCALE})?(?:\s*(?:USD|RMB|CNY)\b)?"
        rf"|(?P<{name}2>{NUMBER})\s*(?P<{name}2_s>{SCALE})?\s*(?P<{name}2_c>{BEHIND}))"
    )


def usd_of(match: re.Match[str], name: str) -> tuple[float, str | None]:
    """USD of the sum that ``money(name)`` matched, and what to say of its currency (None: it was in dollars)."""
    found = name if match[name] is not None else f"{name}2"
    currency = _KIND_OF[re.sub(r"\s", "", match[f"{found}_c"].lower())]
    amount = value(match, found)
    if currency.endswith(" cent"):
        amount, currency = amount / 100, currency.removesuffix(" cent")
    if currency == "USD":
        return amount, None
    rates = load_catalog().price_assumptions.exchange_rates
    if currency not in rates:
        known = ", ".join(["USD", *rates])
        raise SizingError(f"no rate of {currency} is known", key="claim", hint=f"write it in one of {known}")
    rate = rates[currency]
    return amount * rate.usd, f"{amount:g} {currency} is taken at {rate.usd:g} USD (rate of {rate.date})"
