"""What of a claim is understood in Chinese: patterns over the plain text, as in ``readers``."""

from __future__ import annotations

from sizing.claims.figures import fraction, money, number, percent, quantity, ratio, share, usd_of, value
from sizing.claims.readers import (
    Reader,
    bytes_of,
    cheaper,
    faster,
    flop_of,
    hours,
    kind_of,
    priced,
    seconds_of,
    speed,
    tokens_of,
)

TOKEN = r"(?:tokens?|词元|令牌|个token|字)"
TO = r"[\s:=,的为是约仅只有达到高至了需要超过以低收费大概就才可能共计总在降也即已经(]*"
PIECE = r"(?:个)?\s*"
KIND = r"(?P<{}>输入|输出|提示|生成)"
MILLION = r"(?:每\s*)?(?:1\s*)?(?:百万|100\s*万|1,?000,?000|M(?![A-Za-z])|million)"
PRICE = r"(?:推理)?(?:价格?|成本|费用|收费|定价|售价|开销|单价)"
NAME = r"[A-Za-z][A-Za-z0-9 .\-]*?"
THAN = rf"(?:相比于?|相较于?|比起|对比|相对于?|较|比)\s*(?P<than>{NAME})\s*(?:的|,)?\s*"
CUT = r"(?:便宜|低|降低|下降|减少|节省|省|少|下跌|降)"
PERIODS = {"天": 86400.0, "日": 86400.0, "小时": 3600.0, "分钟": 60.0, "月": 2629800.0}
CARD = r"(?:张|块|卡|颗|片)"


