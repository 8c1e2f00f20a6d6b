"""The binary form of a character map in ``tokenizer.json`` (normaliser ``Precompiled``).

SentencePiece stores replacements as a double-array trie (Aoe 1989, in the layout of darts-clone)
followed by the replacements. Each unit of the trie is 32 bits: bit 8 says that a value hangs
below, bits 10 to 30 hold the distance to the children, bits 0 to 7 the byte that leads here; a
value has bit 31 set. The child of unit ``u`` by byte ``c`` is at ``u ^ distance ^ c``, its value
at ``u ^ distance``.
"""

import struct
from collections.abc import Mapping
from typing import TypeAlias

_LEAF = 1 << 8
_VALUE = 1 << 31
_BLOCK = 256
# Continuation bytes of UTF-8 are 64 in a row: children of a character lie side by side.
_STEP = 64

Tree: TypeAlias = "dict[int, Tree | int]"


def character_map(replacements: Mapping[str, str]) -> bytes:
    """Replacements as the ``precompiled_charsmap`` of SentencePiece.

    Args:
        replacements: What each string becomes; neither side may hold NUL.
    """
    normalized = bytearray()
    tree: Tree = {}
    for source, target in sorted(replacements.items()):
        _insert(tree, source.encode(), len(normalized))
        normalized += target.encode() + b"\0"
    trie = _DoubleArray().build(tree)
    return struct.pack("<I", len(trie)) + trie + bytes(normalized)


def _insert(tree: Tree, key: bytes, value: int) -> None:
    node = tree
    for byte in key:
        child = node.setdefault(byte, {})
        if not isinstance(child, dict):  # pragma: no cover - bytes lead to nodes only
            raise TypeError(child)
        node = child
    node[0] = value


class _DoubleArray:
    """Places nodes: first those with several children, each at its own base, then the values."""

    def __init__(self) -> None:
        self._units: dict[int, int] = {0: 0}
        self._bases: set[int] = set()

    def build(self, tree: Tree) -> bytes:
        """The units, whole blocks of them, as bytes."""
        values = self._place_nodes(tree)
        self._place_values(values)
        size = -(-(max(self._units) + 1) // _BLOCK) * _BLOCK
        return struct.pack(f"<{size}I", *(self._units.get(i, 0) for i in range(size)))

    def _place_nodes(self, tree: Tree) -> list[tuple[int, int]]:
        """Place everything but values without siblings; those come back with their parents."""
        todo: list[tuple[int, Tree]] = [(0, tree)]
        values: list[tuple[int, int]] = []
        while todo:
            place, node = todo.pop()
            only = node.get(0) if len(node) == 1 else None
            if isinstance(only, int):
                values.append((place, only))
                continue
            base = self._free_base(node)
            self._hang(place, base)
            for byte, child in node.items():
                if isinstance(child, dict):
                    self._units[base ^ byte] = byte
                    todo.append((base ^ byte, child))
                else:
                    self._set_value(place, base, child)
        return values

    def _place_values(self, values: list[tuple[int, int]]) -> None:
        base = 1
        for place, value in values:
            while base in self._units or base in self._bases:
                base += 1
            self._hang(place, base)
            self._set_value(place, base, value)

    def _free_base(self, labels: Tree) -> int:
        """A base at which no child meets a unit in use; no two nodes may share one."""
        base = _STEP
        while base in self._bases or any(base ^ label in self._units for label in labels):
            base += _STEP
        return base

    def _hang(self, place: int, base: int) -> None:
        self._bases.add(base)
        self._units[place] |= (place ^ base) << 10

    def _set_value(self, place: int, base: int, value: int) -> None:
        self._units[place] |= _LEAF
        self._units[base] = _VALUE | value
