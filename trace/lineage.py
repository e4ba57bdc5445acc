"""What the ancestors of a lot must and must not be: forbidden materials and geographical indications.

Both are asked of all ancestors, across organisations, when goods are made, taken in or released, and again of
descendants
when a fact about an ancestor comes later. A fixed number of queries each; nothing is walked for products that neither
follow a standard with a prohibition nor claim an origin.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Q

from trace.among import among
from trace.balance import evidence_words
from trace.composition import (
    GeographicalIndication,
    Prohibition,
    indication_for,
    is_water,
    materials,
    materials_named,
    prohibition_for,
)
from trace.divisions import divisions
from trace.errors import BrokenGuard
from trace.genealogy import MOST_REACHED, Walk, open_ends, walk
from trace.lot_words import by_code, by_region, named_to, path_of
from trace.models import Lot, Place, Product, ProductVersion
from trace.origins import Region, regions_of
from trace.sentences import gettext as _
from trace.sentences import in_each_language
from trace.units import BaseUnit
from trace.unseen import not_all_above, not_all_below

if TYPE_CHECKING:
    from trace.actions.capture import Draft

INSIDE, UNKNOWN, OUTSIDE = "inside", "unknown", "outside"
_CHUNK = 20_000
_SHOWN = (
    "product",
    "product_version__standard",
    "origin_place__division__parent",
    "origin_event",
    "organisation__division__parent",
)


# --- Forbidden materials --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Offender:
    """An ancestor that is what a standard forbids."""

    lot: Lot
    material: str

    @property
    def words(self) -> str:
        """What it is, for people."""
        return in_each_language(materials()[self.material].label)


def prohibition_of(version: ProductVersion | None) -> Prohibition | None:
    """The prohibition a product's version is under by its standard."""
    return prohibition_for(version.standard_id, version.standard_text) if version is not None else None


def offenders(lots: Iterable[int], forbidden: Iterable[str]) -> list[Offender]:
    """The lots among these that are a forbidden material, one for each version of a product. Three queries per 20,000
    lots.

    A product is what it was ever named: what was called 食用酒精 is that under its new name, too. Ingredients are
    those of the lot's version.
    """
    wanted, ids, found = set(forbidden), list(lots), {}
    for begin in range(0, len(ids), _CHUNK):
        rows = Lot.objects.filter(pk__in=ids[begin : begin + _CHUNK])
        columns = ("product", "product_version", "product__material", "product_version__ingredients")
        kinds = list(rows.order_by().values_list(*columns).distinct())
        names: dict[int, list[str]] = defaultdict(list)
        versions = ProductVersion.objects.filter(product__in={product for product, *_rest in kinds})
        for product, *named_as in versions.values_list("product", "name", "name_en"):
            names[product] += named_as
        bad = {
            (product, version): sorted(named)[0]
            for product, version, material, ingredients in kinds
            if (named := materials_named(material, *names[product], ingredients) & wanted)
        }
        if not bad:
            continue
        hit = rows.filter(product_version__in={version for _product, version in bad})
        for lot in hit.select_related(*_SHOWN).order_by("-pk"):
            found[(lot.product_id, lot.product_version_id)] = Offender(
                lot, bad[(lot.product_id, lot.product_version_id)]
            )
    return list(found.values())


# --- Geographical indications ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Origin:
    """Where one primary ancestor is from, as far as its records say; ``state`` is inside, unknown or outside."""

    lot: Lot
    state: str
    words: str


