"""Reads a file of granter export: prints the digest of the granted users, and the SHA-256 of its contents.

    pip install pyroaring zstandard xxhash
"""

import hashlib
import json
import struct
import sys

import xxhash
import zstandard
from pyroaring import BitMap


def uvarint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def text(data, at):
    length, at = uvarint(data, at)
    return data[at : at + length], at + length


def head(entry):
    """What is in front of the members of a journal entry: its kind, how many members it has, and where they begin."""
    if entry[0] == 1:
        kind, at = 1, 7
    else:
        kind, at = entry[7], 8
    at += 8  # the run
    for _ in range(2):  # shard, flush
        _, at = uvarint(entry, at)
    count, at = uvarint(entry, at)
    ranges, at = uvarint(entry, at)
    for _ in range(3 * ranges):
        _, at = uvarint(entry, at)
    if kind != 1:
        _, at = text(entry, at)  # the act
    return kind, count, at


def journal_entry(entry):
    """The members of a journal entry that settles users: grants (1), by hand (5), exclusions (6)."""
    kind, count, at = head(entry)
    members = BitMap.deserialize(entry[at:])
    assert len(members) == count
    return members if kind in (1, 5, 6) else BitMap()


def bucket_entry(entry):
    """The same of a bucket: members as they are stored, each with its hash in front, which is what they are ordered by."""
    kind, count, at = head(entry)
    width, at, out = entry[at], at + 1, []
    while at < len(entry):
        if width:
            member, end = entry[at : at + width], at + width
        else:
            member, end = text(entry, at)
        out.append((xxhash.xxh64_intdigest(member), member, entry[at:end]))
        at = end
    assert len(out) == count and out == sorted(out)
    return kind, out


with open(sys.argv[1], "rb") as file:
    data = zstandard.ZstdDecompressor().stream_reader(file).read()
magic = b"granter ledger 1\n"
assert data.startswith(magic)
at, granted, excluded, journaled, end, before = len(magic), {}, {}, {}, None, b""
buckets = {}
while at < len(data):
    start = at
    length, at = uvarint(data, at)
    record, at = data[at : at + length], at + length
    if record[:1] == b"E":
        end, before = json.loads(record[1:]), data[:start]
    if record[:1] != b"K":
        continue
    chunk, pos = uvarint(record, 1)
    name, pos = text(record, pos)
    kind = record[pos : pos + 1]
    count, pos = uvarint(record, pos + 1)
    items = []
    for _ in range(count):
        item, pos = text(record, pos)
        items.append(item)
    if chunk and name == b"granted":
        granted[chunk - 1] = BitMap.deserialize(items[0])
    elif chunk and name == b"excluded":
        excluded[chunk - 1] = BitMap.deserialize(items[0])
    elif chunk and name == b"journal" and items[0][0] == 3:
        buckets[chunk - 1] = list(map(bucket_entry, items))
    elif chunk and name == b"journal":
        journaled[chunk - 1] = BitMap().union(*map(journal_entry, items))

if buckets:
    users, total = hashlib.sha256(), 0
    for bucket in sorted(buckets):
        place = {}
        for kind, members in buckets[bucket]:
            for member in members:
                if kind in (1, 5, 6):
                    assert member not in place, "nobody is in two entries that settle"
                    place[member] = kind != 6
                elif kind == 4:  # reinstated
                    place[member] = True
        for member in sorted(m for m in place if place[m]):
            users.update(member[2])
            total += 1
    print(f"members-{total}-{users.hexdigest()[:32]}", hashlib.sha256(before).hexdigest())
    sys.exit()

assert granted == journaled, "bitmaps and journals agree"
leaves = []
for chunk in sorted(granted):
    bits = bytearray(8192)
    for place in granted[chunk] - excluded.get(chunk, BitMap()):
        bits[place // 8] |= 1 << (7 - place % 8)
    if any(bits):
        leaves.append(hashlib.sha256(b"granter chunk\n" + struct.pack(">Q", chunk) + bits).digest())
print(hashlib.sha256(b"granter users\n" + b"".join(leaves)).hexdigest(), hashlib.sha256(before).hexdigest())
