"""A file somebody uploaded as rows of text, read in a child process that is ended when it takes too much."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from trace.errors import Invalid

CHILD = Path(__file__).with_name("child.py")
WALL_SECONDS = 9.0
"""A file that takes longer is refused: people get an answer within ten seconds."""
ANSWER_MAX = 64 * 1024**2


@dataclass(frozen=True)
class Line:
    """One row of a sheet that is not blank: its number there and its cells as text.

    A formula or an error stands as ``{"f": …}`` or ``{"e": …}`` until the check refuses it.
    """

    number: int
    cells: list[Any]


def read_sheet(data: bytes, *, wall_seconds: float = WALL_SECONDS) -> list[Line]:
    """The rows of an Excel or CSV file.

    Refuses (Invalid) with a sentence: ``sheet_empty``, ``sheet_old_excel``, ``sheet_kind``, ``sheet_broken``,
    ``sheet_locked``, ``sheet_entities``, ``sheet_encoding``, ``sheet_quotes``, ``sheet_too_large``, ``too_many_rows``,
    ``too_many_columns``.
    """
    if not data.strip():
        raise _refusal("sheet_empty")
    try:
        done = subprocess.run(  # noqa: S603  (our own file and interpreter, no shell)
            [sys.executable, "-I", str(CHILD)],
            input=data,
            capture_output=True,
            timeout=wall_seconds,
            check=False,
            env={"LANG": "C.UTF-8", "PATH": os.defpath},
        )
    except subprocess.TimeoutExpired:
        raise _refusal("sheet_too_large") from None
    if done.returncode != 0 or not done.stdout or len(done.stdout) > ANSWER_MAX:
        # Ended by its limits (or by the kernel): it wanted more than any sheet we take needs.
        raise _refusal("sheet_too_large")
    answer = json.loads(done.stdout)
    if "refused" in answer:
        raise _refusal(answer["refused"], most=answer.get("most", 0), row=answer.get("row", 0))
    lines = [Line(number, cells) for number, cells in answer["rows"]]
    if not lines:
        raise _refusal("sheet_empty")
    return lines


def _refusal(code: str, most: int = 0, row: int = 0) -> Invalid:
    """The sentence for a code of the child."""
    sentences = {
        "sheet_empty": _("这个文件是空的。请下载模板，填好后再上传。"),
        "sheet_old_excel": _("这是旧的 .xls 格式。请在表格软件里“另存为” .xlsx 后再上传。"),
        "sheet_kind": _("这不是 Excel（.xlsx）或 CSV 文件。请下载模板，填好后再上传。"),
        "sheet_broken": _("文件打不开，可能已损坏。请用表格软件打开，另存为 .xlsx 后再上传。"),
        "sheet_locked": _("文件有密码保护。请去掉密码后再上传。"),
        "sheet_entities": _("文件里引用了外部内容，为安全起见没有读取。请用表格软件另存为 .xlsx 后再上传。"),
        "sheet_encoding": _("认不出文件的文字编码。请在表格软件里另存为 .xlsx 或“CSV UTF-8”后再上传。"),
        "sheet_quotes": _(
            "第 %(row)d 行有一个英文双引号没有成对，后面的行会被并进同一格。请改好引号，或另存为 .xlsx 后再上传。"
        )
        % {"row": row},
        "sheet_too_large": _(
            "文件展开后太大，为安全起见没有读取。请只保留要导入的行和列，把数据粘贴到新下载的模板里再上传。"
        ),
        "too_many_rows": _("行数太多：一次最多导入 %(most)d 行。请分成几个文件上传。") % {"most": most},
        "too_many_columns": _("列数太多：最多 %(most)d 列。请使用下载的模板。") % {"most": most},
    }
    return Invalid(sentences[code], code=code)