@dataclass(frozen=True)
class Claim:
    """A geographical indication held against all primary ancestors of a lot.

    ``state`` is inside (all are from the area), unknown (it cannot be shown) or outside (one is from elsewhere).
    """

    rule: GeographicalIndication
    origins: Sequence[Origin]
    cut: bool = False

    @property
    def state(self) -> str:
        """The worst of the origins; without any nothing can be shown."""
        states = {origin.state for origin in self.origins}
        if OUTSIDE in states:
            return OUTSIDE
        return UNKNOWN if UNKNOWN in states or self.cut or not states else INSIDE

    @property
    def places(self) -> list[tuple[str, str, int]]:
        """Where the primary lots are from, in words, with state and how many; no names of lots or parties."""
        counted = Counter((origin.words, origin.state) for origin in self.origins)
        order = [OUTSIDE, UNKNOWN, INSIDE]
        rows = sorted(counted.items(), key=lambda row: (order.index(row[0][1]), row[0][0]))
        return [(words, state, number) for (words, state), number in rows]

    @property
    def worst(self) -> Origin | None:
        """An origin that decides the state, if it is not inside."""
        return next((origin for origin in self.origins if origin.state == self.state != INSIDE), None)

    @property
    def words(self) -> str:
        """The verdict for people, without the names of lots."""
        amounts = {"n": len(self.origins), "area": self.rule.area()}
        if self.state == INSIDE:
            return _("全部 %(n)d 个初始来源批次都在产区内（%(area)s）。") % amounts
        if self.state == OUTSIDE:
            return _("有来源不在产区内（%(area)s），声明不成立。") % amounts
        gap = self.rule.gap()
        found = _("不能证明全部来源在产区内（%(area)s）。") % amounts + (f"{gap}。" if gap else "")
        return found + _("来源批次太多，没有查完。") if self.cut else found


def claim_of(lot: Lot) -> Claim | None:
    """The geographical indication a lot's product claims, held against its ancestors; None where it claims none."""
    rule = claim_made(lot.product_version)
    if rule is None:
        return None
    back = walk([lot], "back")
    return Claim(rule, origins(rule, back), back.cut)


def weak_origins(rule: GeographicalIndication, back: Walk) -> dict[int, Origin]:
    """The lots of a walk back whose primary ancestors do not bear the claim, by row number, each with one origin that
    decides it: outside before unknown. One pass over the links, however many lots.
    """
    children: dict[int, list[int]] = defaultdict(list)
    for _link, parent, child, _event, _micros in back.links:
        children[parent].append(child)
    found: dict[int, Origin] = {}
    everything = origins(rule, back)
    for state in (OUTSIDE, UNKNOWN):
        waiting = [(origin.lot.pk, origin) for origin in everything if origin.state == state]
        while waiting:
            lot, origin = waiting.pop()
            if lot not in found:
                found[lot] = origin
                waiting += [(child, origin) for child in children[lot]]
    return found


def origins(rule: GeographicalIndication, back: Walk, taken: Mapping[int, int] | None = None) -> list[Origin]:
    """Where the primary ancestors of a walk back are from: the lots nothing went into, packaging and water aside.

    A fixed number of queries per 20,000 of them. A lot bought from outside is from where its record says it grew, not
    from where it was received; goods begun at a plant or store are from nowhere that could be shown. What is said to be
    something else is left out, unless it makes up more than a tenth of a step that makes such goods: whatever it is
    called, then nothing is shown. ``taken`` are millionths of start lots that go into such goods now. Above the lots a
    walk was cut at nothing is known: they are shown as that, and never taken for primary.
    """
    ends = open_ends(back)
    made = {edge.child for edge in back.edges} | ends
    ids = [lot for lot in back.level if lot not in made]
    found: list[Origin] = []
    elsewhere: dict[int, Lot] = {}
    for begin in range(0, len(ids), _CHUNK):
        rows = list(Lot.objects.filter(pk__in=ids[begin : begin + _CHUNK]).select_related(*_SHOWN).order_by("pk"))
        elsewhere |= {lot.pk: lot for lot in rows if not _concerns(rule, lot.product, lot.product_version)}
        rows = [lot for lot in rows if lot.pk not in elsewhere]
        named = regions_of(lot.origin_event.data.get("origin") for lot in rows)
        found += [_origin(rule, lot, named) for lot in rows]
    for lot in Lot.objects.filter(among("pk", ends)).select_related(*_SHOWN).order_by("pk"):
        found.append(Origin(lot, UNKNOWN, _("来源批次太多，没有查完")))
    if any(_may_be_more(lot) for lot in elsewhere.values()):
        for pk in _large_parts(rule, back, taken or {}, {pk for pk, lot in elsewhere.items() if _may_be_more(lot)}):
            found.append(Origin(elsewhere[pk], UNKNOWN, _("登记为别的东西，却占投入的一成以上")))
    return found


def _may_be_more(lot: Lot) -> bool:
    """Whether goods said to be something else could be the claimed ones: neither packaging nor water."""
    version = lot.product_version
    if lot.product.kind == Product.Kind.PACKAGING:
        return False
    return not is_water(lot.product.material, version.name, version.ingredients)