READERS: tuple[Reader, ...] = (
    # ---- money ----
    (rf"缓存(?:命中)?(?:的)?(?:输入)?(?:{PRICE})?{TO}{money('a')}(?:\s*(?:/|每)\s*{MILLION}\s*{PIECE}(?:{TOKEN})?)?", lambda m: {"_note": "the price of cached input tokens is not checked"}),
    (rf"{KIND.format('k')}?\s*(?:{TOKEN})?\s*(?:{PRICE})?\s*{MILLION}\s*{PIECE}{KIND.format('k2')}?\s*(?:{TOKEN})?\s*{KIND.format('k3')}?\s*(?:的)?\s*(?:{PRICE})?{TO}{money('a')}",
     lambda m: priced(m, "a", kind_of(m["k2"], m["k3"], m["k"]))),
    (rf"(?:{KIND.format('k')}\s*(?:{TOKEN})?\s*(?:{PRICE})?{TO})?{money('a')}\s*(?:/|每)\s*{MILLION}\s*{PIECE}{KIND.format('k2')}?\s*(?:{TOKEN})?",
     lambda m: priced(m, "a", kind_of(m["k2"], m["k"]))),
    (rf"每\s*(?:千|1000|1K)\s*{PIECE}{KIND.format('k2')}?\s*(?:{TOKEN})\s*(?:的)?(?:{PRICE})?{TO}{money('a')}", lambda m: priced(m, "a", kind_of(m["k2"]), 1e3)),
    (rf"{money('a')}\s*(?:/|每)\s*(?:千|1K|1000)\s*{PIECE}{KIND.format('k2')}?\s*(?:{TOKEN})", lambda m: priced(m, "a", kind_of(m["k2"]), 1e3)),
    (rf"{money('a')}\s*(?:/|每)\s*(?:(?:GPU|NPU|卡|{CARD})\s*)?(?:每)?\s*(?:小时|时)", lambda m: {"usd_per_hour": usd_of(m, "a")[0], "_note": usd_of(m, "a")[1]}),
    (rf"每\s*(?:(?:GPU|NPU|{CARD})\s*)?(?:每)?\s*(?:小时|时)\s*(?:的)?(?:租金|租赁)?(?:{PRICE})?{TO}{money('a')}", lambda m: {"usd_per_hour": usd_of(m, "a")[0], "_note": usd_of(m, "a")[1]}),
    (rf"{KIND.format('k')}\s*(?:{TOKEN})?\s*(?:{PRICE})?{TO}{money('a')}(?!\s*(?:/|每))", lambda m: priced(m, "a", kind_of(m["k"]))),
    # ---- speed against another ----
    (rf"{THAN}(?:推理)?(?:速度|吞吐量?|性能)?(?:还|要)?\s*(?:快|提升|高|提高|快出)(?:了|出)?\s*{TO}{percent('n')}", lambda m: faster(m, 1 + share(m, "n"))),
    (rf"{THAN}(?:推理)?(?:速度|吞吐量?|性能)?(?:还|要)?\s*慢(?:了)?\s*{TO}{percent('n')}", lambda m: faster(m, 1 - share(m, "n"))),
    (rf"{THAN}(?:推理)?(?:速度|吞吐量?|性能)?(?:还|要)?\s*(?:快|提升|高|提高)(?:了|出)?\s*{TO}{quantity('n', False)}\s*倍",
     lambda m: faster(m, value(m, "n"))),
    (rf"(?:速度|吞吐量?|推理性能|性能){TO}(?P<than>{NAME})\s*的\s*{quantity('n', False)}\s*倍", lambda m: faster(m, value(m, "n"))),
    (rf"(?:性能|算力|效率){TO}(?P<of>{NAME})\s*(?:集群)?\s*的\s*{percent('n')}", lambda m: {"performance": share(m, "n"), "of": m["of"].strip()}),
    # ---- prices against other prices ----
    (rf"{THAN}(?:的)?(?:{PRICE})?\s*(?:还|要|更)?\s*{CUT}(?:了|出)?{TO}{percent('n')}", lambda m: cheaper(m, share(m, "n"))),
    (rf"(?:{PRICE})?\s*{THAN}(?:的)?(?:{PRICE})?\s*(?:还|要|更)?\s*{CUT}(?:了)?{TO}{quantity('n', False)}\s*倍",
     lambda m: cheaper(m, 1 - 1 / max(value(m, "n"), 1.0)) if value(m, "n") > 1 else {}),
    (rf"{THAN}(?:的)?(?:{PRICE})?\s*(?:还|要|更)?\s*(?:贵|高)(?:了|出)?{TO}{percent('n')}", lambda m: cheaper(m, -share(m, "n"))),
    (rf"{THAN}(?:的)?(?:{PRICE})?\s*(?:还|要|更)?\s*贵(?:了|出)?{TO}{quantity('n', False)}\s*倍", lambda m: cheaper(m, -value(m, "n"))),
    (rf"(?:{PRICE}{TO}|(?:仅|只|相当于)[为是有]?\s*)(?P<than>{NAME})\s*(?:的)?\s*(?:{PRICE})?\s*的?\s*{percent('n')}", lambda m: cheaper(m, 1 - share(m, "n"))),
    (rf"(?:{PRICE}{TO}|(?:仅|只|相当于)[为是有]?\s*)(?P<than>{NAME})\s*(?:的)?\s*(?:{PRICE})?\s*的?\s*{ratio('n')}", lambda m: cheaper(m, 1 - fraction(m, "n"))),
    (rf"{percent('n')}\s*低于\s*(?P<than>{NAME})(?=[,.;\s]|$)", lambda m: cheaper(m, share(m, "n"))),
    (rf"(?:相当于|达到|为|是)\s*(?P<of>{NAME})\s*(?:集群)?\s*(?:的)?\s*{percent('n')}\s*的?(?:性能|效率|算力)", lambda m: {"performance": share(m, "n"), "of": m["of"].strip()}),
    (rf"(?:{PRICE}|价格)\s*{CUT}(?:了)?{TO}{percent('n')}|便宜(?:了)?{TO}{percent('o')}", lambda m: {"below": share(m, "n" if m["n"] else "o")}),
    # ---- energy ----
    (rf"{MILLION}\s*{PIECE}(?:{TOKEN})?\s*(?:的)?(?:耗电|能耗|用电|电耗|耗能)?(?:量)?{TO}{quantity('n', False)}\s*(?:千瓦时|度电?|kWh)",
     lambda m: {"wh_per_million": value(m, "n") * 1e3}),
    (rf"每\s*{PIECE}{TOKEN}\s*(?:的)?(?:耗电|能耗|用电|电耗|耗能)(?:量)?{TO}{quantity('n', False)}\s*(?:焦耳?|J)", lambda m: {"wh_per_million": value(m, "n") * 1e6 / 3600}),
    (rf"每(?:次|个)?\s*(?:请求|查询|问答|回答|对话)\s*(?:的)?(?:耗电|能耗|用电|电耗|耗能)?(?:量)?{TO}{quantity('n', False)}\s*(?:瓦时|Wh)", lambda m: {"wh_per_request": value(m, "n")}),
    # ---- latency and speed ----
    (rf"(?:首\s*(?:个)?\s*(?:字|token|词元|包|令牌)|TTFT)\s*(?:的)?(?:延迟|时延|时间|延时|响应)?(?:时间)?{TO}(?:不到|小于|低于|在)?\s*{quantity('n', False)}\s*(?P<unit>毫秒|ms|秒|s)(?:以内|内)?",
     lambda m: {"ttft_s": seconds_of(m)}),
    (rf"(?:每(?:个)?\s*{PIECE}(?:输出)?\s*{TOKEN}|TPOT|token\s*间)\s*(?:的)?(?:延迟|时延|时间|间隔|耗时)?{TO}(?:不到|小于|低于|在)?\s*{quantity('n', False)}\s*(?P<unit>毫秒|ms|秒|s)(?![A-Za-z])(?:以内|内)?",
     lambda m: {"tpot_s": seconds_of(m)}),
    (rf"(?P<each_before>(?:单|每)(?:个|台|张)?\s*(?:[A-Z]+\d+\w*?)?\s*(?:用户|请求|路|卡|GPU|NPU|节点|机|台(?:机器|服务器)?|服务器))?\s*(?:的)?(?:推理|总)?(?:{KIND.format('k')}|预填充|解码)?(?:的)?(?:吞吐量?|速度|速率)?{TO}"
     rf"每秒(?:钟)?\s*(?:可|能|生成|输出|处理|吐|吞吐)*\s*{KIND.format('k2')}?{TO}{quantity('n')}\s*{PIECE}(?:输入|输出)?\s*(?:{TOKEN})", speed),
    (rf"每(?P<unit>天|日|小时|分钟|月)\s*(?:可|能|生成|输出|处理|消耗|调用)*{TO}{quantity('n')}\s*{PIECE}(?:{TOKEN})", lambda m: {"tokens_per_s": value(m, "n") / PERIODS[m["unit"]], "_rate_kind": "blend"}),
    (rf"(?:每(?:个)?\s*{TOKEN}\s*(?:的)?\s*(?:KV)?\s*(?:缓存)?(?:占用|大小)?|(?:KV)?\s*缓存\s*(?:占用|大小)?(?:每(?:个)?\s*{TOKEN})?){TO}{quantity('n', False)}\s*(?P<unit>[KM]i?B)", lambda m: {"cache_bytes_per_token": bytes_of(m)}),
    (rf"每秒(?:钟)?\s*(?:可|能|处理)*{TO}{quantity('n')}\s*(?:个|次)?\s*(?:请求|调用|查询)", lambda m: {"requests_per_s": value(m, "n")}),
    (rf"(?P<each_before>(?:单|每)(?:个|台|张)?\s*(?:[A-Z]+\d+\w*?)?\s*(?:用户|请求|路|卡|GPU|NPU|节点|机|台(?:机器|服务器)?|服务器))?\s*(?:的)?(?:推理|总)?{KIND.format('k')}?(?:的)?(?:吞吐量?|速度|速率)?{TO}"
     rf"{quantity('n')}\s*{PIECE}(?:{TOKEN}|t)\s*/\s*(?:秒|s)", speed),
    (rf"(?P<each_before>(?:单|每)(?:个|台|张)?\s*(?:[A-Z]+\d+\w*?)?\s*(?:用户|请求|路|卡|GPU|NPU|节点|机|台(?:机器|服务器)?|服务器))?\s*(?:的)?(?:推理|总)?{KIND.format('k')}?(?:的)?(?:吞吐量?|速度|速率)?{TO}"
     rf"{quantity('n')}\s*{PIECE}{TOKEN}\s*每秒", speed),
    # ---- training ----
    (rf"{quantity('n')}\s*(?P<name>(?:NVIDIA|Huawei)?\s*(?:Ascend\s*)?[A-Z]*\d+\w*?)?\s*(?:个)?\s*(?:的)?\s*(?:GPU|NPU|卡|{CARD})?\s*(?:·|-)?\s*(?:小时|时)(?!间)", hours),
    (rf"(?:上下文|语境|context)\s*(?:窗口|长度|能力)?(?:的)?(?:长度)?{TO}{quantity('n')}\s*{PIECE}(?:{TOKEN})?", lambda m: {"context": tokens_of(m)}),
    (rf"{quantity('n')}\s*{PIECE}(?:{TOKEN})?\s*(?:的)?\s*(?:超长)?(?:上下文|语境|context)\s*(?:窗口|长度)?", lambda m: {"context": tokens_of(m)}),
    (rf"输入\s*{TO}{quantity('n')}\s*{PIECE}(?:{TOKEN})?\s*(?:,|、|和|/|,\s*)?\s*输出\s*{TO}{quantity('o')}\s*{PIECE}(?:{TOKEN})?",
     lambda m: {"input_tokens": float(tokens_of(m)), "output_tokens": float(tokens_of(m, "o"))}),
    (rf"(?P<n>(?<![A-Za-z0-9_.])\d+(?:[.,]\d+){{0,6}}(?:e\d+)?)\s*(?P<n_s>万亿|千亿|百亿|亿|T(?![A-Za-z])|B(?![A-Za-z])|trillion|billion)?\s*{PIECE}(?:的)?(?:训练|高质量|数据)*{TOKEN}(?:的)?(?:数据|语料|训练)*",
     lambda m: {"training_tokens": value(m, "n")} if value(m, "n") >= 1e9 else {}),
    (rf"{quantity('n')}\s*(?P<p>[TPE])?(?:FLOPS?|算力)(?:/s|每秒)?", lambda m: {"training_flops": flop_of(m)} if m["p"] else {}),
    (rf"算力{TO}(?P<n>\d+(?:\.\d+)?)\s*(?P<p>[PE])(?![A-Za-z])", lambda m: {"training_flops": number(m["n"]) * {"P": 1e15, "E": 1e18}[m["p"].upper()]}),
    (rf"{percent('n')}\s*(?:的)?\s*MFU", lambda m: {"training_utilisation": share(m, "n")}),
    (rf"MFU{TO}{percent('n')}", lambda m: {"training_utilisation": share(m, "n")}),
    (rf"(?:芯片|算力|集群|硬件|GPU|NPU|卡)?\s*(?:的)?(?:利用率|使用率|占用率){TO}{percent('n')}", lambda m: {"_used": share(m, "n")}),
    (rf"{percent('n')}\s*(?:的)?\s*(?:芯片|算力|集群|硬件|GPU|NPU|卡)?\s*(?:的)?(?:利用率|使用率|占用率)", lambda m: {"_used": share(m, "n")}),
    (rf"(?:训练(?:总)?(?:成本|费用|花费|开销)?|成本|花费|花了|耗资|投入){TO}{money('a')}", lambda m: {"training_usd": usd_of(m, "a")[0], "_note": usd_of(m, "a")[1]}),
    (rf"{quantity('n', False)}\s*(?:个)?\s*(?P<unit>天|周|月)", lambda m: {"days": value(m, "n") * {"天": 1.0, "周": 7.0, "月": 30.4375}[m["unit"]]}),
    # ---- what runs where ----
    (rf"(?:显存|内存)\s*(?:占用|需求)?(?:量)?{TO}{quantity('n', False)}\s*(?P<unit>[GT]i?B?)(?![A-Za-z])", lambda m: {"memory_bytes": bytes_of(m)}),
    (rf"{quantity('n', False)}\s*(?P<unit>[GT]i?B?)\s*(?:的)?\s*(?:显存|内存)", lambda m: {"memory_bytes": bytes_of(m)}),
    (rf"{quantity('n', False)}\s*(?P<unit>[TPE]i?B)\s*(?:的)?\s*(?:训练)?(?:数据|语料)?(?:集)?", lambda m: {"training_bytes": bytes_of(m)}),
    (rf"{quantity('n')}\s*(?:个|路|名|位)?\s*(?:的)?\s*(?:并发|同时在线)(?:用户|请求)?", lambda m: {"concurrency": value(m, "n")}),
    (rf"(?:并发(?:数|量)?|同时在线){TO}{quantity('n')}\s*(?:个|路|名|位)?\s*(?:用户|请求)?", lambda m: {"concurrency": value(m, "n")}),
    # ---- sizes ----
    (rf"(?:激活|活跃)\s*(?:参数)?(?:量|规模|数)?{TO}{quantity('n')}\s*(?:的)?(?:参数)?(?:\s*\({TO}{percent('s')}\s*\))?",
     lambda m: {"active": value(m, "n"), "active_share": share(m, "s") if m["s"] else None} if m["n_s"] else {}),
    (rf"{quantity('n')}\s*(?:\({TO}{percent('s')}\s*\))?\s*(?:个|的)?\s*(?:参数)?\s*(?:被)?(?:激活|活跃)(?:参数)?(?:量)?",
     lambda m: {"active": value(m, "n"), "active_share": share(m, "s") if m["s"] else None} if m["n_s"] else {}),
    (rf"(?:激活|活跃)(?:参数)?(?:比例|占比|率){TO}{percent('s')}", lambda m: {"active_share": share(m, "s")}),
    (rf"(?:总)?参数\s*(?:总)?(?:量|规模|数)?{TO}{quantity('n')}", lambda m: {"total": value(m, "n")} if m["n_s"] else {}),
    (rf"{quantity('n')}\s*(?:个|的)?\s*(?:总)?参数(?:量|规模)?", lambda m: {"total": value(m, "n")} if m["n_s"] else {}),
    (rf"(?P<n>[248]|16)\s*(?:比特|位|bit)\s*(?:的)?量化{TO}(?:体积|大小|模型|权重)?(?:缩小|减小|减少|压缩|降低)(?:了)?\s*{percent('s')}",
     lambda m: {"size_bits": float(number(m["n"])), "size_cut": share(m, "s")}),
    (rf"(?:int)?(?P<n>[48])(?:比特|位|bit)?\s*量化(?:后|使|让)?\s*(?:的)?(?:显存|体积|大小|模型|权重)*\s*(?:占用|体积)?\s*(?:缩小|减小|减少|压缩|降低|下降)(?:了)?{TO}{percent('s')}",
     lambda m: {"size_bits": float(number(m["n"])), "size_cut": share(m, "s")}),
    (r"(?P<b>[2348]|16)\s*(?:比特|位|bit)\s*(?:的)?(?:量化|精度|权重)*", lambda m: {"_bits": int(m["b"])}),
)  # fmt: skip
