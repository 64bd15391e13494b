"""Zstandard, read (RFC 8878): inspect-ai compresses its logs with it, and Python can read it only from 3.14 on.

Made for a log's header of some KiB: it decodes about 1 MB a second. There are no dictionaries, and no checksum is
verified: a zip's own CRC is. Whatever is wrong with the bytes is a `ValueError`.
"""

from __future__ import annotations

from collections.abc import Sequence

_MAGIC = b"\x28\xb5\x2f\xfd"
_LARGEST_BLOCK = 128 * 1024
# Code → (base, extra bits) of a sequence's literals and match lengths.
_EXTRA = (1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
_MATCH_EXTRA = (1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
_LITERALS = (
    *((code, 0) for code in range(16)),
    *zip((16, 18, 20, 22, 24, 28, 32, 40, 48, *(1 << bits for bits in range(6, 17))), _EXTRA, strict=True),
)
_MATCHES = (
    *((code + 3, 0) for code in range(32)),
    *zip((35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, *((1 << b) + 3 for b in range(7, 17))), _MATCH_EXTRA, strict=True),
)
_OFFSETS = tuple((1 << code, code) for code in range(32))

# Kind → its codes, the accuracy of its predefined table and that table's distribution, the highest accuracy allowed.
_KINDS = (
    (_LITERALS, 6, (4, 3, *[2] * 11, 1, 1, 1, *[2] * 9, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1), 9),
    (_OFFSETS, 5, (*[1] * 6, 2, 2, 2, *[1] * 15, *[-1] * 5), 8),
    (_MATCHES, 6, (1, 4, 3, *[2] * 6, *[1] * 37, *[-1] * 7), 9),
)

# State → (symbol, bits to read, base of the next state).
_Table = list[tuple[int, int, int]]


class _Backwards:
    """Bits read from the end: the highest bit that is set ends the stream."""

    def __init__(self, data: bytes) -> None:
        if not data or not data[-1]:
            raise ValueError("a bitstream without its end mark")
        self._data = data
        self.left = 8 * len(data) - 9 + data[-1].bit_length()

    def peek(self, bits: int) -> int:
        low = self.left - bits
        if low < 0:  # beyond the beginning there are zeros
            return (int.from_bytes(self._data[:8], "little") & ((1 << max(self.left, 0)) - 1)) << -low
        return (int.from_bytes(self._data[low >> 3 : (low >> 3) + 8], "little") >> (low & 7)) & ((1 << bits) - 1)

    def read(self, bits: int) -> int:
        value = self.peek(bits)
        self.left -= bits
        return value


def decompress(data: bytes, limit: int) -> bytes:
    """The content of all frames.

    Raises:
        ValueError: it is no Zstandard, it is torn, or it holds more than `limit` bytes.
    """
    out = bytearray()
    position = 0
    try:
        while position < len(data):
            magic = data[position : position + 4]
            if magic[1:] == b"\x2a\x4d\x18" and magic[0] >> 4 == 5:  # a frame to be skipped
                position += 8 + int.from_bytes(data[position + 4 : position + 8], "little")
            elif magic == _MAGIC:
                position = _frame(data, position + 4, out, limit)
            else:
                raise ValueError("no frame begins here")
    except IndexError as error:
        raise ValueError("it ends within a block") from error
    if position != len(data):
        raise ValueError("it ends within a frame")
    return bytes(out)


def _frame(data: bytes, position: int, out: bytearray, limit: int) -> int:
    """Decode one frame from behind its magic, and return where it ends."""
    descriptor = data[position]
    single = descriptor >> 5 & 1
    if descriptor & 3:
        raise ValueError("it needs a dictionary")
    position += 2 - single + (single, 2, 4, 8)[descriptor >> 6]
    frame = _Frame(out)
    while True:
        header = int.from_bytes(data[position : position + 3], "little")
        kind, size = header >> 1 & 3, header >> 3
        position += 3
        stored = 1 if kind == 1 else size
        block = data[position : position + stored]
        if position > len(data) or len(block) < stored or kind == 3 or (kind == 2 and size > _LARGEST_BLOCK):
            raise ValueError("it ends within a block")
        if kind == 2:
            frame.block(block)
        elif len(out) + size <= limit:
            out += block * (size if kind == 1 else 1)
        else:
            raise ValueError(f"it holds more than {limit} bytes")
        if len(out) > limit:
            raise ValueError(f"it holds more than {limit} bytes")
        position += stored
        if header & 1:
            return position + 4 * (descriptor >> 2 & 1)


class _Frame:
    """What one block of a frame leaves for the next: its tables, and the last three offsets."""

    def __init__(self, out: bytearray) -> None:
        self._out = out
        self._begin = len(out)
        self._huffman: tuple[int, list[tuple[int, int]]] | None = None
        self._tables: list[tuple[int, _Table] | None] = [None, None, None]
        self._recent = [1, 4, 8]

    def block(self, data: bytes) -> None:
        literals, position = self._literals(data)
        self._sequences(data, position, literals)

    def _literals(self, data: bytes) -> tuple[bytes, int]:
        kind, form = data[0] & 3, data[0] >> 2 & 3
        if kind < 2:
            length = (1, 2, 1, 3)[form]
            size = int.from_bytes(data[:length], "little") >> (3 if length == 1 else 4)
            if kind == 1:
                return bytes([data[length]]) * size, length + 1
            return data[length : length + size], length + size
        length, bits = ((3, 10), (3, 10), (4, 14), (5, 18))[form]
        header = int.from_bytes(data[:length], "little") >> 4
        size, stored = header & ((1 << bits) - 1), header >> bits
        position, end = length, length + stored
        if end > len(data):
            raise ValueError("its literals end too early")
        if kind == 2:
            position = self._read_tree(data, position)
        if form == 0:
            return self._stream(data[position:end], size), end
        jumps = [int.from_bytes(data[position + 2 * n : position + 2 * n + 2], "little") for n in range(3)]
        each, position, parts = (size + 3) // 4, position + 6, []
        for jump in jumps:
            parts.append(self._stream(data[position : position + jump], each))
            position += jump
        parts.append(self._stream(data[position:end], size - 3 * each))
        return b"".join(parts), end

    def _stream(self, data: bytes, size: int) -> bytes:
        if self._huffman is None or size < 0:
            raise ValueError("literals without a tree")
        longest, table = self._huffman
        stream, out = _Backwards(data), bytearray()
        for _ in range(size):
            symbol, bits = table[stream.peek(longest)]
            stream.left -= bits
            out.append(symbol)
        if stream.left:
            raise ValueError("its literals do not fill their stream")
        return bytes(out)

    def _read_tree(self, data: bytes, position: int) -> int:
        head, position = data[position], position + 1
        if head >= 128:
            count = head - 127
            end = position + (count + 1) // 2
            weights = [nibble for byte in data[position:end] for nibble in (byte >> 4, byte & 15)][:count]
        else:
            end = position + head
            weights = _weights(data[position:end])
        total = sum(1 << weight >> 1 for weight in weights)
        longest = total.bit_length()
        rest = (1 << longest) - total
        if not total or longest > 11 or rest & (rest - 1):
            raise ValueError("its tree is no tree")
        weights.append(rest.bit_length())
        table: list[tuple[int, int]] = []
        for weight in range(1, longest + 1):
            for symbol, own in enumerate(weights):
                if own == weight:
                    table += [(symbol, longest + 1 - weight)] * (1 << weight >> 1)
        if len(table) != 1 << longest:
            raise ValueError("its tree is no tree")
        self._huffman = longest, table
        return end

    def _sequences(self, data: bytes, position: int, literals: bytes) -> None:
        out, count = self._out, data[position]
        position += 1
        if count == 255:
            count, position = int.from_bytes(data[position : position + 2], "little") + 0x7F00, position + 2
        elif count >= 128:
            count, position = (count - 128 << 8) + data[position], position + 1
        if not count:
            out += literals
            return
        modes, position = data[position], position + 1
        for index in range(3):
            position = self._table(index, modes >> 6 - 2 * index & 3, data, position)
        stream = _Backwards(data[position:])
        (literal_bits, literal), (offset_bits, offset), (match_bits, match) = [pair for pair in self._tables if pair]
        states = [stream.read(literal_bits), stream.read(offset_bits), stream.read(match_bits)]
        used, end = 0, len(out) + _LARGEST_BLOCK
        for left in range(count - 1, -1, -1):
            steps = literal[states[0]], offset[states[1]], match[states[2]]
            distance = (1 << steps[1][0]) + stream.read(steps[1][0])
            base, bits = _MATCHES[steps[2][0]]
            matched = base + stream.read(bits)
            base, bits = _LITERALS[steps[0][0]]
            run = base + stream.read(bits)
            if left:
                for index in (0, 2, 1):
                    _, bits, base = steps[index]
                    states[index] = base + stream.read(bits)
            out += literals[used : used + run]
            used += run
            self._copy(self._distance(distance, run), matched)
            if stream.left < 0 or used > len(literals) or len(out) > end:
                raise ValueError("its sequences do not fit")
        if stream.left:
            raise ValueError("its sequences do not fill their stream")
        out += literals[used:]

    def _distance(self, value: int, run: int) -> int:
        recent = self._recent
        if value > 3:
            self._recent = [value - 3, *recent[:2]]
            return value - 3
        index = value - 1 if run else value
        distance = recent[index] if index < 3 else recent[0] - 1
        self._recent = [distance, *(recent[:index] + recent[index + 1 :])[:2]]
        return distance

    def _copy(self, distance: int, length: int) -> None:
        out = self._out
        start = len(out) - distance
        if distance <= 0 or start < self._begin:
            raise ValueError("it points before its beginning")
        if distance >= length:
            out += out[start : start + length]
        else:
            piece = bytes(out[start:])
            out += (piece * (length // distance + 1))[:length]

    def _table(self, index: int, mode: int, data: bytes, position: int) -> int:
        codes, accuracy, usual, highest = _KINDS[index]
        if mode == 0:
            self._tables[index] = accuracy, _build(accuracy, usual)
        elif mode == 1:
            if data[position] >= len(codes):
                raise ValueError("it has an unknown code")
            self._tables[index] = 0, [(data[position], 0, 0)]
            position += 1
        elif mode == 2:
            accuracy, odds, position = _distribution(data, position, highest)
            if len(odds) > len(codes):
                raise ValueError("it has an unknown code")
            self._tables[index] = accuracy, _build(accuracy, odds)
        elif self._tables[index] is None:
            raise ValueError("it repeats a table that was never given")
        return position


def _weights(data: bytes) -> list[int]:
    """A tree's weights, from two interleaved states."""
    accuracy, odds, position = _distribution(data, 0, 6)
    table, stream = _build(accuracy, odds), _Backwards(data[position:])
    states, turn = [stream.read(accuracy), stream.read(accuracy)], 0
    found: list[int] = []
    while len(found) < 255:
        symbol, bits, base = table[states[turn]]
        found.append(symbol)
        if bits > stream.left:
            found.append(table[states[1 - turn]][0])
            return found
        states[turn] = base + stream.read(bits)
        turn = 1 - turn
    raise ValueError("its tree is too large")


def _distribution(data: bytes, position: int, highest: int) -> tuple[int, tuple[int, ...], int]:
    """A table's accuracy and its symbols' odds, and where they end."""
    bits_in = int.from_bytes(data[position : position + 512], "little")
    accuracy, at = (bits_in & 15) + 5, 4
    if accuracy > highest:
        raise ValueError("a table is too large")
    odds: list[int] = []
    remaining = 1 << accuracy
    while remaining > 0 and len(odds) < 256:
        bits = (remaining + 1).bit_length()
        value = bits_in >> at & ((1 << bits) - 1)
        low, few = value & ((1 << bits - 1) - 1), (1 << bits) - 2 - remaining
        if low < few:
            value, at = low, at + bits - 1
        else:
            value, at = (value - few if value > (1 << bits - 1) - 1 else value), at + bits
        odds.append(value - 1)
        remaining -= abs(value - 1)
        while value == 1:
            repeat, at = bits_in >> at & 3, at + 2
            odds += [0] * repeat
            if repeat < 3 or len(odds) > 256:
                break
    end = position + (at + 7) // 8
    if remaining or end > len(data):
        raise ValueError("a table is torn")
    return accuracy, tuple(odds), end


def _build(accuracy: int, odds: Sequence[int]) -> _Table:
    size = 1 << accuracy
    symbols, upto = [0] * size, size
    for symbol, odd in enumerate(odds):
        if odd == -1:
            upto -= 1
            symbols[upto] = symbol
    at, step = 0, (size >> 1) + (size >> 3) + 3
    for symbol, odd in enumerate(odds):
        for _ in range(max(odd, 0)):
            symbols[at] = symbol
            at = (at + step) % size
            while at >= upto:
                at = (at + step) % size
    following = [abs(odd) for odd in odds]
    table: _Table = []
    for symbol in symbols:
        state = following[symbol]
        following[symbol] += 1
        bits = accuracy - state.bit_length() + 1
        table.append((symbol, bits, (state << bits) - size))
    return table
