#!/usr/bin/env python3
"""Make the label typeface from the TrueType edition of Noto Sans SC.

    python bin/subset_font.py path/to/NotoSansSC_400Regular.ttf

writes trace/fonts/LabelSansSC-Regular.ttf. It needs fontTools (requirements-dev.txt), nothing else, and
gives the same bytes for the same input and the same fontTools: trace/fonts/README.md says which were used.

What is kept: every character of GBK (21,000 Han characters and its punctuation), Latin with accents, the
unified ideographs of the main block, the characters of the national table of general standard characters that
lie outside GBK (they occur in the names of people and places), the superscripts and signs of a label. What
goes: hints, layout tables (the sheet writer uses none) and all other scripts.
"""

import argparse
import hashlib
import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

FAMILY = "Label Sans SC"
OUTPUT = Path(__file__).resolve().parent.parent / "trace" / "fonts" / "LabelSansSC-Regular.ttf"

# Extension A characters of the table of general standard Chinese characters (2013); the rest of that table is
# in GBK, in the main block or in the supplementary plane, which are taken whole.
GENERAL_STANDARD_EXTENSION_A = (
    "㑇㑊㕮㘎㙍㙘㙦㛃㛚㛹㟃㠇㠓㤘㥄㧐㧑㧟㫰㬊㬎㬚㭎㭕㮾㰀㳇㳘㳚㴔㵐㶲㸆㸌㺄㻬㽏㿠䁖䂮䃅䃎䅟䌹䎃䎖䏝䏡䏲䐃䓖䓛䓨䓫䓬䗖䗛䗪䗴䜣䝙䢺䢼䣘䥽䦃䲟䲠䲢䴓"
    "䴔䴕䴖䴗䴘䴙䶮"
)
# Name records kept from the original: copyright, version, trademark, makers, their address, licence and its
# address.
KEPT_NAMES = {0, 5, 7, 8, 9, 10, 11, 13, 14}


def gbk() -> set[int]:
    """Every code point that GBK can write."""
    found = set()
    for lead in range(0x81, 0xFF):
        for trail in range(0x40, 0xFF):
            try:
                found.add(ord(bytes([lead, trail]).decode("gbk")))
            except UnicodeDecodeError:
                continue
    return found


def wanted(available: set[int]) -> set[int]:
    """The code points to keep, of those the font has."""
    ranges = [
        range(0x20, 0x7F),
        range(0xA0, 0x250),
        range(0x2000, 0x2070),
        range(0x2070, 0x20A0),
        range(0x20A0, 0x20C0),
        range(0x2100, 0x2150),
        range(0x2150, 0x2190),
        range(0x2460, 0x2500),
        range(0x3000, 0x3040),
        range(0x3200, 0x3400),
        range(0x4E00, 0xA000),
        range(0xFF00, 0xFFF0),
        range(0x20000, 0x32000),
    ]
    keep = gbk() | {ord(char) for char in GENERAL_STANDARD_EXTENSION_A}
    for block in ranges:
        keep.update(block)
    # Invisible characters change nothing that is printed and would make a label lie about its text.
    keep -= set(range(0x200B, 0x2010)) | set(range(0x2028, 0x202F)) | set(range(0x2060, 0x2070))
    return keep & available


def rename(font: TTFont) -> None:
    """Give the modified font a name of its own; keep who made the original and under which licence.

    The OFL forbids a modified version the reserved name, here 'Source'. 'Noto' is not reserved but is a
    trademark, so it goes as well.
    """
    names = font["name"]
    names.names = [record for record in names.names if record.nameID in KEPT_NAMES]
    style = "Regular"
    fresh = {
        1: FAMILY,
        2: style,
        3: f"{FAMILY} {style}; subset",
        4: f"{FAMILY} {style}",
        6: f"{FAMILY.replace(' ', '')}-{style}",
    }
    for name_id, text in fresh.items():
        names.setName(text, name_id, 3, 1, 0x409)


def main() -> int:
    """Read the path, write the subset, print its size and SHA-256."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="NotoSansSC_400Regular.ttf")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    args = parser.parse_args()

    font = TTFont(args.source, recalcTimestamp=False)
    if "glyf" not in font:
        sys.stderr.write("the sheet writer needs TrueType outlines (a .ttf with a glyf table)\n")
        return 2
    options = Options()
    options.hinting = False
    options.layout_features = []
    options.drop_tables += ["GSUB", "GPOS", "GDEF", "BASE", "STAT", "vhea", "vmtx", "VORG"]
    options.name_IDs = ["*"]
    options.name_languages = ["*"]
    options.notdef_outline = True
    options.glyph_names = False
    subsetter = Subsetter(options=options)
    subsetter.populate(unicodes=wanted(set(font.getBestCmap())))
    subsetter.subset(font)
    rename(font)
    font.save(args.output, reorderTables=True)
    data = args.output.read_bytes()
    sys.stdout.write(f"{args.output.name}: {len(font.getBestCmap()):,} characters, {len(data):,} bytes\n")
    sys.stdout.write(f"sha256 {hashlib.sha256(data).hexdigest()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
