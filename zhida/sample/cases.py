"""Cases: a few records that are right or wrong only beside each other, each about a company of its own.

What a case breaks is stated here, as in ``fault_tables``, and never asked of ``rules/``. It is the verdict at the end:
whichever record of a case is judged first, those that wait for another are judged again when that has come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from random import Random
from typing import Any

from zhida.sample.message import ACCEPTED, Expected
from zhida.sample.population import Kind, Subject
from zhida.sample.records import make_valid
from zhida.sample.world import World

Record = dict[str, Any]
LEGAL_PERSON, LICENCE, PENALTY, LISTING = (
    "legal_person",
    "administrative_licence",
    "administrative_penalty",
    "abnormal_operation",
)


@dataclass(frozen=True, slots=True)
class Part:
    """One record of a case, with its right answer; *late* ones are sent long after the one before."""

    dataset: str
    record: Record
    expected: Expected = ACCEPTED
    late: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """``size`` records, made by :meth:`Cases.make`; one of them, of *dataset*, breaks ``rules``, or none does."""

    parts: Callable[[Cases, Case], list[Part]]
    dataset: str
    size: int
    rules: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Names:
    """The fields of a dataset that the cases are about."""

    code: str
    name: str
    #: The document number, and what else belongs to it.
    number: tuple[str, ...]
    #: A text that tells two documents apart, and one in which equal documents may differ, with another value for it.
    text: str
    free: tuple[str, str]


_FIELDS = {
    LEGAL_PERSON: _Names("TYSHXYDM", "JGMC", ("TYSHXYDM", "JGMC"), "ZS", ("LXDH", "025-83210000")),
    LICENCE: _Names("XK_XDR_SHXYM", "XK_XDR_MC", ("XK_WSH", "XK_XKBH", "XK_XKJGDM"), "XK_NR", ("BZ", "再次报送")),
    PENALTY: _Names("CF_XDR_SHXYM", "CF_XDR_MC", ("CF_WSH", "CF_CFJGDM"), "CF_SY", ("BZ", "再次报送")),
    LISTING: _Names("TYSHXYDM", "QYMC", ("LRWSH", "LRJGDM"), "LRJG", ("BZ", "再次报送")),
}
#: The same document number, as another clerk types it.
_OTHER_HAND = str.maketrans("〔〕0123", "［］０１２３")
_STRUCK_OFF = ("注销", "吊销")
REVOKED = "吊销许可证件"


class Cases:
    """Makes the records of cases."""

    def __init__(self, world: World, random: Random) -> None:
        self.world = world
        self.random = random
        self._groups = 0

    def make(self, case: Case) -> list[Part]:
        """The records of *case* in the order in which they are sent."""
        return case.parts(self, case)

    def subject(self, kinds: Sequence[Kind] = ("company", "company", "shop")) -> Subject:
        """Somebody of whom nothing has been heard."""
        return self.world.population.make(self.random.choice(kinds))

    def record(self, dataset: str, subject: Subject, **values: Any) -> Record:
        """A sound record of *dataset* about *subject*, but for *values*."""
        return make_valid(dataset, self.world, self.random, subject)[0] | values

    def registration(self, subject: Subject, state: str = "存续") -> Part:
        """The registration of *subject*."""
        return Part(LEGAL_PERSON, self.record(LEGAL_PERSON, subject, DJZT=state))

    def listing(self, subject: Subject) -> Record:
        """An entry in the list that has not been removed from it."""
        while (record := self.record(LISTING, subject))["YCRQ"] is not None:
            pass
        return record

    def rivals(self, case: Case, first: Record, second: Record) -> list[Part]:
        """Two records of which the one that is judged later breaks the rules; which one that is, is open."""
        self._groups += 1
        return [
            Part(case.dataset, first, Expected("accepted", group=self._groups)),
            Part(case.dataset, second, Expected("suspect", case.rules, group=self._groups)),
        ]

    def in_any_order(self, parts: Iterable[Part]) -> list[Part]:
        """*parts* shuffled."""
        shuffled = list(parts)
        self.random.shuffle(shuffled)
        return shuffled


def _suspect(case: Case, record: Record) -> Part:
    return Part(case.dataset, record, Expected("suspect", case.rules))


def _registered_nowhere(cases: Cases, case: Case) -> list[Part]:
    return [_suspect(case, cases.record(case.dataset, cases.subject()))]


def _another_name(cases: Cases, case: Case) -> list[Part]:
    subject = cases.subject()
    wrong = cases.random.choice(
        (subject.name[:2] + subject.name[3:], f"{subject.name}第一分公司", cases.subject((subject.kind,)).name)
    )
    named = cases.record(case.dataset, replace(subject, name=wrong))
    return cases.in_any_order((cases.registration(subject), _suspect(case, named)))


def _struck_off(cases: Cases, case: Case) -> list[Part]:
    subject = cases.subject()
    if case.dataset == LICENCE:
        state, record = cases.random.choice(_STRUCK_OFF), cases.record(LICENCE, subject, XK_ZT="1")
    else:
        state, record = "注销", cases.listing(subject)
    return cases.in_any_order((cases.registration(subject, state), _suspect(case, record)))


def _revoked(cases: Cases, case: Case) -> list[Part]:
    licence, others = _licence_and_revocation(cases)
    return cases.in_any_order((*others, _suspect(case, licence | {"XK_ZT": "1"})))


def _licence_and_revocation(cases: Cases) -> tuple[Record, list[Part]]:
    subject = cases.subject()
    licence = cases.record(LICENCE, subject)
    number = licence["XK_XKBH"]
    if cases.random.random() < 0.3:
        number = number.translate(_OTHER_HAND)
    kinds = {"CF_CFLB": REVOKED, "CF_NR": REVOKED, "CF_NR_FK": None, "CF_NR_WFFF": None, "CF_NR_ZKDX": number}
    return licence, [cases.registration(subject), Part(PENALTY, cases.record(PENALTY, subject, **kinds))]


def _number_used_twice(cases: Cases, case: Case) -> list[Part]:
    fields, subject = _FIELDS[case.dataset], cases.subject()
    first, second = (cases.record(case.dataset, subject) for _ in range(2))
    second |= {name: first[name] for name in fields.number}
    second[fields.text] = f"{second[fields.text]}（补）"
    if case.dataset != LEGAL_PERSON and cases.random.random() < 0.5:
        second[fields.number[0]] = second[fields.number[0]].translate(_OTHER_HAND)
    return _rivals(cases, case, subject, first, second)


def _same_content(cases: Cases, case: Case) -> list[Part]:
    return _said_twice(cases, case, {})


def _same_without_number(cases: Cases, case: Case) -> list[Part]:
    return _said_twice(cases, case, {"XK_XKBH": None})


def _said_twice(cases: Cases, case: Case, values: Record) -> list[Part]:
    fields, subject = _FIELDS[case.dataset], cases.subject()
    first, another = (cases.record(case.dataset, subject, **values) for _ in range(2))
    second = first | {name: another[name] for name in ("unit", "record_id")}
    name, other = fields.free
    second[name] = cases.random.choice((first[name], None, other))
    return _rivals(cases, case, subject, first, second)


def _rivals(cases: Cases, case: Case, subject: Subject, first: Record, second: Record) -> list[Part]:
    both = cases.rivals(case, first, second)
    return both if case.dataset == LEGAL_PERSON else cases.in_any_order((cases.registration(subject), *both))


def _name_in_another_hand(cases: Cases, case: Case) -> list[Part]:
    """Width, kind of bracket, spaces and dots make no difference to a name."""
    subject = cases.subject(("company",))
    name = subject.name
    registration = cases.registration(replace(subject, name=f"{name}（Ａ1·江苏）"))
    written = cases.random.choice((f"{name}(A1·江苏)", f"{name} （Ａ１・江苏）", f"{name}〔A1•江苏〕"))
    record = cases.record(case.dataset, replace(subject, name=written))
    return cases.in_any_order((registration, Part(case.dataset, record)))


def _registered_afterwards(cases: Cases, case: Case) -> list[Part]:
    subject = cases.subject()
    records = [Part(case.dataset, cases.record(case.dataset, subject)) for _ in range(case.size - 1)]
    return [*records, replace(cases.registration(subject), late=True)]


def _ended_in_time(cases: Cases, case: Case) -> list[Part]:
    """What ended with the company is no longer said to be in force."""
    subject = cases.subject()
    if case.dataset == LICENCE:
        record = cases.record(LICENCE, subject, XK_ZT="2")
    else:
        while (record := cases.record(LISTING, subject))["YCRQ"] is None:
            pass
    return cases.in_any_order((cases.registration(subject, "注销"), Part(case.dataset, record)))


def _given_back(cases: Cases, case: Case) -> list[Part]:
    """What was revoked is no longer said to be in force."""
    licence, others = _licence_and_revocation(cases)
    return cases.in_any_order((*others, Part(LICENCE, licence | {"XK_ZT": "2"})))


def _broken() -> Iterator[Case]:
    for dataset, fields in _FIELDS.items():
        alone = dataset == LEGAL_PERSON
        unique = f"{dataset}.{fields.number[0]}.uniqueness"
        yield Case(_number_used_twice, dataset, 2 if alone else 3, frozenset({unique}))
        # What is the same in everything has the same number: of that the unit is told, and not of both.
        yield Case(_same_content, dataset, 2 if alone else 3, frozenset({unique}))
        if not alone:
            yield Case(_registered_nowhere, dataset, 1, frozenset({f"{dataset}.{fields.code}.reference"}))
            yield Case(_another_name, dataset, 2, frozenset({f"{dataset}.{fields.name}.agreement"}))
    yield Case(_same_without_number, LICENCE, 3, frozenset({f"{LICENCE}.XK_WSH.duplicate_content"}))
    yield Case(_struck_off, LICENCE, 2, frozenset({f"{LICENCE}.XK_ZT.conflict.dissolved"}))
    yield Case(_struck_off, LISTING, 2, frozenset({f"{LISTING}.LRRQ.conflict"}))
    yield Case(_revoked, LICENCE, 3, frozenset({f"{LICENCE}.XK_ZT.conflict.revoked"}))


def _sound() -> Iterator[Case]:
    for dataset in (LICENCE, PENALTY, LISTING):
        yield Case(_name_in_another_hand, dataset, 2)
        yield Case(_registered_afterwards, dataset, 2)
        yield Case(_registered_afterwards, dataset, 3)
    yield Case(_ended_in_time, LICENCE, 2)
    yield Case(_ended_in_time, LISTING, 2)
    yield Case(_given_back, LICENCE, 3)


#: Of each of these exactly one record is suspect; of each of those none.
BROKEN, SOUND = tuple(_broken()), tuple(_sound())


def plan_cases(broken: int, sound: int, random: Random) -> list[Case]:
    """*broken* cases in which one record is suspect, each kind in turn, and *sound* messages of cases without."""
    kinds = random.sample(BROKEN, len(BROKEN))
    cases = [kinds[number % len(kinds)] for number in range(broken)]
    turns = cycle(random.sample(SOUND, len(SOUND)))
    while sound >= min(case.size for case in SOUND):
        case = next(case for case in turns if case.size <= sound)
        cases.append(case)
        sound -= case.size
    return cases
