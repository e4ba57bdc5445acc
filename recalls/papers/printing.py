"""From the frozen data to what is read: names put in their places, page and PDF, the hash checked."""

from __future__ import annotations

import datetime
import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from recalls.letters import link_url
from recalls.models import Notice, Paper
from recalls.papers.notices import LINK
from trace import paper as sheets
from trace.paper import Block, read_blocks
from trace.personal import reveal

FORGOTTEN = "（姓名已删除）"
_CHINA = datetime.timezone(datetime.timedelta(hours=8))


def digest(data: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON: sorted keys, no spaces, UTF-8; the same on both databases."""
    canonical = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def is_whole(paper: Paper) -> bool:
    """Whether the data still is what was hashed."""
    return digest(paper.data) == paper.sha256


@dataclass(frozen=True)
class Words:
    """A document as people read it."""

    title: str
    number: str
    to: str
    blocks: list[Block]
    foot: str
    watermark: str


def words_of(paper: Paper) -> Words:
    """The document with names and the answering address in their places."""
    return Words(
        title=paper.title,
        number=paper.number,
        to=paper.data["to"],
        blocks=_filled(paper),
        foot=f"{paper.number}　第 {paper.edition} 版　{paper.at.astimezone(_CHINA):%Y-%m-%d %H:%M} 制作　"
        f"SHA-256 {paper.sha256[:32]}…",
        watermark="演练" if paper.is_drill else "",
    )


def _filled(paper: Paper) -> list[Block]:
    names = json.loads(reveal(paper.people) or "{}") if paper.people is not None else {}
    keys = set(names) | _keys(paper.data)

    def fill(text: str) -> str:
        if "\ue000" not in text:
            return text
        for key in keys:
            text = text.replace(f"\ue000{key}\ue001", str(names.get(key, FORGOTTEN)))
        return text

    blocks: list[Block] = []
    for block in read_blocks(paper.data["blocks"]):
        if block.kind == "code":
            blocks.append(replace(block, rows=((_link(paper),),)))
        else:
            blocks.append(replace(block, rows=tuple(tuple(fill(cell) for cell in row) for row in block.rows)))
    return blocks


def _keys(data: dict[str, Any]) -> set[str]:
    """The keys of names in the data, so that forgotten ones are found as well."""
    found: set[str] = set()
    for block in data["blocks"]:
        for row in block["rows"]:
            for cell in row:
                for part in cell.split("\ue000")[1:]:
                    found.add(part.partition("\ue001")[0])
    return found - {LINK.strip("\ue000\ue001")}


def _link(paper: Paper) -> str:
    notice = Notice.objects.select_related("campaign").get(uid=paper.data["refers"]["notice"])
    return link_url(notice)


def as_pdf(paper: Paper) -> bytes:
    """The PDF; the same bytes for the same data. Refuses characters the typeface lacks (``glyphs_missing``)."""
    words = words_of(paper)
    blocks = [Block("words", rows=((f"{words.to}：",),)), *words.blocks] if words.to else words.blocks
    return sheets.render(
        sheets.Paper(words.title, words.number, blocks, foot=words.foot, watermark=words.watermark),
    )


def as_json(paper: Paper) -> bytes:
    """The frozen data with its hash; names of people stay sealed."""
    document = {
        "uid": str(paper.uid),
        "kind": paper.kind,
        "edition": paper.edition,
        "drill": paper.is_drill,
        "sha256": paper.sha256,
        "made_at": paper.at.isoformat(),
        "made_by": paper.by_organisation.name,
        "data": paper.data,
    }
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True).encode()
