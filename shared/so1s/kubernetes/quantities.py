"""Amounts of resources as Kubernetes writes them (k8s.io/apimachinery/pkg/api/resource, `Quantity`)."""

from __future__ import annotations

from fractions import Fraction

_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_FACTORS = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(1000),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate("MGTPE", 2)},
    **{suffix: Fraction(1024**power) for power, suffix in enumerate(_BINARY, 1)},
}


def cpu(millicores: int) -> str:
    """An amount of CPU in the API's canonical form, so that what it stores is what was said."""
    whole, rest = divmod(millicores, 1000)
    return f"{millicores}m" if rest else str(whole)


def memory(mebibytes: int) -> str:
    """An amount of memory in the API's canonical form."""
    power = 1
    while mebibytes % 1024 == 0 and power < len(_BINARY) - 1:
        mebibytes //= 1024
        power += 1
    return f"{mebibytes}{_BINARY[power]}"


def thousandths(value: float) -> str:
    """A number in the API's canonical form, to the third decimal and at least that."""
    return cpu(max(1, round(value * 1000)))


def amount(quantity: str) -> Fraction:
    """The number that a quantity stands for, such as 1/2 for `500m`.

    Raises:
        ValueError: it is no quantity.
    """
    text = str(quantity)
    number = text.rstrip("numkKMGTPEi")
    if number[-1:] in {"e", "E"} or "e" in number:  # such as 1e3
        return Fraction(text)
    return Fraction(number) * _FACTORS[text[len(number) :]]