def _large_parts(rule: GeographicalIndication, back: Walk, taken: Mapping[int, int], pks: set[int]) -> list[int]:
    """Those of some primary lots that, as such or after steps of their own, are more than a tenth of what went into
    claimed goods, by weight. Two queries per 20,000 lots.
    """
    kinds: dict[int, tuple[int, int]] = {}
    everything = list(back.level)
    for begin in range(0, len(everything), _CHUNK):
        rows = Lot.objects.filter(pk__in=everything[begin : begin + _CHUNK]).order_by()
        kinds |= {
            pk: (product, version) for pk, product, version in rows.values_list("pk", "product", "product_version")
        }
    products = Product.objects.in_bulk({product for product, _version in kinds.values()})
    versions = ProductVersion.objects.in_bulk({version for _product, version in kinds.values()})

    def is_aside(pk: int) -> bool:
        return not _concerns(rule, products[kinds[pk][0]], versions[kinds[pk][1]])

    weighed = {pk for pk, (product, _version) in kinds.items() if products[product].base_unit == BaseUnit.KGM}
    steps: dict[tuple[int, int], dict[int, int]] = defaultdict(dict)
    parents: dict[int, list[int]] = defaultdict(list)
    for edge in back.edges:
        parents[edge.child].append(edge.parent)
        if edge.parent in weighed and _is_claimed(rule, products[kinds[edge.child][0]]):
            steps[(edge.event, edge.child)][edge.parent] = edge.micros
    steps[(0, 0)] = {pk: micros for pk, micros in taken.items() if pk in weighed}
    waiting = [
        parent
        for went_in in steps.values()
        for parent, micros in went_in.items()
        if micros * 10 > sum(went_in.values()) and is_aside(parent)
    ]
    found: set[int] = set()
    while waiting:
        pk = waiting.pop()
        if pk not in found:
            found.add(pk)
            waiting += [parent for parent in parents[pk] if is_aside(parent)]
    return sorted(found & pks)


def _concerns(rule: GeographicalIndication, product: Product, version: ProductVersion | None) -> bool:
    """Whether goods count for a claim: not packaging, and not said to be something else."""
    if product.kind == Product.Kind.PACKAGING:
        return False
    named = materials_named(product.material, *((version.name, version.ingredients) if version else ()))
    return product.family in rule.families or not named or bool(named & set(rule.materials))


def _origin(rule: GeographicalIndication, lot: Lot, named: Mapping[str, Region]) -> Origin:
    """The origin of one primary ancestor by its records."""
    region = named.get(str(lot.origin_event.data.get("origin", "")).strip())
    if region is not None:
        return Origin(lot, area_state(rule, region.code), region.words)
    place = lot.origin_place
    if lot.is_external or place is None:
        return Origin(lot, UNKNOWN, _("没有登记产地"))
    if place.kind != Place.Kind.PLOT:
        return Origin(lot, UNKNOWN, _("登记的地点不是地块"))
    division = place.division_id
    return Origin(lot, area_state(rule, division), in_each_language(lambda: path_of(place.division)))


def area_state(rule: GeographicalIndication, code: str) -> str:
    """Whether a division lies in the protected area: inside, outside, or unknown where it is only partly known."""
    attribute = rule.column.removeprefix("in_")
    known = divisions().get(code) or (divisions().get(code[:9]) if len(code) == 12 else None)
    if known is not None:
        children = [each for each in divisions().values() if each.parent == known.code]
        states = {getattr(each, attribute) for each in children or [known]}
        if states == {"yes"}:
            return INSIDE
        return OUTSIDE if states == {"no"} else UNKNOWN
    if any(code.startswith(prefix) for prefix in rule.unknown):
        return UNKNOWN
    prefix = code
    while prefix.endswith("00"):
        prefix = prefix[:-2]
    return UNKNOWN if any(each.startswith(prefix) for each in divisions()) else OUTSIDE


def untrue_words(lot: Lot) -> list[BrokenGuard]:
    """What the lot's label would say that its ancestors contradict: a standard that forbids one of them, or an origin.

    By the version the lot was made under, since that is what labels print. A claim that merely cannot be shown is not
    among them, nor a name that only reads like a protected one. Nothing is asked for products that say neither. Looks
    further back than the guard at making, which has flagged what it did not see.
    """
    prohibition, claim = prohibition_of(lot.product_version), claim_made(lot.product_version)
    if prohibition is None and claim is None:
        return []
    back = walk([lot], "back", limit=MOST_REACHED)
    target = Target(lot.product, lot.product_version, lot)
    found = []
    if prohibition is not None:
        for bad in offenders(back.level, prohibition.materials):
            where = _("它自己的产品资料") if bad.lot.pk == lot.pk else named_to(lot.organisation_id, bad.lot)
            found.append(forbidden(prohibition, target, bad.words, where, bad.lot))
    origin = weak_origins(claim, back).get(lot.pk) if claim is not None else None
    if claim is not None and not claim.alike and origin is not None and origin.state == OUTSIDE:
        found.append(
            unborne(claim, target, OUTSIDE, named_to(lot.organisation_id, origin.lot), origin.words, origin.lot)
        )
    return found


# --- The guard ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """Goods whose ancestors are asked about: a lot there is, or (``lot`` None) one that this draft begins."""

    product: Product
    version: ProductVersion
    lot: Lot | None

    @property
    def name(self) -> str:
        """What to call it in a message."""
        code = f" {self.lot.code}" if self.lot is not None else ""
        return in_each_language(lambda: f"{self.version.label}{code}")


def lineage_guards(draft: Draft) -> Iterator[BrokenGuard]:
    """Forbidden ancestors and origins that do not bear a claim, of what this draft makes, takes in or releases.

    Goods added to a lot there is, and a beginning that is stated again, also concern everything made of it since.
    """
    targets, later = _targets(draft)
    if later is not None and later.cut:
        yield not_all_below(later, _later_than(draft)[0])
    if not targets:
        return
    released = draft.template.moves == "release"
    starts = [use.lot for use in draft.uses if use.lot is not None and (released or use.role == "input")]
    back = walk(starts, "back")
    near = {lot.pk for lot in starts}
    yield from _forbidden(draft, targets, back, near)
    if starts:
        yield from _claims(draft, targets, back, near)
    else:
        yield from _claims_of_beginnings(draft, targets)


def _later_than(draft: Draft) -> list[Lot]:
    """Lots there are that change by this draft, so that what was made of them since is asked about again."""
    found = list(draft.added_to)
    if draft.template.moves in ("transform", "create", "receive"):
        found += [new.restates for new in draft.outputs if new.restates is not None]
    return found


def _targets(draft: Draft) -> tuple[list[Target], Walk | None]:
    """What has a prohibition or claims an origin, among what is made or released and what was made of it since; and the
    walk to the latter.
    """
    found: list[Target] = []
    later, forward = _later_than(draft), None
    if draft.template.moves in ("transform", "create", "receive"):
        for new in draft.outputs:
            # A lot stated again keeps the version, and so the label, it was made under.
            version = new.product.current if new.restates is None else new.restates.product_version
            if version is not None:
                found.append(Target(new.product, version, new.restates))
    if draft.template.moves == "release":
        found += [Target(lot.product, lot.product_version, lot) for lot in draft.known_lots()]
    if later:
        forward = walk(later, "forward")
        found += _under_rules(forward, {target.lot.pk for target in found if target.lot is not None})
    return [each for each in found if prohibition_of(each.version) or claim_made(each.version)], forward


def claim_made(version: ProductVersion) -> GeographicalIndication | None:
    """The geographical indication a product claims: in its claim, its names or its brand."""
    return indication_for(version.gi_claim, version.name, version.name_en, version.brand)


def _under_rules(forward: Walk, known: set[int]) -> list[Target]:
    """What a walk reached, the lots it began with too, where a standard or a claim makes it matter."""
    reached = [pk for pk in forward.level if pk not in known]
    found: list[Target] = []
    for begin in range(0, len(reached), _CHUNK):
        rows = Lot.objects.filter(pk__in=reached[begin : begin + _CHUNK], voided_by=None)
        versions = ProductVersion.objects.filter(pk__in=rows.values("product_version")).select_related("standard")
        rows = rows.filter(product_version__in=[row.pk for row in versions if prohibition_of(row) or claim_made(row)])
        found += [Target(lot.product, lot.product_version, lot) for lot in rows.select_related(*_SHOWN)]
    return found


def _forbidden(draft: Draft, targets: Sequence[Target], back: Walk, near: set[int]) -> Iterator[BrokenGuard]:
    """Each target under a prohibition with each product above it that is forbidden."""
    rules = {rule.key: rule for target in targets if (rule := prohibition_of(target.version)) is not None}
    for rule in rules.values():
        bad = offenders(back.level, rule.materials)
        for target in targets:
            if prohibition_of(target.version) is not rule:
                continue
            own = materials_named(
                target.product.material, target.version.name, target.version.name_en, target.version.ingredients
            )
            for material in sorted(own & set(rule.materials)):
                yield forbidden(
                    rule, target, in_each_language(materials()[material].label), _("它自己的产品资料"), None
                )
            for each in bad:
                if target.lot is None or each.lot.pk != target.lot.pk:
                    yield forbidden(rule, target, each.words, _named(draft, each.lot, near), each.lot)
            if back.cut:
                yield unseen_materials(rule, target, back)
        if not back.level:
            bad_outputs = [new.product for new in draft.outputs if new.product.current is not None]
            for target in targets:
                for product in bad_outputs:
                    yield from _taken_in(rule, target, product)


def _taken_in(rule: Prohibition, target: Target, product: Product) -> Iterator[BrokenGuard]:
    """A beginning stated again as something forbidden, under what was made of it."""
    if target.lot is None or target.product.pk == product.pk or prohibition_of(target.version) is not rule:
        return
    version = product.current
    named = materials_named(product.material, *((version.name, version.ingredients) if version else ()))
    for material in sorted(named & set(rule.materials)):
        yield forbidden(rule, target, in_each_language(materials()[material].label), str(product), None)


def unseen_materials(rule: Prohibition, target: Target, back: Walk) -> BrokenGuard:
    """The warning that nobody looked whether a forbidden material is among the farther ancestors."""
    named = _("、").join([in_each_language(materials()[each].label) for each in sorted(rule.materials)])
    rest = _("其余有没有这类产品执行的标准不允许的东西（%(materials)s），没有查") % {"materials": named}
    product = target.product.pk if target.lot is None else 0
    return not_all_above(back, target.name, rest, lot=target.lot, product=product)


def forbidden(rule: Prohibition, target: Target, material: str, where: str, lot: Lot | None) -> BrokenGuard:
    """The broken guard: which product, by which standard, what was found and where."""
    more: dict[str, Any] = {"other_lot": lot.uid} if lot is not None else {}
    standard = target.version.standard.number if target.version.standard else target.version.standard_text
    return BrokenGuard(
        "forbidden_ancestor",
        _(
            "%(product)s 执行 %(standard)s，来源里不允许有%(material)s，却查到：%(where)s"
            "（规则依据：%(source)s；%(evidence)s）。"
        )
        % {
            "product": target.name,
            "standard": standard,
            "material": material,
            "where": where,
            "source": rule.source,
            "evidence": evidence_words(rule.evidence, rule.verified),
        },
        lot=target.lot or lot,
        product=target.product.pk if target.lot is None else 0,
        **more,
    )


def _named(draft: Draft, lot: Lot, near: set[int]) -> str:
    """An ancestor for who makes the goods: by its code where it is theirs or next to them, else only what and where."""
    mine = draft.organisation.pk in (lot.organisation_id, lot.origin_event.organisation_id)
    return by_code(lot) if mine or lot.pk in near else by_region(lot)


def _claims(draft: Draft, targets: Sequence[Target], back: Walk, near: set[int]) -> Iterator[BrokenGuard]:
    """Each claim of origin against the primary ancestors above it."""
    asked: dict[str, Claim] = {}
    for target in targets:
        rule = claim_made(target.version)
        if rule is None:
            continue
        if rule.key not in asked:
            taken = _taken(draft) if any(_is_claimed(rule, new.product) for new in draft.outputs) else {}
            asked[rule.key] = Claim(rule, origins(rule, back, taken), back.cut)
        claim = asked[rule.key]
        if claim.state == INSIDE:
            continue
        worst = claim.worst
        where = _named(draft, worst.lot, near) if worst is not None else ""
        words, lot = (worst.words, worst.lot) if worst is not None else ("", None)
        yield unborne(rule, target, claim.state, where, words, lot)


def _is_claimed(rule: GeographicalIndication, product: Product) -> bool:
    """Whether goods are what the indication is about."""
    return product.family in rule.families or product.material in rule.materials


def _taken(draft: Draft) -> dict[int, int]:
    """Millionths of each lot that goes in."""
    found: dict[int, int] = defaultdict(int)
    for use in draft.uses:
        if use.lot is not None and use.role == "input":
            found[use.lot.pk] -= use.micros
    return found


def _claims_of_beginnings(draft: Draft, targets: Sequence[Target]) -> Iterator[BrokenGuard]:
    """Goods that begin here against the claims they make themselves, and those of what was made of them since.

    They are from the place the step names as origin, else from the plot it happens at.
    """
    typed = draft.data.get("origin")
    region = next(iter(regions_of([typed]).values()), None)
    plot = draft.place if draft.place is not None and draft.place.kind == Place.Kind.PLOT else None
    if region is None and draft.template.moves == "create" and plot is not None:
        region = next(iter(regions_of([plot.uid]).values()), None)
    words = region.words if region is not None else _("没有登记产地")
    for target in targets:
        rule = claim_made(target.version)
        if rule is None or not any(_concerns(rule, new.product, new.product.current) for new in draft.outputs):
            continue
        state = area_state(rule, region.code) if region is not None else UNKNOWN
        if state != INSIDE:
            yield unborne(rule, target, state, "", words, None)


def unborne(
    rule: GeographicalIndication, target: Target, state: str, where: str, words: str, lot: Lot | None
) -> BrokenGuard:
    """A claim that is contradicted refuses; one that cannot be shown warns, and so does a name that only reads like a
    protected one, since that it claims anything is our reading.
    """
    amounts = {
        "product": target.name,
        "claim": in_each_language(rule.label),
        "area": in_each_language(rule.area),
        "where": _("：").join(part for part in (where, words) if part),
    }
    more: dict[str, Any] = {"other_lot": lot.uid} if lot is not None else {}
    if state == OUTSIDE:
        return BrokenGuard(
            "gi_unproven" if rule.alike else "gi_foreign",
            _("%(product)s 声明“%(claim)s”，产区是%(area)s，来源却有产区外的：%(where)s。") % amounts,
            lot=target.lot or lot,
            product=target.product.pk if target.lot is None else 0,
            warns=rule.alike,
            **more,
        )
    gap = in_each_language(rule.gap)
    return BrokenGuard(
        "gi_unproven",
        _("%(product)s 声明“%(claim)s”，但不能证明来源都在产区（%(area)s）：%(where)s。") % amounts
        + (gap + _("。") if gap else ""),
        lot=target.lot or lot,
        product=target.product.pk if target.lot is None else 0,
        warns=True,
        **more,
    )


def claiming(lots: Sequence[int]) -> tuple[dict[GeographicalIndication, list[Target]], Walk]:
    """Everything made of these lots that claims an origin, the lots themselves too: by the version it was made under,
    else by what its product says now; and the walk. Three queries per 20,000 lots.
    """
    found: dict[GeographicalIndication, list[Target]] = defaultdict(list)
    forward = walk(lots, "forward", limit=MOST_REACHED)
    reached = list(forward.level)
    for begin in range(0, len(reached), _CHUNK):
        rows = Lot.objects.filter(pk__in=reached[begin : begin + _CHUNK], voided_by=None)
        pairs = rows.order_by().values_list("product_version", "product__current").distinct()
        asked = {pk for pair in pairs for pk in pair if pk is not None}
        rules = {
            row.pk: (rule, row) for row in ProductVersion.objects.filter(pk__in=asked) if (rule := claim_made(row))
        }
        hit = rows.filter(Q(product_version__in=rules) | Q(product__current__in=rules)).select_related(*_SHOWN)
        for lot in hit.order_by("pk"):
            rule, version = rules.get(lot.product_version_id) or rules[lot.product.current_id or 0]
            found[rule].append(Target(lot.product, version, lot))
    return found, forward


def under_prohibition(lots: Sequence[int], material: str) -> tuple[list[tuple[Lot, Prohibition]], Walk]:
    """Everything made of these lots whose standard forbids this material, the lots themselves too; and the walk."""
    found, forward = [], walk(lots, "forward", limit=MOST_REACHED)
    for target in _under_rules(forward, set()):
        rule = prohibition_of(target.version)
        if rule is not None and material in rule.materials and target.lot is not None:
            found.append((target.lot, rule))
    return found, forward
